"""How much slower everything gets as a deployment grows: the same measurements beside ever more hosts and instances."""

import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import client, evacuations, readings, site
from benchmarks.evacuations import SOURCE, Load
from benchmarks.fill import fill
from benchmarks.servers import MariaDb
from evacuator.db import instances, migrations, schema, services
from evacuator.db.session import Database, open_database
from evacuator.engine import orders
from evacuator.engine.engine import Engine, Rules

#: (hosts, instances)
SIZES = ((10, 1_000), (1_000, 100_000), (10_000, 1_000_000))
HOSTS = ("a", "b", "c")

#: How many sessions the timers of many hosts are played by, and for how long each.
SESSIONS, SECONDS = 8, 5.0


def measure(load: Load, mariadb: str, rabbitmq: str, sizes: tuple[tuple[int, int], ...] = SIZES) -> dict[str, Any]:
    """Measure each size on a database of its own."""
    return {
        f"{hosts} hosts, {instances} instances": _one(load, mariadb, rabbitmq, hosts, instances)
        for hosts, instances in sizes
    }


def _one(load: Load, mariadb: str, rabbitmq: str, hosts: int, instances: int) -> dict[str, Any]:
    with ExitStack() as closing:
        directory = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="evacuator-bench-")))
        store = MariaDb(mariadb)
        closing.callback(store.close)
        url = store.url.render_as_string(hide_password=False)
        database = open_database(url)
        closing.callback(database.close)
        schema.upgrade(database)
        begun = time.perf_counter()
        fill(database, hosts, instances)
        found: dict[str, Any] = {"hosts": hosts, "instances": instances, "filled_s": round(time.perf_counter() - begun)}
        found["timers"] = _timers(database, store, hosts)
        running = site.production(directory, url, rabbitmq, HOSTS)
        closing.callback(running.close)
        uuids = evacuations.make_servers(running, load.warm_up + load.servers)
        for name, path in {
            "detail": "/servers/detail?all_tenants=1&limit=100",
            "detail of a host": "/servers/detail?all_tenants=1&limit=100&host=a",
            "one server": f"/servers/{uuids[0]}",
            "migrations": "/os-migrations?limit=100",
        }.items():
            found[f"get {name}"] = readings.latency(client.timed(running.url, path, 30))
        running.processes.pop(f"compute {SOURCE}").kill()
        running.run("host", "power-off", SOURCE, "--state-dir", str(directory))
        evacuations.force_down(running, SOURCE)
        evacuations.evacuate(running, store, uuids[: load.warm_up], load.clients)
        before = store.counts()
        found["evacuation"] = evacuations.evacuate(running, store, uuids[load.warm_up :], load.clients)
        found["statements"] = round(store.counts().since(before)["statements"] / load.servers, 2)
        return found


#: How often a host does each in a minute, with the intervals at their defaults.
TURNS_A_MINUTE = {"beat": 6, "sweep": 12, "settle": 2, "clean": 2, "sync": 1}


def _timers(database: Database, store: MariaDb, hosts: int) -> dict[str, Any]:
    """Return what the turns of each timer cost the database, each turn another host's, and of all hosts together."""
    engine = Engine(database, _NoCasts(), Rules())
    names = [f"filler-host-{number + 1}" for number in range(hosts)]
    database.write(lambda session: [services.register(session, name, name, name, 2) for name in names[:2000]])

    def beat(name: str) -> None:
        database.write(lambda session: services.beat(session, name, name, 1, 60.0))

    def sweep(name: str) -> None:
        database.read(lambda session: migrations.unfinished_at(session, name))
        orders.waiting_orders(engine, name)

    def settle(_name: str) -> None:
        database.read(lambda session: migrations.orphans(session, 60.0, 300.0))

    def clean(name: str) -> None:
        database.read(lambda session: instances.settled_on(session, name))
        database.read(lambda session: migrations.done_away_from(session, name))

    def sync(name: str) -> None:
        database.read(lambda session: instances.on_host(session, name))

    turns = {work.__name__: _cost(work, names[:2000], store) for work in (beat, sweep, settle, clean, sync)}
    a_minute = sum(TURNS_A_MINUTE[name] * turn["database_cpu_ms"] for name, turn in turns.items())
    return turns | {"database_cpu_s_a_minute": round(a_minute * hosts / 1000, 2)}


class _NoCasts:
    """Nobody listens."""

    def can_send_target_state(self) -> bool:
        return True

    def rebuild_instance(self, *_args: Any) -> None:
        pass

    def carry_out_order(self, *_args: Any) -> None:
        pass


def _cost(work: Callable[[str], None], names: list[str], store: MariaDb) -> dict[str, float]:
    """Return how many turns there are in a second, and what one takes of the database server's CPU."""
    done = [0] * SESSIONS
    before, until = store.cpu(), time.perf_counter() + SECONDS

    def turn(session: int) -> None:
        while time.perf_counter() < until:
            work(names[(done[session] * SESSIONS + session) % len(names)])
            done[session] += 1

    threads = [threading.Thread(target=turn, args=[session]) for session in range(SESSIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {
        "per_s": round(sum(done) / SECONDS),
        "database_cpu_ms": round((store.cpu() - before) * 1000 / sum(done), 3),
    }

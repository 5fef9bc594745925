"""Run benchmarks and write what they found."""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import evacuations, floor, growth, plots, report, site
from benchmarks.evacuations import SOURCE, Load
from benchmarks.servers import MariaDb, Sqlite, Tap

HOSTS = ("a", "b", "c")
IDLE_SECONDS = 20.0
CLIENTS = (1, 2, 4, 8, 16, 32)


def production(load: Load, mariadb: str, rabbitmq: str) -> dict[str, Any]:
    """Measure ``evacuator api`` and three ``evacuator compute`` with MariaDB and RabbitMQ, then the floor there."""
    with ExitStack() as closing:
        directory = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="evacuator-bench-")))
        database = MariaDb(mariadb)
        closing.callback(database.close)
        running = site.production(directory, database.url.render_as_string(hide_password=False), rabbitmq, HOSTS)
        closing.callback(running.close)
        found: dict[str, Any] = {"servers": database.name}
        found["start_s"] = {name: round(process.start_seconds, 2) for name, process in running.processes.items()}
        uuids = evacuations.make_servers(running, load.warm_up * 2 + load.servers)
        found["get_servers_detail"] = {"100": evacuations.reads(running, 100)}
        found["idle"] = idle(running, database)
        gone = {SOURCE: running.processes[f"compute {SOURCE}"].read().peak_mib}
        running.processes.pop(f"compute {SOURCE}").kill()
        running.run("host", "power-off", SOURCE, "--state-dir", str(directory))
        evacuations.force_down(running, SOURCE)
        tap = Tap(rabbitmq)
        evacuations.evacuate(running, database, uuids[: load.warm_up], load.clients)
        published = tap.count()
        tap.close()
        evacuations.evacuate(running, database, uuids[load.warm_up : load.warm_up * 2], load.clients)
        before = database.counts()
        found["evacuation"] = evacuations.evacuate(running, database, uuids[load.warm_up * 2 :], load.clients)
        counted = database.counts().since(before)
        found["per_evacuation"] = {name: round(value / load.servers, 2) for name, value in counted.items()} | {
            "messages": round(published / load.warm_up, 2)
        }
        found["memory_mib"] = evacuations.memory(running, gone)
        found["verify"] = (
            running.run("verify", "--state-dir", str(directory), *running.configured).strip().splitlines()[-1]
        )
        # Of these, the floor needs as many that are active.
        evacuations.make_more(running, max(1000, load.warm_up * 2 + load.servers * 2))
        found["get_servers_detail"]["1000"] = evacuations.reads(running, 1000)
        running.close()
        found["floor"] = floor.measure(database, rabbitmq, load)
        found["ratio_to_floor"] = round(
            found["evacuation"]["evacuations_per_s"] / found["floor"]["evacuations_per_s"], 2
        )
        return found


def embedded(load: Load) -> dict[str, Any]:
    """Measure ``evacuator all-in-one`` as it comes: SQLite, and no broker."""
    with ExitStack() as closing:
        directory = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="evacuator-bench-")))
        running = site.embedded(directory, HOSTS)
        closing.callback(running.close)
        store = Sqlite(str(directory / "evacuator.sqlite"))
        closing.callback(store.close)
        found: dict[str, Any] = {"start_s": {"first": round(running.processes["all-in-one"].start_seconds, 2)}}
        uuids = evacuations.make_servers(running, load.warm_up + load.servers)
        found["get_servers_detail"] = {"100": evacuations.reads(running, 100)}
        running.run("host", "power-off", SOURCE, "--state-dir", str(directory))
        evacuations.force_down(running, SOURCE)
        evacuations.evacuate(running, store, uuids[: load.warm_up], load.clients)
        found["evacuation"] = evacuations.evacuate(running, store, uuids[load.warm_up :], load.clients)
        found["memory_mib"] = evacuations.memory(running, {})
        found["verify"] = (
            running.run("verify", "--state-dir", str(directory), *running.configured).strip().splitlines()[-1]
        )
        return found


def by_clients(load: Load, mariadb: str, rabbitmq: str) -> dict[str, Any]:
    """Measure what more clients at once get out of the same processes."""
    with ExitStack() as closing:
        directory = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="evacuator-bench-")))
        database = MariaDb(mariadb)
        closing.callback(database.close)
        running = site.production(directory, database.url.render_as_string(hide_password=False), rabbitmq, HOSTS)
        closing.callback(running.close)
        uuids = evacuations.make_servers(running, load.warm_up + load.servers * len(CLIENTS))
        running.processes.pop(f"compute {SOURCE}").kill()
        running.run("host", "power-off", SOURCE, "--state-dir", str(directory))
        evacuations.force_down(running, SOURCE)
        evacuations.evacuate(running, database, uuids[: load.warm_up], load.clients)
        parts = [uuids[load.warm_up + index * load.servers :][: load.servers] for index in range(len(CLIENTS))]
        return {
            "clients": {
                str(number): evacuations.evacuate(running, database, part, number)
                for number, part in zip(CLIENTS, parts, strict=True)
            }
        }


def idle(running: site.Site, database: MariaDb) -> dict[str, float]:
    """Leave the site alone, and see what a host costs by being there."""
    time.sleep(2)
    before, counted = running.read(), database.counts()
    time.sleep(IDLE_SECONDS)
    after, since = running.read(), database.counts().since(counted)
    computes = [name for name in after if name.startswith("compute")]
    cpu = sum(after[name].cpu - before[name].cpu for name in computes)
    hosts, minutes = len(computes), IDLE_SECONDS / 60
    return {f"{name}_per_host_and_minute": round(value / hosts / minutes, 1) for name, value in since.items()} | {
        "cpu_ms_per_host_and_minute": round(cpu * 1000 / hosts / minutes, 1)
    }


def machine() -> dict[str, Any]:
    """Say on what it ran."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "cpu": model,
        "python": platform.python_version(),
        "system": platform.system() + " " + platform.release(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "load_before": os.getloadavg()[0],
    }


def _size(text: str) -> tuple[int, int]:
    hosts, _, instances = text.partition(":")
    return int(hosts), int(instances)


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", choices=["production", "embedded", "clients", "growth"], nargs="+")
    parser.add_argument("--servers", type=int, default=Load.servers, help="how many are evacuated")
    parser.add_argument("--clients", type=int, default=Load.clients, help="how many ask at once")
    parser.add_argument("--warm-up", type=int, default=Load.warm_up, help="how many are evacuated before that")
    parser.add_argument(
        "--sizes", type=_size, nargs="*", metavar="HOSTS:INSTANCES", help="how far it grows, for growth"
    )
    parser.add_argument("--mariadb", default=os.environ.get("EVACUATOR_TEST_MARIADB"), help="URL of a server")
    parser.add_argument("--rabbitmq", default=os.environ.get("EVACUATOR_TEST_RABBITMQ"), help="URL of a virtual host")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="a folder")
    args = parser.parse_args()
    load = Load(args.servers, args.clients, args.warm_up)
    runs: dict[str, Callable[[], dict[str, Any]]] = {
        "production": lambda: production(load, args.mariadb, args.rabbitmq),
        "embedded": lambda: embedded(load),
        "clients": lambda: by_clients(load, args.mariadb, args.rabbitmq),
        "growth": lambda: growth.measure(load, args.mariadb, args.rabbitmq, tuple(args.sizes or growth.SIZES)),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    for what in args.what:
        found = {"machine": machine()} | runs[what]()
        (args.out / f"{what}.json").write_text(json.dumps(found, indent=1) + "\n")
        print(report.table(what, found))
        plots.draw(args.out, what)
    return 0


if __name__ == "__main__":
    sys.exit(main())

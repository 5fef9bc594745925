"""The floor: what the same statements, commits and cast take when nothing but the libraries is in between.

A loop of SQLAlchemy Core statements, as many threads and processes as the real thing has, on the same servers in the
same run. It checks nothing, chooses nothing and drives nothing; it only asks of database and broker what an evacuation
does.
"""

import argparse
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import oslo_messaging
from oslo_config import cfg
from sqlalchemy import Engine, TextClause, create_engine, text

from benchmarks import readings
from benchmarks.evacuations import Load
from benchmarks.servers import MariaDb

TOPIC, DESTINATIONS = "floor", ("b", "c")


def _statements(script: str) -> list[TextClause]:
    return [text(statement) for statement in script.split(";") if statement.strip()]


ACCEPT = _statements("""
    SELECT instances.*, EXISTS (SELECT 1 FROM services WHERE version < 2) FROM instances WHERE uuid = :uuid;
    UPDATE instances SET evacuation_id = :evacuation, task_state = 'rebuilding', updated_at = UTC_TIMESTAMP(6)
        WHERE uuid = :uuid AND host = 'a' AND evacuation_id IS NULL AND vm_state = 'active';
    SELECT compute_nodes.host, version, free_memory_mb, claims FROM compute_nodes
        JOIN services ON services.host = compute_nodes.host
        ORDER BY free_memory_mb DESC, compute_nodes.id DESC LIMIT 10;
    INSERT INTO migrations (uuid, instance_uuid, migration_type, status, attempt, source_compute, dest_compute,
            final_state, vm_state_before, min_service_version, host_named, assignments, assigned_at,
            request_id, user_id, project_id, created_at)
        VALUES (:evacuation, :uuid, 'evacuation', 'accepted', 1, 'a', :host,
            'stopped', 'active', 2, 0, 1, UTC_TIMESTAMP(6),
            :evacuation, 'admin', 'admin', UTC_TIMESTAMP(6));
    INSERT INTO instance_actions (instance_uuid, action, request_id, user_id, project_id, start_time)
        VALUES (:uuid, 'evacuate', :evacuation, 'admin', 'admin', UTC_TIMESTAMP(6));
    INSERT INTO instance_actions_events (action_id, event, start_time, finish_time, result)
        VALUES (LAST_INSERT_ID(), 'rebuild_server', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), 'Success');
    INSERT INTO allocations (instance_uuid, host, vcpus, memory_mb, disk_gb) VALUES (:uuid, :host, 1, 512, 1);
    UPDATE services SET epoch = epoch + 1 WHERE host = 'a' AND forced_down;
    UPDATE compute_nodes SET memory_mb_used = memory_mb_used + 512, claims = claims + 1 WHERE host = :host
""")
CLAIM = _statements("""
    SELECT migrations.*, instances.* FROM migrations JOIN instances ON instances.uuid = instance_uuid
        WHERE migrations.uuid = :evacuation;
    UPDATE migrations SET status = 'pre-migrating', attempt = 2 WHERE uuid = :evacuation AND attempt = 1;
    INSERT INTO instance_actions_events (action_id, event, host, start_time)
        SELECT id, 'compute_rebuild_instance', :host, UTC_TIMESTAMP(6) FROM instance_actions
        WHERE instance_uuid = :uuid AND request_id = :evacuation
""")
FINISH = _statements("""
    UPDATE instances SET host = :host, vm_state = 'stopped', task_state = NULL, evacuation_id = NULL
        WHERE uuid = :uuid AND evacuation_id = :evacuation;
    UPDATE migrations SET status = 'done' WHERE uuid = :evacuation AND attempt = 2;
    UPDATE instance_actions_events SET finish_time = UTC_TIMESTAMP(6), result = 'Success'
        WHERE event = 'compute_rebuild_instance' AND action_id =
            (SELECT id FROM instance_actions WHERE instance_uuid = :uuid AND request_id = :evacuation);
    UPDATE instance_actions SET finish_time = UTC_TIMESTAMP(6) WHERE instance_uuid = :uuid AND request_id = :evacuation
""")


def measure(database: MariaDb, rabbitmq: str, load: Load, hosts: Sequence[str] = DESTINATIONS) -> dict[str, Any]:
    """Let one process accept and others receive, until every instance that is still on the source has been moved."""
    url = database.url.render_as_string(hide_password=False)
    module = [sys.executable, "-W", "ignore", "-m", "benchmarks.floor"]
    receivers = [
        subprocess.Popen([*module, "receive", url, rabbitmq, "--host", host], stdout=subprocess.PIPE) for host in hosts
    ]
    accepting = subprocess.Popen(
        [*module, "accept", url, rabbitmq, "--threads", str(load.clients), "--number", str(load.servers)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    processes = {"accept": accepting} | {f"receive {host}": each for host, each in zip(hosts, receivers, strict=True)}
    try:
        for each in processes.values():
            _line(each)  # it is ready
        before = {name: readings.read(each.pid).cpu for name, each in processes.items()}
        counted = database.counts()
        begun = time.perf_counter()
        assert accepting.stdin is not None
        accepting.stdin.close()
        accepted = json.loads(_line(accepting))
        while database.unfinished():
            time.sleep(0.02)
        done = time.perf_counter() - begun
        since = database.counts().since(counted)
        cpu = {name: readings.read(each.pid).cpu - before[name] for name, each in processes.items()}
    finally:
        for each in processes.values():
            each.kill()
    per = {name: round(value * 1000 / load.servers, 2) for name, value in cpu.items()}
    return {
        "accept": accepted,
        "evacuations_per_s": round(load.servers / done, 1),
        "cpu_ms_per_evacuation": per | {"together": round(sum(per.values()), 2)},
        "per_evacuation": {name: round(value / load.servers, 2) for name, value in since.items()},
    }


def _line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


def _open(url: str) -> Engine:
    return create_engine(url, isolation_level="READ COMMITTED", pool_size=20, pool_reset_on_return=None)


def _transaction(engine: Engine, statements: Sequence[Any], values: dict[str, Any]) -> None:
    with engine.begin() as connection:
        for statement in statements:
            result = connection.execute(statement, values)
            if result.returns_rows:
                result.all()


def accept(url: str, rabbitmq: str, threads: int, number: int) -> None:
    """Accept ``number`` evacuations in so many threads, and cast each."""
    engine = _open(url)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT uuid FROM instances WHERE vm_state = 'active' LIMIT :n"), {"n": number})
        todo: queue.SimpleQueue[str] = queue.SimpleQueue()
        for row in rows:
            todo.put(row.uuid)
        if todo.qsize() < number:
            raise RuntimeError(f"of {number} instances to move there are {todo.qsize()}")
        # Wherever they are by now: the floor finds its instances on a host that is down, and claims room elsewhere.
        connection.execute(
            text(
                "DELETE FROM allocations WHERE instance_uuid IN (SELECT uuid FROM instances WHERE vm_state = 'active')"
            )
        )
        connection.execute(text("UPDATE instances SET host = 'a' WHERE vm_state = 'active'"))
        connection.execute(text("UPDATE services SET forced_down = 1 WHERE host = 'a'"))
        connection.commit()
    transport = oslo_messaging.get_rpc_transport(cfg.CONF, url=rabbitmq)
    client = oslo_messaging.get_rpc_client(transport, oslo_messaging.Target(topic=TOPIC))
    print("ready", flush=True)
    sys.stdin.read()
    seconds: list[float] = []

    def work() -> None:
        for index in range(1_000_000):
            try:
                uuid = todo.get_nowait()
            except queue.Empty:
                return
            values = {"uuid": uuid, "evacuation": str(uuid4()), "host": DESTINATIONS[index % len(DESTINATIONS)]}
            began = time.perf_counter()
            _transaction(engine, ACCEPT, values)
            seconds.append(time.perf_counter() - began)
            client.prepare(server=values["host"]).cast({}, "move", **values)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(json.dumps(readings.latency(seconds)), flush=True)
    time.sleep(3600)


class Endpoint:
    """What is called by a message."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def move(self, _context: Any, **values: str) -> None:
        """Claim and finish."""
        _transaction(self._engine, CLAIM, values)
        _transaction(self._engine, FINISH, values)


def receive(url: str, rabbitmq: str, host: str) -> None:
    """Carry out what is cast to ``host``."""
    transport = oslo_messaging.get_rpc_transport(cfg.CONF, url=rabbitmq)
    target = oslo_messaging.Target(topic=TOPIC, server=host)
    server = oslo_messaging.get_rpc_server(transport, target, [Endpoint(_open(url))])
    server.start()
    print("ready", flush=True)
    time.sleep(3600)


def main() -> None:
    """Be one of the processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["accept", "receive"])
    parser.add_argument("url")
    parser.add_argument("rabbitmq")
    parser.add_argument("--host", default="")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--number", type=int, default=1)
    args = parser.parse_args()
    cfg.CONF([], project="floor", default_config_files=[])
    if args.what == "accept":
        accept(args.url, args.rabbitmq, args.threads, args.number)
    else:
        receive(args.url, args.rabbitmq, args.host)


if __name__ == "__main__":
    main()

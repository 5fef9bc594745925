"""A database that has grown: hosts, instances and their history, made by the database itself."""

import argparse
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from sqlalchemy import CTE, JSON, Label, String, cast, insert, literal, select
from sqlalchemy.orm import Session

from evacuator.db import schema
from evacuator.db.clock import now, seconds_ago
from evacuator.db.models import (
    COMPUTE_BINARY,
    Allocation,
    ComputeNode,
    Instance,
    InstanceAction,
    InstanceActionEvent,
    Migration,
    Model,
    Service,
)
from evacuator.db.session import Database, open_database
from evacuator.db.writes import table_of
from evacuator.versions import SERVICE_VERSION

HOUR = 3600
FLAVOR = {"id": "1", "original_name": "m1.tiny", "vcpus": 1, "ram": 512, "disk": 1, "ephemeral": 0, "swap": 0}

#: So many rows in one statement; MariaDB counts no further by itself (max_recursive_iterations).
CHUNK = 1_000


def fill(database: Database, hosts: int, instances: int, prefix: str = "filler") -> None:
    """Add hosts that are up, and instances on them, each with what was once asked of it and once evacuated."""
    for numbers in _chunks(hosts):
        database.write(partial(_add_hosts, numbers=numbers, prefix=prefix, each=instances // hosts))
    for numbers in _chunks(instances):
        database.write(partial(_add_instances, numbers=numbers, prefix=prefix, hosts=hosts))
    with database.engine.connect() as connection:
        # What the servers do by themselves after so many changes; SQLite never does it by itself.
        verb = {"mysql": "ANALYZE TABLE", "mariadb": "ANALYZE TABLE", "postgresql": "ANALYZE"}.get(
            connection.dialect.name
        )
        for table in Model.metadata.tables if verb else ():
            connection.exec_driver_sql(f"{verb} {table}")
        connection.commit()


def _chunks(most: int) -> Iterator[CTE]:
    for first in range(1, most + 1, CHUNK):
        numbers = select(literal(first).label("n")).cte("numbers", recursive=True)
        last = min(first + CHUNK - 1, most)
        yield numbers.union_all(select(numbers.c.n + 1).where(numbers.c.n < last))


def _name(prefix: str, number: Any) -> Any:
    return literal(prefix + "-") + cast(number, String(12))


def _add(session: Session, model: type[Model], numbers: CTE, values: Mapping[str, Any]) -> None:
    table = table_of(model)
    columns = [
        value if isinstance(value, Label) else _sql(value, table.c[name].type).label(name)
        for name, value in values.items()
    ]
    session.execute(insert(table).from_select(list(values), select(*columns).select_from(numbers)))


def _sql(value: Any, kind: Any) -> Any:
    return value if hasattr(value, "label") else literal(value, kind)


def _add_hosts(session: Session, numbers: CTE, prefix: str, each: int) -> None:
    host = _name(prefix + "-host", numbers.c.n)
    service = {
        "uuid": host,
        "host": host,
        "binary": COMPUTE_BINARY,
        "version": SERVICE_VERSION,
        "availability_zone": "nova",
        "disabled": False,
        "forced_down": False,
        "last_seen": now(),
        "up_since": seconds_ago(HOUR),
        "epoch": 0,
        "cleaned_epoch": 0,
        "created_at": seconds_ago(HOUR),
    }
    node = {
        "uuid": host,
        "host": host,
        "hypervisor_hostname": host,
        "hypervisor_type": "none",
        "hypervisor_version": 1,
        "cpu_info": literal({}, JSON),
        "storage_id": "shared",
        "vcpus": 1_000_000,
        "memory_mb": 1_000_000,
        "local_gb": 1_000_000,
        "vcpus_used": each,
        "memory_mb_used": each * 512,
        "local_gb_used": each,
        "claims": each,
        "created_at": now(),
    }
    _add(session, Service, numbers, service)
    _add(session, ComputeNode, numbers, node)


def _add_instances(session: Session, numbers: CTE, prefix: str, hosts: int) -> None:
    uuid, host = _name(prefix, numbers.c.n), _name(prefix + "-host", numbers.c.n % hosts + 1)
    request = {
        "instance_uuid": uuid,
        "request_id": _name("req", numbers.c.n),
        "user_id": "filler",
        "project_id": _name("project", numbers.c.n % 100),
    }
    instance = {
        "uuid": uuid,
        "display_name": uuid,
        "hostname": uuid,
        "project_id": _name("project", numbers.c.n % 100),
        "user_id": "filler",
        "reservation_id": "r-filler",
        "launch_index": 0,
        "flavor": literal(FLAVOR, JSON),
        "vcpus": 1,
        "memory_mb": 512,
        "disk_gb": 1,
        "metadata": literal({}, JSON),
        "tags": literal([], JSON),
        "config_drive": "",
        "locked": False,
        "locked_by_owner": False,
        "host": host,
        "vm_state": "active",
        "power_state": 1,
        "created_at": seconds_ago(HOUR),
        "launched_at": seconds_ago(HOUR),
        "deleted": False,
    }
    record = request | {
        "uuid": uuid,
        "migration_type": "evacuation",
        "status": "completed",
        "attempt": 2,
        "source_compute": host,
        "dest_compute": host,
        "final_state": "active",
        "vm_state_before": "active",
        "min_service_version": 0,
        "host_named": False,
        "assignments": 1,
        "assigned_at": seconds_ago(HOUR),
        "created_at": seconds_ago(HOUR),
    }
    claim = {"instance_uuid": uuid, "host": host, "vcpus": 1, "memory_mb": 512, "disk_gb": 1}
    _add(session, Instance, numbers, instance)
    _add(session, Allocation, numbers, claim)
    _add(session, Migration, numbers, record)
    _add(session, InstanceAction, numbers, request | {"action": "create", "start_time": seconds_ago(HOUR)})
    ours = select(
        InstanceAction.id,
        literal("compute_create_instance"),
        InstanceAction.start_time,
        InstanceAction.start_time,
        literal("Success"),
    ).where(InstanceAction.instance_uuid.in_(select(uuid).select_from(numbers)))
    columns = ["action_id", "event", "start_time", "finish_time", "result"]
    session.execute(insert(table_of(InstanceActionEvent)).from_select(columns, ours))


def main() -> None:
    """Fill a database that has the schema, or make it have it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("hosts", type=int)
    parser.add_argument("instances", type=int)
    args = parser.parse_args()
    database = open_database(args.url)
    schema.upgrade(database)
    fill(database, args.hosts, args.instances)


if __name__ == "__main__":
    main()

"""Rows for every table at every revision of the schema, with something in every column."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, TableClause, column, inspect, select, table
from sqlalchemy.engine.interfaces import ReflectedColumn

from evacuator.db.models import Model

MOMENT = datetime(2026, 1, 31, 12, 30, 15, 123456)  # noqa: DTZ001 - moments are UTC, without a zone
SECRET = "0d9a5a3c-6f3e-4f0c-9c58-1f7f0d5b7c11"
ENCRYPTED = (
    f"<domain><disk><encryption><secret type='passphrase' uuid='{SECRET.upper()}'/></encryption></disk></domain>"
)

ADOPTED = {
    "id": 1, "uuid": "11111111-0000-4000-8000-000000000001", "display_name": "größte",
    "display_description": "the first", "hostname": "groesste", "project_id": "p", "user_id": "u",
    "reservation_id": "r-1", "launch_index": 1, "image_ref": "11111111-1111-4111-8111-111111111111",
    "flavor": {"name": "m1.tiny"}, "vcpus": 1, "memory_mb": 512, "disk_gb": 1, "metadata": {"role": "web"},
    "tags": ["blue"], "key_name": "mine", "user_data": "IyE=", "definition": ENCRYPTED, "key_ids": [SECRET],
    "config_drive": "True", "availability_zone": "east", "locked": True, "locked_by_owner": True,
    "locked_reason": "audit", "host": "a", "vm_state": "error", "task_state": "rebuilding", "power_state": 4,
    "evacuation_id": "22222222-0000-4000-8000-000000000001", "order_id": "req-0", "state_before_failure": "active",
    "fault": {"code": 500, "message": "no"}, "fault_at": MOMENT, "created_at": MOMENT, "updated_at": MOMENT,
    "launched_at": MOMENT, "terminated_at": MOMENT, "deleted": True,
}  # fmt: skip

#: As little as there can be; whoever made it asked for no zone.
BARE = {
    **dict.fromkeys(ADOPTED), "id": 2, "uuid": "11111111-0000-4000-8000-000000000002", "display_name": "two",
    "hostname": "two", "project_id": "p", "user_id": "u", "reservation_id": "r-2", "launch_index": 0, "flavor": {},
    "vcpus": 2, "memory_mb": 1024, "disk_gb": 0, "metadata": {}, "tags": [], "config_drive": "", "locked": False,
    "locked_by_owner": False, "vm_state": "stopped", "power_state": 4, "created_at": MOMENT, "deleted": False,
}  # fmt: skip

#: By table, as they are at the newest revision. The five flavors that the first revision makes are not among them.
ROWS: Mapping[str, list[dict[str, Any]]] = {
    "services": [{
        "id": 1, "uuid": "33333333-0000-4000-8000-000000000001", "host": "a", "binary": "nova-compute", "version": 2,
        "availability_zone": "east", "disabled": True, "disabled_reason": "repair", "forced_down": True,
        "last_seen": MOMENT, "up_since": MOMENT, "incarnation": "44444444-0000-4000-8000-000000000001", "epoch": 5,
        "cleaned_epoch": 4, "created_at": MOMENT, "updated_at": MOMENT,
    }],
    "compute_nodes": [{
        "id": 1, "uuid": "55555555-0000-4000-8000-000000000001", "host": "a", "hypervisor_hostname": "a.example.org",
        "hypervisor_type": "QEMU", "hypervisor_version": 7002000, "host_ip": "192.0.2.1",
        "cpu_info": {"arch": "x86_64"}, "storage_id": "shared", "vcpus": 8, "memory_mb": 4096,
        "local_gb": 100, "vcpus_used": 1, "memory_mb_used": 512, "local_gb_used": 1, "claims": 1,
        "free_memory_mb": 3584, "created_at": MOMENT, "updated_at": MOMENT,
    }],
    "flavors": [{
        "id": 6, "flavorid": "own", "name": "own", "vcpus": 3, "memory_mb": 333, "root_gb": 3, "ephemeral_gb": 1,
        "swap": 64, "is_public": False, "disabled": True, "rxtx_factor": 1.5, "description": "made here",
        "extra_specs": {"hw:cpu_policy": "shared"}, "created_at": MOMENT,
    }],
    "instances": [ADOPTED, BARE],
    "migrations": [{
        "id": 1, "uuid": "22222222-0000-4000-8000-000000000001", "instance_uuid": ADOPTED["uuid"],
        "migration_type": "evacuation", "status": "pre-migrating", "attempt": 3, "source_compute": "b",
        "source_node": "b.example.org", "dest_compute": "a", "dest_node": "a.example.org", "dest_host": "192.0.2.1",
        "final_state": "stopped", "vm_state_before": "active", "min_service_version": 2, "on_shared_storage": True,
        "host_named": True, "assignments": 2, "assigned_at": MOMENT, "request_id": "req-1", "user_id": "u",
        "project_id": "p", "disk": "existing", "reason": "it took its time", "created_at": MOMENT, "updated_at": MOMENT,
    }],
    "allocations": [{
        "id": 1, "instance_uuid": ADOPTED["uuid"], "host": "a", "vcpus": 1, "memory_mb": 512, "disk_gb": 1,
    }],
    "instance_actions": [{
        "id": 1, "instance_uuid": ADOPTED["uuid"], "action": "evacuate", "request_id": "req-1", "user_id": "u",
        "project_id": "p", "start_time": MOMENT, "finish_time": MOMENT, "message": "Error", "updated_at": MOMENT,
    }],
    "instance_actions_events": [{
        "id": 1, "action_id": 1, "event": "compute_rebuild_instance", "start_time": MOMENT, "finish_time": MOMENT,
        "result": "Error", "traceback": "line 1", "host": "a", "details": "the disk is not there",
    }],
    "aggregates": [{
        "id": 1, "uuid": "66666666-0000-4000-8000-000000000001", "name": "rack 1", "availability_zone": "east",
        "metadata": {"rack": "1"}, "created_at": MOMENT, "updated_at": MOMENT,
    }],
    "aggregate_hosts": [{"id": 1, "aggregate_id": 1, "host": "a"}],
}  # fmt: skip

#: Columns that the upgrade which adds them fills from what is there.
FILLED = {("instances", "key_ids")}

#: Until this revision whoever asked for no zone was recorded in the only one.
ZONES_ARE_ASKED_FOR = "0003"

Columns = Mapping[str, list[ReflectedColumn]]


def known(connection: Connection) -> Columns:
    """Return the columns of every table that this revision has."""
    seen = inspect(connection)
    return {name: seen.get_columns(name) for name in seen.get_table_names() if name != "alembic_version"}


def add(connection: Connection, before: Columns) -> None:
    """Fill every table and every column that was not there ``before``."""
    now = known(connection)
    for name in sorted(set(now) - set(before), key=_order):
        connection.execute(_table(name, now).insert(), [_written(row, now[name]) for row in _rows(name, connection)])
    for name in set(now) & set(before):
        old = {each["name"] for each in before[name]}
        new = [each for each in now[name] if each["name"] not in old and (name, each["name"]) not in FILLED]
        for row in _rows(name, connection) if new else []:
            known_table = _table(name, now)
            connection.execute(known_table.update().where(known_table.c.id == row["id"]).values(_written(row, new)))


def differences(connection: Connection) -> list[str]:
    """Say which rows are not what they should be at this revision."""
    now = known(connection)
    found = []
    for name in now:
        its = _table(name, now)
        wanted = _rows(name, connection)
        read = connection.execute(select(its).where(its.c.id.in_([row["id"] for row in wanted])).order_by(its.c.id))
        columns = [each["name"] for each in now[name]]
        expected = [{each: row[each] for each in columns} for row in wanted]
        got = [dict(row) for row in read.mappings()]
        if got != expected:
            found.append(f"{name}: {got} and not {expected}")
    return found


def left_out(columns: Columns) -> list[str]:
    """Name the tables and columns in which no row has anything."""
    return [
        f"{name}.{each['name']}"
        for name, its in columns.items()
        for each in its
        if all(row.get(each["name"]) is None for row in ROWS.get(name, []))
    ]


def _rows(name: str, connection: Connection) -> list[dict[str, Any]]:
    at = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
    if name == "instances" and at < ZONES_ARE_ASKED_FOR:
        return [{**row, "availability_zone": row["availability_zone"] or "nova"} for row in ROWS[name]]
    return ROWS[name]


def _written(row: Mapping[str, Any], columns: list[ReflectedColumn]) -> dict[str, Any]:
    return {each["name"]: row[each["name"]] for each in columns if "computed" not in each}


def _order(name: str) -> int:
    """Put what others refer to before them."""
    return [each.name for each in Model.metadata.sorted_tables].index(name)


def _table(name: str, columns: Columns) -> TableClause:
    """Return a table as it is at this revision; what a column holds, the model knows better than the database."""
    types = {each.name: each.type for each in Model.metadata.tables[name].columns}
    return table(name, *(column(each["name"], types.get(each["name"], each["type"])) for each in columns[name]))

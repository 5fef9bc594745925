"""The whole database at one moment, as facts for ``evacuator.evacuation.invariants``. Nothing is written."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import event, select
from sqlalchemy.orm import Session

from evacuator.db import schema, services
from evacuator.db.clock import now
from evacuator.db.models import COMPUTE_BINARY, Allocation, ComputeNode, Instance, InstanceAction, Migration, Service
from evacuator.db.refusals import answering
from evacuator.db.session import Clock, Database, open_database, utcnow
from evacuator.errors import DatabaseUnavailable, NotConfigured
from evacuator.evacuation.destination import Room
from evacuator.evacuation.invariants.facts import (
    Census,
    ClaimFacts,
    InstanceFacts,
    NodeFacts,
    RecordFacts,
    ServiceFacts,
)

#: The actions of an instance that may power it on. An evacuation's own power-ons name their record.
POWERS_ON = ("create", "start", "reboot")


def open_to_look(url: str, clock: Clock = utcnow) -> Database:
    """Open a database from which is only read.

    :raises NotConfigured: there is none, or it does not answer.
    """
    database = open_database(url, clock, pool_size=2)
    place = database.engine.url
    if database.engine.dialect.name == "sqlite":
        if place.database and not Path(place.database).is_file():
            raise NotConfigured(
                reason=f"There is no database {place.database}. `evacuator all-in-one --state-dir D --hosts a,b,c` "
                "makes one in D; another one is named by [database] connection."
            )
        event.listen(database.engine, "connect", _forbid_writing)
    try:
        with answering():
            database.engine.connect().close()
    except DatabaseUnavailable as error:
        database.close()
        raise NotConfigured(reason=f"The database {place} does not answer: {error.facts['reason']}.") from error
    return database


def hosts(database: Database) -> Sequence[str]:
    """Return the hosts that have a compute service."""
    services_ = select(Service.host).where(Service.binary == COMPUTE_BINARY).order_by(Service.host)
    return database.read(lambda session: session.scalars(services_).all())


def require_schema(database: Database, upgrade: str = schema.UPGRADE) -> None:
    """Make sure that the database has the schema that this release reads; ``upgrade`` is the command that gives it.

    :raises NotConfigured: it has another one.
    """
    found = schema.current(database)
    if found != schema.head():
        raise NotConfigured(reason=f"The database has schema {found or 'none'}, {schema.way_out(found, upgrade)}.")


def _forbid_writing(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA query_only = ON")


def take(database: Database, down_time: float) -> Census:
    """Read everything, on one snapshot."""
    return database.read(lambda session: _take(session, down_time))


def _take(session: Session, down_time: float) -> Census:
    if session.get_bind().dialect.name != "sqlite":
        # With READ COMMITTED each query sees another moment, and books that are always right would look wrong.
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    return Census(
        now=_seconds(session.scalar(select(now()))),
        services=_services(session, down_time),
        nodes=_nodes(session),
        instances=_instances(session),
        records=_records(session),
        claims=_claims(session),
        power_orders=_power_orders(session),
    )


def _services(session: Session, down_time: float) -> Sequence[ServiceFacts]:
    heard = services.listing(session, down_time, binary=COMPUTE_BINARY)
    return [
        ServiceFacts(
            host=each.service.host,
            version=each.service.version,
            up_since=_seconds(each.service.up_since) if each.up else None,
        )
        for each in heard
    ]


def _nodes(session: Session) -> Sequence[NodeFacts]:
    return [
        NodeFacts(
            host=node.host,
            total=Room(node.vcpus, node.memory_mb, node.local_gb),
            used=Room(node.vcpus_used, node.memory_mb_used, node.local_gb_used),
            claims=node.claims,
        )
        for node in session.scalars(select(ComputeNode).order_by(ComputeNode.host))
    ]


def _instances(session: Session) -> Sequence[InstanceFacts]:
    # Columns, not rows: there may be a hundred thousand, most of them deleted, and the rest of a row is large.
    columns = (
        Instance.uuid,
        Instance.vcpus,
        Instance.memory_mb,
        Instance.disk_gb,
        Instance.host,
        Instance.vm_state,
        Instance.task_state,
        Instance.evacuation_id,
        Instance.order_id,
        Instance.launched_at,
        Instance.deleted,
    )
    ordered = _ordered_at(session)
    return [
        InstanceFacts(
            uuid=row.uuid,
            room=Room(row.vcpus, row.memory_mb, row.disk_gb),
            host=row.host,
            vm_state=row.vm_state,
            task_state=row.task_state,
            evacuation_id=row.evacuation_id,
            order_id=row.order_id,
            ordered_at=ordered.get((row.uuid, row.order_id)),
            launched=row.launched_at is not None,
            deleted=row.deleted,
        )
        for row in session.execute(select(*columns).order_by(Instance.id))
    ]


def _ordered_at(session: Session) -> Mapping[tuple[str, str], float]:
    columns = (InstanceAction.instance_uuid, InstanceAction.request_id, InstanceAction.start_time)
    waiting = (InstanceAction.instance_uuid == Instance.uuid) & (InstanceAction.request_id == Instance.order_id)
    asked = session.execute(select(*columns).join(Instance, waiting))
    return {(row.instance_uuid, row.request_id): _seconds(row.start_time) for row in asked}


def _records(session: Session) -> Sequence[RecordFacts]:
    columns = (
        Migration.id,
        Migration.uuid,
        Migration.instance_uuid,
        Migration.status,
        Migration.source_compute,
        Migration.dest_compute,
        Migration.final_state,
        Migration.created_at,
        Migration.assigned_at,
        Migration.updated_at,
    )
    return [
        RecordFacts(
            id=row.id,
            uuid=row.uuid,
            instance=row.instance_uuid,
            status=row.status,
            source=row.source_compute,
            destination=row.dest_compute,
            final_state=row.final_state,
            accepted_at=_seconds(row.created_at),
            written_at=_seconds(row.updated_at),
            assigned_at=_seconds(row.assigned_at),
        )
        for row in session.execute(select(*columns).order_by(Migration.id))
    ]


def _claims(session: Session) -> Sequence[ClaimFacts]:
    return [
        ClaimFacts(claim.instance_uuid, claim.host, Room(claim.vcpus, claim.memory_mb, claim.disk_gb))
        for claim in session.scalars(select(Allocation).order_by(Allocation.id))
    ]


def _power_orders(session: Session) -> Mapping[tuple[str, str], float]:
    columns = (InstanceAction.instance_uuid, InstanceAction.request_id, InstanceAction.start_time)
    asked = session.execute(select(*columns).where(InstanceAction.action.in_(POWERS_ON)).order_by(InstanceAction.id))
    return {(row.instance_uuid, row.request_id): _seconds(row.start_time) for row in asked}


def _seconds(moment: datetime | str | None) -> float:
    # SQLite's clock is a function, whose result comes back as text.
    at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return at.replace(tzinfo=UTC).timestamp() if at else 0.0

"""Migrations: the records of evacuations."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache

from sqlalchemy import ClauseElement, Select, String, and_, bindparam, case, exists, func, inspect, not_, or_, select
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from evacuator.db import instances, nodes, services
from evacuator.db.clock import now, seconds_ago
from evacuator.db.models import COMPUTE_BINARY, Instance, Migration, Service
from evacuator.db.session import Transaction
from evacuator.db.writes import Facts, add, change_one
from evacuator.evacuation.cleaning import Ownership
from evacuator.evacuation.states import VmState
from evacuator.evacuation.transitions import UNFINISHED, Status

COLUMNS = frozenset(inspect(Migration).columns.keys())


def get(session: Session, migration_id: int) -> Migration | None:
    """Return a record by its number."""
    return session.get(Migration, migration_id, populate_existing=True)


_GET_FOR = (
    select(Migration, Instance, nodes.share_storage(Migration.source_compute, bindparam("for_host", type_=String)))
    .join(Instance, Instance.uuid == Migration.instance_uuid)
    .where(Migration.id == bindparam("its_id"))
)


def get_for(session: Session, migration_id: int, host: str) -> tuple[Migration, Instance, bool] | None:
    """Return a record, its instance, and whether ``host`` and the record's source publish the same storage."""
    row = session.execute(_GET_FOR, {"its_id": migration_id, "for_host": host}).one_or_none()
    return (row[0], row[1], bool(row[2])) if row else None


_BY_UUID = select(Migration).where(Migration.uuid == bindparam("its_uuid"))
_BY_REQUEST = select(Migration).where(
    Migration.request_id == bindparam("of_request"), Migration.instance_uuid == bindparam("of_instance")
)


def by_uuid(session: Session, uuid: str) -> Migration | None:
    """Return a record by its uuid."""
    return session.scalars(_BY_UUID, {"its_uuid": uuid}).one_or_none()


def by_request(session: Session, instance_uuid: str, request_id: str) -> Migration | None:
    """Return the record that a request made, whatever became of it."""
    return session.scalars(_BY_REQUEST, {"of_request": request_id, "of_instance": instance_uuid}).one_or_none()


def change(transaction: Transaction, record: Migration, values: Facts) -> None:
    """Write to a record that is still in the status and the attempt as it was read.

    It shows what was written once that is committed: if it comes to nothing, it is to be written again.

    :raises Overtaken: it is not.
    """
    where = {"id": record.id, "status": record.status, "attempt": record.attempt}
    change_one(transaction, Migration, where, {**values, "updated_at": now()})

    def show() -> None:
        for name, value in values.items():
            if not isinstance(value, ClauseElement):
                set_committed_value(record, name, value)

    transaction.on_commit(show)


def shows(session: Session, facts: Facts) -> bool:
    """Tell whether there is a record that shows all of these."""
    return session.scalar(select(Migration.id).filter_by(**facts)) is not None


def written_at(session: Session, migration_id: int) -> datetime | None:
    """Return when a record was written last: within a transaction that wrote to it, a moment that is its own."""
    return session.scalar(select(Migration.updated_at).where(Migration.id == migration_id))


def insert(session: Session, record: Migration) -> None:
    """Add a new record, which has not been added to the session; from here on it has its number."""
    record.id = add(session, Migration, {name: value for name, value in vars(record).items() if name in COLUMNS})


_UNFINISHED_AT = (
    select(Migration)
    .where(Migration.status.in_(UNFINISHED), Migration.dest_compute == bindparam("at_host"))
    .order_by(Migration.id)
)


def unfinished_at(session: Session, dest_compute: str, caller_timeout: float | None = None) -> Sequence[Migration]:
    """Return the unfinished records that ``dest_compute`` has to work on, oldest first.

    With a ``caller_timeout``, without those that nobody began in so many seconds and that start an encrypted guest: a
    message is on its way that brings the token of who asked for it.
    """
    unfinished = _UNFINISHED_AT if caller_timeout is None else _without_those_to_come(caller_timeout)
    return session.scalars(unfinished, {"at_host": dest_compute}).all()


@cache
def _without_those_to_come(caller_timeout: float) -> Select[Migration]:
    encrypted = exists().where(Instance.uuid == Migration.instance_uuid, Instance.key_ids.is_not(None))
    awaits_caller = and_(
        Migration.status == Status.ACCEPTED,
        Migration.final_state == VmState.ACTIVE,
        Migration.assigned_at > seconds_ago(caller_timeout),
        encrypted,
    )
    return _UNFINISHED_AT.where(not_(awaits_caller))


def orphans(session: Session, down_time: float, claim_timeout: float, most: int = 100) -> Sequence[Migration]:
    """Return unfinished records whose destination is silent, forced down or too old, then those it is late with."""
    return session.scalars(_orphans(down_time, claim_timeout), {"most": most}).all()


@cache
def _orphans(down_time: float, claim_timeout: float) -> Select[Migration]:
    lost = or_(
        Service.forced_down,
        services.is_silent(down_time),
        func.coalesce(Service.version, 0) < Migration.min_service_version,
    )
    late = and_(Migration.status == Status.ACCEPTED, Migration.assigned_at < seconds_ago(claim_timeout))
    return (
        select(Migration)
        .join(Service, (Service.host == Migration.dest_compute) & (Service.binary == COMPUTE_BINARY))
        .where(Migration.status.in_(UNFINISHED), or_(lost, late))
        .order_by(case((lost, 0), else_=1), Migration.id)
        .limit(bindparam("most"))
    )


def is_late(session: Session, record: Migration, claim_timeout: float) -> bool:
    """Tell whether a destination was chosen longer ago than ``claim_timeout`` seconds, by the database's clock."""
    late = select(Migration.assigned_at < seconds_ago(claim_timeout)).where(Migration.id == record.id)
    return bool(session.scalar(late))


def is_at_work(session: Session, host: str, claim_timeout: float) -> bool:
    """Tell whether ``host`` has an evacuation in hand, or has brought one back within ``claim_timeout`` seconds.

    One that failed proves nothing: others end them, too, and that of one would keep the next waiting.
    """
    brought_back = Migration.status.in_({Status.DONE, Status.COMPLETED})
    lately = and_(brought_back, Migration.updated_at >= seconds_ago(claim_timeout))
    work = exists().where(Migration.dest_compute == host, or_(Migration.status == Status.PRE_MIGRATING, lately))
    return bool(session.scalar(select(work)))


_DONE_AWAY_FROM = select(Migration).where(
    Migration.status == Status.DONE, Migration.source_compute == bindparam("from_host")
)
_ONE_THAT_INVOLVED = (
    select(Migration.id)
    .where(
        Migration.instance_uuid == bindparam("of_instance"),
        or_(Migration.source_compute == bindparam("its_host"), Migration.dest_compute == bindparam("its_host")),
        # One for which there was no room names the host that was asked for, to which nothing came.
        Migration.status != Status.ERROR,
    )
    .limit(1)
)


def done_away_from(session: Session, source_compute: str) -> Sequence[Migration]:
    """Return the records that are done and wait for ``source_compute`` to clean up."""
    return session.scalars(_DONE_AWAY_FROM, {"from_host": source_compute}).all()


def ownership(session: Session, instance_uuid: str, host: str) -> Ownership | None:
    """Return what is known of the guest of an instance that was found on ``host``; None when no row knows it."""
    instance = instances.find(session, instance_uuid)
    if instance is None:
        return None
    record = by_uuid(session, instance.evacuation_id) if instance.evacuation_id else None
    named = session.scalar(_ONE_THAT_INVOLVED, {"of_instance": instance_uuid, "its_host": host})
    return Ownership(
        host=instance.host,
        deleted=instance.deleted,
        source=record.source_compute if record else None,
        destination=record.dest_compute if record else None,
        was_here=named is not None,
    )

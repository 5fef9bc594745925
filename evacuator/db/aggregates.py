"""Aggregates: groups of hosts. One that has a zone puts its hosts into it."""

from typing import NamedTuple

from oslo_db import exception as db_errors
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from evacuator.db.clock import now
from evacuator.db.models import COMPUTE_BINARY, Aggregate, AggregateHost, Instance, Migration, Service
from evacuator.db.writes import Facts, change, remove
from evacuator.errors import AggregateExists, AggregateNotFound, HostInAggregate
from evacuator.evacuation.transitions import UNFINISHED


class Members(NamedTuple):
    """An aggregate and the hosts in it, by name."""

    aggregate: Aggregate
    hosts: list[str]


def listing(session: Session) -> list[Members]:
    """Return all aggregates in the order in which they were made."""
    found = {
        aggregate.id: Members(aggregate, []) for aggregate in session.scalars(select(Aggregate).order_by(Aggregate.id))
    }
    for member in session.scalars(select(AggregateHost).order_by(AggregateHost.host)):
        if member.aggregate_id in found:
            found[member.aggregate_id].hosts.append(member.host)
    return list(found.values())


def get(session: Session, aggregate_id: int) -> Members:
    """Return an aggregate by its number.

    :raises AggregateNotFound:
    """
    aggregate = session.get(Aggregate, aggregate_id, populate_existing=True)
    if aggregate is None:
        raise AggregateNotFound(aggregate_id=aggregate_id)
    members = select(AggregateHost.host).where(AggregateHost.aggregate_id == aggregate_id).order_by(AggregateHost.host)
    return Members(aggregate, list(session.scalars(members)))


def add(session: Session, aggregate: Aggregate) -> None:
    """Add a new aggregate; from here on it has its number.

    :raises AggregateExists: another one has its name.
    """
    session.add(aggregate)
    try:
        session.flush()
    except db_errors.DBDuplicateEntry as error:
        raise AggregateExists(name=aggregate.name) from error


def edit(session: Session, aggregate_id: int, name: str, values: Facts) -> None:
    """Write to an aggregate.

    :raises AggregateExists: another one has this name.
    """
    try:
        change(session, Aggregate, {"id": aggregate_id}, {**values, "name": name, "updated_at": now()})
    except db_errors.DBDuplicateEntry as error:
        raise AggregateExists(name=name) from error


def delete(session: Session, aggregate_id: int) -> None:
    """Forget an aggregate, which is empty."""
    remove(session, Aggregate, {"id": aggregate_id})


def add_host(session: Session, aggregate_id: int, host: str) -> None:
    """Put a host into an aggregate.

    :raises HostInAggregate: it is there.
    """
    try:
        session.execute(insert(AggregateHost).values(aggregate_id=aggregate_id, host=host))
    except db_errors.DBDuplicateEntry as error:
        raise HostInAggregate(aggregate_id=aggregate_id, host=host) from error


def remove_host(session: Session, aggregate_id: int, host: str) -> bool:
    """Take a host out of an aggregate; False when it is not there."""
    return remove(session, AggregateHost, {"aggregate_id": aggregate_id, "host": host}) == 1


def forget_host(session: Session, host: str) -> None:
    """Take a host out of every aggregate."""
    remove(session, AggregateHost, {"host": host})


def zones_of(session: Session, host: str, besides: int) -> set[str]:
    """Return the zones into which aggregates put a host, all but the aggregate numbered ``besides``."""
    inside = select(AggregateHost.aggregate_id).where(AggregateHost.host == host)
    statement = select(Aggregate.availability_zone).where(Aggregate.id.in_(inside), Aggregate.id != besides)
    return {zone for zone in session.scalars(statement) if zone is not None}


def zone_of(session: Session, host: str) -> str | None:
    """Return the zone that a host is in; None when it has no compute service."""
    return session.scalar(
        select(Service.availability_zone).where(Service.binary == COMPUTE_BINARY, Service.host == host)
    )


def put_into_zone(session: Session, host: str, zone: str) -> None:
    """Write the zone of a host where it is read: on its service."""
    change(session, Service, {"binary": COMPUTE_BINARY, "host": host}, {"availability_zone": zone})


def has_instances(session: Session, host: str) -> bool:
    """Tell whether a host has an instance, or is about to: an evacuation brings one there."""
    here = select(Instance.id).where(Instance.host == host, Instance.deleted.is_(False))
    arriving = select(Migration.id).where(Migration.dest_compute == host, Migration.status.in_(UNFINISHED))
    return any(session.scalar(statement.limit(1)) is not None for statement in (here, arriving))


def is_zone(session: Session, zone: str) -> bool:
    """Tell whether a host that may be used is in a zone of this name."""
    statement = select(Service.id).where(
        Service.binary == COMPUTE_BINARY, Service.availability_zone == zone, Service.disabled.is_(False)
    )
    return session.scalar(statement.limit(1)) is not None

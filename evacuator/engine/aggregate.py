"""What operators say of groups of hosts."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import uuid4

from evacuator.db import aggregates, nodes
from evacuator.db.aggregates import Members
from evacuator.db.models import DEFAULT_ZONE, Aggregate
from evacuator.db.session import Transaction
from evacuator.engine.engine import Engine
from evacuator.errors import (
    AggregateNotEmpty,
    ComputeHostNotFound,
    HostNotInAggregate,
    HostsInOtherZones,
    ZoneHasInstances,
)

#: What is to be metadata, and is the zone.
ZONE_KEY = "availability_zone"


def create_aggregate(engine: Engine, name: str, zone: str | None) -> Members:
    """Make an aggregate.

    :raises AggregateExists:
    """

    def work(transaction: Transaction) -> Members:
        aggregate = Aggregate(uuid=str(uuid4()), name=name, availability_zone=zone, aggregate_metadata={})
        aggregates.add(transaction, aggregate)
        return aggregates.get(transaction, aggregate.id)

    return engine.database.write(work)


def change_aggregate(engine: Engine, aggregate_id: int, values: Mapping[str, Any]) -> Members:
    """Change the ``name`` or the ``availability_zone`` of an aggregate.

    :raises AggregateNotFound, AggregateExists, HostsInOtherZones, ZoneHasInstances:
    """

    def edit(transaction: Transaction, found: Members) -> None:
        aggregate, zone = found.aggregate, _enter(transaction, found, values)
        written = {"availability_zone": zone}
        aggregates.edit(transaction, aggregate.id, values.get("name", aggregate.name), written)

    return _with(engine, aggregate_id, edit)


def set_aggregate_metadata(engine: Engine, aggregate_id: int, metadata: Mapping[str, str | None]) -> Members:
    """Set some of the metadata of an aggregate; null removes. ``availability_zone`` among it is the zone.

    :raises AggregateNotFound, HostsInOtherZones, ZoneHasInstances:
    """

    def edit(transaction: Transaction, found: Members) -> None:
        aggregate, zone = found.aggregate, _enter(transaction, found, metadata)
        merged: dict[str, str | None] = {**aggregate.aggregate_metadata, **metadata}
        kept = {key: value for key, value in merged.items() if value is not None and key != ZONE_KEY}
        written = {"aggregate_metadata": kept, "availability_zone": zone}
        aggregates.edit(transaction, aggregate.id, aggregate.name, written)

    return _with(engine, aggregate_id, edit)


def delete_aggregate(engine: Engine, aggregate_id: int) -> None:
    """Forget an aggregate.

    :raises AggregateNotFound:
    :raises AggregateNotEmpty: it has hosts.
    """

    def work(transaction: Transaction) -> None:
        if aggregates.get(transaction, aggregate_id).hosts:
            raise AggregateNotEmpty(aggregate_id=aggregate_id)
        aggregates.delete(transaction, aggregate_id)

    engine.database.write(work)


def add_host(engine: Engine, aggregate_id: int, host: str) -> Members:
    """Put a host into an aggregate, and into its zone if it has one.

    :raises AggregateNotFound, ComputeHostNotFound, HostInAggregate, HostsInOtherZones:
    """

    def edit(transaction: Transaction, found: Members) -> None:
        if nodes.of_host(transaction, host) is None:
            raise ComputeHostNotFound(host=host)
        aggregates.add_host(transaction, aggregate_id, host)
        if found.aggregate.availability_zone is not None:
            _move(transaction, aggregate_id, [host], found.aggregate.availability_zone, "add host to")

    return _with(engine, aggregate_id, edit)


def remove_host(engine: Engine, aggregate_id: int, host: str) -> Members:
    """Take a host out of an aggregate, and out of its zone.

    :raises AggregateNotFound, HostNotInAggregate, ZoneHasInstances:
    """

    def edit(transaction: Transaction, found: Members) -> None:
        if not aggregates.remove_host(transaction, aggregate_id, host):
            raise HostNotInAggregate(aggregate_id=aggregate_id, host=host)
        if found.aggregate.availability_zone is not None:
            _move(transaction, aggregate_id, [host], None, "remove host from")

    return _with(engine, aggregate_id, edit)


def _with(engine: Engine, aggregate_id: int, edit: Callable[[Transaction, Members], None]) -> Members:
    def work(transaction: Transaction) -> Members:
        edit(transaction, aggregates.get(transaction, aggregate_id))
        return aggregates.get(transaction, aggregate_id)

    return engine.database.write(work)


def _enter(transaction: Transaction, found: Members, values: Mapping[str, str | None]) -> str | None:
    """Return the zone that an aggregate is in by ``values``, once its hosts are in it too."""
    zone = values.get(ZONE_KEY, found.aggregate.availability_zone)
    if zone != found.aggregate.availability_zone:
        _move(transaction, found.aggregate.id, found.hosts, zone, "update")
    return zone


def _move(transaction: Transaction, aggregate_id: int, hosts: Sequence[str], zone: str | None, action: str) -> None:
    """Put hosts of an aggregate into ``zone``, or with None into the one that they have without this aggregate.

    A host is in one zone, and one with instances stays in it, since they may have asked for it.
    """
    elsewhere = {host: aggregates.zones_of(transaction, host, besides=aggregate_id) for host in hosts}
    others = {other for zones in elsewhere.values() for other in zones} - {zone}
    if zone is not None and others:
        raise HostsInOtherZones(action=action, aggregate_id=aggregate_id, zones=", ".join(sorted(others)))
    for host, zones in elsewhere.items():
        target = zone or next(iter(zones), DEFAULT_ZONE)
        if aggregates.zone_of(transaction, host) == target:
            continue
        if aggregates.has_instances(transaction, host):
            raise ZoneHasInstances(action=action, aggregate_id=aggregate_id)
        aggregates.put_into_zone(transaction, host, target)

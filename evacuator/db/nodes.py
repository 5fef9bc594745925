"""Compute nodes and the claims on them."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, SQLColumnExpression, bindparam, exists, func, select, true, update
from sqlalchemy.orm import Session, aliased

from evacuator.db import services
from evacuator.db.clock import now
from evacuator.db.models import COMPUTE_BINARY, Allocation, ComputeNode, Instance, Migration, Service
from evacuator.db.writes import Facts, add, change, count, remove, table_of
from evacuator.evacuation.destination import Candidate, Room
from evacuator.evacuation.transitions import Status

#: How many hosts a choice of destination reads at first.
PAGE = 10


def room_of(instance: Instance) -> Room:
    """Return what an instance takes of a host."""
    return Room(instance.vcpus, instance.memory_mb, instance.disk_gb)


def of_host(session: Session, host: str) -> ComputeNode | None:
    """Return the node of ``host``."""
    return session.scalars(select(ComputeNode).where(ComputeNode.host == host)).one_or_none()


def named(session: Session, host: str | None, hypervisor: str | None) -> ComputeNode | None:
    """Return the node of ``host``, or the first whose hypervisor calls itself so; where both are given, both hold."""
    facts = {ComputeNode.host: host, ComputeNode.hypervisor_hostname: hypervisor}
    wanted = (column == name for column, name in facts.items() if name is not None)
    return session.scalars(select(ComputeNode).where(*wanted).order_by(ComputeNode.id).limit(1)).first()


def share_storage(one: SQLColumnExpression[str], other: SQLColumnExpression[str]) -> ColumnElement[bool]:
    """Whether two hosts publish the same storage."""
    this, that = aliased(ComputeNode), aliased(ComputeNode)
    return exists().where(this.host == one, that.host == other, this.storage_id == that.storage_id)


def register(session: Session, host: str, uuid: str, facts: Facts) -> None:
    """Record what the hypervisor of ``host`` is and has; what is claimed of it stays."""
    if not change(session, ComputeNode, {"host": host}, {**facts, "updated_at": now()}):
        add(session, ComputeNode, {"host": host, "uuid": uuid, **facts})


def candidates(
    session: Session, down_time: float, instance_uuid: str, room: Room, requested: str | None = None
) -> Iterator[list[Candidate]]:
    """Yield hosts for an instance page by page, most free memory first, until none has it; or the one requested.

    The pages keep a choice among thousands of hosts as cheap as among ten; each is larger than the one before it, so
    that there are few even where nothing fits.
    """
    named = requested is not None
    wanted = {"for_instance": instance_uuid, "named" if named else "least_memory": requested or room.memory_mb}
    offset, limit = 0, PAGE
    while True:
        rows = session.execute(_candidates(down_time, named=named), wanted | {"from_row": offset, "most": limit}).all()
        if rows:
            yield [
                Candidate(
                    host,
                    bool(up),
                    bool(disabled),
                    version,
                    Room(vcpus, memory_mb, disk_gb),
                    claims,
                    bool(holds_copy),
                    zone,
                )
                for host, up, disabled, version, vcpus, memory_mb, disk_gb, claims, holds_copy, zone in rows
            ]
        if len(rows) < limit:
            return
        offset, limit = offset + limit, limit * 4


@cache
def _candidates(down_time: float, *, named: bool) -> Select[*tuple[Any, ...]]:
    uncleaned = select(Migration.source_compute).where(
        Migration.instance_uuid == bindparam("for_instance"), Migration.status == Status.DONE
    )
    return (
        select(
            ComputeNode.host,
            services.is_up(down_time),
            func.coalesce(Service.disabled, true()),
            func.coalesce(Service.version, 0),
            ComputeNode.vcpus - ComputeNode.vcpus_used,
            ComputeNode.memory_mb - ComputeNode.memory_mb_used,
            ComputeNode.local_gb - ComputeNode.local_gb_used,
            ComputeNode.claims,
            ComputeNode.host.in_(uncleaned),
            func.coalesce(Service.availability_zone, ""),
        )
        # Outer, although each node has a service: databases then begin at the nodes, by the index in the order below.
        .outerjoin(Service, (Service.host == ComputeNode.host) & (Service.binary == COMPUTE_BINARY))
        .where(
            ComputeNode.host == bindparam("named") if named else ComputeNode.free_memory_mb >= bindparam("least_memory")
        )
        # Both the same way, so that the index is read backwards and nothing is sorted.
        .order_by(ComputeNode.free_memory_mb.desc(), ComputeNode.id.desc())
        .offset(bindparam("from_row"))
        .limit(bindparam("most"))
    )


_NODES = table_of(ComputeNode)
_NODE = _NODES.c

_CLAIM = (
    update(_NODES)
    .where(
        _NODE.host == bindparam("on_host"),
        _NODE.vcpus_used + bindparam("more_vcpus") <= _NODE.vcpus,
        _NODE.memory_mb_used + bindparam("more_memory_mb") <= _NODE.memory_mb,
        _NODE.local_gb_used + bindparam("more_disk_gb") <= _NODE.local_gb,
    )
    .values(
        vcpus_used=_NODE.vcpus_used + bindparam("more_vcpus"),
        memory_mb_used=_NODE.memory_mb_used + bindparam("more_memory_mb"),
        local_gb_used=_NODE.local_gb_used + bindparam("more_disk_gb"),
        claims=_NODE.claims + 1,
    )
)


def claim(session: Session, host: str, instance_uuid: str, room: Room) -> bool:
    """Claim room for an instance on ``host``; False when there is not enough, decided by the write itself.

    The host's row comes last, since whoever writes to it makes all others wait for the end of their transaction.
    """
    claim_id = book(session, host, instance_uuid, room)
    if take(session, host, room):
        return True
    remove(session, Allocation, {"id": claim_id})
    return False


def book(session: Session, host: str, instance_uuid: str, room: Room) -> int:
    """Write down whose the room is that ``take`` is about to take, and return the number of the claim."""
    return add(session, Allocation, {"instance_uuid": instance_uuid, "host": host, **vars(room)})


def take(session: Session, host: str, room: Room) -> bool:
    """Count a claim among those of its host; False, and nothing changes, when there is not enough room for it."""
    takes = {f"more_{what}": amount for what, amount in vars(room).items()}
    return count(session, _CLAIM, {"on_host": host, **takes}) == 1


_RELEASE = (
    update(_NODES)
    .where(_NODE.host == bindparam("on_host"))
    .values(
        vcpus_used=_NODE.vcpus_used - bindparam("less_vcpus"),
        memory_mb_used=_NODE.memory_mb_used - bindparam("less_memory_mb"),
        local_gb_used=_NODE.local_gb_used - bindparam("less_disk_gb"),
        claims=_NODE.claims - 1,
    )
)


def release(session: Session, host: str | None, instance_uuid: str) -> bool:
    """Give back what an instance claims of ``host``; False, and nothing changes, when it claims nothing there."""
    if host is None:
        return False
    claimed = session.scalars(
        select(Allocation).where(Allocation.instance_uuid == instance_uuid, Allocation.host == host)
    ).one_or_none()
    if claimed is None or not remove(session, Allocation, {"id": claimed.id}):
        return False
    less = {"less_vcpus": claimed.vcpus, "less_memory_mb": claimed.memory_mb, "less_disk_gb": claimed.disk_gb}
    count(session, _RELEASE, {"on_host": host, **less})
    return True


def holders(session: Session, instance_uuid: str) -> list[str]:
    """Return the hosts on which an instance has a claim."""
    return list(session.scalars(select(Allocation.host).where(Allocation.instance_uuid == instance_uuid)))


def delete(session: Session, host: str) -> bool:
    """Forget the node of ``host``; False, and nothing changes, while anything is claimed of it."""
    # The condition is on the row that every claim writes to, so that none can be made meanwhile.
    return remove(session, ComputeNode, {"host": host, "claims": 0}) == 1 or of_host(session, host) is None

"""Compute nodes and the claims on them."""

from collections.abc import Iterator

from sqlalchemy import ColumnElement, SQLColumnExpression, exists, func, insert, select
from sqlalchemy.orm import Session, aliased

from evacuator.db import services
from evacuator.db.clock import now
from evacuator.db.models import COMPUTE_BINARY, Allocation, ComputeNode, Instance, Migration, Service
from evacuator.db.writes import Facts, change, remove
from evacuator.evacuation.destination import Candidate, Room
from evacuator.evacuation.transitions import Status

#: How many hosts a choice of destination reads at once.
PAGE = 50


def room_of(instance: Instance) -> Room:
    """Return what an instance takes of a host."""
    return Room(instance.vcpus, instance.memory_mb, instance.disk_gb)


def of_host(session: Session, host: str) -> ComputeNode | None:
    """Return the node of ``host``."""
    return session.scalars(select(ComputeNode).where(ComputeNode.host == host)).one_or_none()


def share_storage(one: SQLColumnExpression[str], other: str) -> ColumnElement[bool]:
    """Whether two hosts publish the same storage."""
    this, that = aliased(ComputeNode), aliased(ComputeNode)
    return exists().where(this.host == one, that.host == other, this.storage_id == that.storage_id)


def register(session: Session, host: str, uuid: str, facts: Facts) -> None:
    """Record what the hypervisor of ``host`` is and has; what is claimed of it stays."""
    if not change(session, ComputeNode, {"host": host}, {**facts, "updated_at": now()}):
        session.execute(insert(ComputeNode).values(host=host, uuid=uuid, **facts))


def candidates(
    session: Session, down_time: float, instance_uuid: str, room: Room, requested: str | None = None
) -> Iterator[list[Candidate]]:
    """Yield hosts for an instance page by page, most free memory first, until none has it; or the one requested.

    The pages keep a choice among thousands of hosts as cheap as among ten.
    """
    uncleaned = select(Migration.source_compute).where(
        Migration.instance_uuid == instance_uuid, Migration.status == Status.DONE
    )
    statement = (
        select(
            ComputeNode.host,
            services.is_up(down_time),
            Service.disabled,
            func.coalesce(Service.version, 0),
            ComputeNode.vcpus - ComputeNode.vcpus_used,
            ComputeNode.memory_mb - ComputeNode.memory_mb_used,
            ComputeNode.local_gb - ComputeNode.local_gb_used,
            ComputeNode.claims,
            ComputeNode.host.in_(uncleaned),
        )
        .join(Service, (Service.host == ComputeNode.host) & (Service.binary == COMPUTE_BINARY))
        .order_by(ComputeNode.free_memory_mb.desc(), ComputeNode.id)
        .limit(PAGE)
    )
    if requested is not None:
        statement = statement.where(ComputeNode.host == requested)
    else:
        statement = statement.where(ComputeNode.free_memory_mb >= room.memory_mb)
    for page in range(1_000_000):
        rows = session.execute(statement.offset(page * PAGE)).all()
        if rows:
            yield [
                Candidate(host, bool(up), disabled, version, Room(vcpus, memory_mb, disk_gb), claims, bool(holds_copy))
                for host, up, disabled, version, vcpus, memory_mb, disk_gb, claims, holds_copy in rows
            ]
        if len(rows) < PAGE:
            return


def claim(session: Session, host: str, instance_uuid: str, room: Room) -> bool:
    """Claim room for an instance on ``host``; False when there is not enough, decided by the write itself."""
    taken = change(
        session,
        ComputeNode,
        {"host": host},
        {
            "vcpus_used": ComputeNode.vcpus_used + room.vcpus,
            "memory_mb_used": ComputeNode.memory_mb_used + room.memory_mb,
            "local_gb_used": ComputeNode.local_gb_used + room.disk_gb,
            "claims": ComputeNode.claims + 1,
        },
        ComputeNode.vcpus_used + room.vcpus <= ComputeNode.vcpus,
        ComputeNode.memory_mb_used + room.memory_mb <= ComputeNode.memory_mb,
        ComputeNode.local_gb_used + room.disk_gb <= ComputeNode.local_gb,
    )
    if taken:
        session.execute(
            insert(Allocation).values(
                instance_uuid=instance_uuid,
                host=host,
                vcpus=room.vcpus,
                memory_mb=room.memory_mb,
                disk_gb=room.disk_gb,
            )
        )
    return taken == 1


def release(session: Session, host: str | None, instance_uuid: str) -> bool:
    """Give back what an instance claims of ``host``; False, and nothing changes, when it claims nothing there."""
    if host is None:
        return False
    claimed = session.scalars(
        select(Allocation).where(Allocation.instance_uuid == instance_uuid, Allocation.host == host)
    ).one_or_none()
    if claimed is None or not remove(session, Allocation, {"id": claimed.id}):
        return False
    change(
        session,
        ComputeNode,
        {"host": host},
        {
            "vcpus_used": ComputeNode.vcpus_used - claimed.vcpus,
            "memory_mb_used": ComputeNode.memory_mb_used - claimed.memory_mb,
            "local_gb_used": ComputeNode.local_gb_used - claimed.disk_gb,
            "claims": ComputeNode.claims - 1,
        },
    )
    return True


def holders(session: Session, instance_uuid: str) -> list[str]:
    """Return the hosts on which an instance has a claim."""
    return list(session.scalars(select(Allocation.host).where(Allocation.instance_uuid == instance_uuid)))


def delete(session: Session, host: str) -> None:
    """Forget the node of ``host``."""
    remove(session, ComputeNode, {"host": host})

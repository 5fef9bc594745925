"""What a host may still have of an instance that was taken from it, and whether that is in use by now."""

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.orm import Session

from evacuator.db import instances, migrations, nodes
from evacuator.db.models import COMPUTE_BINARY, ComputeNode, Migration, Service
from evacuator.evacuation.transitions import Status


def may_be_anothers(session: Session, record: Migration, host: str) -> bool:
    """Tell whether the disk that an evacuation made on ``host`` may be the one that the instance uses by now.

    That is so once a later evacuation involved a host of the same storage, or this one was given to such a host: that
    may have taken the disk for its own, or made another in its place.
    """
    node = nodes.of_host(session, host)
    if node is None:  # deleted with its service, and with it what is known of its storage
        return True
    sharing = select(ComputeNode.host).where(ComputeNode.storage_id == node.storage_id)
    source, destination = Migration.source_compute, Migration.dest_compute
    later = and_(Migration.id > record.id, or_(_involves(host), source.in_(sharing), destination.in_(sharing)))
    given_on = and_(Migration.id == record.id, destination != host, destination.in_(sharing))
    used = exists().where(
        Migration.instance_uuid == record.instance_uuid, Migration.status != Status.ERROR, or_(later, given_on)
    )
    return bool(session.scalar(select(used)))


def was_seen_gone(session: Session, instance_uuid: str, host: str) -> bool:
    """Tell whether the last evacuation with a part for ``host`` was away from it and ended with its guest seen gone.

    Nobody looks when the service of a host is deleted: what was completed before the one that there is registered
    proves nothing.
    """
    registered = select(Service.created_at).where(Service.host == host, Service.binary == COMPUTE_BINARY)
    gone = and_(
        Migration.status == Status.COMPLETED,
        Migration.source_compute == host,
        Migration.updated_at > registered.scalar_subquery(),
    )
    last = select(gone).where(Migration.instance_uuid == instance_uuid, _involves(host)).order_by(Migration.id.desc())
    return bool(session.scalar(last.limit(1)))


def keeps_disk_in_use(session: Session, record: Migration) -> bool:
    """Tell whether the source of a record publishes the storage that the instance has its disk on by now.

    That is the one of the host that it is on, or that it is being brought to.
    """
    instance, source = instances.find(session, record.instance_uuid), nodes.of_host(session, record.source_compute)
    if instance is None or instance.deleted or source is None:
        return False
    arriving = migrations.by_uuid(session, instance.evacuation_id) if instance.evacuation_id else None
    hosts = [host for host in (instance.host, arriving.dest_compute if arriving else None) if host]
    used = select(ComputeNode.storage_id).where(ComputeNode.host.in_(hosts))
    return source.storage_id in set(session.scalars(used))


def _involves(host: str) -> ColumnElement[bool]:
    # One for which there was no room names the host that was asked for, to which nothing came.
    named = or_(Migration.source_compute == host, Migration.dest_compute == host)
    return and_(named, Migration.status != Status.ERROR)

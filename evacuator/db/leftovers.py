"""What a host may still have of an instance that was taken from it, and whether that is in use by now."""

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from evacuator.db import instances, migrations, nodes
from evacuator.db.models import ComputeNode, Migration


def was_named_since(session: Session, record: Migration, host: str) -> bool:
    """Tell whether a later evacuation of the same instance was to, or from, ``host``."""
    names = or_(Migration.source_compute == host, Migration.dest_compute == host)
    later = exists().where(Migration.instance_uuid == record.instance_uuid, Migration.id > record.id, names)
    return bool(session.scalar(select(later)))


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

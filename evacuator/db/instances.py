"""Instances."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Select, bindparam, not_, select
from sqlalchemy.orm import Session, load_only

from evacuator.db import services
from evacuator.db.clock import now
from evacuator.db.models import ComputeNode, Instance
from evacuator.db.writes import Facts, change_one
from evacuator.errors import InstanceNotFound


def get(session: Session, uuid: str, project_id: str | None = None) -> Instance:
    """Return an instance that is not deleted; only one of ``project_id`` where that is given.

    :raises InstanceNotFound:
    """
    instance = find(session, uuid)
    if instance is None or instance.deleted or project_id not in (None, instance.project_id):
        raise InstanceNotFound(uuid=uuid)
    return instance


#: What of an instance decides whether and where it is evacuated, and what its destination is told of it.
DECISIVE = (
    Instance.uuid,
    Instance.project_id,
    Instance.user_id,
    Instance.vcpus,
    Instance.memory_mb,
    Instance.disk_gb,
    Instance.availability_zone,
    Instance.host,
    Instance.vm_state,
    Instance.power_state,
    Instance.evacuation_id,
    Instance.state_before_failure,
    Instance.task_state,
    Instance.launched_at,
    Instance.deleted,
)


def get_and_whether_some_older(
    session: Session, uuid: str, version: int, project_id: str | None = None
) -> tuple[Instance, bool]:
    """Return what is ``DECISIVE`` of an instance, and whether any compute service is older than ``version``.

    :raises InstanceNotFound:
    """
    row = session.execute(_get_and_whether_some_older(version), {"its_uuid": uuid}).one_or_none()
    if row is None or row[0].deleted or project_id not in (None, row[0].project_id):
        raise InstanceNotFound(uuid=uuid)
    return row[0], bool(row[1])


@cache
def _get_and_whether_some_older(version: int) -> "Select[Instance, bool]":
    return (
        select(Instance, services.some_older_than(version))
        .options(load_only(*DECISIVE, raiseload=True))
        .where(Instance.uuid == bindparam("its_uuid"))
    )


_FIND = select(Instance).where(Instance.uuid == bindparam("its_uuid"))


def find(session: Session, uuid: str) -> Instance | None:
    """Return an instance, deleted or not."""
    return session.scalars(_FIND, {"its_uuid": uuid}).one_or_none()


def columns(session: Session, uuid: str) -> Mapping[str, Any]:
    """Return what an instance is in this transaction, its own writes included; what was read of it stays as it was.

    Its ``node`` is what its host's hypervisor calls itself.
    """
    node = select(ComputeNode.hypervisor_hostname).where(ComputeNode.host == Instance.host).scalar_subquery()
    statement = select(Instance.__table__, node.label("node")).where(Instance.uuid == uuid)
    return dict(session.execute(statement).mappings().one())


def insert(session: Session, instance: Instance) -> None:
    """Add a new instance; from here on it has its number."""
    session.add(instance)
    session.flush()


def change(session: Session, uuid: str, where: Facts, values: Facts) -> None:
    """Write to an instance that is not deleted and for which ``where`` still holds.

    :raises Overtaken: it is not so any more.
    """
    change_one(session, Instance, {"uuid": uuid, "deleted": False, **where}, {**values, "updated_at": now()})


_HERE = Instance.host == bindparam("its_host"), not_(Instance.deleted)
_ON_HOST = select(Instance).where(*_HERE)
_WITH_ORDERS = _ON_HOST.where(Instance.order_id.is_not(None))
_SETTLED_ON = select(Instance.uuid).where(*_HERE, Instance.evacuation_id.is_(None))


def with_orders(session: Session, host: str) -> Sequence[Instance]:
    """Return the instances whose order ``host`` still has to carry out."""
    return session.scalars(_WITH_ORDERS, {"its_host": host}).all()


def on_host(session: Session, host: str) -> Sequence[Instance]:
    """Return the instances that ``host`` is allowed to run."""
    return session.scalars(_ON_HOST, {"its_host": host}).all()


def settled_on(session: Session, host: str) -> frozenset[str]:
    """Return the uuids of the instances that ``host`` is allowed to run and that no evacuation holds."""
    return frozenset(session.scalars(_SETTLED_ON, {"its_host": host}))

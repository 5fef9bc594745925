"""What is written when guests that exist already come under management, and when they are given back."""

from sqlalchemy import and_, delete, exists, or_, select

from evacuator.db.clock import now
from evacuator.db.models import (
    COMPUTE_BINARY,
    Allocation,
    Instance,
    InstanceAction,
    InstanceActionEvent,
    Migration,
    Service,
)
from evacuator.db.nodes import holders, release
from evacuator.db.session import Transaction
from evacuator.db.writes import change_one, count, remove
from evacuator.evacuation.transitions import Status


def hosts_with_copies(transaction: Transaction, uuid: str) -> list[str]:
    """Return the hosts that an instance was evacuated from and that have not been back to clean up.

    An evacuation that failed is not waited for by its record, but its source, where that is not the instance's host
    any more, has to clean like any other before it is up.
    """
    dirty = exists().where(
        Service.host == Migration.source_compute,
        Service.binary == COMPUTE_BINARY,
        Service.cleaned_epoch != Service.epoch,
    )
    left_by_failure = and_(Migration.status == Status.FAILED, Migration.source_compute != Instance.host, dirty)
    uncleaned = (
        select(Migration.source_compute)
        .join(Instance, Instance.uuid == Migration.instance_uuid)
        .where(Instance.uuid == uuid, or_(Migration.status == Status.DONE, left_by_failure))
    )
    return sorted(set(transaction.scalars(uncleaned)))


def forget(transaction: Transaction, uuid: str, host: str) -> None:
    """Remove every trace of an instance of ``host`` with which nothing is being done.

    A row that is marked deleted would have its host remove the guest with its disks; one that is not there has it
    leave the guest alone.

    :raises Overtaken: it is not so any more.
    """
    idle = {"uuid": uuid, "host": host, "deleted": False, "evacuation_id": None, "task_state": None}
    # One lock order everywhere: the instance's row before its host's.
    change_one(transaction, Instance, idle, {"updated_at": now()})
    for holder in holders(transaction, uuid):
        release(transaction, holder, uuid)
    ours = select(InstanceAction.id).where(InstanceAction.instance_uuid == uuid)
    count(transaction, delete(InstanceActionEvent).where(InstanceActionEvent.action_id.in_(ours)))
    for model in (InstanceAction, Migration, Allocation):
        remove(transaction, model, {"instance_uuid": uuid})
    remove(transaction, Instance, {"uuid": uuid})

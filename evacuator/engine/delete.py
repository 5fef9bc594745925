"""Delete an instance: at once where its host is down, else by its host."""

from collections.abc import Mapping

from evacuator.context import RequestContext
from evacuator.db import actions, instances, migrations, nodes, services
from evacuator.db.clock import now
from evacuator.db.models import Instance
from evacuator.db.session import Transaction
from evacuator.engine.announce import announce
from evacuator.engine.engine import Engine
from evacuator.engine.power import check_lock, host_is_up
from evacuator.engine.record import REBUILD_EVENT, give_back_unowned, move
from evacuator.errors import InstanceChanged, Overtaken
from evacuator.evacuation import events
from evacuator.evacuation.states import PowerState, TaskState, VmState
from evacuator.evacuation.transitions import UNFINISHED, Step


def delete_instance(
    engine: Engine, context: RequestContext, uuid: str, project_id: str | None, *, override_lock: bool
) -> None:
    """Delete an instance. An unfinished evacuation of it ends in the same transaction.

    Its host removes the guest with its disks; where that host is down the instance is gone at once, and the host
    removes what it has of it before it can report up again.

    :raises InstanceLocked, InstanceNotFound:
    :raises RequestTooOld: this process was frozen over it; nothing is written.
    """

    def work(transaction: Transaction) -> None:
        instance = instances.get(transaction, uuid, project_id)
        up = host_is_up(engine, transaction, instance.host)
        if up and instance.task_state == TaskState.DELETING and instance.evacuation_id is None:
            return  # its host is about to
        engine.still_wanted(context)
        check_lock(instance, override_lock=override_lock)
        actions.start(transaction, context, uuid, "delete")
        end_evacuation(engine, transaction, instance, "the instance was deleted", keeps=instance.host)
        as_read = {"host": instance.host, "evacuation_id": instance.evacuation_id}
        if not up:
            # One lock order everywhere: the instance's row before its host's.
            instances.change(transaction, uuid, as_read, {})
            services.must_clean(transaction, instance.host)
            bury(transaction, instance, as_read)
            actions.finish(transaction, uuid, context.request_id)
            return
        host, order_id = str(instance.host), context.request_id
        ordered = {"task_state": TaskState.DELETING, "order_id": order_id, "evacuation_id": None}
        instances.change(transaction, uuid, as_read, ordered)
        transaction.on_commit(lambda: engine.casts.carry_out_order(context, host, uuid, order_id))

    try:
        engine.database.write(work)
    except Overtaken as overtaken:
        raise InstanceChanged(uuid=uuid) from overtaken


def end_evacuation(
    engine: Engine, transaction: Transaction, instance: Instance, why: str, *, keeps: str | None
) -> None:
    """End the unfinished evacuation of an instance, if it has one, from outside: its destination loses its next write.

    The claim on the host that does not keep the instance is given back. The caller clears ``evacuation_id``.
    """
    record = migrations.by_uuid(transaction, instance.evacuation_id) if instance.evacuation_id else None
    if record is None or record.status not in UNFINISHED:
        return
    # One lock order everywhere: the instance's row before the record's.
    instances.change(transaction, instance.uuid, {"evacuation_id": record.uuid, "host": instance.host}, {})
    move(transaction, record, Step.FAIL, why, reason=why)
    give_back_unowned(transaction, instance.uuid, record, keeps)
    actions.finish_event(transaction, instance.uuid, record.request_id, REBUILD_EVENT, actions.ERROR, why)
    announce(engine, transaction, events.REBUILD_ERROR, record, host=record.dest_compute, reason=why)


def bury(transaction: Transaction, instance: Instance, as_read: Mapping[str, object]) -> None:
    """Mark an instance deleted and give back all that it claims.

    :raises Overtaken: it is not ``as_read`` any more.
    """
    instances.change(
        transaction,
        instance.uuid,
        as_read,
        {
            "deleted": True,
            "vm_state": VmState.DELETED,
            "task_state": None,
            "power_state": PowerState.NOSTATE,
            "evacuation_id": None,
            "order_id": None,
            "terminated_at": now(),
        },
    )
    for host in nodes.holders(transaction, instance.uuid):
        nodes.release(transaction, host, instance.uuid)


def bury_destroyed(engine: Engine, host: str, uuid: str, order_id: str) -> None:
    """Record that ``host`` has removed the guest and its disks, as the delete order asked.

    :raises Overtaken: the order was not current any more.
    """

    def work(transaction: Transaction) -> None:
        instance = instances.get(transaction, uuid)
        bury(transaction, instance, {"host": host, "evacuation_id": None, "order_id": order_id})
        actions.finish_event(transaction, uuid, order_id, "compute_terminate_instance", actions.SUCCESS)

    engine.database.write(work)

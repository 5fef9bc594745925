"""Power orders: start, stop and reboot, from the request to what the host made of it.

An order is a row, not a message: ``order_id`` on the instance says which request its host still has to carry out. An
evacuation clears it, so that nothing that was ordered before can power a guest on after.
"""

from dataclasses import dataclass
from typing import Any

from evacuator.context import RequestContext
from evacuator.db import actions, instances, migrations, services
from evacuator.db.models import Instance
from evacuator.db.session import Transaction
from evacuator.engine.engine import Engine
from evacuator.engine.keys import fetch_keys, needs_keys
from evacuator.engine.once import Once
from evacuator.engine.record import in_progress
from evacuator.errors import (
    HostIsDown,
    InstanceChanged,
    InstanceInvalidState,
    InstanceLocked,
    Overtaken,
)
from evacuator.evacuation.states import TaskState, VmState


@dataclass(frozen=True)
class PowerOrder:
    """What an order is called, from which states it starts, and what clients see while it is carried out.

    ``ends_failure``: it is also accepted from the ERROR that a failed evacuation left, and ends that. ``starts``: the
    guest may have to be started for it, so that whoever gives it must be allowed to read the keys of its disks.
    """

    action: str
    vm_states: frozenset[str]
    task_state: TaskState
    ends_failure: bool = False
    starts: bool = False


START = PowerOrder("start", frozenset({VmState.STOPPED}), TaskState.POWERING_ON, ends_failure=True, starts=True)
STOP = PowerOrder("stop", frozenset({VmState.ACTIVE}), TaskState.POWERING_OFF, ends_failure=True)
REBOOT = PowerOrder("reboot", frozenset({VmState.ACTIVE}), TaskState.REBOOTING, starts=True)
HARD_REBOOT = PowerOrder("reboot", frozenset({VmState.ACTIVE, VmState.STOPPED}), TaskState.REBOOTING_HARD, starts=True)


def start_instance(
    engine: Engine, context: RequestContext, uuid: str, project_id: str | None, *, override_lock: bool
) -> None:
    """Order the host to start the instance.

    :raises HostIsDown: nobody would hear it; nothing is written.
    :raises KeyUnavailable: the caller does not get the keys of its encrypted disks; nothing is written.
    :raises RequestTooOld: this process was frozen over it; nothing is written.
    :raises EvacuationInProgress, InstanceInvalidState, InstanceLocked, InstanceNotFound:
    """
    _order(engine, context, uuid, project_id, START, override_lock=override_lock)


def stop_instance(
    engine: Engine, context: RequestContext, uuid: str, project_id: str | None, *, override_lock: bool
) -> None:
    """Order the host to stop the instance; refused as :func:`start_instance` is."""
    _order(engine, context, uuid, project_id, STOP, override_lock=override_lock)


def reboot_instance(
    engine: Engine, context: RequestContext, uuid: str, project_id: str | None, *, override_lock: bool, hard: bool
) -> None:
    """Order the host to restart the instance; refused as :func:`start_instance` is."""
    _order(engine, context, uuid, project_id, HARD_REBOOT if hard else REBOOT, override_lock=override_lock)


def check_lock(instance: Instance, *, override_lock: bool) -> None:
    """Refuse to touch a locked instance.

    :raises InstanceLocked:
    """
    if instance.locked and not override_lock:
        raise InstanceLocked(uuid=instance.uuid)


def check_not_evacuating(session: Any, instance: Instance, action: str) -> None:
    """Refuse while an unfinished evacuation holds the instance.

    :raises EvacuationInProgress:
    """
    record = migrations.by_uuid(session, instance.evacuation_id) if instance.evacuation_id else None
    if record is not None:
        raise in_progress(record, action)


def host_is_up(engine: Engine, session: Any, host: str | None) -> bool:
    """Tell whether a host would hear an order."""
    heard = services.of_host(session, host, engine.rules.service_down_time) if host else None
    return heard is not None and heard.up


def _order(
    engine: Engine,
    context: RequestContext,
    uuid: str,
    project_id: str | None,
    order: PowerOrder,
    *,
    override_lock: bool,
) -> None:
    once = Once(engine, context, uuid)

    def check(session: Any, instance: Instance) -> None:
        check_lock(instance, override_lock=override_lock)
        check_not_evacuating(session, instance, order.action)
        _check_states(instance, order)
        if not host_is_up(engine, session, instance.host):
            raise HostIsDown(action=order.action, uuid=uuid, host=instance.host)

    def look(session: Any) -> Instance:
        instance = instances.get(session, uuid, project_id)
        if needs_keys(engine, instance):
            check(session, instance)
        return instance

    def work(transaction: Transaction) -> None:
        instance = instances.get(transaction, uuid, project_id)
        if once.is_done(transaction):
            wake(transaction, instance)  # that was lost, too; whoever is woken for nothing finds nothing to do
            return
        check(transaction, instance)
        as_read = {
            "host": instance.host,
            "vm_state": instance.vm_state,
            "task_state": None,
            "evacuation_id": None,
        }
        instances.change(transaction, uuid, as_read, {"task_state": order.task_state, "order_id": context.request_id})
        actions.start(transaction, context, uuid, order.action)
        wake(transaction, instance)

    def wake(transaction: Transaction, instance: Instance) -> None:
        host = str(instance.host)
        transaction.on_commit(lambda: engine.casts.carry_out_order(context, host, uuid, context.request_id))

    if order.starts:
        # Only to see whether it may be done: the host will fetch them again. What is to be refused is refused before.
        instance = engine.database.read(look)
        engine.still_wanted(context)
        fetch_keys(engine, context, instance)
    try:
        engine.database.write(work)
    except Overtaken as overtaken:
        raise InstanceChanged(uuid=uuid) from overtaken


def _check_states(instance: Instance, order: PowerOrder) -> None:
    ends_failure = order.ends_failure and instance.vm_state == VmState.ERROR and instance.state_before_failure
    if instance.vm_state not in order.vm_states and not ends_failure:
        raise InstanceInvalidState(
            action=order.action, uuid=instance.uuid, attribute="vm_state", state=instance.vm_state
        )
    if instance.task_state is not None:
        raise InstanceInvalidState(
            action=order.action, uuid=instance.uuid, attribute="task_state", state=instance.task_state
        )

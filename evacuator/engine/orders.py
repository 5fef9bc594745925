"""What a host makes of the orders for its own instances."""

from collections.abc import Mapping
from typing import Any

from evacuator.db import actions, instances
from evacuator.db.clock import now
from evacuator.db.models import Instance
from evacuator.db.session import Transaction
from evacuator.engine.announce import announce_order
from evacuator.engine.engine import Engine
from evacuator.engine.keys import needs_keys
from evacuator.engine.record import fault
from evacuator.errors import EvacuatorError, KeyUnavailable
from evacuator.evacuation.events import END, ERROR, START
from evacuator.evacuation.states import TaskState, VmState

#: What is being done when a guest is about to be started that has run before.
STARTS = frozenset({TaskState.POWERING_ON, TaskState.REBOOTING, TaskState.REBOOTING_HARD})


def waiting_orders(engine: Engine, host: str) -> list[tuple[str, str]]:
    """Return (instance uuid, order id) of every order that ``host`` has not carried out and should look at.

    One that needs its caller's token is left to the message that brings it, for as long as that may still come.
    """

    def look(session: Any) -> list[tuple[str, str]]:
        return [
            (instance.uuid, instance.order_id)
            for instance in instances.with_orders(session, host)
            if instance.order_id is not None and not _awaits_caller(engine, session, instance)
        ]

    return engine.database.read(look)


def _awaits_caller(engine: Engine, session: Any, instance: Instance) -> bool:
    return (
        instance.task_state in STARTS
        and needs_keys(engine, instance)
        and actions.is_younger(session, instance.uuid, str(instance.order_id), engine.rules.caller_timeout)
    )


def begin_order(engine: Engine, host: str, uuid: str, order_id: str, events: Mapping[str, str]) -> Instance:
    """Take an order in hand, and record that its part of the action begins; ``events`` names that by task state.

    :raises Overtaken: it is not this host's order, or not any more.
    """

    def work(transaction: Transaction) -> Instance:
        _prove(transaction, host, uuid, order_id)
        instance = instances.get(transaction, uuid)
        part = events[str(instance.task_state)]
        actions.start_event(transaction, uuid, order_id, part, host)
        announce_order(engine, transaction, part, START, uuid, order_id, host=host)
        return instance

    return engine.database.write(work)


def prove_order(engine: Engine, host: str, uuid: str, order_id: str) -> None:
    """Prove by a write that ``host`` owns the instance and that this order is still the current one.

    What every power-on that was ordered follows; may be repeated.

    :raises Overtaken: it is not so any more.
    """
    engine.database.write(lambda transaction: _prove(transaction, host, uuid, order_id))


def complete_order(
    engine: Engine, host: str, uuid: str, order_id: str, event: str, states: Mapping[str, Any], *, launched: bool
) -> None:
    """Record that an order was carried out, and the states that it left.

    :raises Overtaken: the order was not current any more.
    """
    values = {"task_state": None, "order_id": None, **states}
    if launched:
        values["launched_at"] = now()

    def work(transaction: Transaction) -> None:
        instances.change(transaction, uuid, _current(host, order_id), values)
        actions.finish_event(transaction, uuid, order_id, event, actions.SUCCESS)
        announce_order(engine, transaction, event, END, uuid, order_id, host=host)

    engine.database.write(work)


def fail_order(
    engine: Engine, host: str, uuid: str, order_id: str, event: str, failure: EvacuatorError, *, becomes_error: bool
) -> None:
    """Record that an order could not be carried out; the reason is the instance's fault.

    The instance stays in the state it was in unless ``becomes_error``.

    :raises Overtaken: the order was not current any more.
    """
    reason = str(failure)
    told = fault(reason, without_hosts=_without_hosts(failure))
    values: dict[str, Any] = {"task_state": None, "order_id": None, "fault": told, "fault_at": now()}
    if becomes_error:
        values["vm_state"] = VmState.ERROR

    def work(transaction: Transaction) -> None:
        instances.change(transaction, uuid, _current(host, order_id), values)
        actions.finish_event(transaction, uuid, order_id, event, actions.ERROR, reason)
        announce_order(engine, transaction, event, ERROR, uuid, order_id, host=host, reason=reason)

    engine.database.write(work)


def _without_hosts(failure: EvacuatorError) -> str:
    """Say it to those who may not know which hosts there are; a hypervisor's sentences name them."""
    if isinstance(failure, KeyUnavailable):
        return failure.sentence(names_hosts=False)
    return "It could not be carried out. An administrator can see why."


def _current(host: str, order_id: str) -> dict[str, Any]:
    return {"host": host, "evacuation_id": None, "order_id": order_id}


def _prove(transaction: Transaction, host: str, uuid: str, order_id: str) -> None:
    instances.change(transaction, uuid, _current(host, order_id), {})

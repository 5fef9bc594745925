"""os-resetState: an operator says what the state is."""

from evacuator.context import RequestContext
from evacuator.db import actions, instances
from evacuator.db.session import Transaction
from evacuator.engine.delete import end_evacuation
from evacuator.engine.engine import Engine
from evacuator.engine.once import Once
from evacuator.errors import InstanceChanged, Overtaken
from evacuator.evacuation.states import VmState


def reset_state(engine: Engine, context: RequestContext, uuid: str, vm_state: VmState) -> None:
    """Set the state of an instance, end its unfinished evacuation, and void whatever was ordered.

    The host recorded stays the one host allowed to run it. What a failed evacuation remembered is forgotten: an
    ERROR that an operator set is an ERROR, and another state has no fault.

    :raises InstanceNotFound:
    :raises RequestTooOld: this process was frozen over it; nothing is written.
    """
    once = Once(engine, context, uuid)

    def work(transaction: Transaction) -> None:
        instance = instances.get(transaction, uuid)
        if once.is_done(transaction):
            return
        actions.start(transaction, context, uuid, "resetState")
        end_evacuation(engine, transaction, instance, "ended by os-resetState", keeps=instance.host)
        fault = {} if vm_state == VmState.ERROR else {"fault": None, "fault_at": None}
        instances.change(
            transaction,
            uuid,
            {"host": instance.host, "evacuation_id": instance.evacuation_id},
            {
                "vm_state": vm_state,
                "task_state": None,
                "order_id": None,
                "evacuation_id": None,
                "state_before_failure": None,
                **fault,
            },
        )
        actions.finish(transaction, uuid, context.request_id)

    try:
        engine.database.write(work)
    except Overtaken as overtaken:
        raise InstanceChanged(uuid=uuid) from overtaken

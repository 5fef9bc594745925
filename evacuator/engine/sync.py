"""Let the database learn what hypervisors do by themselves. Nothing is driven from here."""

from collections.abc import Mapping

from evacuator.db import instances
from evacuator.db.models import Instance
from evacuator.db.session import Transaction
from evacuator.engine.engine import Engine
from evacuator.errors import Overtaken
from evacuator.evacuation.states import PowerState, VmState

#: What an instance is once its guest was found in a power state, where that says so.
VM_STATE_OF: Mapping[int, VmState] = {
    PowerState.RUNNING: VmState.ACTIVE,
    PowerState.SHUTDOWN: VmState.STOPPED,
    PowerState.CRASHED: VmState.STOPPED,
}


def idle_instances(engine: Engine, host: str) -> list[Instance]:
    """Return the instances of ``host`` with which nothing is being done; read them before the hypervisor."""
    return engine.database.read(
        lambda session: [instance for instance in instances.on_host(session, host) if _is_idle(instance)]
    )


def idle_instance(engine: Engine, host: str, uuid: str) -> Instance | None:
    """Return one of the instances of ``host``, if nothing is being done with it."""
    instance = engine.database.read(lambda session: instances.find(session, uuid))
    if instance is None or instance.deleted or instance.host != host or not _is_idle(instance):
        return None
    return instance


def _is_idle(instance: Instance) -> bool:
    return instance.evacuation_id is None and instance.task_state is None


def found_states(as_read: Instance, found: PowerState | None) -> Mapping[str, object]:
    """Return what the instance should show now that its guest was found so; ``found`` is None where there is no guest.

    What has never run has none to be missed.
    """
    settled = as_read.vm_state in (VmState.ACTIVE, VmState.STOPPED)
    if found is None:
        return {"power_state": PowerState.SHUTDOWN, "vm_state": VmState.STOPPED} if settled else {}
    states: dict[str, object] = {"power_state": found}
    if settled and found in VM_STATE_OF:
        states["vm_state"] = VM_STATE_OF[found]
    return states


def is_news(as_read: Instance, found: PowerState | None) -> bool:
    """Tell whether the instance shows something else than what was found."""
    return any(getattr(as_read, name) != state for name, state in found_states(as_read, found).items())


def record_power_state(engine: Engine, host: str, as_read: Instance, found: PowerState | None) -> bool:
    """Record that the guest was found in another power state; only if the instance is still as it was read."""
    states = dict(found_states(as_read, found))
    if states.get("vm_state") == VmState.ACTIVE:
        # It runs: what was said of an attempt to start it is said no longer.
        states |= {"fault": None, "fault_at": None}
    unchanged = {
        "host": host,
        "evacuation_id": None,
        "task_state": None,
        "vm_state": as_read.vm_state,
        "power_state": as_read.power_state,
        # Else what was seen in the middle of a stop and a start would be believed after them.
        "updated_at": as_read.updated_at,
    }

    def work(transaction: Transaction) -> bool:
        instances.change(transaction, as_read.uuid, unchanged, states)
        return True

    try:
        return engine.database.write(work)
    except Overtaken:
        return False

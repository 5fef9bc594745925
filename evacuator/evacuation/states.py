"""The states of an instance, as Nova names and numbers them, since clients read them."""

from enum import IntEnum, StrEnum


class VmState(StrEnum):
    """What the instance is, once nothing is being done to it."""

    BUILDING = "building"
    ACTIVE = "active"
    STOPPED = "stopped"
    ERROR = "error"
    DELETED = "deleted"


class TaskState(StrEnum):
    """What is being done to the instance; null when nothing is."""

    SPAWNING = "spawning"
    REBUILDING = "rebuilding"
    POWERING_ON = "powering-on"
    POWERING_OFF = "powering-off"
    REBOOTING = "rebooting"
    REBOOTING_HARD = "rebooting_hard"
    DELETING = "deleting"


class PowerState(IntEnum):
    """What the hypervisor said last."""

    NOSTATE = 0
    RUNNING = 1
    PAUSED = 3
    SHUTDOWN = 4
    CRASHED = 6
    SUSPENDED = 7


#: The only states that can be evacuated from; everything else is refused with 409.
EVACUABLE = frozenset({VmState.ACTIVE, VmState.STOPPED, VmState.ERROR})


def final_state(vm_state: str, before_failure: str | None, *, stops_at_destination: bool) -> VmState:
    """Decide the state that an evacuation ends in: ``ACTIVE`` or ``STOPPED``.

    ``vm_state`` is the state at acceptance and ``before_failure`` the one that an earlier failed evacuation
    replaced by ERROR. Decided once, when the evacuation is accepted, and stored with it.
    """
    if stops_at_destination:
        return VmState.STOPPED
    effective = before_failure if vm_state == VmState.ERROR and before_failure else vm_state
    return VmState.STOPPED if effective == VmState.STOPPED else VmState.ACTIVE

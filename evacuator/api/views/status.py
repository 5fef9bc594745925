"""The one word that clients are shown for what an instance is and what is being done to it."""

from collections.abc import Mapping

from evacuator.db.pages import InState
from evacuator.evacuation.states import TaskState, VmState

REBUILDING = dict.fromkeys((TaskState.REBUILDING, "rebuild_block_device_mapping", "rebuild_spawning"), "REBUILD")
REBOOTING = {
    TaskState.REBOOTING: "REBOOT",
    "reboot_pending": "REBOOT",
    "reboot_started": "REBOOT",
    TaskState.REBOOTING_HARD: "HARD_REBOOT",
    "reboot_pending_hard": "HARD_REBOOT",
    "reboot_started_hard": "HARD_REBOOT",
}

#: vm_state -> (status, {task_state: status instead}).
STATUSES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    VmState.ACTIVE: ("ACTIVE", REBUILDING | REBOOTING),
    VmState.STOPPED: ("SHUTOFF", REBUILDING),
    VmState.ERROR: ("ERROR", REBUILDING),
    VmState.BUILDING: ("BUILD", {}),
    VmState.DELETED: ("DELETED", {}),
}

#: What other services of this kind also have, and clients may ask for; nothing here ever is so.
NEVER = frozenset(
    {
        "MIGRATING", "PASSWORD", "PAUSED", "RESCUE", "RESIZE", "REVERT_RESIZE", "SHELVED", "SHELVED_OFFLOADED",
        "SOFT_DELETED", "SUSPENDED", "UNKNOWN", "VERIFY_RESIZE",
    }
)  # fmt: skip


def status_of(vm_state: str, task_state: str | None) -> str:
    """Return the status of an instance."""
    usual, exceptions = STATUSES.get(vm_state, ("UNKNOWN", {}))
    return exceptions.get(task_state or "", usual)


def is_status(status: str) -> bool:
    """Tell whether there is such a status."""
    return status in NEVER or bool(states_of(status))


def states_of(status: str) -> list[InState]:
    """Return the states that are shown as ``status``."""
    found = []
    for vm_state, (usual, exceptions) in STATUSES.items():
        if usual == status:
            found.append(InState(vm_state, other_than=tuple(exceptions)))
        tasks = [str(task) for task, shown in exceptions.items() if shown == status]
        if tasks:
            found.append(InState(vm_state, tasks))
    return found

"""What others may want to hear of: the events of an instance, under the names that Nova's notifications have."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

EVACUATE = "instance.evacuate"
REBUILD_START = "instance.rebuild.start"
REBUILD_END = "instance.rebuild.end"
REBUILD_ERROR = "instance.rebuild.error"
NO_HOST = "compute_task.rebuild_server.error"

#: Part of an action -> what its events are called; START, END or ERROR follows.
POWER = {
    "compute_start_instance": "instance.power_on",
    "compute_stop_instance": "instance.power_off",
    "compute_reboot_instance": "instance.reboot",
}
START, END, ERROR = ".start", ".end", ".error"

#: The only power action for whose failure Nova has a name.
FAILURES = frozenset({"instance.reboot.error"})


@dataclass(frozen=True)
class Event:
    """Something that happened to an instance.

    ``host`` is the compute host on which it happened, None where it was none. ``instance`` has the columns of the
    instance as they were at that moment. ``request_id``, ``user_id`` and ``project_id`` say who had asked.
    ``reason``: why, where something failed.
    """

    name: str
    host: str | None
    instance: Mapping[str, Any]
    request_id: str
    user_id: str
    project_id: str
    reason: str | None = None

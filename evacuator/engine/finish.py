"""Record that an evacuation succeeded: host, states and record in one transaction."""

from typing import Any

from evacuator.db import actions, instances
from evacuator.db.clock import now
from evacuator.db.session import Transaction
from evacuator.engine.announce import announce
from evacuator.engine.claim import Assignment
from evacuator.engine.engine import Engine
from evacuator.engine.record import REBUILD_EVENT, fault, move
from evacuator.errors import EvacuatorError
from evacuator.evacuation import events
from evacuator.evacuation.states import PowerState, VmState
from evacuator.evacuation.transitions import Step

#: What the action's event says of a disk, by which one the driver used.
_OF_DISK = {
    "replaced": "The disk was lost with its host and was made anew from image {image}: what was written to it since is "
    "not there. If the host comes back, it keeps the old one, set aside.",
}

#: What it says of an existing one where the hosts share no storage: somebody has to have put it there.
_FOUND = (
    "Hosts {source} and {destination} do not share their storage, so the disk that lay on {destination} was used: "
    "whether it is the instance's newest nobody knows."
)

#: What is shown of an instance that is not started without its owner.
LEFT_TO_OWNER = "It is on its new host and off: the owner must start it. {}"

WHY = {VmState.ACTIVE: "runs on its destination", VmState.STOPPED: "is on its destination, stopped"}


def finish_running(engine: Engine, host: str, assignment: Assignment, disk: str) -> None:
    """Record that the instance runs on ``host``, which owned it before it was started.

    ``disk``: which disk it has now, the existing one or one that replaces it.

    :raises Overtaken: it is not ours any more.
    """
    states = {"vm_state": VmState.ACTIVE, "power_state": PowerState.RUNNING, "launched_at": now()}
    _finish(engine, host, assignment, {host}, states, disk)


def finish_stopped(
    engine: Engine, host: str, assignment: Assignment, disk: str, not_started: EvacuatorError | None = None
) -> None:
    """Record that the instance is on ``host``, stopped. Nothing is powered, so moving and ending are one write.

    ``disk``: which disk it has now, the existing one or one that replaces it. ``not_started``: why it is stopped
    although it should run, which is shown as the instance's fault with what its owner has to do.

    :raises Overtaken: it is not ours any more.
    """
    states: dict[str, Any] = {"vm_state": VmState.STOPPED, "power_state": PowerState.SHUTDOWN}
    notice = None
    if not_started is not None:
        notice = LEFT_TO_OWNER.format(not_started)
        for_everybody = LEFT_TO_OWNER.format(not_started.sentence(names_hosts=False))
        states |= {"fault": fault(notice, for_everybody), "fault_at": now()}
    owners = {host, assignment.record.source_compute}
    _finish(engine, host, assignment, owners, states, disk, notice)


def _finish(
    engine: Engine,
    host: str,
    assignment: Assignment,
    owners: set[str],
    states: dict[str, Any],
    disk: str,
    notice: str | None = None,
) -> None:
    record, instance = assignment.record, assignment.instance

    def work(transaction: Transaction) -> None:
        instances.change(
            transaction,
            instance.uuid,
            {"evacuation_id": record.uuid, "host": owners},
            {
                "host": host,
                "task_state": None,
                "evacuation_id": None,
                "order_id": None,
                "state_before_failure": None,
                "fault": None,
                "fault_at": None,
                **states,
            },
        )
        of_disk = _of_disk(assignment, disk)
        details = " ".join(part for part in (notice, of_disk) if part) or None
        why = notice or f"{WHY[states['vm_state']]}."
        move(transaction, record, Step.FINISH, f"{why} {of_disk}" if of_disk else why.rstrip("."), disk=disk)
        actions.finish_event(transaction, instance.uuid, record.request_id, REBUILD_EVENT, actions.SUCCESS, details)
        announce(engine, transaction, events.REBUILD_END, record, host=host)

    engine.database.write(work)


def _of_disk(assignment: Assignment, disk: str) -> str | None:
    """Say what there is to know of the disk; None where it is simply the instance's. An adopted guest names its own."""
    record, instance = assignment.record, assignment.instance
    if disk in _OF_DISK:
        return _OF_DISK[disk].format(image=instance.image_ref)
    if assignment.shares_storage or record.on_shared_storage or instance.definition is not None:
        return None
    return _FOUND.format(source=record.source_compute, destination=record.dest_compute)

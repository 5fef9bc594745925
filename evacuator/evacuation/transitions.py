"""The life of an evacuation as one table.

The record's statuses are those that Nova stores in ``migrations``, so that what is stored is what clients see.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from evacuator.errors import TransitionRefused


class Status(StrEnum):
    """Where an evacuation stands."""

    ACCEPTED = "accepted"
    """Recorded, its destination chosen and its room claimed; no host has begun."""
    PRE_MIGRATING = "pre-migrating"
    """The destination's compute manager has claimed it and works on it."""
    DONE = "done"
    """The instance is on its destination, in its final state; the source still owes its cleaning."""
    COMPLETED = "completed"
    """The source has removed what it had of the instance."""
    ERROR = "error"
    """No destination could be found; no host was involved."""
    FAILED = "failed"
    """The destination could not, or nobody knows whether it did; the fault says what to do next."""


#: An evacuation in one of these still holds its instance.
UNFINISHED = frozenset({Status.ACCEPTED, Status.PRE_MIGRATING})


class Step(StrEnum):
    """What can happen to an evacuation."""

    CLAIM = "claim"
    RECLAIM = "reclaim"
    REASSIGN = "reassign"
    FINISH = "finish"
    CLEAN = "clean"
    NO_HOST = "no-host"
    FAIL = "fail"


@dataclass(frozen=True)
class Transition:
    """``step`` leads from any of ``sources`` to ``target``.

    ``raises_attempt``: whoever worked on the record before can no longer write to it.
    """

    sources: frozenset[Status]
    target: Status
    raises_attempt: bool = False


TRANSITIONS: Mapping[Step, Transition] = {
    Step.CLAIM: Transition(frozenset({Status.ACCEPTED}), Status.PRE_MIGRATING, raises_attempt=True),
    Step.RECLAIM: Transition(frozenset({Status.PRE_MIGRATING}), Status.PRE_MIGRATING, raises_attempt=True),
    Step.REASSIGN: Transition(UNFINISHED, Status.ACCEPTED, raises_attempt=True),
    Step.FINISH: Transition(frozenset({Status.PRE_MIGRATING}), Status.DONE),
    Step.CLEAN: Transition(frozenset({Status.DONE}), Status.COMPLETED),
    Step.NO_HOST: Transition(frozenset({Status.ACCEPTED}), Status.ERROR),
    Step.FAIL: Transition(UNFINISHED, Status.FAILED),
}


def advance(status: str, attempt: int, step: Step) -> tuple[Status, int]:
    """Return the status and the attempt that follow ``step``.

    :raises TransitionRefused: the table has no such step from ``status``.
    """
    transition = TRANSITIONS[step]
    if status not in transition.sources:
        raise TransitionRefused(status=status, step=step)
    return transition.target, attempt + transition.raises_attempt

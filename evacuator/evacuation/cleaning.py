"""What a host does with each guest that its hypervisor knows.

One table over the hypervisor's inventory, at start, after a refused heartbeat or a reconnect, and periodically.
"""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What becomes of a guest found on a host."""

    KEEP = "keep"
    STOP = "stop"
    REMOVE = "remove"
    REMOVE_WITH_DISKS = "remove with disks"
    REPORT = "report"
    DISPUTE = "dispute"


#: A guest so judged must not run where it is; while it does, its host is not up.
MUST_NOT_RUN = frozenset({Verdict.STOP, Verdict.REMOVE, Verdict.REMOVE_WITH_DISKS, Verdict.DISPUTE})


@dataclass(frozen=True)
class Ownership:
    """What the database says of the instance of which a guest was found.

    ``host``: the one host allowed to run it. ``source`` and ``destination``: of its unfinished evacuation, if any.
    ``was_here``: some record names this host for it, so that a guest of it here is ours to judge. ``seen_gone``: the
    last that does took it away from here, and was completed when no guest was left.
    """

    host: str | None
    deleted: bool = False
    source: str | None = None
    destination: str | None = None
    was_here: bool = False
    seen_gone: bool = False


def verdict(me: str, ownership: Ownership | None, *, marked: bool, running: bool = False) -> Verdict:
    """Judge one guest on the host ``me``; ``marked``: it carries our mark, so that we made it."""
    if ownership is None:
        return Verdict.REPORT
    if not ownership.deleted:
        # First of all, because until the destination owns the instance the source is also its recorded host:
        # the copy there is kept for a retry, but it must not run.
        if me == ownership.source:
            return Verdict.STOP
        if me in (ownership.host, ownership.destination):
            return Verdict.KEEP
    if not (marked or ownership.was_here):
        return Verdict.REPORT
    if ownership.deleted:
        return Verdict.REMOVE_WITH_DISKS
    # No evacuation starts a guest without naming its host in a record. So this is the hypervisor of another host, under
    # a name that is not its own, or a database that forgot; the guest may be the only one there is. One that was seen
    # to be gone from here is on the host that it was taken to, and that is the first to be mistaken for this one.
    brought = ownership.was_here and not ownership.seen_gone
    return Verdict.DISPUTE if running and not brought else Verdict.REMOVE

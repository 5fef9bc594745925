"""The names of what can be wrong. ``docs/verify.md`` says for each what it means and what to do."""

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """What is wrong. A code keeps its meaning for ever, since people search for it."""

    BOOKS_DIFFER = "books-differ"
    BOOKS_OVERDRAWN = "books-overdrawn"
    CLAIM_MISSING = "claim-missing"
    CLAIM_UNEXPLAINED = "claim-unexplained"
    CLAIM_OF_DELETED = "claim-of-deleted"
    CLAIM_DIFFERS = "claim-differs"

    RECORD_WITHOUT_LOCK = "record-without-lock"
    LOCK_WITHOUT_RECORD = "lock-without-record"
    RECORD_STUCK = "record-stuck"
    RECORD_WAITS = "record-waits"
    RECORD_QUEUED = "record-queued"
    TASK_WITHOUT_WORK = "task-without-work"
    ORDER_STUCK = "order-stuck"
    ORDER_DURING_EVACUATION = "order-during-evacuation"
    UNKNOWN_HOST = "unknown-host"
    VERSION_UNKNOWN = "version-unknown"
    VERSION_NEWER = "version-newer"

    TWO_COPIES = "two-copies"
    STRAY_COPY = "stray-copy"
    UNFENCED_COPY_RUNNING = "unfenced-copy-running"
    STALE_GUEST = "stale-guest"
    UNOWNED_GUEST = "unowned-guest"
    ACTIVE_NOT_RUNNING = "active-not-running"
    STOPPED_BUT_RUNNING = "stopped-but-running"
    STARTED_UNASKED = "started-unasked"
    DISK_MISSING = "disk-missing"

    SILENCE_BROKEN = "silence-broken"
    POWER_ON_UNORDERED = "power-on-unordered"
    POWER_ON_NOT_OWNED = "power-on-not-owned"
    TWO_COPIES_RAN = "two-copies-ran"
    LATE_ORDER = "late-order"
    UNFENCED_COPY_RAN = "unfenced-copy-ran"


#: Worth knowing, but nothing that was promised is broken: what a host did that was declared dead and not stopped, what
#: people do on a host by themselves, and what waits for a host that works on others.
NOTES = frozenset({Code.LATE_ORDER, Code.UNFENCED_COPY_RAN, Code.STARTED_UNASKED, Code.RECORD_QUEUED})


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: with what, in a sentence, and the next command to run."""

    code: Code
    subject: str
    sentence: str
    next_command: str

    @property
    def broken(self) -> bool:
        """Whether an invariant is broken; if not, it is a note."""
        return self.code not in NOTES

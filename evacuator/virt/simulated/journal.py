"""The journal of a simulated host: what was done to which guest, when and on whose behalf."""

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from evacuator import errors

#: The folder of the hypervisors in a state directory.
FOLDER = "hypervisors"


class Event(StrEnum):
    """What was done to a guest."""

    DEFINED = "defined"
    POWERED_ON = "powered_on"
    POWERED_OFF = "powered_off"
    DESTROYED = "destroyed"


@dataclass(frozen=True)
class JournalEntry:
    """One line of a journal. ``at``: seconds since 1970, by the clock of the process that wrote it."""

    at: float
    host: str
    instance: str
    event: Event
    cause: str

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Take it out of the object that a line holds; more fields than are known do not hurt."""
        return cls(
            at=float(fields["at"]),
            host=fields["host"],
            instance=fields["instance"],
            event=Event(fields["event"]),
            cause=fields["cause"],
        )


def known_hosts(root: Path) -> list[str]:
    """Return the names of the simulated hosts under ``root`` (``D/hypervisors``): those that have a folder."""
    if not root.is_dir():
        return []
    return sorted(entry.name for entry in root.iterdir() if entry.is_dir())


def read_journal(root: Path, host: str) -> list[JournalEntry]:
    """Return what was done to the guests of one host, in the order it was done.

    A last line without its end is one that is being written, or whose writer died; it is left out.

    :raises NotFound: there is no such host.
    :raises DriverError: a line is not a journal line; evidence is never skipped in silence.
    """
    require_known(root, host)
    path = root / host / "journal.jsonl"
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    return [_journal_entry(path, number, line) for number, line in enumerate(lines[:-1], start=1)]


def read_journals(root: Path) -> list[JournalEntry]:
    """Return the lines of all hosts by time; lines of one host at one moment stay in their order."""
    entries = [entry for host in known_hosts(root) for entry in read_journal(root, host)]
    return sorted(entries, key=lambda entry: entry.at)


def _journal_entry(path: Path, number: int, line: bytes) -> JournalEntry:
    try:
        return JournalEntry.from_json(json.loads(line))
    except (ValueError, KeyError, TypeError) as error:
        reason = f"Line {number} of {path} is not a line of a journal ({error}); somebody else wrote to it."
        raise errors.DriverError(reason=reason) from error


def require_known(root: Path, host: str) -> None:
    """Go on only if there is such a host.

    :raises NotFound: there is not; it names those that there are.
    """
    hosts = known_hosts(root)
    if host in hosts:
        return
    if not hosts:
        reason = (
            f"There are no simulated hosts under {root}. `evacuator all-in-one --state-dir D --hosts a,b,c` makes them."
        )
        raise errors.NotFound(reason=reason)
    raise errors.NotFound(reason=f"There is no simulated host {host!r} under {root}; known are: {', '.join(hosts)}.")

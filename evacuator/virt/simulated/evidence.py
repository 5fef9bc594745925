"""The simulated hypervisors of a state directory at one moment, as facts. Nothing is written, and no lock is taken."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from evacuator.errors import DriverError, NotFound
from evacuator.evacuation.invariants.commands import Simulated
from evacuator.evacuation.invariants.facts import Evidence, FoundGuest, JournalLine
from evacuator.evacuation.states import PowerState
from evacuator.virt.simulated.journal import FOLDER, JournalEntry, known_hosts, read_journal
from evacuator.virt.simulated.mains import Mains

_RUNNING = frozenset({PowerState.RUNNING.name.lower(), PowerState.PAUSED.name.lower()})


def look(state_dir: Path, clock: Callable[[], float] = time.time, expected: Iterable[str] = ()) -> Evidence:
    """Read what the hypervisors under ``state_dir`` have and have done; of ``expected`` tell which are not there.

    :raises NotFound: there are none.
    :raises DriverError: a journal or a guest's file is not what a hypervisor writes.
    """
    root = state_dir / FOLDER
    hosts = known_hosts(root)
    if not hosts:
        raise NotFound(
            reason=f"There are no simulated hosts under {root}. `evacuator all-in-one --state-dir {state_dir} "
            "--hosts a,b,c` makes them; leave out --state-dir to judge the database alone."
        )
    mains = {host: Mains(root, host).on for host in hosts}
    guests: list[FoundGuest] = []
    journal: list[JournalLine] = []
    for host in hosts:
        found, owed = _guests(root, host, mains_on=mains[host])
        guests += found
        # A guest stops before its journal says so; until it does, the guest's file owes the line.
        journal += [_line(entry) for entry in [*read_journal(root, host), *owed]]
    disks = frozenset(_disks(state_dir, None)) | {disk for host in hosts for disk in _disks(root / host, host)}
    unseen = {host: f"it has no folder under {root}" for host in expected if host not in mains}
    return Evidence(Simulated(str(state_dir)), clock(), mains, guests, journal, disks, unseen=unseen)


def _guests(root: Path, host: str, *, mains_on: bool) -> tuple[list[FoundGuest], list[JournalEntry]]:
    guests: list[FoundGuest] = []
    owed: list[JournalEntry] = []
    for path in sorted((root / host / "guests").glob("*.json")):
        try:
            fields = json.loads(path.read_text())
            # Whoever cut the mains may not have come to all guests yet; none of them runs.
            guests.append(FoundGuest(host, path.stem, mains_on and fields["power_state"] in _RUNNING))
            if fields.get("owed"):
                owed.append(JournalEntry.from_json(fields["owed"]))
        except FileNotFoundError:
            continue  # it was removed while we looked
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DriverError(reason=f"{path} does not describe a guest ({error!r}).") from error
    return guests, owed


def _line(entry: JournalEntry) -> JournalLine:
    return JournalLine(entry.at, entry.host, entry.instance, entry.event, entry.cause)


def _disks(folder: Path, host: str | None) -> Iterator[tuple[str | None, str]]:
    for path in (folder / "disks").glob("*"):
        if not path.name.startswith("."):
            yield host, path.name

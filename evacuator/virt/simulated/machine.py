"""One simulated host as files, and the lock under which every process uses them."""

import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from evacuator import errors
from evacuator.evacuation.states import PowerState
from evacuator.keys.manager import Key
from evacuator.virt.driver import Guest, KnownGuest
from evacuator.virt.simulated.journal import Event, JournalEntry

#: Whoever holds a host's lock writes a few small files and lets go, unless it is frozen; nobody waits longer for it.
LOCK_SECONDS = 10.0
LOCK_POLL_SECONDS = 0.001


@dataclass(frozen=True)
class GuestFile:
    """What the file of a guest holds; ``owed``: a line that its journal does not have yet."""

    guest: Guest
    power_state: PowerState
    marked: bool = True
    owed: JournalEntry | None = None
    replaced_by: str | None = None

    @property
    def known(self) -> KnownGuest:
        """What a caller of the driver sees of it."""
        return KnownGuest(self.guest.uuid, self.power_state, self.marked, self.replaced_by)

    def to_json(self) -> str:
        """Write it for people too: one level, the power state as a word."""
        fields: dict[str, Any] = asdict(self.guest)
        fields |= {"power_state": self.power_state.name.lower(), "marked": self.marked}
        if self.owed:
            fields["owed"] = asdict(self.owed)
        if self.replaced_by:
            fields["replaced_by"] = self.replaced_by
        return json.dumps(fields)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what :meth:`to_json` wrote."""
        fields = json.loads(text)
        fields["key_ids"] = tuple(fields.get("key_ids", ()))
        power_state = PowerState[fields.pop("power_state").upper()]
        marked, owed, replaced_by = fields.pop("marked"), fields.pop("owed", None), fields.pop("replaced_by", None)
        return cls(Guest(**fields), power_state, marked, JournalEntry.from_json(owed) if owed else None, replaced_by)


class Machine:
    """The folder of one host, for its driver and its mains switch; what is in it is used under ``locked``."""

    def __init__(self, root: Path, host: str, patience: float = LOCK_SECONDS) -> None:
        self.host = host
        self.folder = root / host
        self.guests = self.folder / "guests"
        self._keys = self.folder / "keys"
        self._journal = self.folder / "journal.jsonl"
        self._mains = self.folder / "mains"
        self._lock = self.folder / "lock"
        self._patience = patience
        # The threads of one process queue here, so that only processes poll for the file's lock.
        self._turn = threading.Lock()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Have the host to oneself.

        :raises HypervisorUnknown: not in time, or a file could not be read or written: it may be half done.
        """
        deadline = time.monotonic() + self._patience
        if not self._turn.acquire(timeout=self._patience):
            raise self._busy()
        try:
            with self._lock.open("ab") as file:
                while not _flock(file.fileno()):
                    if time.monotonic() >= deadline:
                        raise self._busy()
                    time.sleep(LOCK_POLL_SECONDS)
                yield
        except OSError as error:
            raise errors.HypervisorUnknown(host=self.host, reason=str(error)) from error
        finally:
            self._turn.release()

    def _busy(self) -> errors.HypervisorUnknown:
        reason = f"somebody has held {self._lock} for {self._patience:g} seconds"
        return errors.HypervisorUnknown(host=self.host, reason=reason)

    @property
    def mains_on(self) -> bool:
        """Whether the mains are on; may be asked without the lock, but is then only a hint."""
        try:
            return self._mains.read_text().strip() != "off"
        except FileNotFoundError:
            return True

    def require_mains(self) -> None:
        """Answer only while the mains are on.

        :raises HypervisorUnknown: they are off.
        """
        if not self.mains_on:
            raise errors.HypervisorUnknown(host=self.host, reason="it is switched off")

    def set_mains(self, *, on: bool) -> None:
        """Turn the switch; guests are not touched."""
        _replace(self._mains, "on\n" if on else "off\n")

    def read(self, uuid: str) -> GuestFile | None:
        """Return one guest, its journal complete; None when there is none."""
        path = self.guests / f"{uuid}.json"
        try:
            text = path.read_text()
        except FileNotFoundError:
            return None
        try:
            file = GuestFile.from_json(text)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"{path} does not describe a guest ({error!r})"
            raise errors.HypervisorUnknown(host=self.host, reason=reason) from error
        return self._settle(file)

    def read_all(self) -> list[GuestFile]:
        """Return every guest, by uuid."""
        files = [self.read(path.stem) for path in sorted(self.guests.glob("*.json"))]
        return [file for file in files if file is not None]

    def write(self, file: GuestFile) -> None:
        """Make it so, all at once."""
        _replace(self.guests / f"{file.guest.uuid}.json", file.to_json())

    def forget(self, uuid: str) -> None:
        """Have no such guest any more."""
        (self.guests / f"{uuid}.json").unlink()

    def note(self, at: float, uuid: str, event: Event, cause: str) -> None:
        """Put a line into the journal."""
        self._append(JournalEntry(at, self.host, uuid, event, cause))

    def stop(self, file: GuestFile, at: float, cause: str) -> GuestFile:
        """Stop a guest that runs: first the guest, then the journal, which its file owes until then."""
        if not file.known.running:
            return file
        owed = JournalEntry(at, self.host, file.guest.uuid, Event.POWERED_OFF, cause)
        stopped = replace(file, power_state=PowerState.SHUTDOWN, owed=owed)
        self.write(stopped)
        return self._settle(stopped)

    @contextmanager
    def lent(self, keys: Sequence[Key]) -> Iterator[None]:
        """Within this the host has ``keys``: their ids; nothing here is encrypted with their passphrases."""
        lent = [self._keys / key.id for key in keys if key.passphrase]
        try:
            for path in lent:
                self._keys.mkdir(exist_ok=True)
                path.touch()
            yield
        finally:
            for path in lent:
                path.unlink()

    def has_key(self, key_id: str) -> bool:
        """Whether the host has a key."""
        return (self._keys / key_id).exists()

    def take_keys_back(self) -> None:
        """Have no key here."""
        for path in self._keys.glob("*"):
            path.unlink()

    def _settle(self, file: GuestFile) -> GuestFile:
        if file.owed is None:
            return file
        self._append(file.owed)
        settled = replace(file, owed=None)
        self.write(settled)
        return settled

    def _append(self, entry: JournalEntry) -> None:
        line = json.dumps(asdict(entry)).encode() + b"\n"
        descriptor = os.open(self._journal, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            _cut_torn_line(descriptor)
            if os.write(descriptor, line) != len(line):
                message = f"no room for a line of {self._journal}"
                raise OSError(message)
        finally:
            os.close(descriptor)


def _flock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _replace(path: Path, text: str) -> None:
    """Write a file so that whoever reads it sees the old text or the new one; under the host's lock only."""
    temporary = path.with_suffix(".new")
    temporary.write_text(text)
    temporary.replace(path)


def _cut_torn_line(descriptor: int) -> None:
    """Remove what a writer that died within a line left; the next line would be lost in it.

    Nothing was done on account of half a line: it comes before its effect, or its guest's file still owes it.
    """
    size = os.fstat(descriptor).st_size
    if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
        return
    whole = os.pread(descriptor, size, 0)
    os.ftruncate(descriptor, whole.rfind(b"\n") + 1)

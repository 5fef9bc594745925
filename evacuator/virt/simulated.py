"""A simulated hypervisor: guests are files, and every effect leaves a line of evidence.

Each host is a folder under ``D/hypervisors``::

    a/journal.jsonl     what was done to which guest, when and on whose behalf; only ever appended to
    a/guests/UUID.json  one guest: what it was defined as, and whether it runs
    a/disks/UUID        its disk, when disks are private; shared ones are in D/disks
    a/mains             "off" while the mains are cut; no such file means on
    a/lock              held (flock) by whoever looks or works, of all processes

A guest "runs" when its file says so: it outlives every process of ours, as a real one does. Nothing is synced to the
platter: it has to survive the process, not the machine, and a benchmark evacuates hundreds of instances a second.

The journal proves which copies ran when, so it may name a run that did not come to be, but never hide one that did:

* ``powered_on`` is written *before* the guest's file says running;
* ``powered_off`` *after* it says shutdown, and until then the file itself owes the line: whoever reads the guest next,
  after a crash in between, writes it;
* ``defined`` and ``destroyed`` before the effect: a repeated call finds the effect still to be done and says so twice,
  where otherwise it would find it done and say nothing.

Two hosts that run one instance are possible here, shared disk or not. They must be: the check for it has to be able
to fail.
"""

import fcntl
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from oslo_config import cfg

from evacuator import errors
from evacuator.evacuation.states import PowerState
from evacuator.virt.driver import DiskSource, Guest, HypervisorFacts, KnownGuest

#: The folder of the hypervisors in a state directory.
FOLDER = "hypervisors"

#: Whoever holds a host's lock writes a few small files and lets go, unless it is frozen; nobody waits longer for it.
LOCK_SECONDS = 10.0
LOCK_POLL_SECONDS = 0.001

_HOST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


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
    _require_known(root, host)
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


def _require_known(root: Path, host: str) -> None:
    hosts = known_hosts(root)
    if host in hosts:
        return
    if not hosts:
        reason = (
            f"There are no simulated hosts under {root}. `evacuator all-in-one --state-dir D --hosts a,b,c` makes them."
        )
        raise errors.NotFound(reason=reason)
    raise errors.NotFound(reason=f"There is no simulated host {host!r} under {root}; known are: {', '.join(hosts)}.")


# -- configuration


class FaultKind(StrEnum):
    """How an operation goes wrong."""

    REFUSE = "refuse"
    """It certainly did not happen."""
    TIMEOUT = "timeout"
    """It did not happen, and nobody can tell."""
    LOST = "lost"
    """It did happen, and nobody can tell: only the answer is lost."""
    MISSING = "missing"
    """The disk is not there."""
    LOCKED = "locked"
    """Somebody else writes to the disk."""


#: Operations that can be made to fail: the calls of the driver contract.
OPERATIONS = ("facts", "inventory", "find", "define", "power_on", "power_off", "reboot", "destroy")

_FAULT = re.compile(r"(?P<operation>\w+)(@(?P<host>[^@:=\s]+))?(:(?P<count>[1-9]\d*))?(=(?P<kind>\w+))?")


@dataclass(frozen=True)
class Fault:
    """An operation that goes wrong: on one host or on each, so many times (counted per driver) or always."""

    operation: str
    host: str | None = None
    count: int | None = None
    kind: FaultKind = FaultKind.REFUSE

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``OPERATION[@HOST][:COUNT][=KIND]``, for example ``power_on@c:2=timeout``.

        :raises NotConfigured: it is not written like this.
        """
        match = _FAULT.fullmatch(text.strip())
        if match is None:
            raise _wrong_fault(text, "it is not of this form")
        operation, kind, count = match["operation"], match["kind"] or FaultKind.REFUSE, match["count"]
        if operation not in OPERATIONS:
            raise _wrong_fault(text, f"there is no operation {operation!r}")
        if kind not in list(FaultKind):
            raise _wrong_fault(text, f"there is no kind {kind!r}")
        return cls(operation, match["host"], int(count) if count else None, FaultKind(kind))


def _wrong_fault(text: str, why: str) -> errors.NotConfigured:
    reason = (
        f"[simulated] faults: {text!r} is wrong: {why}. Write OPERATION[@HOST][:COUNT][=KIND], where OPERATION is one "
        f"of {', '.join(OPERATIONS)} and KIND one of {', '.join(FaultKind)}."
    )
    return errors.NotConfigured(reason=reason)


def parse_faults(texts: Iterable[str]) -> tuple[Fault, ...]:
    """Read each of ``texts`` as :meth:`Fault.parse` does."""
    return tuple(Fault.parse(text) for text in texts)


@dataclass(frozen=True)
class SimulatedSettings:
    """What simulated hosts have and how they behave. Memory in MiB, disks in GiB, delays in seconds."""

    vcpus: int = 256
    memory_mb: int = 524288
    local_gb: int = 10240
    shared_storage: bool = True
    define_seconds: float = 0.0
    power_on_seconds: float = 0.0
    power_off_seconds: float = 0.0
    faults: tuple[Fault, ...] = ()

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> Self:
        """Read the group ``[simulated]``.

        :raises NotConfigured: a fault is not written as it has to be.
        """
        group = conf.simulated
        return cls(
            vcpus=group.vcpus,
            memory_mb=group.memory_mb,
            local_gb=group.local_gb,
            shared_storage=group.shared_storage,
            define_seconds=group.define_seconds,
            power_on_seconds=group.power_on_seconds,
            power_off_seconds=group.power_off_seconds,
            faults=parse_faults(group.faults),
        )


# -- one host, as files


@dataclass(frozen=True)
class _GuestFile:
    """What the file of a guest holds; ``owed``: a line that its journal does not have yet."""

    guest: Guest
    power_state: PowerState
    marked: bool = True
    owed: JournalEntry | None = None

    @property
    def known(self) -> KnownGuest:
        """What a caller of the driver sees of it."""
        return KnownGuest(self.guest.uuid, self.power_state, self.marked)

    def to_json(self) -> str:
        """Write it for people too: one level, the power state as a word."""
        fields: dict[str, Any] = asdict(self.guest)
        fields |= {"power_state": self.power_state.name.lower(), "marked": self.marked}
        if self.owed:
            fields["owed"] = asdict(self.owed)
        return json.dumps(fields)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what :meth:`to_json` wrote."""
        fields = json.loads(text)
        power_state = PowerState[fields.pop("power_state").upper()]
        marked, owed = fields.pop("marked"), fields.pop("owed", None)
        return cls(Guest(**fields), power_state, marked, JournalEntry.from_json(owed) if owed else None)


class _Machine:
    """The folder of one host, for its driver and its mains switch; what is in it is used under ``locked``."""

    def __init__(self, root: Path, host: str, patience: float = LOCK_SECONDS) -> None:
        self.host = host
        self.folder = root / host
        self.guests = self.folder / "guests"
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

    def read(self, uuid: str) -> _GuestFile | None:
        """Return one guest, its journal complete; None when there is none."""
        path = self.guests / f"{uuid}.json"
        try:
            text = path.read_text()
        except FileNotFoundError:
            return None
        try:
            file = _GuestFile.from_json(text)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"{path} does not describe a guest ({error!r})"
            raise errors.HypervisorUnknown(host=self.host, reason=reason) from error
        return self._settle(file)

    def read_all(self) -> list[_GuestFile]:
        """Return every guest, by uuid."""
        files = [self.read(path.stem) for path in sorted(self.guests.glob("*.json"))]
        return [file for file in files if file is not None]

    def write(self, file: _GuestFile) -> None:
        """Make it so, all at once."""
        _replace(self.guests / f"{file.guest.uuid}.json", file.to_json())

    def forget(self, uuid: str) -> None:
        """Have no such guest any more."""
        (self.guests / f"{uuid}.json").unlink()

    def note(self, at: float, uuid: str, event: Event, cause: str) -> None:
        """Put a line into the journal."""
        self._append(JournalEntry(at, self.host, uuid, event, cause))

    def stop(self, file: _GuestFile, at: float, cause: str) -> _GuestFile:
        """Stop a guest that runs: first the guest, then the journal, which its file owes until then."""
        if not file.known.running:
            return file
        owed = JournalEntry(at, self.host, file.guest.uuid, Event.POWERED_OFF, cause)
        stopped = replace(file, power_state=PowerState.SHUTDOWN, owed=owed)
        self.write(stopped)
        return self._settle(stopped)

    def _settle(self, file: _GuestFile) -> _GuestFile:
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


class Mains:
    """The mains switch of one simulated host: what ``evacuator host power-off`` and ``power-on`` turn.

    :raises NotFound: there is no such host.
    """

    def __init__(self, root: Path, host: str) -> None:
        _require_known(root, host)
        self._machine = _Machine(root, host)

    @property
    def on(self) -> bool:
        """Whether the mains are on."""
        return self._machine.mains_on

    def switch_off(self, clock: Callable[[], float] = time.time) -> list[str]:
        """Cut the mains: nothing answers or starts there any more. Return the guests that died."""
        with self._machine.locked():
            # The switch first: if we die within the loop, the host is off and the next call goes on from here.
            self._machine.set_mains(on=False)
            return self._kill(clock)

    def switch_on(self, clock: Callable[[], float] = time.time) -> bool:
        """Give the mains back; guests stay off, as on a host without autostart. Return whether it was off."""
        with self._machine.locked():
            if self._machine.mains_on:
                return False
            # What an interrupted switch_off left running must not come back to life.
            self._kill(clock)
            self._machine.set_mains(on=True)
            return True

    def _kill(self, clock: Callable[[], float]) -> list[str]:
        running = [file for file in self._machine.read_all() if file.known.running]
        for file in running:
            self._machine.stop(file, clock(), "mains off")
        return [file.guest.uuid for file in running]


# -- the driver


class SimulatedDriver:
    """Keeps the contract of :class:`~evacuator.virt.driver.Driver` with files under ``root`` (``D/hypervisors``).

    ``clock`` gives the journal's time, ``sleep`` spends the delays; both are a simulator's own where it has one.

    :raises NotConfigured: ``host`` cannot be the name of a folder.
    """

    def __init__(
        self,
        host: str,
        root: Path,
        settings: SimulatedSettings,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if _HOST_NAME.fullmatch(host) is None:
            raise errors.NotConfigured(
                reason=f"A simulated host cannot be called {host!r}: use letters, digits, '.', '_' and '-'."
            )
        self.host = host
        self._settings = settings
        self._clock = clock
        self._sleep = sleep
        self._machine = _Machine(root, host)
        self._disks = root.parent / "disks" if settings.shared_storage else self._machine.folder / "disks"
        self._faults = [fault for fault in settings.faults if fault.host in (None, host)]
        self._faults_left = [fault.count for fault in self._faults]
        self._machine.guests.mkdir(parents=True, exist_ok=True)
        self._disks.mkdir(parents=True, exist_ok=True)

    def facts(self) -> HypervisorFacts:
        """Return what the settings say that the host is."""
        with self._operation("facts"):
            return HypervisorFacts(
                hypervisor_hostname=self.host,
                hypervisor_type="QEMU",
                hypervisor_version=7002000,
                host_ip="127.0.0.1",
                vcpus=self._settings.vcpus,
                memory_mb=self._settings.memory_mb,
                local_gb=self._settings.local_gb,
                storage_id="simulated-shared" if self._settings.shared_storage else f"simulated-{self.host}",
                cpu_info={
                    "arch": "x86_64",
                    "vendor": "simulated",
                    "model": "simulated",
                    "topology": {"sockets": 1, "cores": self._settings.vcpus, "threads": 1},
                    "features": [],
                },
            )

    def inventory(self) -> Sequence[KnownGuest]:
        """Return every guest there is a file of."""
        with self._operation("inventory"):
            return [file.known for file in self._machine.read_all()]

    def find(self, uuid: str) -> KnownGuest | None:
        """Return one guest, or None."""
        with self._operation("find", uuid):
            file = self._machine.read(uuid)
            return file.known if file else None

    def define(self, guest: Guest, disk: DiskSource, cause: str) -> None:
        """Make the guest exist; one that is there with another definition takes the new one and runs on."""
        with self._operation("define", guest.uuid, self._settings.define_seconds):
            # The disk first: when it is missing there is no guest, and nothing to say in the journal.
            if disk is DiskSource.NEW:
                self._make_disk(guest, cause)
            else:
                self._require_disk(guest.uuid)
            there = self._machine.read(guest.uuid)
            if there and there.guest == guest:
                return
            self._machine.note(self._clock(), guest.uuid, Event.DEFINED, cause)
            self._machine.write(replace(there, guest=guest) if there else _GuestFile(guest, PowerState.SHUTDOWN))

    def power_on(self, uuid: str, cause: str) -> None:
        """Start the guest; it needs its disk to be there still."""
        with self._operation("power_on", uuid, self._settings.power_on_seconds):
            self._start(self._require_guest(uuid), cause)

    def power_off(self, uuid: str, cause: str) -> None:
        """Stop the guest."""
        with self._operation("power_off", uuid, self._settings.power_off_seconds):
            file = self._machine.read(uuid)
            if file:
                self._machine.stop(file, self._clock(), cause)

    def reboot(self, uuid: str, cause: str, *, hard: bool) -> None:  # noqa: ARG002 - there is nobody inside to ask
        """Stop and start the guest; a simulated one cannot tell a soft reboot from a hard one."""
        seconds = self._settings.power_off_seconds + self._settings.power_on_seconds
        with self._operation("reboot", uuid, seconds):
            file = self._require_guest(uuid)
            self._start(self._machine.stop(file, self._clock(), cause), cause)

    def destroy(self, uuid: str, cause: str, *, disks: bool) -> None:
        """Stop the guest, delete its disk where ``disks``, and forget it."""
        with self._operation("destroy", uuid, self._settings.power_off_seconds):
            file = self._machine.read(uuid)
            if file is None:
                return
            self._machine.stop(file, self._clock(), cause)
            self._machine.note(self._clock(), uuid, Event.DESTROYED, cause)
            # The guest last: as long as it is known, a repeated call still deletes its disk.
            if disks:
                self._disk(uuid).unlink(missing_ok=True)
            self._machine.forget(uuid)

    def watch(self, changed: Callable[[str, PowerState], None]) -> None:
        """Do nothing: a simulated guest changes by itself only when its host dies, which is then silent."""

    def close(self) -> None:
        """Do nothing: files are open only during a call."""

    @contextmanager
    def _operation(self, name: str, uuid: str = "", seconds: float = 0.0) -> Iterator[None]:
        """Spend the delay, then let the caller work under the lock, unless the mains or a fault forbid it."""
        if seconds > 0:
            self._machine.require_mains()
            self._sleep(seconds)
        with self._machine.locked():
            self._machine.require_mains()
            fault = self._next_fault(name)
            if fault not in (None, FaultKind.LOST):
                raise self._failure(fault, name, uuid)
            yield
            if fault is FaultKind.LOST:
                raise self._failure(fault, name, uuid)

    def _next_fault(self, operation: str) -> FaultKind | None:
        for index, fault in enumerate(self._faults):
            left = self._faults_left[index]
            if fault.operation != operation or left == 0:
                continue
            if left is not None:
                self._faults_left[index] = left - 1
            return fault.kind
        return None

    def _failure(self, kind: FaultKind | None, operation: str, uuid: str) -> errors.EvacuatorError:
        if kind is FaultKind.MISSING:
            return self._disk_missing(uuid)
        if kind is FaultKind.LOCKED:
            return errors.DiskInUse(uuid=uuid, host=self.host, reason="a simulated fault")
        if kind is FaultKind.REFUSE:
            reason = f"The hypervisor of host {self.host} refused {operation} (a simulated fault)."
            return errors.DriverError(reason=reason)
        return errors.HypervisorUnknown(host=self.host, reason=f"{operation} took too long (a simulated fault)")

    def _require_guest(self, uuid: str) -> _GuestFile:
        file = self._machine.read(uuid)
        if file is None:
            raise errors.GuestNotFound(host=self.host, uuid=uuid)
        return file

    def _start(self, file: _GuestFile, cause: str) -> None:
        if file.power_state is PowerState.RUNNING:
            return
        self._require_disk(file.guest.uuid)
        # The journal first: a crash between the two must never hide that a guest runs.
        self._machine.note(self._clock(), file.guest.uuid, Event.POWERED_ON, cause)
        self._machine.write(replace(file, power_state=PowerState.RUNNING))

    def _disk(self, uuid: str) -> Path:
        return self._disks / uuid

    def _disk_missing(self, uuid: str) -> errors.DiskMissing:
        return errors.DiskMissing(uuid=uuid, host=self.host, path=self._disk(uuid))

    def _require_disk(self, uuid: str) -> None:
        if not self._disk(uuid).exists():
            raise self._disk_missing(uuid)

    def _make_disk(self, guest: Guest, cause: str) -> None:
        """Make a disk beside its place and link it there, which fails if one is there: that one is kept.

        The host's name keeps two hosts apart that do so on shared storage, where this host's lock does not reach.
        """
        made = self._disks / f".{guest.uuid}.{self.host}.new"
        made.write_text(json.dumps({"image": guest.image_ref, "gb": guest.disk_gb, "made_by": cause}) + "\n")
        try:
            self._disk(guest.uuid).hardlink_to(made)
        except FileExistsError:
            pass
        finally:
            made.unlink()

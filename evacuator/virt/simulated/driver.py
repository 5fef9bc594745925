"""The driver of a simulated host."""

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from evacuator import errors
from evacuator.evacuation.states import PowerState
from evacuator.keys.manager import Key
from evacuator.virt.driver import DiskSource, Guest, HypervisorFacts, KnownGuest, work_of
from evacuator.virt.simulated.journal import Event
from evacuator.virt.simulated.machine import GuestFile, Machine
from evacuator.virt.simulated.settings import FaultKind, SimulatedSettings

_HOST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class SimulatedDriver:
    """Keeps the contract of :class:`~evacuator.virt.driver.Driver` with files under ``root`` (``D/hypervisors``).

    ``clock`` gives the journal's time, ``sleep`` spends the delays; both are a simulator's own where it has one.

    :raises NotConfigured: ``host`` cannot be the name of a folder, or it cannot be made.
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
        self._machine = Machine(root, host)
        self._disks = root.parent / "disks" if settings.shared_storage else self._machine.folder / "disks"
        self._faults = [fault for fault in settings.faults if fault.host in (None, host)]
        self._faults_left = [fault.count for fault in self._faults]
        try:
            self._machine.guests.mkdir(parents=True, exist_ok=True)
            self._disks.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise errors.NotConfigured(reason=f"Host {host} cannot be simulated under {root}: {error}.") from error

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
            there = self._machine.read(guest.uuid)
            if disk is DiskSource.REPLACED:
                self._require_lost_disk(guest.uuid, cause)
            if disk is DiskSource.EXISTING:
                self._require_disk(guest.uuid)
            else:
                self._make_disk(guest, cause)
            wanted = replace(there, guest=guest) if there else GuestFile(guest, PowerState.SHUTDOWN)
            if disk is DiskSource.REPLACED:
                wanted = replace(wanted, replaced_by=work_of(cause))
            if wanted == there:
                return
            self._machine.note(self._clock(), guest.uuid, Event.DEFINED, cause)
            self._machine.write(wanted)

    def power_on(self, uuid: str, cause: str, keys: Sequence[Key] = ()) -> None:
        """Start the guest; it needs its disk to be there still."""
        with self._operation("power_on", uuid, self._settings.power_on_seconds), self._machine.lent(keys):
            self._start(self._require_guest(uuid), cause)

    def power_off(self, uuid: str, cause: str, *, hard: bool = False) -> None:  # noqa: ARG002 - nobody inside to ask
        """Stop the guest."""
        with self._operation("power_off", uuid, self._settings.power_off_seconds):
            file = self._machine.read(uuid)
            if file:
                self._machine.stop(file, self._clock(), cause)

    def reboot_softly(self, uuid: str, cause: str) -> bool:  # noqa: ARG002 - see above
        """Say that it did not."""
        with self._operation("reboot_softly", uuid):
            return False

    def reboot(self, uuid: str, cause: str, keys: Sequence[Key] = ()) -> None:
        """Stop and start the guest."""
        seconds = self._settings.power_off_seconds + self._settings.power_on_seconds
        with self._operation("reboot", uuid, seconds), self._machine.lent(keys):
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

    def set_aside(self, uuid: str, cause: str) -> None:  # noqa: ARG002 - the journal tells of guests, not of disks
        """Hide the disk."""
        with self._operation("set_aside", uuid):
            if self._disk(uuid).exists():
                self._disk(uuid).rename(self._disks / f".{uuid}.{self._clock():.0f}.aside")

    def take_keys_back(self) -> None:
        """Forget what a process left here that died in the middle of a start."""
        with self._operation("take_keys_back"):
            self._machine.take_keys_back()

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
        if kind is FaultKind.FULL:
            reason = f"{operation} failed on host {self.host}: No space left on device (a simulated fault)."
            return errors.DriverError(reason=reason)
        if kind is FaultKind.REFUSE:
            reason = f"The hypervisor of host {self.host} refused {operation} (a simulated fault)."
            return errors.DriverError(reason=reason)
        return errors.HypervisorUnknown(host=self.host, reason=f"{operation} took too long (a simulated fault)")

    def _require_guest(self, uuid: str) -> GuestFile:
        file = self._machine.read(uuid)
        if file is None:
            raise errors.GuestNotFound(host=self.host, uuid=uuid)
        return file

    def _start(self, file: GuestFile, cause: str) -> None:
        if file.power_state is PowerState.RUNNING:
            return
        self._require_disk(file.guest.uuid)
        missing = [key_id for key_id in file.guest.key_ids if not self._machine.has_key(key_id)]
        if missing:
            reason = f"The disk of instance {file.guest.uuid} is encrypted and host {self.host} has not its key."
            raise errors.DriverError(reason=reason)
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

    def _require_lost_disk(self, uuid: str, cause: str) -> None:
        disk = self._disk(uuid)
        if disk.exists() and work_of(json.loads(disk.read_text())["made_by"]) != work_of(cause):
            raise errors.DiskNotLost(uuid=uuid, host=self.host, path=disk)

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

"""The contract that every hypervisor driver keeps.

Making a guest exist and starting it are two calls, so that an evacuation which ends stopped is a ``define`` and nothing
else. Every call is idempotent: after a crash it is simply made again. An operation that certainly did not happen raises
:class:`~evacuator.errors.DriverError` or one of its children; when nobody knows, the hypervisor being silent or too
slow, it raises :class:`~evacuator.errors.HypervisorUnknown`. No call blocks without limit.

``cause`` says on whose behalf: ``"migration 7 attempt 2"`` or the id of a request. It is kept with each effect.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from evacuator.evacuation.states import PowerState
from evacuator.keys.manager import Key


def work_of(cause: str) -> str:
    """Return of a cause what each attempt at the same work has in common: ``migration 7``."""
    return cause.partition(" attempt ")[0]


class DiskSource(StrEnum):
    """Where the disk of a guest comes from when it is defined."""

    EXISTING = "existing"
    """It must be there already; a disk that is not there is an error, never replaced."""
    NEW = "new"
    """A new instance: made from its image; one that is there already, made by an earlier attempt, is kept."""
    REPLACED = "replaced"
    """Lost with its host: made anew from its image. Only an attempt at the same evacuation may have made one before;
    another one that is there is an error, since it was not lost."""


@dataclass(frozen=True)
class Guest:
    """What a hypervisor must know of an instance. Memory in MiB, disk in GiB.

    ``definition``: what its first hypervisor was told, in that one's own language, of a guest that was adopted; without
    it the guest is made from the rest. ``key_ids``: the keys without which it cannot be started.
    """

    uuid: str
    name: str
    vcpus: int
    memory_mb: int
    disk_gb: int
    image_ref: str | None
    project_id: str
    definition: str | None = field(default=None, repr=False)
    key_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class KnownGuest:
    """A guest that the hypervisor knows; ``marked``: it carries our mark, so that we made or adopted it.

    ``replaced_by``: the work, as of ``work_of``, for which its disk was made anew; None where the disk is an older one.
    """

    uuid: str
    power_state: PowerState
    marked: bool
    replaced_by: str | None = None

    @property
    def running(self) -> bool:
        """Whether it executes, or could go on without anybody's order (paused by an I/O error, say)."""
        return self.power_state in (PowerState.RUNNING, PowerState.PAUSED)


@dataclass(frozen=True)
class HypervisorFacts:
    """What a hypervisor is and has. Memory in MiB, storage in GiB.

    ``storage_id``: hosts that give the same one keep their instances' disks on the same storage.
    """

    hypervisor_hostname: str
    hypervisor_type: str
    hypervisor_version: int
    host_ip: str
    vcpus: int
    memory_mb: int
    local_gb: int
    storage_id: str
    cpu_info: dict[str, object]


class Driver(Protocol):
    """One hypervisor on one host."""

    host: str

    def facts(self) -> HypervisorFacts:
        """Return what the hypervisor is and has; that it answers is what lets its host beat."""

    def inventory(self) -> Sequence[KnownGuest]:
        """Return every guest that the hypervisor knows, running or not, ours or not."""

    def find(self, uuid: str) -> KnownGuest | None:
        """Return one guest; None when the hypervisor does not know it."""

    def define(self, guest: Guest, disk: DiskSource, cause: str) -> None:
        """Make the guest exist, powered off. One that exists already is left as it is, running or not.

        A REPLACED disk is made unless the guest is here with the one that an earlier attempt at the same work made.
        What was made of it goes again when the guest cannot be defined.

        :raises DiskMissing: ``disk`` is EXISTING and it is not there.
        :raises DiskNotLost: ``disk`` is REPLACED and another one is there.
        """

    def power_on(self, uuid: str, cause: str, keys: Sequence[Key] = ()) -> None:
        """Start the guest; one that runs is left alone.

        ``keys`` open its encrypted disks. The hypervisor has them for no longer than the call takes, however that ends.
        The call follows a proof that this host may, so that nothing is started once it has waited for long.

        :raises GuestNotFound: it was never defined here.
        :raises DiskInUse: another process writes to its disk.
        """

    def power_off(self, uuid: str, cause: str, *, hard: bool = False) -> None:
        """Stop the guest, at once where ``hard``; one that does not run, or is not known, is left alone."""

    def reboot_softly(self, uuid: str, cause: str) -> bool:
        """Have the guest restart by itself, and tell whether it did; nothing is ever started for it.

        False when there is no such guest, when it does not run or cannot be asked, or when it went off instead. Since
        that may take it as long as a shutdown, a ``reboot`` after it needs a proof of ownership of its own.
        """

    def reboot(self, uuid: str, cause: str, keys: Sequence[Key] = ()) -> None:
        """Stop and start the guest, for which ``keys`` may be needed; one that does not run is started.

        :raises GuestNotFound: it was never defined here.
        """

    def destroy(self, uuid: str, cause: str, *, disks: bool) -> None:
        """Stop the guest and forget it; delete its disks too where ``disks``. One that is not known is left alone."""

    def set_aside(self, uuid: str, cause: str) -> None:
        """Move the disk that an evacuation replaced out of the way: kept, and used by nobody. No disk, nothing to do.

        Its guest is not known here any more, and its storage is this host's alone.
        """

    def take_keys_back(self) -> None:
        """Have the hypervisor forget the keys that a start left with it whose process died; only those."""

    def watch(self, changed: Callable[[str, PowerState], None]) -> None:
        """Call ``changed`` (uuid, new state) whenever a guest's power state changes by itself, if the driver can."""

    def close(self) -> None:
        """Let go of the hypervisor; guests are not touched."""

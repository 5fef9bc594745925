"""The driver contract, kept with libvirt.

What is asked of libvirt on a dead host's behalf is little: an evacuation to SHUTOFF is one ``defineXML`` and a look at
the disks. A guest is started in one place only.
"""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import libvirt

from evacuator import errors
from evacuator.clock import boot_clock
from evacuator.evacuation.states import PowerState
from evacuator.keys.manager import Key
from evacuator.lanes import AllHang, Lanes, TimedOut
from evacuator.virt.driver import DiskSource, Guest, HypervisorFacts, KnownGuest, work_of
from evacuator.virt.libvirt import definition, domains, refusals
from evacuator.virt.libvirt.connection import Call, Connection, Listener
from evacuator.virt.libvirt.definition import Disk, HostChanges, Mark
from evacuator.virt.libvirt.loans import Loans
from evacuator.virt.libvirt.settings import LibvirtSettings
from evacuator.virt.libvirt.start import Start

LOG = logging.getLogger(__name__)

#: What an event says of the power state; others say nothing of it.
_EVENT_STATES = {
    libvirt.VIR_DOMAIN_EVENT_STARTED: PowerState.RUNNING,
    libvirt.VIR_DOMAIN_EVENT_RESUMED: PowerState.RUNNING,
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED: PowerState.PAUSED,
    libvirt.VIR_DOMAIN_EVENT_PMSUSPENDED: PowerState.PAUSED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED: PowerState.SHUTDOWN,
    libvirt.VIR_DOMAIN_EVENT_CRASHED: PowerState.CRASHED,
}

_POLL_SECONDS = 0.25


class _Hypervisors:
    """Which host of this process drives which hypervisor: one driven as two hosts would be evacuated onto itself."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._hosts: dict[str, str] = {}

    def claim(self, uri: str, host: str) -> None:
        with self._guard:
            other = self._hosts.setdefault(uri, host)
        if other != host:
            raise errors.NotConfigured(
                reason=f"Hosts {other} and {host} are both at {uri}. Give each its own connection_uri, in sections "
                f"[host:{other}] and [host:{host}]."
            )


_HYPERVISORS = _Hypervisors()


class LibvirtDriver:
    """Keeps the contract of :class:`~evacuator.virt.driver.Driver` with a libvirt daemon, here or elsewhere.

    :raises NotConfigured: another host of this process has the same hypervisor.
    """

    def __init__(self, host: str, settings: LibvirtSettings) -> None:
        _HYPERVISORS.claim(settings.uri, host)
        self.host = host
        self._settings = settings
        self._folder = settings.folder
        self._connection = Connection(host, settings.uri, settings.timing)
        self._listener = Listener(host, settings.uri, self._happened, self._rebooted)
        self._files = Lanes(f"{host} files")
        self._prompt = settings.prompt
        self._loans = Loans(host, self._prompt)
        self._facts: tuple[int, HypervisorFacts] | None = None
        self._events: queue.SimpleQueue[tuple[str, PowerState] | None] = queue.SimpleQueue()
        self._watched = False
        self._reboots: dict[str, threading.Event] = {}

    # -- what is there

    def facts(self) -> HypervisorFacts:
        """Return what the hypervisor is and has: once for each connection, which then only has to answer."""
        known = self._facts

        def question(call: Call) -> tuple[int, HypervisorFacts | dict[str, Any]]:
            if known is not None and known[0] == call.generation:
                call.conn.numOfDomains()
                return known
            return call.generation, domains.node_facts(call.conn)

        generation, found = self._connection.ask(question)
        if self._watched:
            # The host answers; whoever listens may still hang. Where there is no thread now, the next beat tries again.
            with contextlib.suppress(RuntimeError):
                self._listener.listen()
        if isinstance(found, HypervisorFacts):
            return found
        facts = self._complete(found)
        self._facts = (generation, facts)
        return facts

    def inventory(self) -> Sequence[KnownGuest]:
        """Return every guest that the daemon knows.

        Where somebody has set autostart on a guest of ours it is taken away again: after a power failure the host would
        start it by itself, whoever runs it by then.
        """

        def question(call: Call) -> list[KnownGuest]:
            domains.take_autostart_away(call.conn, self.host)
            found = call.conn.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, 0)
            known = [domains.known(domain, statistics.get("state.state")) for domain, statistics in found]
            return [guest for guest in known if guest is not None]

        return self._connection.ask(question)

    def find(self, uuid: str) -> KnownGuest | None:
        """Return one guest, or None."""

        def question(call: Call) -> KnownGuest | None:
            domain = domains.lookup(call.conn, uuid)
            return domains.known(domain, None) if domain is not None else None

        return self._connection.ask(question)

    # -- effects

    def define(self, guest: Guest, disk: DiskSource, cause: str) -> None:
        """Make the guest exist: as it was told on its first host if it was adopted, else from the template.

        The disks are looked for where QEMU will look for them, by the daemon: this process may be on another machine.
        A guest whose disks are not all there is forgotten again.
        """
        if disk is DiskSource.REPLACED:
            self._define_anew(guest, cause)
            return
        if disk is DiskSource.NEW and guest.definition is None:
            self._on_files(lambda: self._folder.make(guest), self._settings.timing.effect)
        self._define_as_told(guest, Mark(cause))

    def _define_anew(self, guest: Guest, cause: str) -> None:
        """Make the disk, unless the guest is here with the one that an earlier attempt made.

        A guest that is here for another reason proves nothing: its disk may be the one that is said to be lost.
        """
        folder, patience, begun = self._folder, self._settings.timing.effect, boot_clock()
        self._require_own_files(guest.uuid)
        there = self.find(guest.uuid)
        if there is None or there.replaced_by != work_of(cause):
            self._on_files(lambda: folder.make_again(guest), patience)
        try:
            self._define_as_told(guest, Mark(cause, replaced=True))
        except errors.DriverError:
            # Whoever was frozen meanwhile may have made what another host uses by now.
            if boot_clock() - begun <= self._prompt:
                self._on_files(lambda: folder.unmake(guest.uuid), patience)
            raise
        self._on_files(lambda: folder.leave(guest.uuid), patience)

    def _define_as_told(self, guest: Guest, mark: Mark) -> None:
        if guest.definition is not None:
            told, snapshots = definition.unbundle(guest.definition, guest.uuid)
            changes = self._settings.changes
        else:
            told = self._settings.template.fill_in(guest, str(self._folder.path_of(guest.uuid)))
            changes, snapshots = HostChanges(), []
        xml = definition.for_this_host(told, guest.uuid, changes, mark)
        self._connection.do(lambda call: self._define(call, guest.uuid, xml, snapshots, mark))

    def power_on(self, uuid: str, cause: str, keys: Sequence[Key] = ()) -> None:
        """Start the guest, or let it go on if it is paused."""
        # Its age begins here: a log that blocks must not make it look fresh.
        start = Start(uuid, cause, keys)
        LOG.info("%s: power on %s [%s]", self.host, uuid, cause)
        self._connection.do(lambda call: self._start(call, self._require(call.conn, uuid), start))

    def power_off(self, uuid: str, cause: str, *, hard: bool = False) -> None:
        """Ask the guest to shut down; switch it off when it does not in time, or at once where ``hard``."""
        LOG.info("%s: power off %s [%s]", self.host, uuid, cause)
        if not hard and self._connection.ask(lambda call: domains.ask_to_shut_down(call.conn, uuid)):
            deadline = time.monotonic() + self._settings.shutdown_timeout
            while time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
                found = self.find(uuid)
                if found is None or not found.running:
                    return
        self._connection.do(lambda call: self._kill(call, uuid))

    def reboot_softly(self, uuid: str, cause: str) -> bool:
        """Have the guest restart within its QEMU: at the power button, or by a reset when nothing comes of that.

        False also when nobody would hear that it has: then it cannot be told from a guest that does not react.
        """
        LOG.info("%s: soft reboot of %s [%s]", self.host, uuid, cause)
        if not self._listener.listen(self._settings.timing.call):
            return False
        rebooted = self._reboots.setdefault(uuid, threading.Event())
        try:
            if not self._connection.ask(lambda call: self._ask_to_reboot(call, uuid)):
                return False
            if not rebooted.wait(self._settings.shutdown_timeout):
                self._connection.do(lambda call: self._reset(call, uuid))
        finally:
            self._reboots.pop(uuid, None)
        return self._connection.ask(lambda call: domains.runs(call.conn, uuid))

    def reboot(self, uuid: str, cause: str, keys: Sequence[Key] = ()) -> None:
        """Switch the guest off and start it."""
        start = Start(uuid, cause, keys)
        LOG.info("%s: hard reboot of %s [%s]", self.host, uuid, cause)

        def effect(call: Call) -> None:
            domain = self._require(call.conn, uuid)
            self._kill(call, uuid)
            self._start(call, domain, start)

        self._connection.do(effect)

    def destroy(self, uuid: str, cause: str, *, disks: bool) -> None:
        """Stop the guest, delete its disks where ``disks``, and forget it.

        Only what we made is deleted, not what an adopted guest brought. The guest is forgotten last, so that a call
        which is repeated still finds its disks. One that could not be defined has left its disk all the same. Where a
        disk is taken back that this very work made anew, what is kept beside it (firmware variables, the state of a
        TPM) stays: it may be an older disk's, which cannot be opened without.
        """
        begun = boot_clock()
        taken_back = False

        def stop(call: Call) -> list[Disk] | None:
            nonlocal taken_back
            domain = domains.lookup(call.conn, uuid)
            if domain is None:
                return None
            known = domains.known(domain, None)
            taken_back = known is not None and known.replaced_by == work_of(cause)
            self._kill(call, uuid)
            return definition.disks_of(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))

        LOG.info("%s: destroy %s%s [%s]", self.host, uuid, " with its disks" if disks else "", cause)
        found = self._connection.do(stop)
        files = disks and self._delete_disks(uuid, found, begun) and not taken_back
        if found is not None:
            self._connection.do(lambda call: self._forget(call, uuid, files=files))

    def _delete_disks(self, uuid: str, found: list[Disk] | None, begun: float) -> bool:
        """Delete the disk that was made here; tell whether that was the only one that the guest had.

        ``found``: those that the guest has; None where there is no guest.
        """
        if found is None:
            named = [str(self._folder.path_of(uuid))]
        else:
            named = [disk.path or f"{disk.target} ({disk.kind})" for disk in found if disk.written]

        def delete() -> list[str]:
            # Whoever was frozen on the way here, or waited for the storage, may come to a disk that is another host's.
            if boot_clock() - begun > self._prompt:
                reason = f"it took too long to come to the disks of instance {uuid}, so none was deleted"
                raise errors.HypervisorUnknown(host=self.host, reason=reason)
            return self._folder.delete(uuid, named)

        left: list[str] = self._on_files(delete, self._settings.timing.effect)
        if left:
            LOG.warning("%s: not ours, so not deleted with %s: %s", self.host, uuid, ", ".join(left))
        # Of a guest without disks, too, the firmware variables are what its owner brought.
        return bool(named) and not left

    def set_aside(self, uuid: str, cause: str) -> None:
        """Rename the disk."""
        self._require_own_files(uuid)
        aside = self._on_files(lambda: self._folder.set_aside(uuid), self._settings.timing.effect)
        if aside is not None:
            LOG.warning(
                "%s: the disk that %s had here was replaced, and is kept as %s [%s]", self.host, uuid, aside, cause
            )

    def take_keys_back(self) -> None:
        """Have the daemon forget what a start left with it whose process died."""
        self._connection.do(lambda call: self._loans.take_back(call.conn))

    # -- events

    def watch(self, changed: Callable[[str, PowerState], None]) -> None:
        """Pass on what libvirt tells of its guests, in a thread of our own."""
        self._watched = True
        self._listener.listen()
        threading.Thread(target=self._pass_on, args=(changed,), name=f"{self.host} events", daemon=True).start()

    def close(self) -> None:
        """Let go of the connection."""
        self._events.put(None)
        self._listener.close()
        self._connection.close()
        self._files.close()

    # -- how

    def _complete(self, node: dict[str, Any]) -> HypervisorFacts:
        settings, folder = self._settings, self._folder

        def storage() -> tuple[str, int]:
            return settings.storage_id or folder.storage_id(), settings.local_gb or folder.size_gb()

        try:
            storage_id, local_gb = self._on_files(storage, settings.timing.call)
        except OSError as error:
            reason = (
                f"{folder.instances} cannot be used: {error}. Mount it where this process runs, or set storage_id and "
                "local_gb in [libvirt]"
            )
            raise errors.HypervisorUnknown(host=self.host, reason=reason) from error
        memory_mb = int(node["memory_mb"] * settings.ram_allocation_ratio) - settings.reserved_memory_mb
        return HypervisorFacts(
            hypervisor_hostname=node["hostname"],
            hypervisor_type=node["type"],
            hypervisor_version=node["version"],
            host_ip=settings.host_ip or node["address"],
            vcpus=max(1, int(node["cpus"] * settings.cpu_allocation_ratio)),
            memory_mb=max(1, memory_mb),
            local_gb=local_gb,
            storage_id=storage_id,
            cpu_info=node["cpu_info"],
        )

    def _define(self, call: Call, uuid: str, xml: str, snapshots: Sequence[str], mark: Mark) -> None:
        domain = domains.lookup(call.conn, uuid)
        there = domain is not None and domain.isPersistent()
        call.require_wanted()
        # One whose disk is new has to say so, by whatever it was here before.
        if not there or (mark.replaced and not domain.isActive()):
            LOG.info("%s: define %s [%s]", self.host, uuid, mark.cause)
            with self._explained(uuid):
                domain = call.conn.defineXML(xml)
        if domain.autostart():
            domain.setAutostart(0)
        if domain.isActive():
            return
        try:
            with self._explained(uuid):
                domains.check_disks(domain)
        except errors.DriverError:
            if not there:
                domains.forget(call.conn, domain, files=False)
            raise
        with self._explained(uuid):
            domains.know_snapshots(domain, snapshots)

    def _start(self, call: Call, domain: Any, start: Start) -> None:
        """The one place where a guest is started."""
        state, active = domain.state()[0], domain.isActive()
        sleeps = state in (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PMSUSPENDED)
        if active and not sleeps:
            return
        self._require_prompt(call, start)
        with self._explained(start.uuid):
            if state == libvirt.VIR_DOMAIN_PAUSED:
                domain.resume()
            elif state == libvirt.VIR_DOMAIN_PMSUSPENDED:
                domain.pMWakeup()
            else:
                with self._loans.lent(call, start.keys, start.cause):
                    domains.create(domain, lambda: self._require_prompt(call, start))

    def _require_prompt(self, call: Call, start: Start) -> None:
        call.require_wanted()
        start.require_prompt(self.host, self._prompt, boot_clock())

    def _kill(self, call: Call, uuid: str) -> None:
        domain = domains.lookup(call.conn, uuid)
        if domain is None or not domain.isActive():
            return
        call.require_wanted()
        try:
            domain.destroy()
        except libvirt.libvirtError as error:
            # After a restart of the daemon it may say that the guest does not run, although it has just killed it.
            if Connection.is_about_connection(error):
                raise
            if domains.runs(call.conn, uuid):
                raise refusals.meaning(error, self.host, uuid) from error

    def _forget(self, call: Call, uuid: str, *, files: bool) -> None:
        domain = domains.lookup(call.conn, uuid)
        if domain is None or not domain.isPersistent():
            return
        call.require_wanted()
        try:
            domains.forget(call.conn, domain, files=files)
        except libvirt.libvirtError as error:
            if domains.lookup(call.conn, uuid) is not None:
                raise refusals.meaning(error, self.host, uuid) from error

    def _ask_to_reboot(self, call: Call, uuid: str) -> bool:
        """Press the power button; False when there is nobody to feel it."""
        domain = domains.lookup(call.conn, uuid)
        if domain is None or domain.state()[0] not in (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_BLOCKED):
            return False
        with self._explained(uuid):
            domain.reboot(libvirt.VIR_DOMAIN_REBOOT_ACPI_POWER_BTN)
        return True

    def _reset(self, call: Call, uuid: str) -> None:
        domain = domains.lookup(call.conn, uuid)
        if domain is not None and domain.isActive():
            call.require_wanted()
            with self._explained(uuid):
                domain.reset()

    def _require(self, conn: Any, uuid: str) -> Any:
        domain = domains.lookup(conn, uuid)
        if domain is None:
            raise errors.GuestNotFound(host=self.host, uuid=uuid)
        return domain

    def _require_own_files(self, uuid: str) -> None:
        """Refuse what needs the files of this host alone where they are another machine's.

        This process would find its own machine's there, or another host's.
        """
        if self._settings.is_remote:
            raise errors.FilesOutOfReach(uuid=uuid, host=self.host)

    @contextlib.contextmanager
    def _explained(self, uuid: str) -> Iterator[None]:
        """Say what a refusal means, unless it is the connection that is at fault."""
        try:
            yield
        except libvirt.libvirtError as error:
            if Connection.is_about_connection(error):
                raise
            raise refusals.meaning(error, self.host, uuid) from error

    def _on_files(self, work: Callable[[], Any], timeout: float) -> Any:
        try:
            return self._files.call(work, timeout)
        except (TimedOut, AllHang):
            reason = f"{self._folder.instances} does not answer within {timeout:g} seconds"
            raise errors.HypervisorUnknown(host=self.host, reason=reason) from None

    def _happened(self, uuid: str, event: int, _detail: int) -> None:
        state = _EVENT_STATES.get(event)
        if self._watched and state is not None:
            self._events.put((uuid, state))

    def _rebooted(self, uuid: str) -> None:
        waiting = self._reboots.get(uuid)
        if waiting is not None:
            waiting.set()

    def _pass_on(self, changed: Callable[[str, PowerState], None]) -> None:
        while (event := self._events.get()) is not None:
            try:
                changed(*event)
            except Exception:
                LOG.exception("%s: what became of %s could not be recorded", self.host, event[0])

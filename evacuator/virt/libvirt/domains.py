"""Questions to libvirt about its domains, asked in the thread of a call."""

import logging
import socket
from collections.abc import Callable, Sequence
from typing import Any

import libvirt

from evacuator.evacuation.states import PowerState
from evacuator.virt.driver import KnownGuest, work_of
from evacuator.virt.libvirt import definition, refusals
from evacuator.virt.libvirt.connection import Connection
from evacuator.virt.libvirt.definition import Mark

LOG = logging.getLogger(__name__)

#: libvirt's states. A guest that sleeps, or crashed and was kept, still has its QEMU: it could go on.
_POWER_STATES = {
    libvirt.VIR_DOMAIN_NOSTATE: PowerState.NOSTATE,
    libvirt.VIR_DOMAIN_RUNNING: PowerState.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: PowerState.RUNNING,
    libvirt.VIR_DOMAIN_PAUSED: PowerState.PAUSED,
    libvirt.VIR_DOMAIN_SHUTDOWN: PowerState.RUNNING,
    libvirt.VIR_DOMAIN_SHUTOFF: PowerState.SHUTDOWN,
    libvirt.VIR_DOMAIN_CRASHED: PowerState.PAUSED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: PowerState.PAUSED,
}

#: What keeps libvirt from forgetting a guest. Managed memory of a guest that goes on elsewhere must not come back.
_FORGET = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
)
#: A daemon of this version, and its client, can be told what to do with the state of a TPM; older ones delete it.
_KNOWS_TPM = 8_009_000

_METADATA = libvirt.VIR_DOMAIN_METADATA_ELEMENT


def node_facts(conn: Any) -> dict[str, Any]:
    """Return what a host is and has."""
    model, memory_mb, cpus, _mhz, _nodes, sockets, cores, threads = conn.getInfo()
    hostname = conn.getHostname()
    return {
        "hostname": hostname,
        "type": conn.getType(),
        "version": conn.getVersion(),
        "address": _address(hostname),
        "memory_mb": memory_mb,
        "cpus": cpus,
        "cpu_info": {
            "arch": model,
            **_cpu(conn.getCapabilities()),
            "topology": {"sockets": sockets, "cores": cores, "threads": threads},
        },
    }


def _cpu(capabilities: str) -> dict[str, object]:
    host = definition.parse(capabilities, "A host's description").getElementsByTagName("host")[0]
    cpus = host.getElementsByTagName("cpu")
    if not cpus:
        return {"vendor": "", "model": "", "features": []}
    return {
        "vendor": definition.text_of(cpus[0], "vendor"),
        "model": definition.text_of(cpus[0], "model"),
        "features": [feature.getAttribute("name") for feature in cpus[0].getElementsByTagName("feature")],
    }


def _address(hostname: str) -> str:
    try:
        return socket.gethostbyname(hostname)
    except OSError:
        return "127.0.0.1"


def lookup(conn: Any, uuid: str) -> Any:
    """Return a domain, or None."""
    try:
        return conn.lookupByUUIDString(uuid)
    except libvirt.libvirtError as error:
        if refusals.code_of(error) == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def known(domain: Any, state: int | None) -> KnownGuest | None:
    """Return what a caller sees of a domain; None when it has just gone."""
    try:
        found = domain.state()[0] if state is None else state
        crashed = found == libvirt.VIR_DOMAIN_CRASHED and not domain.isActive()
        power_state = PowerState.CRASHED if crashed else _POWER_STATES.get(found, PowerState.NOSTATE)
        mark = mark_of(domain)
        replaced_by = work_of(mark.cause) if mark is not None and mark.replaced else None
        return KnownGuest(domain.UUIDString(), power_state, mark is not None, replaced_by)
    except libvirt.libvirtError as error:
        if refusals.code_of(error) == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def mark_of(domain: Any, flags: int = 0) -> Mark | None:
    """Return our mark; None on what we neither made nor adopted."""
    try:
        return definition.mark_of(domain.metadata(_METADATA, definition.NAMESPACE, flags))
    except libvirt.libvirtError as error:
        if refusals.code_of(error) == libvirt.VIR_ERR_NO_DOMAIN_METADATA:
            return None
        raise


def take_autostart_away(conn: Any, host: str) -> None:
    """Have no guest of ours started by the host itself."""
    for domain in conn.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART):
        try:
            if mark_of(domain) is not None:
                LOG.warning("%s: somebody set autostart on guest %s; it is taken away", host, domain.UUIDString())
                domain.setAutostart(0)
        except libvirt.libvirtError as error:
            if refusals.code_of(error) != libvirt.VIR_ERR_NO_DOMAIN:
                raise


def runs(conn: Any, uuid: str) -> bool:
    """Whether a guest runs, or could go on."""
    domain = lookup(conn, uuid)
    try:
        return domain is not None and bool(domain.isActive())
    except libvirt.libvirtError as error:
        if refusals.code_of(error) == libvirt.VIR_ERR_NO_DOMAIN:
            return False
        raise


def forget(conn: Any, domain: Any, *, files: bool) -> None:
    """Undefine a guest. Firmware variables and TPM state are disks in all but name: where ``files`` they go, too."""
    verb = "" if files else "KEEP_"
    names = ["NVRAM", "TPM"] if conn.getLibVersion() >= _KNOWS_TPM else ["NVRAM"]
    flags = [getattr(libvirt, f"VIR_DOMAIN_UNDEFINE_{verb}{name}", 0) for name in names]
    domain.undefineFlags(_FORGET | sum(flags))


def ask_to_shut_down(conn: Any, uuid: str) -> bool:
    """Press the power button; False when there is nobody to feel it."""
    domain = lookup(conn, uuid)
    if domain is None or domain.state()[0] not in (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_BLOCKED):
        return False
    try:
        domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
    except libvirt.libvirtError as error:
        if Connection.is_about_connection(error):
            raise
        LOG.info("%s cannot be asked to shut down: %s", uuid, error)
        return False
    return True


def create(domain: Any, require_prompt: Callable[[], None]) -> None:
    """Start a guest that does not run, for which ``require_prompt`` raises when it is too late."""
    require_prompt()
    try:
        domain.create()
    except libvirt.libvirtError as error:
        if domain.isActive():
            return  # somebody else was quicker
        if not refusals.gave_no_reason(error):
            raise
        # Once more, for the reason.
        require_prompt()
        domain.create()


def check_disks(domain: Any) -> None:
    """Have the daemon open every disk, where QEMU will look for it.

    :raises libvirtError: one is not there, or may not be opened.
    """
    for disk in definition.disks_of(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)):
        if disk.path is not None and not disk.optional:
            domain.blockInfo(disk.path)


def know_snapshots(domain: Any, snapshots: Sequence[str]) -> None:
    """Have libvirt know the snapshots that another host made; those that it knows already are left as they are."""
    known = set(domain.snapshotListNames()) if snapshots else set()
    for xml in snapshots:
        name = definition.text_of(definition.parse_element(xml, "A snapshot's description"), "name")
        if name not in known:
            domain.snapshotCreateXML(xml, libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE)

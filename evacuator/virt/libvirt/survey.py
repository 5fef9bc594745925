"""What a domain's XML says of whether another host could run the guest. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from posixpath import normpath
from xml.dom.minidom import Element

from evacuator.virt.libvirt import definition
from evacuator.virt.libvirt.definition import child, children, disks_of, parse_element, secrets_of, text_of

#: Kinds of disks that are where the network is.
_NETWORK = "network"

#: What QEMU boots a guest with when no boot loader does, by its element, and as what it is told of.
_BOOTED = {"kernel": "kernel", "initrd": "initial RAM disk", "dtb": "device tree"}

_UNITS = {"b": 1, "bytes": 1, "kib": 1 << 10, "k": 1 << 10, "mib": 1 << 20, "m": 1 << 20, "gib": 1 << 30, "g": 1 << 30}


@dataclass(frozen=True)
class Size:
    """What a guest takes of its host. Memory in MiB."""

    vcpus: int
    memory_mb: int


def size_of(xml: str) -> Size:
    """Return what a guest takes."""
    domain = _domain(xml)
    memory = child(domain, "memory")
    unit = (memory.getAttribute("unit") if memory is not None else "") or "KiB"
    octets = int(text_of(domain, "memory") or 0) * _UNITS.get(unit.lower(), 1 << 10)
    return Size(vcpus=int(text_of(domain, "vcpu") or 1), memory_mb=max(1, octets >> 20))


def obstacles(xml: str, shared: Sequence[str]) -> list[str]:
    """Return, in sentences, why another host could not run the guest; empty when it could.

    ``shared``: what paths that every host has begin with.
    """
    domain = _domain(xml)
    return [
        *_of_disks(xml, shared),
        *_of_boot(domain, shared),
        *_of_firmware(domain, shared),
        *_of_devices(domain),
    ]


def notes(xml: str) -> Iterator[str]:
    """Yield, in sentences, what has to be known of the guest's keys."""
    for secret in secrets_of(xml):
        if secret.uuid:
            yield f"it is encrypted: only who may read secret {secret.uuid} can start it; evacuating it needs no key"
        else:
            yield (
                f"it is encrypted, with a secret that is named by its usage ({secret.usage}): only a host that has it "
                "for good can start it, since key managers know secrets by their ids"
            )


def _domain(xml: str) -> Element:
    return parse_element(xml, "A domain's description")


def _on_shared(path: str, shared: Iterable[str]) -> bool:
    return any(normpath(path).startswith(_beginning(prefix)) for prefix in shared)


def _beginning(prefix: str) -> str:
    """Return what normal paths begin with: a folder, or the first part of the names of block devices."""
    plain = normpath(prefix)
    return plain if prefix.endswith("-") else f"{plain.rstrip('/')}/"


def _of_disks(xml: str, shared: Sequence[str]) -> Iterator[str]:
    for disk in disks_of(xml):
        if disk.path is None and disk.kind != _NETWORK:
            yield f"disk {disk.target} is of type {disk.kind}, which says nothing of where it is"
        elif disk.path is not None and not disk.optional and not _on_shared(disk.path, shared):
            yield f"disk {disk.target} ({disk.path}) is not on a path that every host has"


def _of_boot(domain: Element, shared: Sequence[str]) -> Iterator[str]:
    for what, path in _booted_with(domain):
        if path and not _on_shared(path, shared):
            yield f"its {what} ({path}) is not on a path that every host has"


def _booted_with(domain: Element) -> Iterator[tuple[str, str]]:
    """Yield the files that QEMU gives a guest when it starts, each with what it is; empty where it is none."""
    os = child(domain, "os")
    if os is not None:
        yield from ((what, text_of(os, name)) for name, what in _BOOTED.items())
        for acpi in children(os, "acpi"):
            yield from (("ACPI table", definition.own_text(each)) for each in children(acpi, "table"))
    for info in children(domain, "sysinfo"):
        yield from (("firmware setting", each.getAttribute("file")) for each in children(info, "entry"))


def _of_firmware(domain: Element, shared: Sequence[str]) -> Iterator[str]:
    os = child(domain, "os")
    nvram = child(os, "nvram") if os is not None else None
    if os is None or (nvram is None and os.getAttribute("firmware") != "efi"):
        return
    path = ""
    if nvram is not None:
        source = child(nvram, "source")
        path = (source.getAttribute("file") if source is not None else "") or definition.own_text(nvram)
    if not _on_shared(path, shared):
        where = path or "wherever libvirt keeps them"
        yield f"its firmware's variables ({where}) are not on a path that every host has"


def _of_devices(domain: Element) -> Iterator[str]:
    devices = child(domain, "devices")
    if devices is None:
        return
    for device in children(devices, "hostdev"):
        yield f"a {device.getAttribute('type') or 'host'} device of its host is passed through to it"
    for interface in children(devices, "interface"):
        if interface.getAttribute("type") == "hostdev":
            yield "a network card of its host is passed through to it"
    for filesystem in children(devices, "filesystem"):
        source = child(filesystem, "source")
        yield f"a folder of its host is passed through to it ({source.getAttribute('dir') if source else '?'})"
    for tpm in children(devices, "tpm"):
        backend = child(tpm, "backend")
        yield f"the state of its TPM ({backend.getAttribute('type') if backend else '?'}) is kept on its host"
    for memory in children(devices, "memory"):
        if memory.getAttribute("model") in ("nvdimm", "virtio-pmem"):
            yield "its persistent memory is kept on its host"

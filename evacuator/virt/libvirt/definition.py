"""What is read from and written into the XML of a domain. Pure: no libvirt, no files.

Documents are changed as documents, not as data, so that whatever we do not know in them (namespaces, comments, the
order of things) stays as it was. They come from libvirt and from the operator.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from string import Template
from xml.dom.minidom import Document, Element, Text, parseString
from xml.parsers.expat import ExpatError
from xml.sax.saxutils import escape

from evacuator import errors
from evacuator.virt.driver import Guest

#: The namespace of our mark in a domain's metadata, and the name of the one element in it.
NAMESPACE = "urn:evacuator:instance:1"
PREFIX = "evacuator"
_ELEMENT = "instance"
_BUNDLE = "guest"

_EVERYWHERE = frozenset({"", "127.0.0.1", "::1", "0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on


@dataclass(frozen=True)
class Disk:
    """One disk of a domain; ``path`` is None where it is neither a file nor a block device.

    ``optional``: the guest starts without it.
    """

    target: str
    kind: str
    path: str | None
    device: str = "disk"
    readonly: bool = False
    shareable: bool = False
    optional: bool = False

    @property
    def written(self) -> bool:
        """Whether what the guest writes goes there, and to nobody else's."""
        return self.device == "disk" and not self.readonly and not self.shareable


@dataclass(frozen=True)
class Secret:
    """What opens an encrypted disk: named by its ``uuid``, or else by what it is used for."""

    uuid: str
    usage: str = ""


@dataclass(frozen=True)
class HostChanges:
    """What an adopted guest's definition says differently on this host; None leaves a thing as it was."""

    graphics_listen: str | None = None
    emulator: str | None = None
    cpu_mode: str | None = None


@dataclass(frozen=True)
class Mark:
    """What we write into a domain's metadata.

    ``autostart``: it was set before we took it away. ``replaced``: its disk was made anew, for ``cause``.
    """

    cause: str
    autostart: bool = False
    replaced: bool = False

    @property
    def xml(self) -> str:
        """The element, as libvirt takes it."""
        flags = "".join(f" {name}='yes'" for name in self.flags)
        return f"<{_ELEMENT} cause='{escape(self.cause, {chr(39): '&apos;'})}'{flags}/>"

    @property
    def flags(self) -> list[str]:
        """The names of what is set."""
        return [name for name, is_set in (("autostart", self.autostart), ("replaced", self.replaced)) if is_set]


def parse(xml: str, what: str) -> Document:
    """Read a document.

    :raises DriverError: it is none.
    """
    try:
        return parseString(xml)  # noqa: S318 - from libvirt or from the operator
    except ExpatError as error:
        raise errors.DriverError(reason=f"{what} is not XML: {error}.") from error


def parse_element(xml: str, what: str) -> Element:
    """Read a document and return its element.

    :raises DriverError: it is none.
    """
    element = parse(xml, what).documentElement
    assert element is not None  # noqa: S101 - a document without an element is not XML, and was refused
    return element


class DomainTemplate:
    """The domain XML that new instances are made from.

    :raises NotConfigured: with values filled in it is no domain of that name and uuid.
    """

    def __init__(self, text: str, virt_type: str, source: str) -> None:
        self._template = Template(text)
        self._virt_type = virt_type
        trial = Guest("11111111-2222-4333-8444-555555555555", "trial", 1, 64, 1, None, "trial")
        try:
            xml = self.fill_in(trial, "/trial")
            domain = parse(xml, source).documentElement
        except (KeyError, ValueError) as error:
            raise errors.NotConfigured(reason=f"[libvirt] template {source}: unknown or broken ${error}.") from error
        except errors.DriverError as error:
            raise errors.NotConfigured(reason=f"[libvirt] template: {error}") from error
        if domain is None or (text_of(domain, "name"), text_of(domain, "uuid")) != (trial.name, trial.uuid):
            raise errors.NotConfigured(
                reason=f"[libvirt] template {source} has to have <name>$name</name> and <uuid>$uuid</uuid>."
            )

    def fill_in(self, guest: Guest, disk: str) -> str:
        """Return the domain XML of a new guest whose disk is at ``disk``."""
        values = {
            "uuid": guest.uuid,
            "name": guest.name,
            "vcpus": guest.vcpus,
            "memory_mb": guest.memory_mb,
            "disk_gb": guest.disk_gb,
            "project_id": guest.project_id,
            "virt_type": self._virt_type,
            "disk": disk,
        }
        quotes = {'"': "&quot;", "'": "&apos;"}
        return self._template.substitute({name: escape(str(value), quotes) for name, value in values.items()})


def bundle(xml: str, snapshots: Sequence[str]) -> str:
    """Return what is stored of a guest: its definition, and what libvirt knows of its snapshots, parents first."""
    if not snapshots:
        return xml
    return f"<{_BUNDLE}>{''.join((xml, *snapshots))}</{_BUNDLE}>"


def unbundle(stored: str, uuid: str) -> tuple[str, list[str]]:
    """Return the definition and the snapshots again.

    :raises DriverError: it is not what :func:`bundle` made.
    """
    root = parse(stored, f"The stored definition of instance {uuid}").documentElement
    if root is None or root.tagName != _BUNDLE:
        return stored, []
    parts = [node for node in root.childNodes if isinstance(node, Element)]
    if not parts:
        raise errors.DriverError(reason=f"The stored definition of instance {uuid} is empty.")
    xml, *snapshots = [str(part.toxml()) for part in parts]
    return xml, snapshots


def for_this_host(xml: str, uuid: str, changes: HostChanges, mark: Mark) -> str:
    """Return the definition of guest ``uuid`` with our mark, and with what is different on this host.

    A mark that is there stays: it may know of the autostart that the guest had.

    :raises DriverError: it is not a definition, or another guest's.
    """
    document = parse(xml, f"The stored definition of instance {uuid}")
    domain = document.documentElement
    if domain is None or text_of(domain, "uuid").lower() != uuid.lower():
        raise errors.DriverError(reason=f"The stored definition of instance {uuid} is not that of a domain of this id.")
    _add_mark(document, domain, mark)
    if changes.graphics_listen:
        _listen_at(domain, changes.graphics_listen)
    if changes.emulator:
        _use_emulator(document, domain, changes.emulator)
    if changes.cpu_mode:
        _use_cpu(document, domain, changes.cpu_mode)
    return str(domain.toxml())


def disks_of(xml: str) -> list[Disk]:
    """Return the disks of a domain, in their order; a drive without a medium has none."""
    domain = parse(xml, "A domain's description").documentElement
    devices = child(domain, "devices") if domain is not None else None
    if devices is None:
        return []
    return [disk for element in children(devices, "disk") if (disk := _disk(element)) is not None]


def secrets_of(xml: str) -> list[Secret]:
    """Return the secrets that open the encrypted disks of a domain, each once, in their order."""
    domain = parse_element(xml, "A domain's description")
    devices = child(domain, "devices")
    named = [
        Secret(secret.getAttribute("uuid").lower(), secret.getAttribute("usage"))
        for disk in (children(devices, "disk") if devices is not None else ())
        # Below the disk or its source, and below what it is backed by.
        for encryption in disk.getElementsByTagName("encryption")
        for secret in children(encryption, "secret")
    ]
    return list(dict.fromkeys(named))


def mark_of(xml: str) -> Mark | None:
    """Read our mark, as libvirt gives that element of a domain's metadata."""
    element = parse(xml, "Our mark").documentElement
    if element is None:
        return None
    autostart, replaced = (element.getAttribute(name) == "yes" for name in ("autostart", "replaced"))
    return Mark(element.getAttribute("cause"), autostart, replaced)


def text_of(element: Element, name: str) -> str:
    """Return the text of the first child called ``name``; empty when there is none."""
    found = child(element, name)
    return own_text(found) if found is not None else ""


def own_text(element: Element) -> str:
    """Return an element's own text."""
    return "".join(node.data for node in element.childNodes if isinstance(node, Text)).strip()


def children(element: Element, name: str) -> list[Element]:
    """Return the children called ``name``."""
    return [node for node in element.childNodes if isinstance(node, Element) and node.tagName == name]


def child(element: Element, name: str) -> Element | None:
    """Return the first child called ``name``."""
    return next(iter(children(element, name)), None)


def _disk(element: Element) -> Disk | None:
    kind = element.getAttribute("type")
    source, target = child(element, "source"), child(element, "target")
    if source is None or not (source.hasAttributes() or source.hasChildNodes()):
        return None
    path = source.getAttribute({"file": "file", "block": "dev"}.get(kind, "")) or None
    return Disk(
        target=target.getAttribute("dev") if target is not None else "",
        kind=kind,
        path=path,
        device=element.getAttribute("device") or "disk",
        readonly=child(element, "readonly") is not None,
        shareable=child(element, "shareable") is not None,
        optional=source.getAttribute("startupPolicy") in ("optional", "requisite"),
    )


def _add_mark(document: Document, domain: Element, mark: Mark) -> None:
    metadata = child(domain, "metadata")
    if metadata is None:
        metadata = document.createElement("metadata")
        domain.appendChild(metadata)
    for node in metadata.childNodes:
        if isinstance(node, Element) and node.namespaceURI == NAMESPACE:
            # On whatever host that was so, it is not what is defined here.
            if node.hasAttribute("replaced"):
                node.removeAttribute("replaced")
            return
    element = document.createElementNS(NAMESPACE, f"{PREFIX}:{_ELEMENT}")
    element.setAttribute(f"xmlns:{PREFIX}", NAMESPACE)
    element.setAttribute("cause", mark.cause)
    for name in mark.flags:
        element.setAttribute(name, "yes")
    metadata.appendChild(element)


def _listen_at(domain: Element, address: str) -> None:
    """Move consoles that listen on an address of the host they were on; those open to all or to none stay so."""
    for graphics in domain.getElementsByTagName("graphics"):
        for element in (graphics, *children(graphics, "listen")):
            name = "listen" if element is graphics else "address"
            if element.getAttribute(name) not in _EVERYWHERE:
                element.setAttribute(name, address)


def _use_emulator(document: Document, domain: Element, path: str) -> None:
    devices = child(domain, "devices")
    if devices is None:
        return
    element = child(devices, "emulator")
    if element is None:
        element = document.createElement("emulator")
        devices.insertBefore(element, devices.firstChild)
    while element.firstChild is not None:
        element.removeChild(element.firstChild)
    element.appendChild(document.createTextNode(path))


def _use_cpu(document: Document, domain: Element, mode: str) -> None:
    """Replace the CPU, but not its topology and its NUMA cells: guests count their CPUs by them."""
    cpu = document.createElement("cpu")
    cpu.setAttribute("mode", mode)
    there = child(domain, "cpu")
    if there is None:
        domain.appendChild(cpu)
        return
    for name in ("topology", "numa"):
        for kept in children(there, name):
            cpu.appendChild(kept)
    domain.replaceChild(cpu, there)

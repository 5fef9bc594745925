"""Take domains that exist already under management, and give them back.

Of a domain nothing is changed but our mark in its metadata, and its autostart, which the mark remembers.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import libvirt
from oslo_config import cfg

from evacuator import errors
from evacuator.evacuation.states import PowerState
from evacuator.virt.libvirt import definition, domains, refusals, survey
from evacuator.virt.libvirt.connection import Call, Connection
from evacuator.virt.libvirt.definition import Mark
from evacuator.virt.libvirt.settings import LibvirtSettings

T = TypeVar("T")

_GIB = 1 << 30
_EMPTY = "  <metadata/>\n"
_DEFINITION = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE


@dataclass(frozen=True)
class Found:
    """A domain, and what speaks against evacuating it. Memory in MiB, disk in GiB.

    ``marked``: it is under management already. ``notes``: what its owner should know.
    """

    uuid: str
    name: str
    vcpus: int
    memory_mb: int
    disk_gb: int
    power_state: PowerState
    marked: bool
    obstacles: Sequence[str]
    notes: Sequence[str]


@dataclass(frozen=True)
class Taken:
    """What another host must know of a domain: its definition, and the ids of the secrets that open its disks."""

    definition: str
    key_ids: Sequence[str]


class Adoption:
    """Works on the domains of one host; ``shared``: what paths that every host has begin with."""

    def __init__(self, connection: Connection, shared: Sequence[str]) -> None:
        self._connection = connection
        self._shared = shared

    @property
    def uri(self) -> str:
        """Where the host is."""
        return self._connection.uri

    def survey(self) -> list[Found]:
        """Return every domain of the host, by name.

        :raises DriverError: they cannot be read.
        """
        try:
            found = self._connection.do(lambda call: [self._found(each) for each in call.conn.listAllDomains()])
        except libvirt.libvirtError as error:
            reason = f"The domains of host {self._connection.host} cannot be read: {error}."
            raise errors.DriverError(reason=reason) from error
        return sorted((each for each in found if each is not None), key=lambda each: each.name)

    def take(self, uuid: str, cause: str) -> Taken:
        """Put our mark on a domain and its autostart away; return what it is. May be repeated.

        :raises GuestNotFound: there is no such domain.
        """

        def effect(call: Call) -> Taken:
            domain = self._require(call.conn, uuid)
            if domains.mark_of(domain) is None:
                _set_mark(domain, Mark(cause, autostart=bool(domain.autostart())).xml)
            if domain.autostart():
                domain.setAutostart(0)
            snapshots = domain.listAllSnapshots(libvirt.VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL)
            xml = domain.XMLDesc(_DEFINITION)
            known = [each.getXMLDesc(libvirt.VIR_DOMAIN_SNAPSHOT_XML_SECURE) for each in snapshots]
            key_ids = [secret.uuid for secret in definition.secrets_of(xml) if secret.uuid]
            return Taken(definition.bundle(xml, known), key_ids)

        return self._effect(uuid, effect)

    def let_go(self, uuid: str) -> None:
        """Take our mark off a domain and give it its autostart back. May be repeated.

        :raises GuestNotFound: there is no such domain.
        """

        def effect(call: Call) -> None:
            domain = self._require(call.conn, uuid)
            mark = domains.mark_of(domain, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
            if mark is None:
                return
            if mark.autostart:
                domain.setAutostart(1)
            _set_mark(domain, None)
            # libvirt leaves the empty element behind, which was not there before.
            left = domain.XMLDesc(_DEFINITION)
            if _EMPTY in left:
                call.conn.defineXML(left.replace(_EMPTY, "", 1))

        self._effect(uuid, effect)

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def _effect(self, uuid: str, effect: Callable[[Call], T]) -> T:
        try:
            return self._connection.do(effect)
        except libvirt.libvirtError as error:
            raise refusals.meaning(error, self._connection.host, uuid) from error

    def _require(self, conn: Any, uuid: str) -> Any:
        domain = domains.lookup(conn, uuid)
        if domain is None:
            raise errors.GuestNotFound(host=self._connection.host, uuid=uuid)
        return domain

    def _found(self, domain: Any) -> Found | None:
        """Look at a domain; None when it has just gone."""
        try:
            return self._look_at(domain)
        except libvirt.libvirtError as error:
            if refusals.code_of(error) == libvirt.VIR_ERR_NO_DOMAIN:
                return None
            raise

    def _look_at(self, domain: Any) -> Found:
        known = domains.known(domain, None)
        xml = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        size = survey.size_of(xml)
        obstacles = survey.obstacles(xml, self._shared)
        if not domain.isPersistent():
            obstacles.append("it is transient: libvirt forgets it when it stops")
        return Found(
            uuid=domain.UUIDString(),
            name=domain.name(),
            vcpus=size.vcpus,
            memory_mb=size.memory_mb,
            disk_gb=_disk_gb(domain, xml),
            power_state=known.power_state if known is not None else PowerState.NOSTATE,
            marked=known is not None and known.marked,
            obstacles=obstacles,
            notes=[*_notes(domain), *survey.notes(xml)],
        )


def adoption_on(conf: cfg.ConfigOpts, host: str) -> Adoption:
    """Reach the domains of a configured host.

    :raises NotConfigured: the configuration cannot be used.
    """
    settings = LibvirtSettings.from_conf(conf, host)
    shared = [conf.libvirt.instances_path, conf.libvirt.images_path, *conf.libvirt.shared_paths]
    return Adoption(Connection(host, settings.uri, settings.timing), shared)


def _set_mark(domain: Any, xml: str | None) -> None:
    where = libvirt.VIR_DOMAIN_AFFECT_CONFIG | (libvirt.VIR_DOMAIN_AFFECT_LIVE if domain.isActive() else 0)
    key = definition.PREFIX if xml is not None else None
    domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, xml, key, definition.NAMESPACE, where)


def _disk_gb(domain: Any, xml: str) -> int:
    octets = 0
    for disk in definition.disks_of(xml):
        if disk.path is not None and disk.written:
            try:
                octets += domain.blockInfo(disk.path)[0]
            except libvirt.libvirtError as error:
                if Connection.is_about_connection(error):
                    raise
    return -(-octets // _GIB)


def _notes(domain: Any) -> Iterator[str]:
    if domain.autostart():
        yield "its autostart is taken away: after a power failure its host would start it, whoever runs it by then"
    if domain.hasManagedSaveImage():
        yield "its saved memory stays on its host: evacuated, it boots anew"

"""What a host's driver is told by the configuration."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from oslo_config import cfg

from evacuator import errors
from evacuator.conf.libvirt import of_host
from evacuator.virt.libvirt.connection import Timing
from evacuator.virt.libvirt.definition import DomainTemplate, HostChanges
from evacuator.virt.libvirt.disks import DiskFolder


@dataclass(frozen=True)
class LibvirtSettings:
    """How a host is reached, and what is different on it."""

    uri: str
    template: DomainTemplate
    folder: DiskFolder
    timing: Timing
    service_down_time: float = 60.0
    shutdown_timeout: float = 60.0
    storage_id: str | None = None
    local_gb: int | None = None
    host_ip: str | None = None
    cpu_allocation_ratio: float = 4.0
    ram_allocation_ratio: float = 1.0
    reserved_memory_mb: int = 512
    changes: HostChanges = field(default_factory=HostChanges)

    @property
    def prompt(self) -> float:
        """Within how many seconds what needs a proof is done: after half of the down time that is too old.

        The other half of an effect's time is for QEMU; what has to come before it must not use up the proof.
        """
        return min(self.timing.effect, self.service_down_time) / 2

    @property
    def is_remote(self) -> bool:
        """Whether the hypervisor is on another machine."""
        return bool(urlsplit(self.uri).hostname)

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts, host: str) -> Self:
        """Read the group ``[libvirt]`` and the host's own, ``[host:NAME]``.

        :raises NotConfigured: a value cannot be used.
        """
        group = conf.libvirt
        uri = of_host(conf, host, "connection_uri")
        if not uri:
            raise errors.NotConfigured(reason=f"[host:{host}] connection_uri is empty.")
        return cls(
            uri=uri,
            template=_template(group.template, group.virt_type),
            folder=DiskFolder(
                host=host,
                instances=Path(group.instances_path),
                images=Path(group.images_path),
                copies=group.disk_from_image == "copy",
                mode=_mode(group.disk_mode),
                # Whoever waits for a disk as long as for any effect is to hear why there is none.
                patience=group.effect_timeout * 0.9,
            ),
            timing=Timing(call=group.call_timeout, effect=group.effect_timeout),
            service_down_time=conf.service_down_time,
            shutdown_timeout=group.shutdown_timeout,
            storage_id=of_host(conf, host, "storage_id"),
            local_gb=group.local_gb,
            host_ip=of_host(conf, host, "host_ip"),
            cpu_allocation_ratio=group.cpu_allocation_ratio,
            ram_allocation_ratio=group.ram_allocation_ratio,
            reserved_memory_mb=group.reserved_memory_mb,
            changes=HostChanges(
                graphics_listen=of_host(conf, host, "graphics_listen"),
                emulator=of_host(conf, host, "emulator"),
                cpu_mode=of_host(conf, host, "cpu_mode"),
            ),
        )


def _template(path: str | None, virt_type: str) -> DomainTemplate:
    file = Path(path) if path else Path(__file__).with_name("template.xml")
    try:
        return DomainTemplate(file.read_text(), virt_type, str(file))
    except OSError as error:
        raise errors.NotConfigured(reason=f"[libvirt] template cannot be read: {error}.") from error


def _mode(text: str) -> int:
    try:
        return int(text, 8)
    except ValueError as error:
        raise errors.NotConfigured(reason=f"[libvirt] disk_mode = {text} is not an octal number.") from error

"""``[libvirt]``: hypervisors that libvirt drives; and ``[host:NAME]``, what is different for one of them."""

from collections.abc import Sequence

from oslo_config import cfg

from evacuator.conf.finite import FiniteOpt
from evacuator.errors import NotConfigured

GROUP = cfg.OptGroup(
    "libvirt",
    title="Hypervisors driven through libvirt",
    help="Only with [compute] driver = libvirt. A section [host:NAME] overrides connection_uri, storage_id, host_ip, "
    "graphics_listen, emulator and cpu_mode for one host: in all-in-one, which manages several, and in a file that is "
    "the same on every machine.",
)

OPTS = [
    cfg.StrOpt(
        "connection_uri",
        default="qemu:///system",
        help="Where libvirt is: qemu:///system on this machine, qemu+ssh://USER@HOST/system?no_tty=1 or "
        "qemu+tls://HOST/system on another.",
    ),
    cfg.StrOpt(
        "instances_path",
        default="/var/lib/evacuator/instances",
        help="Where the disks of new instances are made: the same path on every host, on storage that they share. "
        "Making and deleting disks needs it on the machine that this process runs on, evacuating does not.",
    ),
    cfg.StrOpt(
        "images_path",
        default="/var/lib/evacuator/images",
        help="Where images are, as NAME.qcow2, NAME.raw or NAME.img (raw). Unless disks are copies, every host needs "
        "it.",
    ),
    cfg.StrOpt(
        "disk_from_image",
        default="overlay",
        choices=[
            ("overlay", "the disk holds what differs from the image, which has to stay as it is"),
            ("copy", "the disk holds everything"),
        ],
        help="How the disk of a new instance is made from its image.",
    ),
    cfg.StrOpt(
        "disk_mode",
        default="0640",
        help="The permissions of a new disk, in octal. libvirt gives a disk to the user that QEMU runs as; where it "
        "cannot (session mode, storage that does not let root do so) that user has to have access already.",
    ),
    cfg.StrOpt(
        "template",
        help="A file with the domain XML that new instances are made from. $uuid, $name, $vcpus, $memory_mb, $disk_gb, "
        "$project_id, $virt_type and $disk (the path of its disk) stand for what they say; $$ is a dollar sign. If not "
        "set: a small guest with a virtio disk and a network card on libvirt's default network.",
    ),
    cfg.StrOpt(
        "virt_type",
        default="kvm",
        choices=[("kvm", "with hardware virtualisation"), ("qemu", "without")],
        help="What $virt_type in the template stands for.",
    ),
    cfg.ListOpt(
        "shared_paths",
        default=[],
        sample_default="/srv/vms, /dev/mapper/san-",
        help="What the paths of disks that every host has begin with, besides instances_path and images_path. A guest "
        "is adopted only if all of its disks, and what it is booted with, are on such paths or on the network.",
    ),
    cfg.StrOpt(
        "storage_id",
        help="Names the storage that instances_path is on. Hosts with the same one share it. If not set: what the file "
        ".evacuator-storage in instances_path says, which is made when it is missing.",
    ),
    cfg.IntOpt(
        "local_gb",
        min=1,
        help="Disk space, in GiB. If not set: that of the file system of instances_path.",
    ),
    cfg.StrOpt("host_ip", help="The host's address, for display. If not set: that of the name that libvirt gives."),
    FiniteOpt("cpu_allocation_ratio", default=4.0, min=0.1, help="Virtual CPUs for each CPU of a host."),
    FiniteOpt("ram_allocation_ratio", default=1.0, min=0.1, help="Guests' memory for each byte of a host's."),
    cfg.IntOpt("reserved_memory_mb", default=512, min=0, help="Memory of each host that guests do not get, in MiB."),
    FiniteOpt(
        "call_timeout",
        default=10.0,
        min=0.1,
        help="Seconds after which a hypervisor that was asked something counts as silent. Connecting is part of it.",
    ),
    FiniteOpt(
        "effect_timeout",
        default=60.0,
        min=0.1,
        help="The same for what changes something: defining, starting and killing a guest, making a disk.",
    ),
    FiniteOpt(
        "shutdown_timeout",
        default=60.0,
        min=0,
        help="Seconds that a guest has to shut down by itself before it is switched off.",
    ),
    cfg.StrOpt(
        "graphics_listen",
        help="The address on which the console of an adopted guest listens here, instead of the one that it had on its "
        "own host. If not set: as it was.",
    ),
    cfg.StrOpt("emulator", help="The path of QEMU here, for adopted guests. If not set: as it was."),
    cfg.StrOpt(
        "cpu_mode",
        choices=[
            ("host-passthrough", "the CPU of this host"),
            ("host-model", "the nearest model that libvirt knows"),
            ("maximum", "whatever QEMU can do here"),
        ],
        help="The CPU that adopted guests get here. If not set: as it was.",
    ),
]

#: What a section ``[host:NAME]`` may say of one host.
HOST_OPTIONS = ("connection_uri", "storage_id", "host_ip", "graphics_listen", "emulator", "cpu_mode")


def register(conf: cfg.ConfigOpts) -> None:
    """Register the options of this module with ``conf``."""
    conf.register_opts(OPTS, group=GROUP.name)


def host_sections(conf: cfg.ConfigOpts) -> list[str]:
    """Return the hosts that have a section ``[host:NAME]`` of their own."""
    return [name.removeprefix("host:") for name in conf.list_all_sections() if name.startswith("host:")]


def require_sections_of(conf: cfg.ConfigOpts, hosts: Sequence[str]) -> None:
    """Make sure that every section ``[host:NAME]`` is one of ``hosts``, and says what can be said there.

    Who mistypes a name would have that host looked for where all others without a section are.

    :raises NotConfigured: one is not.
    """
    for name in host_sections(conf):
        if name not in hosts:
            raise NotConfigured(
                reason=f"There is a section [host:{name}], but no such host among {', '.join(hosts)}: correct the one "
                "or the other."
            )
    _require_known_options(conf)


def require_section_for(conf: cfg.ConfigOpts, host: str) -> None:
    """Make sure that the hypervisor of ``host`` is the one that is meant, where those of others are told.

    Without a section of its own a name that is mistyped leads to the hypervisor of this machine, whose guests are then
    taken for that host's.

    :raises NotConfigured: sections say where other hosts are, and none is this one's; or one says what means nothing.
    """
    hosts, here = host_sections(conf), conf.libvirt.connection_uri
    elsewhere = sorted(name for name in hosts if of_host(conf, name, "connection_uri") != here)
    if elsewhere and host not in hosts:
        raise NotConfigured(
            reason=f"There is no section [host:{host}], but one for {', '.join(elsewhere)}. Correct the name (--host, "
            f"or host in [DEFAULT]); or, if {host} is where {here} leads from here, write [host:{host}] into the "
            "configuration, which may be empty."
        )
    _require_known_options(conf)


def _require_known_options(conf: cfg.ConfigOpts) -> None:
    for file in conf.config_file:
        sections: dict[str, dict[str, list[str]]] = {}
        cfg.ConfigParser(file, sections).parse()
        for name, options in sections.items():
            unknown = sorted(set(options) - set(HOST_OPTIONS)) if name.startswith("host:") else []
            if unknown:
                raise NotConfigured(
                    reason=f"[{name}] has {', '.join(unknown)}, which means nothing there. It may have "
                    f"{', '.join(HOST_OPTIONS)}."
                )


def of_host(conf: cfg.ConfigOpts, host: str, option: str) -> str | None:
    """Return what is configured for one host: in its own section, else for all of them."""
    value = _own(conf, host, option)
    return value if value is not None else conf.libvirt[option]


def says_where(conf: cfg.ConfigOpts, host: str) -> bool:
    """Whether the section of ``host`` has a ``connection_uri`` of its own, which is the same from every machine."""
    return _own(conf, host, "connection_uri") is not None


def _own(conf: cfg.ConfigOpts, host: str, option: str) -> str | None:
    section = f"host:{host}"
    conf.register_opts([cfg.StrOpt(name) for name in HOST_OPTIONS], group=section)
    value: str | None = conf[section][option]
    return value

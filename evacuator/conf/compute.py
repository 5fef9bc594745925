"""``[DEFAULT]`` and ``[compute]``: the compute service of a host, and how it carries out evacuations.

The names in ``[DEFAULT]`` are Nova's.
"""

import socket

from oslo_config import cfg

from evacuator.conf.finite import FiniteOpt

DEFAULT_OPTS = [
    cfg.StrOpt(
        "host",
        default=socket.gethostname(),
        sample_default="<the name of this machine>",
        help="The name of this host in the services API. It must stay the same for as long as instances are on it.",
    ),
    FiniteOpt(
        "report_interval",
        default=10,
        min=0.01,
        help="Seconds between two heartbeats of a compute service.",
    ),
    FiniteOpt(
        "service_down_time",
        default=60,
        min=0.05,
        help="Seconds of silence after which a compute service counts as down, provided that another one was heard "
        "all that time. Several times report_interval.",
    ),
]

GROUP = cfg.OptGroup("compute", title="The compute service")

OPTS = [
    cfg.StrOpt(
        "driver",
        default="simulated",
        choices=[
            ("simulated", "guests are files in the state directory; nothing really runs"),
            ("libvirt", "QEMU/KVM guests through libvirt"),
        ],
        help="What drives the hypervisor.",
    ),
    cfg.IntOpt(
        "max_concurrent_evacuations",
        default=8,
        min=1,
        help="How many evacuations a host takes in at once; the others wait.",
    ),
    FiniteOpt(
        "sweep_interval",
        default=5,
        min=0.01,
        help="Seconds between two looks for evacuations to this host whose message was lost.",
    ),
    FiniteOpt(
        "orphan_interval",
        default=30,
        min=0.01,
        help="Seconds, give or take some, between two looks for evacuations whose destination fell silent before the "
        "instance was its own; they go to another host.",
    ),
    FiniteOpt(
        "clean_interval",
        default=30,
        min=0.01,
        help="Seconds between two comparisons of the hypervisor's inventory with the database; guests that were "
        "evacuated from here are stopped and removed.",
    ),
    FiniteOpt(
        "power_sync_interval",
        default=60,
        min=0.01,
        help="Seconds between two comparisons of the guests' power states with the database.",
    ),
    FiniteOpt(
        "claim_timeout",
        default=300,
        min=0.01,
        help="Seconds after which an evacuation that its destination has not begun goes to another host, even if the "
        "destination reports up. If no other host can have it, it waits as long as the destination works on others, "
        "and fails otherwise.",
    ),
    cfg.IntOpt(
        "max_assignments",
        default=3,
        min=1,
        help="How many hosts an evacuation is given to, one after another, before it fails.",
    ),
    cfg.StrOpt(
        "metrics_address",
        default="127.0.0.1",
        help="The address on which `evacuator compute` shows its metrics to whoever asks. all-in-one shows them on the "
        "API's.",
    ),
    cfg.PortOpt("metrics_port", help="The port for that. If not set: nowhere."),
    cfg.BoolOpt(
        "rebuild_from_image",
        default=False,
        help="Whether an instance whose disk was lost with its host may be made anew from its image on another one. "
        "What was written to the disk is then gone, unless that host comes back: it keeps the old one, under another "
        "name.",
    ),
]


def register(conf: cfg.ConfigOpts) -> None:
    """Register the options of this module with ``conf``."""
    conf.register_opts(DEFAULT_OPTS)
    conf.register_opts(OPTS, group=GROUP.name)

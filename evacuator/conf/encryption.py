"""``[encryption]``: who has the keys of encrypted disks."""

from oslo_config import cfg

from evacuator.conf.finite import FiniteOpt

GROUP = cfg.OptGroup(
    "encryption",
    title="Encrypted disks",
    help="Evacuating a guest whose disks are encrypted needs no key, starting it does. To be set alike for the API and "
    "on the hosts.",
)

OPTS = [
    cfg.StrOpt(
        "key_source",
        default="none",
        choices=[
            ("none", "nobody: encrypted guests are evacuated, and not started"),
            ("castellan", "Barbican, or what [key_manager] backend names, asked for whoever starts the guest"),
            ("hypervisors", "every hypervisor has got the keys for good, so that nothing is fetched"),
        ],
        help="Who has the keys.",
    ),
    FiniteOpt(
        "key_timeout",
        default=10.0,
        min=0.1,
        help="Seconds after which a key manager that was asked for a key counts as silent.",
    ),
    FiniteOpt(
        "caller_timeout",
        default=9.0,
        min=0,
        help="Seconds for which the start of an encrypted guest waits for the message that brings its caller's token. "
        "After that the message counts as lost, and the next look ([compute] sweep_interval) finds it: the start "
        "fails, an evacuation ends with the guest off.",
    ),
]


def register(conf: cfg.ConfigOpts) -> None:
    """Register the options of this module with ``conf``."""
    conf.register_opts(OPTS, group=GROUP.name)

"""``[upgrade_levels]``: what the messages between services may contain. ``transport_url`` is oslo.messaging's own."""

from oslo_config import cfg

GROUP = cfg.OptGroup("upgrade_levels", title="Pins for rolling upgrades")

OPTS = [
    cfg.StrOpt(
        "compute",
        help='The highest RPC version sent to compute services, such as "1.0", for as long as older ones listen. '
        "Below 1.1, which carries the target state, microversion 2.95 is refused. If not set: the newest.",
    ),
]


def register(conf: cfg.ConfigOpts) -> None:
    """Register the options of this module with ``conf``."""
    conf.register_opts(OPTS, group=GROUP.name)

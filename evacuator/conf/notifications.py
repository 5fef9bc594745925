"""``[notifications]``: whether the world is told what happens. Where to, is said in oslo.messaging's own section."""

from oslo_config import cfg

GROUP = cfg.OptGroup(
    "notifications",
    title="Notifications",
    help="In the form of Nova's versioned notifications. [oslo_messaging_notifications] says by which driver and to "
    "which broker; if it does not, by messagingv2 to the one that transport_url names.",
)

OPTS = [
    cfg.BoolOpt("enabled", default=False, help="Whether notifications are sent."),
    cfg.ListOpt(
        "versioned_notifications_topics",
        default=["versioned_notifications"],
        help="The topics that they are sent to.",
    ),
]


def register(conf: cfg.ConfigOpts) -> None:
    """Register the options of this module with ``conf``."""
    conf.register_opts(OPTS, group=GROUP.name)

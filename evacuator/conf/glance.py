"""``[glance]``: an OpenStack image service."""

from oslo_config import cfg

GROUP = cfg.OptGroup(
    "glance",
    title="An OpenStack image service",
    help="Where enabled, this section also takes the options by which every OpenStack service reaches another one: "
    "auth_type, auth_url, username, password, project_name and the rest of keystoneauth's, region_name, "
    "valid_interfaces, endpoint_override, cafile, and timeout, which is 10 seconds here.",
)

OPTS = [
    cfg.BoolOpt(
        "enabled",
        default=False,
        help="Take images from an OpenStack image service, instead of those that the driver has by itself: the folder "
        "[libvirt] images_path, or the one that simulated guests boot from. With auth_strategy = keystone it is asked "
        "with each caller's own token, else as the user that is named here.",
    ),
]


def register(conf: cfg.ConfigOpts) -> None:
    """Register the options of this module with ``conf``."""
    conf.register_opts(OPTS, group=GROUP.name)

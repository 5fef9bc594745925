"""``[api]``: the HTTP service."""

from oslo_config import cfg

GROUP = cfg.OptGroup("api", title="The HTTP API")

OPTS = [
    cfg.StrOpt(
        "auth_strategy",
        default="noauth",
        choices=[
            ("noauth", "whoever reaches the port is who they say they are: for one machine, or for trying it out"),
            ("http_basic", "users and passwords from a file"),
            ("keystone", "tokens of an OpenStack Keystone"),
        ],
        help="How callers prove who they are.",
    ),
    cfg.StrOpt(
        "http_basic_auth_user_file",
        default="/etc/evacuator/htpasswd",
        help="With auth_strategy = http_basic: the users and their passwords, hashed with bcrypt, as htpasswd -B "
        "writes them. Read again when it changes.",
    ),
    cfg.StrOpt(
        "http_basic_projects_file",
        help="With auth_strategy = http_basic: what each user is here, in lines of the form user:project:role,role. "
        "Who is given no roles is a member, and who is not listed is refused. Read again when it changes. If not set: "
        "every user is an administrator.",
    ),
    cfg.BoolOpt(
        "noauth_any_address",
        default=False,
        help="Allow auth_strategy = noauth on an address other than loopback. Everybody who reaches it is then an "
        "administrator.",
    ),
    cfg.BoolOpt(
        "enable_instance_password",
        default=True,
        help="Whether answers of the older microversions contain adminPass.",
    ),
    cfg.StrOpt(
        "compute_link_prefix",
        help="What clients see before the path of every link, such as https://cloud.example.org/compute, where a "
        "proxy stands in front. If not set: the address that the request was sent to.",
    ),
    cfg.IntOpt("max_limit", default=1000, min=1, help="How many items one page of a list holds at most."),
    cfg.IntOpt("max_body_bytes", default=114688, min=1, help="The largest body of a request, in bytes."),
    cfg.IntOpt("threads", default=8, min=1, help="How many requests a process answers at once."),
]


def register(conf: cfg.ConfigOpts) -> None:
    """Register the options of this module with ``conf``."""
    conf.register_opts(OPTS, group=GROUP.name)

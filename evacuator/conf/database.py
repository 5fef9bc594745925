"""``[database]``: where the truth is kept. oslo.db's own options are not registered."""

from oslo_config import cfg

GROUP = cfg.OptGroup("database", title="The database")

OPTS = [
    cfg.StrOpt(
        "connection",
        secret=True,
        help="The SQLAlchemy URL of the database, such as mysql+pymysql://USER:PASSWORD@HOST/evacuator or "
        "postgresql+psycopg://USER:PASSWORD@HOST/evacuator. all-in-one uses a SQLite file in its state directory "
        "unless this is set.",
    ),
    cfg.IntOpt(
        "max_retries",
        default=8,
        min=0,
        help="How many times a transaction is tried again after a deadlock or a lost connection.",
    ),
    cfg.IntOpt(
        "pool_size", default=20, min=1, help="How many connections a process keeps open; twice as many at peaks."
    ),
]


def register(conf: cfg.ConfigOpts) -> None:
    """Register the options of this module with ``conf``."""
    conf.register_opts(OPTS, group=GROUP.name)

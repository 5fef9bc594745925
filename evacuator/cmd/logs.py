"""Logging of the processes that serve."""

import logging

from oslo_config import cfg
from oslo_log import log


def register(conf: cfg.ConfigOpts) -> None:
    """Register the logging options; before the configuration is read."""
    log.register_options(conf)
    conf.set_default("use_stderr", default=True)
    # What a key manager refuses is told by whoever asked it, in our words and with the request's id.
    quiet = ["alembic=WARN", "barbicanclient=CRITICAL", "castellan=CRITICAL"]
    log.set_defaults(default_log_levels=[*log.get_default_log_levels(), *quiet])
    # A command that does not log says in a sentence what went wrong, and not also in a traceback.
    logging.getLogger("oslo_db").setLevel(logging.CRITICAL)


def start(conf: cfg.ConfigOpts) -> None:
    """Log as configured; to standard error unless told otherwise."""
    logging.getLogger("oslo_db").setLevel(logging.NOTSET)
    log.setup(conf, "evacuator")
    logging.captureWarnings(capture=True)

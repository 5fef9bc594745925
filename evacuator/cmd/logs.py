"""Logging of the processes that serve."""

import logging

from oslo_config import cfg
from oslo_log import log


def register(conf: cfg.ConfigOpts) -> None:
    """Register the logging options; before the configuration is read."""
    log.register_options(conf)
    conf.set_default("use_stderr", default=True)
    log.set_defaults(default_log_levels=[*log.get_default_log_levels(), "alembic=WARN"])
    # A command that does not log says in a sentence what went wrong, and not also in a traceback.
    logging.getLogger("oslo_db").setLevel(logging.CRITICAL)


def start(conf: cfg.ConfigOpts) -> None:
    """Log as configured; to standard error unless told otherwise."""
    logging.getLogger("oslo_db").setLevel(logging.NOTSET)
    log.setup(conf, "evacuator")
    logging.captureWarnings(capture=True)

"""Logging of the processes that serve."""

import logging

from oslo_config import cfg
from oslo_log import log

from evacuator.errors import NotConfigured


def register(conf: cfg.ConfigOpts) -> None:
    """Register the logging options; before the configuration is read."""
    log.register_options(conf)
    conf.set_default("use_stderr", default=True)
    # What a key manager refuses is told by whoever asked it, in our words and with the request's id; so is a database
    # that was asked in vain, of which oslo.db has 150 lines to say each time.
    quiet = ["alembic=WARN", "barbicanclient=CRITICAL", "castellan=CRITICAL", "oslo_db.api=CRITICAL"]
    log.set_defaults(default_log_levels=[*log.get_default_log_levels(), *quiet])
    # A command that does not log says in a sentence what went wrong, and not also in a traceback.
    logging.getLogger("oslo_db").setLevel(logging.CRITICAL)


def start(conf: cfg.ConfigOpts) -> None:
    """Log as configured; to standard error unless told otherwise.

    :raises NotConfigured: the log cannot be written as it is said to be.
    """
    logging.getLogger("oslo_db").setLevel(logging.NOTSET)
    try:
        log.setup(conf, "evacuator")
    except (OSError, log.LogConfigError) as error:
        raise NotConfigured(
            reason=f"The log cannot be written: {error}. See log_file, log_dir and log_config_append in [DEFAULT]."
        ) from error
    logging.captureWarnings(capture=True)

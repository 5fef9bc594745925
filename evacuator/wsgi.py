"""The WSGI entry point for any server: ``evacuator.wsgi:application``.

Configured by the files that ``EVACUATOR_CONFIG_FILE`` names (several are separated by colons), or by the default one.
"""

import os
from wsgiref.types import WSGIApplication

from oslo_config import cfg

from evacuator.cmd import logs, main, wiring
from evacuator.cmd.application import application_of


def _make() -> WSGIApplication:
    files = [file for file in os.environ.get("EVACUATOR_CONFIG_FILE", "").split(os.pathsep) if file]
    main.configure(cfg.CONF, files)
    logs.start(cfg.CONF)
    engine = wiring.engine_of(cfg.CONF, wiring.database_of(cfg.CONF), wiring.messaging_of(cfg.CONF))
    return application_of(cfg.CONF, engine)


application = _make()

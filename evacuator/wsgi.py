"""The WSGI entry point for any server: ``evacuator.wsgi:application``.

Configured by the files that ``EVACUATOR_CONFIG_FILE`` names (several are separated by colons), or by the default one.
Where they let everybody in, they have to say so in so many words: nobody knows who reaches the server.
"""

import os
from wsgiref.types import WSGIApplication

from oslo_config import cfg

from evacuator.cmd import logs, main, serving, wiring
from evacuator.cmd.application import application_of


def _make() -> WSGIApplication:
    files = [file for file in os.environ.get("EVACUATOR_CONFIG_FILE", "").split(os.pathsep) if file]
    main.configure(cfg.CONF, files)
    serving.check_unknown_address(cfg.CONF)
    logs.start(cfg.CONF)
    messaging = wiring.messaging_of(cfg.CONF)
    engine = wiring.engine_of(cfg.CONF, wiring.database_of(cfg.CONF), messaging)
    return application_of(cfg.CONF, engine, messaging.rush)


application = _make()

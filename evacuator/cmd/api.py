"""``evacuator api``: the HTTP service as a process of its own; run as many as you like."""

import argparse
from contextlib import ExitStack

from oslo_config import cfg

from evacuator.cmd import logs, serving, wiring
from evacuator.cmd.application import application_of
from evacuator.cmd.http_server import HttpServer
from evacuator.cmd.options import add_config_file, add_listen
from evacuator.errors import NotConfigured


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "api",
        help="serve the API",
        description="Serve the API. It keeps no state: run as many as you like on one database and one broker.",
    )
    add_listen(parser)
    add_config_file(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop."""
    conf = cfg.CONF
    serving.check_address(conf, args.listen)
    logs.start(conf)
    with serving.told_to_stop() as wait, ExitStack() as closing:
        database = wiring.database_of(conf)
        closing.callback(database.close)
        messaging = wiring.messaging_of(conf)
        closing.callback(messaging.close)
        application = application_of(conf, wiring.engine_of(conf, database, messaging), messaging.rush)
        try:
            server = HttpServer(application, args.listen, args.port, conf)
        except OSError as error:
            raise NotConfigured(reason=f"Cannot listen on {args.listen} port {args.port}: {error}.") from error
        server.start()
        closing.callback(server.stop, wiring.GRACE)
        print(server.url, flush=True)
        wiring.tell_systemd("READY=1")
        wait()
    return 0

"""``evacuator all-in-one``: the API and the compute managers of several hosts in one process."""

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from wsgiref.types import WSGIApplication

from oslo_config import cfg

from evacuator.cmd import logs, serving, state_dir, wiring
from evacuator.cmd.application import application_of
from evacuator.cmd.http_server import HttpServer
from evacuator.cmd.options import add_config_file, add_listen
from evacuator.compute.service import ComputeService
from evacuator.conf.libvirt import require_sections_of
from evacuator.db import schema
from evacuator.db.session import Database
from evacuator.errors import NotConfigured
from evacuator.rpc.transport import prefer_in_process
from evacuator.virt.driver import Driver


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "all-in-one",
        help="serve everything in one process",
        description="Serve the API and manage the given hosts in one process, with a SQLite file and no broker. "
        "Started again on the same state directory, it goes on where it was.",
    )
    parser.add_argument("--state-dir", metavar="D", type=Path, required=True, help="where everything is kept")
    parser.add_argument("--hosts", metavar="A,B,C", type=_names, required=True, help="the compute hosts to manage")
    parser.add_argument("--driver", choices=["simulated", "libvirt"], help="what drives the hypervisors")
    add_listen(parser)
    add_config_file(parser)
    parser.set_defaults(run=run)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or len(set(names)) != len(names):
        raise argparse.ArgumentTypeError("give the names of the hosts, separated by commas, each once")
    return names


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop."""
    conf = cfg.CONF
    if args.driver:
        conf.set_override("driver", args.driver, "compute")
    if conf.compute.driver == "libvirt":
        require_sections_of(conf, args.hosts)
    serving.check_address(conf, args.listen)
    prefer_in_process(conf)
    logs.start(conf)
    with serving.told_to_stop() as wait, ExitStack() as closing:
        directory = closing.enter_context(state_dir.held(args.state_dir))
        database = wiring.database_of(conf, default=state_dir.sqlite_url(directory))
        closing.callback(database.close)
        refuse_two_truths(directory, database)
        if not schema.is_newer(schema.current(database)):
            # Else a later release was here and was taken back: what it made of the schema this one can use as well.
            schema.upgrade(database)
        messaging = wiring.messaging_of(conf)
        closing.callback(messaging.close)
        engine = wiring.engine_of(conf, database, messaging)
        server = _bind(conf, application_of(conf, engine, messaging.rush), args)
        drivers = [wiring.driver_of(conf, host, directory) for host in args.hosts]
        services = [wiring.compute_service(conf, engine, messaging, driver) for driver in drivers]
        closing.callback(_at_once, [service.stop for service in services])
        _start(services, drivers)
        server.start()
        closing.callback(server.stop, wiring.GRACE)
        _announce(conf, server.url)
        wait()
    return 0


def refuse_two_truths(directory: Path, database: Database) -> None:
    """Refuse to serve another database than the one that the state directory has.

    Its hosts would come up there without their servers, and whoever moves a site finds the new database in use.

    :raises NotConfigured:
    """
    own = directory / state_dir.DATABASE
    if not own.is_file() or (database.file is not None and database.file.resolve() == own.resolve()):
        return
    raise NotConfigured(
        reason=f"{own} has the hosts and servers of this site, and [database] connection names another database. For "
        "many machines run `evacuator api` and `evacuator compute` in place of all-in-one; to go on with the file take "
        "connection out of the configuration; for all-in-one on that other database move the file away."
    )


def _bind(conf: cfg.ConfigOpts, application: WSGIApplication, args: argparse.Namespace) -> HttpServer:
    try:
        return HttpServer(application, args.listen, args.port, conf)
    except OSError as error:
        raise NotConfigured(
            reason=f"Cannot listen on {args.listen} port {args.port}: {error.strerror or error}. Is another process "
            "there? Choose another --port, or 0 for any free one."
        ) from error


def _at_once(calls: Sequence[Callable[[], bool | None]]) -> list[bool | None]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def _start(services: list[ComputeService], drivers: list[Driver]) -> None:
    ups = _at_once([service.start for service in services])
    for driver, up in zip(drivers, ups, strict=True):
        if not up:
            print(
                f"Host {driver.host} is not up: its hypervisor does not answer, or it must clean up first.",
                file=sys.stderr,
            )


def _announce(conf: cfg.ConfigOpts, url: str) -> None:
    print(serving.CLIENTS[conf.api.auth_strategy].format(endpoint=f"{url}/v2.1"), file=sys.stderr, flush=True)
    print(url, flush=True)
    wiring.tell_systemd("READY=1")

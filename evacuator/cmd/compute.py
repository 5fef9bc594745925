"""``evacuator compute``: the compute manager of one host as a process of its own."""

import argparse
from contextlib import ExitStack
from pathlib import Path

from oslo_config import cfg

from evacuator.cmd import logs, serving, wiring
from evacuator.cmd.options import add_config_file
from evacuator.conf.libvirt import require_section_for

#: The exit status when another manager took this one's place. Whoever starts it again takes it back.
SUPERSEDED = 3


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "compute",
        help="manage one host",
        description="Manage one host: carry out evacuations to it, clean up after evacuations away from it, report up. "
        "Exit status: 0 when it was told to stop, 3 when another process manages the host by now, or its service was "
        "deleted.",
    )
    parser.add_argument(
        "--host", metavar="H", type=_name, help="the host's name in the services API (default: [DEFAULT] host)"
    )
    parser.add_argument("--state-dir", metavar="D", type=Path, help="where simulated hypervisors are kept")
    add_config_file(parser)
    parser.set_defaults(run=run)


def _name(text: str) -> str:
    # What a unit makes of a variable that nobody set. This machine's name in its place would be another host.
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty: give the name that the host has in the services list")
    return text


def run(args: argparse.Namespace) -> int:
    """Manage the host until told to stop."""
    conf = cfg.CONF
    host = args.host or conf.host
    if conf.compute.driver == "libvirt":
        require_section_for(conf, host)
    logs.start(conf)
    with serving.told_to_stop() as wait, ExitStack() as closing:
        database = wiring.database_of(conf)
        closing.callback(database.close)
        messaging = wiring.messaging_of(conf)
        closing.callback(messaging.close)
        driver = wiring.driver_of(conf, host, args.state_dir)
        service = wiring.compute_service(conf, wiring.engine_of(conf, database, messaging), messaging, driver)
        closing.callback(service.stop)
        closing.callback(serving.show_metrics(conf))
        up = service.start()
        print(f"{driver.host} {'is up' if up else 'is not up yet'}", flush=True)
        wiring.tell_systemd("READY=1")
        wait(service.superseded)
    return SUPERSEDED if service.superseded.is_set() else 0

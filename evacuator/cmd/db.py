"""``evacuator db``: the schema of the database."""

import argparse

from oslo_config import cfg

from evacuator.cmd import wiring
from evacuator.cmd.options import add_config_file
from evacuator.db import schema


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = subparsers.add_parser("db", help="the schema of the database")
    commands = parser.add_subparsers(metavar="WHAT", required=True)
    up = commands.add_parser("upgrade", help="bring the schema to the newest version, or to REVISION")
    up.add_argument("revision", metavar="REVISION", nargs="?", default="head")
    up.set_defaults(run=upgrade)
    version = commands.add_parser("version", help="print the version that the database has, and the newest")
    version.set_defaults(run=show_version)
    for command in (up, version):
        add_config_file(command)


def upgrade(args: argparse.Namespace) -> int:
    """Bring the schema to a version."""
    database = wiring.database_of(cfg.CONF)
    before = schema.current(database)
    schema.upgrade(database, args.revision)
    after = schema.current(database)
    print(
        f"The schema is at {after}." if before == after else f"The schema went from {before or 'nothing'} to {after}."
    )
    return 0


def show_version(_args: argparse.Namespace) -> int:
    """Print the version of the schema; exit status 1 when it is not the newest."""
    found, newest = schema.current(wiring.database_of(cfg.CONF)), schema.head()
    print(f"database: {found or 'empty'}, newest: {newest}")
    return 0 if found == newest else 1

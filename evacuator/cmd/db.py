"""``evacuator db``: the schema of the database."""

import argparse
import shlex
from contextlib import ExitStack
from pathlib import Path

from oslo_config import cfg

from evacuator.cmd import state_dir, wiring
from evacuator.cmd.options import add_config_file
from evacuator.db import schema
from evacuator.db.copy import copy_all
from evacuator.db.refusals import answering
from evacuator.db.session import Database, open_database
from evacuator.errors import NotConfigured

SOURCE = "the state directory of all-in-one, or the SQLAlchemy URL of a database"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = subparsers.add_parser("db", help="the schema of the database")
    commands = parser.add_subparsers(metavar="WHAT", required=True)
    up = commands.add_parser("upgrade", help="bring the schema to the newest version, or to REVISION")
    up.add_argument("revision", metavar="REVISION", nargs="?", default="head")
    up.add_argument("--database", metavar="SOURCE", help=f"in place of the configured one: {SOURCE}")
    up.set_defaults(run=upgrade)
    version = commands.add_parser("version", help="print the version that the database has, and the newest")
    version.set_defaults(run=show_version)
    copy = commands.add_parser(
        "copy",
        help="carry everything from another database to the configured one",
        description="Copy every row of another database, such as the SQLite file of all-in-one, to the configured one, "
        "which has to be empty but for its tables (`evacuator db upgrade`). Nothing may run on either meanwhile.",
    )
    copy.add_argument("source", metavar="SOURCE", help=SOURCE)
    copy.set_defaults(run=copy_database)
    for command in (up, version, copy):
        add_config_file(command)


def upgrade(args: argparse.Namespace) -> int:
    """Bring the schema to a version."""
    with ExitStack() as closing:
        database = named(args.database, closing) if args.database else wiring.database_of(cfg.CONF, patience=None)
        closing.callback(database.close)
        before = schema.current(database)
        schema.upgrade(database, args.revision)
        after = schema.current(database)
    print(
        f"The schema is at {after}." if before == after else f"The schema went from {before or 'nothing'} to {after}."
    )
    return 0


def copy_database(args: argparse.Namespace) -> int:
    """Carry everything from another database to the configured one."""
    target = wiring.database_of(cfg.CONF, patience=None)
    with ExitStack() as closing:
        closing.callback(target.close)
        source = named(args.source, closing)
        closing.callback(source.close)
        upgrade_source = f"{schema.UPGRADE} --database {shlex.quote(args.source)}"
        with answering():
            copied = copy_all(source, target, upgrade_source)
    for table, rows in copied.items():
        print(f"{table}: {rows}")
    return 0


def named(source: str, closing: ExitStack) -> Database:
    """Open a database that exists, by its URL or by the state directory that it is in, which is held meanwhile.

    :raises NotConfigured: there is none.
    :raises StateDirectoryInUse: all-in-one runs on it.
    """
    directory = None if "://" in source else Path(source)
    database = open_database(state_dir.sqlite_url(directory) if directory else source, patience=None)
    if database.file is not None and not database.file.is_file():
        # SQLite would make an empty one.
        raise NotConfigured(reason=f"There is no file {database.file}: name the database that there is.")
    if directory is not None:
        # Whoever holds the directory writes to it.
        closing.enter_context(state_dir.held(directory))
    return database


def show_version(_args: argparse.Namespace) -> int:
    """Print the version of the schema; exit status 1 when it is not the newest."""
    found, newest = schema.current(wiring.database_of(cfg.CONF)), schema.head()
    print(f"database: {found or 'empty'}, newest: {newest}")
    return 0 if found == newest else 1

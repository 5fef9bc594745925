"""The servers that the tests need, and a corner of each that is theirs alone."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import NoReturn
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError

from evacuator.db import schema
from evacuator.db.session import open_database

#: What says where each server is, and where it is unless that says something: where .ci/run starts it.
#: Without TLS, since to read the authorities of this machine costs each connection to MariaDB a twentieth of a second.
SERVERS = {
    "mariadb": ("EVACUATOR_TEST_MARIADB", "mysql+pymysql://evacuator:evacuator@127.0.0.1:3306/?ssl_disabled=true"),
    "postgresql": ("EVACUATOR_TEST_POSTGRESQL", "postgresql+psycopg://evacuator:evacuator@127.0.0.1:5432/"),
    "rabbitmq": ("EVACUATOR_TEST_RABBITMQ", "rabbit://guest:guest@127.0.0.1:5672/"),
}


def missing(why: str) -> NoReturn:
    """Leave the test out; where CI is, what cannot be had is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def url_of(server: str) -> str:
    """Return the address of a server."""
    variable, usual = SERVERS[server]
    return os.environ.get(variable) or usual


def no_answer(server: str, why: object) -> NoReturn:
    """Leave the test out that needs a server which is not there."""
    variable, _usual = SERVERS[server]
    sentence = str(why).strip().splitlines()[0]
    missing(f"no {server}: {sentence} (.ci/run installs and starts it; {variable} names another one)")


@contextmanager
def fresh_database(server: str) -> Iterator[URL]:
    """Make an empty database, and drop it in the end; ``sqlite`` is a file, for which nobody is asked.

    The test that asks is left out where the server does not answer.
    """
    if server == "sqlite":
        with TemporaryDirectory() as folder:
            yield make_url(f"sqlite:///{folder}/evacuator.sqlite")
        return
    admin = make_url(url_of(server))
    name = f"evacuator_test_{uuid4().hex[:12]}"
    engine = create_engine(admin if admin.database else _maintenance(admin, server), isolation_level="AUTOCOMMIT")
    force = " WITH (FORCE)" if server == "postgresql" else ""
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
    except OperationalError as error:
        no_answer(server, error.orig)
    try:
        yield admin.set(database=name)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name}{force}"))
        engine.dispose()


@contextmanager
def fresh_tables(server: str) -> Iterator[str]:
    """Make a database with our tables in it, empty; return its URL, and drop it in the end."""
    with fresh_database(server) as made:
        url = made.render_as_string(hide_password=False)
        database = open_database(url)
        schema.upgrade(database)
        database.close()
        yield url


def _maintenance(admin: URL, server: str) -> URL:
    return admin.set(database="postgres") if server == "postgresql" else admin


@contextmanager
def fresh_vhost() -> Iterator[URL]:
    """Make a virtual host of the broker, and delete it with everything in it in the end.

    The test that asks is left out where the broker does not answer.
    """
    admin = make_url(url_of("rabbitmq"))
    made = admin.set(database=f"evacuator_test_{uuid4().hex[:12]}")
    try:
        _add(made)
    except AssertionError as error:
        no_answer("rabbitmq", error)
    try:
        yield made
    finally:
        _rabbitmqctl("delete_vhost", str(made.database))


def _add(vhost: URL) -> None:
    _rabbitmqctl("add_vhost", str(vhost.database))
    # Right after one of the same name was deleted, the broker may still be at it.
    for last in (False, False, True):
        try:
            _rabbitmqctl("set_permissions", "-p", str(vhost.database), str(vhost.username), ".*", ".*", ".*")
        except AssertionError:
            if last:
                raise
            time.sleep(2)
        else:
            return


def wipe(vhost: URL) -> None:
    """Make the broker forget everything: queues, messages, who is connected."""
    _rabbitmqctl("delete_vhost", str(vhost.database))
    _add(vhost)


def _rabbitmqctl(*arguments: str) -> str:
    command = shutil.which("rabbitmqctl", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if command is None:
        missing("rabbitmqctl is needed for a virtual host of the tests' own")
    done = subprocess.run([command, "-q", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"rabbitmqctl {' '.join(arguments)}: {done.stderr}{done.stdout}"
    return done.stdout


def queues(vhost: str) -> dict[str, dict[str, str]]:
    """Return the queues of a virtual host by name, each with its type and how many messages wait in it."""
    listed = _rabbitmqctl("list_queues", "-p", vhost, "--no-table-headers", "name", "type", "messages", "durable")
    rows = [line.split("\t") for line in listed.splitlines() if line]
    return {name: {"type": kind, "messages": count, "durable": durable} for name, kind, count, durable in rows}

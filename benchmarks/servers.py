"""The database server and the broker: somewhere to work, and what they count by themselves."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import kombu
from sqlalchemy import URL, Engine, create_engine, make_url, text

from benchmarks import readings

#: What MariaDB counts, and what we call it.
STATUS = {"Questions": "statements", "Com_commit": "commits", "Com_rollback": "rollbacks"}


@dataclass(frozen=True)
class Counts:
    """What a database server counted so far, without our own looks at it."""

    statements: int
    commits: int
    rollbacks: int

    def since(self, before: "Counts") -> dict[str, int]:
        """Return what was added since ``before``."""
        return {name: value - getattr(before, name) for name, value in vars(self).items()}


class MariaDb:
    """A database of our own on a MariaDB server that nobody else uses while we count."""

    def __init__(self, server: str) -> None:
        self._name = f"evacuator_bench_{uuid4().hex[:8]}"
        self._server = create_engine(server, isolation_level="AUTOCOMMIT", pool_size=1)
        # One connection from now on, so that each look below is one statement.
        self._connection = self._server.connect()
        self._looks = 0
        self._ask(f"CREATE DATABASE {self._name} CHARACTER SET utf8mb4")
        self.url: URL = make_url(server).set(database=self._name)
        self.name = f"MariaDB {self._ask('SELECT VERSION()')[0][0]}"

    def _ask(self, statement: str) -> list[Any]:
        self._looks += 1
        result = self._connection.execute(text(statement))
        return list(result.all()) if result.returns_rows else []

    def counts(self) -> Counts:
        """Return what the server counted."""
        rows = dict(self._ask(f"SHOW GLOBAL STATUS WHERE Variable_name IN {tuple(STATUS)}"))
        found = {ours: int(rows[theirs]) for theirs, ours in STATUS.items()}
        return Counts(**found | {"statements": found["statements"] - self._looks})

    def unfinished(self) -> int:
        """Return how many evacuations are under way."""
        table = f"{self._name}.migrations"
        return int(self._ask(f"SELECT COUNT(*) FROM {table} WHERE status IN ('accepted', 'pre-migrating')")[0][0])

    def cpu(self) -> float:
        """Return the CPU seconds that the server took so far, which has to run on this machine."""
        return readings.read(int(Path(self._ask("SELECT @@pid_file")[0][0]).read_text())).cpu

    def close(self) -> None:
        """Drop the database."""
        self._ask(f"DROP DATABASE IF EXISTS {self._name}")
        self._connection.close()
        self._server.dispose()


class Sqlite:
    """The file of an all-in-one; it counts nothing."""

    name = "SQLite"

    def __init__(self, path: str) -> None:
        self._engine: Engine = create_engine(f"sqlite:///file:{path}?mode=ro&uri=true")

    def unfinished(self) -> int:
        """Return how many evacuations are under way."""
        with self._engine.connect() as connection:
            counted = connection.scalar(
                text("SELECT COUNT(*) FROM migrations WHERE status IN ('accepted', 'pre-migrating')")
            )
            return int(counted or 0)

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()


class Tap:
    """Counts the messages that are published to the topics of a RabbitMQ virtual host."""

    def __init__(self, url: str) -> None:
        self._connection = kombu.Connection(url.replace("rabbit://", "amqp://"))
        exchange = kombu.Exchange("openstack", "topic", passive=True)
        self._queue = kombu.Queue(f"tap-{uuid4().hex}", exchange, "#", exclusive=True, auto_delete=True)
        self._queue = self._queue(self._connection.channel())
        self._queue.declare()

    def count(self) -> int:
        """Return how many messages there were."""
        time.sleep(0.5)
        return int(self._queue.queue_declare(passive=True).message_count)

    def close(self) -> None:
        """Stop counting."""
        self._connection.release()

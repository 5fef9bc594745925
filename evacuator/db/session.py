"""Engines and transactions."""

import os
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from oslo_db import api as oslo_db_api
from oslo_db import exception as db_errors
from oslo_db.sqlalchemy import exc_filters
from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from evacuator import metrics
from evacuator.db import patterns
from evacuator.db.clock import SQLITE_FUNCTION
from evacuator.db.refusals import answering, is_transient, leave_who_is_of_no_use, takes_no_writes
from evacuator.errors import DatabaseRefuses, DatabaseUnavailable, NotConfigured, Overtaken

Clock = Callable[[], datetime]
T = TypeVar("T")

#: A frozen process holds its locks no longer than this, unless the site says less; nobody waits for a lock longer than
#: that.
IDLE_IN_TRANSACTION_SECONDS = 15
LOCK_WAIT_SECONDS = 5

#: A server that is gone without a word, as after a failover of its address, is not waited for as long as TCP would.
CONNECT_SECONDS = 5
PATIENCE_SECONDS = 20


def _read_authorities(path: str) -> None:
    ssl.create_default_context(cafile=path)


def _read(path: str) -> None:
    Path(path).open("rb").close()


#: What in a URL names files that the way to the server is encrypted with, and how each is read. A driver does that
#: whenever it connects, and what then goes wrong looks like a fault in this program. (libpq names the rest by itself.)
TLS_FILES: Mapping[str, Callable[[str], None]] = {
    "ssl_ca": _read_authorities,
    "ssl_cert": _read,
    "ssl_key": _read,
    "sslrootcert": _read_authorities,
}

#: Not a file, but what PostgreSQL calls the authorities that the machine trusts.
NO_FILE = "system"


def utcnow() -> datetime:
    """Return this machine's UTC time without a zone: the clock of SQLite, where one machine is all there is."""
    return datetime.now(UTC).replace(tzinfo=None)


class Transaction(Session):
    """A session that writes; what must not happen before the commit returned waits in ``on_commit``.

    Where the connection is lost during the commit, what the transaction ``leaves`` tells whether it took place.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, autoflush=False, expire_on_commit=False)
        self._effects: list[Callable[[], None]] = []
        self._traces: list[Callable[[Session], bool]] = []
        self.may_be_committed = False

    def on_commit(self, effect: Callable[[], None]) -> None:
        """Run ``effect`` (a log line, a cast) once the transaction is committed, in order of registration."""
        self._effects.append(effect)

    def leaves(self, trace: Callable[[Session], bool]) -> None:
        """Say how to see, from another session, that this transaction and no other was committed.

        ``trace`` reads columns: a row that it loaded would be what ``work`` sees of it afterwards.
        """
        self._traces.append(trace)

    def commit(self) -> None:
        """Commit; from here on nobody knows whether it took place, until this returns."""
        self.may_be_committed = True
        super().commit()

    def is_found_by(self, session: Session) -> bool:
        """Tell whether this transaction, of whose commit nobody heard, has left what it would have."""
        return self.may_be_committed and any(trace(session) for trace in self._traces)

    def take_effect(self) -> None:
        """Run what waited for the commit."""
        for effect in self._effects:
            effect()


class _OvertakenByOurselves(Exception):
    """An earlier run, of which nobody had heard, was committed during this one."""


class Database:
    """The database, as two ways to use it: ``read`` and ``write``.

    ``reader``: an engine of connections on which each statement is a transaction of its own, so that reading costs no
    statement that ends one; without it, reading takes place on ``engine``. ``retry_interval``: seconds before the first
    repetition of a transaction; more before each further one.
    """

    def __init__(
        self, engine: Engine, reader: Engine | None = None, *, max_retries: int = 8, retry_interval: float = 0.05
    ) -> None:
        self.engine = engine
        self._reader = reader or engine
        self._writer = engine.execution_options(evacuator_writes=True)
        # SQLite lets one transaction write at a time, whatever process has it, and makes the others poll; with a lock
        # those of one process queue.
        self._turn: AbstractContextManager[Any] = threading.Lock() if engine.dialect.name == "sqlite" else nullcontext()
        # Wrapped once: to look at what is wrapped takes as long as a statement.
        self._again_if_lost = oslo_db_api.wrap_db_retry(
            retry_interval=retry_interval,
            max_retries=max_retries,
            max_retry_interval=2,
            retry_on_disconnect=True,
            retry_on_deadlock=True,
            jitter=True,
            exception_checker=is_transient,
        )(_call)

    @property
    def file(self) -> Path | None:
        """The file that it is, with SQLite; None where a server keeps it."""
        if self.engine.dialect.name != "sqlite":
            return None
        return Path(self.engine.url.database or ":memory:")

    def read(self, work: Callable[[Session], T]) -> T:
        """Run ``work``, which only looks, again if the connection was lost.

        On SQLite it sees one snapshot; on a server each statement sees what is committed when it begins.

        :raises DatabaseUnavailable: the connection was lost each time, or the database refuses.
        """
        with answering():
            result: T = self._again_if_lost(lambda: self._read(work))
        return result

    def glance(self, work: Callable[[Session], T]) -> T:
        """Run ``work`` as ``read`` does, but only once: for whoever would rather have no answer than wait for one.

        :raises DatabaseUnavailable: the connection was lost, or the database refuses.
        """
        with answering():
            return self._read(work)

    def _read(self, work: Callable[[Session], T]) -> T:
        with Session(self._reader, autoflush=False, expire_on_commit=False) as session:
            return work(session)

    def write(self, work: Callable[[Transaction], T]) -> T:
        """Run ``work`` in one transaction and commit it; all of it again on deadlock or a lost connection.

        When the connection is lost during the commit, nobody knows whether it happened; ``work`` then runs a second
        time and its conditional writes find out. What waited for the first commit takes effect, once, if it is seen to
        have happened by what it ``leaves``: whatever comes of the second run, and before what waits for that. Where it
        happened only while the second ran, a third begins with what it left.

        :raises Overtaken: a conditional write of ``work`` found its row changed; nothing is written.
        :raises DatabaseUnavailable: the connection was lost each time, or the database refuses.
        """
        unheard: list[Transaction] = []
        committed: list[Transaction] = []

        def look(session: Session) -> bool:
            found = [earlier for earlier in unheard if earlier.is_found_by(session)]
            unheard[:] = [earlier for earlier in unheard if earlier not in found]
            committed.extend(found)
            return bool(found)

        def once() -> T:
            with self._turn, Transaction(self._writer) as transaction:
                look(transaction)
                unheard.append(transaction)
                try:
                    result = work(transaction)
                except Overtaken as overtaken:
                    # Perhaps by ourselves: the server was not done yet with that commit.
                    if look(transaction):
                        raise _OvertakenByOurselves from overtaken
                    raise
                transaction.commit()
            committed.append(unheard.pop())
            return result

        def until_overtaken_by_nobody() -> T:
            while True:
                with suppress(_OvertakenByOurselves):
                    result: T = self._again_if_lost(once)
                    return result

        try:
            with answering():
                result = until_overtaken_by_nobody()
        except DatabaseRefuses as refusal:
            if any(earlier.may_be_committed for earlier in unheard):
                # It refuses now, and may not have when it was first asked: "nothing was written" would be a guess.
                raise DatabaseUnavailable(reason=refusal.facts["reason"]) from refusal
            raise
        finally:
            for transaction in committed:
                transaction.take_effect()
        return result

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()
        self._reader.dispose()


def _call(work: Callable[[], T]) -> T:
    try:
        return work()
    except (SQLAlchemyError, db_errors.DBError) as error:
        if isinstance(error, db_errors.DBDeadlock | db_errors.DBConnectionError) or is_transient(error):
            metrics.REPEATED.inc()
        raise


def open_database(
    url: str,
    clock: Clock = utcnow,
    *,
    pool_size: int = 20,
    max_retries: int = 8,
    patience: int | None = PATIENCE_SECONDS,
    idle: int = IDLE_IN_TRANSACTION_SECONDS,
) -> Database:
    """Open the database at ``url``; ``clock`` is SQLite's only, the servers have their own.

    ``patience``: how long a server may be silent until its connection counts as lost; None for what may take long, such
    as a change of the schema. ``idle``: how long the server lets us be silent in a transaction, in seconds; where
    patience has no end, neither has that.

    :raises NotConfigured: the URL is none, names no database or files that cannot be read, has parameters that its
        driver does not know, or that is not installed.
    """
    try:
        _require_database(_parse(url))
        return _open(url, clock, pool_size, max_retries, patience, idle if patience else 0)
    except (SQLAlchemyError, ImportError, ValueError, TypeError) as error:
        raise NotConfigured(
            reason=f"[database] connection cannot be used: {error}. It is like mysql+pymysql://USER:PASSWORD@HOST/NAME "
            "with evacuator[mysql] installed, or postgresql+psycopg://USER:PASSWORD@HOST/NAME with "
            "evacuator[postgresql]."
        ) from error


def _parse(url: str) -> URL:
    try:
        return make_url(url)
    except ValueError:
        # What Python says of it may be half of a password, so that it is not even kept as the cause.
        raise ValueError("its port is no number; in a password, @ is written as %40, / as %2F and % as %25") from None


def _require_database(url: URL) -> None:
    if not url.database:
        raise ValueError("it names no database")
    _require_files(url.query)


def _require_files(query: Mapping[str, Any]) -> None:
    for name, read in TLS_FILES.items():
        path = query.get(name)
        if not path or path == NO_FILE:
            continue
        try:
            read(path)
        except OSError as error:
            raise NotConfigured(
                reason=f"[database] connection has {name}={path}, which cannot be used: {error}. Is it there, and for "
                "this user?"
            ) from error


#: Has a driver look at what it is to connect with, and connect nowhere. (``context`` is SQLAlchemy's, for psycopg.)
LOOKS = {
    "pymysql": lambda driver, parameters: driver.connect(**parameters, defer_connect=True),
    "psycopg": lambda driver, parameters: driver.conninfo.make_conninfo(**parameters | {"context": None}),
}


def _require_parameters(engine: Engine) -> None:
    """See now what else would be seen at each request.

    :raises ValueError: the URL has a parameter that is none.
    """
    _, parameters = engine.dialect.create_connect_args(engine.url)
    driver = engine.dialect.loaded_dbapi
    look = LOOKS.get(engine.dialect.driver)
    try:
        if look is not None:
            look(driver, parameters)
    except (TypeError, AttributeError, driver.Error) as error:
        said = " ".join(str(error).split())
        raise ValueError(f"it has a parameter that {engine.dialect.driver} does not take so: {said}") from error


def _open(url: str, clock: Clock, pool_size: int, max_retries: int, patience: int | None, idle: int) -> Database:
    dialect = make_url(url).get_backend_name()
    options: dict[str, Any] = {
        "pool_size": pool_size,
        "max_overflow": pool_size,
        # Whoever takes a connection ends what it began on it (see Database), so that the pool need not roll back. A
        # connection that was lost meanwhile is found out by whoever uses it, who begins again on a new one.
        "pool_reset_on_return": None,
    }
    if dialect in ("mysql", "mariadb"):
        options["connect_args"] = {
            "connect_timeout": CONNECT_SECONDS,
            "charset": "utf8mb4",
            # The second of these is for locks of tables, of which the first knows nothing.
            "init_command": f"SET SESSION innodb_lock_wait_timeout = {LOCK_WAIT_SECONDS}, "
            f"lock_wait_timeout = {LOCK_WAIT_SECONDS}, idle_transaction_timeout = {idle}",
            # Not every driver takes None for "none".
            **({"read_timeout": patience, "write_timeout": patience} if patience else {}),
        }
    if dialect == "postgresql":
        options["connect_args"] = {
            "connect_timeout": CONNECT_SECONDS,
            # A machine that is gone without a word; libpq has no limit for one that is there and does not answer.
            "tcp_user_timeout": (patience or 0) * 1000,
            "keepalives_idle": 5,
            "keepalives_interval": 5,
            "keepalives_count": 2,
            "options": f"-c lock_timeout={LOCK_WAIT_SECONDS}s -c idle_in_transaction_session_timeout={idle}s",
        }
    if dialect == "sqlite":
        engine = _engine(url, options)
        _prepare_sqlite(engine, clock)
        return Database(engine, max_retries=max_retries)
    options["pool_recycle"] = 3600
    # What must hold at commit is a conditional write on the row it tests, so that nothing needs more.
    writer = _engine(url, options | {"isolation_level": "READ COMMITTED"})
    _require_parameters(writer)
    reader = _engine(url, options | {"isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True})
    _leave_together(writer, reader)
    return Database(writer, reader, max_retries=max_retries)


def _engine(url: str, options: Mapping[str, Any]) -> Engine:
    engine = create_engine(url, **options)
    event.listen(engine, "handle_error", leave_who_is_of_no_use)
    exc_filters.register_engine(engine)
    return engine


def _leave_together(writer: Engine, reader: Engine) -> None:
    """Have nobody read from a server that takes no writes any more, and may be behind: nothing there would tell."""

    @event.listens_for(writer, "handle_error")
    def left(context: ExceptionContext) -> None:
        if takes_no_writes(context):
            reader.dispose()


def _prepare_sqlite(engine: Engine, clock: Clock) -> None:
    def moment(seconds: float) -> str:
        return (clock() - timedelta(seconds=seconds)).isoformat(sep=" ", timespec="microseconds")

    @event.listens_for(engine, "do_connect")
    def make_private(_dialect: object, _record: object, arguments: list[Any], _parameters: object) -> None:
        # It may come to hold passwords of consoles. What SQLite keeps beside the file is as open as the file.
        with suppress(OSError):
            os.close(os.open(arguments[0], os.O_CREAT | os.O_EXCL, 0o600))

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        connection.create_function(SQLITE_FUNCTION, 1, moment)
        connection.create_function("regexp", 2, patterns.matches, deterministic=True)
        for pragma in ("journal_mode = WAL", "foreign_keys = ON", "busy_timeout = 10000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def began(connection: Connection) -> None:
        # A transaction that first reads and then writes would find that somebody wrote between.
        writes = connection.get_execution_options().get("evacuator_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

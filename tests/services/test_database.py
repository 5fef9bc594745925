"""What a database server may do to a transaction, and that the transaction is carried out all the same, once."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from oslo_db.exception import DBConnectionError
from sqlalchemy import Engine, event, make_url, select, text, update

from evacuator import metrics
from evacuator.db import nodes, refusals, schema, services
from evacuator.db.census import open_to_look, take
from evacuator.db.models import Instance, Service
from evacuator.db.session import LOCK_WAIT_SECONDS, Database, Transaction, open_database
from evacuator.errors import DatabaseRefuses, DatabaseUnavailable
from tests.services.servers import fresh_database, url_of

FACTS: dict[str, object] = {
    "hypervisor_hostname": "a",
    "hypervisor_type": "simulated",
    "storage_id": "shared",
    "vcpus": 8,
    "memory_mb": 8192,
    "local_gb": 100,
}

READ_ONLY = {
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
}


#: How something is locked, and how that ends.
LOCKS = {
    ("row", "mysql"): ("UPDATE services SET disabled = true WHERE host = 'a'", "ROLLBACK"),
    ("row", "postgresql"): ("UPDATE services SET disabled = true WHERE host = 'a'", "ROLLBACK"),
    # As a backup does, or a change of the schema.
    ("table", "mysql"): ("LOCK TABLES services WRITE", "UNLOCK TABLES"),
    ("table", "postgresql"): ("LOCK TABLE services IN ACCESS EXCLUSIVE MODE", "ROLLBACK"),
}


@pytest.fixture(params=["mariadb", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    with fresh_database(request.param) as url:
        opened = open_database(url.render_as_string(hide_password=False), pool_size=2)
        schema.upgrade(opened)
        opened.write(lambda session: services.register(session, "a", str(uuid4()), "first", 2))
        yield opened
        opened.close()


@pytest.fixture
def mariadb() -> Iterator[Database]:
    with fresh_database("mariadb") as url:
        opened = open_database(url.render_as_string(hide_password=False), pool_size=2)
        yield opened
        opened.close()


def again(session: Transaction) -> None:
    services.register(session, "a", str(uuid4()), "again", 2)


def test_a_server_that_takes_no_writes_any_more_is_left_for_the_one_that_does(database: Database) -> None:
    """After a failover the one that was the primary keeps its connections, and lets nothing be written on them."""
    with database.engine.connect() as connection:
        connection.exec_driver_sql(READ_ONLY[database.engine.dialect.name])
        connection.commit()
    database.write(again)
    assert database.read(lambda session: session.scalar(select(Service.incarnation))) == "again"


WHO_ANSWERS = {"mysql": "SELECT CONNECTION_ID()", "postgresql": "SELECT pg_backend_pid()"}


def test_nobody_reads_any_more_on_a_server_that_takes_no_writes(database: Database) -> None:
    """It may be behind the one that does, and nothing that is read there would tell."""

    def answers() -> object:
        return database.read(lambda session: session.scalar(text(WHO_ANSWERS[database.engine.dialect.name])))

    before = answers()
    assert answers() == before
    with database.engine.connect() as connection:
        connection.exec_driver_sql(READ_ONLY[database.engine.dialect.name])
        connection.commit()
    database.write(again)
    assert answers() != before


@pytest.mark.parametrize("number", sorted(number for number in refusals.READ_ONLY if isinstance(number, int)))
def test_whatever_mariadb_calls_read_only_makes_a_connection_a_lost_one(mariadb: Database, number: int) -> None:
    signal = f"SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'no writes'"
    with mariadb.engine.connect() as connection, pytest.raises(DBConnectionError):
        connection.exec_driver_sql(signal)


@pytest.mark.parametrize("server", ["mariadb", "postgresql"])
def test_a_server_that_lets_nobody_in_is_asked_again_and_told_as_one_that_does_not_answer(server: str) -> None:
    nobody = make_url(url_of(server)).set(port=1, database="evacuator").render_as_string(hide_password=False)
    database = open_database(nobody, max_retries=2)
    repeated = metrics.REPEATED._value.get()
    with pytest.raises(DatabaseUnavailable) as refused:
        database.write(again)
    assert type(refused.value) is DatabaseUnavailable
    assert metrics.REPEATED._value.get() == repeated + 3
    database.close()


@pytest.mark.parametrize(
    ("server", "limit"),
    [("mariadb", "SELECT @@idle_transaction_timeout"), ("postgresql", "SHOW idle_in_transaction_session_timeout")],
)
@pytest.mark.parametrize(("patience", "limited"), [(20, True), (None, False)])
def test_who_may_take_long_may_be_silent_in_a_transaction(
    server: str, limit: str, patience: int | None, limited: bool
) -> None:
    with fresh_database(server) as url:
        database = open_database(url.render_as_string(hide_password=False), patience=patience)
        found = database.write(lambda session: session.scalar(text(limit)))
        database.close()
    assert (str(found) != "0") is limited


@pytest.mark.parametrize("lacks", ["TABLE services", "TABLE instances DROP COLUMN display_name"])
def test_a_schema_that_is_not_upgraded_is_told_as_that(database: Database, lacks: str) -> None:
    with database.engine.begin() as connection:
        connection.exec_driver_sql(f"{'ALTER' if 'COLUMN' in lacks else 'DROP'} {lacks}")
    table = lacks.split()[1]
    model = {"services": Service, "instances": Instance}[table]
    with pytest.raises(DatabaseRefuses, match="evacuator db upgrade"):
        database.read(lambda session: session.scalars(select(model)).all())


@pytest.mark.parametrize("lock", ["row", "table"])
def test_who_waits_too_long_for_a_lock_begins_again(database: Database, lock: str) -> None:
    take, give_back = LOCKS[lock, database.engine.dialect.name]
    repeated = metrics.REPEATED._value.get()
    with database.engine.connect() as holder:
        holder.execute(text(take))

        def release() -> None:
            time.sleep(LOCK_WAIT_SECONDS + 2)
            holder.execute(text(give_back))

        releasing = threading.Thread(target=release)
        releasing.start()
        database.write(again)
        releasing.join()
    assert metrics.REPEATED._value.get() > repeated
    assert database.read(lambda session: session.scalar(select(Service.incarnation))) == "again"


#: What ends a transaction that was in another one's way: by Galera, and in a language that is not English.
IN_THE_WAY = {
    "mariadb": [
        "WSREP detected deadlock/conflict and aborted the transaction. Try restarting the transaction",
        "Deadlock: wsrep aborted transaction",
        "Verklemmung",
    ],
    "postgresql": ["Verklemmung"],
}
SAY = {
    "mariadb": "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = '{}'",
    "postgresql": "DO $$ BEGIN RAISE EXCEPTION '{}' USING ERRCODE = '40P01'; END $$",
}
#: A node of Galera that has left its cluster.
LEFT = "SIGNAL SQLSTATE '08S01' SET MYSQL_ERRNO = 1047, MESSAGE_TEXT = 'WSREP has not yet prepared node'"


def fails_once(session: Transaction, runs: list[Transaction], statement: str) -> None:
    runs.append(session)
    again(session)
    if len(runs) == 1:
        session.execute(text(statement))


@pytest.mark.parametrize(
    ("database", "statement"),
    [
        *((server, SAY[server].format(words)) for server, said in IN_THE_WAY.items() for words in said),
        ("mariadb", LEFT),
    ],
    indirect=["database"],
)
def test_who_is_ended_for_others_or_by_a_node_that_left_begins_again(database: Database, statement: str) -> None:
    runs: list[Transaction] = []
    database.write(lambda session: fails_once(session, runs, statement))
    assert len(runs) == 2
    assert database.read(lambda session: session.scalar(select(Service.epoch))) == 1


def test_of_two_that_wait_for_each_other_one_begins_again_and_both_are_carried_out(database: Database) -> None:
    database.write(lambda session: services.register(session, "b", str(uuid4()), "first", 2))
    both_hold_one = threading.Barrier(2)
    runs: dict[str, int] = {"ab": 0, "ba": 0}

    def work(session: Transaction, order: str) -> None:
        runs[order] += 1
        for host in order:
            session.execute(update(Service).where(Service.host == host).values(epoch=Service.epoch + 1))
            if runs[order] == 1 and host == order[0]:
                both_hold_one.wait(10)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda order: database.write(lambda session: work(session, order)), runs))
    assert sorted(runs.values()) == [1, 2]
    assert database.read(lambda session: session.scalars(select(Service.epoch)).all()) == [2, 2]


def test_who_freezes_in_a_transaction_lets_the_others_go_on_and_begins_again(database: Database) -> None:
    url = database.engine.url.render_as_string(hide_password=False)
    freezing = open_database(url, pool_size=1, idle=1)
    runs = []

    def work(session: Transaction) -> None:
        runs.append(session)
        services.must_clean(session, "a")
        if len(runs) == 1:
            time.sleep(2)
            database.write(again)

    freezing.write(work)
    freezing.close()
    assert len(runs) == 2
    # Once by the other and once by us: what was written before the freeze is undone.
    assert database.read(lambda session: session.scalar(select(Service.epoch))) == 2


def test_verify_sees_all_tables_at_one_moment_whatever_is_written_meanwhile(database: Database) -> None:
    url = database.engine.url.render_as_string(hide_password=False)
    looking = open_to_look(url)
    written: list[str] = []

    @event.listens_for(Engine, "after_cursor_execute")
    def write_once(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "FROM services" in statement and not written:
            written.append(statement)
            database.write(lambda session: nodes.register(session, "a", str(uuid4()), FACTS))

    try:
        first = take(looking, 60)
        second = take(looking, 60)
    finally:
        event.remove(Engine, "after_cursor_execute", write_once)
        looking.close()
    assert written
    assert [len(census.nodes) for census in (first, second)] == [0, 1]

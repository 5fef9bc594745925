"""What a database server may do to a transaction, and that the transaction is carried out all the same, once."""

import threading
from collections.abc import Iterator
from uuid import uuid4

import pytest
from sqlalchemy import select, text

from evacuator.db import schema, services
from evacuator.db.models import Service
from evacuator.db.session import LOCK_WAIT_SECONDS, Database, Transaction, open_database
from tests.services.servers import fresh_database

READ_ONLY = {
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
}


@pytest.fixture(params=["mariadb", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    with fresh_database(request.param) as url:
        opened = open_database(url.render_as_string(hide_password=False), pool_size=2)
        schema.upgrade(opened)
        opened.write(lambda session: services.register(session, "a", str(uuid4()), "first", 2))
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


def test_who_waits_too_long_for_a_lock_begins_again(database: Database) -> None:
    released = threading.Event()
    with database.engine.connect() as holder:
        holder.execute(text("UPDATE services SET disabled = true WHERE host = 'a'"))

        def release() -> None:
            released.wait(LOCK_WAIT_SECONDS + 1)
            holder.rollback()

        releasing = threading.Thread(target=release)
        releasing.start()
        database.write(again)
        releasing.join()
    assert database.read(lambda session: session.scalar(select(Service.incarnation))) == "again"

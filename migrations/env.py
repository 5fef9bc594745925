"""How Alembic reaches the database: over the connection that ``evacuator.db.schema`` passes in."""

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import context
from sqlalchemy import Connection

from evacuator.db.models import Model


@contextmanager
def tables_may_be_replaced(connection: Connection) -> Iterator[None]:
    """Let SQLite drop a table that others refer to: most changes of one are made to a copy that takes its place."""
    driver = connection.connection.driver_connection
    if connection.dialect.name != "sqlite" or driver is None:
        yield
        return
    # Between transactions: within one it would be ignored.
    driver.execute("PRAGMA foreign_keys = OFF")
    try:
        yield
    finally:
        driver.execute("PRAGMA foreign_keys = ON")


def migrate(connection: Connection) -> None:
    """Run what is to be run, in one transaction where the database can."""
    context.configure(
        connection=connection,
        target_metadata=Model.metadata,
        compare_type=True,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with tables_may_be_replaced(connection), context.begin_transaction():
        context.run_migrations()


migrate(context.config.attributes["connection"])

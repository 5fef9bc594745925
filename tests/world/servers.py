"""A world on a database server: its clock is the world's, and what an earlier world left is removed.

One clock decides, that of the server. Here it is told what time it is: MariaDB by the variable
that its own functions obey, PostgreSQL by a function of the same name that is found first.
"""

from sqlalchemy import event, text

from evacuator.db.models import Flavor, Model

POSTGRESQL_CLOCK = """
    CREATE OR REPLACE FUNCTION world.clock_timestamp() RETURNS timestamptz LANGUAGE sql
    AS $$ SELECT to_timestamp(current_setting('world.now')::double precision) $$
"""

TELL_THE_TIME = {
    "mysql": ("SET timestamp = {now:.6f}",),
    "mariadb": ("SET timestamp = {now:.6f}",),
    "postgresql": ("SET search_path = world, public, pg_catalog", "SET world.now = '{now:.6f}'"),
}


def take_over(engine, time):
    """Make ``time`` (a function) the clock of every connection, and empty every table that a world writes to."""
    tell_the_time(engine, time)
    empty(engine, but=[Flavor.__table__])


def tell_the_time(engine, time):
    """Make ``time`` (a function) the clock of every connection."""
    dialect = engine.dialect.name
    if dialect == "postgresql":
        with engine.begin() as connection:
            connection.execute(text("CREATE SCHEMA IF NOT EXISTS world"))
            connection.execute(text(POSTGRESQL_CLOCK))

    @event.listens_for(engine, "begin")
    def began(connection):
        for statement in TELL_THE_TIME[dialect]:
            connection.exec_driver_sql(statement.format(now=time()))


def empty(engine, but=()):
    """Delete every row of every table."""
    with engine.begin() as connection:
        for table in reversed(Model.metadata.sorted_tables):
            if table not in but:
                connection.execute(table.delete())

"""A database with data in it goes from revision to revision."""

from alembic.script import Script, ScriptDirectory

from evacuator.db import schema
from evacuator.db.session import Database
from tests.unit.db import rows
from tests.unit.db.expansion import listening


def scripts() -> list[Script]:
    """Return every revision, the first first."""
    return list(ScriptDirectory.from_config(schema._config()).walk_revisions())[::-1]


def step_up(database: Database, revision: str) -> list[str]:
    """Upgrade by one revision, fill what that brought, and return the statements of the upgrade.

    :raises AssertionError: a row is not what it should be after it, or a column has nothing in it.
    """
    with database.engine.connect() as connection:
        before = rows.known(connection)
    with listening(database.engine) as sent:
        schema.upgrade(database, revision)
    with database.engine.begin() as connection:
        empty = rows.left_out(rows.known(connection))
        assert not empty, f"no row has anything in {empty}"
        rows.add(connection, before)
    assert_kept(database, revision)
    return sent


def step_down(database: Database, revision: str) -> None:
    """Downgrade by one revision; what that knows is kept.

    :raises AssertionError: it is not.
    """
    schema.downgrade(database, revision)
    assert_kept(database, revision)


def assert_kept(database: Database, revision: str) -> None:
    """See that every row is what it should be at a revision."""
    assert schema.current(database) == revision
    with database.engine.connect() as connection:
        found = rows.differences(connection)
    assert not found, found

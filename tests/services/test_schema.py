"""The migrations up and down with data, and the models, on every database."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from evacuator.db import schema
from evacuator.db.models import Model
from evacuator.db.session import Database, open_database
from tests.services.servers import fresh_database
from tests.unit.db import journey
from tests.unit.db.expansion import beyond


@pytest.fixture(params=["mariadb", "postgresql", "sqlite"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with ExitStack() as closing:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path / 'a.sqlite'}"
        else:
            url = closing.enter_context(fresh_database(request.param)).render_as_string(hide_password=False)
        opened = open_database(url, pool_size=2)
        closing.callback(opened.close)
        yield opened


def test_rows_of_every_table_are_kept_by_every_step_up_and_down_and_up_again(database: Database) -> None:
    scripts = journey.scripts()
    for script in scripts:
        assert beyond(script, journey.step_up(database, script.revision)) == set()
    assert _unlike_the_models(database) == []

    for script in scripts[-2::-1]:
        journey.step_down(database, script.revision)
    for script in scripts[1:]:
        journey.step_up(database, script.revision)
    assert _unlike_the_models(database) == []

    schema.downgrade(database, "base")
    assert set(inspect(database.engine).get_table_names()) <= {"alembic_version"}
    assert schema.current(database) is None


def _unlike_the_models(database: Database) -> list[Any]:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, Model.metadata))


def test_an_upgrade_of_an_upgraded_database_changes_nothing(database: Database) -> None:
    schema.upgrade(database)
    schema.upgrade(database)
    assert schema.current(database) == schema.head()

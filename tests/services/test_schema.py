"""The migrations up and down with data, and the models, on every database."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, inspect, select, text

from evacuator.db import schema
from evacuator.db.models import Instance, Migration, Model, Service
from evacuator.db.session import Database, open_database
from tests.services.servers import fresh_database


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


def test_the_models_are_what_the_migrations_make(database: Database) -> None:
    schema.upgrade(database)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Model.metadata) == []


def test_a_downgrade_leaves_nothing_behind(database: Database) -> None:
    schema.upgrade(database)
    schema.downgrade(database, "base")
    assert set(inspect(database.engine).get_table_names()) <= {"alembic_version"}
    assert schema.current(database) is None


def test_data_survives_every_step_down_and_up_again(database: Database) -> None:
    schema.upgrade(database)
    uuid = str(uuid4())
    with database.engine.begin() as connection:
        connection.execute(insert(Service).values(uuid=str(uuid4()), host="a", version=2))
        connection.execute(insert(Instance).values(_instance(uuid)))
        connection.execute(insert(Migration).values(_migration(uuid)))
    revisions = _revisions()
    for revision in revisions[1:]:
        schema.downgrade(database, revision)
        assert schema.current(database) == revision
        assert _rows(database) == [1, 1, 1]
    schema.upgrade(database)
    assert _rows(database) == [1, 1, 1]
    with database.engine.connect() as connection:
        kept = connection.execute(select(Instance.flavor, Instance.tags, Instance.launched_at)).one()
        assert (kept.flavor, kept.tags) == ({"name": "m1.tiny"}, ["blue"])
        status, attempt = connection.execute(select(Migration.status, Migration.attempt)).one()
        assert (status, attempt) == ("done", 3)


def test_an_upgrade_of_an_upgraded_database_changes_nothing(database: Database) -> None:
    schema.upgrade(database)
    schema.upgrade(database)
    assert schema.current(database) == schema.head()


def _revisions() -> list[str]:
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - only here

    return [script.revision for script in ScriptDirectory.from_config(schema._config()).walk_revisions()]


def _rows(database: Database) -> list[int]:
    with database.engine.connect() as connection:
        tables = ("services", "instances", "migrations")
        return [connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() for table in tables]


def _instance(uuid: str) -> dict[str, object]:
    return {
        "uuid": uuid,
        "display_name": "one",
        "hostname": "one",
        "project_id": "p",
        "user_id": "u",
        "reservation_id": "r-1",
        "flavor": {"name": "m1.tiny"},
        "tags": ["blue"],
        "vcpus": 1,
        "memory_mb": 512,
        "disk_gb": 1,
        "host": "a",
        "vm_state": "active",
    }


def _migration(uuid: str) -> dict[str, object]:
    return {
        "uuid": str(uuid4()),
        "instance_uuid": uuid,
        "status": "done",
        "attempt": 3,
        "source_compute": "b",
        "dest_compute": "a",
        "final_state": "stopped",
        "vm_state_before": "active",
        "request_id": "req-1",
        "user_id": "u",
        "project_id": "p",
    }

"""The migrations and the models say the same, upwards and downwards, with data in the tables."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from evacuator.db import schema, services
from evacuator.db.models import Model
from evacuator.db.session import Database, open_database
from tests.unit.db import journey
from tests.unit.db.expansion import beyond, forbidden


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path / 'a.sqlite'}")
    yield opened
    opened.close()


def test_an_empty_database_has_no_revision(database: Database) -> None:
    assert schema.current(database) is None


def test_an_upgraded_database_has_the_newest_revision(database: Database) -> None:
    schema.upgrade(database)
    assert schema.current(database) == schema.head()


def test_the_newest_revision_is_the_one_that_alembic_finds() -> None:
    assert schema.head() == ScriptDirectory.from_config(schema._config()).get_current_head()


def test_an_upgrade_of_an_upgraded_database_changes_nothing(database: Database) -> None:
    schema.upgrade(database)
    database.write(lambda session: services.register(session, "a", "an-id", "an-incarnation", 2))
    schema.upgrade(database)
    assert [heard.service.host for heard in database.read(lambda session: services.listing(session, 60))] == ["a"]


def test_the_models_are_what_the_migrations_make(database: Database) -> None:
    schema.upgrade(database)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Model.metadata) == []


def test_a_downgrade_leaves_nothing_behind(database: Database) -> None:
    schema.upgrade(database)
    schema.downgrade(database, "base")
    assert set(inspect(database.engine).get_table_names()) <= {"alembic_version"}


def test_five_standard_flavors_exist_from_the_start(database: Database) -> None:
    schema.upgrade(database)
    with database.engine.connect() as connection:
        rows = connection.execute(text("SELECT flavorid, name, vcpus, memory_mb, root_gb FROM flavors ORDER BY id"))
        assert [tuple(row) for row in rows] == [
            ("1", "m1.tiny", 1, 512, 1),
            ("2", "m1.small", 1, 2048, 20),
            ("3", "m1.medium", 2, 4096, 40),
            ("4", "m1.large", 4, 8192, 80),
            ("5", "m1.xlarge", 8, 16384, 160),
        ]


def test_sqlite_keeps_a_write_ahead_log_and_its_foreign_keys(database: Database) -> None:
    with database.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_an_upgrade_only_adds_unless_it_says_that_it_contracts(database: Database) -> None:
    """Processes of the release before go on working on the new schema: see docs/decisions/0005."""
    for script in journey.scripts():
        assert beyond(script, journey.step_up(database, script.revision)) == set()


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE instances",
        "drop index ix_instances_host_deleted",
        "DELETE FROM instances",
        "TRUNCATE services",
        "REPLACE INTO services (id) VALUES (1)",
        "WITH a AS (SELECT 1) DELETE FROM services",
        "INSERT INTO services (id) VALUES (1)",
        "UPDATE instances SET host = NULL",
        "UPDATE `instances` SET added = 1, host = 'a' WHERE id = 1",
        "UPDATE made SET host = 'a' WHERE id = 1; DROP TABLE instances",
        "ALTER TABLE instances DROP COLUMN host",
        "ALTER TABLE instances RENAME COLUMN host TO node",
        "ALTER TABLE instances RENAME TO servers",
        "ALTER TABLE instances ALTER COLUMN host SET NOT NULL",
        "ALTER TABLE instances MODIFY host TEXT",
        "ALTER TABLE instances ADD COLUMN needed INTEGER NOT NULL",
        "ALTER TABLE instances ADD COLUMN a INTEGER, DROP COLUMN host",
        "ALTER TABLE instances ADD CONSTRAINT uq UNIQUE (host)",
        "CREATE UNIQUE INDEX uq ON instances (host)",
        "CREATE TRIGGER t AFTER INSERT ON instances BEGIN SELECT 1; END",
    ],
)
def test_what_an_older_process_could_not_go_on_with_is_seen_however_it_is_sent(statement: str) -> None:
    assert forbidden([*ADDITIONS, statement]) == [re.sub(r"[`]", "", statement)]


ADDITIONS = [
    "CREATE TABLE made (\n\tid INTEGER NOT NULL,\n\thost VARCHAR(255)\n)",
    "CREATE UNIQUE INDEX uq_made_host ON made (host)",
    "INSERT INTO made (id, host) SELECT id, host FROM services",
    "ALTER TABLE instances ADD COLUMN added INTEGER",
    "ALTER TABLE instances ADD COLUMN counted INTEGER DEFAULT '0' NOT NULL",
    "CREATE INDEX ix_instances_added ON instances (added)",
    "SELECT instances.id FROM instances WHERE instances.added IS NULL",
    'UPDATE "instances" SET added=? WHERE instances.id = ?',
]


def test_what_only_adds_is_allowed() -> None:
    assert forbidden(ADDITIONS) == []


def test_of_guests_that_were_adopted_before_it_is_found_out_which_keys_they_need(database: Database) -> None:
    schema.upgrade(database, "0003")
    secret = "0D9A5A3C-6f3e-4f0c-9c58-1f7f0d5b7c11"
    encryption = f"<encryption format='luks'>\n<secret type='passphrase' uuid='{secret}'/>\n</encryption>"
    auth = "<auth><secret type='ceph' uuid='7a3b8c1e-95f6-4b36-8f3f-0a9a3c0e1d22'/></auth>"
    domain = "<domain><devices><disk><source file='/a'>{}</source></disk></devices></domain>"
    required = (
        "display_name, hostname, project_id, user_id, reservation_id, launch_index, flavor, vcpus, memory_mb, disk_gb, "
        "metadata, tags, config_drive, locked, locked_by_owner, vm_state, power_state, created_at, deleted"
    )
    values = "'n', 'n', 'p', 'u', 'r', 0, '{}', 1, 1, 1, '{}', '[]', '', 0, 0, 'stopped', 4, '2026-01-31 12:00:00', 0"
    told = {"encrypted": domain.format(encryption * 2 + auth), "plain": domain.format(auth), "made": None}
    with database.engine.begin() as connection:
        for uuid, definition in told.items():
            statement = text(f"INSERT INTO instances (uuid, definition, {required}) VALUES (:uuid, :it, {values})")
            connection.execute(statement.bindparams(uuid=uuid, it=definition))

    schema.upgrade(database)

    with database.engine.connect() as connection:
        found = {row.uuid: row.key_ids for row in connection.execute(text("SELECT uuid, key_ids FROM instances"))}
    assert found == {"encrypted": f'["{secret.lower()}"]', "plain": None, "made": None}
    schema.downgrade(database, "0003")
    assert "key_ids" not in {column["name"] for column in inspect(database.engine).get_columns("instances")}

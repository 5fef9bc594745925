"""The schema's versions: Alembic, run from the installed package or from a checkout alike."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

import evacuator
from evacuator.db.session import Database
from evacuator.errors import NotConfigured

_PACKAGE = Path(evacuator.__file__).parent

#: In a wheel the scripts lie inside the package, in a checkout beside it.
_PLACES = (_PACKAGE / "migrations", _PACKAGE.parent / "migrations")


def _scripts() -> Path:
    for place in _PLACES:
        if (place / "env.py").is_file():
            return place
    raise NotConfigured(reason=f"The schema's migrations are missing; looked in {' and '.join(map(str, _PLACES))}.")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_scripts()))
    return config


def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the schema to ``revision``; one that is there already is left alone."""
    config = _config()
    with database.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()


def downgrade(database: Database, revision: str) -> None:
    """Bring the schema back to ``revision``."""
    config = _config()
    with database.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
        connection.commit()


def current(database: Database) -> str | None:
    """Return the revision that the database has; None for an empty one."""
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head() -> str | None:
    """Return the newest revision that this release knows."""
    return ScriptDirectory.from_config(_config()).get_current_head()

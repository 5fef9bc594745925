"""The schema's versions: Alembic, run from the installed package or from a checkout alike.

Alembic is imported only where the schema is changed: to know a version takes neither its 11 MiB nor its tenth of a
second.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import inspect, text

import evacuator
from evacuator.db.refusals import answering
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


def _config() -> Any:
    from alembic.config import Config  # noqa: PLC0415 - see above

    config = Config()
    config.set_main_option("script_location", str(_scripts()))
    return config


@contextmanager
def _changing(database: Database) -> Iterator[Any]:
    from alembic.util import CommandError  # noqa: PLC0415 - see above

    config = _config()
    try:
        with answering(), database.engine.connect() as connection:
            config.attributes["connection"] = connection
            yield config
            connection.commit()
    except CommandError as error:
        raise NotConfigured(reason=f"The schema is left as it is: {error}. The newest is {head()}.") from error


def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the schema to ``revision``; one that is there already is left alone.

    :raises NotConfigured: there is no such revision, or the database has one that this release does not know.
    :raises DatabaseUnavailable:
    """
    from alembic import command  # noqa: PLC0415 - see above

    with _changing(database) as config:
        command.upgrade(config, revision)


def downgrade(database: Database, revision: str) -> None:
    """Bring the schema back to ``revision``; refused as :func:`upgrade` is."""
    from alembic import command  # noqa: PLC0415 - see above

    with _changing(database) as config:
        command.downgrade(config, revision)


def current(database: Database) -> str | None:
    """Return the revision that the database has; None for an empty one.

    :raises DatabaseUnavailable:
    """
    with answering(), database.engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return found


def head() -> str | None:
    """Return the newest revision that this release knows."""
    scripts = (_scripts() / "versions").glob("[0-9]*.py")
    return max((script.name.partition("_")[0] for script in scripts), default=None)

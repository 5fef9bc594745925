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

#: The command that brings the configured database to the newest revision.
UPGRADE = "evacuator db upgrade"


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

    found = current(database)
    if is_newer(found):
        raise NotConfigured(reason=f"The schema is left as it is: it is at {found}, {way_out(found)}.")
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

    :raises NotConfigured: there is no such revision, it is an older one than the database has, or that is one which
        this release does not know.
    :raises DatabaseUnavailable:
    """
    from alembic import command  # noqa: PLC0415 - see above

    found = current(database)
    if found in _revisions() and revision in _revisions() and revision < found:
        raise NotConfigured(
            reason=f"The schema is left as it is: it is at {found}, and an upgrade to {revision} is none."
        )
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
    return max(_revisions(), default=None)


def _revisions() -> set[str]:
    return {script.name.partition("_")[0] for script in (_scripts() / "versions").glob("[0-9]*.py")}


def is_newer(found: str | None) -> bool:
    """Tell whether a database's revision is one that only a later release can have made."""
    return found is not None and found not in _revisions()


def way_out(found: str | None, upgrade: str = UPGRADE) -> str:
    """Say what is to be done about a revision that is not the newest; ``upgrade`` is the command that changes it."""
    if is_newer(found):
        return f"newer than this program, which knows {head()}: upgrade the program"
    return f"this program needs {head()}: run `{upgrade}`"

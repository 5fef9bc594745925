"""Whether the database is there and as it has to be, asked once and at once."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from evacuator.db import schema
from evacuator.db.models import Migration
from evacuator.db.session import Database
from evacuator.evacuation.transitions import UNFINISHED


@dataclass(frozen=True)
class Health:
    """``error``: what kind of reason the database has not to answer, None when it does. ``revision``: of its schema.

    ``reason``: the same in its own words, which may name users and machines: for the log alone.
    """

    error: str | None = None
    reason: str | None = None
    revision: str | None = None


def look(database: Database) -> Health:
    """Ask the database for the version of its schema; nothing is tried again."""
    try:
        return Health(revision=schema.current(database))
    except Exception as error:  # noqa: BLE001 - whatever a driver raises, the question is whether it answers
        return Health(error=type(error).__name__, reason=str(error))


def unfinished(session: Session) -> dict[str, int]:
    """Count the evacuations under way, by status."""
    counted = select(Migration.status, func.count()).where(Migration.status.in_(UNFINISHED)).group_by(Migration.status)
    found = {str(status): int(number) for status, number in session.execute(counted).all()}
    return {str(status): found.get(status, 0) for status in sorted(UNFINISHED)}

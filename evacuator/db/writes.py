"""The conditional write: how anything that is already there is ever changed."""

from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy import ColumnElement, CursorResult, delete, insert, true, update
from sqlalchemy.orm import Session

from evacuator.db.models import Model
from evacuator.errors import Overtaken

Facts = Mapping[str, Any]


def condition(model: type[Model], facts: Facts) -> ColumnElement[bool]:
    """Return the SQL of "the row is still so": None asks for null, a set or frozenset for one of its members."""
    clause: ColumnElement[bool] = true()
    for name, value in facts.items():
        column = getattr(model, name)
        clause &= column.in_(value) if isinstance(value, set | frozenset) else column == value
    return clause


def add(session: Session, model: type[Model], values: Facts) -> int:
    """Insert a row, and return the number that it was given."""
    result = session.execute(insert(model).values(**values))
    return int(cast("CursorResult[Any]", result).inserted_primary_key[0])  # type: ignore[index]


def change(session: Session, model: type[Model], where: Facts, values: Facts, *also: ColumnElement[bool]) -> int:
    """Write ``values`` to the rows for which ``where`` holds, and say how many there were."""
    statement = update(model).where(condition(model, where), *also).values(**values)
    return count(session, statement)


def change_one(session: Session, model: type[Model], where: Facts, values: Facts, *also: ColumnElement[bool]) -> None:
    """Write ``values`` to the one row for which ``where`` holds.

    :raises Overtaken: there is no such row any more.
    """
    if change(session, model, where, values, *also) != 1:
        raise Overtaken(what=model.__tablename__, where=dict(where))


def remove(session: Session, model: type[Model], where: Facts) -> int:
    """Delete the rows for which ``where`` holds, and say how many there were."""
    return count(session, delete(model).where(condition(model, where)))


def count(session: Session, statement: Any) -> int:
    """Execute a statement and return the number of rows that it matched."""
    result = session.execute(statement, execution_options={"synchronize_session": False})
    return cast("CursorResult[Any]", result).rowcount

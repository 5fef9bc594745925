"""The conditional write: how anything that is already there is ever changed.

To build a statement takes a process longer than to execute it. So each is built once, with parameters for the values:
by the functions here for each combination of columns, and where it says more than that, by the noun that needs it.
"""

from collections.abc import Iterator, Mapping
from enum import Enum, auto
from functools import cache, lru_cache
from typing import Any, cast

from sqlalchemy import (
    ClauseElement,
    Column,
    ColumnElement,
    CursorResult,
    Delete,
    Executable,
    Insert,
    Table,
    Update,
    bindparam,
    delete,
    insert,
    inspect,
    true,
    update,
)
from sqlalchemy.orm import Session

from evacuator.db.clock import now
from evacuator.db.models import Model
from evacuator.errors import Overtaken

Facts = Mapping[str, Any]

#: The columns of some facts, and of each what the statement must know beside its value: see ``_form_of``.
Shape = tuple[tuple[str, Any], ...]


class Form(Enum):
    """What a statement says of a column where it does not say how many values, or what SQL."""

    VALUE = auto()
    NULL = auto()
    NOW = auto()


def add(session: Session, model: type[Model], values: Facts) -> int:
    """Insert a row, and return the number that it was given."""
    shape = _shape_of(values)
    result = session.execute(_insert(model, shape), dict(_parameters("new", values)))
    return int(cast("CursorResult[Any]", result).inserted_primary_key[0])  # type: ignore[index]


def change(session: Session, model: type[Model], where: Facts, values: Facts) -> int:
    """Write ``values`` to the rows for which ``where`` holds, and say how many there were.

    In ``where``, None asks for null, a set or frozenset for one of its members. A value may be SQL.
    """
    statement = _update(model, _shape_of(where), _shape_of(values))
    return count(session, statement, dict(_parameters("old", where)) | dict(_parameters("new", values)))


def change_one(session: Session, model: type[Model], where: Facts, values: Facts) -> None:
    """Write ``values`` to the one row for which ``where`` holds.

    :raises Overtaken: there is no such row any more.
    """
    if change(session, model, where, values) != 1:
        raise Overtaken(what=model.__tablename__, where=dict(where))


def remove(session: Session, model: type[Model], where: Facts) -> int:
    """Delete the rows for which ``where`` holds, and say how many there were."""
    return count(session, _delete(model, _shape_of(where)), dict(_parameters("old", where)))


def count(session: Session, statement: Executable, parameters: Facts | None = None) -> int:
    """Execute a statement and return the number of rows that it matched."""
    return cast("CursorResult[Any]", session.execute(statement, parameters)).rowcount


def table_of(model: type[Model]) -> Table:
    """Return the table of a model, for statements that need nothing of the model itself."""
    return cast("Table", model.__table__)


def _form_of(value: Any) -> Any:
    """Return what makes two statements different that speak of the same column."""
    if value is None:
        return Form.NULL
    if isinstance(value, set | frozenset):
        return len(value)
    if isinstance(value, now):
        return Form.NOW
    return value if isinstance(value, ClauseElement) else Form.VALUE


def _shape_of(facts: Facts) -> Shape:
    return tuple((name, _form_of(value)) for name, value in facts.items())


def _parameters(prefix: str, facts: Facts) -> Iterator[tuple[str, Any]]:
    """Yield name and value of the parameters that a statement of the shape of ``facts`` has."""
    for name, value in facts.items():
        if isinstance(value, set | frozenset):
            yield from ((f"{prefix}_{name}_{index}", member) for index, member in enumerate(value))
        elif _form_of(value) is Form.VALUE:
            yield f"{prefix}_{name}", value


@cache
def _columns(model: type[Model]) -> Mapping[str, Column[Any]]:
    return dict(inspect(model).columns.items())


def _condition(model: type[Model], shape: Shape) -> ColumnElement[bool]:
    clause: ColumnElement[bool] = true()
    for name, form in shape:
        column = _columns(model)[name]
        if form is Form.NULL:
            clause &= column.is_(None)
        elif isinstance(form, int):
            clause &= column.in_([bindparam(f"old_{name}_{index}") for index in range(form)])
        else:
            clause &= column == bindparam(f"old_{name}")
    return clause


def _written(model: type[Model], shape: Shape) -> dict[Column[Any], Any]:
    sql = {Form.NULL: None, Form.NOW: now()}
    return {
        _columns(model)[name]: bindparam(f"new_{name}") if form is Form.VALUE else sql.get(form, form)
        for name, form in shape
    }


# SQL among the values is part of a shape. There is little of it; the bound is for what is made anew each time.


@lru_cache(256)
def _insert(model: type[Model], shape: Shape) -> Insert:
    return insert(table_of(model)).values(_written(model, shape))


@lru_cache(256)
def _update(model: type[Model], where: Shape, values: Shape) -> Update:
    return update(table_of(model)).where(_condition(model, where)).values(_written(model, values))


@lru_cache(256)
def _delete(model: type[Model], where: Shape) -> Delete:
    return delete(table_of(model)).where(_condition(model, where))

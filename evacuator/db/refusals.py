"""What databases say when they do not do what they are asked, and what that means."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from oslo_db import exception as db_errors
from sqlalchemy import ExceptionContext
from sqlalchemy.exc import DatabaseError, InternalError, OperationalError, SQLAlchemyError

from evacuator.errors import DatabaseRefuses, DatabaseUnavailable

#: What says something of the database and not of what it was asked: full, locked, no entry, no database at all.
REFUSALS = frozenset({OperationalError, InternalError, DatabaseError})

#: A table or a column is missing.
NO_TABLE = frozenset({1146, 1054, "42P01", "42703"})

#: A lock was waited for long enough (MariaDB's number for that is a deadlock to oslo.db), or two were in each other's
#: way: a deadlock, or on Galera a failed certification. oslo.db knows those by their words, not all of which it knows.
OTHERS_IN_THE_WAY = frozenset({1213, "55P03", "40P01", "40001"})

#: The server takes no writes: it was the primary, and another one is now.
READ_ONLY = frozenset({1290, 1792, 1836, "25006"})

#: The server ends what there is, takes no more connections at the moment, or was not reached at all: psycopg has no
#: number for that, and oslo.db looks for the words of another driver.
AWAY = frozenset({1040, "53300", "57P01", "57P02", "57P03", "08000", "08001", "08003", "08004", "08006"})


@contextmanager
def answering() -> Iterator[None]:
    """Within this, a database that does not answer, or will not, says so in our words.

    :raises DatabaseUnavailable:
    """
    try:
        yield
    except db_errors.DBConnectionError as error:
        raise DatabaseUnavailable(reason=_said(error)) from error
    except (SQLAlchemyError, db_errors.DBError) as error:
        cause = _cause(error)
        if _is_any(cause, NO_TABLE) or "no such table" in str(cause):
            raise DatabaseRefuses(reason="it lacks tables of this release: run `evacuator db upgrade`") from error
        if type(cause) in REFUSALS:
            raise DatabaseRefuses(reason=_said(error)) from error
        raise


def is_transient(error: Exception) -> bool:
    """Tell whether a transaction that ended like this is to be begun again, besides what oslo.db knows."""
    return _is_any(_cause(error), OTHERS_IN_THE_WAY)


def leave_who_is_of_no_use(context: ExceptionContext) -> None:
    """Count as lost a connection that was not made, or to a server that takes no writes (``handle_error``)."""
    # A connection to the server that was the primary would stay there; a new one is led to the one that is.
    error = context.original_exception
    if _is_any(error, READ_ONLY | AWAY) or _was_never_made(error):
        context.is_disconnect = True


def takes_no_writes(context: ExceptionContext) -> bool:
    """Tell whether the server let nothing be written because another one is the primary now."""
    return _is_any(context.original_exception, READ_ONLY)


def _was_never_made(error: BaseException) -> bool:
    """Tell whether it is psycopg's for a server that was not reached, or that did not say why it hung up."""
    return type(error).__name__ in {"OperationalError", "ConnectionTimeout"} and getattr(error, "sqlstate", "") is None


def _cause(error: Exception) -> Exception:
    """Return what SQLAlchemy made of an error, before oslo.db wrapped it."""
    return getattr(error, "inner_exception", None) or error


def _said(error: Exception) -> str:
    """Return what the database's driver said, without what SQLAlchemy says of it."""
    cause = _cause(error)
    return str(getattr(cause, "orig", None) or cause).strip().splitlines()[0]


def _is_any(error: BaseException, numbers: Collection[object]) -> bool:
    """Tell whether an error has one of these numbers: MariaDB's own are integers, the standard's five characters."""
    of_driver = getattr(error, "orig", None) or error
    # PyMySQL tells both of them from 1.2 on, and the standard's is often one that says nothing (HY000).
    told = {getattr(of_driver, "sqlstate", None), next(iter(of_driver.args), None)}
    return not told.isdisjoint(numbers)

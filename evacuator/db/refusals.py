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

#: A lock was waited for long enough; MariaDB's number for it is a deadlock to oslo.db.
LOCK_NOT_AVAILABLE = frozenset({"55P03"})

#: The server takes no writes: it was the primary, and another one is now.
READ_ONLY = frozenset({1290, 1792, 1836, "25006"})


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
    return _is_any(_cause(error), LOCK_NOT_AVAILABLE)


def leave_who_takes_no_writes(context: ExceptionContext) -> None:
    """Count a connection to a server that takes no writes as lost (an engine's ``handle_error``)."""
    # A connection to the server that was the primary would stay there; a new one is led to the one that is.
    if _is_any(context.original_exception, READ_ONLY):
        context.is_disconnect = True


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

"""The database's clock, as SQL.

One clock decides who is silent: that of the one server that every process writes to; clocks of two machines are never
compared. SQLite has no server, so its clock is a function that the connection registers (see
``evacuator.db.session``), which is also how a simulator makes time its own.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, Float, literal
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

#: A moment in UTC, to the microsecond, without a zone.
Moment = DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")

#: What SQLite calls the function that its connections register: seconds to subtract -> moment.
SQLITE_FUNCTION = "evacuator_clock"


class seconds_ago(FunctionElement[datetime]):  # noqa: N801 - reads as the SQL function it is
    """The moment that many seconds before now."""

    type = Moment
    inherit_cache = True
    name = "seconds_ago"

    def __init__(self, seconds: float) -> None:
        super().__init__(literal(float(seconds), Float))


class now(FunctionElement[datetime]):  # noqa: N801
    """This moment; it moves on within a transaction."""

    type = Moment
    inherit_cache = True
    name = "now"


@compiles(now, "sqlite")
def _now_sqlite(_element: now, _compiler: SQLCompiler, **_kw: Any) -> str:
    return f"{SQLITE_FUNCTION}(0)"


@compiles(now, "mysql")
@compiles(now, "mariadb")
def _now_mysql(_element: now, _compiler: SQLCompiler, **_kw: Any) -> str:
    return "UTC_TIMESTAMP(6)"


@compiles(now, "postgresql")
def _now_postgresql(_element: now, _compiler: SQLCompiler, **_kw: Any) -> str:
    return "(clock_timestamp() AT TIME ZONE 'UTC')"


@compiles(seconds_ago, "sqlite")
def _ago_sqlite(element: seconds_ago, compiler: SQLCompiler, **kw: Any) -> str:
    return f"{SQLITE_FUNCTION}({compiler.process(element.clauses, **kw)})"


@compiles(seconds_ago, "mysql")
@compiles(seconds_ago, "mariadb")
def _ago_mysql(element: seconds_ago, compiler: SQLCompiler, **kw: Any) -> str:
    return f"(UTC_TIMESTAMP(6) - INTERVAL {compiler.process(element.clauses, **kw)} SECOND)"


@compiles(seconds_ago, "postgresql")
def _ago_postgresql(element: seconds_ago, compiler: SQLCompiler, **kw: Any) -> str:
    seconds = compiler.process(element.clauses, **kw)
    return f"(clock_timestamp() AT TIME ZONE 'UTC' - make_interval(secs => CAST({seconds} AS double precision)))"

"""Carry everything from one database to another, as when one machine becomes many."""

from collections.abc import Mapping

from sqlalchemy import Connection, Table, delete, func, insert, select, text, update

from evacuator.db import schema
from evacuator.db.clock import now
from evacuator.db.models import Flavor, Model, Service
from evacuator.db.session import Database
from evacuator.errors import NotConfigured

#: How many rows are carried at once.
ROWS = 500

#: What a new database has from the start, and what the old one's take the place of.
GIVEN = Flavor


def copy_all(source: Database, target: Database, upgrade_source: str = schema.UPGRADE) -> Mapping[str, int]:
    """Copy every row, with its number, and return how many of each table; all of it or nothing.

    ``upgrade_source``: the command that brings the source to the newest schema.

    :raises NotConfigured: either is not at the newest schema, or there is something in the target already.
    """
    for database, which, upgrade in ((source, "old", upgrade_source), (target, "new", schema.UPGRADE)):
        found = schema.current(database)
        if found != schema.head():
            said = f"is at {found}" if found else "is empty"
            raise NotConfigured(reason=f"The {which} database {said}, {schema.way_out(found, upgrade)}.")
    with source.engine.connect() as reading, target.engine.begin() as writing:
        _require_empty(writing)
        writing.execute(delete(GIVEN))
        copied = {table.name: _copy(table, reading, writing) for table in Model.metadata.sorted_tables}
        # The new clock may be behind the old one's, and would take the dead for the living until it has caught up.
        writing.execute(update(Service).where(Service.last_seen > now()).values(last_seen=now(), up_since=now()))
        return copied


def _require_empty(target: Connection) -> None:
    for table in Model.metadata.sorted_tables:
        if table is not GIVEN.__table__ and target.scalar(select(func.count()).select_from(table)):
            raise NotConfigured(
                reason=f"The new database is in use: there are {table.name} in it. Give an empty one, made with "
                "`evacuator db upgrade`."
            )


def _copy(table: Table, source: Connection, target: Connection) -> int:
    columns = [column for column in table.columns if column.computed is None]
    copied = 0
    for rows in source.execute(select(*columns).order_by(table.c.id)).mappings().partitions(ROWS):
        target.execute(insert(table), [dict(row) for row in rows])
        copied += len(rows)
    if target.dialect.name == "postgresql" and copied:
        # Its numbers come from sequences, which know nothing of rows that brought theirs along.
        last = f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), (SELECT max(id) FROM {table.name}))"  # noqa: S608
        target.execute(text(last))
    return copied

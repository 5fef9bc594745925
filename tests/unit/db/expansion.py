"""What the upgrade of a revision may do under processes of the release before: decision 5, as a function."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from alembic.script import Script
from sqlalchemy import Engine, event

#: Statements as they are sent, in order.
Sent = Sequence[str]

#: What was done before the first release, and so under no older process: see docs/decisions/0005.
BEFORE_THE_FIRST_RELEASE = {
    "0003": {"UPDATE instances SET availability_zone = NULL WHERE availability_zone = 'nova'"},
}

#: What asks, and what a connection does between statements.
READS = re.compile(r"SELECT |SHOW |DESCRIBE |PRAGMA (?:main\.|temp\.)?\w+(?:\(.*\))?$|BEGIN$")

ALEMBICS_OWN = re.compile(r"(?:CREATE TABLE|INSERT INTO|UPDATE) alembic_version\b")

CREATES = re.compile(r"CREATE TABLE (\w+)")
INDEXES = re.compile(r"CREATE INDEX ")
INDEXES_UNIQUELY = re.compile(r"CREATE UNIQUE INDEX \w+ ON (\w+)")
ADDS = re.compile(r"ALTER TABLE (\w+) ADD COLUMN (\w+) (?P<kind>[^,]*(?:\([^)]*\))?[^,]*)$")
INSERTS = re.compile(r"INSERT INTO (\w+)")
UPDATES = re.compile(r"UPDATE (\w+) SET (.*?)(?: WHERE .*)?$")
ASSIGNS = re.compile(r"(\w+)\s*=")


def beyond(script: Script, sent: Sent) -> set[str]:
    """Return what the upgrade of a revision sent beyond that; nothing where the revision says that it contracts."""
    if "contracts:" in (script.module.__doc__ or ""):
        return set()
    return set(forbidden(sent)) - BEFORE_THE_FIRST_RELEASE.get(script.revision, set())


def forbidden(sent: Sent) -> list[str]:
    """Return the statements of one upgrade with which a process of the release before could not go on."""
    plain = [_plain(each) for each in sent]
    tables = {found[1] for each in plain if (found := CREATES.match(each))}
    columns = {(found[1], found[2]) for each in plain if (found := ADDS.match(each))}
    return [each for each in plain if not _allowed(each, tables, columns)]


def _plain(statement: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"[`\"]", "", statement)).strip().rstrip(";")


def _allowed(statement: str, tables: set[str], columns: set[tuple[str, str]]) -> bool:
    """Judge one statement by the tables and columns that its own upgrade adds, which no older process knows."""
    judges: list[tuple[re.Pattern[str], Callable[[re.Match[str]], bool]]] = [
        (ALEMBICS_OWN, lambda _: True),
        (READS, lambda _: True),
        (CREATES, lambda _: True),
        (INDEXES, lambda _: True),
        (INDEXES_UNIQUELY, lambda found: found[1] in tables),
        (ADDS, lambda found: "NOT NULL" not in found["kind"] or "DEFAULT" in found["kind"]),
        (INSERTS, lambda found: found[1] in tables),
        (UPDATES, lambda found: {(found[1], each) for each in ASSIGNS.findall(found[2])} <= columns),
    ]
    if ";" in statement:
        return False
    return any(judge(found) for pattern, judge in judges if (found := pattern.match(statement)))


@contextmanager
def listening(engine: Engine) -> Iterator[list[str]]:
    """Collect what is sent to a database, by whichever way it is sent."""
    sent: list[str] = []

    def collect(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        sent.append(statement)

    event.listen(engine, "before_cursor_execute", collect)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", collect)

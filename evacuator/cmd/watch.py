"""``evacuator watch``: a live table of running evacuations, which ends when they end. It reads only the API."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from evacuator.cmd.compute_api import ApiRefused, ApiUnreachable, ComputeApi, with_password, with_token
from evacuator.cmd.options import add_config_file
from evacuator.errors import EvacuatorError
from evacuator.evacuation.transitions import UNFINISHED, Status

#: Exit statuses.
ALL_DONE, SOME_FAILED, COULD_NOT_LOOK = 0, 1, 2

#: From 2.59 on migrations have uuids; beyond 2.80 nothing is read here that is not there before.
OLDEST, NEWEST = (2, 59), (2, 80)

#: How many looks in a row may go wrong (the API is being restarted, say) before it is given up.
PATIENCE = 5

#: What a row shows for an evacuation whose server was deleted meanwhile: the API hides its record then.
VANISHED = "server deleted"

STYLES: Mapping[str, str] = {
    Status.DONE: "green",
    Status.COMPLETED: "green",
    Status.FAILED: "red",
    Status.ERROR: "red",
    VANISHED: "dim",
}


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "watch",
        help="watch the running evacuations until they end",
        description="Show the running evacuations until all have ended; it reads only the compute API, so that it "
        "works with Nova too. Exit status: 0 when all are done, 1 when some failed, 2 when it could not look.",
    )
    parser.add_argument("--host", metavar="H", help="only evacuations from or to this host")
    parser.add_argument(
        "--url",
        metavar="URL",
        default=os.environ.get("OS_ENDPOINT") or "http://127.0.0.1:8774/v2.1",
        help="the compute endpoint (default: $OS_ENDPOINT, else http://127.0.0.1:8774/v2.1); with "
        "OS_AUTH_TYPE=http_basic $OS_USERNAME and $OS_PASSWORD say who asks",
    )
    parser.add_argument(
        "--token", metavar="TOKEN", default=os.environ.get("OS_TOKEN"), help="a token (default: $OS_TOKEN)"
    )
    parser.add_argument("--interval", metavar="S", type=_seconds, default=1.0, help="seconds between looks (1)")
    add_config_file(parser)
    parser.set_defaults(run=run, failed=COULD_NOT_LOOK)


def _seconds(text: str) -> float:
    seconds = float(text)
    if seconds <= 0:
        raise argparse.ArgumentTypeError("give a number of seconds above 0")
    return seconds


def run(args: argparse.Namespace) -> int:
    """Watch until all is over, and say by the exit status how it went."""
    console = Console(highlight=False)
    try:
        api = negotiate(ComputeApi(args.url, "2.1", identity(args.token, os.environ)))
        watched = Watched(api, args.host)
        if console.is_terminal:
            with TableScreen(console) as screen:
                follow(watched, screen, args.interval)
        else:
            follow(watched, LineScreen(), args.interval)
    except EvacuatorError as error:
        print(f"evacuator watch: {error}", file=sys.stderr)
        return COULD_NOT_LOOK
    print(summary(watched.rows.values()))
    return SOME_FAILED if any(row.failed for row in watched.rows.values()) else ALL_DONE


def identity(token: str | None, environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return the headers that say who asks: by a token, or as the ``OS_`` variables of http_basic say."""
    if token:
        return with_token(token)
    if environment.get("OS_AUTH_TYPE") == "http_basic":
        return with_password(environment.get("OS_USERNAME", ""), environment.get("OS_PASSWORD", ""))
    return {}


def negotiate(api: ComputeApi) -> ComputeApi:
    """Choose the microversion to speak.

    :raises ApiUnreachable: nobody is there, or speaks nothing new enough.
    """
    spoken = api.newest()
    try:
        major, minor = map(int, spoken.split("."))
    except ValueError as error:
        raise ApiUnreachable(url=api.url, reason=f"it says that it speaks {spoken!r}") from error
    if (major, minor) < OLDEST:
        reason = f"it speaks microversion {spoken} at most, {_text(OLDEST)} is needed"
        raise ApiUnreachable(url=api.url, reason=reason)
    return api.at(_text(min((major, minor), NEWEST)))


def _text(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


# -- what is watched


@dataclass
class Row:
    """One evacuation as it was seen last. ``status`` is the record's, ``server`` what the server shows of itself."""

    uuid: str
    instance: str
    name: str
    source: str
    destination: str | None
    status: str
    server: str = ""
    reason: str = ""

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.status in UNFINISHED

    @property
    def failed(self) -> bool:
        """Whether it ended otherwise than it should."""
        return self.status in (Status.ERROR, Status.FAILED)


@dataclass
class Watched:
    """The evacuations that ran at some look; each look brings them up to date."""

    api: ComputeApi
    host: str | None = None
    rows: dict[str, Row] = field(default_factory=dict)

    @property
    def running(self) -> bool:
        """Whether any has not ended."""
        return any(row.running for row in self.rows.values())

    def look(self) -> None:
        """Look at what runs now, and at how what does not run any more ended.

        :raises ApiUnreachable, ApiRefused:
        """
        found: dict[str, Mapping[str, Any]] = {}
        # In the order in which a record passes through them, so that one which moves on meanwhile is seen all the same.
        for status in (Status.ACCEPTED, Status.PRE_MIGRATING):
            found |= self._migrations(status=status, host=self.host)
        for uuid, migration in found.items():
            if uuid not in self.rows:
                self.rows[uuid] = self._new_row(migration)
            self._update(self.rows[uuid], migration)
        for uuid, row in self.rows.items():
            if row.running and uuid not in found:
                self._find_out(row)

    def _migrations(self, **query: str | None) -> dict[str, Mapping[str, Any]]:
        """Return migrations by uuid, page by page."""
        found: dict[str, Mapping[str, Any]] = {}
        marker: str | None = None
        while True:
            answer = self.api.get("/os-migrations", migration_type="evacuation", marker=marker, **query)
            page = {migration["uuid"]: migration for migration in answer["migrations"]}
            if not page or not page.keys() - found.keys():
                return found
            found |= page
            if not answer.get("migrations_links"):
                return found
            marker = answer["migrations"][-1]["uuid"]

    def _new_row(self, migration: Mapping[str, Any]) -> Row:
        instance = str(migration["instance_uuid"])
        return Row(
            uuid=str(migration["uuid"]),
            instance=instance,
            name=str(self._server(instance).get("name") or instance),
            source=str(migration["source_compute"]),
            destination=None,
            status="",
        )

    def _update(self, row: Row, migration: Mapping[str, Any]) -> None:
        row.destination, row.status = migration["dest_compute"], str(migration["status"])

    def _find_out(self, row: Row) -> None:
        migration = self._migrations(instance_uuid=row.instance).get(row.uuid)
        if migration is None:
            row.status = VANISHED
            return
        self._update(row, migration)
        if not row.running:
            server = self._server(row.instance)
            row.server = str(server.get("status") or "")
            row.reason = str(server.get("fault", {}).get("message") or "") if row.failed else ""

    def _server(self, uuid: str) -> Mapping[str, Any]:
        try:
            server: Mapping[str, Any] = self.api.get(f"/servers/{uuid}")["server"]
        except ApiRefused:
            return {}  # deleted, or not ours to see: the evacuation is shown all the same
        return server


# -- how it is shown


class Screen(Protocol):
    """Shows rows, again whenever they may have changed."""

    def show(self, rows: Iterable[Row]) -> None:
        """Show them."""


class LineScreen:
    """Prints one line for each change: for files and pipes."""

    def __init__(self) -> None:
        self._shown: dict[str, tuple[str, str | None]] = {}

    def show(self, rows: Iterable[Row]) -> None:
        """Print what has changed."""
        for row in rows:
            if self._shown.get(row.uuid) != (row.status, row.destination):
                self._shown[row.uuid] = (row.status, row.destination)
                server = f" {row.server}" if row.server else ""
                reason = f": {row.reason}" if row.reason else ""
                print(f"{row.name} {row.source} -> {row.destination or '?'} {row.status}{server}{reason}", flush=True)


class TableScreen:
    """Keeps a table on a terminal up to date."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="visible")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, rows: Iterable[Row]) -> None:
        """Draw the table anew."""
        table = Table("server", "from", "to", "evacuation", "server is", "why")
        for row in rows:
            status = Text(row.status, STYLES.get(row.status, "yellow"))
            before, after = (row.name, row.source, row.destination or "?"), (row.server, row.reason)
            table.add_row(*map(Text, before), status, *map(Text, after))
        self._live.update(table, refresh=True)


def follow(watched: Watched, screen: Screen, interval: float, sleep: Callable[[float], None] = time.sleep) -> None:
    """Look and show until nothing runs any more.

    :raises ApiUnreachable, ApiRefused: the first look goes wrong, or too many in a row.
    """
    watched.look()
    screen.show(watched.rows.values())
    failures = 0
    while watched.running:
        sleep(interval)
        try:
            watched.look()
        except (ApiUnreachable, ApiRefused):
            failures += 1
            if failures == PATIENCE:
                raise
            continue
        failures = 0
        screen.show(watched.rows.values())


def summary(rows: Iterable[Row]) -> str:
    """Say in a line how it went."""
    rows = list(rows)
    if not rows:
        return "No evacuation is running."
    failed = sum(row.failed for row in rows)
    vanished = sum(row.status == VANISHED for row in rows)
    parts = [f"{len(rows) - failed - vanished} done", f"{failed} failed"]
    return ", ".join(parts + ([f"{vanished} of deleted servers"] if vanished else []))

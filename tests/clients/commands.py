"""The command-line clients as an operator calls them: what the installed programs call, in processes of their own."""

import json
import os
from dataclasses import dataclass, field
from typing import Any

from tests.acceptance import processes


@dataclass
class Done:
    """How a command ended, and what it said."""

    command: tuple[str, ...]
    status: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"{' '.join(self.command)}: exit status {self.status}\n{self.out}\n{self.err}"


@dataclass
class Client:
    """A program with its environment. ``options`` go before every command's own words."""

    program: str
    environment: dict[str, str]
    options: tuple[str, ...] = field(default=())

    def run(self, *words: str, before: tuple[str, ...] = ()) -> Done:
        """Run a command, however it ends."""
        arguments = (*self.options, *before, *words)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
        done = processes.run(arguments, environment=clean | self.environment, program=self.program)
        return Done((self.program, *arguments), done.returncode, done.stdout, done.stderr)

    def __call__(self, *words: str, before: tuple[str, ...] = ()) -> str:
        """Run a command that must succeed, and return what it printed."""
        done = self.run(*words, before=before)
        assert done.status == 0, str(done)
        return done.out


class Openstack(Client):
    """``openstack``. ``version``: --os-compute-api-version; without it the client negotiates."""

    def json(self, *words: str, version: str | None = None) -> Any:
        """Run a command that must succeed, and return its output, parsed."""
        return json.loads(self(*words, "-f", "json", before=at(version)))

    def do(self, *words: str, version: str | None = None) -> str:
        """Run a command that must succeed and may print nothing."""
        return self(*words, before=at(version))


class Nova(Client):
    """``nova``, which only prints tables."""

    def rows(self, *words: str, version: str | None = None) -> list[dict[str, str]]:
        """Run a command that must succeed, and return the rows of its table."""
        return rows_of(self(*words, before=at(version)))

    def facts(self, *words: str, version: str | None = None) -> dict[str, str]:
        """Run a command that must succeed, and return its table of properties."""
        return {row["Property"]: row["Value"] for row in self.rows(*words, version=version)}

    def do(self, *words: str, version: str | None = None) -> str:
        """Run a command that must succeed and may print nothing."""
        return self(*words, before=at(version))


def at(version: str | None) -> tuple[str, ...]:
    """Return the option that pins the microversion."""
    return ("--os-compute-api-version", version) if version else ()


def rows_of(table: str) -> list[dict[str, str]]:
    """Read a table drawn with bars."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[1:]]


def openstack_at(url: str) -> Openstack:
    """Return ``openstack`` in the environment that all-in-one prints when it starts."""
    environment = {"OS_AUTH_TYPE": "none", "OS_ENDPOINT": f"{url}/v2.1", "OS_IDENTITY_API_VERSION": "3"}
    return Openstack("openstack", environment)


def nova_at(url: str) -> Nova:
    """Return ``nova``, which wants a name and an address of Keystone, and then uses neither."""
    return Nova(
        "nova",
        {
            "OS_AUTH_TYPE": "none",
            "OS_ENDPOINT": f"{url}/v2.1",
            "OS_USERNAME": "admin",
            "OS_PROJECT_ID": "admin",
            "OS_AUTH_URL": "http://127.0.0.1:9/unused",
        },
    )

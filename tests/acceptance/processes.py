"""Commands of ``evacuator`` and of the OpenStack clients, each in a process of its own.

Most are forked from one that has imported what they need: to import it takes seconds of a processor, and the tests
start many hundreds. What runs is the same: what the installed program calls, with arguments, an environment and open
files of its own, which is signalled and waited for. :func:`executed` is for what an interpreter of its own matters to:
how it begins, and how it ends.
"""

import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import entry_points
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for_any
from pathlib import Path
from pkgutil import resolve_name
from typing import IO, Protocol

#: With what each of them imports only once it runs; what is not installed is left out.
IMPORTED = (
    "alembic.command",
    "evacuator.cmd.all_in_one",
    "evacuator.cmd.api",
    "evacuator.cmd.compute",
    "evacuator.cmd.db",
    "evacuator.cmd.host",
    "evacuator.cmd.upgrade_check",
    "evacuator.cmd.verify",
    "futurist",
    "keystoneclient.v3.client",
    "kombu.transport.pyamqp",
    "novaclient.v2.shell",
    "openstackclient.compute.v2.server",
    "openstackclient.shell",
    "oslo_messaging._drivers.impl_rabbit",
    "psycopg",
    "sqlalchemy.dialects.mysql.pymysql",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite",
)

PROGRAM = "evacuator"
MODULE = "evacuator.cmd.main"
EVACUATOR = [sys.executable, "-m", MODULE]

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(list(IMPORTED))

#: What is read when an interpreter begins, or before, and when the clients are imported.
READ_AT_THE_BEGINNING = ("HOME", "LANG", "LC_", "LD_", "NOVACLIENT_", "PYTHON", "XDG_")


@atexit.register
def _kill_what_is_left() -> None:
    """Keep a process that is frozen from holding up this one's end: that is what multiprocessing waits for."""
    for child in multiprocessing.active_children():
        child.kill()


@cache
def _called_by(program: str) -> str:
    """Return what an installed program calls, as ``module:function``."""
    scripts = entry_points(group="console_scripts", name=program)
    assert scripts, f"{program} is not installed beside this Python"
    return scripts[program].value


def _become(command: Sequence[str], called: str, environment: Mapping[str, str], out: Connection, err: Path) -> None:
    """Be a command: the rest of this process's life."""
    os.dup2(out.fileno(), 1)
    out.close()
    with err.open("a") as log:
        os.dup2(log.fileno(), 2)
    os.environ.clear()
    os.environ.update(environment)
    # Arguments are passed on, too, since nova takes its own from here when it is imported.
    sys.argv = list(command)
    try:
        sys.exit(resolve_name(called)(command[1:]))
    finally:
        # Before Python 3.13 multiprocessing ends its processes without.
        atexit._run_exitfuncs()


class Started(Protocol):
    """A command that runs, as far as tests ask: what ``subprocess.Popen`` is."""

    @property
    def stdout(self) -> IO[str] | None: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...
    def kill(self) -> None: ...


def executed(
    arguments: Sequence[str], stderr: Path, environment: Mapping[str, str] = os.environ, *, module: str = MODULE
) -> Started:
    """Start a command with an interpreter of its own, as they are started outside of tests."""
    command = [sys.executable, "-m", module, *arguments]
    with stderr.open("a") as log:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=dict(environment))


class Forked:
    """A command that runs, from what was imported before."""

    # How a process ended can be read once. Several threads of a test may ask, and whoever starts one asks all others.
    _asking = threading.Lock()

    def __init__(
        self,
        arguments: Sequence[str],
        stderr: Path,
        environment: Mapping[str, str] = os.environ,
        *,
        program: str = PROGRAM,
    ) -> None:
        others = {name for name, _value in _at_the_beginning(environment) ^ _at_the_beginning(os.environ)}
        assert not others, f"has to be executed, since it differs in what is read at the beginning: {sorted(others)}"
        told, tells = FORKS.Pipe(duplex=False)
        self._command = [program, *arguments]
        self._process = FORKS.Process(
            target=_become, args=(self._command, _called_by(program), dict(environment), tells, stderr), daemon=True
        )
        with self._asking:
            self._process.start()
        tells.close()
        self.stdout: IO[str] | None = os.fdopen(os.dup(told.fileno()))
        told.close()
        self._pid: int = self._process.pid  # type: ignore[assignment]

    def poll(self) -> int | None:
        """Return how it ended, or None while it runs."""
        with self._asking:
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it ends and return how.

        :raises subprocess.TimeoutExpired: it did not within ``timeout`` seconds.
        """
        begun = time.monotonic()
        left = timeout
        while (ended := self.poll()) is None:
            if not wait_for_any([self._process.sentinel], left):
                raise subprocess.TimeoutExpired(self._command, timeout or 0)
            left = None if timeout is None else max(0.0, timeout - (time.monotonic() - begun))
        return ended

    def send_signal(self, sig: int) -> None:
        """Send it a signal; one that has ended hears nothing."""
        if self.poll() is None:
            # It may just have ended.
            with suppress(ProcessLookupError):
                os.kill(self._pid, sig)

    def kill(self) -> None:
        """Kill it where it stands."""
        self.send_signal(signal.SIGKILL)


def _at_the_beginning(environment: Mapping[str, str]) -> set[tuple[str, str]]:
    return {setting for setting in environment.items() if setting[0].startswith(READ_AT_THE_BEGINNING)}


def run(
    arguments: Sequence[str],
    timeout: float = 120,
    environment: Mapping[str, str] = os.environ,
    *,
    program: str = PROGRAM,
) -> subprocess.CompletedProcess[str]:
    """Run a command and return how it ended and what it said.

    :raises subprocess.TimeoutExpired: it took more than ``timeout`` seconds, and was killed.
    """
    with tempfile.TemporaryDirectory() as folder:
        stderr = Path(folder) / "stderr"
        command = Forked(arguments, stderr, environment, program=program)
        late = threading.Timer(timeout, command.kill)
        late.start()
        assert command.stdout is not None
        try:
            with command.stdout:
                said = command.stdout.read()
            ended = command.wait(timeout)
        finally:
            late.cancel()
            command.kill()
        if ended == -signal.SIGKILL:
            raise subprocess.TimeoutExpired([program, *arguments], timeout, said)
        return subprocess.CompletedProcess([program, *arguments], ended, said, stderr.read_text())

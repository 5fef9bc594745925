"""A site to measure: real ``evacuator`` processes, as an operator starts them."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import readings

EVACUATOR = [sys.executable, "-m", "evacuator.cmd.main"]

CONFIGURATION = """
[DEFAULT]
{transport}
[database]
{connection}
[simulated]
vcpus = 1000000
memory_mb = 1000000000
local_gb = 100000000
"""


class Process:
    """A command that prints a line once it serves."""

    def __init__(self, name: str, arguments: Sequence[str], log: Path) -> None:
        self.name = name
        started = time.monotonic()
        with log.open("a") as errors:
            self._process = subprocess.Popen(
                [*EVACUATOR, *arguments], stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
            )
        assert self._process.stdout is not None
        self.said = self._process.stdout.readline().strip()
        self.start_seconds = time.monotonic() - started
        if not self.said:
            raise RuntimeError(f"{arguments} did not start:\n{log.read_text()[-3000:]}")

    def read(self) -> readings.Reading:
        """Read what it took so far."""
        return readings.read(self._process.pid)

    def kill(self) -> None:
        """Kill it where it stands, with its children."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


class Site:
    """The processes of a site by name, the URL of its API, and how it was configured."""

    def __init__(self, directory: Path, connection: str | None = None, transport_url: str | None = None) -> None:
        self.directory = directory
        self.configuration = directory / "evacuator.conf"
        self.configuration.write_text(
            CONFIGURATION.format(
                transport=f"transport_url = {transport_url}" if transport_url else "",
                connection=f"connection = {connection}" if connection else "",
            )
        )
        self.configured = ("--config-file", str(self.configuration))
        self.processes: dict[str, Process] = {}
        self.url = ""

    def start(self, name: str, *arguments: str) -> Process:
        """Start one of its processes and wait until it serves."""
        self.processes[name] = Process(name, [*arguments, *self.configured], self.directory / f"{name}.log")
        return self.processes[name]

    def run(self, *arguments: str) -> str:
        """Run a command to its end and return what it printed."""
        ended = subprocess.run([*EVACUATOR, *arguments], capture_output=True, text=True, check=False)
        if ended.returncode:
            raise RuntimeError(f"{arguments} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")
        return ended.stdout

    def read(self) -> dict[str, readings.Reading]:
        """Read every process."""
        return {name: process.read() for name, process in self.processes.items()}

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request as an administrator and return the answer's body."""
        headers = {"Content-Type": "application/json", "OpenStack-API-Version": "compute 2.95"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/v2.1{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as response:
            text = response.read()
        return json.loads(text) if text else None

    def close(self) -> None:
        """Kill what runs."""
        for process in self.processes.values():
            process.kill()


def production(directory: Path, connection: str, transport_url: str, hosts: Sequence[str]) -> Site:
    """Start ``evacuator api`` and an ``evacuator compute`` for each host."""
    site = Site(directory, connection, transport_url)
    site.run("db", "upgrade", *site.configured)
    site.url = site.start("api", "api", "--port", "0").said
    for host in hosts:
        site.start(f"compute {host}", "compute", "--host", host, "--state-dir", str(directory))
    return site


def embedded(directory: Path, hosts: Sequence[str]) -> Site:
    """Start ``evacuator all-in-one``."""
    site = Site(directory)
    site.url = site.start(
        "all-in-one", "all-in-one", "--state-dir", str(directory), "--hosts", ",".join(hosts), "--port", "0"
    ).said
    return site

"""A whole site as its users see it: one ``evacuator all-in-one`` process, HTTP, the journals, and the commands."""

import json
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.acceptance import processes

IMAGE = "11111111-1111-4111-8111-111111111111"

CONFIGURATION = """
[DEFAULT]
report_interval = 0.3
service_down_time = {down_time}
[compute]
sweep_interval = 0.5
orphan_interval = 1
clean_interval = 1
{more}
"""


@dataclass
class Answer:
    """What came back."""

    status: int
    body: Any
    headers: dict[str, str]


class Site:
    """A running all-in-one with its state directory. ``token``: who asks where a test does not say who."""

    token = "admin"

    def __init__(self, state_dir: Path, hosts: str = "a,b,c", down_time: float = 5.0, more: str = "") -> None:
        self.state_dir = state_dir
        self._hosts = hosts
        self._config = state_dir.with_suffix(".conf")
        self.configure(down_time, more)
        self._log = state_dir.with_suffix(".log")
        self.process: processes.Started | None = None
        self.url = ""

    def configure(self, down_time: float, more: str = "") -> None:
        """Write the configuration that the next start reads."""
        self._config.write_text(CONFIGURATION.format(down_time=down_time, more=more))

    def start(self) -> None:
        """Start the process and wait until it answers."""
        arguments = ["--state-dir", str(self.state_dir), "--hosts", self._hosts, "--port", "0"]
        self.process = processes.Forked(["all-in-one", *arguments, "--config-file", str(self._config)], self._log)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url, f"all-in-one did not start:\n{self._log.read_text()[-3000:]}"

    def stop(self) -> int:
        """Tell it to stop and return its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self._end_of(self.process)

    def kill(self) -> None:
        """Kill it where it stands."""
        if self.process is not None:
            self.process.kill()
            self._end_of(self.process)

    def _end_of(self, process: processes.Started) -> int:
        ended = process.wait(30)
        assert process.stdout is not None
        process.stdout.close()
        return ended

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run another ``evacuator`` command."""
        return processes.run(command)

    def verify(self) -> subprocess.CompletedProcess[str]:
        """Run ``evacuator verify`` on this site."""
        return self.run("verify", "--state-dir", str(self.state_dir), "--config-file", str(self._config))

    def mains(self, host: str, switch: str) -> None:
        """Switch a simulated host ``off`` or ``on``."""
        switched = self.run("host", f"power-{switch}", host, "--state-dir", str(self.state_dir))
        assert switched.returncode == 0, switched.stderr

    def request(
        self, method: str, path: str, body: Any = None, version: str | None = None, token: str | None = None
    ) -> Answer:
        """Send one request; every status is an answer."""
        headers = {"Content-Type": "application/json", "X-Auth-Token": token or self.token}
        if version:
            headers["OpenStack-API-Version"] = f"compute {version}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/v2.1{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return _answer(response)
        except urllib.error.HTTPError as error:
            return _answer(error)

    def get(self, path: str, version: str = "2.95", token: str | None = None) -> Any:
        """Return the body of a GET that must succeed."""
        answer = self.request("GET", path, version=version, token=token)
        assert answer.status == 200, answer
        return answer.body

    def action(self, server: str, body: Any, version: str = "2.95", token: str | None = None) -> Answer:
        """Ask for an action of a server."""
        return self.request("POST", f"/servers/{server}/action", body, version, token)

    def create(self, host: str = "a", name: str = "server", token: str | None = None, flavor: str = "1") -> str:
        """Ask for a server on ``host`` and return its id."""
        zone = {"availability_zone": f"nova:{host}"}
        server = {"name": name, "flavorRef": flavor, "imageRef": IMAGE, **zone}
        answer = self.request("POST", "/servers", {"server": server}, "2.1", token)
        assert answer.status == 202, answer
        return str(answer.body["server"]["id"])

    def show(self, server: str) -> dict[str, Any]:
        """Return a server as an administrator sees it."""
        shown: dict[str, Any] = self.get(f"/servers/{server}", "2.79")["server"]
        return shown

    def status(self, server: str) -> str:
        """Return the status of a server."""
        return str(self.show(server)["status"])

    def settled(self, *servers: str, seconds: float = 60) -> list[dict[str, Any]]:
        """Wait until nothing is being done to any of the servers, and return them."""

        def done() -> bool:
            everything = {server["id"]: server for server in self.get("/servers/detail?all_tenants=1")["servers"]}
            return all(
                everything[server]["OS-EXT-STS:task_state"] is None and everything[server]["status"] != "BUILD"
                for server in servers
            )

        until(done, seconds, "the servers to settle")
        return [self.show(server) for server in servers]

    def migrations(self, server: str) -> list[dict[str, Any]]:
        """Return the records of a server's evacuations, newest first."""
        found: list[dict[str, Any]] = self.get(f"/os-migrations?instance_uuid={server}", "2.59")["migrations"]
        return found

    def service(self, host: str) -> dict[str, Any]:
        """Return the compute service of a host."""
        (found,) = self.get(f"/os-services?host={host}&binary=nova-compute")["services"]
        assert isinstance(found, dict)
        return found

    def force_down(self, host: str, forced: bool = True) -> Answer:
        """Force a host down, or let it up."""
        return self.request("PUT", f"/os-services/{self.service(host)['id']}", {"forced_down": forced}, "2.53")

    def journal(self, host: str | None = None, server: str | None = None) -> list[dict[str, Any]]:
        """Return the lines of evidence, of one host or all, of one server or all."""
        lines: list[dict[str, Any]] = []
        for path in sorted(self.state_dir.glob(f"hypervisors/{host or '*'}/journal.jsonl")):
            lines += [json.loads(line) for line in path.read_text().splitlines()]
        return sorted((line for line in lines if server in (None, line["instance"])), key=lambda line: line["at"])


def _answer(response: Any) -> Answer:
    raw = response.read()
    try:
        body = json.loads(raw) if raw else None
    except ValueError:
        body = raw.decode()
    return Answer(response.status, body, dict(response.headers))


def until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until something holds.

    :raises AssertionError: it did not in time.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)

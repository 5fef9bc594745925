"""The site of the demo: an ``evacuator all-in-one`` in a temporary directory, and what a client can do with it."""

import ctypes
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evacuator.cmd.compute_api import ApiRefused, ComputeApi
from evacuator.errors import EvacuatorError
from evacuator.virt.simulated import FOLDER, JournalEntry, Mains, evidence, read_journals

#: (state directory, configuration files) -> the command that serves.
Launch = Callable[[Path, Sequence[Path]], Sequence[str]]

HOSTS = ("a", "b", "c")
IMAGE = "11111111-1111-4111-8111-111111111111"

#: A dead host is noticed within a second or two here, not within a minute.
CONFIGURATION = """\
[DEFAULT]
report_interval = 0.25
service_down_time = 3
[compute]
sweep_interval = 0.5
clean_interval = 1
orphan_interval = 1
power_sync_interval = 1
"""

START_SECONDS = 60.0
STOP_SECONDS = 15.0
PATIENCE = 30.0


class StoryBroken(EvacuatorError):
    """The story cannot go on."""

    message = "{reason}"


def evacuator(*arguments: object) -> list[str]:
    """Return the command line of one of our own commands, whether it is on the PATH or not."""
    return [sys.executable, "-m", "evacuator.cmd.main", *map(str, arguments)]


def all_in_one(state_dir: Path, config_files: Sequence[Path]) -> Sequence[str]:
    """Serve three hosts on a free port."""
    files = [part for file in config_files for part in ("--config-file", file)]
    return evacuator("all-in-one", "--state-dir", state_dir, "--hosts", ",".join(HOSTS), "--port", 0, *files)


def until(what: str, holds: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Look again and again until ``holds``.

    :raises StoryBroken: it took too long.
    """
    deadline = time.monotonic() + patience
    while not holds():
        if time.monotonic() > deadline:
            raise StoryBroken(reason=f"{what}: this did not happen within {patience:g} s.")
        time.sleep(0.05)


class Site:
    """A running site. Everything but the mains switch and the journals goes through the API, as for any client."""

    def __init__(
        self,
        url: str,
        state_dir: Path,
        config_files: Sequence[Path],
        process: subprocess.Popen[str],
        patience: float = PATIENCE,
    ) -> None:
        self.url = url
        self.state_dir = state_dir
        self._config_files = config_files
        self._process = process
        self._patience = patience
        self.api = ComputeApi(url, "2.95")

    @property
    def is_running(self) -> bool:
        """Whether it still serves."""
        return self._process.poll() is None

    def until(self, what: str, holds: Callable[[], bool]) -> None:
        """Look again and again until ``holds``.

        :raises StoryBroken: it took too long, or nobody serves any more.
        """

        def look() -> bool:
            if not self.is_running:
                raise StoryBroken(reason=f"It ended before this happened: {what}.")
            return holds()

        until(what, look, self._patience)

    def create(self, name: str, host: str) -> str:
        """Make a server on ``host``, and wait until it runs."""
        wanted = {"name": name, "flavorRef": "1", "imageRef": IMAGE, "networks": "none", "host": host}
        uuid = str(self.api.post("/servers", {"server": wanted})["server"]["id"])
        self.wait_for(uuid, "ACTIVE")
        return uuid

    def server(self, uuid: str) -> dict[str, Any]:
        """Show a server."""
        shown: dict[str, Any] = self.api.get(f"/servers/{uuid}")["server"]
        return shown

    def wait_for(self, uuid: str, status: str) -> None:
        """Wait until nothing is being done to a server and it has this status.

        :raises StoryBroken: it does not get there.
        """

        def look() -> bool:
            shown = self.server(uuid)
            return shown["status"] == status and not shown["OS-EXT-STS:task_state"]

        self.until(f"server {uuid} becomes {status}", look)

    def act(self, uuid: str, action: dict[str, Any], microversion: str = "2.95") -> None:
        """Ask for an action of a server."""
        self.api.at(microversion).post(f"/servers/{uuid}/action", action)

    def evacuations(self) -> dict[str, dict[str, Any]]:
        """Return the newest evacuation of each server."""
        listed = self.api.get("/os-migrations", migration_type="evacuation")["migrations"]
        return {migration["instance_uuid"]: migration for migration in reversed(listed)}

    def service(self, host: str) -> dict[str, Any]:
        """Show the compute service of a host."""
        (service,) = self.api.get("/os-services", host=host, binary="nova-compute")["services"]
        return dict(service)

    def force_down(self, host: str, *, down: bool) -> None:
        """Say that a host is dead, or that it is not any more.

        :raises ApiRefused: it still owes something.
        """
        self.api.put(f"/os-services/{self.service(host)['id']}", {"forced_down": down})

    def let_up(self, host: str) -> bool:
        """Take back that a host is dead; False as long as the API refuses."""
        try:
            self.force_down(host, down=False)
        except ApiRefused:
            return False
        return True

    def switch_off(self, host: str) -> int:
        """Cut the mains as ``evacuator host power-off`` does, and return how many guests died."""
        return len(Mains(self.state_dir / FOLDER, host).switch_off())

    def switch_on(self, host: str) -> None:
        """Give the mains back as ``evacuator host power-on`` does."""
        Mains(self.state_dir / FOLDER, host).switch_on()

    def guests(self, host: str) -> int:
        """Count the guests that the hypervisor of a host has, running or not."""
        return sum(guest.host == host for guest in evidence.look(self.state_dir).guests)

    def journal(self) -> list[JournalEntry]:
        """Return what was done to all guests: the evidence."""
        return read_journals(self.state_dir / FOLDER)

    def verify(self) -> subprocess.CompletedProcess[str]:
        """Run ``evacuator verify``."""
        files = [part for file in self._config_files for part in ("--config-file", file)]
        command = evacuator("verify", "--state-dir", self.state_dir, *files)
        return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603

    def how_to_explore(self) -> list[str]:
        """Say how to go on from here."""
        d, endpoint = self.state_dir, f"{self.url}/v2.1"
        return [
            "",
            f"It goes on running at {self.url} until Ctrl-C; everything it keeps is in {d}. In another terminal:",
            "",
            "export OS_AUTH_TYPE=none",
            f"export OS_ENDPOINT={endpoint}",
            "export OS_IDENTITY_API_VERSION=3",
            "openstack --os-compute-api-version 2.95 server list --long",
            "",
            f"curl -s {endpoint}/servers/detail",
            f"curl -s {endpoint}/os-services -H 'OpenStack-API-Version: compute 2.95'",
            f"curl -s {endpoint}/os-migrations -H 'OpenStack-API-Version: compute 2.95'",
            f"cat {d}/hypervisors/*/journal.jsonl",
            f"evacuator host power-off b --state-dir {d}",
            f"evacuator watch --url {endpoint}",
            f"evacuator verify --state-dir {d} --config-file {d}/demo.conf",
        ]


@contextmanager
def running(launch: Launch, config_files: Sequence[Path], patience: float = PATIENCE) -> Iterator[Site]:
    """Start a site in a temporary directory; at the end stop it, and remove all that it kept.

    :raises StoryBroken: it does not start, or the block raised an error, to which the end of the site's log is added.
    """
    with tempfile.TemporaryDirectory(prefix="evacuator-demo-", ignore_cleanup_errors=True) as directory:
        state_dir = Path(directory)
        own = state_dir / "demo.conf"
        own.write_text(CONFIGURATION)
        files = [own, *(file.absolute() for file in config_files)]
        with (state_dir / "all-in-one.log").open("w") as log:
            process = subprocess.Popen(  # noqa: S603 - our own command
                launch(state_dir, files),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C is for the demo, which then stops it
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - no thread runs yet
            )
        try:
            yield Site(_url(process), state_dir, files, process, patience)
        except EvacuatorError as error:
            raise StoryBroken(reason=f"{error}\nThe end of its log:\n{_last_words(state_dir)}") from error
        finally:
            _stop(process)


def _die_with_parent() -> None:
    """Have the kernel stop this process should the demo itself be killed (Linux only)."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def _url(process: subprocess.Popen[str]) -> str:
    """Return the first line that the process prints which is an address."""
    addresses: queue.SimpleQueue[str] = queue.SimpleQueue()
    assert process.stdout is not None  # noqa: S101 - it is a pipe; tells mypy
    threading.Thread(target=_find_address, args=(process.stdout, addresses), daemon=True).start()
    try:
        address = addresses.get(timeout=START_SECONDS)
    except queue.Empty:
        address = ""
    if not address:
        raise StoryBroken(reason="It did not start.")
    return address


def _find_address(stream: Iterator[str], addresses: "queue.SimpleQueue[str]") -> None:
    for line in stream:  # to the end, so that whoever prints is never held up
        if line.startswith("http"):
            addresses.put(line.strip())
    addresses.put("")


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _last_words(state_dir: Path, lines: int = 20) -> str:
    return "\n".join((state_dir / "all-in-one.log").read_text(errors="replace").splitlines()[-lines:])

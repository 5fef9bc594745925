"""A cloud of real processes: API processes and compute managers on a database server and a broker."""

import itertools
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import URL

from evacuator.cmd import verify
from evacuator.db import census, schema
from evacuator.db.session import Transaction, open_database
from evacuator.evacuation.invariants.codes import Finding
from evacuator.evacuation.invariants.facts import Bounds
from evacuator.evacuation.invariants.facts import Site as Looked
from evacuator.virt.simulated import FOLDER, Mains, evidence
from tests.acceptance import processes
from tests.acceptance.site import Site, until
from tests.services.network import Link, Network

DOWN_TIME = 4.0

SETTINGS = f"""
[DEFAULT]
report_interval = 0.5
service_down_time = {DOWN_TIME}
[database]
pool_size = 5
[compute]
sweep_interval = 1
orphan_interval = 2
clean_interval = 2
claim_timeout = 20
power_sync_interval = 5
[api]
max_limit = 10000
"""

#: As with several brokers, which is how many people run it.
QUORUM = """
[oslo_messaging_rabbit]
rabbit_quorum_queue = true
rabbit_transient_quorum_queue = true
"""

SLOW = "[simulated]\ndefine_seconds = {define}\npower_on_seconds = {power_on}\n"

#: Generous: what is waited for comes as soon as it comes, and machines that run tests are busy.
START_SECONDS = 180.0


class Process:
    """One ``evacuator`` process, with its own way to the database and to the broker."""

    def __init__(self, cluster: "Cluster", name: str, command: list[str]) -> None:
        self.name = name
        self.database = cluster.link_to(
            cluster.database_url, 3306 if "mysql" in cluster.database_url.drivername else 5432
        )
        self.broker = cluster.link_to(cluster.broker_url, 5672)
        self.said: list[str] = []
        self.log = cluster.folder / f"{name}.log"
        self.own = cluster.folder / f"{name}.conf"
        self.command = [*command, "--config-file", str(cluster.settings), "--config-file", str(self.own)]
        self.launch: Callable[[Sequence[str], Path, Mapping[str, str]], processes.Started] = processes.Forked
        self._links = f"""
[DEFAULT]
transport_url = {_through(cluster.broker_url, self.broker)}
[database]
connection = {_through(cluster.database_url, self.database)}
"""
        self.environment: dict[str, str] = {}
        self._popen: processes.Started | None = None
        self._spoke = threading.Event()
        self.frozen = False
        self.plain = True
        self.configure()

    def configure(self, more: str = "") -> None:
        """Write what the next start reads, over what all processes have."""
        self.own.write_text(self._links + more)
        self.plain = not more

    @property
    def running(self) -> bool:
        """Whether it runs, frozen or not."""
        return self._popen is not None and self._popen.poll() is None

    def begin(self) -> None:
        """Start it and do not wait."""
        assert not self.running
        self.said = []
        self._spoke = threading.Event()
        self._popen = self.launch(self.command, self.log, {**os.environ, **self.environment})
        threading.Thread(target=self._listen, args=(self._popen, self._spoke), daemon=True).start()

    def _listen(self, popen: processes.Started, spoke: threading.Event) -> None:
        assert popen.stdout is not None
        with popen.stdout:
            for line in popen.stdout:
                self.said.append(line.strip())
                spoke.set()
        spoke.set()

    def ready(self, seconds: float = START_SECONDS) -> str:
        """Wait until it says that it serves, and return what it said."""
        assert self._spoke.wait(seconds), f"{self.name} said nothing for {seconds} s:\n{self.tail()}"
        assert self.said, f"{self.name} ended with {self._popen and self._popen.poll()}:\n{self.tail()}"
        return self.said[0]

    def start(self) -> None:
        """Start it and wait until it serves."""
        self.begin()
        self.ready()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._popen is not None
        self._popen.send_signal(number)

    def freeze(self) -> None:
        """Stop it where it stands, until :meth:`thaw`."""
        self.signal(signal.SIGSTOP)
        self.frozen = True

    def thaw(self) -> None:
        """Let it go on."""
        self.signal(signal.SIGCONT)
        self.frozen = False

    def kill(self) -> None:
        """Kill it where it stands."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait(30)
        self.frozen = False

    def stop(self, seconds: float = 60) -> int:
        """Tell it to stop and return its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait_for_end(seconds)

    def wait_for_end(self, seconds: float = 60) -> int:
        """Wait until it ends by itself and return its exit status."""
        assert self._popen is not None
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {seconds} s:\n{self.tail()}") from None

    def tail(self, most: int = 4000) -> str:
        """Return the end of what it logged."""
        return self.log.read_text()[-most:] if self.log.exists() else ""

    def cut_off(self) -> None:
        """Cut it off from everything."""
        self.database.cut()
        self.broker.cut()

    def heal(self) -> None:
        """Mend its connections."""
        self.database.heal()
        self.broker.heal()


def _through(url: URL, link: Link) -> str:
    # The way to a file leads through nothing that could be cut.
    way = url if url.get_backend_name() == "sqlite" else url.set(host="127.0.0.1", port=link.port)
    return way.render_as_string(hide_password=False)


class Cluster(Site):
    """API processes and compute managers. What a test asks for goes to each running API process in turn."""

    def __init__(
        self,
        folder: Path,
        database_url: URL,
        broker_url: URL,
        *,
        hosts: str = "abc",
        apis: int = 2,
        more: str = "",
    ) -> None:
        self.folder = folder
        self.database_url = database_url
        self.broker_url = broker_url
        self.state_dir = folder / "state"
        self.state_dir.mkdir(parents=True)
        self.settings = folder / "settings.conf"
        self._config = self.settings
        self.settings.write_text(SETTINGS + more)
        self.network = Network()
        self.apis = [Process(self, f"api{number}", ["api", "--port", "0"]) for number in range(apis)]
        self.computes = {
            host: Process(self, host, ["compute", "--host", host, "--state-dir", str(self.state_dir)]) for host in hosts
        }
        self.database = open_database(database_url.render_as_string(hide_password=False), pool_size=2)
        #: Processes that are none of this release; they are killed when a test ends.
        self.strangers: list[Process] = []
        self._turns = itertools.count()

    def link_to(self, url: URL, port: int) -> Link:
        """Open a way to a server that can be cut."""
        return self.network.link(url.host or "127.0.0.1", url.port or port)

    @property
    def processes(self) -> list[Process]:
        """All of them."""
        return [*self.apis, *self.computes.values()]

    @property
    def url(self) -> str:  # type: ignore[override]
        """The address of one running API process; the next one each time."""
        serving = [api for api in self.apis if api.running and not api.frozen and api.said]
        return serving[next(self._turns) % len(serving)].said[0]

    def start(self) -> None:
        """Make the tables, start everything, and wait until every host is up."""
        schema.upgrade(self.database)
        for process in self.processes:
            process.begin()
        for process in self.processes:
            process.ready()
        self.wait_up(self.computes)

    def wait_up(self, hosts: Iterable[str], seconds: float = START_SECONDS) -> None:
        """Wait until every one of the hosts is up."""
        wanted = set(hosts)

        def are_up() -> bool:
            services = self.get("/os-services?binary=nova-compute")["services"]
            return wanted <= {service["host"] for service in services if service["state"] == "up"}

        try:
            until(are_up, seconds, f"{sorted(wanted)} to be up")
        except AssertionError as error:
            tails = "\n".join(f"--- {host}\n{self.computes[host].tail(1500)}" for host in sorted(wanted))
            raise AssertionError(f"{error}\n{self.get('/os-services')}\n{tails}") from None

    def kill(self) -> None:
        """Kill everything where it stands, and let go."""
        for process in [*self.processes, *self.strangers]:
            process.kill()
        self.database.close()
        self.network.close()

    def stop(self, seconds: float = 60) -> int:
        """Tell everything to stop; return the worst exit status."""
        for process in self.processes:
            process.signal(signal.SIGTERM)
        return max((process.wait_for_end(seconds) for process in self.processes), key=abs)

    def fence(self, host: str) -> None:
        """Do to a host what is done in a machine room: manager and guests end, and nothing powers on there."""
        # The manager first: a frozen one may hold the lock of its host.
        self.computes[host].kill()
        Mains(self.state_dir / FOLDER, host).switch_off()

    def dead(self, host: str = "a") -> None:
        """Fence a host and say so."""
        self.fence(host)
        assert self.force_down(host).status == 200

    def sql(self, statement: str, **values: Any) -> list[Any]:
        """Look into, or change, the database behind the service's back."""

        def work(session: Transaction) -> list[Any]:
            result: Any = session.execute(text(statement), values)
            return list(result.all()) if result.returns_rows else []

        return self.database.write(work)

    def slow(self, *hosts: str, define: float = 0, power_on: float = 0) -> None:
        """Restart compute managers whose hypervisors take their time."""
        for host in hosts:
            self.computes[host].kill()
            self.computes[host].configure(SLOW.format(define=define, power_on=power_on))
            self.computes[host].begin()
        for host in hosts:
            self.computes[host].ready()
        self.wait_up(hosts)

    def servers_on(self, host: str, count: int, **options: Any) -> list[str]:
        """Make servers on a host and wait for them."""
        made = [self.create(host, f"{host}-{number}", **options) for number in range(count)]
        self.settled(*made, seconds=60)
        return made

    def recover(self) -> None:
        """Mend whatever a test broke: links, processes and how they are configured, mains, what was forced down."""
        while self.strangers:
            self.strangers.pop().kill()
        for process in self.processes:
            process.heal()
            if process.frozen:
                process.thaw()
        for host in self.computes:
            Mains(self.state_dir / FOLDER, host).switch_on()
        idle = [process for process in self.processes if not (process.running and process.plain)]
        for process in idle:
            process.kill()
            process.configure()
            process.begin()
        for process in idle:
            process.ready()
        for service in self.get("/os-services?binary=nova-compute")["services"]:
            if service["host"] in self.computes and service["forced_down"]:
                until(lambda host=service["host"]: self.force_down(host, forced=False).status == 200, 30, "force-up")  # type: ignore[misc]
        self.wait_up(self.computes)

    def unfinished(self) -> list[Any]:
        """Return the records of evacuations that have not ended."""
        return self.sql("SELECT id, status, dest_compute FROM migrations WHERE status IN ('accepted', 'pre-migrating')")

    def settled_down(self, seconds: float = 60) -> None:
        """Wait until no evacuation and no order is unfinished anywhere, and no source owes its cleaning."""
        working = "SELECT uuid FROM instances WHERE (task_state IS NOT NULL OR order_id IS NOT NULL) AND deleted = :no"
        owing = "SELECT id FROM migrations WHERE status = 'done'"

        def idle() -> bool:
            return not (self.unfinished() or self.sql(working, no=False) or self.sql(owing))

        until(idle, seconds, "everything to settle")

    def broken(self, *, with_evidence: bool = True) -> list[Finding]:
        """Return every broken invariant, as ``evacuator verify`` finds it."""

        def look() -> Looked:
            taken = census.take(self.database, DOWN_TIME)
            # Whatever is unfinished for a minute is stuck here; all timers are short.
            seen = evidence.look(self.state_dir) if with_evidence else None
            return Looked(taken, seen, Bounds(evacuation=60, power_sync=15))

        return [finding for finding in verify.confirmed(look(), look) if finding.broken]

    def verify(self) -> subprocess.CompletedProcess[str]:
        """Run ``evacuator verify`` on this cloud."""
        own = self.folder / "verify.conf"
        own.write_text(f"[database]\nconnection = {self.database_url.render_as_string(hide_password=False)}\n")
        files = ["--config-file", str(self.settings), "--config-file", str(own)]
        return self.run("verify", "--state-dir", str(self.state_dir), *files)

    def delete_all(self) -> None:
        """Delete every server."""
        everything = self.get("/servers?all_tenants=1")["servers"]
        for server in everything:
            self.request("DELETE", f"/servers/{server['id']}")
        with suppress(AssertionError):
            until(lambda: not self.get("/servers?all_tenants=1")["servers"], 30, "the servers to be gone")

    def starts(self, server: str, *hosts: str) -> int:
        """Count the power-ons of a server on some hosts."""
        return sum(line["event"] == "powered_on" for host in hosts for line in self.journal(host, server))


def wait_seconds(seconds: float) -> None:
    """Let time pass, which is what the test is about."""
    time.sleep(seconds)

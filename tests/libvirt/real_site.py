"""A site whose hosts are those of the lab: one all-in-one process that drives them all, and what there is to see."""

import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import libvirt

from evacuator.virt.libvirt.connection import EVENT_LOOP
from tests.acceptance.site import IMAGE, Answer, Site, until
from tests.libvirt import witness
from tests.libvirt.lab import Host, Lab

DOWN_TIME = 3.0

CONFIGURATION = """
driver = libvirt
power_sync_interval = 1
[libvirt]
instances_path = {lab.instances}
images_path = {lab.images}
template = {template}
virt_type = qemu
disk_mode = 0666
shutdown_timeout = 0.5
call_timeout = 1.5
effect_timeout = 15
cpu_allocation_ratio = 1000
ram_allocation_ratio = 100
local_gb = 100000
"""


class RealSite(Site):
    """An all-in-one for the hosts of a lab."""

    def __init__(self, state_dir: Path, lab: Lab, template: Path | None = None, more: str = "") -> None:
        written = CONFIGURATION.format(lab=lab, template=template or lab.template)
        written += "".join(f"[host:{host.name}]\nconnection_uri = {host.uri}\n" for host in lab.hosts.values())
        super().__init__(state_dir, ",".join(lab.hosts), DOWN_TIME, written + more)
        self.lab = lab
        witness.build(lab.images / f"{IMAGE}.raw", period=2)

    def a_running_server(self, host: str = "a", name: str = "server") -> str:
        """Make a server on a host; it has booted once when this returns."""
        (server,) = self.running_servers(1, host, name)
        return server

    def running_servers(self, count: int, host: str = "a", name: str = "server") -> list[str]:
        """Make several."""
        servers = [self.create(host, f"{name}-{number}") for number in range(count)]
        for shown in self.settled(*servers, seconds=60):
            assert shown["status"] == "ACTIVE", shown
        for server in servers:
            until(lambda server=server: self.boots(server) == 1, 20, "the first boot")
        return servers

    def diary(self, server: str) -> witness.Diary:
        """Read what the server's disk says."""
        return witness.read(self.lab.instances / f"{server}.qcow2")

    def boots(self, server: str) -> int:
        """Return how often the server was booted in its life."""
        return self.diary(server).boots

    def has_beaten(self, server: str) -> bool:
        """Whether it goes on running."""
        before = self.diary(server)
        until(lambda: self.diary(server).beats > before.beats, 10, "a sign of life of the guest")
        return self.diary(server).boots == before.boots

    def name_of(self, server: str) -> str:
        """Return the name of the server's domain."""
        return str(self.show(server)["OS-EXT-SRV-ATTR:instance_name"])

    def host_of(self, server: str) -> str:
        """Return the host that the server belongs to."""
        return str(self.show(server)["OS-EXT-SRV-ATTR:host"])

    def domain(self, host: str, server: str) -> str | None:
        """Return "running" or "off" as libvirt says it; None when there is no such domain."""
        with self.lab[host].opened() as conn:
            try:
                return "running" if conn.lookupByUUIDString(server).isActive() else "off"
            except libvirt.libvirtError:
                return None

    def lose(self, host: str) -> None:
        """Wait until a host that fell silent is down."""
        until(lambda: self.service(host)["state"] == "down", 30, f"{host} to be down")

    def find(self, host: str) -> None:
        """Wait until a host is up."""
        until(lambda: self.service(host)["state"] == "up", 60, f"{host} to be up")

    def evacuate(self, *servers: str, version: str, host: str | None = None, token: str | None = None) -> None:
        """Have the servers evacuated; accepted when this returns.

        On a busy machine the witnesses of a silence miss a beat: then it has to last a while longer.
        """
        body = {"evacuate": {"host": host} if host else {}}
        for server in servers:
            answers: list[Answer] = []

            def accepted(server: str = server, answers: list[Answer] = answers) -> bool:
                answers.append(self.action(server, body, version, token))
                return "this silence proves nothing" not in str(answers[-1].body)

            until(accepted, 30, "somebody to witness the silence")
            assert answers[-1].status == 200, answers[-1]

    def ended(self, *servers: str, seconds: float = 60) -> list[str]:
        """Wait until the last evacuation of each server has ended, and return how."""

        def last() -> dict[str, str]:
            records = self.get("/os-migrations", "2.59")["migrations"]
            newest: dict[str, dict[str, Any]] = {}
            for record in sorted(records, key=lambda record: record["id"]):
                newest[record["instance_uuid"]] = record
            return {server: newest[server]["status"] for server in servers}

        until(lambda: not {"accepted", "pre-migrating"} & set(last().values()), seconds, "the evacuations to end")
        return [status.replace("completed", "done") for status in last().values()]

    def ask(self, server: str, action: str, token: str | None = None) -> dict[str, Any]:
        """Have an action carried out and return the server as it is then."""
        answer = self.action(server, {action: None}, token=token)
        assert answer.status == 202, answer
        return self.settled(server, seconds=60)[0]

    def event_results(self, server: str) -> dict[str, tuple[str, str]]:
        """Return result and details of the newest action's events."""
        request = self.get(f"/servers/{server}/os-instance-actions")["instanceActions"][0]["request_id"]
        events = self.get(f"/servers/{server}/os-instance-actions/{request}")["instanceAction"]["events"]
        return {event["event"]: (event["result"], event.get("details") or "") for event in events}


def command(site: RealSite, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command on a site's configuration and database."""
    return site.run(*words, "--state-dir", str(site.state_dir), "--config-file", str(site._config))


class Heartbeats:
    """Watches, until it is told to stop, how old the last sign of life of some hosts gets."""

    def __init__(self, site: RealSite, hosts: set[str]) -> None:
        self._site, self._hosts = site, hosts
        self.oldest = 0.0
        self.downs: list[str] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.wait(0.1):
            for service in self._site.get("/os-services?binary=nova-compute")["services"]:
                if service["host"] in self._hosts:
                    heard = datetime.fromisoformat(service["updated_at"]).replace(tzinfo=UTC)
                    self.oldest = max(self.oldest, (datetime.now(UTC) - heard).total_seconds())
                    if service["state"] != "up":
                        self.downs.append(service["host"])


@contextmanager
def listening(*hosts: Host) -> Iterator[list[tuple[str, str, int]]]:
    """Collect what libvirt tells of its domains: (host, uuid, lifecycle event)."""
    EVENT_LOOP.ensure()
    heard: list[tuple[str, str, int]] = []
    guard = threading.Lock()

    def listener(name: str) -> Any:
        def hear(_conn: Any, domain: Any, event: int, _detail: int, _opaque: Any) -> None:
            with guard:
                heard.append((name, domain.UUIDString(), event))

        return hear

    opened = [libvirt.open(host.uri) for host in hosts]
    registered = [
        conn.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, listener(host.name), None)
        for conn, host in zip(opened, hosts, strict=True)
    ]
    yield heard
    for conn, callback in zip(opened, registered, strict=True):
        conn.domainEventDeregisterAny(callback)
        conn.close()


def only_defined(heard: Iterable[tuple[str, str, int]], server: str) -> bool:
    """Whether all that was heard of a server is that it was defined, and at least that."""
    return {event for _host, uuid, event in heard if uuid == server} == {libvirt.VIR_DOMAIN_EVENT_DEFINED}

"""A site whose hosts are those of the lab: one all-in-one process that drives them all, and what there is to see."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import libvirt

from evacuator.virt.libvirt.connection import EVENT_LOOP
from tests.acceptance.site import IMAGE, Site, until
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

    def __init__(self, state_dir: Path, lab: Lab, template: Path | None = None) -> None:
        more = CONFIGURATION.format(lab=lab, template=template or lab.template)
        more += "".join(f"[host:{host.name}]\nconnection_uri = {host.uri}\n" for host in lab.hosts.values())
        super().__init__(state_dir, ",".join(lab.hosts), DOWN_TIME, more)
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

    def evacuate(self, *servers: str, version: str, host: str | None = None) -> None:
        """Have the servers evacuated; accepted when this returns."""
        for server in servers:
            answer = self.action(server, {"evacuate": {"host": host} if host else {}}, version)
            assert answer.status == 200, answer

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

    def ask(self, server: str, action: str) -> dict[str, Any]:
        """Have an action carried out and return the server as it is then."""
        answer = self.action(server, {action: None})
        assert answer.status == 202, answer
        return self.settled(server, seconds=60)[0]

    def event_results(self, server: str) -> dict[str, tuple[str, str]]:
        """Return result and details of the newest action's events."""
        request = self.get(f"/servers/{server}/os-instance-actions")["instanceActions"][0]["request_id"]
        events = self.get(f"/servers/{server}/os-instance-actions/{request}")["instanceAction"]["events"]
        return {event["event"]: (event["result"], event.get("details") or "") for event in events}


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

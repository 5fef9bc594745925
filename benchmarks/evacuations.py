"""What an evacuation costs: a host with servers is killed, and clients evacuate all of them at once."""

import json
import time
from dataclasses import dataclass
from typing import Any, Protocol

from benchmarks import client, readings
from benchmarks.site import Site

SOURCE = "a"
FLAVOR, IMAGE = "1", "11111111-1111-4111-8111-111111111111"
EVACUATE = {"evacuate": {}}


class Store(Protocol):
    """Where the site keeps its records."""

    def unfinished(self) -> int:
        """Return how many evacuations are under way."""


@dataclass(frozen=True)
class Load:
    """How many servers are evacuated by how many clients, after how many that are not counted."""

    servers: int = 200
    clients: int = 8
    warm_up: int = 40


def make_servers(site: Site, number: int) -> list[str]:
    """Make servers on the source host, and wait until they are active."""
    new = {"name": "bench", "flavorRef": FLAVOR, "imageRef": IMAGE, "networks": "none", "host": SOURCE}
    _seconds, answers = client.all_at_once(site.url, [("POST", "/servers", {"server": new})] * number, 4)
    uuids = [json.loads(body)["server"]["id"] for _status, body in answers]
    waiting = set(uuids)
    while waiting:
        time.sleep(0.5)
        waiting &= {server["id"] for server in site.ask("GET", "/servers/detail?limit=1000&status=BUILD")["servers"]}
    return uuids


def make_more(site: Site, number: int) -> None:
    """Make sure that there are so many servers, wherever there is room."""
    there = len(site.ask("GET", f"/servers?limit={number}")["servers"])
    new = {"name": "bench", "flavorRef": FLAVOR, "imageRef": IMAGE, "networks": "none"}
    client.all_at_once(site.url, [("POST", "/servers", {"server": new})] * (number - there), 4)


def force_down(site: Site, host: str) -> None:
    """Say that a host is dead."""
    services = site.ask("GET", f"/os-services?host={host}")["services"]
    site.ask("PUT", f"/os-services/{services[0]['id']}", {"forced_down": True})


def evacuate(site: Site, store: Store, uuids: list[str], clients: int) -> dict[str, Any]:
    """Evacuate servers, all that the clients can at once, and wait until the last is done."""
    before, begun = site.read(), time.perf_counter()
    asked = [("POST", f"/servers/{uuid}/action", EVACUATE) for uuid in uuids]
    seconds, answers = client.all_at_once(site.url, asked, clients)
    answered = time.perf_counter() - begun
    while store.unfinished():
        time.sleep(0.02)
    done = time.perf_counter() - begun
    after = site.read()
    refused = [answer for answer in answers if answer[0] != 200]
    if refused:
        raise RuntimeError(f"{len(refused)} were not accepted, such as {refused[0]}")
    cpu = {name: after[name].cpu - before[name].cpu for name in before}
    return {
        "evacuations": len(uuids),
        "clients": clients,
        "post": latency_and_rate(seconds, answered),
        "first_post_to_all_done_s": round(done, 3),
        "evacuations_per_s": round(len(uuids) / done, 1),
        "cpu_ms_per_evacuation": {name: round(spent * 1000 / len(uuids), 2) for name, spent in cpu.items()}
        | {"together": round(sum(cpu.values()) * 1000 / len(uuids), 2)},
    }


def latency_and_rate(seconds: list[float], wall: float) -> dict[str, float]:
    """Sum up what clients saw."""
    return readings.latency(seconds) | {"per_s": round(len(seconds) / wall, 1)}


def memory(site: Site, gone: dict[str, float]) -> dict[str, float]:
    """Return the most memory that each process held, in MiB, and all together; ``gone``: of those that were killed."""
    peaks = gone | {name: reading.peak_mib for name, reading in site.read().items()}
    return {name: round(peak, 1) for name, peak in (peaks | {"together": sum(peaks.values())}).items()}


def reads(site: Site, servers: int) -> dict[str, float]:
    """Time GET /servers/detail while there are so many servers at least."""
    return readings.latency(client.timed(site.url, f"/servers/detail?limit={servers}", 20))

"""The compose file, without containers: its very commands, with its configuration and its environment."""

import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from sqlalchemy.engine import URL

from tests.acceptance.processes import EVACUATOR
from tests.acceptance.site import Site, until
from tests.services.servers import fresh_database, fresh_vhost

FOLDER = Path(__file__).parents[2] / "etc" / "containers"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"] == "evacuator"}

#: Where the containers keep the simulated hypervisors.
STATE = "/var/lib/evacuator"
METRICS_PORT = "OS_COMPUTE__METRICS_PORT"


def test_two_api_processes_and_three_compute_managers_are_served_by_a_database_and_a_broker() -> None:
    commands = sorted(service["command"][0] for service in OURS.values())
    assert commands == ["api", "api", "compute", "compute", "compute", "db"]
    assert {"mariadb", "rabbitmq"} <= set(COMPOSE["services"])


def test_ports_are_published_on_loopback_only_since_nobody_proves_who_they_are() -> None:
    published = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_it_comes_up_in_the_order_of_the_guide_which_is_that_of_the_file(here: "Here") -> None:
    assert [service["command"][0] for service in OURS.values()] == ["db", "api", "api", "compute", "compute", "compute"]
    made = here.start("schema").communicate(timeout=60)[0]
    assert made.startswith("The schema went from nothing")
    said = [_said(here.start(name)) for name in OURS if name != "schema"]
    assert all(address.startswith("http://") for address in said[:2])
    assert said[2:] == ["a is up", "b is up", "c is up"]
    _works(here, said[:2])


def test_it_comes_up_in_the_worst_order(here: "Here") -> None:
    computes, apis = ([name for name in OURS if name.startswith(kind)] for kind in ("compute", "api"))
    for name in (*computes, *apis):
        here.start(name)
    addresses = [_said(here.running[name]) for name in apis]
    assert all(_said(here.running[name]).endswith("is not up yet") for name in computes)
    made = here.start("schema").communicate(timeout=60)[0]
    assert made.startswith("The schema went from nothing")
    _works(here, addresses)


def _works(here: "Here", addresses: list[str]) -> None:
    """See that all of it does what it is there for, shows its metrics, breaks no promise, and ends when it is told."""
    site = Site(here.folder / "client")
    site.url = addresses[0]
    until(
        lambda: [service["state"] for service in site.get("/os-services")["services"]] == ["up"] * 3,
        60,
        "three hosts to be up",
    )
    server = site.create("a")
    assert site.settled(server)[0]["status"] == "ACTIVE"
    assert [_status(f"{address}/healthcheck?detailed") for address in addresses] == [200, 200]
    assert len(here.metrics) == 3
    assert [_status(f"http://127.0.0.1:{port}/metrics") for port in here.metrics] == [200] * 3

    verify = here.run(["verify", "--state-dir", STATE], {})
    found = verify.communicate(timeout=60)[0]
    assert verify.returncode == 0, found
    assert "1 instance, 0 evacuations, 1 claim, 3 hypervisors, 1 guest" in found
    running = [process for name, process in here.running.items() if name != "schema"]
    for process in running:
        process.send_signal(signal.SIGTERM)
    assert [process.wait(40) for process in running] == [0] * 5


class Here:
    """This machine instead of the containers: one folder, free ports, and the tests' own servers."""

    def __init__(self, folder: Path, config: Path) -> None:
        self.folder, self.config = folder, config
        self.running: dict[str, subprocess.Popen[str]] = {}
        #: The ports on which metrics are shown.
        self.metrics: list[int] = []

    def start(self, name: str) -> subprocess.Popen[str]:
        """Start a service of the compose file."""
        self.running[name] = self.run(OURS[name]["command"], OURS[name].get("environment", {}))
        return self.running[name]

    def run(self, command: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
        """Run what a container would, with its environment."""
        places = {STATE: str(self.folder / "state"), "8774": "0"}
        own = dict(environment)
        if METRICS_PORT in own:
            # In containers each has a network of its own, and the port that it is told.
            self.metrics.append(_free_port())
            own[METRICS_PORT] = str(self.metrics[-1])
        with (self.folder / "all.log").open("a") as log:
            return subprocess.Popen(
                [*EVACUATOR, *(places.get(part, part) for part in command), "--config-file", str(self.config)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=os.environ | own,
            )


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    with fresh_database("mariadb") as database, fresh_vhost() as broker:
        config = tmp_path / "evacuator.conf"
        config.write_text(_with_our_servers((FOLDER / "evacuator.conf").read_text(), database, broker))
        made = Here(tmp_path, config)
        yield made
        for process in made.running.values():
            process.kill()
            process.communicate()


def _with_our_servers(config: str, database: URL, broker: URL) -> str:
    """Put the addresses of the tests' servers where the compose file's are."""
    for theirs, ours in (
        ("rabbit://evacuator:evacuator@rabbitmq:5672/", broker),
        ("mysql+pymysql://evacuator:evacuator@mariadb/evacuator", database),
    ):
        assert theirs in config
        config = config.replace(theirs, ours.render_as_string(hide_password=False))
    return config


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


def _status(url: str) -> int:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return int(answer.status)


def _said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line, "it ended before it served"
    return line.replace("0.0.0.0", "127.0.0.1")

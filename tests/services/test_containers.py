"""The compose file, without containers: its very commands, with its configuration, in the worst order."""

import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.acceptance.site import EVACUATOR, Site, until
from tests.services.servers import fresh_database, fresh_vhost

FOLDER = Path(__file__).parents[2] / "etc" / "containers"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"] == "evacuator"}


def test_two_api_processes_and_three_compute_managers_are_served_by_a_database_and_a_broker() -> None:
    commands = sorted(service["command"][0] for service in OURS.values())
    assert commands == ["api", "api", "compute", "compute", "compute", "db"]
    assert {"mariadb", "rabbitmq"} <= set(COMPOSE["services"])


def test_ports_are_published_on_loopback_only_since_nobody_proves_who_they_are() -> None:
    published = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_all_of_it_comes_up_in_the_worst_order(tmp_path: Path) -> None:
    with ExitStack() as closing:
        config = tmp_path / "evacuator.conf"
        config.write_text((FOLDER / "evacuator.conf").read_text())
        ours = closing.enter_context(_links(config))
        services = sorted(OURS, key=lambda name: (OURS[name]["command"][0] == "db", OURS[name]["command"][0] == "api"))
        assert services[0].startswith("compute")
        assert services[-1] == "schema"
        running: dict[str, subprocess.Popen[str]] = {}
        for name in services[:-1]:
            running[name] = _start(OURS[name]["command"], config, tmp_path, ours)
            closing.callback(_end, running[name])
        urls = {name: _said(running[name]) for name in running if name.startswith("api")}
        for name, process in running.items():
            if name.startswith("compute"):
                assert _said(process).endswith("is not up yet")
        schema = _start(OURS["schema"]["command"], config, tmp_path, ours)
        assert schema.communicate(timeout=60)[0].startswith("The schema went from nothing")

        site = Site(tmp_path / "client")
        site.url = next(iter(urls.values()))
        until(
            lambda: [service["state"] for service in site.get("/os-services")["services"]] == ["up"] * 3,
            60,
            "three hosts to be up",
        )
        for url in urls.values():
            with urllib.request.urlopen(f"{url}/healthcheck?detailed", timeout=10) as answer:
                assert answer.status == 200
        server = site.create("a")
        assert site.settled(server)[0]["status"] == "ACTIVE"
        for process in running.values():
            process.send_signal(signal.SIGTERM)
        assert [process.wait(40) for process in running.values()] == [0] * 5


@contextmanager
def _links(config: Path) -> Iterator[dict[str, Any]]:
    """Put the addresses of the tests' servers where the compose file's are."""
    with fresh_database("mariadb") as database, fresh_vhost() as broker:
        text = config.read_text()
        for theirs, url in (
            ("rabbit://evacuator:evacuator@rabbitmq:5672/", broker),
            ("mysql+pymysql://evacuator:evacuator@mariadb/evacuator", database),
        ):
            assert theirs in text
            text = text.replace(theirs, url.render_as_string(hide_password=False))
        config.write_text(text)
        yield {"state": "/var/lib/evacuator"}


def _start(command: list[str], config: Path, folder: Path, places: dict[str, Any]) -> subprocess.Popen[str]:
    """Run what a container would, with this machine's folder and a free port."""
    state = folder / "state"
    arguments = [str(state) if part == places["state"] else "0" if part == "8774" else part for part in command]
    (folder / "logs").mkdir(exist_ok=True)
    with (folder / "logs" / f"{len(list((folder / 'logs').iterdir()))}.log").open("w") as log:
        return subprocess.Popen(
            [*EVACUATOR, *arguments, "--config-file", str(config)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=dict(os.environ),
        )


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def _said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line, "it ended before it served"
    return line.replace("0.0.0.0", "127.0.0.1")

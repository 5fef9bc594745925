"""Every microversion window, every state before, with and without a host: where it ends, and what was powered on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.site import Site, until

VERSIONS = ("2.1", "2.13", "2.14", "2.28", "2.29", "2.67", "2.68", "2.94", "2.95")
STATES = ("ACTIVE", "SHUTOFF", "ERROR")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, dict[Any, str]]]:
    """One site on which host a died, with a server for each case."""
    site = Site(Path(tmp_path_factory.mktemp("matrix")) / "site")
    site.start()
    cases = [(version, state, host) for version in VERSIONS for state in STATES for host in ("b", None)]
    servers = {case: site.create("a", f"{case}") for case in cases}
    site.settled(*servers.values(), seconds=60)
    for (_version, state, _host), server in servers.items():
        if state == "SHUTOFF":
            assert site.action(server, {"os-stop": None}).status == 202
        if state == "ERROR":
            assert site.action(server, {"os-resetState": {"state": "error"}}).status == 202
    site.settled(*servers.values(), seconds=60)
    site.mains("a", "off")
    assert site.force_down("a").status == 200
    yield site, servers
    assert site.stop() == 0


@pytest.mark.parametrize("host", ["b", None])
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("version", VERSIONS)
def test_an_evacuation_ends_where_and_how_it_must(
    prepared: tuple[Site, dict[Any, str]], version: str, state: str, host: str | None
) -> None:
    site, servers = prepared
    server = servers[version, state, host]
    assert site.status(server) == state
    evacuate: dict[str, Any] = {"host": host} if host else {}
    if version in ("2.1", "2.13"):
        evacuate["onSharedStorage"] = True
    answer = site.action(server, {"evacuate": evacuate}, version)
    assert answer.status == 200, answer
    (ended,) = site.settled(server)

    runs = version != "2.95" and state != "SHUTOFF"
    assert ended["status"] == ("ACTIVE" if runs else "SHUTOFF")
    assert ended["OS-EXT-STS:power_state"] == (1 if runs else 4)
    assert ended["OS-EXT-SRV-ATTR:host"] == (host or ended["OS-EXT-SRV-ATTR:host"]) != "a"
    (record,) = site.migrations(server)
    assert record["status"] == "done"
    assert record["dest_compute"] == ended["OS-EXT-SRV-ATTR:host"]
    events = [line["event"] for line in site.journal(ended["OS-EXT-SRV-ATTR:host"], server)]
    assert events == (["defined", "powered_on"] if runs else ["defined"])


def test_after_all_of_them_every_invariant_holds(prepared: tuple[Site, dict[Any, str]]) -> None:
    site, servers = prepared
    site.settled(*servers.values())
    verified = site.verify()
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_the_source_comes_back_cleans_and_completes_the_records(prepared: tuple[Site, dict[Any, str]]) -> None:
    site, servers = prepared
    evacuated = [server for server in servers.values() if site.show(server)["OS-EXT-SRV-ATTR:host"] != "a"]
    assert evacuated
    refused = site.force_down("a", forced=False)
    assert refused.status == 400
    assert "Unable to force up host a" in refused.body["badRequest"]["message"]
    site.mains("a", "on")
    until(
        lambda: all(site.migrations(server)[0]["status"] == "completed" for server in evacuated),
        60,
        "the records to be completed",
    )
    assert site.force_down("a", forced=False).status == 200
    until(lambda: site.service("a")["state"] == "up", 60, "host a to be up")
    for server in evacuated:
        assert site.journal("a", server)[-1]["event"] == "destroyed"
        assert (site.state_dir / "disks" / server).exists()
    assert site.verify().returncode == 0

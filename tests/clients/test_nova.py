"""The ``nova`` client, which has ``host-evacuate`` and asks for newer versions than there are."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from keystoneauth1.noauth import NoAuth
from keystoneauth1.session import Session
from keystoneauth1.token_endpoint import Token
from novaclient import client

from tests.acceptance.site import Site, until
from tests.clients.commands import Nova
from tests.clients.conftest import Boot

Die = Callable[[str], None]


def test_servers_are_listed_and_shown(nova: Nova, boot: Boot) -> None:
    server = boot("shown", "c")
    (row,) = nova.rows("list", "--all-tenants", "--host", "c")
    assert (row["ID"], row["Name"], row["Status"], row["Power State"]) == (server, "shown", "ACTIVE", "Running")
    assert [row["ID"] for row in nova.rows("list", "--name", "^shown$")] == [server]
    shown = nova.facts("show", "shown")
    assert (shown["id"], shown["OS-EXT-SRV-ATTR:host"], shown["flavor:original_name"]) == (server, "c", "m1.tiny")
    older = nova.facts("show", server, version="2.1")
    assert older["flavor"] == "m1.tiny (1)"


def test_the_program_itself_does_the_same(nova: Nova, boot: Boot) -> None:
    server = boot("seen", "c")
    program = Path(sys.executable).with_name("nova")
    done = subprocess.run(
        [program, "list"], env=nova.environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert server in done.stdout


def test_what_a_site_has_is_listed(nova: Nova) -> None:
    assert nova.rows("flavor-list")[0]["Name"] == "m1.tiny"
    assert nova.facts("flavor-show", "m1.small")["ram"] == "2048"
    hypervisors = {row["Hypervisor hostname"]: row for row in nova.rows("hypervisor-list")}
    assert hypervisors.keys() == {"a", "b", "c", "d"}
    b = hypervisors["b"]
    assert nova.facts("hypervisor-show", b["ID"])["host_ip"] == "127.0.0.1"
    assert nova.facts("hypervisor-stats", version="2.87")["count"] == "4"
    assert nova.do("availability-zone-list").count("nova-compute") == 4
    assert nova.rows("aggregate-list") == []
    assert nova.rows("version-list")


@pytest.mark.parametrize("version", [None, "2.53", "2.52", "2.11"])
def test_services_are_listed_disabled_and_forced_down(nova: Nova, site: Site, version: str | None) -> None:
    (row,) = nova.rows("service-list", "--host", "d", "--binary", "nova-compute", version=version)
    assert (row["Host"], row["Status"], row["State"], row["Forced down"]) == ("d", "enabled", "up", "False")
    service = row["Id"] if version in (None, "2.53") else "d"
    nova.do("service-disable", "--reason", "a new fan", service, version=version)
    assert site.service("d")["disabled_reason"] == "a new fan"
    nova.do("service-enable", service, version=version)
    assert site.service("d")["status"] == "enabled"
    nova.do("service-force-down", service, version=version)
    assert site.service("d")["forced_down"] is True
    nova.do("service-force-down", "--unset", service, version=version)
    until(lambda: site.service("d")["state"] == "up", 10, "d to be up")


def test_a_server_is_stopped_started_rebooted_locked_reset_and_deleted(nova: Nova, site: Site, boot: Boot) -> None:
    server = boot("busy", "b")
    for words, status in (
        (("stop", "busy"), "SHUTOFF"),
        (("start", "busy"), "ACTIVE"),
        (("reboot", "busy"), "ACTIVE"),
        (("reset-state", "busy"), "ERROR"),
        (("reset-state", "--active", "busy"), "ACTIVE"),
    ):
        nova.do(*words)
        assert site.settled(server)[0]["status"] == status
    nova.do("lock", "busy")
    assert site.get(f"/servers/{server}")["server"]["locked"] is True
    nova.do("unlock", "busy")
    assert {row["Action"] for row in nova.rows("instance-action-list", "busy")} >= {"create", "start", "stop", "reboot"}
    nova.do("delete", "busy")
    until(lambda: nova.rows("list", "--name", "^busy$") == [], 10, "the server to be gone")


def test_a_server_is_created(nova: Nova, site: Site) -> None:
    create = ("boot", "--image", "11111111-1111-4111-8111-111111111111", "--flavor", "1", "--nic", "none")
    server = nova.facts(*create, "--availability-zone", "nova:b", "made")["id"]
    assert site.settled(server)[0]["OS-EXT-SRV-ATTR:host"] == "b"
    nova.do("delete", "made")


@pytest.mark.parametrize(
    ("version", "words", "status"),
    [
        (None, (), "SHUTOFF"),
        ("2.94", ("b",), "ACTIVE"),
        ("2.67", ("--force", "c"), "ACTIVE"),
        ("2.29", ("b",), "ACTIVE"),
        ("2.13", ("--on-shared-storage",), "ACTIVE"),
    ],
)
def test_a_server_is_evacuated(
    nova: Nova, site: Site, boot: Boot, dead: Die, version: str | None, words: tuple[str, ...], status: str
) -> None:
    server = boot("evacuated")
    dead("a")
    site.force_down("a")
    options, hosts = [word for word in words if word[0] == "-"], [word for word in words if word[0] != "-"]
    nova.do("evacuate", *options, "evacuated", *hosts, version=version)
    (ended,) = site.settled(server)
    assert ended["status"] == status
    host = ended["OS-EXT-SRV-ATTR:host"]
    assert host == hosts[0] if hosts else host != "a"
    (row,) = nova.rows("migration-list", "--host", "a", "--status", "done", "--instance-uuid", server)
    assert (row["Source Compute"], row["Dest Compute"], row["Type"]) == ("a", host, "evacuation")


@pytest.mark.parametrize("version", [None, "2.94", "2.53", "2.52", "2.14"])
def test_a_whole_host_is_evacuated(nova: Nova, site: Site, boot: Boot, dead: Die, version: str | None) -> None:
    servers = {status: boot(f"of-a-{status}", "a", status) for status in ("ACTIVE", "SHUTOFF", "ERROR")}
    dead("a")
    site.force_down("a")
    words = ("--target_host", "b") if version in (None, "2.94") else ()
    rows = nova.rows("host-evacuate", *words, "a", version=version)
    assert {(row["Server UUID"], row["Evacuate Accepted"], row["Error Message"]) for row in rows} == {
        (server, "True", "") for server in servers.values()
    }
    site.settled(*servers.values())
    for status, server in servers.items():
        ended = site.show(server)
        runs = version is not None and status != "SHUTOFF"
        assert ended["status"] == ("ACTIVE" if runs else "SHUTOFF"), status
        host = ended["OS-EXT-SRV-ATTR:host"]
        assert host == "b" if words else host != "a"
        events = [line["event"] for line in site.journal(host, server)]
        assert events == (["defined", "powered_on"] if runs else ["defined"])


def test_servers_that_cannot_be_evacuated_are_rows_too(nova: Nova, site: Site, boot: Boot) -> None:
    server = boot("alive", "c")
    rows = nova.rows("host-evacuate", "--strict", "c")
    refused = {row["Server UUID"]: row for row in rows}[server]
    assert refused["Evacuate Accepted"] == "False"
    assert "Compute service of c is still in use." in refused["Error Message"]
    assert nova.run("host-evacuate", "--strict", "nowhere").status == 1


@pytest.mark.filterwarnings("ignore")  # the client's own: what it will drop
@pytest.mark.parametrize("way_in", [lambda url: NoAuth(endpoint=url), lambda url: Token(url, "admin")])
def test_programs_come_in_without_a_keystone(site: Site, boot: Boot, way_in: Callable[[str], Any]) -> None:
    server = boot("library")
    nova = client.Client("2.53", session=Session(auth=way_in(f"{site.url}/v2.1")))
    assert nova.servers.get(server).name == "library"
    assert {service.host for service in nova.services.list(binary="nova-compute")} == {"a", "b", "c", "d"}
    assert nova.versions.get_current().version == "2.95"


def test_after_all_of_it_every_invariant_holds(site: Site) -> None:
    verified = site.verify()
    assert verified.returncode == 0, verified.stdout

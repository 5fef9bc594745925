"""Every command of the ``openstack`` client that reaches this API, as it is typed, with its output parsed as JSON."""

from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from tests.acceptance.site import IMAGE, Site, until
from tests.clients.commands import Openstack
from tests.clients.conftest import Boot

Die = Callable[[str], None]


# -- ways in


def test_without_authentication_the_options_do_what_the_environment_does(site: Site) -> None:
    options = ("--os-auth-type", "none", "--os-endpoint", f"{site.url}/v2.1", "--os-identity-api-version", "3")
    assert isinstance(Openstack("openstack", {}, options).json("server", "list"), list)


def test_a_token_carries_an_identity(site: Site) -> None:
    options = ("--os-auth-type", "admin_token", "--os-endpoint", f"{site.url}/v2.1", "--os-token", "ann:blue")
    member = Openstack("openstack", {"OS_IDENTITY_API_VERSION": "3"}, options)
    assert {row["Name"] for row in member.json("flavor", "list")} >= {"m1.tiny"}
    override = {"OS_IDENTITY_API_VERSION": "3", "OS_IDENTITY_ENDPOINT_OVERRIDE": f"{site.url}/v2.1"}
    assert Openstack("openstack", override, options).json("server", "list") == []
    refused = member.run("compute", "service", "list")
    assert refused.status == 1
    assert "Policy doesn't allow os_compute_api:os-services:list to be performed" in refused.err


def test_a_file_of_clouds_names_the_site_and_who_asks(clouds: Path) -> None:
    environment = {"OS_CLIENT_CONFIG_FILE": str(clouds)}
    anybody = Openstack("openstack", environment, ("--os-cloud", "evacuator"))
    assert {row["Host"] for row in anybody.json("compute", "service", "list")} == {"a", "b", "c", "d"}
    ann = Openstack("openstack", environment, ("--os-cloud", "ann"))
    create = ("server", "create", "--image", "small", "--flavor", "m1.tiny", "--nic", "none")
    assert ann.json(*create, "of-ann")["project_id"] == "blue"
    assert [row["Name"] for row in ann.json("server", "list")] == ["of-ann"]
    ann.do("server", "delete", "--wait", "of-ann")


def test_a_version_above_the_newest_is_refused_by_the_client(openstack: Openstack) -> None:
    assert openstack.run("server", "list", before=("--os-compute-api-version", "2.999")).status != 0


# -- what a site has


def test_images_are_listed_and_shown_by_id(openstack: Openstack) -> None:
    assert openstack.json("image", "list") == [{"ID": IMAGE, "Name": "small", "Status": "active"}]
    shown = openstack.json("image", "show", IMAGE)
    assert (shown["id"], shown["name"], shown["status"]) == (IMAGE, "small", "active")


def test_flavors_are_listed_shown_created_changed_and_deleted(openstack: Openstack) -> None:
    listed = openstack.json("flavor", "list")
    assert [(row["ID"], row["Name"], row["RAM"]) for row in listed][:2] == [
        ("1", "m1.tiny", 512),
        ("2", "m1.small", 2048),
    ]
    created = openstack.json("flavor", "create", "--ram", "256", "--disk", "2", "--vcpus", "1", "--public", "small.one")
    UUID(created["id"])
    openstack.do("flavor", "set", "--property", "hw:cpu_policy=shared", "small.one")
    shown = openstack.json("flavor", "show", "small.one")
    assert (shown["id"], shown["ram"], shown["properties"]) == (created["id"], 256, {"hw:cpu_policy": "shared"})
    openstack.do("flavor", "unset", "--property", "hw:cpu_policy", "small.one")
    assert openstack.json("flavor", "show", "small.one")["properties"] == {}
    openstack.do("flavor", "delete", "small.one")
    assert openstack.run("flavor", "show", "small.one").status == 1


def test_hypervisors_are_listed_and_shown_by_name(openstack: Openstack) -> None:
    listed = openstack.json("hypervisor", "list")
    assert {(row["Hypervisor Hostname"], row["Hypervisor Type"], row["State"]) for row in listed} >= {
        ("a", "QEMU", "up"),
        ("b", "QEMU", "up"),
    }
    assert {row["Host IP"] for row in listed} == {"127.0.0.1"}
    assert openstack.json("hypervisor", "list", "--long", version="2.87")[0]["vCPUs"] == 256
    shown = openstack.json("hypervisor", "show", "b")
    assert (shown["hypervisor_hostname"], shown["service_host"], shown["aggregates"]) == ("b", "b", [])
    for version in ("2.87", "2.53", "2.52", "2.27", "2.1"):
        assert openstack.json("hypervisor", "show", "b", version=version)["hypervisor_hostname"] == "b"
    assert openstack.json("hypervisor", "stats", "show", version="2.87")["count"] == 4


def test_zones_are_listed(openstack: Openstack) -> None:
    assert openstack.json("availability", "zone", "list", "--compute") == [
        {"Zone Name": "nova", "Zone Status": "available"}
    ]
    long = openstack.json("availability", "zone", "list", "--compute", "--long")
    assert {row["Host Name"] for row in long if row["Zone Name"] == "nova"} == {"a", "b", "c", "d"}


def test_an_aggregate_is_made_filled_zoned_emptied_and_deleted(openstack: Openstack) -> None:
    assert openstack.json("aggregate", "list") == []
    created = openstack.json("aggregate", "create", "--zone", "east", "--property", "rack=7", "spare")
    assert (created["name"], created["availability_zone"], created["properties"]["rack"]) == ("spare", "east", "7")
    added = openstack.json("aggregate", "add", "host", "spare", "d")
    assert added["hosts"] == ["d"]
    again = openstack.run("aggregate", "add", "host", "spare", "d")
    assert again.status == 1
    assert "already has host d" in again.err
    assert openstack.json("hypervisor", "show", "d")["aggregates"] == ["spare"]
    zones = {row["Zone Name"] for row in openstack.json("availability", "zone", "list", "--compute")}
    assert zones == {"east", "nova"}
    openstack.do("aggregate", "set", "--name", "reserve", "--property", "rack=8", "spare")
    shown = openstack.json("aggregate", "show", "reserve")
    assert (shown["hosts"], shown["properties"]["rack"]) == (["d"], "8")
    assert openstack.json("aggregate", "remove", "host", "reserve", "d")["hosts"] == []
    openstack.do("aggregate", "delete", "reserve")
    assert openstack.json("aggregate", "list") == []


# -- services


def test_services_are_listed_by_host_and_by_name(openstack: Openstack) -> None:
    (row,) = openstack.json("compute", "service", "list", "--host", "b", "--service", "nova-compute")
    assert {name: row[name] for name in ("Binary", "Host", "Zone", "Status", "State")} == {
        "Binary": "nova-compute",
        "Host": "b",
        "Zone": "nova",
        "Status": "enabled",
        "State": "up",
    }
    UUID(row["ID"])
    assert openstack.json("compute", "service", "list", "--long", "--host", "b")[0]["Forced Down"] is False
    assert openstack.json("compute", "service", "list", "--host", "nowhere") == []


@pytest.mark.parametrize("version", [None, "2.53", "2.52", "2.11"])
def test_a_service_is_disabled_and_enabled(openstack: Openstack, site: Site, version: str | None) -> None:
    service = ("compute", "service", "set")
    openstack.do(*service, "--disable", "--disable-reason", "a new fan", "d", "nova-compute", version=version)
    assert (site.service("d")["status"], site.service("d")["disabled_reason"]) == ("disabled", "a new fan")
    openstack.do(*service, "--enable", "d", "nova-compute", version=version)
    assert (site.service("d")["status"], site.service("d")["disabled_reason"]) == ("enabled", None)


@pytest.mark.parametrize("version", [None, "2.11"])
def test_a_service_is_forced_down_and_let_up(openstack: Openstack, site: Site, version: str | None) -> None:
    service = ("compute", "service", "set")
    openstack.do(*service, "--disable", "--down", "d", "nova-compute", version=version)
    (row,) = openstack.json("compute", "service", "list", "--host", "d")
    assert (row["Status"], row["State"]) == ("disabled", "down")
    openstack.do(*service, "--enable", "--up", "d", "nova-compute", version=version)
    until(lambda: site.service("d")["state"] == "up", 10, "d to be up")


def test_a_service_that_hosts_servers_is_not_forgotten(openstack: Openstack, site: Site, boot: Boot) -> None:
    boot("keeps-it", "b")
    refused = openstack.run("compute", "service", "delete", site.service("b")["id"])
    assert refused.status == 1
    assert "hosting instances" in refused.err


# -- servers


def test_a_server_is_created_shown_listed_and_deleted(openstack: Openstack) -> None:
    create = ("server", "create", "--image", "small", "--flavor", "m1.tiny", "--nic", "none", "--wait")
    created = openstack.json(*create, "--host", "a", "--property", "HA_Enabled=True", "web")
    assert (created["name"], created["status"], created["OS-EXT-SRV-ATTR:host"]) == ("web", "ACTIVE", "a")
    shown = openstack.json("server", "show", "web")
    assert shown["id"] == created["id"]
    assert shown["flavor"]["original_name"] == "m1.tiny"
    assert shown["image"] == f"small ({IMAGE})"
    assert shown["properties"] == {"HA_Enabled": "True"}
    (row,) = openstack.json("server", "list", "--name", "^web$")
    assert row == {
        "ID": created["id"],
        "Name": "web",
        "Status": "ACTIVE",
        "Networks": {},
        "Image": "small",
        "Flavor": "m1.tiny",
    }
    openstack.do("server", "delete", "--wait", "web")
    assert openstack.json("server", "list", "--name", "^web$") == []


def test_before_2_74_the_host_is_named_in_the_zone(openstack: Openstack) -> None:
    create = ("server", "create", "--image", IMAGE, "--flavor", "1", "--wait", "--availability-zone", "nova:b")
    created = openstack.json(*create, "older", version="2.36")
    assert created["OS-EXT-SRV-ATTR:host"] == "b"
    assert openstack.json("server", "show", "older", version="2.46")["flavor"] == "m1.tiny (1)"
    openstack.do("server", "delete", "older")


def test_several_servers_are_created_at_once(openstack: Openstack) -> None:
    create = ("server", "create", "--image", IMAGE, "--flavor", "m1.tiny", "--nic", "none")
    openstack.json(*create, "--min", "2", "--max", "2", "--wait", "many")
    names = {row["Name"] for row in openstack.json("server", "list", "--name", "many")}
    assert names == {"many-1", "many-2"}
    openstack.do("server", "delete", "--wait", "many-1", "many-2")


def test_servers_are_listed_by_host_in_all_projects(openstack: Openstack, boot: Boot) -> None:
    server = boot("found", "c")
    listed = openstack.json("server", "list", "--all-projects", "--host", "c", "--long")
    assert [(row["ID"], row["Host"], row["Power State"]) for row in listed] == [(server, "c", 1)]
    assert openstack.json("server", "list", "--all-projects", "--host", "d") == []
    assert openstack.json("server", "list", "--status", "ERROR") == []
    assert len(openstack.json("server", "list", "--limit", "1", "--sort-column", "name")) == 1


def test_a_server_is_stopped_started_rebooted_locked_and_set_to_error(
    openstack: Openstack, site: Site, boot: Boot
) -> None:
    server = boot("busy")
    for words, status in (
        (("stop",), "SHUTOFF"),
        (("start",), "ACTIVE"),
        (("reboot", "--hard", "--wait"), "ACTIVE"),
        (("set", "--auto-approve", "--state", "error"), "ERROR"),
        (("set", "--auto-approve", "--state", "active"), "ACTIVE"),
    ):
        openstack.do("server", *words, "busy")
        assert site.settled(server)[0]["status"] == status
    openstack.do("server", "lock", "--reason", "mine", "busy")
    assert site.get(f"/servers/{server}")["server"]["locked_reason"] == "mine"
    openstack.do("server", "unlock", "busy")
    assert site.get(f"/servers/{server}")["server"]["locked"] is False


# -- evacuations


# Not `--wait`: in release 10.5.0 it compares "active" with "ACTIVE", and never ends.
@pytest.mark.parametrize(
    ("version", "words", "status"),
    [
        (None, (), "SHUTOFF"),
        ("2.95", ("--host", "b"), "SHUTOFF"),
        ("2.94", ("--host", "c"), "ACTIVE"),
        ("2.67", ("--host", "b"), "ACTIVE"),
        ("2.29", ("--password", "secret"), "ACTIVE"),
        ("2.14", (), "ACTIVE"),
        ("2.13", ("--shared-storage",), "ACTIVE"),
        # The client then says that the storage is not shared, and here it is.
        ("2.1", (), "ERROR"),
    ],
)
def test_a_server_is_evacuated(
    openstack: Openstack, site: Site, boot: Boot, dead: Die, version: str | None, words: tuple[str, ...], status: str
) -> None:
    name = f"evacuated-{version}"
    server = boot(name)
    dead("a")
    openstack.do("compute", "service", "set", "--down", "a", "nova-compute")
    done = openstack.run("server", "evacuate", *words, name, "-f", "json", before=pin(version))
    assert done.status == 0, str(done)
    (ended,) = site.settled(server)
    assert ended["status"] == status
    host = ended["OS-EXT-SRV-ATTR:host"]
    if status == "ERROR":
        assert ended["fault"]["message"].startswith("Invalid state of instance files on shared storage")
        assert host == "a"
    else:
        assert host == words[1] if "--host" in words else host != "a"
        events = [line["event"] for line in site.journal(host, server)]
        assert events == (["defined", "powered_on"] if status == "ACTIVE" else ["defined"])


def pin(version: str | None) -> tuple[str, ...]:
    return ("--os-compute-api-version", version) if version else ()


def test_the_whole_story_from_a_new_server_to_its_end(openstack: Openstack, site: Site, dead: Die) -> None:
    create = ("server", "create", "--image", "small", "--flavor", "m1.tiny", "--nic", "none", "--host", "a", "--wait")
    server = openstack.json(*create, "story")["id"]
    early = openstack.run("server", "evacuate", "story")
    assert early.status == 1
    assert "Compute service of a is still in use." in early.err

    dead("a")
    openstack.do("compute", "service", "set", "--disable", "--down", "a", "nova-compute")
    assert openstack.json("compute", "service", "list", "--host", "a")[0]["State"] == "down"
    assert openstack.json("server", "show", "story")["host_status"] == "DOWN"
    openstack.do("server", "evacuate", "story")

    migrations = ("server", "migration", "list", "--server", "story", "--type", "evacuation")
    until(lambda: openstack.json(*migrations)[0]["Status"] == "done", 20, "the migration to be done")
    (migration,) = openstack.json(*migrations, "--host", "a", "--status", "done")
    assert (migration["Source Compute"], migration["Type"]) == ("a", "evacuation")
    destination = migration["Dest Compute"]
    assert (migration["Dest Node"], migration["Dest Host"]) == (destination, "127.0.0.1")
    shown = openstack.json("server", "show", "story")
    assert (shown["status"], shown["OS-EXT-SRV-ATTR:host"], shown["OS-EXT-STS:power_state"]) == (
        "SHUTOFF",
        destination,
        4,
    )
    assert [line["event"] for line in site.journal(destination, server)] == ["defined"]

    (event,) = [row for row in openstack.json("server", "event", "list", "story") if row["Action"] == "evacuate"]
    told = openstack.json("server", "event", "show", "story", event["Request ID"])
    assert {part["event"]: part["result"] for part in told["events"]} == {
        "rebuild_server": "Success",
        "compute_rebuild_instance": "Success",
    }

    openstack.do("server", "start", "story")
    until(lambda: openstack.json("server", "show", "story")["status"] == "ACTIVE", 20, "the server to be started")
    assert [line["event"] for line in site.journal(destination, server)] == ["defined", "powered_on"]
    refused = openstack.run("compute", "service", "set", "--up", "a", "nova-compute")
    assert refused.status == 1
    openstack.do("compute", "service", "set", "--enable", "a", "nova-compute")
    openstack.do("server", "delete", "--wait", "story")
    assert openstack.run("server", "show", "story").status == 1


def test_the_gate_jobs_of_nova_find_what_they_look_for(openstack: Openstack, site: Site, boot: Boot, dead: Die) -> None:
    assert openstack.json("network", "list", "--no-share") == []
    server = boot("gate")
    dead("a")
    dead("b")
    for host in "ab":
        openstack.do("compute", "service", "set", "--down", host, "nova-compute", version="2.11")
        states = openstack.json(
            "compute", "service", "list", "--host", host, "--service", "nova-compute", "-c", "State"
        )
        assert states == [{"State": "down"}]
    assert openstack.run("server", "evacuate", "--host", "b", "gate", before=pin("2.67")).status == 0
    until(lambda: site.status(server) == "ERROR", 20, "no valid host")
    openstack.do("server", "evacuate", "gate", version="2.14")
    assert site.settled(server)[0]["status"] == "ACTIVE"
    openstack.do("server", "delete", "--wait", "gate")


def test_after_all_of_it_every_invariant_holds(site: Site) -> None:
    verified = site.verify()
    assert verified.returncode == 0, verified.stdout

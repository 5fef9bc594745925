"""Migrations, flavors, images, hypervisors, zones."""

import json

import pytest

from tests.functional.conftest import IMAGE, Site, fault

MIGRATION = {
    "id", "source_compute", "source_node", "dest_compute", "dest_node", "dest_host", "status", "instance_uuid",
    "old_instance_type_id", "new_instance_type_id", "created_at", "updated_at",
}  # fmt: skip


@pytest.mark.parametrize(
    ("version", "added"),
    [
        ("2.1", set()),
        ("2.22", set()),
        ("2.23", {"migration_type"}),
        ("2.58", {"migration_type"}),
        ("2.59", {"migration_type", "uuid"}),
        ("2.79", {"migration_type", "uuid"}),
        ("2.80", {"migration_type", "uuid", "user_id", "project_id"}),
        ("2.95", {"migration_type", "uuid", "user_id", "project_id"}),
    ],
)
def test_each_version_shows_its_keys_of_a_migration(outage, version, added):
    outage.ask()
    (migration,) = outage.site.get("/os-migrations", version).json["migrations"]
    assert migration.keys() == MIGRATION | added
    assert (migration["status"], migration["source_compute"]) == ("accepted", "dead")
    assert migration.get("migration_type", "evacuation") == "evacuation"


def test_a_migration_names_the_nodes_and_the_address_of_its_hosts(outage):
    outage.site.sql("UPDATE compute_nodes SET host_ip = '192.0.2.1' WHERE host = 'one'")
    outage.ask({"host": "one"})
    (migration,) = outage.site.get("/os-migrations").json["migrations"]
    assert (migration["source_node"], migration["dest_node"], migration["dest_host"]) == (
        "dead.example.org",
        "one.example.org",
        "192.0.2.1",
    )
    outage.site.sql("DELETE FROM compute_nodes WHERE host = 'one'")
    (migration,) = outage.site.get("/os-migrations").json["migrations"]
    assert (migration["dest_compute"], migration["dest_host"]) == ("one", None)


@pytest.fixture
def three(outage):
    site = outage.site
    site.uuids = [outage.server, site.add_server(), site.add_server()]
    for uuid, host in zip(site.uuids, ("one", "two", "one"), strict=True):
        site.evacuate(uuid, {"host": host})
        site.later(1)
    made = [number for (number,) in site.sql("SELECT id FROM migrations ORDER BY id")]

    def found(answer):
        assert answer.status_int == 200, answer.text
        return [made.index(migration["id"]) + 1 for migration in answer.json["migrations"]]

    site.found = found
    site.first = made[0]
    return site


def test_migrations_are_in_order_until_2_58_and_newest_first_from_2_59_on(three):
    assert three.found(three.get("/os-migrations", "2.58")) == [1, 2, 3]
    assert three.found(three.get("/os-migrations", "2.59")) == [3, 2, 1]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("host=two", [2]),
        ("host=dead", [1, 2, 3]),
        ("source_compute=dead", [1, 2, 3]),
        ("source_compute=one", []),
        ("status=accepted", [1, 2, 3]),
        ("status=done", []),
        ("migration_type=evacuation", [1, 2, 3]),
        ("migration_type=live-migration", []),
        ("hidden=1", []),
        ("hidden=0", [1, 2, 3]),
        ("nonsense=1", [1, 2, 3]),
        ("limit=1", [1, 2, 3]),
        ("user_id=nobody", [1, 2, 3]),
    ],
)
def test_migrations_are_filtered(three, query, found):
    assert three.found(three.get(f"/os-migrations?{query}", "2.58")) == found


def test_migrations_are_found_by_server_and_by_who_asked(three):
    assert three.found(three.get(f"/os-migrations?instance_uuid={three.uuids[1]}", "2.95")) == [2]
    assert three.found(three.get("/os-migrations?user_id=nobody", "2.80")) == []
    assert three.found(three.get("/os-migrations?project_id=admin", "2.80")) == [3, 2, 1]
    assert three.found(three.get("/os-migrations?changes-since=2026-01-31T12:00:01Z", "2.59")) == [3, 2]


@pytest.mark.parametrize(
    ("query", "version"),
    [
        ("nonsense=1", "2.59"),
        ("user_id=x", "2.79"),
        ("changes-before=2026-01-31T12:00:01Z", "2.65"),
        ("instance_uuid=x", "2.59"),
        ("limit=-1", "2.59"),
    ],
)
def test_what_a_version_does_not_take_is_refused(three, query, version):
    assert three.get(f"/os-migrations?{query}", version).status_int == 400


def test_all_migrations_are_shown_where_a_version_knows_of_no_pages(tmp_path):
    site = Site(tmp_path, max_limit=1)
    for host in ("one", "two"):
        site.add_host(host)
    site.force_down("one")
    for _server in range(2):
        assert site.evacuate(site.add_server("one")).status_int == 200
    assert len(site.get("/os-migrations", "2.58").json["migrations"]) == 2
    assert len(site.get("/os-migrations", "2.59").json["migrations"]) == 1
    site.database.close()


def test_pages_of_migrations_are_linked(three):
    first = three.get("/os-migrations?limit=2", "2.59")
    (link,) = first.json["migrations_links"]
    second = three.ask("GET", link["href"].removeprefix("http://localhost:80"), version="2.59")
    assert three.found(first) + three.found(second) == [3, 2, 1]
    assert "migrations_links" not in second.json
    assert fault(three.get("/os-migrations?marker=zz", "2.59"))[2] == "Marker zz could not be found."


def test_migrations_of_deleted_servers_vanish(three):
    three.delete(f"/servers/{three.uuids[0]}")
    assert three.found(three.get("/os-migrations")) == [2, 3]


def test_members_see_no_migrations(three):
    assert three.get("/os-migrations", token="user:project").status_int == 403


def test_an_evacuation_is_no_live_migration(three):
    path = f"/servers/{three.uuids[0]}/migrations"
    assert three.get(path, "2.22").status_int == 404
    assert three.get(path, "2.23").json == {"migrations": []}
    assert fault(three.get(f"{path}/{three.first}", "2.23")) == (
        "itemNotFound",
        404,
        f"Migration {three.first} for server {three.uuids[0]} is not live-migration.",
    )
    assert three.get(f"{path}/{three.first + 99}", "2.23").status_int == 404


# -- flavors and images


FLAVOR = {
    "id", "name", "ram", "disk", "vcpus", "swap", "OS-FLV-EXT-DATA:ephemeral", "os-flavor-access:is_public", "links",
    "rxtx_factor", "OS-FLV-DISABLED:disabled",
}  # fmt: skip


@pytest.mark.parametrize(
    ("version", "added", "swap"),
    [
        ("2.1", set(), ""),
        ("2.54", set(), ""),
        ("2.55", {"description"}, ""),
        ("2.60", {"description"}, ""),
        ("2.61", {"description", "extra_specs"}, ""),
        ("2.74", {"description", "extra_specs"}, ""),
        ("2.75", {"description", "extra_specs"}, 0),
    ],
)
def test_each_version_shows_its_keys_of_a_flavor(site, version, added, swap):
    shown = site.get("/flavors/1", version).json["flavor"]
    assert shown.keys() == FLAVOR | added
    assert shown["swap"] == swap
    assert site.get("/flavors/detail", version).json["flavors"][0] == shown
    (brief, *_) = site.get("/flavors", version).json["flavors"]
    assert brief.keys() == {"id", "name", "links"} | ({"description"} & added)


def test_five_flavors_are_there_from_the_start(site):
    found = site.get("/flavors/detail?is_public=None").json["flavors"]
    assert [(flavor["id"], flavor["name"], flavor["vcpus"], flavor["ram"], flavor["disk"]) for flavor in found] == [
        ("1", "m1.tiny", 1, 512, 1),
        ("2", "m1.small", 1, 2048, 20),
        ("3", "m1.medium", 2, 4096, 40),
        ("4", "m1.large", 4, 8192, 80),
        ("5", "m1.xlarge", 8, 16384, 160),
    ]


def test_flavors_are_filtered_and_paged(site):
    assert [flavor["id"] for flavor in site.get("/flavors?minRam=4096").json["flavors"]] == ["3", "4", "5"]
    assert [flavor["id"] for flavor in site.get("/flavors?minDisk=80").json["flavors"]] == ["4", "5"]
    page = site.get("/flavors?limit=2&marker=2").json
    assert [flavor["id"] for flavor in page["flavors"]] == ["3", "4"]
    assert "marker=4" in page["flavors_links"][0]["href"]
    assert site.get("/flavors?is_public=False").json["flavors"] == []
    for query in ("minRam=x", "is_public=x", "marker=99", "limit=-1"):
        assert site.get(f"/flavors?{query}").status_int == 400
    assert site.get("/flavors?nonsense=1", "2.75").status_int == 400


def test_an_unknown_flavor_is_not_found(site):
    assert fault(site.get("/flavors/m1.tiny")) == ("itemNotFound", 404, "Flavor m1.tiny could not be found.")


def test_extra_specs_are_shown(site):
    site.sql("""UPDATE flavors SET extra_specs = '{"k": "v"}' WHERE flavorid = '1'""")
    assert site.get("/flavors/1/os-extra_specs").json == {"extra_specs": {"k": "v"}}
    assert site.get("/flavors/1/os-extra_specs/k").json == {"k": "v"}
    assert site.get("/flavors/1/os-extra_specs/x").status_int == 404


@pytest.mark.parametrize("prefix", ["", "/v2"])
def test_images_are_found_at_the_same_address(site, prefix):
    (image,) = site.get(f"{prefix}/images").json["images"]
    assert (image["id"], image["status"]) == (IMAGE, "active")
    assert site.get(f"{prefix}/images/{IMAGE}").json == image
    assert fault(site.get(f"{prefix}/images/x")) == ("itemNotFound", 404, "Image x could not be found.")


# -- hypervisors and zones


BRIEF = {"id", "hypervisor_hostname", "state", "status"}
WHOLE = BRIEF | {"hypervisor_type", "hypervisor_version", "host_ip", "service"}
NUMBERS = {
    "vcpus", "memory_mb", "local_gb", "vcpus_used", "memory_mb_used", "local_gb_used", "free_ram_mb", "free_disk_gb",
    "current_workload", "running_vms", "disk_available_least",
}  # fmt: skip


@pytest.mark.parametrize(
    ("version", "added"),
    [
        ("2.1", NUMBERS | {"cpu_info"}),
        ("2.28", NUMBERS | {"cpu_info"}),
        ("2.52", NUMBERS | {"cpu_info"}),
        ("2.53", NUMBERS | {"cpu_info"}),
        ("2.87", NUMBERS | {"cpu_info"}),
        ("2.88", {"uptime"}),
        ("2.95", {"uptime"}),
    ],
)
def test_each_version_shows_its_keys_of_a_hypervisor(outage, version, added):
    (brief, *_) = outage.site.get("/os-hypervisors", version).json["hypervisors"]
    assert brief.keys() == BRIEF
    assert (brief["hypervisor_hostname"], brief["state"], brief["status"]) == ("dead.example.org", "down", "enabled")
    (listed, *_) = outage.site.get("/os-hypervisors/detail", version).json["hypervisors"]
    assert listed.keys() == WHOLE | added
    assert outage.site.get(f"/os-hypervisors/{listed['id']}", version).json["hypervisor"] == listed
    assert listed["service"]["host"] == "dead"
    assert isinstance(listed["id"], str if version >= "2.53" else int)


def test_the_numbers_are_what_is_claimed(outage):
    ((number,),) = outage.site.sql("SELECT id FROM compute_nodes WHERE host = 'dead'")
    shown = outage.site.get(f"/os-hypervisors/{number}").json["hypervisor"]
    assert (shown["vcpus"], shown["vcpus_used"], shown["free_ram_mb"], shown["running_vms"]) == (8, 1, 8192 - 512, 1)
    assert json.loads(shown["cpu_info"]) == {}
    total = outage.site.get("/os-hypervisors/statistics", "2.87").json["hypervisor_statistics"]
    assert (total["count"], total["vcpus"], total["memory_mb_used"]) == (3, 24, 512)
    assert outage.site.get("/os-hypervisors/statistics", "2.88").status_int == 404


def test_servers_of_a_hypervisor_until_2_52(outage):
    found = outage.site.get("/os-hypervisors/dead/servers", "2.52").json["hypervisors"]
    assert found[0]["servers"] == [{"name": outage.site.name_of(outage.server), "uuid": outage.server}]
    assert [
        shown["hypervisor_hostname"] for shown in outage.site.get("/os-hypervisors/one/search").json["hypervisors"]
    ] == ["one.example.org"]
    assert fault(outage.site.get("/os-hypervisors/zz/search")) == (
        "itemNotFound",
        404,
        "No hypervisor matching 'zz' could be found.",
    )
    for verb in ("search", "servers"):
        assert outage.site.get(f"/os-hypervisors/dead/{verb}", "2.53").status_int == 404


def test_servers_of_a_hypervisor_from_2_53_on(outage):
    path = "/os-hypervisors?hypervisor_hostname_pattern={}&with_servers=True"
    (found,) = outage.site.get(path.format("dead"), "2.53").json["hypervisors"]
    assert found["servers"] == [{"name": outage.site.name_of(outage.server), "uuid": outage.server}]
    (empty,) = outage.site.get(path.format("one"), "2.74").json["hypervisors"]
    assert "servers" not in empty
    (empty,) = outage.site.get(path.format("one"), "2.75").json["hypervisors"]
    assert empty["servers"] == []
    assert fault(outage.site.get(path.format("zz"), "2.53"))[1] == 404
    shown = outage.site.get(f"/os-hypervisors/{found['id']}?with_servers=1", "2.53").json["hypervisor"]
    assert shown["servers"] == found["servers"]


def test_pages_of_hypervisors_are_linked_from_2_33_on(outage):
    assert len(outage.site.get("/os-hypervisors?limit=2", "2.32").json["hypervisors"]) == 3
    first = outage.site.get("/os-hypervisors?limit=2", "2.33").json
    assert len(first["hypervisors"]) == 2
    (link,) = first["hypervisors_links"]
    second = outage.site.ask("GET", link["href"].removeprefix("http://localhost:80"), version="2.33").json
    assert [shown["hypervisor_hostname"] for shown in second["hypervisors"]] == ["two.example.org"]
    first = outage.site.get("/os-hypervisors?limit=2", "2.53").json
    assert first["hypervisors"][1]["id"] in first["hypervisors_links"][0]["href"]
    assert outage.site.get("/os-hypervisors?marker=99", "2.33").status_int == 400


def test_an_unknown_hypervisor_is_not_found(site):
    assert fault(site.get("/os-hypervisors/9")) == (
        "itemNotFound",
        404,
        "Hypervisor with ID '9' could not be found.",
    )
    assert site.get("/os-hypervisors/name").status_int == 404
    assert site.get("/os-hypervisors/name", "2.53").status_int == 400


@pytest.mark.parametrize("version", ["2.1", "2.87"])
def test_a_client_that_asks_how_long_a_hypervisor_has_run_is_not_refused(outage, version):
    brief = outage.site.get("/os-hypervisors", version).json["hypervisors"][0]
    answer = outage.site.get(f"/os-hypervisors/{brief['id']}/uptime", version)
    assert answer.json == {"hypervisor": {**brief, "uptime": ""}}
    assert fault(outage.site.get("/os-hypervisors/9/uptime"))[1] == 404


def test_members_see_no_hypervisors(site):
    for path in ("", "/detail", "/1", "/x/search", "/x/servers", "/statistics", "/1/uptime"):
        assert site.get(f"/os-hypervisors{path}", token="user:project").status_int == 403


def test_zones_are_for_everybody_and_their_hosts_for_administrators(outage):
    assert outage.site.get("/os-availability-zone", token="user:project").json == {
        "availabilityZoneInfo": [{"zoneName": "nova", "zoneState": {"available": True}, "hosts": None}]
    }
    assert outage.site.get("/os-availability-zone/detail", token="user:project").status_int == 403
    (zone,) = outage.site.get("/os-availability-zone/detail").json["availabilityZoneInfo"]
    assert zone["hosts"]["dead"]["nova-compute"] == {
        "available": False,
        "active": True,
        "updated_at": "2026-01-31T12:00:00.000000",
    }


def test_there_are_no_aggregates(site):
    assert site.get("/os-aggregates", "2.81").json == {"aggregates": []}

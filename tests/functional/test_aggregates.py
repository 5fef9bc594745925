"""Aggregates, the zones that they make, and what those mean to servers."""

import pytest

from tests.functional.conftest import IMAGE, fault

AGGREGATE = {
    "id",
    "name",
    "hosts",
    "metadata",
    "availability_zone",
    "created_at",
    "updated_at",
    "deleted",
    "deleted_at",
}


@pytest.fixture
def hosts(site):
    for host in ("one", "two", "three"):
        site.add_host(host)
    return site


def make(site, name="east", zone="east", hosts=()):
    made = site.post("/os-aggregates", {"aggregate": {"name": name, "availability_zone": zone}}).json["aggregate"]
    for host in hosts:
        assert act(site, made["id"], add_host={"host": host}).status_int == 200
    return made["id"]


def act(site, aggregate, **action):
    return site.post(f"/os-aggregates/{aggregate}/action", action)


def zones(site):
    return {service["host"]: service["zone"] for service in site.get("/os-services").json["services"]}


@pytest.mark.parametrize(
    ("version", "added"), [("2.1", set()), ("2.40", set()), ("2.41", {"uuid"}), ("2.95", {"uuid"})]
)
def test_each_version_shows_its_keys(hosts, version, added):
    made = hosts.post("/os-aggregates", {"aggregate": {"name": "east"}}, version)
    assert (made.status_int, made.json["aggregate"].keys()) == (200, (AGGREGATE | added) - {"hosts", "metadata"})
    number = made.json["aggregate"]["id"]
    shown = hosts.get(f"/os-aggregates/{number}", version).json["aggregate"]
    assert shown.keys() == AGGREGATE | added
    assert hosts.get("/os-aggregates", version).json["aggregates"] == [shown]
    changed = hosts.put(f"/os-aggregates/{number}", {"aggregate": {"name": "west"}}, version).json["aggregate"]
    assert changed.keys() == shown.keys()
    assert changed["name"] == "west"


def test_a_host_is_added_once_and_removed_once(hosts):
    aggregate = make(hosts, zone=None)
    assert act(hosts, aggregate, add_host={"host": "one"}).json["aggregate"]["hosts"] == ["one"]
    assert fault(act(hosts, aggregate, add_host={"host": "one"})) == (
        "conflictingRequest",
        409,
        f"Aggregate {aggregate} already has host one.",
    )
    assert fault(act(hosts, aggregate, add_host={"host": "nowhere"}))[1] == 404
    assert act(hosts, aggregate, remove_host={"host": "one"}).json["aggregate"]["hosts"] == []
    assert fault(act(hosts, aggregate, remove_host={"host": "one"})) == (
        "itemNotFound",
        404,
        f"Aggregate {aggregate} has no host one.",
    )


def test_metadata_is_set_and_null_removes_it(hosts):
    aggregate = make(hosts, zone=None)
    act(hosts, aggregate, set_metadata={"metadata": {"rack": "7", "row": "a"}})
    changed = act(hosts, aggregate, set_metadata={"metadata": {"rack": "8", "row": None}}).json["aggregate"]
    assert changed["metadata"] == {"rack": "8"}
    zoned = act(hosts, aggregate, set_metadata={"metadata": {"availability_zone": "west"}}).json["aggregate"]
    assert (zoned["availability_zone"], zoned["metadata"]) == ("west", {"rack": "8", "availability_zone": "west"})


def test_an_aggregate_with_a_zone_puts_its_hosts_into_it(hosts):
    aggregate = make(hosts, hosts=["one"])
    assert zones(hosts) == {"one": "east", "two": "nova", "three": "nova"}
    names = [zone["zoneName"] for zone in hosts.get("/os-availability-zone").json["availabilityZoneInfo"]]
    assert names == ["east", "nova"]
    hosts.put(f"/os-aggregates/{aggregate}", {"aggregate": {"availability_zone": "west"}})
    assert zones(hosts)["one"] == "west"
    act(hosts, aggregate, remove_host={"host": "one"})
    assert zones(hosts)["one"] == "nova"


def test_a_host_is_in_one_zone_only(hosts):
    make(hosts, hosts=["one"])
    west = make(hosts, "west", "west", ["two"])
    refused = fault(act(hosts, west, add_host={"host": "one"}))
    assert refused[1] == 409
    assert refused[2].startswith(
        f"Cannot add host to aggregate {west}. Reason: One or more hosts already in availability zone(s) east."
    )
    assert zones(hosts) == {"one": "east", "two": "west", "three": "nova"}
    plain = make(hosts, "plain", None, ["one"])
    assert act(hosts, plain, remove_host={"host": "one"}).status_int == 200
    assert zones(hosts)["one"] == "east"


def test_a_host_with_servers_stays_in_its_zone(hosts):
    aggregate = make(hosts, hosts=["one"])
    hosts.add_server("one", availability_zone="east")
    for refused in (
        act(hosts, aggregate, remove_host={"host": "one"}),
        hosts.put(f"/os-aggregates/{aggregate}", {"aggregate": {"availability_zone": "west"}}),
        act(hosts, aggregate, set_metadata={"metadata": {"availability_zone": None}}),
    ):
        assert fault(refused)[1] == 409
        assert "One or more hosts contain instances in this zone." in fault(refused)[2]
    assert zones(hosts)["one"] == "east"
    assert hosts.put(f"/os-aggregates/{aggregate}", {"aggregate": {"name": "other"}}).status_int == 200


def test_a_host_to_which_a_server_is_being_brought_stays_in_its_zone(hosts):
    aggregate = make(hosts, hosts=["one"])
    hosts.force_down("two")
    server = hosts.add_server("two", availability_zone="east")
    assert hosts.evacuate(server, {"host": "one"}).status_int == 200
    assert fault(act(hosts, aggregate, remove_host={"host": "one"}))[1] == 409
    assert zones(hosts)["one"] == "east"


def test_an_aggregate_with_hosts_is_not_deleted(hosts):
    aggregate = make(hosts, hosts=["one"])
    assert fault(hosts.delete(f"/os-aggregates/{aggregate}"))[:2] == ("badRequest", 400)
    act(hosts, aggregate, remove_host={"host": "one"})
    answer = hosts.delete(f"/os-aggregates/{aggregate}")
    assert (answer.status_int, answer.body) == (200, b"")
    assert fault(hosts.get(f"/os-aggregates/{aggregate}")) == (
        "itemNotFound",
        404,
        f"Aggregate {aggregate} could not be found.",
    )


def test_a_forgotten_host_is_in_no_aggregate(hosts):
    aggregate = make(hosts, hosts=["one"])
    (service,) = hosts.get("/os-services?host=one").json["services"]
    assert hosts.delete(f"/os-services/{service['id']}").status_int == 204
    assert hosts.get(f"/os-aggregates/{aggregate}").json["aggregate"]["hosts"] == []


def test_two_aggregates_cannot_have_one_name(hosts):
    make(hosts)
    west = make(hosts, "west")
    for refused in (
        hosts.post("/os-aggregates", {"aggregate": {"name": "east"}}),
        hosts.put(f"/os-aggregates/{west}", {"aggregate": {"name": "east"}}),
    ):
        assert fault(refused) == ("conflictingRequest", 409, "Aggregate east already exists.")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/os-aggregates", {"aggregate": {}}),
        ("POST", "/os-aggregates", {"aggregate": {"name": ""}}),
        ("POST", "/os-aggregates", {"aggregate": {"name": "n" * 256}}),
        ("POST", "/os-aggregates", {"aggregate": {"name": "n", "availability_zone": "a:b"}}),
        ("POST", "/os-aggregates", {"aggregate": {"name": "n", "nonsense": 1}}),
        ("PUT", "/os-aggregates/1", {"aggregate": {}}),
        ("GET", "/os-aggregates/x", None),
        ("GET", "/os-aggregates/99999999999999999999", None),
        ("POST", "/os-aggregates/1/action", {}),
        ("POST", "/os-aggregates/1/action", {"nonsense": {}}),
        ("POST", "/os-aggregates/1/action", {"add_host": {}}),
        ("POST", "/os-aggregates/1/action", {"set_metadata": {"metadata": {"k": 1}}}),
        ("POST", "/os-aggregates/1/action", {"set_metadata": {"metadata": {"availability_zone": "a:b"}}}),
    ],
)
def test_what_makes_no_sense_is_refused(hosts, method, path, body):
    make(hosts)
    assert fault(hosts.ask(method, f"/v2.1{path}", body))[:2] == ("badRequest", 400)


def test_aggregates_are_for_administrators(hosts):
    aggregate = make(hosts)
    for method, path, body in (
        ("GET", "/os-aggregates", None),
        ("GET", f"/os-aggregates/{aggregate}", None),
        ("POST", "/os-aggregates", {"aggregate": {"name": "n"}}),
        ("PUT", f"/os-aggregates/{aggregate}", {"aggregate": {"name": "n"}}),
        ("DELETE", f"/os-aggregates/{aggregate}", None),
        ("POST", f"/os-aggregates/{aggregate}/action", {"add_host": {"host": "one"}}),
    ):
        assert hosts.ask(method, f"/v2.1{path}", body, token="user:project").status_int == 403


# -- servers in zones


def create(site, **values):
    answer = site.post("/servers", {"server": {"name": "web", "flavorRef": "1", "imageRef": IMAGE} | values})
    assert answer.status_int == 202, answer.text
    server = answer.json["server"]["id"]
    return server, site.get(f"/servers/{server}").json["server"]


def test_a_server_is_made_in_the_zone_that_was_asked_for(hosts):
    make(hosts, hosts=["three"])
    for zone, possible in (("east", {"three"}), ("nova", {"one", "two"})):
        _, shown = create(hosts, availability_zone=zone)
        assert shown["OS-EXT-AZ:availability_zone"] == zone
        assert shown["OS-EXT-SRV-ATTR:host"] in possible
    found = hosts.get("/servers?availability_zone=east").json["servers"]
    assert len(found) == 1


def test_a_zone_that_is_not_there_is_refused(hosts):
    before = hosts.snapshot()
    refused = hosts.post("/servers", {"server": {"name": "web", "flavorRef": "1", "availability_zone": "moon"}})
    assert fault(refused) == ("badRequest", 400, "The requested availability zone is not available")
    assert hosts.snapshot() == before


def test_a_server_whose_zone_was_asked_for_is_evacuated_within_it(hosts):
    make(hosts, hosts=["one", "two"])
    server, _ = create(hosts, availability_zone="east")
    hosts.sql("UPDATE instances SET vm_state = 'active', task_state = NULL, launched_at = created_at, order_id = NULL")
    source = hosts.get(f"/servers/{server}").json["server"]["OS-EXT-SRV-ATTR:host"]
    hosts.force_down(source)
    assert hosts.evacuate(server, {"host": "three"}).status_int == 200
    (migration,) = hosts.get("/os-migrations").json["migrations"]
    assert migration["status"] == "error"
    told = hosts.get(f"/servers/{server}").json["server"]["fault"]["message"]
    assert "three is in availability zone nova, not in east" in told
    assert hosts.evacuate(server).status_int == 200
    destination = hosts.get("/os-migrations", "2.59").json["migrations"][0]["dest_compute"]
    assert {source, destination} == {"one", "two"}


def test_whoever_forces_a_host_leaves_the_zone(hosts):
    make(hosts, hosts=["one"])
    server, _ = create(hosts, availability_zone="east")
    hosts.sql("UPDATE instances SET vm_state = 'active', task_state = NULL, launched_at = created_at, order_id = NULL")
    hosts.force_down("one")
    assert hosts.evacuate(server, {"host": "three", "force": True}, "2.67").status_int == 200
    assert hosts.get("/os-migrations").json["migrations"][0]["status"] == "accepted"


def test_a_host_named_with_a_zone_does_not_keep_the_server_there(hosts):
    make(hosts, hosts=["one"])
    server, shown = create(hosts, availability_zone="east:one")
    assert shown["OS-EXT-AZ:availability_zone"] == "east"
    hosts.sql("UPDATE instances SET vm_state = 'active', task_state = NULL, launched_at = created_at, order_id = NULL")
    hosts.force_down("one")
    assert hosts.evacuate(server).status_int == 200
    assert hosts.get("/os-migrations").json["migrations"][0]["status"] == "accepted"

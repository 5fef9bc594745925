"""Servers as they are shown, listed, created and deleted."""

from hashlib import sha224

import pytest

from tests.functional.conftest import IMAGE, Site, fault

EVERYBODY = {
    "id", "name", "status", "tenant_id", "user_id", "created", "updated", "hostId", "accessIPv4", "accessIPv6",
    "addresses", "metadata", "image", "flavor", "links", "key_name", "config_drive", "OS-DCF:diskConfig",
    "OS-EXT-AZ:availability_zone", "OS-EXT-STS:task_state", "OS-EXT-STS:vm_state", "OS-EXT-STS:power_state",
    "OS-SRV-USG:launched_at", "OS-SRV-USG:terminated_at", "os-extended-volumes:volumes_attached", "progress",
}  # fmt: skip
ADMIN = {f"OS-EXT-SRV-ATTR:{name}" for name in ("host", "hypervisor_hostname", "instance_name")}
ADMIN_2_3 = {
    f"OS-EXT-SRV-ATTR:{name}"
    for name in (
        "hostname", "kernel_id", "launch_index", "ramdisk_id", "reservation_id", "root_device_name", "user_data",
    )
}  # fmt: skip

#: version -> (what everybody sees from here on, what administrators see besides).
ADDED = {
    "2.1": (EVERYBODY, ADMIN),
    "2.3": (set(), ADMIN_2_3),
    "2.9": ({"locked"}, set()),
    "2.16": (set(), {"host_status"}),
    "2.19": ({"description"}, set()),
    "2.26": ({"tags"}, set()),
    "2.47": (set(), set()),
    "2.63": ({"trusted_image_certificates"}, set()),
    "2.71": ({"server_groups"}, set()),
    "2.73": ({"locked_reason"}, set()),
    "2.90": ({"OS-EXT-SRV-ATTR:hostname"}, set()),
    "2.95": (set(), set()),
}


def number(version):
    return tuple(int(part) for part in version.split("."))


def before(version):
    return f"2.{number(version)[1] - 1}"


def keys_at(version, *, admin):
    keys = set()
    for first, (everybody, admins) in ADDED.items():
        if number(first) <= number(version):
            keys |= everybody | (admins if admin else set())
    return keys


@pytest.fixture
def running(site):
    site.add_host("one")
    site.server = site.add_server("one", project_id="project", tags=["b", "a"], display_description="A server")
    return site


@pytest.mark.parametrize("token", ["admin", "user:project"])
@pytest.mark.parametrize("version", [*ADDED, *(before(version) for version in ADDED if version != "2.1")])
def test_each_version_shows_exactly_its_keys(running, version, token):
    expected = keys_at(version, admin=token == "admin")
    alone = running.get(f"/servers/{running.server}", version, token).json["server"]
    assert alone.keys() == expected
    (listed,) = running.get(
        "/servers/detail?all_tenants=1" if token == "admin" else "/servers/detail", version, token
    ).json["servers"]
    assert listed.keys() == expected - {"server_groups"}


def test_an_active_server_is_shown_as_it_is(running):
    shown = running.get(f"/servers/{running.server}", "2.95").json["server"]
    assert shown["created"] == shown["updated"] == "2026-01-31T12:00:00Z"
    assert shown["OS-SRV-USG:launched_at"] == "2026-01-31T12:00:00.000000"
    assert (shown["status"], shown["OS-EXT-STS:power_state"], shown["progress"]) == ("ACTIVE", 1, 0)
    assert shown["hostId"] == sha224(b"projectone").hexdigest()
    assert shown["OS-EXT-SRV-ATTR:host"] == "one"
    assert shown["OS-EXT-SRV-ATTR:hypervisor_hostname"] == "one.example.org"
    assert shown["OS-EXT-SRV-ATTR:instance_name"] == running.name_of(running.server)
    assert shown["tags"] == ["a", "b"]
    assert shown["image"] == {
        "id": IMAGE,
        "links": [{"rel": "bookmark", "href": f"http://localhost:80/images/{IMAGE}"}],
    }
    assert shown["links"] == [
        {"rel": "self", "href": f"http://localhost:80/v2.1/servers/{running.server}"},
        {"rel": "bookmark", "href": f"http://localhost:80/servers/{running.server}"},
    ]


def test_the_flavor_is_a_link_until_2_46_and_embedded_from_then_on(running):
    assert running.get(f"/servers/{running.server}", "2.46").json["server"]["flavor"] == {
        "id": "1",
        "links": [{"rel": "bookmark", "href": "http://localhost:80/flavors/1"}],
    }
    assert running.get(f"/servers/{running.server}", "2.47").json["server"]["flavor"] == {
        "original_name": "m1.tiny",
        "vcpus": 1,
        "ram": 512,
        "disk": 1,
        "ephemeral": 0,
        "swap": 0,
        "extra_specs": {},
    }


def test_a_server_without_an_image_has_an_empty_one(running):
    running.sql("UPDATE instances SET image_ref = NULL")
    assert running.get(f"/servers/{running.server}").json["server"]["image"] == ""


@pytest.mark.parametrize(
    ("vm_state", "task_state", "status", "has_progress"),
    [
        ("active", None, "ACTIVE", True),
        ("active", "rebuilding", "REBUILD", True),
        ("active", "powering-off", "ACTIVE", True),
        ("active", "rebooting", "REBOOT", False),
        ("active", "rebooting_hard", "HARD_REBOOT", False),
        ("stopped", None, "SHUTOFF", False),
        ("stopped", "rebuilding", "REBUILD", True),
        ("error", None, "ERROR", False),
        ("error", "rebuilding", "REBUILD", True),
        ("building", "spawning", "BUILD", True),
    ],
)
def test_the_status_follows_from_the_states(running, vm_state, task_state, status, has_progress):
    running.sql("UPDATE instances SET vm_state = :vm, task_state = :task", vm=vm_state, task=task_state)
    shown = running.get(f"/servers/{running.server}").json["server"]
    assert shown["status"] == status
    assert ("progress" in shown) == has_progress
    found = running.get(f"/servers/detail?all_tenants=1&status={status}").json["servers"]
    assert [server["status"] for server in found] == [status]
    assert running.get("/servers?all_tenants=1&status=DELETED").json["servers"] == []


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ("forced_down = true, disabled = true", "DOWN"),
        ("disabled = true", "MAINTENANCE"),
        ("version = 2", "UP"),
        ("last_seen = '2020-01-01 00:00:00'", "UNKNOWN"),
    ],
)
def test_administrators_see_how_the_host_is(running, change, status):
    running.sql(f"UPDATE services SET {change}")
    assert running.get(f"/servers/{running.server}", "2.16").json["server"]["host_status"] == status
    (listed,) = running.get("/servers/detail?all_tenants=1", "2.16").json["servers"]
    assert listed["host_status"] == status


def test_a_server_without_a_host_names_none(site):
    server = site.add_server(None, "building")
    shown = site.get(f"/servers/{server}", "2.95").json["server"]
    assert (shown["hostId"], shown["host_status"], shown["OS-EXT-SRV-ATTR:host"]) == ("", "", None)


@pytest.mark.parametrize(("token", "has_details"), [("admin", True), ("user:project", False)])
def test_a_fault_is_shown_in_error_only_and_its_inside_to_administrators_only(running, token, has_details):
    running.sql(
        "UPDATE instances SET fault = :fault, fault_at = created_at",
        fault='{"code": 500, "message": "It broke", "details": "here"}',
    )
    assert "fault" not in running.get(f"/servers/{running.server}", token=token).json["server"]
    running.sql("UPDATE instances SET vm_state = 'error'")
    shown = running.get(f"/servers/{running.server}", token=token).json["server"]["fault"]
    assert shown == {"code": 500, "message": "It broke", "created": "2026-01-31T12:00:00Z"} | (
        {"details": "here"} if has_details else {}
    )


def test_another_projects_server_does_not_exist(running):
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/os-instance-actions")):
        answer = running.ask(method, f"/v2.1/servers/{running.server}{path}", token="user:other")
        assert fault(answer) == ("itemNotFound", 404, f"Instance {running.server} could not be found.")
    assert running.get("/servers", token="user:other").json["servers"] == []


# -- lists


@pytest.fixture
def many(site):
    site.add_host("one")
    site.add_host("two")
    site.names = ["a-1", "a-2", "b-1", "b-2", "b-3"]
    for index, name in enumerate(site.names):
        site.add_server(
            "one" if index % 2 else "two",
            "stopped" if name.startswith("b") else "active",
            display_name=name,
            uuid=f"{index}" * 8 + "-0000-4000-8000-000000000000",
            project_id="project",
            key_name=None if index % 2 else "key",
        )
        site.later(1)
    return site


def names(answer):
    assert answer.status_int == 200, answer.text
    return [server["name"] for server in answer.json["servers"]]


def test_the_newest_server_comes_first(many):
    assert names(many.get("/servers", token="user:project")) == ["b-3", "b-2", "b-1", "a-2", "a-1"]


def test_administrators_see_their_own_project_unless_they_ask_for_all(many):
    many.add_server("one", display_name="mine")
    assert names(many.get("/servers")) == ["mine"]
    assert len(names(many.get("/servers?all_tenants"))) == 6
    assert len(names(many.get("/servers?all_tenants=True&project_id=project"))) == 5
    assert len(names(many.get("/servers?all_tenants=1&tenant_id=project"))) == 5
    for named in ("tenant_id=project", "project_id=project", "all_tenants=0&tenant_id=project"):
        assert names(many.get(f"/servers?{named}")) == ["mine"]
    assert names(many.get("/servers?all_tenants=0")) == ["mine"]


def test_members_may_not_ask_for_all_projects(many):
    for path, rule in (("/servers", "index"), ("/servers/detail", "detail")):
        assert fault(many.get(f"{path}?all_tenants=1", token="user:project")) == (
            "forbidden",
            403,
            f"Policy doesn't allow os_compute_api:servers:{rule}:get_all_tenants to be performed.",
        )
    assert len(names(many.get("/servers?all_tenants=0", token="user:project"))) == 5
    assert many.get("/servers?all_tenants=perhaps").status_int == 400


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("host=one", ["b-2", "a-2"]),
        ("host=two&host=one", ["b-2", "a-2"]),
        ("node=one.example.org", ["b-2", "a-2"]),
        ("node=one", []),
        ("status=active", ["a-2", "a-1"]),
        ("status=ACTIVE&status=SHUTOFF", ["b-3", "b-2", "b-1", "a-2", "a-1"]),
        ("status=PAUSED", []),
        ("name=b-", ["b-3", "b-2", "b-1"]),
        ("name=^.-1$", ["b-1", "a-1"]),
        ("name=%25", []),
        ("uuid=11111111-0000-4000-8000-000000000000", ["a-2"]),
        ("vm_state=active", ["a-2", "a-1"]),
        ("power_state=4", ["b-3", "b-2", "b-1"]),
        ("flavor=1&name=a", ["a-2", "a-1"]),
        ("flavor=2", []),
        (f"image={IMAGE}&name=a", ["a-2", "a-1"]),
        ("image=other", []),
        ("ip=10.", []),
        ("key_name=key", ["b-3", "b-1", "a-1"]),
        ("changes-since=2026-01-31T12:00:03Z", ["b-3", "b-2"]),
        ("deleted=True", []),
        ("deleted=False&name=a", ["a-2", "a-1"]),
        ("user_id=admin&name=a", ["a-2", "a-1"]),
        ("nonsense=1&name=a", ["a-2", "a-1"]),
    ],
)
def test_administrators_filter_by_everything(many, query, expected):
    assert names(many.get(f"/servers?all_tenants=1&{query}")) == expected


def test_what_members_may_not_filter_by_is_dropped_in_silence(many):
    everything = ["b-3", "b-2", "b-1", "a-2", "a-1"]
    for query in (
        "host=nowhere",
        "vm_state=error",
        "user_id=nobody",
        "deleted=True",
        "project_id=other",
        "tenant_id=other",
    ):
        assert names(many.get(f"/servers?{query}", token="user:project")) == everything
    assert names(many.get("/servers?vm_state=active", "2.83", "user:project")) == ["a-2", "a-1"]
    assert names(many.get("/servers?vm_state=active", "2.82", "user:project")) == everything


@pytest.mark.parametrize(("version", "status"), [("2.74", 200), ("2.75", 400)])
def test_an_unknown_parameter_is_refused_from_2_75_on(many, version, status):
    assert many.get("/servers?nonsense=1", version).status_int == status


def test_an_invalid_status_is_refused_from_2_38_on(many):
    assert names(many.get("/servers?all_tenants=1&status=nonsense", "2.37")) == []
    assert fault(many.get("/servers?all_tenants=1&status=nonsense", "2.38"))[2] == "Invalid status value"
    some_valid = many.get("/servers?all_tenants=1&status=active&status=nonsense", "2.38")
    assert names(some_valid) == ["a-2", "a-1"]


def test_only_administrators_list_deleted_servers_by_status(many):
    assert many.get("/servers?status=deleted", token="user:project").status_int == 403


@pytest.mark.parametrize(
    "query",
    [
        "limit=-1", "limit=a", "limit=", "sort_key=nonsense", "sort_dir=up", "changes-since=yesterday", "name=(",
        "marker=zz", "marker=%00", "name=%FF", "power_state=x", "locked=perhaps&changes-before=x",
        "limit=99999999999999999999", "&".join(f"p{n}=1" for n in range(200)),
    ],
)  # fmt: skip
def test_a_query_string_that_makes_no_sense_is_refused(many, query):
    assert fault(many.get(f"/servers?{query}", "2.74"))[:2] == ("badRequest", 400)


def test_a_marker_that_is_not_the_callers_is_not_found(many):
    assert fault(many.get("/servers?marker=zz"))[2] == "marker [zz] not found"
    marker = "11111111-0000-4000-8000-000000000000"
    assert many.get(f"/servers?marker={marker}", token="user:other").status_int == 400


@pytest.mark.parametrize(
    "sort",
    [
        "",
        "&sort_key=display_name&sort_dir=asc",
        "&sort_key=key_name&sort_key=host&sort_dir=desc",
        "&sort_key=key_name&sort_dir=asc",
        "&sort_key=launched_at",
        "&sort_key=progress",
    ],
)
def test_pages_linked_together_are_the_whole_list(many, sort):
    whole = names(many.get(f"/servers?all_tenants=1{sort}"))
    collected, path = [], f"/v2.1/servers?all_tenants=1&limit=2{sort}"
    while path:
        answer = many.ask("GET", path)
        collected += names(answer)
        (link,) = answer.json.get("servers_links", [{"href": ""}])
        path = link["href"].removeprefix("http://localhost:80")
    assert collected == whole
    assert len(collected) == 5


def test_an_exactly_full_last_page_has_a_next_link_too(many):
    assert "servers_links" in many.get("/servers?limit=5", token="user:project").json
    assert "servers_links" not in many.get("/servers?limit=6", token="user:project").json
    assert many.get("/servers?limit=0", token="user:project").json == {"servers": []}


def test_a_page_is_no_longer_than_the_operator_allows(tmp_path):
    site = Site(tmp_path, max_limit=1)
    for _ in range(2):
        site.add_server(None)
    assert len(site.get("/servers?limit=2").json["servers"]) == 1


def test_members_may_not_sort_by_host(many):
    assert many.get("/servers?sort_key=host").status_int == 200
    assert fault(many.get("/servers?sort_key=host", token="user:project")) == (
        "forbidden",
        403,
        "Only administrators can sort servers by host",
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("tags=a", {"a", "ab"}),
        ("tags=a,b", {"ab"}),
        ("tags-any=a,b", {"a", "ab"}),
        ("not-tags=a,b", {"a", "none"}),
        ("not-tags-any=a,b", {"none"}),
        ("tags=%25", set()),
    ],
)
def test_servers_are_found_by_their_tags_from_2_26_on(site, query, expected):
    for name, tags in {"a": ["a"], "ab": ["a", "b"], "none": []}.items():
        site.add_server(None, display_name=name, tags=tags)
    assert set(names(site.get(f"/servers?{query}", "2.26"))) == expected
    assert len(names(site.get(f"/servers?{query}", "2.25"))) == 3


# -- create and delete


def body(**values):
    return {"server": {"name": "web", "flavorRef": "1", "imageRef": IMAGE} | values}


def test_a_server_is_created(site):
    site.add_host("one")
    answer = site.post("/servers", body(metadata={"HA_Enabled": "True"}), token="user:project")
    created = answer.json["server"]
    assert answer.status_int == 202
    assert created.keys() == {"id", "links", "OS-DCF:diskConfig", "security_groups", "adminPass"}
    assert answer.headers["Location"] == f"http://localhost:80/v2.1/servers/{created['id']}"
    shown = site.get(f"/servers/{created['id']}", token="user:project").json["server"]
    assert (shown["status"], shown["tenant_id"], shown["user_id"]) == ("BUILD", "project", "user")
    assert shown["metadata"] == {"HA_Enabled": "True"}
    assert site.casts.sent == [("carry_out_order", "one", created["id"])]


def test_what_the_command_line_client_sends_is_understood(site):
    site.add_host("one")
    device = {
        "uuid": IMAGE,
        "boot_index": 0,
        "source_type": "image",
        "destination_type": "local",
        "delete_on_termination": True,
    }
    wanted = body(min_count=1, max_count=1, networks="none", host="one", block_device_mapping_v2=[device])
    created = site.post("/servers", wanted, "2.74").json["server"]
    assert site.get(f"/servers/{created['id']}").json["server"]["OS-EXT-SRV-ATTR:host"] == "one"


def test_several_are_created_at_once(site):
    site.add_host("one")
    answer = site.post("/servers", body(min_count=2, max_count="3", return_reservation_id=True))
    assert answer.json["reservation_id"].startswith("r-")
    assert sorted(names(site.get("/servers"))) == ["web-1", "web-2", "web-3"]


@pytest.mark.parametrize("zone", ["nova:two", "nova:two:two.example.org", "nova::two.example.org", "nova:two:"])
def test_an_administrator_may_name_the_host_in_the_zone(site, zone):
    site.add_host("one")
    site.add_host("two")
    site.sql("UPDATE services SET disabled = true WHERE host = 'two'")
    created = site.post("/servers", body(availability_zone=zone)).json["server"]
    assert site.get(f"/servers/{created['id']}").json["server"]["OS-EXT-SRV-ATTR:host"] == "two"


def test_an_empty_password_is_one_that_was_given(site):
    site.add_host("one")
    assert site.post("/servers", body(adminPass="")).json["server"]["adminPass"] == ""


def test_the_oldest_version_takes_away_what_is_around_a_name(site):
    site.add_host("one")
    created = site.ask("POST", "/v2/servers", body(name=" web one ")).json["server"]
    assert site.get(f"/servers/{created['id']}").json["server"]["name"] == "web one"
    assert site.ask("POST", "/v2/servers", body(name="  ")).status_int == 400


@pytest.mark.parametrize("more", [{}, {"host": "two"}])
def test_an_administrator_may_name_the_hypervisor_as_servers_show_it(site, more):
    site.add_host("one")
    site.add_host("two")
    wanted = body(hypervisor_hostname="two.example.org", networks="none", **more)
    created = site.post("/servers", wanted, "2.74").json["server"]
    shown = site.get(f"/servers/{created['id']}").json["server"]
    assert shown["OS-EXT-SRV-ATTR:host"] == "two"
    assert shown["OS-EXT-SRV-ATTR:hypervisor_hostname"] == "two.example.org"


def test_a_host_that_has_another_hypervisor_is_not_found(site):
    site.add_host("one")
    site.add_host("two")
    wanted = body(host="one", hypervisor_hostname="two.example.org", networks="none")
    refused = fault(site.post("/servers", wanted, "2.74"))
    assert refused[2] == "Compute host one with hypervisor two.example.org not found."


@pytest.mark.parametrize(
    ("values", "version", "rule"),
    [
        ({"availability_zone": "nova:one"}, "2.1", "os_compute_api:servers:create:forced_host"),
        ({"availability_zone": "nova::one.example.org"}, "2.1", "os_compute_api:servers:create:forced_host"),
        ({"host": "one", "networks": "none"}, "2.74", "compute:servers:create:requested_destination"),
        (
            {"hypervisor_hostname": "one.example.org", "networks": "none"},
            "2.74",
            "compute:servers:create:requested_destination",
        ),
    ],
)
def test_a_member_may_not_name_the_host(site, values, version, rule):
    site.add_host("one")
    answer = site.post("/servers", body(**values), version, "user:project")
    assert fault(answer) == ("forbidden", 403, f"Policy doesn't allow {rule} to be performed.")


@pytest.mark.parametrize(
    ("values", "version"),
    [
        ({"host": "one", "networks": "none"}, "2.73"),
        ({"description": "x"}, "2.18"),
        ({"tags": ["x"], "networks": "none"}, "2.51"),
        ({"hostname": "ab", "networks": "none"}, "2.89"),
        ({"personality": [], "networks": "none"}, "2.57"),
        ({}, "2.37"),
        ({"networks": "some"}, "2.37"),
        ({"networks": "none"}, "2.36"),
        ({"name": ""}, "2.1"),
        ({"name": "n" * 256}, "2.1"),
        ({"name": " web"}, "2.1"),
        ({"name": 1}, "2.1"),
        ({"name": "a\u0007"}, "2.1"),
        ({"flavorRef": "99"}, "2.1"),
        ({"flavorRef": None}, "2.1"),
        ({"imageRef": "11111111-1111-4111-8111-111111111112"}, "2.1"),
        ({"min_count": 2, "max_count": 1}, "2.1"),
        ({"min_count": 0}, "2.1"),
        ({"max_count": "99999"}, "2.1"),
        ({"metadata": {"k": 1}}, "2.1"),
        ({"metadata": {"k" * 256: "v"}}, "2.1"),
        ({"availability_zone": "a:b:c:d"}, "2.1"),
        ({"availability_zone": "nova:unknown"}, "2.1"),
        ({"availability_zone": "nova:one:unknown"}, "2.1"),
        ({"availability_zone": "nova::one"}, "2.1"),
        ({"availability_zone": "nova:"}, "2.1"),
        ({"host": "unknown", "networks": "none"}, "2.74"),
        ({"hypervisor_hostname": "one", "networks": "none"}, "2.74"),
        ({"host": "one", "hypervisor_hostname": "two.example.org", "networks": "none"}, "2.74"),
        ({"block_device_mapping_v2": [{"source_type": "volume", "uuid": IMAGE}]}, "2.1"),
        ({"block_device_mapping_v2": [{"source_type": "image", "uuid": {}}]}, "2.1"),
        ({"block_device_mapping": [{"volume_id": "x"}]}, "2.1"),
        ({"nonsense": 1}, "2.1"),
    ],
)  # fmt: skip
def test_a_server_that_cannot_be_is_refused(site, values, version):
    site.add_host("one")
    before = site.snapshot()
    assert fault(site.post("/servers", body(**values), version))[:2] == ("badRequest", 400)
    assert site.snapshot() == before


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b"1", b"null", b'{"server": 1}', b'{"server": {}}', b'"x"'])
def test_a_body_that_is_no_server_is_refused(site, raw):
    assert fault(site.post("/servers", raw))[:2] == ("badRequest", 400)


def test_a_body_that_is_too_long_is_refused(site):
    assert fault(site.post("/servers", b" " * 114689)) == (
        "overLimit",
        413,
        "Request body is too large: at most 114688 bytes are accepted.",
    )


def test_no_room_is_accepted_and_ends_in_error(site):
    created = site.post("/servers", body()).json["server"]
    shown = site.get(f"/servers/{created['id']}").json["server"]
    assert shown["status"] == "ERROR"
    assert shown["fault"]["message"].startswith("No valid host was found.")


def test_a_server_on_a_dead_host_is_deleted_at_once(outage):
    answer = outage.site.delete(f"/servers/{outage.server}")
    assert (answer.status_int, answer.body) == (204, b"")
    assert outage.site.get(f"/servers/{outage.server}").status_int == 404
    assert outage.site.get("/os-migrations").json["migrations"] == []


def test_deleting_what_is_not_there_is_not_found(site):
    for name in ("missing", "x" * 300, "-1"):
        assert site.delete(f"/servers/{name}").status_int == 404

"""Every answer, key for key, at the versions around which answers change, to administrators and to members.

The tables say it once more, by hand: which version is the first that has a key, and which the last. They are read from
nothing that the application is made of.
"""

import pytest

from tests.functional.conftest import IMAGE, Site

VERSIONS = (
    "2.1", "2.3", "2.9", "2.14", "2.16", "2.19", "2.23", "2.26", "2.33", "2.47", "2.53", "2.59", "2.69", "2.73", "2.75",
    "2.80", "2.84", "2.88", "2.90", "2.95",
)  # fmt: skip

ALWAYS = "2.1 to 2.95"
MEMBER = "user:project"

SERVER = {
    **dict.fromkeys(
        (
            "id", "name", "status", "tenant_id", "user_id", "created", "updated", "hostId", "accessIPv4", "accessIPv6",
            "addresses", "metadata", "image", "flavor", "links", "key_name", "config_drive", "OS-DCF:diskConfig",
            "OS-EXT-AZ:availability_zone", "OS-EXT-STS:task_state", "OS-EXT-STS:vm_state", "OS-EXT-STS:power_state",
            "OS-SRV-USG:launched_at", "OS-SRV-USG:terminated_at", "os-extended-volumes:volumes_attached", "progress",
        ),
        ALWAYS,
    ),
    "locked": "2.9 to 2.95",
    "description": "2.19 to 2.95",
    "tags": "2.26 to 2.95",
    "trusted_image_certificates": "2.63 to 2.95",
    "locked_reason": "2.73 to 2.95",
}  # fmt: skip
SERVER_OF_ADMIN = {
    **dict.fromkeys(("OS-EXT-SRV-ATTR:host", "OS-EXT-SRV-ATTR:hypervisor_hostname"), ALWAYS),
    "OS-EXT-SRV-ATTR:instance_name": ALWAYS,
    **{
        f"OS-EXT-SRV-ATTR:{name}": "2.3 to 2.95"
        for name in (
            "hostname", "kernel_id", "launch_index", "ramdisk_id", "reservation_id", "root_device_name", "user_data",
        )
    },
    "host_status": "2.16 to 2.95",
}  # fmt: skip
SERVER_OF_MEMBER = {"OS-EXT-SRV-ATTR:hostname": "2.90 to 2.95"}
SHOWN_ALONE = {"server_groups": "2.71 to 2.95"}
FLAVOR_IN_SERVER = {
    "id": "2.1 to 2.46",
    "links": "2.1 to 2.46",
    **dict.fromkeys(("vcpus", "ram", "disk", "ephemeral", "swap", "original_name", "extra_specs"), "2.47 to 2.95"),
}
SERVICE = {
    **dict.fromkeys(("id", "binary", "host", "zone", "status", "state", "updated_at", "disabled_reason"), ALWAYS),
    "forced_down": "2.11 to 2.95",
}
HYPERVISOR_BRIEF = dict.fromkeys(("id", "hypervisor_hostname", "state", "status"), ALWAYS)
HYPERVISOR = {
    **HYPERVISOR_BRIEF,
    **dict.fromkeys(("hypervisor_type", "hypervisor_version", "host_ip", "service"), ALWAYS),
    **dict.fromkeys(
        (
            "vcpus", "memory_mb", "local_gb", "vcpus_used", "memory_mb_used", "local_gb_used", "free_ram_mb",
            "free_disk_gb", "current_workload", "running_vms", "disk_available_least", "cpu_info",
        ),
        "2.1 to 2.87",
    ),
    "uptime": "2.88 to 2.95",
}  # fmt: skip
MIGRATION = {
    **dict.fromkeys(
        (
            "id", "source_compute", "source_node", "dest_compute", "dest_node", "dest_host", "status", "instance_uuid",
            "old_instance_type_id", "new_instance_type_id", "created_at", "updated_at",
        ),
        ALWAYS,
    ),
    "migration_type": "2.23 to 2.95",
    "uuid": "2.59 to 2.95",
    "user_id": "2.80 to 2.95",
    "project_id": "2.80 to 2.95",
}  # fmt: skip
ACTION = {
    **dict.fromkeys(
        ("action", "instance_uuid", "request_id", "user_id", "project_id", "start_time", "message"), ALWAYS
    ),
    "updated_at": "2.58 to 2.95",
}
EVENT = {**dict.fromkeys(("event", "start_time", "finish_time", "result"), ALWAYS), "hostId": "2.62 to 2.95"}
EVENT_OF_ADMIN = {"traceback": ALWAYS, "host": "2.62 to 2.95", "details": "2.84 to 2.95"}
FLAVOR_BRIEF = {**dict.fromkeys(("id", "name", "links"), ALWAYS), "description": "2.55 to 2.95"}
FLAVOR = {
    **FLAVOR_BRIEF,
    **dict.fromkeys(
        (
            "ram", "disk", "vcpus", "swap", "OS-FLV-EXT-DATA:ephemeral", "os-flavor-access:is_public", "rxtx_factor",
            "OS-FLV-DISABLED:disabled",
        ),
        ALWAYS,
    ),
    "extra_specs": "2.61 to 2.95",
}  # fmt: skip
AGGREGATE = {
    **dict.fromkeys(
        (
            "id", "name", "hosts", "metadata", "availability_zone", "created_at", "updated_at", "deleted", "deleted_at",
        ),
        ALWAYS,
    ),
    "uuid": "2.41 to 2.95",
}  # fmt: skip


def number(version):
    return int(version.partition(".")[2])


def at(version, *tables):
    """Return the keys that tables have at a version."""
    keys = set()
    for key, window in ((key, window) for table in tables for key, window in table.items()):
        first, last = window.split(" to ")
        if number(first) <= number(version) <= number(last):
            keys.add(key)
    return keys


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """A member's server that is being evacuated, and one of everything else."""
    site = Site(tmp_path_factory.mktemp("shapes"))
    for host in ("dead", "one"):
        site.add_host(host)
    site.force_down("dead")
    site.server = site.add_server(project_id="project", user_id="user")
    assert site.evacuate(site.server).status_int == 200
    site.sql("UPDATE instances SET task_state = NULL")
    site.post("/os-aggregates", {"aggregate": {"name": "spare"}})
    yield site
    site.database.close()


def only(site, path, key, version, token):
    answer = site.get(path, version, token)
    assert answer.status_int == 200, answer.text
    found = answer.json[key]
    return found[0] if isinstance(found, list) else found


@pytest.fixture(params=VERSIONS)
def version(request):
    return request.param


@pytest.mark.parametrize("token", ["admin", MEMBER])
def test_servers(shown, version, token):
    more = SERVER_OF_ADMIN if token == "admin" else SERVER_OF_MEMBER
    alone = only(shown, f"/servers/{shown.server}", "server", version, token)
    assert alone.keys() == at(version, SERVER, more, SHOWN_ALONE)
    everywhere = "?all_tenants=1" if token == "admin" else ""
    assert only(shown, f"/servers/detail{everywhere}", "servers", version, token).keys() == at(version, SERVER, more)
    assert only(shown, f"/servers{everywhere}", "servers", version, token).keys() == {"id", "name", "links"}
    assert alone["flavor"].keys() == at(version, FLAVOR_IN_SERVER)
    assert alone["image"].keys() == {"id", "links"}


@pytest.mark.parametrize("token", ["admin", MEMBER])
def test_the_answer_to_a_new_server(shown, version, token):
    wanted = {"name": "new", "flavorRef": "1", "imageRef": IMAGE}
    if number(version) >= 37:
        wanted["networks"] = "none"
    answer = shown.post("/servers", {"server": wanted}, version, token)
    assert answer.status_int == 202
    assert answer.json["server"].keys() == {"id", "links", "OS-DCF:diskConfig", "security_groups", "adminPass"}
    assert shown.delete(f"/servers/{answer.json['server']['id']}", token=token).status_int == 204
    shown.sql("UPDATE instances SET deleted = 1 WHERE display_name = 'new'")


def test_services(shown, version):
    service = only(shown, "/os-services?host=one", "services", version, "admin")
    assert service.keys() == at(version, SERVICE)
    assert isinstance(service["id"], str) is (number(version) >= 53)
    if number(version) >= 53:
        changed = shown.put(f"/os-services/{service['id']}", {"status": "enabled"}, version).json["service"]
        assert changed.keys() == at(version, SERVICE)
    else:
        wanted = {"host": "one", "binary": "nova-compute"}
        changed = shown.put("/os-services/enable", wanted, version).json["service"]
        assert changed == wanted | {"status": "enabled"}


def test_hypervisors(shown, version):
    brief = only(shown, "/os-hypervisors", "hypervisors", version, "admin")
    assert brief.keys() == at(version, HYPERVISOR_BRIEF)
    assert only(shown, "/os-hypervisors/detail", "hypervisors", version, "admin").keys() == at(version, HYPERVISOR)
    alone = only(shown, f"/os-hypervisors/{brief['id']}", "hypervisor", version, "admin")
    assert alone.keys() == at(version, HYPERVISOR)
    assert alone["service"].keys() == {"id", "host", "disabled_reason"}
    if "cpu_info" in alone:
        assert isinstance(alone["cpu_info"], dict) is (number(version) >= 28)
    if number(version) >= 53:
        with_servers = only(shown, "/os-hypervisors?with_servers=True", "hypervisors", version, "admin")
        assert with_servers["servers"] == [{"name": "instance-00000001", "uuid": shown.server}]
        assert shown.get("/os-hypervisors/one/search", version).status_int == 404
    else:
        assert only(shown, "/os-hypervisors/one/search", "hypervisors", version, "admin").keys() == brief.keys()
        servers = only(shown, "/os-hypervisors/dead/servers", "hypervisors", version, "admin")
        assert servers.keys() == {*brief, "servers"}
    summed = shown.get("/os-hypervisors/statistics", version)
    assert summed.status_int == (200 if number(version) < 88 else 404)


def test_migrations(shown, version):
    assert only(shown, "/os-migrations", "migrations", version, "admin").keys() == at(version, MIGRATION)
    of_server = shown.get(f"/servers/{shown.server}/migrations", version)
    assert of_server.status_int == (404 if number(version) < 23 else 200)
    linked = shown.get("/os-migrations?limit=1", version).json
    assert ("migrations_links" in linked) is (number(version) >= 59)


@pytest.mark.parametrize("token", ["admin", MEMBER])
def test_actions(shown, version, token):
    path = f"/servers/{shown.server}/os-instance-actions"
    listed = only(shown, path, "instanceActions", version, token)
    assert listed.keys() == at(version, ACTION)
    alone = only(shown, f"{path}/{listed['request_id']}", "instanceAction", version, token)
    sees_events = token == "admin" or number(version) >= 51
    assert alone.keys() == at(version, ACTION) | ({"events"} if sees_events else set())
    if sees_events:
        expected = at(version, EVENT, EVENT_OF_ADMIN if token == "admin" else {})
        assert [event.keys() for event in alone["events"]] == [expected]


@pytest.mark.parametrize("token", ["admin", MEMBER])
def test_flavors_and_images(shown, version, token):
    assert only(shown, "/flavors/detail", "flavors", version, token).keys() == at(version, FLAVOR)
    assert only(shown, "/flavors", "flavors", version, token).keys() == at(version, FLAVOR_BRIEF)
    flavor = only(shown, "/flavors/1", "flavor", version, token)
    assert flavor.keys() == at(version, FLAVOR)
    assert flavor["swap"] == (0 if number(version) >= 75 else "")
    assert {"id", "name", "status"} <= shown.get(f"/images/{IMAGE}", version, token).json.keys()


def test_zones_and_aggregates(shown, version):
    zone = only(shown, "/os-availability-zone", "availabilityZoneInfo", version, MEMBER)
    assert zone == {"zoneName": "nova", "zoneState": {"available": True}, "hosts": None}
    hosts = only(shown, "/os-availability-zone/detail", "availabilityZoneInfo", version, "admin")["hosts"]
    assert hosts["one"]["nova-compute"].keys() == {"available", "active", "updated_at"}
    assert only(shown, "/os-aggregates", "aggregates", version, "admin").keys() == at(version, AGGREGATE)
    assert only(shown, "/os-aggregates/1", "aggregate", version, "admin").keys() == at(version, AGGREGATE)


@pytest.mark.parametrize(
    "path", ["/os-services", "/os-hypervisors", "/os-hypervisors/detail", "/os-migrations", "/os-aggregates"]
)
def test_what_members_do_not_see(shown, version, path):
    assert shown.get(path, version, MEMBER).status_int == 403

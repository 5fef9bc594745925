"""openstacksdk, which most programs that speak to a cloud are written with."""

from collections.abc import Callable, Iterator

import openstack
import pytest
from openstack.connection import Connection
from openstack.exceptions import BadRequestException, ConflictException, ForbiddenException, NotFoundException

from tests.acceptance.site import IMAGE, Site, until
from tests.clients.conftest import Boot

Die = Callable[[str], None]

#: They are the client's own: what it will drop, and sockets that it leaves to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def cloud(site: Site) -> Iterator[Connection]:
    connection = openstack.connect(
        load_yaml_config=False,
        load_envvars=False,
        auth_type="none",
        endpoint=f"{site.url}/v2.1",
        identity_api_version="3",
    )
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def member(site: Site) -> Iterator[Connection]:
    connection = openstack.connect(
        load_yaml_config=False,
        load_envvars=False,
        auth_type="admin_token",
        auth={"endpoint": f"{site.url}/v2.1", "token": "ann:blue"},
        identity_api_version="3",
        compute_endpoint_override=f"{site.url}/v2.1",
    )
    yield connection
    connection.close()


def test_what_a_site_has_is_listed(cloud: Connection) -> None:
    compute = cloud.compute
    assert [flavor.name for flavor in compute.flavors()][:2] == ["m1.tiny", "m1.small"]
    assert {service.host for service in compute.services(binary="nova-compute")} == {"a", "b", "c", "d"}
    assert {found.name: found.service_details["host"] for found in compute.hypervisors(details=True)} == {
        host: host for host in "abcd"
    }
    assert compute.find_hypervisor("b", ignore_missing=False).host_ip == "127.0.0.1"
    assert [zone.name for zone in compute.availability_zones()] == ["nova"]
    assert list(compute.aggregates()) == []
    assert [image.id for image in cloud.image.images()] == [IMAGE]
    assert cloud.image.get_image(IMAGE).name == "small"
    assert cloud.compute.get_endpoint_data().max_microversion == (2, 95)


def test_servers_are_paged_through(cloud: Connection, boot: Boot) -> None:
    servers = {boot(f"page-{number}", "c") for number in range(3)}
    found = [server.id for server in cloud.compute.servers(details=False, limit=1, name="^page-")]
    assert (set(found), len(found)) == (servers, 3)


@pytest.mark.parametrize(("version", "status"), [(None, "SHUTOFF"), ("2.94", "ACTIVE")])
def test_the_whole_story_from_a_new_server_to_its_end(
    cloud: Connection, site: Site, dead: Die, version: str | None, status: str
) -> None:
    compute = cloud.compute
    compute.default_microversion = version
    server = compute.create_server(
        name="story",
        image_id=IMAGE,
        flavor_id="1",
        networks="none",
        availability_zone="nova:a",
        metadata={"HA_Enabled": "True"},
    )
    server = compute.wait_for_server(server, interval=0.2, wait=20)
    assert (server.compute_host, server.status, server.metadata) == ("a", "ACTIVE", {"HA_Enabled": "True"})
    with pytest.raises(BadRequestException, match="Compute service of a is still in use"):
        compute.evacuate_server(server)

    dead("a")
    (service,) = compute.services(host="a", binary="nova-compute")
    compute.disable_service(service, disabled_reason="dead")
    compute.update_service_forced_down(service, forced=True)
    assert [found.state for found in compute.services(host="a")] == ["down"]
    compute.evacuate_server(server)
    until(lambda: [found.status for found in compute.migrations(instance_uuid=server.id)] == ["done"], 20, "its end")
    (migration,) = compute.migrations(instance_uuid=server.id)
    ended = compute.get_server(server.id)
    assert (ended.status, ended.compute_host, ended.hypervisor_hostname) == (
        status,
        migration.dest_compute,
        migration.dest_node,
    )
    assert migration.migration_type == "evacuation"
    (action,) = [found for found in compute.server_actions(server) if found.action == "evacuate"]
    told = compute.get_server_action(action.request_id, server)
    assert {event["event"]: event["result"] for event in told.events} == {
        "rebuild_server": "Success",
        "compute_rebuild_instance": "Success",
    }
    if status == "SHUTOFF":
        compute.start_server(server)
        compute.wait_for_server(ended, interval=0.2, wait=20)
    with pytest.raises(BadRequestException, match="Unable to force up host a"):
        compute.update_service_forced_down(service, forced=False)
    # By its id: the object goes on to carry what was refused.
    compute.enable_service(service.id)
    compute.delete_server(server)
    compute.wait_for_delete(server, interval=0.2, wait=20)
    compute.default_microversion = None


def test_a_member_does_what_members_may(member: Connection, site: Site, boot: Boot) -> None:
    others = boot("of-admin", "b")
    compute = member.compute
    assert list(compute.servers()) == []
    with pytest.raises(NotFoundException):
        compute.get_server(others)
    with pytest.raises(ForbiddenException):
        list(compute.services())
    server = compute.create_server(name="mine", image_id=IMAGE, flavor_id="1", networks="none")
    site.settled(server.id)
    shown = compute.get_server(server.id)
    assert (shown.project_id, shown.compute_host, shown.hostname) == ("blue", None, "mine")
    with pytest.raises(ForbiddenException, match="os_compute_api:os-evacuate"):
        compute.evacuate_server(server)
    with pytest.raises(ConflictException):
        compute.start_server(server)
    compute.delete_server(server)


def test_after_all_of_it_every_invariant_holds(site: Site) -> None:
    verified = site.verify()
    assert verified.returncode == 0, verified.stdout

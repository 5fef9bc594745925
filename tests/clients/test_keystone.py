"""A cloud with a real Keystone: who is let in, and to what."""

import socket
import subprocess
import sys

import pytest

from tests.acceptance.site import Site, until
from tests.clients.commands import Openstack
from tests.cloud.keystone_server import AUTHENTICATION, PASSWORD, PEOPLE

UNAUTHORIZED = {
    "error": {"code": 401, "title": "Unauthorized", "message": "The request you have made requires authentication."}
}


@pytest.fixture(scope="module")
def cloud(keystone, tmp_path_factory):
    """A site that asks Keystone, with a server of each project on host a."""
    more = AUTHENTICATION.format(url=keystone.url, password=PASSWORD)
    site = Site(tmp_path_factory.mktemp("site") / "state", hosts="a,b", down_time=3, more=more)
    try:
        site.start()
        keystone.publish(f"{site.url}/v2.1")
        site.admin = keystone.token("admin", "admin")
        site.anna, site.bert = keystone.token_of("anna"), keystone.token_of("bert")
        site.blue, site.red = (create(site, token, name) for token, name in ((site.anna, "sky"), (site.bert, "rose")))
        becomes(site, site.blue, "ACTIVE")
        becomes(site, site.red, "ACTIVE")
        yield site
    finally:
        site.kill()


def test_a_keystone_that_takes_a_question_and_is_silent_is_not_waited_for_without_end(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        more = AUTHENTICATION.format(url=f"http://127.0.0.1:{silent.getsockname()[1]}", password=PASSWORD)
        site = Site(tmp_path / "state", hosts="a", more=f"{more}\nhttp_request_max_retries = 0\n")
        try:
            site.start()
            assert site.request("GET", "/servers", token="a-token").status == 503
        finally:
            site.kill()


def create(site, token, name):
    server = {"name": name, "flavorRef": "1", "imageRef": "11111111-1111-4111-8111-111111111111", "networks": "none"}
    answer = site.request("POST", "/servers", {"server": server}, "2.95", token)
    assert answer.status == 202, answer
    return answer.body["server"]["id"]


def shown(site, server):
    answer = site.request("GET", f"/servers/{server}", token=site.admin)
    assert answer.status == 200, answer
    return answer.body["server"]


def becomes(site, server, status):
    until(lambda: shown(site, server)["status"] == status, 30, f"{server} to be {status}")


def evacuate(site, server, token):
    return site.action(server, {"evacuate": {}}, token=token)


def names(answer):
    assert answer.status == 200, answer
    return sorted(server["name"] for server in answer.body["servers"])


def test_an_administrator_sees_everything(cloud):
    assert cloud.request("GET", "/os-services", token=cloud.admin).status == 200
    assert cloud.request("GET", f"/servers/{cloud.blue}", token=cloud.admin).status == 200
    assert names(cloud.request("GET", "/servers?all_tenants=1", token=cloud.admin)) == ["rose", "sky"]


def test_a_member_has_what_is_their_projects_and_does_not_evacuate(cloud):
    assert names(cloud.request("GET", "/servers", token=cloud.anna)) == ["sky"]
    answer = cloud.request("GET", f"/servers/{cloud.blue}", token=cloud.anna)
    assert answer.status == 200
    assert not [key for key in answer.body["server"] if key.startswith("OS-EXT-SRV-ATTR")]
    answer = evacuate(cloud, cloud.blue, cloud.anna)
    assert answer.status == 403
    assert answer.body["forbidden"]["message"] == "Policy doesn't allow os_compute_api:os-evacuate to be performed."
    assert cloud.request("GET", "/os-services", token=cloud.anna).status == 403


def test_a_member_of_another_project_is_told_that_there_is_no_such_server(cloud):
    for answer in (
        cloud.request("GET", f"/servers/{cloud.blue}", token=cloud.bert),
        evacuate(cloud, cloud.blue, cloud.bert),
        cloud.action(cloud.blue, {"os-stop": None}, token=cloud.bert),
        cloud.request("DELETE", f"/servers/{cloud.blue}", token=cloud.bert),
    ):
        assert answer.status == 404
        assert answer.body["itemNotFound"]["message"] == f"Instance {cloud.blue} could not be found."
    assert names(cloud.request("GET", "/servers", token=cloud.bert)) == ["rose"]


def test_a_reader_looks_and_does_not_touch(cloud, keystone):
    token = keystone.token_of("rita")
    assert cloud.request("GET", f"/servers/{cloud.blue}", token=token).status == 200
    assert cloud.action(cloud.blue, {"os-stop": None}, token=token).status == 403
    assert cloud.request("DELETE", f"/servers/{cloud.blue}", token=token).status == 403


def refused(keystone, answer):
    assert answer.status == 401
    assert answer.body == UNAUTHORIZED
    headers = {name.lower(): value for name, value in answer.headers.items()}
    assert headers["www-authenticate"] == f'Keystone uri="{keystone.url}"'
    assert headers["x-openstack-request-id"].startswith("req-")


def test_an_expired_token_is_refused(cloud, keystone):
    refused(keystone, cloud.request("GET", "/servers", token=keystone.expired(cloud.admin)))


def test_a_token_that_is_signed_with_another_key_is_refused(cloud, keystone):
    refused(keystone, cloud.request("GET", "/servers", token=keystone.forged(cloud.admin)))


@pytest.mark.parametrize("token", ["", "notused", "admin", "x" * 3000])
def test_what_is_no_token_is_refused(cloud, keystone, token):
    refused(keystone, cloud.request("GET", "/servers", token=token))


def test_a_revoked_token_is_refused(cloud, keystone):
    token = keystone.token_of("anna")
    keystone.revoke(token)
    refused(keystone, cloud.request("GET", "/servers", token=token))


def curl(site, path, *headers):
    done = subprocess.run(
        [sys.executable, "-c", ASK, f"{site.url}{path}", *headers], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


#: Sends headers that nobody but the middleware may set.
ASK = """
import sys, urllib.request, urllib.error
url, *headers = sys.argv[1:]
request = urllib.request.Request(url, headers=dict(header.split("=", 1) for header in headers))
try:
    print(urllib.request.urlopen(request, timeout=30).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


def test_nobody_says_themselves_who_they_are(cloud, keystone):
    told = ["X-User-Id=u", f"X-Project-Id={keystone.projects['blue']}", "X-Roles=admin", "X-Identity-Status=Confirmed"]
    assert curl(cloud, "/v2.1/servers", *told) == 401
    assert curl(cloud, "/v2.1/os-services", f"X-Auth-Token={cloud.anna}", *told) == 403
    assert curl(cloud, f"/v2.1/servers/{cloud.red}", f"X-Auth-Token={cloud.anna}", "X-Roles=admin") == 404


@pytest.mark.parametrize("path", ["/", "/v2.1", "/v2.1/", "/v2", "/v2/"])
def test_the_documents_on_versions_need_no_token(cloud, path):
    assert curl(cloud, path) == 200


def test_a_token_without_a_project_opens_nothing(cloud, keystone):
    for token in (keystone.token("anna"), keystone.token("admin", system={"all": True})):
        answer = cloud.request("GET", "/servers", token=token)
        assert answer.status == 403
        assert "not scoped to a project" in answer.body["forbidden"]["message"]


def test_the_project_in_the_address_is_that_of_the_token(cloud, keystone):
    blue, red = keystone.projects["blue"], keystone.projects["red"]
    assert names(cloud.request("GET", f"/{blue}/servers", token=cloud.anna)) == ["sky"]
    assert cloud.request("GET", f"/{red}/servers", token=cloud.anna).status == 400


def openstack(user, keystone, project=None):
    """Return the client as somebody has it who has nothing but a password."""
    environment = {
        "OS_AUTH_URL": f"{keystone.url}/v3",
        "OS_USERNAME": user,
        "OS_PASSWORD": PASSWORD,
        "OS_PROJECT_NAME": project or PEOPLE[user][0],
        "OS_USER_DOMAIN_ID": "default",
        "OS_PROJECT_DOMAIN_ID": "default",
        "OS_IDENTITY_API_VERSION": "3",
    }
    return Openstack("openstack", environment)


def test_the_openstack_client_finds_the_service_in_the_catalog(cloud, keystone):
    anna, admin = openstack("anna", keystone), openstack("admin", keystone, project="admin")
    assert [server["Name"] for server in anna.json("server", "list")] == ["sky"]
    assert {service["Host"] for service in admin.json("compute", "service", "list")} == {"a", "b"}
    refused = anna.run("server", "show", "rose")
    assert refused.status != 0
    assert "No Server found for rose" in refused.err


def test_after_an_outage_the_administrator_evacuates_and_the_owner_starts(cloud):
    host = shown(cloud, cloud.blue)["OS-EXT-SRV-ATTR:host"]
    cloud.mains(host, "off")
    (service,) = cloud.request("GET", f"/os-services?host={host}", None, "2.53", cloud.admin).body["services"]
    path = f"/os-services/{service['id']}"
    assert cloud.request("PUT", path, {"forced_down": True}, "2.53", cloud.anna).status == 403
    assert cloud.request("PUT", path, {"forced_down": True}, "2.53", cloud.admin).status == 200
    assert evacuate(cloud, cloud.blue, cloud.anna).status == 403
    assert evacuate(cloud, cloud.blue, cloud.bert).status == 404
    assert evacuate(cloud, cloud.blue, cloud.admin).status == 200
    becomes(cloud, cloud.blue, "SHUTOFF")
    assert shown(cloud, cloud.blue)["OS-EXT-SRV-ATTR:host"] != host
    assert cloud.action(cloud.blue, {"os-start": None}, token=cloud.bert).status == 404
    assert cloud.action(cloud.blue, {"os-start": None}, token=cloud.anna).status == 202
    becomes(cloud, cloud.blue, "ACTIVE")

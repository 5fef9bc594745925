"""A small site with passwords, and the clients as they are."""

import bcrypt
import pytest

from tests.acceptance.site import Site
from tests.clients.commands import Openstack

CONFIGURATION = """
[api]
auth_strategy = http_basic
http_basic_auth_user_file = {users}
http_basic_projects_file = {projects}
"""


def password_line(user, password):
    return f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    directory = tmp_path_factory.mktemp("basic")
    users, projects = directory / "htpasswd", directory / "projects"
    users.write_text(password_line("root", "sesame") + password_line("anna", "colours"))
    projects.write_text("root:admin:admin\nanna:blue\n")
    made = Site(directory / "state", hosts="a", more=CONFIGURATION.format(users=users, projects=projects))
    try:
        made.start()
        yield made
    finally:
        made.kill()


def openstack(site, user, password):
    environment = {
        "OS_AUTH_TYPE": "http_basic",
        "OS_USERNAME": user,
        "OS_PASSWORD": password,
        "OS_ENDPOINT": f"{site.url}/v2.1",
        "OS_IDENTITY_API_VERSION": "3",
        # As with auth type none, where the client does this by itself: it asks for nothing there, but wants to know.
        "OS_IDENTITY_ENDPOINT_OVERRIDE": f"{site.url}/v2.1",
    }
    return Openstack("openstack", environment)


def test_an_administrator_does_everything_with_a_password(site):
    services = openstack(site, "root", "sesame").json("compute", "service", "list")
    assert [service["Host"] for service in services] == ["a"]


def test_a_member_sees_the_servers_of_their_project(site):
    create = ("server", "create", "--flavor", "1", "--image", "11111111-1111-4111-8111-111111111111", "--nic", "none")
    root, anna = openstack(site, "root", "sesame"), openstack(site, "anna", "colours")
    root.do(*create, "--wait", "server-of-root")
    anna.do(*create, "--wait", "server-of-anna")
    assert [server["Name"] for server in anna.json("server", "list")] == ["server-of-anna"]
    assert anna.run("server", "show", "server-of-root").status != 0
    refused = anna.run("compute", "service", "list")
    assert refused.status != 0
    assert "403" in refused.err


def test_a_wrong_password_is_refused(site):
    refused = openstack(site, "root", "wrong").run("server", "list")
    assert refused.status != 0
    assert "401" in refused.err or "requires authentication" in refused.err

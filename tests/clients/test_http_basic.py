"""A small site with passwords, and the clients as they are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import bcrypt
import pytest

from tests.acceptance.site import Site

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


def openstack(site, user, password, *command):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OS_")} | {
        "OS_AUTH_TYPE": "http_basic",
        "OS_USERNAME": user,
        "OS_PASSWORD": password,
        "OS_ENDPOINT": f"{site.url}/v2.1",
        "OS_IDENTITY_API_VERSION": "3",
        # As with auth type none, where the client does this by itself: it asks for nothing there, but wants to know.
        "OS_IDENTITY_ENDPOINT_OVERRIDE": f"{site.url}/v2.1",
    }
    client = Path(sys.executable).with_name("openstack")
    return subprocess.run([client, *command], env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_an_administrator_does_everything_with_a_password(site):
    done = openstack(site, "root", "sesame", "compute", "service", "list", "-f", "json")
    assert done.returncode == 0, done.stderr
    assert [service["Host"] for service in json.loads(done.stdout)] == ["a"]


def test_a_member_sees_the_servers_of_their_project(site):
    create = ("server", "create", "--flavor", "1", "--image", "11111111-1111-4111-8111-111111111111", "--nic", "none")
    for user, password in (("root", "sesame"), ("anna", "colours")):
        done = openstack(site, user, password, *create, "--wait", f"server-of-{user}")
        assert done.returncode == 0, done.stderr
    done = openstack(site, "anna", "colours", "server", "list", "-f", "json")
    assert done.returncode == 0, done.stderr
    assert [server["Name"] for server in json.loads(done.stdout)] == ["server-of-anna"]
    assert openstack(site, "anna", "colours", "server", "show", "server-of-root").returncode != 0
    refused = openstack(site, "anna", "colours", "compute", "service", "list")
    assert refused.returncode != 0
    assert "403" in refused.stderr


def test_a_wrong_password_is_refused(site):
    done = openstack(site, "root", "wrong", "server", "list")
    assert done.returncode != 0
    assert "401" in done.stderr or "requires authentication" in done.stderr

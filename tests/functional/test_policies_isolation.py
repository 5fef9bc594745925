"""Two projects on one site: whatever one of them asks, it learns nothing of the other and changes nothing of it.

The requests are those of the route table, so that a new one is asked here too.
"""

import json
import re
from uuid import uuid4

import pytest

from evacuator.api.app import ROUTES
from evacuator.api.resources.server_actions import ACTIONS
from tests.functional.conftest import IMAGE, Site

MINE, THEIRS = "b1b1b1b1b1b1", "4ed4ed4ed4ed"
ME = f"anna:{MINE}"

VERSIONS = ("2.1", "2.52", "2.53", "2.95")
METHODS = ("get", "post", "put", "patch", "delete")
REQUESTS = sorted(
    {(method.upper(), path) for path, resource in ROUTES for method in METHODS if hasattr(resource, f"on_{method}")}
)
OF_A_SERVER = [(method, path) for method, path in REQUESTS if "{server_id}" in path and not path.endswith("/action")]
OF_NO_SERVER = [(method, path) for method, path in REQUESTS if "{server_id}" not in path]

#: A body for each action that any version takes.
ARGUMENTS = {
    "evacuate": ({}, {"onSharedStorage": False}),
    "os-start": (None,),
    "os-stop": (None,),
    "reboot": ({"type": "HARD"},),
    "os-resetState": ({"state": "error"},),
    "lock": (None,),
    "unlock": (None,),
}

#: What only those know who belong to the other project, or administer the site.
SECRET = re.compile(r"secret", re.IGNORECASE)


class TwoProjects:
    """A site of which I have one server, and they have three, one of them being evacuated and one deleted."""

    def __init__(self, site):
        self.site = site
        for host in ("secret-dead", "secret-host"):
            site.add_host(host)
        site.force_down("secret-dead")
        texts = ("display_name", "display_description", "hostname", "key_name", "user_data", "reservation_id")
        theirs = {name: f"secret {name}" for name in texts}
        theirs |= {"project_id": THEIRS, "user_id": "secret-user", "tags": ["secret"]}
        theirs |= {"instance_metadata": {"secret": "secret"}, "locked_reason": "secret"}
        self.mine = site.add_server(host="secret-host", project_id=MINE, user_id="anna", display_name="mine")
        self.active = site.add_server(host="secret-dead", **theirs)
        self.stopped = site.add_server(host="secret-host", vm_state="stopped", **theirs)
        self.failed = site.add_server(host="secret-host", vm_state="error", **theirs)
        self.deleted = site.add_server(host="secret-host", vm_state="deleted", deleted=True, **theirs)
        self.theirs = (self.active, self.stopped, self.failed, self.deleted)
        assert site.evacuate(self.active, token="admin").status_int == 200
        (found,) = site.get(f"/servers/{self.active}/os-instance-actions", token="admin").json["instanceActions"]
        self.request_id = found["request_id"]
        self.migration = site.sql("SELECT id, uuid FROM migrations")[0]
        self.service = site.sql("SELECT id, uuid FROM services WHERE host = 'secret-host'")[0]
        self.node = site.sql("SELECT id, uuid FROM compute_nodes WHERE host = 'secret-host'")[0]

    def parts(self, version, server):
        """Return what to put into an address."""
        by_uuid = version in {"2.53", "2.95"}
        return {
            "server_id": server,
            "request_id": self.request_id,
            "migration_id": self.migration.id,
            "service_id": self.service.uuid if by_uuid else self.service.id,
            "hypervisor_id": self.node.uuid if by_uuid else self.node.id,
            "flavor_id": "1",
            "image_id": IMAGE,
            "key": "hw:cpu_policy",
            "version": "v2.1",
        }

    def path(self, path, version, server):
        """Fill an address; a part that nobody knows of is somebody's secret."""
        known = self.parts(version, server)
        return re.sub(r"{(\w+)}", lambda part: str(known.get(part[1], self.active)), path)

    def tells(self, answer, *said):
        """Return what an answer tells beyond what was ``said`` in the request."""
        text = answer.text + json.dumps(list(answer.headers.items()))
        for part in said:
            text = text.replace(str(part), "")
        known = [*self.theirs, self.request_id, self.migration.uuid, self.service.uuid, self.node.uuid, THEIRS]
        return SECRET.findall(text) + [part for part in known if part in text]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two projects that every test leaves as they were."""
    site = Site(tmp_path_factory.mktemp("two"))
    yield TwoProjects(site)
    site.database.close()


def same(answer, server):
    """Return an answer without what differs from one request to the next."""
    text = re.sub(r"req-[0-9a-f-]{36}", "REQUEST", answer.text)
    return answer.status_int, text.replace(server, "SERVER"), answer.content_type


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("method", "path"), OF_A_SERVER)
def test_a_server_of_theirs_is_answered_as_one_that_does_not_exist(two, method, path, version):
    body = None if method in {"GET", "DELETE"} else {}
    before = two.site.snapshot()
    nowhere = str(uuid4())
    for prefix in ("", f"/{MINE}"):
        missing = two.site.ask(method, f"/v2.1{prefix}{two.path(path, version, nowhere)}", body, version, ME)
        assert missing.status_int in {400, 404}
        for server in two.theirs:
            where = two.path(path, version, server)
            answer = two.site.ask(method, f"/v2.1{prefix}{where}", body, version, ME)
            assert same(answer, server) == same(missing, nowhere)
            assert two.tells(answer, server, two.request_id) == []
    assert two.site.snapshot() == before


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_on_a_server_of_theirs_is_answered_as_on_one_that_does_not_exist(two, action, version):
    before = two.site.snapshot()
    nowhere = str(uuid4())
    statuses = set()
    for arguments in (*ARGUMENTS[action], {"nonsense": 1}):
        body = {action: arguments}
        missing = two.site.act(nowhere, body, version, ME)
        statuses.add(missing.status_int)
        for server in two.theirs:
            answer = two.site.act(server, body, version, ME)
            assert same(answer, server) == same(missing, nowhere)
            assert two.tells(answer, server) == []
    assert 404 in statuses
    assert statuses <= {400, 404}
    assert two.site.snapshot() == before


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("method", "path"), OF_NO_SERVER)
def test_no_other_address_tells_of_them(two, method, path, version):
    changes = ({}, {"forced_down": True}, {"host": "x", "binary": "nova-compute"})
    bodies = changes if method in {"POST", "PUT"} else (None,)
    before = two.site.snapshot()
    where = two.path(path, version, two.active)
    for body in bodies:
        answer = two.site.ask(method, f"/v2.1{where}", body, version, ME)
        assert answer.status_int < 500
        assert method == "GET" or answer.status_int >= 400
        assert two.tells(answer, where) == []
    assert two.site.snapshot() == before


QUESTIONS = [
    "all_tenants=1",
    "all_tenants=0",
    "project_id={theirs}",
    "tenant_id={theirs}",
    "all_tenants=1&project_id={theirs}",
    "user_id=secret-user",
    "name=secret",
    "name=.*",
    "host=secret-host",
    "node=secret-host",
    "hostname=secret",
    "key_name=secret%20key_name",
    "reservation_id=secret",
    "tags=secret",
    "tags-any=secret,x",
    "not-tags=x",
    "status=ERROR",
    "status=DELETED",
    "deleted=True",
    "deleted=True&all_tenants=1",
    "changes-since=2000-01-01T00:00:00Z",
    "changes-before=2100-01-01T00:00:00Z",
    "uuid={active}",
    "image=" + IMAGE,
    "flavor=1",
    "locked=True",
    "ip=.*",
    "vm_state=error",
    "power_state=4",
    "sort_key=host",
    "sort_key=project_id",
    "limit=1",
    "limit=1000&marker={mine}",
]


@pytest.mark.parametrize("version", ["2.1", "2.66", "2.73", "2.95"])
@pytest.mark.parametrize("where", ["/servers", "/servers/detail"])
@pytest.mark.parametrize("question", QUESTIONS)
def test_however_a_list_is_asked_for_it_has_mine_only(two, question, where, version):
    question = question.format(active=two.active, mine=two.mine, theirs=THEIRS)
    answer = two.site.get(f"{where}?{question}", version, ME)
    assert answer.status_int in {200, 400, 403}
    if answer.status_int == 200:
        assert {server["id"] for server in answer.json["servers"]} <= {two.mine}
    assert two.tells(answer, question, two.active) == []


@pytest.mark.parametrize("where", ["/servers", "/servers/detail"])
def test_a_marker_of_theirs_is_no_marker(two, where):
    nowhere = str(uuid4())
    missing = two.site.get(f"{where}?marker={nowhere}", token=ME)
    assert missing.status_int == 400
    for server in two.theirs:
        assert same(two.site.get(f"{where}?marker={server}", token=ME), server) == same(missing, nowhere)


def test_an_administrator_sees_both(two):
    listed = two.site.get("/servers?all_tenants=1", token="admin").json["servers"]
    assert {server["id"] for server in listed} == {two.mine, two.active, two.stopped, two.failed}
    assert two.site.get(f"/servers/{two.active}", token="admin").status_int == 200
    assert two.site.get("/servers", token="admin").json["servers"] == []
    theirs = two.site.get(f"/servers?all_tenants=1&project_id={THEIRS}", token="admin").json["servers"]
    assert {server["id"] for server in theirs} == {two.active, two.stopped, two.failed}


def test_a_project_without_servers_sees_none(two):
    assert two.site.get("/servers", token="zoe:c0ffee").json["servers"] == []
    assert two.site.get(f"/servers/{two.mine}", token="zoe:c0ffee").status_int == 404


def test_what_was_asked_of_their_server_is_not_found_through_mine(two):
    answer = two.site.get(f"/servers/{two.mine}/os-instance-actions/{two.request_id}", token=ME)
    assert answer.status_int == 404
    assert two.tells(answer, two.request_id) == []


def test_the_answer_to_the_other_project_in_the_address_names_only_what_was_said(two):
    answer = two.site.get(f"/{THEIRS}/servers", token=ME)
    assert answer.status_int == 400
    assert SECRET.findall(answer.text) == []


def test_a_member_is_not_told_on_which_host_their_own_server_is(site):
    two = TwoProjects(site)
    mine = site.add_server(host="secret-dead", project_id=MINE)
    down = site.act(mine, {"os-stop": None}, token=ME)
    assert down.status_int == 409
    assert "its host is down" in down.json["conflictingRequest"]["message"]
    assert two.tells(down) == []
    assert "secret-dead" in site.act(mine, {"os-stop": None}, token="admin").text
    assert site.evacuate(mine, token="admin").status_int == 200
    busy = site.act(mine, {"os-stop": None}, token=ME)
    assert busy.status_int == 409
    assert "while its evacuation is in progress" in busy.json["conflictingRequest"]["message"]
    assert two.tells(busy) == []
    assert "secret-host" in site.act(mine, {"os-stop": None}, token="admin").text


def test_a_member_is_not_told_which_hosts_could_not_take_their_server(site):
    two = TwoProjects(site)
    mine = site.add_server(host="secret-dead", project_id=MINE)
    site.sql("UPDATE services SET disabled = true")
    assert site.evacuate(mine, token="admin").status_int == 200
    told = site.get(f"/servers/{mine}", token=ME)
    assert told.json["server"]["fault"]["message"] == ("No valid host was found. There are not enough hosts available.")
    assert two.tells(told) == []
    whole = site.get(f"/servers/{mine}", token="admin").json["server"]["fault"]["message"]
    assert whole.startswith("No valid host was found. There are not enough hosts available. Host by host: secret-dead")

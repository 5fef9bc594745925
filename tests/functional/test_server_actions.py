"""Actions other than ``evacuate``, and what is remembered of all of them."""

from dataclasses import replace

import pytest

from evacuator.api.errors import PolicyForbids
from evacuator.context import RequestContext
from evacuator.engine.lock import unlock_instance
from tests.functional.conftest import Site, fault


@pytest.fixture
def running(site):
    site.add_host("one")
    site.server = site.add_server("one", project_id="project")
    return site


def test_a_member_stops_and_an_administrator_starts(running):
    answer = running.act(running.server, {"os-stop": None}, token="user:project")
    assert (answer.status_int, answer.body) == (202, b"")
    assert running.casts.sent == [("carry_out_order", "one", running.server)]
    running.sql("UPDATE instances SET vm_state = 'stopped', task_state = NULL, order_id = NULL")
    assert running.act(running.server, {"os-start": {}}).status_int == 202


def test_a_start_in_the_wrong_state_is_a_conflict(running):
    assert fault(running.act(running.server, {"os-start": None})) == (
        "conflictingRequest",
        409,
        f"Cannot 'start' instance {running.server} while it is in vm_state active",
    )


def test_a_power_order_to_a_dead_host_is_refused(outage):
    for action in ({"os-stop": None}, {"reboot": {"type": "HARD"}}):
        key, code, message = fault(outage.site.act(outage.server, action))
        assert (key, code) == ("conflictingRequest", 409)
        assert "its host is down: evacuate it" in message


@pytest.mark.parametrize(("kind", "status"), [("HARD", 202), ("soft", 202), ("Hard", 202), ("firm", 400), (None, 400)])
def test_a_reboot_is_hard_or_soft(running, kind, status):
    assert running.act(running.server, {"reboot": {"type": kind}}).status_int == status


@pytest.mark.parametrize(("state", "status"), [("active", 202), ("error", 202), ("stopped", 400), (None, 400)])
def test_an_administrator_resets_the_state(running, state, status):
    assert running.act(running.server, {"os-resetState": {"state": state}}).status_int == status


def test_a_member_may_not_reset_the_state(running):
    assert running.act(running.server, {"os-resetState": {"state": "error"}}, token="user:project").status_int == 403


@pytest.mark.parametrize(
    ("version", "arguments", "status"),
    [
        ("2.72", None, 202),
        ("2.72", {"anything": 1}, 202),
        ("2.73", None, 202),
        ("2.73", {"locked_reason": "by hand"}, 202),
        ("2.73", {"anything": 1}, 400),
        ("2.73", {"locked_reason": "x" * 256}, 400),
        ("2.73", "text", 400),
    ],
)
def test_a_lock_may_give_a_reason_from_2_73_on(running, version, arguments, status):
    assert running.act(running.server, {"lock": arguments}, version).status_int == status
    if status == 202:
        shown = running.get(f"/servers/{running.server}", "2.73").json["server"]
        assert shown["locked"] is True
        assert shown["locked_reason"] == (arguments or {}).get("locked_reason")


def test_a_lock_stops_members_and_not_administrators(running):
    running.act(running.server, {"lock": None})
    assert fault(running.act(running.server, {"os-stop": None}, token="user:project")) == (
        "conflictingRequest",
        409,
        f"Instance {running.server} is locked",
    )
    assert running.delete(f"/servers/{running.server}", token="user:project").status_int == 409
    assert running.act(running.server, {"os-stop": None}).status_int == 202


def test_only_an_administrator_undoes_an_administrators_lock(running):
    running.act(running.server, {"lock": None})
    assert fault(running.act(running.server, {"unlock": None}, token="user:project")) == (
        "forbidden",
        403,
        "Policy doesn't allow os_compute_api:os-lock-server:unlock:unlock_override to be performed.",
    )
    assert running.act(running.server, {"unlock": None}).status_int == 202
    running.act(running.server, {"lock": None}, token="user:project")
    assert running.act(running.server, {"unlock": None}, token="user:project").status_int == 202


def test_a_member_cannot_make_an_administrators_lock_their_own(running):
    running.act(running.server, {"lock": {"locked_reason": "forensics"}}, "2.73")
    assert running.act(running.server, {"lock": {"locked_reason": "mine"}}, "2.73", "user:project").status_int == 202
    assert running.get(f"/servers/{running.server}", "2.73").json["server"]["locked_reason"] == "forensics"
    assert running.act(running.server, {"unlock": None}, token="user:project").status_int == 403
    assert running.delete(f"/servers/{running.server}", token="user:project").status_int == 409
    done = running.get(f"/servers/{running.server}/os-instance-actions").json["instanceActions"]
    assert [action["action"] for action in done] == ["lock"]


def test_an_administrator_takes_a_members_lock_over(running):
    running.act(running.server, {"lock": None}, token="user:project")
    running.act(running.server, {"lock": {"locked_reason": "forensics"}}, "2.73")
    assert running.act(running.server, {"unlock": None}, token="user:project").status_int == 403
    assert running.get(f"/servers/{running.server}", "2.73").json["server"]["locked_reason"] == "forensics"


def test_what_an_administrator_locks_in_their_own_project_its_members_unlock(running):
    running.sql("UPDATE instances SET project_id = 'admin'")
    running.act(running.server, {"lock": None})
    assert fault(running.act(running.server, {"os-stop": None}, token="user:admin"))[1] == 409
    assert running.act(running.server, {"unlock": None}, token="user:admin").status_int == 202


class SomebodyElseFirst:
    """A database to which somebody else writes right before the first write."""

    def __init__(self, database, first):
        self._database, self._first = database, [first]

    def write(self, work):
        while self._first:
            self._first.pop()()
        return self._database.write(work)


def test_an_administrators_lock_that_comes_right_before_a_members_unlock_holds(running):
    running.act(running.server, {"lock": None}, token="user:project")
    database = SomebodyElseFirst(running.database, lambda: running.act(running.server, {"lock": None}))
    member = RequestContext(user_id="user", project_id="project", overwrite=False)

    def refuse(_instance):
        raise PolicyForbids(rule="unlock_override")

    with pytest.raises(PolicyForbids):
        unlock_instance(replace(running.engine, database=database), member, running.server, "project", refuse)
    assert running.get(f"/servers/{running.server}", "2.9").json["server"]["locked"] is True


# -- what is remembered


def action_keys(version):
    keys = {"action", "instance_uuid", "request_id", "user_id", "project_id", "start_time", "message"}
    return keys | ({"updated_at"} if version >= 58 else set())


@pytest.mark.parametrize("minor", [1, 57, 58, 95])
def test_the_owner_sees_that_an_administrator_evacuated(outage, minor):
    outage.site.sql("UPDATE instances SET project_id = 'project'")
    answer = outage.ask()
    path = f"/servers/{outage.server}/os-instance-actions"
    (action,) = outage.site.get(path, f"2.{minor}", "user:project").json["instanceActions"]
    assert action.keys() == action_keys(minor)
    assert (action["action"], action["user_id"], action["project_id"]) == ("evacuate", "admin", "admin")
    assert action["request_id"] == answer.headers["x-openstack-request-id"]
    assert action["start_time"] == "2026-01-31T12:00:00.000000"
    assert outage.site.get(path, token="user:other").status_int == 404


@pytest.mark.parametrize(
    ("version", "token", "keys"),
    [
        ("2.50", "user:project", None),
        ("2.51", "user:project", set()),
        ("2.61", "user:project", set()),
        ("2.62", "user:project", {"hostId"}),
        ("2.95", "user:project", {"hostId"}),
        ("2.1", "admin", {"traceback"}),
        ("2.61", "admin", {"traceback"}),
        ("2.62", "admin", {"traceback", "host", "hostId"}),
        ("2.83", "admin", {"traceback", "host", "hostId"}),
        ("2.84", "admin", {"traceback", "host", "hostId", "details"}),
    ],
)
def test_each_version_shows_its_keys_of_an_event(outage, version, token, keys):
    outage.site.sql("UPDATE instances SET project_id = 'project'")
    request_id = outage.ask().headers["x-openstack-request-id"]
    path = f"/servers/{outage.server}/os-instance-actions/{request_id}"
    action = outage.site.get(path, version, token).json["instanceAction"]
    if keys is None:
        assert "events" not in action
        return
    (event,) = action["events"]
    assert event.keys() == {"event", "start_time", "finish_time", "result"} | keys
    assert (event["event"], event["result"]) == ("rebuild_server", "Success")


def test_an_unknown_request_is_no_action(outage):
    path = f"/servers/{outage.server}/os-instance-actions/req-x"
    assert fault(outage.site.get(path)) == ("itemNotFound", 404, "Action req-x not found")


def test_the_newest_action_comes_first_and_pages_are_linked(running):
    for action in ("lock", "unlock", "lock"):
        running.act(running.server, {action: None})
        running.later(1)
    path = f"/servers/{running.server}/os-instance-actions"
    whole = running.get(path, "2.58").json["instanceActions"]
    assert [action["action"] for action in whole] == ["lock", "unlock", "lock"]
    first = running.get(f"{path}?limit=2", "2.58")
    assert first.json["instanceActions"] == whole[:2]
    (link,) = first.json["links"]
    second = running.ask("GET", link["href"].removeprefix("http://localhost:80"), version="2.58")
    assert second.json == {"instanceActions": whole[2:]}
    since = running.get(f"{path}?changes-since=2026-01-31T12:00:02Z", "2.58").json["instanceActions"]
    assert since == whole[:1]
    assert len(running.get(f"{path}?limit=1", "2.57").json["instanceActions"]) == 3


def test_all_actions_are_shown_where_a_version_knows_of_no_pages(tmp_path):
    site = Site(tmp_path, max_limit=1)
    server = site.add_server(None)
    for action in ("lock", "unlock"):
        assert site.act(server, {action: None}).status_int == 202
    path = f"/servers/{server}/os-instance-actions"
    assert len(site.get(path, "2.57").json["instanceActions"]) == 2
    assert len(site.get(path, "2.58").json["instanceActions"]) == 1
    site.database.close()


@pytest.mark.parametrize(
    ("query", "version", "status"),
    [
        ("nonsense=1", "2.57", 200),
        ("nonsense=1", "2.58", 400),
        ("marker=req-x", "2.58", 400),
        ("changes-before=2026-01-31T12:00:02Z", "2.65", 400),
        ("changes-before=2026-01-31T12:00:02Z", "2.66", 200),
        ("changes-since=2026-01-31T12:00:02Z&changes-before=2025-01-31T12:00:02Z", "2.66", 400),
    ],
)
def test_each_version_takes_its_parameters(running, query, version, status):
    assert running.get(f"/servers/{running.server}/os-instance-actions?{query}", version).status_int == status


def test_the_actions_of_a_deleted_server_stay_readable_from_2_21_on(outage):
    outage.site.delete(f"/servers/{outage.server}")
    path = f"/servers/{outage.server}/os-instance-actions"
    assert outage.site.get(path, "2.20").status_int == 404
    (action,) = outage.site.get(path, "2.21").json["instanceActions"]
    assert action["action"] == "delete"

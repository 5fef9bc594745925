"""The action ``evacuate``: five windows, the order of the checks, the gate."""

import pytest

from evacuator.versions import TARGET_STATE_SERVICE_VERSION
from tests.functional.conftest import Site, fault

#: window -> its first and last version, which properties it knows.
WINDOWS = {
    "2.1-2.13": (("2.1", "2.13"), {"host", "onSharedStorage", "adminPass"}),
    "2.14-2.28": (("2.14", "2.28"), {"host", "adminPass"}),
    "2.29-2.67": (("2.29", "2.67"), {"host", "adminPass", "force"}),
    "2.68-2.94": (("2.68", "2.94"), {"host", "adminPass"}),
    "2.95": (("2.95",), {"host", "adminPass"}),
}
EDGES = [(version, known) for versions, known in WINDOWS.values() for version in versions]
VALUES = {"host": "one", "onSharedStorage": False, "adminPass": "secret", "force": True}


def required(version):
    return {"onSharedStorage": False} if version in {"2.1", "2.13"} else {}


@pytest.mark.parametrize(("version", "known"), EDGES)
def test_each_window_takes_all_that_it_knows(outage, version, known):
    answer = outage.ask({name: VALUES[name] for name in known}, version)
    assert answer.status_int == 200
    assert answer.headers["Content-Type"] == "application/json"
    (migration,) = outage.site.get("/os-migrations", "2.23").json["migrations"]
    assert (migration["status"], migration["dest_compute"]) == ("accepted", "one")
    assert outage.site.casts.sent == [("rebuild_instance", "one", outage.server)]


@pytest.mark.parametrize(("version", "known"), EDGES)
def test_each_window_refuses_what_it_does_not_know(outage, version, known):
    for name in VALUES.keys() - known:
        given = required(version) | {name: VALUES[name]}
        complaint = f"Additional properties are not allowed ('{name}' was unexpected)"
        message = f"Invalid input for field/attribute evacuate. Value: {given}. {complaint}"
        assert fault(outage.ask(given, version)) == ("badRequest", 400, message)
    assert outage.site.casts.sent == []


@pytest.mark.parametrize("version", ["2.14", "2.28", "2.29", "2.67", "2.68", "2.94", "2.95"])
def test_from_2_14_on_nothing_is_needed_and_the_answer_is_empty(outage, version):
    answer = outage.ask({}, version)
    assert (answer.status_int, answer.body, answer.headers["Content-Length"]) == (200, b"", "0")


@pytest.mark.parametrize("version", ["2.1", "2.13"])
def test_up_to_2_13_the_caller_must_say_whether_storage_is_shared(outage, version):
    key, code, message = fault(outage.ask({}, version))
    assert (key, code) == ("badRequest", 400)
    assert message.endswith("'onSharedStorage' is a required property")


def test_the_oldest_version_drops_what_it_does_not_know(outage):
    body = {"evacuate": {"onSharedStorage": True, "force": True, "nonsense": 1}}
    answer = outage.site.ask("POST", f"/v2/servers/{outage.server}/action", body, version="2.95")
    assert answer.json == {"adminPass": None}


@pytest.mark.parametrize(
    ("arguments", "password"),
    [
        ({"onSharedStorage": "off", "adminPass": "mine"}, "mine"),
        ({"onSharedStorage": "off", "adminPass": ""}, ""),
        ({"onSharedStorage": "True"}, None),
    ],
)
def test_up_to_2_13_the_password_is_returned(outage, arguments, password):
    assert outage.ask(arguments, "2.13").json == {"adminPass": password}


def test_a_password_is_made_when_none_is_given(outage):
    assert len(outage.ask({"onSharedStorage": False}, "2.1").json["adminPass"]) == 12


def test_no_password_is_returned_where_the_operator_says_so(tmp_path):
    site = Site(tmp_path, enable_instance_password=False)
    site.add_host("dead")
    site.force_down("dead")
    assert site.evacuate(site.add_server(), {"onSharedStorage": False}, "2.1").body == b""


@pytest.mark.parametrize(
    "value", [True, "True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes", False, "0", "off", "No"]
)
def test_booleans_are_true_and_false_and_some_words(outage, value):
    assert outage.ask({"onSharedStorage": value}, "2.1").status_int == 200


@pytest.mark.parametrize("value", [1, 0, 1.0, None, "t", "y", "tRuE", "", [], {}])
def test_nothing_else_is_a_boolean(outage, value):
    key, code, message = fault(outage.ask({"onSharedStorage": value}, "2.1"))
    assert (key, code) == ("badRequest", 400)
    assert message.startswith(f"Invalid input for field/attribute onSharedStorage. Value: {value}. ")


@pytest.mark.parametrize("host", [None, "", "a b", "a:b", "é", "h" * 256, 1, [], "a/b"])
def test_a_host_is_a_short_plain_word(outage, host):
    assert fault(outage.ask({"host": host}))[:2] == ("badRequest", 400)


@pytest.mark.parametrize("host", ["unknown", "one\n", "h" * 255])
def test_an_unknown_host_is_not_found(outage, host):
    assert fault(outage.ask({"host": host})) == ("itemNotFound", 404, f"Compute host {host} not found.")


@pytest.mark.parametrize("password", [None, 1])
def test_a_password_is_a_string(outage, password):
    assert outage.ask({"adminPass": password}).status_int == 400


def test_any_string_is_a_password(outage):
    assert outage.ask({"adminPass": ""}).status_int == 200


@pytest.mark.parametrize(
    ("version", "arguments", "accepted"),
    [
        ("2.28", {"host": "two"}, True),
        ("2.29", {"host": "two"}, False),
        ("2.29", {"host": "two", "force": True}, True),
        ("2.67", {"host": "two", "force": True}, True),
        ("2.67", {"host": "two", "force": False}, False),
        ("2.68", {"host": "two"}, False),
        ("2.95", {"host": "two"}, False),
    ],
)
def test_a_disabled_host_is_taken_only_when_it_is_forced(outage, version, arguments, accepted):
    outage.site.sql("UPDATE services SET disabled = true WHERE host = 'two'")
    assert outage.ask(arguments, version).status_int == 200
    (migration,) = outage.site.get("/os-migrations", "2.23").json["migrations"]
    assert migration["status"] == ("accepted" if accepted else "error")


# -- the order of the checks


def test_content_type_comes_first(outage):
    answer = outage.site.act(outage.server, b"nonsense", "2.95", Content_Type="text/xml")
    assert fault(answer) == ("badMediaType", 415, "Unsupported Content-Type")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/json; charset=utf-8", "application/vnd.openstack.compute+json"]
)
def test_some_content_types_are_json(outage, content_type):
    answer = outage.site.act(outage.server, b'{"evacuate": {}}', "2.95", Content_Type=content_type, Accept="")
    assert answer.status_int == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{}", b"[]", b"{", b"\xff", b'"evacuate"', b'{"evacuate": {}, "lock": null}', b'{"evacuate": NaN}',
        b"[" * 100000, b'{"evacuate": {"adminPass": "\\ud800"}}', b'{"evacuate": {"adminPass": "\\u0000"}}',
        b"1" * 5000,
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_malformed(outage, raw):
    answer = outage.site.act(outage.server, raw, "2.95")
    assert fault(answer) == ("badRequest", 400, "Malformed request body")


def test_an_escaped_backslash_is_no_null_character(outage):
    assert outage.site.act(outage.server, b'{"evacuate": {"adminPass": "\\\\u0000"}}', "2.95").status_int == 200


@pytest.mark.parametrize("raw", [b"1", b"null", b'["evacuate"]', b"true"])
def test_json_that_is_no_object_names_no_resource(outage, raw):
    assert fault(outage.site.act(outage.server, raw)) == ("itemNotFound", 404, "The resource could not be found.")


def test_an_unknown_action_is_named(outage):
    assert fault(outage.site.act(outage.server, {"resize": {}})) == (
        "badRequest",
        400,
        "There is no such action: resize",
    )


def test_the_action_is_known_before_the_project_is_compared(outage):
    answer = outage.site.ask("POST", f"/v2.1/abc/servers/{outage.server}/action", {"resize": {}}, token="user:def")
    assert fault(answer)[2] == "There is no such action: resize"


def test_the_project_is_compared_before_the_schema_is_checked(outage):
    answer = outage.site.ask("POST", f"/v2.1/abc/servers/{outage.server}/action", {"evacuate": 1}, token="user:def")
    assert fault(answer)[2].startswith("Malformed request URL")


def test_the_schema_is_checked_before_the_server_is_looked_up(outage):
    assert outage.site.evacuate("missing", {"nonsense": 1}).status_int == 400


def test_a_missing_server_is_not_found_before_policy_forbids(outage):
    assert fault(outage.site.evacuate("missing", token="user:project")) == (
        "itemNotFound",
        404,
        "Instance missing could not be found.",
    )


def test_another_projects_server_is_not_found(outage):
    assert outage.ask(token="user:project").status_int == 404


def test_a_member_may_not_evacuate(outage):
    assert fault(outage.ask({"host": "unknown"}, token="user:admin")) == (
        "forbidden",
        403,
        "Policy doesn't allow os_compute_api:os-evacuate to be performed.",
    )


@pytest.mark.parametrize("version", ["2.29", "2.67"])
def test_force_needs_a_host(outage, version):
    assert fault(outage.ask({"force": True}, version))[2] == "Can't force to a non-provided destination"


@pytest.mark.parametrize("version", ["2.1", "2.13"])
def test_a_disk_that_is_kept_takes_no_new_password(outage, version):
    answer = outage.ask({"onSharedStorage": True, "adminPass": "x", "host": "unknown"}, version)
    assert fault(answer) == ("badRequest", 400, "admin password can't be changed on existing disk")


def test_the_source_is_no_destination(outage):
    assert fault(outage.ask({"host": "dead"})) == ("badRequest", 400, "The target host can't be the same one.")


@pytest.mark.parametrize("vm_state", ["building", "paused", "deleted"])
def test_only_some_states_can_be_evacuated_from(outage, vm_state):
    outage.site.sql("UPDATE instances SET vm_state = :state", state=vm_state)
    assert fault(outage.ask()) == (
        "conflictingRequest",
        409,
        f"Cannot 'evacuate' instance {outage.server} while it is in vm_state {vm_state}",
    )


def test_a_source_that_is_up_is_in_use(outage):
    server = outage.site.add_server("one")
    key, code, message = fault(outage.site.evacuate(server))
    assert (key, code) == ("badRequest", 400)
    assert message.startswith("Compute service of one is still in use.")


def test_a_silent_source_can_be_evacuated_once_another_was_heard_all_along(site):
    for host in ("silent", "heard"):
        site.add_host(host)
    server = site.add_server("silent")
    for _ in range(7):
        site.later(10)
        site.beat("heard")
    assert site.evacuate(server).status_int == 200


def test_a_lock_does_not_hinder_an_evacuation(outage):
    assert outage.site.act(outage.server, {"lock": None}).status_int == 202
    assert outage.ask().status_int == 200


def test_a_second_evacuation_is_refused_while_the_first_is_unfinished(outage):
    assert outage.ask().status_int == 200
    key, code, message = fault(outage.ask())
    assert (key, code) == ("conflictingRequest", 409)
    ((number,),) = outage.site.sql("SELECT id FROM migrations")
    assert f"migration {number} " in message


def test_no_room_is_accepted_and_shown_as_a_fault(outage):
    outage.site.sql("UPDATE services SET disabled = true")
    assert outage.ask().status_int == 200
    server = outage.site.get(f"/servers/{outage.server}").json["server"]
    assert server["status"] == "ERROR"
    assert server["fault"]["message"].startswith("No valid host was found. There are not enough hosts available.")


REFUSED = {
    "schema": ({"nonsense": 1}, "2.95", None),
    "policy": ({}, "2.95", "user:admin"),
    "unknown host": ({"host": "unknown"}, "2.95", None),
    "same host": ({"host": "dead"}, "2.95", None),
    "force without host": ({"force": True}, "2.67", None),
    "password": ({"onSharedStorage": True, "adminPass": "x"}, "2.1", None),
}


@pytest.mark.parametrize("refused", REFUSED)
def test_a_refused_request_has_written_nothing_and_cast_nothing(outage, refused):
    before = outage.site.snapshot()
    arguments, version, token = REFUSED[refused]
    assert outage.ask(arguments, version, token).status_int in {400, 403, 404}
    assert outage.site.snapshot() == before
    assert outage.site.casts.sent == []


# -- the gate of 2.95


@pytest.mark.parametrize("version", [TARGET_STATE_SERVICE_VERSION - 1, 0, None])
@pytest.mark.parametrize("host", ["dead", "one", "two"])
def test_2_95_is_refused_while_any_compute_is_too_old(outage, host, version):
    outage.site.sql("UPDATE services SET version = :version WHERE host = :host", version=version, host=host)
    outage.site.sql("UPDATE services SET disabled = true WHERE host = :host", host=host)
    before = outage.site.snapshot()
    # It comes before what else is wrong with the request.
    key, code, message = fault(outage.ask({"host": "unknown"}))
    assert (key, code) == ("badRequest", 400)
    assert f"{host}: {version or 0}" in message
    assert f"version {TARGET_STATE_SERVICE_VERSION}" in message
    assert "2.94" in message
    assert outage.site.snapshot() == before
    assert outage.site.casts.sent == []


@pytest.mark.parametrize("version", ["2.14", "2.94"])
def test_older_versions_go_on_working_with_old_computes(outage, version):
    outage.site.sql("UPDATE services SET version = 1")
    assert outage.ask({}, version).status_int == 200


def test_2_95_is_refused_while_the_rpc_pin_holds_it_back(outage):
    outage.site.casts.carries_target_state = False
    before = outage.site.snapshot()
    key, code, message = fault(outage.ask())
    assert (key, code) == ("conflictingRequest", 409)
    assert message.startswith("Unsupported RPC version for rebuild_instance. Required >= 1.1")
    assert outage.site.snapshot() == before


@pytest.mark.parametrize(
    ("version", "vm_state", "final"),
    [
        ("2.94", "active", "active"),
        ("2.94", "stopped", "stopped"),
        ("2.94", "error", "active"),
        ("2.95", "active", "stopped"),
        ("2.95", "stopped", "stopped"),
        ("2.95", "error", "stopped"),
    ],
)
def test_the_final_state_is_what_the_version_promises(outage, version, vm_state, final):
    outage.site.sql("UPDATE instances SET vm_state = :state", state=vm_state)
    assert outage.ask({}, version).status_int == 200
    assert outage.site.sql("SELECT final_state FROM migrations") == [(final,)]

"""Compute services, in the older and the newer form."""

import pytest

from tests.functional.conftest import fault


@pytest.fixture
def hosts(site):
    site.add_host("one")
    site.add_host("two")
    ((site.number, site.uuid),) = site.sql("SELECT id, uuid FROM services WHERE host = 'one'")
    return site


def service(site, host="one", version="2.53"):
    (shown,) = site.get(f"/os-services?host={host}", version).json["services"]
    return shown


@pytest.mark.parametrize(
    ("version", "has_forced_down"), [("2.1", False), ("2.10", False), ("2.11", True), ("2.95", True)]
)
def test_each_version_shows_its_keys(hosts, version, has_forced_down):
    keys = {"id", "binary", "host", "zone", "status", "state", "updated_at", "disabled_reason"}
    shown = service(hosts, version=version)
    assert shown.keys() == keys | ({"forced_down"} if has_forced_down else set())
    assert (shown["binary"], shown["zone"], shown["status"], shown["state"]) == (
        "nova-compute",
        "nova",
        "enabled",
        "up",
    )
    assert shown["updated_at"] == "2026-01-31T12:00:00.000000"


def test_services_are_numbered_until_2_52_and_named_from_2_53_on(hosts):
    assert service(hosts, version="2.52")["id"] == hosts.number
    assert service(hosts, version="2.53")["id"] == hosts.uuid


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["one", "two"]),
        ("host=two", ["two"]),
        ("host=one&host=two", ["two"]),
        ("host=on", []),
        ("binary=nova-compute", ["one", "two"]),
        ("binary=nova-scheduler", []),
        ("host=one&binary=nova-compute", ["one"]),
    ],
)
def test_services_are_found_by_host_and_binary(hosts, query, found):
    assert [shown["host"] for shown in hosts.get(f"/os-services?{query}").json["services"]] == found


def test_an_unknown_parameter_is_refused_from_2_75_on(hosts):
    assert hosts.get("/os-services?nonsense=1", "2.74").status_int == 200
    assert fault(hosts.get("/os-services?nonsense=1", "2.75")) == (
        "badRequest",
        400,
        "Additional properties are not allowed ('nonsense' was unexpected)",
    )


def test_members_see_no_services(hosts):
    assert hosts.get("/os-services", token="user:project").status_int == 403
    assert (
        hosts.put("/os-services/enable", {"host": "one", "binary": "nova-compute"}, token="user:project").status_int
        == 403
    )
    assert hosts.delete("/os-services/1", token="user:project").status_int == 403


def test_a_silent_service_is_down(hosts):
    hosts.later(61)
    assert service(hosts)["state"] == "down"


def test_a_service_is_forced_down_and_let_up_again(hosts):
    shown = hosts.put(f"/os-services/{hosts.uuid}", {"forced_down": True}, "2.53").json["service"]
    assert (shown["id"], shown["state"], shown["forced_down"], shown["status"]) == (hosts.uuid, "down", True, "enabled")
    assert hosts.put(f"/os-services/{hosts.uuid}", {"forced_down": False}, "2.53").json["service"]["state"] == "up"


def test_a_service_is_disabled_with_a_reason_and_enabled(hosts):
    path = f"/os-services/{hosts.uuid}"
    shown = hosts.put(path, {"status": "disabled", "disabled_reason": "broken"}, "2.53").json["service"]
    assert (shown["status"], shown["disabled_reason"]) == ("disabled", "broken")
    shown = hosts.put(path, {"status": "enabled"}, "2.53").json["service"]
    assert (shown["status"], shown["disabled_reason"]) == ("enabled", None)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "No updates were requested. Fields 'status' or 'forced_down' should be specified."),
        (
            {"disabled_reason": "x"},
            "No updates were requested. Fields 'status' or 'forced_down' should be specified.",
        ),
        (
            {"status": "enabled", "disabled_reason": "x"},
            "Specifying 'disabled_reason' with status 'enabled' is invalid.",
        ),
        (
            {"host": "one", "forced_down": True},
            "Additional properties are not allowed ('host' was unexpected)",
        ),
    ],
)
def test_an_update_that_makes_no_sense_is_refused(hosts, body, message):
    assert fault(hosts.put(f"/os-services/{hosts.uuid}", body, "2.53")) == ("badRequest", 400, message)


def test_only_a_known_uuid_names_a_service_from_2_53_on(hosts):
    assert fault(hosts.put("/os-services/1", {"forced_down": True}, "2.53"))[2] == "Invalid uuid 1"
    unknown = "00000000-0000-4000-8000-000000000000"
    assert fault(hosts.put(f"/os-services/{unknown}", {"forced_down": True}, "2.53")) == (
        "itemNotFound",
        404,
        f"Service {unknown} could not be found.",
    )
    assert hosts.put(f"/os-services/{unknown}", {}, "2.53").status_int == 404


def test_a_reason_for_nothing_is_passed_over(hosts):
    path = f"/os-services/{hosts.uuid}"
    shown = hosts.put(path, {"forced_down": True, "disabled_reason": "x"}, "2.53").json["service"]
    assert (shown["forced_down"], shown["status"], shown["disabled_reason"]) == (True, "enabled", None)


@pytest.mark.parametrize(
    ("verb", "more", "version", "answer"),
    [
        ("disable", {}, "2.1", {"status": "disabled"}),
        ("enable", {}, "2.52", {"status": "enabled"}),
        ("disable-log-reason", {"disabled_reason": "x"}, "2.1", {"status": "disabled", "disabled_reason": "x"}),
        ("force-down", {"forced_down": "true"}, "2.11", {"forced_down": True}),
        ("force-down", {"forced_down": False}, "2.52", {"forced_down": False}),
    ],
)
def test_the_older_form_says_what_to_do_in_the_address(hosts, verb, more, version, answer):
    named = {"host": "one", "binary": "nova-compute"}
    assert hosts.put(f"/os-services/{verb}", named | more, version).json == {"service": named | answer}
    shown = service(hosts)
    assert {key: shown[key] for key in answer} == answer


@pytest.mark.parametrize(
    ("verb", "body", "version", "status"),
    [
        ("force-down", {"host": "one", "binary": "nova-compute", "forced_down": True}, "2.10", 400),
        ("force-down", {"host": "one", "binary": "nova-compute"}, "2.10", 404),
        ("force-down", {"host": "one", "binary": "nova-compute"}, "2.11", 400),
        ("force-down", {"host": "one", "binary": "nova-compute", "forced_down": True}, "2.53", 400),
        ("disable-log-reason", {"host": "one", "binary": "nova-compute"}, "2.1", 400),
        ("break", {"host": "one", "binary": "nova-compute"}, "2.1", 404),
        ("enable", {"host": "one"}, "2.1", 400),
        ("enable", {"host": "nope", "binary": "nova-compute"}, "2.1", 404),
        ("enable", {"host": "one", "binary": "nova-scheduler"}, "2.1", 404),
    ],
)
def test_the_older_form_refuses_what_it_does_not_know(hosts, verb, body, version, status):
    assert hosts.put(f"/os-services/{verb}", body, version).status_int == status


def test_an_unknown_host_is_not_mapped(hosts):
    answer = hosts.put("/os-services/enable", {"host": "nope", "binary": "nova-compute"})
    assert fault(answer) == ("itemNotFound", 404, "Host 'nope' is not mapped to any cell")


def test_a_binary_that_a_host_does_not_run_is_not_found(hosts):
    answer = hosts.put("/os-services/enable", {"host": "one", "binary": "nova-conductor"})
    assert fault(answer) == ("itemNotFound", 404, "Could not find binary nova-conductor on host one.")


@pytest.mark.parametrize("version", ["2.11", "2.53"])
def test_a_host_is_not_let_up_while_it_owes_cleaning(outage, version):
    outage.ask()
    outage.site.sql("UPDATE migrations SET status = 'done'")
    uuid = outage.site.sql("SELECT uuid FROM services WHERE host = 'dead'")[0][0]
    older = {"host": "dead", "binary": "nova-compute", "forced_down": False}
    path, body = ("force-down", older) if version == "2.11" else (uuid, {"forced_down": False})
    key, code, message = fault(outage.site.put(f"/os-services/{path}", body, version))
    assert (key, code) == ("badRequest", 400)
    assert message.startswith(
        "Unable to force up host dead as `done` evacuation migration records remain associated with the host."
    )


def test_a_service_is_forgotten_once_nothing_is_on_it(hosts):
    server = hosts.add_server("one")
    assert fault(hosts.delete(f"/os-services/{hosts.uuid}", "2.53"))[:2] == ("conflictingRequest", 409)
    hosts.sql("UPDATE instances SET host = NULL WHERE uuid = :uuid", uuid=server)
    hosts.sql("DELETE FROM allocations")
    hosts.sql("UPDATE compute_nodes SET claims = 0")
    assert hosts.delete(f"/os-services/{hosts.number}", "2.52").status_int == 204
    assert hosts.delete(f"/os-services/{hosts.number}", "2.52").status_int == 404
    assert hosts.delete("/os-services/x", "2.52").status_int == 400
    assert hosts.delete(f"/os-services/{hosts.number}", "2.53").status_int == 400

"""Whatever is sent, the answer is a fault with a sentence, and never that something broke here."""

import gzip
import json
import re
import time
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oslo_db.exception import DBConnectionError

from evacuator.api.app import ROUTES
from evacuator.api.resources.server_actions import ACTIONS
from tests.functional.conftest import IMAGE, Site, fault

VERSIONS = ("2.1", "2.37", "2.53", "2.74", "2.95")
WORDS = st.sampled_from(
    ["", "1", "true", "active", "one", "a:b", "nova:one", "nova", IMAGE, "\x00", "\ud800", "é" * 300, "%", "((", "-1"]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=20)
NAMES = st.sampled_from(
    [
        "server", "evacuate", "host", "adminPass", "force", "onSharedStorage", "name", "flavorRef", "imageRef",
        "networks", "metadata", "min_count", "max_count", "availability_zone", "block_device_mapping_v2",
        "user_data", "tags", "status", "forced_down", "disabled_reason", "binary", "state", "type", "locked_reason",
    ]
) | st.text(max_size=8)  # fmt: skip
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)
PARAMETERS = st.sampled_from(
    [
        "limit", "marker", "sort_key", "sort_dir", "name", "status", "host", "all_tenants", "deleted",
        "changes-since", "changes-before", "power_state", "launch_index", "tags", "locked", "flavor", "image",
        "config_drive", "task_state", "instance_uuid", "hidden", "minRam", "minDisk", "is_public", "with_servers",
        "hypervisor_hostname_pattern", "project_id", "tenant_id", "ip", "uuid", "key_name",
    ]
)  # fmt: skip
QUERIES = st.lists(st.tuples(PARAMETERS, WORDS | st.text(max_size=20)), max_size=4)
QUICKLY = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("hostile"))
    site.add_host("one")
    site.server = site.add_server("one")
    yield site
    site.database.close()


def is_a_sentence(answer):
    if answer.status_int < 400:
        return answer.status_int in {200, 202, 204}
    (told,) = answer.json.values()
    return answer.status_int < 500 and told["code"] == answer.status_int and bool(told["message"])


@QUICKLY
@given(body=JSON, version=st.sampled_from(VERSIONS))
def test_no_body_of_a_new_server_breaks_anything(target, body, version):
    for sent in (body, {"server": body}):
        assert is_a_sentence(target.post("/servers", sent, version))


@QUICKLY
@given(
    server=st.dictionaries(NAMES, JSON, max_size=5),
    version=st.sampled_from(VERSIONS),
)
def test_no_property_of_a_new_server_breaks_anything(target, server, version):
    wanted = {"name": "web", "flavorRef": "1", "networks": "none"} | server
    assert is_a_sentence(target.post("/servers", {"server": wanted}, version))


@QUICKLY
@given(action=st.sampled_from(sorted(ACTIONS)), arguments=JSON, version=st.sampled_from(VERSIONS))
def test_no_arguments_of_an_action_break_anything(target, action, arguments, version):
    assert is_a_sentence(target.act(target.server, {action: arguments}, version))


@QUICKLY
@given(name=WORDS.filter(lambda word: word not in {"", "\x00", "\ud800"}), body=JSON, version=st.sampled_from(VERSIONS))
def test_no_update_of_a_service_breaks_anything(target, name, body, version):
    assert is_a_sentence(target.ask("PUT", f"/v2.1/os-services/{quote(name)}", body, version))


@QUICKLY
@given(route=st.sampled_from(ROUTES), query=QUERIES, version=st.sampled_from(VERSIONS))
def test_no_query_string_breaks_anything(target, route, query, version):
    path = route[0].replace("{server_id}", target.server)
    for name in (
        "hypervisor_id",
        "migration_id",
        "service_id",
        "flavor_id",
        "image_id",
        "request_id",
        "key",
        "version",
    ):
        path = path.replace(f"{{{name}}}", "1")
    answer = target.get(f"{path}?{urlencode(query, errors='surrogatepass')}", version)
    assert answer.status_int == 404 or is_a_sentence(answer)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*$", "(a*)*b", "a*a*a*a*a*a*a*a*b", "(.*.*)*x", "(.{0,100}){9}!"])
def test_no_pattern_takes_longer_than_its_text_is_long(target, pattern):
    target.add_server("one", display_name="a" * 255)
    begun = time.monotonic()
    assert target.get(f"/servers?name={quote(pattern)}").status_int == 200
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize(
    "pattern", ["(", "(?=a)", r"(a)\1", "a{9999}", "((a{500}){2}){2}", "[", "*", "(?P<n", "a" * 256]
)
def test_a_pattern_that_cannot_be_matched_in_linear_time_is_refused(target, pattern):
    for name in ("name", "hostname", "description", "key_name"):
        answer = target.get(f"/servers/detail?{name}={quote(pattern)}", "2.95")
        assert fault(answer)[:2] == ("badRequest", 400)


def test_a_database_that_does_not_answer_is_a_fault_of_its_own_and_its_own_words_are_for_the_log(tmp_path, caplog):
    site = Site(tmp_path)

    def gone(_session):
        raise DBConnectionError("Access denied for user 'evacuator'@'10.1.2.3'")

    site.database._again_if_lost = lambda work: gone(None)
    for answer in (site.get("/servers"), site.post("/servers", {"server": {"name": "web", "flavorRef": "1"}})):
        key, code, message = fault(answer)
        assert (key, code) == ("serviceUnavailable", 503)
        assert message.startswith("The database does not answer. ")
    (line,) = [record for record in caplog.records if record.name == "evacuator.api.faults"]
    assert line.levelname == "WARNING"
    assert "Access denied for user 'evacuator'@'10.1.2.3'" in line.getMessage()


@QUICKLY
@given(raw=st.binary(max_size=40))
def test_no_bytes_break_anything(target, raw):
    assert is_a_sentence(target.post("/servers", raw))
    assert is_a_sentence(target.act(target.server, raw))


# -- one row for each kind of thing that nobody should send

HUGE = 10**400
EVACUATE = "/servers/{server}/action"
BODIES = {
    "longer than is accepted": (b'{"server": {"name": "' + b"n" * 114688 + b'"}}', 413),
    "nested too deep": (b"[" * 50000, 400),
    "nested too deep, and closed": (b'{"a":' * 15000 + b"1" + b"}" * 15000, 400),
    "an endless number": (b'{"server": {"name": 1' + b"0" * 9000 + b"}}", 400),
    "an infinite number": (b'{"server": {"name": "web", "flavorRef": "1", "min_count": 1e999}}', 400),
    "no number at all": (b'{"server": NaN}', 400),
    "UTF-16": ('{"server": {}}'.encode("utf-16"), 400),
    "Latin-1": ('{"server": {"name": "é"}}'.encode("latin-1"), 400),
    "a byte order mark": (b"\xef\xbb\xbf" + b'{"server": {}}', 400),
    "compressed": (gzip.compress(b'{"server": {}}'), 400),
    "half a character": (b'{"server": {"name": "\\ud800", "flavorRef": "1"}}', 400),
    "a null character": (b'{"server": {"name": "a\\u0000", "flavorRef": "1"}}', 400),
    "a control character": (b'{"server": {"name": "a\\u001b[2J", "flavorRef": "1"}}', 400),
    "a line break in a name": (b'{"server": {"name": "a\\r\\nX-Injected: 1", "flavorRef": "1"}}', 400),
    "not closed": (b'{"server": {"name"', 400),
    "two values": (b"{} {}", 400),
    "XML": (b"<server/>", 400),
    "a form": (b"server=1", 400),
    "a thousand keys": (json.dumps({f"key{n}": n for n in range(1000)}).encode(), 400),
}


@pytest.mark.parametrize("path", ["/servers", EVACUATE, "/flavors", "/os-aggregates", "/os-aggregates/1/action"])
@pytest.mark.parametrize("kind", BODIES)
def test_a_body_that_nobody_should_send_is_refused(target, path, kind):
    raw, code = BODIES[kind]
    key, found, message = fault(target.post(path.format(server=target.server), raw))
    assert (found, key) == (code, "overLimit" if code == 413 else "badRequest")
    assert message


NAMES_OF_NOTHING = [
    "0", "-1", "1.5", "1e3", "99999999999999999999", "%00", "%0d%0aX-Injected:%201", "%ff%fe", "%f0%9f%92%a5",
    "..%2f..", "%2e%2e", "a%2fb", "' OR 1=1--", "{}", "%25s", "$(id)", "x" * 255, "x" * 5000, "null", "None",
    "a b", "%c3%a9", "11111111-1111-4111-8111-11111111111", "11111111111141118111111111111111",
]  # fmt: skip
WITH_NAMES = sorted({path for path, _ in ROUTES if "{" in path})


@pytest.mark.parametrize("version", ["2.1", "2.52", "2.95"])
@pytest.mark.parametrize("path", WITH_NAMES)
def test_a_name_of_nothing_is_answered_as_such(target, path, version):
    for name in NAMES_OF_NOTHING:
        address = re.sub(r"{\w+}", lambda _: quote(name, safe="%"), path)  # noqa: B023 - used at once
        for method in ("GET", "PUT", "POST", "DELETE"):
            body = {"evacuate": {}} if path.endswith("/action") else {}
            answer = target.ask(method, f"/v2.1{address}", body if method in ("PUT", "POST") else None, version)
            assert answer.status_int in {400, 404}, (method, address, answer.text)
            assert "X-Injected" not in answer.headers


HEADERS = [
    ({"OpenStack-API-Version": "compute " + "9" * 5000}, 400),
    ({"OpenStack-API-Version": "compute 2.1" + ", compute 2.1" * 500}, 200),
    ({"OpenStack-API-Version": "compute é"}, 400),
    ({"OpenStack-API-Version": "compute 2.95; x=1"}, 400),
    ({"X-OpenStack-Nova-API-Version": "2.-1"}, 400),
    ({"X-OpenStack-Request-ID": "x" * 9000}, 200),
    ({"X-OpenStack-Request-ID": "req-<script>"}, 200),
    ({"X-Auth-Token": ":" * 9000}, 401),
    ({"X-Auth-Token": "a:" + "b" * 9000}, 200),
    ({"X-Auth-Token": "é:ü"}, 200),
    ({"Accept": "text/*;q=x,,,;"}, 200),
    ({"Host": "evil.example.org<script>"}, 200),
    ({"X-Forwarded-Host": "evil.example.org"}, 200),
    ({"Range": "bytes=0-1"}, 200),
    ({"Content-Type": "application/json; charset=utf-7"}, 200),
]


@pytest.mark.parametrize(("headers", "code"), HEADERS)
def test_a_header_that_nobody_should_send_breaks_nothing(target, headers, code):
    answer = target.ask("GET", "/v2.1/servers", None, **headers)
    assert answer.status_int == code
    assert is_a_sentence(answer)


@pytest.mark.parametrize("kind", ["text/xml", "multipart/form-data", "application/x-www-form-urlencoded", "a/b", "/"])
def test_a_body_of_another_type_is_not_read(target, kind):
    answer = target.ask("POST", "/v2.1/servers", b"{}", **{"Content-Type": kind})
    assert fault(answer) == ("badMediaType", 415, "Unsupported Content-Type")


NUMBERS = [-1, 0, 2**31, 2**63, 2**64, HUGE, 1.5, "1e5", "-1", "0x10", "\u0661", True, None, [], {}]


@pytest.mark.parametrize("value", NUMBERS, ids=lambda value: str(value)[:20])
def test_a_number_out_of_range_is_refused_wherever_there_is_one(target, value):
    server = {"name": "web", "flavorRef": "1", "networks": "none"}
    flavor = {"name": "big", "ram": 1, "vcpus": 1, "disk": 1}
    for path, body in (
        ("/servers", {"server": server | {"min_count": value}}),
        ("/servers", {"server": server | {"max_count": value}}),
        ("/flavors", {"flavor": flavor | {"ram": value}}),
        ("/flavors", {"flavor": flavor | {"vcpus": value}}),
    ):
        assert fault(target.post(path, body, "2.95"))[:2] == ("badRequest", 400)
    if isinstance(value, int | float) and value is not True and value != 0:
        for name in ("limit", "minRam", "minDisk"):
            answer = target.get(f"/flavors?{name}={value}")
            assert answer.status_int in {200, 400}


@pytest.mark.parametrize(
    "moment",
    ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00", "2026-13-01", "2026-01-01T25:00:00Z", "now", ""],
)
def test_a_moment_that_is_on_no_calendar_is_refused(target, moment):
    query = urlencode({"changes-since": moment})
    for path in ("/servers", "/servers/detail", "/os-migrations", f"/servers/{target.server}/os-instance-actions"):
        assert fault(target.get(f"{path}?{query}", "2.95"))[:2] == ("badRequest", 400)


@pytest.mark.parametrize("marker", ["9" * 30, "11111111111141118111111111111111", "-1", "x" * 300])
def test_a_marker_of_nothing_is_refused(target, marker):
    for path in ("/servers", "/flavors", "/os-hypervisors", "/os-migrations"):
        assert fault(target.get(f"{path}?marker={marker}", "2.95"))[:2] == ("badRequest", 400)


def test_what_was_refused_has_left_no_trace(target):
    servers = target.get("/servers?all_tenants=1").json["servers"]
    assert target.server in {server["id"] for server in servers}
    assert target.get("/os-migrations").json["migrations"] == []

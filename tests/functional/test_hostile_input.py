"""Whatever is sent, the answer is a fault with a sentence, and never that something broke here."""

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


def test_a_database_that_does_not_answer_is_a_fault_of_its_own(tmp_path):
    site = Site(tmp_path)

    def gone(_session):
        raise DBConnectionError

    site.database._again_if_lost = lambda work: gone(None)
    for answer in (site.get("/servers"), site.post("/servers", {"server": {"name": "web", "flavorRef": "1"}})):
        key, code, message = fault(answer)
        assert (key, code) == ("serviceUnavailable", 503)
        assert "The database does not answer." in message


@QUICKLY
@given(raw=st.binary(max_size=40))
def test_no_bytes_break_anything(target, raw):
    assert is_a_sentence(target.post("/servers", raw))
    assert is_a_sentence(target.act(target.server, raw))

"""The OpenAPI document: it is one, it says what is served, and what it says is so."""

import json
from functools import cache

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.generation import GenerationMode

from evacuator.api.app import ROUTES
from evacuator.api.microversions import MAXIMUM, MINIMUM, Behaviours, Version
from evacuator.api.openapi import document
from evacuator.api.operations import OPERATIONS, SERVER_ACTIONS, Operation
from evacuator.api.resources.server_actions import ACTIONS
from tests.functional.conftest import IMAGE, Site, fault

METHODS = ("get", "post", "put", "patch", "delete")
ACTION = ("post", "/servers/{server_id}/action")
EVERY = [Version(2, minor) for minor in range(MINIMUM.minor, MAXIMUM.minor + 1)]


def test_what_is_routed_is_described_and_nothing_else():
    routed = {(method, path) for path, make in ROUTES for method in METHODS if hasattr(make, f"on_{method}")}
    described = [(operation.method, operation.path) for operation in OPERATIONS]
    assert sorted([*described, ACTION]) == sorted(routed)
    assert {name for name, *_ in SERVER_ACTIONS} == set(ACTIONS)
    assert {name: code for name, _, code, _ in SERVER_ACTIONS} == {name: row.code for name, row in ACTIONS.items()}


def test_every_schema_is_in_a_document():
    named = {name for operation in OPERATIONS for name in (operation.body, operation.query) if name}
    named |= {schema for _, schema, _, _ in SERVER_ACTIONS}
    assert named == {name for name in vars(Behaviours) if name.endswith(("_schema", "_query"))}


@pytest.mark.parametrize("version", EVERY, ids=str)
def test_it_is_an_openapi_document_at_every_version(version):
    made = document(version)
    for item in made["paths"].values():
        for operation in (part for name, part in item.items() if name in METHODS):
            assert operation["operationId"]
    if version.minor % 10 in (1, 5):
        OpenAPIV31SpecValidator(made).validate()


@pytest.mark.parametrize(
    ("query", "header", "version"),
    [
        ("", None, "2.1"),
        ("", "compute 2.53", "2.53"),
        ("?microversion=2.95", None, "2.95"),
        ("?microversion=latest", "compute 2.53", "2.95"),
    ],
)
def test_it_is_served_to_everybody(site, query, header, version):
    headers = {"OpenStack-API-Version": header} if header else {}
    answer = site.ask("GET", f"/openapi.json{query}", **headers)
    assert (answer.status_int, answer.content_type) == (200, "application/json")
    assert (answer.json["openapi"], answer.json["info"]["version"]) == ("3.1.0", version)


@pytest.mark.parametrize(("query", "code"), [("2.999", 406), ("x", 400), ("2.1&microversion=2.2", 400)])
def test_a_version_that_is_not_served_has_none(site, query, code):
    assert fault(site.ask("GET", f"/openapi.json?microversion={query}"))[1] == code


# -- what it says, tried

#: Checks of schemathesis that contradict the API that clients were written for.
LEFT_OUT = {
    "unsupported_method": "a method that an address does not have is answered with 404, as Nova does, not with 405",
    "positive_data_acceptance": "what fits a schema may contradict itself or the site, which Nova answers with 400",
    "missing_required_header": "without the header of the microversion it is the oldest one",
}
LEFT_OUT_BEFORE_2_75 = LEFT_OUT | {"negative_data_rejection": "unknown parameters are ignored up to 2.74"}
load_all_checks()


def checks_of(version):
    left_out = LEFT_OUT if Version.of(version) >= Version(2, 75) else LEFT_OUT_BEFORE_2_75
    return [check for check in CHECKS.get_all() if check.__name__ not in left_out]


def test_what_is_left_out_are_checks():
    assert {check.__name__ for check in CHECKS.get_all()} > set(LEFT_OUT_BEFORE_2_75)


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("openapi"))
    for host in ("one", "dead"):
        site.add_host(host)
    site.force_down("dead")
    site.server = site.add_server("one")
    site.lost = site.add_server("dead")
    site.post("/os-aggregates", {"aggregate": {"name": "spare"}})
    yield site
    site.database.close()


TRIED = [
    (version, operation.method, operation.path)
    for version in ("2.1", "2.53", "2.95")
    for operation in (*OPERATIONS, Operation(*ACTION))
    if operation.path in document(Version.of(version))["paths"]
    and operation.method in document(Version.of(version))["paths"][operation.path]
]


@pytest.fixture(scope="module")
def described(target):
    """Return the document of a version as it is served, ready to be tried."""

    def load(version):
        def application(environ, start_response):
            # A document is about one version; with another header, or none, a request is another document's. So the
            # header is no part of what is tried.
            environ["HTTP_OPENSTACK_API_VERSION"] = f"compute {version}"
            answer = target.app.app(environ, start_response)
            return without_version_header(answer) if environ["PATH_INFO"] == "/openapi.json" else answer

        loaded = schemathesis.openapi.from_wsgi("/openapi.json", application)
        rejection = loaded.config.checks.negative_data_rejection
        rejection.expected_statuses = [*rejection.expected_statuses, "413"]  # too long to be looked at
        return loaded

    return cache(load)


def without_version_header(answer):
    made = json.loads(b"".join(answer))
    for item in made["paths"].values():
        item["parameters"] = [one for one in item["parameters"] if one["in"] != "header"]
    return [json.dumps(made).encode()]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("version", "method", "path"), TRIED)
def test_what_it_says_is_so(described, target, version, method, path):
    operation = described(version)[path][method.upper()]
    there = {
        "server_id": [target.server, target.lost],
        "hypervisor_id": ["1", "one"],
        "service_id": ["enable", "force-down"],
        "flavor_id": ["1"],
        "aggregate_id": ["1"],
        "image_id": [IMAGE],
        "key": ["a"],
        "version": ["v2.1"],
    }

    @seed(1)
    @settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def tried(data):
        mode = data.draw(st.sampled_from(list(GenerationMode)))
        case = data.draw(operation.as_strategy(generation_mode=mode))
        for name in case.path_parameters or {}:
            # Made-up names lead no further than 404.
            if name in there and data.draw(st.booleans()):
                case.path_parameters[name] = data.draw(st.sampled_from(there[name]))
        case.call_and_validate(checks=checks_of(version))

    tried()

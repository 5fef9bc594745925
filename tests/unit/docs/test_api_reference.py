"""The API reference says what is served: every address, every action, every parameter, at every version."""

import re
from inspect import getmembers, isfunction

import pytest

from evacuator.api.app import DOCUMENTS, ROUTES
from evacuator.api.microversions import MAXIMUM, MINIMUM, Behaviours, Version, behaviours
from evacuator.api.resources.server_actions import ACTIONS
from tests.unit.docs.exchanges import EXCHANGES, SAMPLES
from tests.unit.docs.reference import SOURCE, entries, parameters

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
VERSIONS = [Version(2, minor) for minor in range(MINIMUM.minor, MAXIMUM.minor + 1)]

#: Names of the application's parts, which the reference may call by more telling ones.
IN_BRACES = re.compile(r"\{[^}]*\}")


class Anything:
    """Stands in for what resources are made with."""

    def __getattr__(self, name):
        return self


def served():
    """Return (method, path) of everything that is served."""
    found = set()
    for path, make in (*ROUTES, *DOCUMENTS):
        methods = dict(getmembers(type(make(Anything())), isfunction))
        get = methods.get("on_get")
        for method in METHODS:
            answer = methods.get(f"on_{method.lower()}")
            # The documents answer every method in the same way.
            if answer and (method == "GET" or answer is not get):
                found.add((method, plain(path)))
    return found


def plain(path):
    """Return a path in which names of parts, and a slash at the end, make no difference."""
    return IN_BRACES.sub("{}", path.partition("?")[0]).rstrip("/") or "/"


def fits(path, template):
    """Tell whether a path is one that a template means; what is written out may stand where that leaves it open."""
    parts = ("[^/]+" if part == "{}" else re.escape(part) for part in plain(template).split("/"))
    return re.fullmatch("/".join(parts), plain(path))


def route_of(entry, routes):
    """Return what answers an entry; None if nothing does."""
    exact = (entry.method, plain(entry.path))
    fitting = (route for route in routes if route[0] == entry.method and fits(entry.path, route[1]))
    return exact if exact in routes else next(fitting, None)


def entry_of(exchange):
    """Return the entry that an exchange is an example of."""
    if exchange.action:
        return next(entry for entry in entries() if entry.action == exchange.action)
    fitting = [entry for entry in entries() if entry.method == exchange.method and fits(exchange.path, entry.path)]
    return min(fitting, key=lambda entry: entry.path.count("{"))


def test_everything_that_is_served_has_an_entry():
    routes = served()
    told = {route_of(entry, routes) for entry in entries()}
    assert sorted(routes - told) == []


def test_every_entry_is_about_something_that_is_served():
    routes = served()
    assert [entry.title for entry in entries() if route_of(entry, routes) is None] == []


def test_every_server_action_has_one_entry():
    assert sorted(filter(None, (entry.action for entry in entries()))) == sorted(ACTIONS)


def test_every_entry_says_how_it_is_answered():
    assert [entry.title for entry in entries() if not entry.codes] == []


def test_every_page_is_in_the_table_of_contents():
    listed = (SOURCE / "index.rst").read_text().partition(".. toctree::")[2].split()
    assert {page.stem for page in SOURCE.glob("*.rst")} - {"index"} <= set(listed)


def test_every_parameter_is_used():
    used = {row.key for entry in entries() for row in (*entry.request, *entry.response)}
    assert sorted(set(parameters()) - used) == []


def test_every_sample_is_shown():
    shown = {sample for entry in entries() for sample in entry.samples}
    assert shown == {str(path.relative_to(SAMPLES)) for path in SAMPLES.rglob("*.json")}


# -- requests


def documented(entry, kind, version):
    return {row.name for row in entry.request if row.kind == kind and row.exists_at(version)}


def names_in(schema):
    """Return every name that a body may have."""
    found = set()
    for name, part in schema.get("properties", {}).items():
        found |= {name} | names_in(part)
    return found


@pytest.mark.parametrize("exchange", [e for e in EXCHANGES if e.schema], ids=lambda exchange: exchange.name)
def test_a_body_may_have_exactly_what_its_entry_says(exchange):
    entry = entry_of(exchange)
    for version in served_at(exchange):
        schema = getattr(behaviours(version), exchange.schema).document
        assert documented(entry, "body", version) == names_in(schema), version


@pytest.mark.parametrize("exchange", [e for e in EXCHANGES if e.query], ids=lambda exchange: exchange.name)
def test_a_query_may_have_exactly_what_its_entry_says(exchange):
    entry = entry_of(exchange)
    for version in served_at(exchange):
        schema = getattr(behaviours(version), exchange.query).document
        assert documented(entry, "query", version) == names_in(schema), version


def served_at(exchange):
    return [v for v in VERSIONS if Version.of(exchange.first) <= v <= Version.of(exchange.last)]


def test_every_schema_is_that_of_an_exchange():
    told = {exchange.schema for exchange in EXCHANGES} | {exchange.query for exchange in EXCHANGES}
    there = {name for name in vars(Behaviours) if name.endswith(("_schema", "_query"))}
    assert sorted(there - told) == []


# -- where versions begin and end


def test_an_address_is_there_exactly_at_the_versions_of_its_entry(documented_site):
    ids = dict.fromkeys(("server_id", "migration_id", "hypervisor_id", "hypervisor_hostname_pattern"), "none")
    gone = {"itemNotFound": {"code": 404, "message": "The resource could not be found."}}
    for entry in entries():
        if entry.method != "GET" or (entry.first, entry.last) == (MINIMUM, MAXIMUM):
            continue
        for version in (entry.first, entry.last, before(entry.first), after(entry.last)):
            if MINIMUM <= version <= MAXIMUM:
                answer = documented_site.ask("GET", entry.path.format(**ids), version=str(version))
                is_gone = answer.status_int == 404 and answer.json == gone
                assert is_gone is not (entry.first <= version <= entry.last), (entry.title, version)


def before(version):
    return Version(version.major, version.minor - 1)


def after(version):
    return Version(version.major, version.minor + 1)

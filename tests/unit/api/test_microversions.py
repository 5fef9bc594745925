from itertools import pairwise

from evacuator.api.microversions import MAXIMUM, MINIMUM, Behaviours, ByVersion, Version, behaviours
from evacuator.api.validation import Schema

FACTS = {name: fact for name, fact in vars(Behaviours).items() if isinstance(fact, ByVersion)}


def at(text):
    return behaviours(Version.of(text))


def test_a_version_has_one_object():
    assert at("2.95") is at("2.95")


def test_windows_include_both_edges():
    assert at("2.13").returns_admin_password
    assert not at("2.14").returns_admin_password
    assert at("2.28").forces_host_by_default
    assert not at("2.29").forces_host_by_default
    assert not at("2.94").stops_at_destination
    assert at("2.95").stops_at_destination


def test_every_fact_changes_exactly_at_the_versions_that_it_names():
    versions = [Version(2, minor) for minor in range(MINIMUM.minor, MAXIMUM.minor + 1)]
    for name, fact in FACTS.items():
        changed = {
            later
            for earlier, later in pairwise(versions)
            if getattr(behaviours(earlier), name) is not getattr(behaviours(later), name)
            and getattr(behaviours(earlier), name) != getattr(behaviours(later), name)
        }
        assert changed == set(fact.changes), name


def test_every_schema_is_a_valid_schema():
    facts = [
        getattr(behaviours(Version(2, minor)), name)
        for name in FACTS
        for minor in range(MINIMUM.minor, MAXIMUM.minor + 1)
    ]
    # Most are the same at many versions.
    schemas = {id(fact): fact for fact in facts if isinstance(fact, Schema)}
    assert len(schemas) > 20
    for schema in schemas.values():
        schema.check_schema()

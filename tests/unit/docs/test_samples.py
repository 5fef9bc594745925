"""The samples of the API reference are what the application takes and gives."""

import json
from functools import cache

import pytest

from evacuator.api.microversions import MINIMUM, Behaviours, Version, behaviours
from evacuator.api.resources.server_actions import ACTIONS
from tests.unit.docs.documented_site import a_documented_site
from tests.unit.docs.exchanges import EXCHANGES, SAMPLES, record, shape
from tests.unit.docs.test_api_reference import entry_of

ANEW = "python -W ignore -m tests.unit.docs.record_samples writes them anew"

#: Of these every window has its sample, even where the example did not have to change.
SHOWN_IN_EVERY_WINDOW = ("servers/evacuate", "servers/create", "servers/lock")

#: What keys there are inside is not up to the application.
FREE = frozenset({"media-types", "metadata", "extra_specs", "cpu_info", "zoneState", "hosts"})
#: Here the one key there is was made up by the caller.
THEIR_OWN_KEY = ("flavors/show-extra-spec", "flavors/set-extra-spec")

LINKS = ("links", "_links")

REQUESTS = [(exchange, version) for exchange in EXCHANGES for version in exchange.request_versions()]


@cache
def recorded():
    """Return (exchange, version, text) of every sample by its file, from a site of its own."""
    with a_documented_site() as site:
        return {exchange.sample("response", version): (exchange, version, text)
                for exchange, version, text in record(site)}  # fmt: skip


def test_there_is_a_sample_for_every_shape_of_every_answer():
    committed = set(SAMPLES.rglob("*-response-*.json"))
    assert {path.name for path in committed ^ recorded().keys()} == set(), ANEW


def test_the_samples_have_the_shape_of_the_answers():
    drifted = [path.name for path, (_, _, text) in recorded().items() if shape(read(path)) != shape(json.loads(text))]
    assert drifted == [], ANEW


def read(path):
    return json.loads(path.read_text())


@pytest.mark.parametrize(("exchange", "version"), REQUESTS, ids=lambda value: str(getattr(value, "name", value)))
def test_a_sample_of_a_body_fits_the_schema_of_its_version(exchange, version):
    getattr(behaviours(version), exchange.schema).check_body(read(exchange.request(version)))


def test_every_sample_of_a_body_begins_where_a_schema_does():
    for exchange in EXCHANGES:
        there = {
            path.name.rpartition("-v")[2].removesuffix(".json") for path in SAMPLES.glob(f"{exchange.name}-request-v*")
        }
        changes = {str(version) for version in exchange.request_versions()}
        assert there <= changes, exchange.name
        if exchange.name in SHOWN_IN_EVERY_WINDOW:
            assert there == changes


def test_every_action_and_every_body_has_a_sample():
    assert {exchange.action for exchange in EXCHANGES if exchange.action} == set(ACTIONS)


def keys_of(value):
    """Return every key of an answer."""
    if isinstance(value, list):
        return {key for item in value for key in keys_of(item)}
    if not isinstance(value, dict):
        return set()
    inside = {
        key for name, part in value.items() if name not in FREE and not name.endswith(LINKS) for key in keys_of(part)
    }
    return set(value) | inside


def test_every_key_of_an_answer_is_described_for_its_version():
    for exchange, version, text in recorded().values():
        told = {row.name for row in entry_of(exchange).response if row.exists_at(version)}
        if exchange.name in THEIR_OWN_KEY:
            continue
        assert keys_of(json.loads(text)) - told == set(), (exchange.name, version)


def test_every_key_that_is_promised_is_there():
    for exchange, version, text in recorded().values():
        if exchange.name in ("versions/list", *THEIR_OWN_KEY):
            continue
        promised = {row.name for row in entry_of(exchange).response if row.required and row.exists_at(version)}
        assert promised - all_keys(json.loads(text)) == set(), (exchange.name, version)


def all_keys(value):
    if isinstance(value, list):
        return {key for item in value for key in all_keys(item)}
    if not isinstance(value, dict):
        return set()
    return set(value) | {key for part in value.values() for key in all_keys(part)}


def test_every_entry_lists_the_code_that_it_answers_with():
    assert [e.name for e in EXCHANGES if e.code not in entry_of(e).codes] == []


def test_the_windows_of_evacuate_are_the_five_of_its_schema():
    assert (MINIMUM, *Behaviours.evacuate_schema.changes) == tuple(
        Version.of(text) for text in ("2.1", "2.14", "2.29", "2.68", "2.95")
    )

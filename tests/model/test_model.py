"""The protocol holds in every state of small worlds; without any one of its rules it does not."""

import os
from dataclasses import fields

import pytest

from tests.model.explore import explore
from tests.model.protocol import FENCED, FROZEN, Model, Rules, World

#: EVACUATOR_TEST_MODEL=3 explores one fault more, some hundred thousand states each.
FAULTS = int(os.environ.get("EVACUATOR_TEST_MODEL", "2"))

ACTIVE, SILENT = False, True

WITHOUT = {
    "own_before_power": "I1",
    "fresh_proof": "I1",
    "takeover_only_before_ownership": "I1",
    "attempt_bound": "I1",
    "lost_write_is_a_question": "I4",
    "locked_to_one_evacuation": "I4",
    "clean_before_up": "I1",
    "silence_needs_a_witness": "I1",
    "wanted_state_is_recorded": "I2",
    "sweeps": "I3",
    "record_names_its_version": "I2",
}


@pytest.mark.parametrize("hosts", [FENCED, FROZEN], ids=["source fenced", "source frozen"])
@pytest.mark.parametrize("requests", [(ACTIVE, SILENT), (SILENT, ACTIVE)], ids=["2.94 then 2.95", "2.95 then 2.94"])
def test_no_state_violates_the_promise(hosts, requests):
    explored = explore(Model(), World(hosts, requests=requests, faults=FAULTS))

    assert explored.violation is None, f"\n{explored}"
    assert explored.states > 10_000


@pytest.mark.parametrize("hosts", [FENCED, FROZEN], ids=["source fenced", "source frozen"])
def test_no_third_fault_violates_the_promise_of_one_evacuation(hosts):
    explored = explore(Model(), World(hosts, requests=(ACTIVE,), faults=3))

    assert explored.violation is None, f"\n{explored}"


@pytest.mark.parametrize("rule", WITHOUT)
def test_without_a_rule_there_is_a_counterexample(rule):
    requests = (SILENT,) if WITHOUT[rule] == "I2" else (ACTIVE, ACTIVE)
    start = FROZEN if rule == "clean_before_up" else FENCED

    explored = explore(Model(Rules(**{rule: False})), World(start, requests=requests, faults=2))

    print(f"without {rule}:\n{explored}")  # noqa: T201 - shown by pytest -s, and read by people
    assert explored.violation, "nothing needs this rule"
    assert explored.violation.startswith(WITHOUT[rule])


def test_every_rule_has_its_counterexample():
    assert set(WITHOUT) == {each.name for each in fields(Rules)}

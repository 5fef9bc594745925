"""Each rule of the protocol is seen to be needed: by what happens in the model without it, and by named tests."""

import ast
from dataclasses import fields
from pathlib import Path

import pytest

from tests.model.counterexamples import COUNTEREXAMPLES, FOLDER
from tests.model.explore import explore
from tests.model.protocol import Model
from tests.model.rules import PROTOCOL, Rules

TESTS = Path(__file__).parent.parent

SWITCHES = {each.name for each in fields(Rules)}

#: One counterexample for each world that they begin in.
SMALLEST = {without.world: name for name, without in COUNTEREXAMPLES.items()}.values()


@pytest.mark.parametrize("name", COUNTEREXAMPLES)
def test_without_a_rule_the_promise_is_broken_as_it_was_reviewed(name):
    """The way to it is kept in a file. Delete that to have it written anew, and read it before it is committed."""
    without = COUNTEREXAMPLES[name]
    explored = without.explored()

    assert explored.violation, "nothing needs this rule"
    assert explored.violation.startswith(f"{without.invariant}: "), f"\n{explored}"
    expected = FOLDER / f"{name}.txt"
    if not expected.exists():
        expected.write_text(f"{explored}\n")
        pytest.fail(f"{expected} was written: read it, then run this again")
    assert f"{explored}\n" == expected.read_text()


@pytest.mark.parametrize("name", SMALLEST)
def test_with_all_rules_nothing_breaks_where_one_is_missed(name):
    explored = explore(Model(), COUNTEREXAMPLES[name].world)

    assert explored.violation is None, f"\n{explored}"


def test_every_switch_has_its_counterexample():
    assert {without.rule for without in COUNTEREXAMPLES.values()} == SWITCHES


def test_no_counterexample_is_left_of_what_is_not_explored_any_more():
    assert {path.stem for path in FOLDER.iterdir()} == set(COUNTEREXAMPLES)


def test_the_protocol_has_sixteen_rules_and_each_can_be_switched_off():
    assert list(PROTOCOL) == list(range(1, 17))
    assert [number for number, shown in PROTOCOL.items() if not shown.switches] == []


def test_every_switch_is_a_rules():
    assert {switch for shown in PROTOCOL.values() for switch in shown.switches} == SWITCHES


@pytest.mark.parametrize("number", PROTOCOL)
def test_the_tests_that_are_named_are_there(number):
    assert [test for test in PROTOCOL[number].tests if not _is_there(test)] == []


def test_a_test_that_is_not_there_is_missed():
    here = f"model/{Path(__file__).name}"

    assert _is_there(f"{here}::test_a_test_that_is_not_there_is_missed")
    assert not _is_there(f"{here}::test_that_nobody_wrote")
    assert not _is_there("model/test_nowhere.py::test_every_switch_is_a_rules")
    assert not _is_there("a-story-that-nobody-tells")


def _is_there(test):
    """Whether there is such a story, or such a test in that file, in a class or not."""
    path, _, name = test.partition("::")
    if not name:
        return (TESTS / "scenarios" / path / "events.yaml").exists()
    file = TESTS / path
    if not file.exists():
        return False
    return name in {node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)}

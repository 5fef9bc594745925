from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from evacuator.cmd.demo.judge import PROMISES, Observed
from evacuator.cmd.demo.story import table_of


def observed(microversion, before, **values):
    """What is seen when everything went as promised, but for ``values``."""
    promised = PROMISES[microversion, before]
    power_ons = 1 if promised == "ACTIVE" else 0
    good = Observed("web", before, microversion, "a", "b", promised, "done", power_ons)
    return replace(good, **values)


@pytest.mark.parametrize(("microversion", "before"), PROMISES)
def test_what_was_promised_is_no_problem(microversion, before):
    assert observed(microversion, before).problems == []
    assert observed(microversion, before, evacuation="completed").problems == []


@pytest.mark.parametrize("before", ["ACTIVE", "SHUTOFF", "ERROR"])
def test_a_single_power_on_at_2_95_is_a_problem_even_if_it_ends_stopped(before):
    assert observed("2.95", before, power_ons=1).problems == ["it was powered on once, not never"]


def test_a_stopped_server_is_never_powered_on_below_2_95_either():
    assert observed("2.94", "SHUTOFF", power_ons=1).problems == ["it was powered on once, not never"]


@pytest.mark.parametrize(("power_ons", "said"), [(0, "never"), (2, "2 times")])
def test_an_active_server_is_powered_on_exactly_once(power_ons, said):
    assert observed("2.94", "ACTIVE", power_ons=power_ons).problems == [f"it was powered on {said}, not once"]


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"evacuation": "failed"}, "the evacuation ended failed"),
        ({"host": "a"}, "it is on a"),
        ({"host": None}, "it is on no host"),
        ({"after": "ACTIVE"}, "it is ACTIVE, not SHUTOFF"),
    ],
)
def test_everything_else_that_is_not_as_promised_is_named(values, problem):
    assert observed("2.95", "ACTIVE", **values).problems == [problem]


def test_the_table_fits_a_terminal_of_80_columns():
    everything = [observed(version, before, name=f"{before.lower()}-{version}") for version, before in PROMISES] + [
        observed("2.95", "SHUTOFF", name="shutoff-295", power_ons=2)
    ]
    out = StringIO()
    Console(file=out, width=80).print(table_of(everything))
    assert "…" not in out.getvalue()
    for word in ("shutoff-2.95", "SHUTOFF", "asked at", "moved", "powered on", "2 times", "NOT OK"):
        assert word in out.getvalue()

"""The protocol holds in every state of small worlds; without any one of its rules it does not."""

import os

import pytest

from evacuator.evacuation.states import VmState
from tests.model.explore import explore
from tests.model.protocol import Model
from tests.model.worlds import (
    ACTIVE,
    ANSWER,
    BURNT,
    CLOCK,
    FENCED,
    FROZEN,
    GONE,
    HYPERVISOR,
    QUEUE,
    RUNNING,
    SILENT,
    STOPPED,
    World,
)

#: EVACUATOR_TEST_MODEL=3 explores one fault more, some hundred thousand states each.
FAULTS = int(os.environ.get("EVACUATOR_TEST_MODEL", "2"))

RARE = (QUEUE, HYPERVISOR, GONE, ANSWER)

#: What else is asked, seen, or goes wrong around an evacuation or two.
AROUND_IT = {
    "a start before 2.94": World(STOPPED, requests=(ACTIVE,), asked=("start",)),
    "a start before 2.95": World(STOPPED, requests=(SILENT,), asked=("start",)),
    "a reboot before 2.95": World(RUNNING, requests=(SILENT,), asked=("start",)),
    "a start around 2.94": World(FENCED, requests=(ACTIVE,), asked=("start",), faults=1),
    "a start around 2.95": World(FROZEN, requests=(SILENT,), asked=("start",), faults=1),
    "a start before 2.95 and another one": World(STOPPED, requests=(SILENT,), asked=("start", "start")),
    "a reset during 2.94": World(FENCED, requests=(ACTIVE,), asked=("reset",), faults=1),
    "a reset during 2.95": World(FROZEN, requests=(SILENT,), asked=("reset",), faults=1),
    "a delete during 2.94": World(FROZEN, requests=(ACTIVE,), asked=("delete",), faults=1),
    "a delete during 2.95": World(FENCED, requests=(SILENT,), asked=("delete",), faults=1),
    "all that is rare during 2.94": World(FROZEN, requests=(ACTIVE,), rare=RARE, faults=0),
    "all that is rare during 2.95": World(FENCED, requests=(SILENT,), rare=RARE, faults=0),
    "a clock behind during 2.94": World(FROZEN, requests=(ACTIVE,), rare=(CLOCK,), faults=1),
    "looks around 2.95": World(RUNNING, shown=VmState.ACTIVE, requests=(SILENT, ACTIVE)),
    "looks around 2.94": World(STOPPED, shown=VmState.ACTIVE, requests=(ACTIVE, ACTIVE)),
    "an encrypted guest twice": World(FENCED, requests=(ACTIVE, ACTIVE), encrypted=True, faults=1),
    "a source that never comes back": World(BURNT, requests=(ACTIVE, SILENT)),
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


@pytest.mark.parametrize("world", AROUND_IT.values(), ids=AROUND_IT)
def test_whatever_else_is_asked_or_goes_wrong_no_state_violates_the_promise(world):
    explored = explore(Model(), world)

    assert explored.violation is None, f"\n{explored}"
    assert explored.states > 2_000

"""What the log says of an evacuation: one line for each transition, whose parts have names."""

import json
from itertools import pairwise

import pytest
from oslo_log.formatters import JSONFormatter

from evacuator.evacuation.transitions import TRANSITIONS, Step
from tests.world import commands
from tests.world.world import a_world

PARTS = {
    "migration", "instance", "request_id", "from_status", "to_status", "attempt", "source", "destination", "why",
}  # fmt: skip

DEATH = "create web on a\ndelay 70\nhost a power off\nforce-down a\n"

#: Each way that an evacuation can go: the story, the steps of its first record after it was accepted, and the words
#: with which the last of them is told.
WAYS = {
    "it goes well": (
        "evacuate web 2.94\nhost a power on\ndelay 20",
        (Step.CLAIM, Step.FINISH, Step.CLEAN),
        "a holds nothing of it any more",
    ),
    "it stays stopped": ("evacuate web 2.95", (Step.CLAIM, Step.FINISH), "is on its destination, stopped"),
    "there is no room": ("force-down b\nforce-down c\nevacuate web 2.95", (Step.NO_HOST,), "No valid host was found"),
    "its destination is started again": (
        "process b crash after define\nevacuate web 2.94\ncompute b restart\ndelay 20",
        (Step.CLAIM, Step.RECLAIM, Step.FINISH),
        "runs on its destination",
    ),
    "another host takes over": (
        "process b freeze after define\nevacuate web 2.94\nforce-down b\ndelay 60",
        (Step.CLAIM, Step.REASSIGN, Step.CLAIM, Step.FINISH),
        "runs on its destination",
    ),
    "another host takes over what nobody began": (
        "broker drop 1\nprocess b crash before claim_evacuation\nevacuate web 2.95\nforce-down b\ndelay 60",
        (Step.REASSIGN, Step.CLAIM, Step.FINISH),
        "is on its destination, stopped",
    ),
    "nobody is left to take over": (
        "force-down c\nprocess b freeze after define\nevacuate web 2.94\nforce-down b\ndelay 3000",
        (Step.CLAIM, Step.FAIL),
        "b",
    ),
    "its destination falls silent once it owns the instance": (
        "process b freeze after own_instance\nevacuate web 2.94\ndelay 200",
        (Step.CLAIM, Step.FAIL),
        "fence that host (b)",
    ),
    "it cannot be defined": (
        "driver b fail define 1\nevacuate web 2.95",
        (Step.CLAIM, Step.FAIL),
        "The hypervisor of host b refused define.",
    ),
    "nobody knows whether it started": (
        "driver b fail power_on 1 timeout\nevacuate web 2.94",
        (Step.CLAIM, Step.FAIL),
        "Whether the instance was started is not known",
    ),
    "another one is asked for": (
        "process b freeze after define\nevacuate web 2.94\nforce-down b\nevacuate web 2.95",
        (Step.CLAIM, Step.FAIL),
        "another evacuation was asked for",
    ),
    "it is reset": (
        "process b freeze after define\nevacuate web 2.94\nreset web",
        (Step.CLAIM, Step.FAIL),
        "ended by os-resetState",
    ),
    "it is deleted": (
        "process b freeze after define\nevacuate web 2.95\ndelete web",
        (Step.CLAIM, Step.FAIL),
        "the instance was deleted",
    ),
}  # fmt: skip


def transitions(caplog):
    return [record.transition for record in caplog.records if hasattr(record, "transition")]


def follows(step, before, told):
    """Whether a line tells of ``step``, after the line ``before``."""
    transition = TRANSITIONS[step]
    return (
        told["from_status"] in transition.sources
        and told["from_status"] == before["to_status"]
        and told["to_status"] == transition.target
        and told["attempt"] == before["attempt"] + transition.raises_attempt
    )


@pytest.mark.parametrize("way", WAYS)
def test_each_transition_is_a_line_that_says_of_what_from_where_and_why(way, tell, world, caplog):
    story, steps, why = WAYS[way]
    tell(DEATH + story)
    (record, *_) = world.records()
    told = [each for each in transitions(caplog) if each["migration"] == record.id]
    assert (told[0]["from_status"], told[0]["to_status"], told[0]["attempt"]) == (None, "accepted", 1)
    assert all(follows(step, *lines) for step, lines in zip(steps, pairwise(told), strict=True)), told
    assert (told[-1]["to_status"], told[-1]["attempt"]) == (record.status, record.attempt)
    assert (told[-1]["destination"], why in told[-1]["why"]) == (record.dest_compute, True), told[-1]
    for each in told:
        assert each.keys() == PARTS
        assert each["why"].strip()
        assert (each["instance"], each["source"]) == (record.instance_uuid, "a")
        assert each["request_id"] == record.request_id
        assert each["destination"] in ({None} if Step.NO_HOST in steps else {"b", "c"})


def test_the_ways_come_to_every_step_that_there_is():
    assert {step for _story, steps, _why in WAYS.values() for step in steps} == set(Step)


def test_what_is_told_of_a_host_that_was_deleted_is_as_whole(tell, world, caplog):
    tell(DEATH + "evacuate web 2.94")
    world.request("delete service a", "DELETE", f"/os-services/{world.heard('a').service.id}", version="2.1")
    world.hub.run()
    last = transitions(caplog)[-1]
    assert (last.keys(), last["to_status"]) == (PARTS, "completed")
    assert last["why"] == "the compute service of a was deleted"
    assert (last["instance"], last["source"], last["destination"]) == (world.instances["web"], "a", "b")
    assert last["request_id"] == world.records()[0].request_id


def test_as_json_each_line_has_the_same_parts(caplog):
    with a_world() as world:
        commands.tell(world, DEATH + WAYS["another host takes over"][0])
    lines = [record for record in caplog.records if hasattr(record, "transition")]
    assert len(lines) == 5
    for line in lines:
        written = json.loads(JSONFormatter().format(line))
        assert written["extra"]["transition"] == line.transition
        assert written["message"].endswith(f"[{line.transition['request_id']}]: {line.transition['why']}")

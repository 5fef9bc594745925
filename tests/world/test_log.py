"""What the log says of an evacuation: one line for each transition, whose parts have names."""

from itertools import pairwise

PARTS = {
    "migration", "instance", "request_id", "from_status", "to_status", "attempt", "source", "destination", "why",
}  # fmt: skip


def transitions(caplog):
    return [record.transition for record in caplog.records if hasattr(record, "transition")]


def test_it_has_a_line_for_each_transition_from_nothing_to_completed(tell, world, caplog):
    tell("create web on a\ndelay 70\nhost a power off\nforce-down a\nevacuate web 2.94 to b\nhost a power on\ndelay 20")
    told = transitions(caplog)
    statuses = [None, "accepted", "pre-migrating", "done", "completed"]
    assert [(each["from_status"], each["to_status"]) for each in told] == list(pairwise(statuses))
    for each in told:
        assert each.keys() == PARTS
        assert (each["instance"], each["source"], each["destination"]) == (world.instances["web"], "a", "b")
        assert (each["migration"], each["request_id"]) == (1, "req-3")


def test_an_evacuation_for_which_there_is_no_room_has_both_its_lines(tell, caplog):
    tell("create web on a\ndelay 70\nhost a power off\nforce-down a\nforce-down b\nforce-down c\nevacuate web 2.95")
    assert [each["to_status"] for each in transitions(caplog)] == ["accepted", "error"]

"""Guests whose disks are encrypted are started only by who may have the key, while they are there to ask for it."""

from uuid import UUID

import pytest
from sqlalchemy import select

from evacuator.db.models import InstanceActionEvent
from evacuator.engine.engine import Rules
from tests.world.commands import tell
from tests.world.crash_points import PRELUDE, dies, points
from tests.world.shelf import OWNER, STRANGER
from tests.world.world import a_world

A_DEATH = PRELUDE + "encrypt web\ntoken owner\n"
OFF_ON_B = A_DEATH + "evacuate web 2.95 to b\nexpect web STOPPED on b\n"
LEFT_TO_OWNER = "the owner must start it"


def told(world, *after):
    """Return the steps of a host, in their order, as far as they are among ``after``."""
    return [(process, what) for process, when, what in world.crossings if when == "after" and what in after]


def power_ons(world, name="web", host=None):
    lines = [line for line in world.story.lines if f"{name} powered on" in line]
    return [line for line in lines if host is None or f" {host}: " in line]


def last_event(world):
    newest = select(InstanceActionEvent).order_by(InstanceActionEvent.id.desc()).limit(1)
    return world.database.read(lambda session: session.scalars(newest).one())


class TestAt295:
    def test_nothing_is_fetched_before_its_owner_starts_it(self, world, tell):
        tell(OFF_ON_B + "delay 60")
        assert world.shelf.fetched == []

        tell("start web\nexpect web ACTIVE on b\nexpect web runs on b\nhost a power on\nsettle")

        key_ids = world.instance("web").key_ids
        assert world.shelf.fetched == [(process, OWNER, *key_ids) for process in ("api", "b")]
        assert len(power_ons(world, host="b")) == 1

    def test_whoever_may_not_read_the_key_is_refused_before_anything_is_written(self, world, tell):
        tell(
            OFF_ON_B
            + "token stranger\nstart web\nexpect refused 403: may not read it\nexpect web STOPPED on b\ndelay 60"
        )

        assert world.instance("web").task_state is None
        assert world.shelf.fetched == []
        tell("expect web runs nowhere\ntoken owner\nstart web\nexpect web ACTIVE on b")

    @pytest.mark.parametrize(
        ("trouble", "refusal"),
        [
            ("host b power off\nforce-down b", "409: its host is down"),
            ("evacuate web 2.95", "400: is still in use"),
            ("start web", "409: while it is in vm_state"),
        ],
    )
    def test_what_is_refused_for_another_reason_is_refused_before_a_key_is_fetched(self, world, tell, trouble, refusal):
        tell(OFF_ON_B + trouble)
        before = len(world.shelf.fetched)

        tell("evacuate web 2.95" if refusal == "400: is still in use" else "start web")

        tell(f"expect refused {refusal}")
        assert len(world.shelf.fetched) == before


class TestBelow295:
    def test_with_its_owners_token_it_runs_and_the_key_comes_before_the_proof(self, world, tell):
        tell(A_DEATH + "evacuate web 2.94 to b\nexpect web ACTIVE on b\nexpect web runs on b\nhost a power on\nsettle")

        assert [(process, token) for process, token, _ in world.shelf.fetched] == [("b", OWNER)]
        steps = told(world, "define", "fetch_key", "own_instance", "power_on", "finish")
        b = [what for process, what in steps if process == "b"]
        assert b == ["define", "fetch_key", "own_instance", "power_on", "finish"]

    @pytest.mark.parametrize("whose", ["stranger", "none"])
    def test_for_whoever_may_not_read_the_key_it_is_brought_back_and_left_off(self, world, tell, whose):
        tell(
            A_DEATH
            + f"""
            token {whose}
            evacuate web 2.94 to b
            expect web STOPPED on b
            expect migration 1 done
            expect fault of web: {LEFT_TO_OWNER}
            token owner
            start web
            expect web ACTIVE on b
            host a power on
            settle
            """
        )
        assert world.instance("web").fault is None
        assert len(power_ons(world, host="b")) == 1

    def test_with_a_key_manager_that_is_silent_it_is_brought_back_and_left_off(self, world, tell):
        world.shelf.silent = True
        tell(A_DEATH + f"evacuate web 2.94 to b\nexpect web STOPPED on b\nexpect fault of web: {LEFT_TO_OWNER}")
        assert "nobody is there" in last_event(world).details
        assert last_event(world).result == "Success"

    def test_what_was_stopped_needs_no_key(self, world, tell):
        tell(
            """
            create web on a
            stop web
            encrypt web
            host a power off
            force-down a
            evacuate web 2.94 to b
            expect web STOPPED on b
            """
        )
        assert world.instance("web").fault is None
        assert world.shelf.fetched == []

    def test_with_its_message_lost_nobodys_token_is_there_and_it_is_left_off(self, world, tell):
        tell(A_DEATH + "broker drop 1\nevacuate web 2.94 to b\ndelay 8\nexpect migration 1 accepted")

        tell(f"delay 15\nexpect web STOPPED on b\nexpect migration 1 done\nexpect fault of web: {LEFT_TO_OWNER}")

        assert world.shelf.fetched == []
        tell("host a power on\nsettle")
        assert power_ons(world, host="b") == []

    def test_the_sweep_leaves_it_to_a_message_that_comes_late(self):
        with a_world(rules=Rules(caller_timeout=30)) as world:
            tell(world, A_DEATH + "broker delay 1\nevacuate web 2.94 to b\ndelay 15\nexpect migration 1 accepted")
            tell(world, "delay 10\nexpect web ACTIVE on b\nhost a power on\nsettle")
            assert len(power_ons(world, host="b")) == 1

    def test_a_message_that_comes_too_late_changes_nothing(self):
        with a_world(rules=Rules(caller_timeout=5)) as world:
            tell(world, A_DEATH + "broker delay 1\nevacuate web 2.94 to b\ndelay 15\nexpect web STOPPED on b")
            tell(world, "delay 15\nexpect web STOPPED on b\nhost a power on\nsettle")
            assert world.shelf.fetched == []
            assert power_ons(world, host="b") == []

    def test_whoever_takes_it_over_has_nobodys_token(self, world, tell):
        tell(
            A_DEATH
            + f"""
            process b freeze before claim_evacuation
            evacuate web 2.94
            expect migration 1 accepted on b
            delay 200
            expect web STOPPED on c
            expect fault of web: {LEFT_TO_OWNER}
            """
        )
        assert world.shelf.fetched == []
        tell("host b thaw\nhost a power on\nsettle")
        assert power_ons(world, host="c") == power_ons(world, host="b") == []

    def test_others_are_swept_up_at_once_when_their_message_was_lost(self, world, tell):
        tell("create db on a\n" + A_DEATH + "broker drop 1\nevacuate db 2.94 to b\ndelay 12\nexpect db ACTIVE on b")


class TestLostOrders:
    def test_a_start_whose_message_was_lost_fails_after_a_while_and_says_so(self, world, tell):
        tell(OFF_ON_B + "broker drop 1\nstart web\ndelay 8")
        assert world.instance("web").task_state == "powering-on"

        tell("delay 15\nexpect web STOPPED on b\nexpect web runs nowhere\nexpect fault of web: ask again")

        assert world.instance("web").task_state is None
        event = last_event(world)
        assert (event.event, event.result) == ("compute_start_instance", "Error")
        assert "ask again" in event.details
        # The API had asked for the key once, to see whether it may be had.
        assert [process for process, *_ in world.shelf.fetched] == ["api"]
        tell("start web\nexpect web ACTIVE on b\nhost a power on\nsettle")
        assert world.instance("web").fault is None

    def test_the_sweep_leaves_a_start_to_a_message_that_comes_late(self):
        with a_world(rules=Rules(caller_timeout=30)) as world:
            tell(world, OFF_ON_B + "broker delay 1\nstart web\ndelay 25\nexpect web ACTIVE on b")
            assert len(power_ons(world, host="b")) == 1

    def test_a_stop_or_a_delete_needs_no_key_and_is_swept_up_at_once(self, tell):
        tell(OFF_ON_B + "start web\nbroker drop 2\nstop web\ndelay 12\nexpect web STOPPED on b\ndelete web\ndelay 12")
        tell("expect web is gone")

    def test_a_hard_reboot_fetches_the_key_with_the_callers_token(self, world, tell):
        tell(OFF_ON_B + "token stranger\nreboot web\nexpect refused 403: may not read it\ntoken owner\nreboot web")
        tell("expect web ACTIVE on b\nexpect web runs on b\ntoken none\nreboot web\nexpect refused 409: shows a token")
        assert [process for process, *_ in world.shelf.fetched] == ["api", "b"]

    def test_a_hard_reboot_whose_message_was_lost_leaves_it_as_it_is(self, world, tell):
        tell(OFF_ON_B + "start web\nbroker drop 1\nreboot web\ndelay 30")
        tell("expect web ACTIVE on b\nexpect web runs on b")
        assert "ask again" in last_event(world).details


class TestLeftovers:
    """A process that dies in the middle of a start may leave the key with the hypervisor."""

    def leave_a_key(self, world, host="b"):
        folder = world.hypervisors / host / "keys"
        folder.mkdir(exist_ok=True)
        (folder / str(UUID(int=7))).touch()
        return folder

    def test_whoever_comes_next_takes_it_back_before_the_host_is_up(self, world, tell):
        tell(OFF_ON_B + "compute b crash")
        left = self.leave_a_key(world)
        tell("process b crash before beat\ncompute b restart")
        assert world.computes["b"] is None
        assert list(left.iterdir()) == []

    def test_it_is_taken_back_while_the_host_is_up_too(self, world, tell):
        left = self.leave_a_key(world)
        tell("delay 40\nexpect b up")
        assert list(left.iterdir()) == []

    @pytest.mark.parametrize("kind", ["refuse", "timeout"])
    def test_a_host_is_up_also_when_it_cannot_be_taken_back_yet(self, world, tell, kind):
        left = self.leave_a_key(world)
        tell(f"driver b fail take_keys_back 3 {kind}\ncompute b restart\ndelay 20\nexpect b up")
        assert list(left.iterdir())
        tell("delay 120\nexpect b up")
        assert list(left.iterdir()) == []


EVACUATION = "evacuate web 2.94 to b\nhost a power on\ndelay 60"
START = "evacuate web 2.95 to b\nstart web\nhost a power on\ndelay 60"
SILENCE = "evacuate web 2.95 to b\nhost a power on\ndelay 60"
STORIES = {"evacuation": EVACUATION, "start": START}
POINTS = [
    # Right after one step is right before the next.
    (name, point)
    for name, story in STORIES.items()
    for point in points(story, A_DEATH)
    if point.when == "before"
]


def test_the_key_manager_is_one_of_the_points():
    asked = {(name, point.process) for name, point in POINTS if point.what == "fetch_key"}
    assert asked == {("evacuation", "b"), ("start", "api"), ("start", "b")}


@pytest.mark.parametrize(("name", "point"), POINTS, ids=[f"{name}: {point}" for name, point in POINTS])
def test_whoever_dies_it_is_started_once_or_left_to_its_owner(name, point):
    """A start that was interrupted is not repeated: the token is gone with who had it."""
    with a_world() as world:
        dies(world, STORIES[name], point, A_DEATH)
        world.settle()
        assert len(power_ons(world, host="b")) <= 1
        assert {token for _process, token, _key_id in world.shelf.fetched} <= {OWNER}
        instance = world.instance("web")
        if instance.host == "b" and instance.vm_state == "stopped":
            tell(world, "token owner\nstart web\nexpect web ACTIVE on b")
            world.settle()
            assert len(power_ons(world, host="b")) <= 2
        elif instance.host == "b":
            tell(world, "expect web runs on b")


def test_on_the_way_to_stopped_there_is_no_point_at_which_a_key_is_fetched():
    assert not {point.what for point in points(SILENCE, A_DEATH)} & {"fetch_key", "power_on", "own_instance"}


def test_a_stranger_fetches_nothing_however_often_they_ask(world, tell):
    tell(OFF_ON_B + "token stranger\nstart web\nreboot web\nstart web\nhost a power on\nsettle")
    assert world.shelf.fetched == []
    assert STRANGER not in str(world.story)


class TestWhenNobodyHearsThatItWasCommitted:
    """The token of its owner travels with the message alone, which must be sent all the same."""

    def test_its_acceptance(self, world, tell):
        tell(A_DEATH + "database lose 1\nevacuate web 2.94 to b\nexpect web ACTIVE on b")

    def test_its_claim(self, world, tell):
        tell(
            A_DEATH
            + "process b freeze before claim_evacuation\nevacuate web 2.94 to b\ndatabase lose 1\nhost b thaw\n"
            + "expect web ACTIVE on b"
        )

    def test_the_order_to_start_it(self, world, tell):
        tell(OFF_ON_B + "database lose 1\nstart web\nexpect web ACTIVE on b")

    @pytest.mark.parametrize("transactions", range(1, 7))
    def test_any_of_them(self, world, tell, transactions):
        tell(A_DEATH + f"database lose {transactions}\nevacuate web 2.94 to b\ndelay 60\nexpect web ACTIVE on b")

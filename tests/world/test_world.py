"""The world itself: it does what it is told, the same way each time, and sees what it has to see."""

import pytest

from tests.world import commands
from tests.world.commands import Unexpected
from tests.world.world import a_world

A_DEATH = """
create web on a
create db on a
delay 80
host a power off
delay 80
evacuate web 2.94
evacuate db 2.95
"""


def test_a_dead_hosts_instances_are_brought_back_as_they_were_asked_to_be(tell):
    tell(
        A_DEATH
        + """
        expect web ACTIVE on b
        expect web runs on b
        expect db STOPPED on c
        expect db runs nowhere
        settle
        expect migration 1 completed
        """
    )


def test_a_story_can_be_told_again():
    def told():
        with a_world() as world:
            commands.tell(world, A_DEATH)
            world.settle()
            return str(world.story)

    assert told() == told()


def test_an_expectation_that_is_not_met_is_an_error(tell):
    with pytest.raises(Unexpected):
        tell("create web on a\nexpect web STOPPED on a")


def test_what_is_no_command_is_an_error(tell):
    with pytest.raises(ValueError, match="not a command"):
        tell("evacuate everything at once")


def test_a_process_that_dies_between_two_steps_leaves_the_second_undone(tell, world):
    tell(
        A_DEATH.replace("evacuate web 2.94", "process b crash before own_instance\nevacuate web 2.94")
        + """
        expect web ACTIVE on a
        expect web runs nowhere
        settle
        """
    )
    assert ("b", "before", "own_instance") in world.crossings


def test_a_process_that_never_comes_to_where_it_was_to_die_is_an_error():
    for last in ("", "\nsettle"):
        with pytest.raises(Unexpected, match="process b crash before own_instance"), a_world() as world:
            commands.tell(world, f"process b crash before own_instance\ncreate web on a{last}")


def test_a_frozen_process_does_nothing_until_it_is_thawed(tell):
    tell(
        A_DEATH.replace("evacuate web 2.94", "process b freeze after define\nevacuate web 2.94")
        + """
        delay 20
        expect migration 1 pre-migrating
        host b thaw
        expect web ACTIVE on b
        settle
        """
    )


def test_a_lost_acknowledgement_is_found_out(tell):
    tell(A_DEATH.replace("evacuate web 2.94", "database lose 1\nevacuate web 2.94") + "\nexpect 2 migrations\nsettle")


def test_a_host_cut_off_is_not_heard_but_its_guests_run(tell):
    tell(
        """
        create web on a
        delay 80
        host a network off
        delay 80
        expect a down
        expect web runs on a
        """
    )

"""What random schedules found, and what they hardly ever find, each as the shortest story in which it happens."""

from evacuator.db import nodes
from evacuator.evacuation.destination import Room
from tests.world import commands
from tests.world.world import a_world


def test_an_instance_deleted_while_its_host_cleans_does_not_run_on_there(tell):
    """The host was about to be up with a guest that nobody owned any more."""
    tell(
        """
        create web on a
        delay 70
        process a freeze after inventory
        compute a restart
        delete web
        expect web is gone
        host a thaw
        expect a down
        delay 10
        expect a up
        expect web runs nowhere
        settle
        """
    )


def test_a_host_cut_off_removes_what_was_deleted_before_it_is_up_again(tell):
    tell(
        """
        create web on a
        delay 70
        host a network off
        delay 80
        delete web
        expect web is gone
        expect web runs on a
        host a network on
        delay 10
        expect a up
        expect web runs nowhere
        settle
        """
    )


def test_a_second_try_goes_by_what_the_instance_was_before_the_first_one_failed(tell, world):
    """An older release starts whatever was not stopped before."""
    tell(
        """
        create web on a
        delay 70
        stop web
        host a power off
        force-down a
        driver b fail define 1
        evacuate web 2.94 to b
        expect web ERROR on a
        evacuate web 2.94 to b
        expect web STOPPED on b
        """
    )
    assert [record.vm_state_before for record in world.records()] == ["stopped", "stopped"]


def test_a_delete_order_that_slept_too_long_is_proven_again(tell, world):
    """Else a source that thaws would delete the disk of an instance that runs elsewhere by then."""
    tell(
        """
        create web on a
        delay 70
        process a freeze after prove_order
        delete web
        delay 100
        expect web runs on a
        reset web
        evacuate web 2.94
        expect web ACTIVE on b
        host a thaw
        expect web ACTIVE on b
        """
    )
    assert world.has_disk(world.instances["web"])


def test_a_lost_acknowledgement_makes_no_second_instance(tell, world):
    tell("database lose 1\ncreate web on a\ndelay 10\nexpect web ACTIVE on a")
    with world.database.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM instances").scalar() == 1


def test_a_lost_acknowledgement_makes_no_second_record_of_an_evacuation_that_ended_at_once(tell):
    tell(
        """
        create web on a
        host a power off
        force-down a
        force-down b
        force-down c
        database lose 1
        evacuate web 2.94
        expect 1 migrations
        expect migration 1 error
        """
    )


def test_what_happens_at_one_moment_is_judged_in_the_order_that_explains_it(tell):
    """The copy that was not fenced began at the same moment as the good one, on a host whose name comes later."""
    tell("create web on b\nforce-down b\nevacuate web 2.94 to a\nexpect web ACTIVE on a\nsettle")


def test_who_loses_an_instance_twice_at_the_moment_at_which_it_started_it_started_it_first(tell):
    """With one moment for all three, it looked as if two evacuations had made the start void before it was made."""
    tell(
        """
        create web on a
        delay 70
        host a power off
        force-down a
        process b freeze after claim_evacuation
        evacuate web 2.94 to b
        delay 15
        host b thaw
        expect web ACTIVE on b
        host b power off
        force-down b
        evacuate web 2.94 to c
        expect web ACTIVE on c
        force-down c
        evacuate web 2.94
        expect migration 3 error
        settle
        """
    )


def test_an_order_on_its_way_in_a_host_that_was_not_fenced_is_late_however_often_the_instance_moved_since(tell):
    tell(
        """
        create web on a
        delay 70
        host a power off
        force-down a
        process b freeze before power_on
        evacuate web 2.94 to b
        force-down b
        delay 1
        evacuate web 2.94 to c
        expect web ACTIVE on c
        delay 1
        host c power off
        force-down c
        evacuate web 2.94
        expect migration 3 error
        host b thaw
        expect web runs nowhere
        settle
        """
    )


def test_an_evacuation_that_cannot_be_settled_keeps_no_other_waiting(tell, world):
    """Somebody left a claim on the only host that could have it, which `verify` calls unexplained."""
    tell(
        """
        create web on a
        create db on a
        delay 70
        host a power off
        force-down a
        process b freeze after define
        evacuate web 2.95
        evacuate db 2.95 to b
        expect migration 1 pre-migrating on b
        """
    )
    world.watch.look = world.watch.judge = lambda: None
    world.database.write(lambda session: nodes.claim(session, "c", world.instances["web"], Room(1, 512, 1)))
    tell("force-down b\ndelay 60\nexpect migration 1 pre-migrating\nexpect migration 2 failed")


def test_a_hypervisor_that_did_not_answer_is_looked_at_before_its_host_is_up_again(tell, world):
    """Whoever mended it may have restored or started guests: the heartbeat that comes next is not enough."""
    tell("create web on a\ndelay 70\ndriver a fail facts 9 timeout\ndelay 70\nexpect a down")
    began = len(world.crossings)
    tell("delay 40\nexpect a up")
    done = [what for process, when, what in world.crossings[began:] if (process, when) == ("a", "after")]
    assert "inventory" in done[: done.index("beat")]


def test_an_order_that_was_followed_by_another_one_is_void(tell, world):
    """The host freezes with a start in hand; when it thaws the instance is to be deleted, and is not started before."""
    tell(
        """
        create web on a
        stop web
        process a freeze after begin_order
        start web
        delete web
        host a thaw
        expect web is gone
        settle
        """
    )
    assert "powered on (req-3)" not in str(world.story)


def test_who_is_not_up_takes_no_evacuation_away_from_others(tell):
    """The only host that is left does not know its own guests: it would find that there is no host, and give up."""
    tell(
        """
        create web on a
        delay 70
        host a power off
        force-down a
        process b freeze after claim_evacuation
        evacuate web 2.94
        driver c fail facts 12 timeout
        delay 20
        force-down b
        delay 90
        expect c down
        expect migration 1 pre-migrating on b
        delay 70
        expect c up
        expect web ACTIVE on c
        settle
        """
    )


def test_two_evacuations_of_an_instance_to_one_host_are_worked_on_one_after_the_other():
    """The first was reset while it was being defined. It ends and is cleaned up before the second is begun."""
    with a_world(define_seconds=40) as world:
        commands.tell(
            world,
            """
            create web on a
            delay 110
            host a power off
            force-down a
            evacuate web 2.94 to b
            delay 10
            expect migration 1 pre-migrating on b
            reset web
            evacuate web 2.94 to b
            delay 20
            expect migration 2 accepted on b
            delay 60
            expect migration 2 done on b
            expect web ACTIVE on b
            settle
            """,
        )

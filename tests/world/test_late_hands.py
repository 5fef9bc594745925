"""Hands that come late, or to the wrong place: what a host takes away is nobody else's by then."""

from sqlalchemy import update

from evacuator.db.models import ComputeNode
from tests.world.commands import tell as tell_of
from tests.world.test_hard_cases import LOST, disk
from tests.world.world import a_world

#: b could not start web, says so, and sleeps before it takes away what it has of it.
SLEEPS_AFTER_A_FAILED_START = """
    create web on a
    delay 70
    host a power off
    force-down a
    driver b fail power_on 1
    process b freeze after fail
    evacuate web 2.94 to b
    expect web ERROR on a
    delay 70
    compute b another
    delay 20
    expect b up
    evacuate web 2.94 to b
    delay 5
"""


def share(world, host, other):
    """Have a host mount the storage of another in the place of its own, and say so."""
    disks = world.hypervisors / host / "disks"
    disks.rmdir()
    disks.symlink_to(world.hypervisors / other / "disks")
    said = update(ComputeNode).where(ComputeNode.host == host).values(storage_id=f"simulated-{other}")
    world.database.write(lambda transaction: transaction.execute(said))


# -- a start that failed


def test_a_destination_that_slept_after_a_failed_start_leaves_alone_a_guest_that_came_back_since(tell):
    tell(
        SLEEPS_AFTER_A_FAILED_START
        + """
        expect web ACTIVE on b
        host b thaw
        delay 20
        expect web runs on b
        settle
        """
    )


def test_a_destination_that_slept_after_a_failed_start_leaves_alone_a_disk_that_was_made_since():
    with a_world(**LOST) as world:
        tell_of(world, SLEEPS_AFTER_A_FAILED_START + "expect fault of web: is there already")
        disk(world, "b").rename(world.folder / "moved-as-told")
        tell_of(
            world,
            """
            evacuate web 2.94 to b
            delay 5
            expect web ACTIVE on b
            host a power on
            delay 60
            host b thaw
            delay 20
            expect web runs on b
            """,
        )
        assert disk(world, "b").exists()


def test_a_start_that_fails_takes_back_the_disk_that_was_made_for_it_and_no_other():
    with a_world(**LOST) as world:
        tell_of(
            world,
            """
            create web on a
            delay 70
            host a power off
            force-down a
            driver b fail power_on 1
            evacuate web 2.94 to b
            expect web ERROR on a
            """,
        )
        assert not disk(world, "b").exists()
        assert disk(world, "a").exists()
        tell_of(world, "evacuate web 2.94 to b\ndelay 5\nexpect web ACTIVE on b\nsettle")


# -- a source that comes back


def test_a_source_that_comes_back_sets_no_disk_aside_on_which_another_host_runs_the_server_by_now():
    with a_world(**LOST) as world:
        share(world, "c", "a")
        tell_of(
            world,
            """
            create web on a
            delay 70
            host a power off
            force-down a
            evacuate web 2.94 to b
            delay 5
            expect web ACTIVE on b
            host b power off
            force-down b
            evacuate web 2.94 to c
            delay 5
            expect fault of web: is there already
            """,
        )
        disk(world, "a").rename(world.folder / "moved-as-told")
        tell_of(
            world,
            """
            evacuate web 2.94 to c
            delay 5
            expect web ACTIVE on c
            host a power on
            delay 60
            expect migration 1 completed
            expect web runs on c
            """,
        )
        assert disk(world, "c").exists()
        tell_of(world, "settle")

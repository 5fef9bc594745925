"""What is hard to come by at random, each as a short story."""

import pytest

from tests.world.commands import tell as tell_of
from tests.world.watch import Broken
from tests.world.world import a_world

#: Each host has its own disks, and one that is lost with its host may be made anew from the image.
LOST = {"shared_storage": False, "rebuilds": True}

#: How most of them begin: a server runs, its host dies, and that is said.
A_DIED = "create web on a\ndelay 70\nhost a power off\nforce-down a\n"


def disk(world, host, name="web"):
    return world.hypervisors / host / "disks" / world.instances[name]


# -- cleaning


def test_a_guest_that_does_not_answer_holds_up_the_cleaning_of_no_other(tell, world):
    tell(
        """
        create web on a
        create db on a
        delay 70
        host a network off
        delay 80
        evacuate web 2.94 to b
        evacuate db 2.94 to b
        expect db runs on a and b
        driver a fail destroy 99 timeout of web
        host a network on
        delay 60
        expect db runs on b
        expect a down
        """
    )
    world.driver_faults["a"].clear()
    tell("delay 30\nexpect a up\nexpect web runs on b\nsettle")


def test_a_stopped_guest_that_does_not_answer_does_not_keep_its_host_down(tell):
    tell(
        """
        create web on a
        delay 70
        host a power off
        delay 80
        evacuate web 2.94
        delay 5
        driver a fail destroy 99 timeout of web
        host a power on
        delay 60
        expect a up
        settle
        """
    )


def test_a_hypervisor_that_is_managed_under_a_name_not_its_own_keeps_its_guests(tell, world):
    tell(
        """
        create web on a
        delay 70
        compute a crash
        """
    )
    guests = {host: world.hypervisors / host / "guests" for host in "ac"}
    guests["a"].rename(world.hypervisors / "aside")
    guests["c"].rmdir()
    (world.hypervisors / "aside").rename(guests["c"])
    with pytest.raises(Broken, match="stray-copy"):
        tell("compute c restart")
    world.delay(120)
    assert [host for host, _uuid in world.running()] == ["c"]
    assert not world.heard("c").up


# -- what was asked for before


@pytest.mark.parametrize("version", ["2.94", "2.95"])
def test_a_start_that_an_api_process_was_frozen_over_starts_nothing_after_an_evacuation(tell, version):
    tell(
        f"""
        create web on a
        delay 70
        stop web
        process api freeze before order
        start web
        api another
        host a power off
        force-down a
        evacuate web {version} to b
        expect web STOPPED on b
        delay 3600
        api thaw
        expect refused 503: Nothing was written
        delay 5
        expect web runs nowhere
        settle
        """
    )


def test_an_evacuation_that_an_api_process_was_frozen_over_starts_nothing_after_one_that_promised_silence(tell):
    tell(
        A_DIED
        + """
        process api freeze before accept_evacuation
        evacuate web 2.94
        api another
        driver b fail define 1
        evacuate web 2.95 to b
        expect web ERROR on a
        delay 90
        api thaw
        expect refused 503: Nothing was written
        delay 5
        expect 1 migrations
        expect web runs nowhere
        settle
        """
    )


# -- deletion


def test_a_server_that_is_being_deleted_is_not_evacuated_and_is_gone_once_it_is_deleted_again(tell):
    tell(
        """
        create web on a
        delay 70
        process a crash before begin_order
        delete web
        host a power off
        force-down a
        evacuate web 2.94
        expect refused 409: delete it again
        delete web
        expect web is gone
        settle
        """
    )


def test_a_source_that_slept_over_a_deletion_takes_no_disk_from_under_a_server_that_runs(tell, world):
    tell(
        """
        create web on a
        delay 70
        process a freeze before destroy
        delete web
        force-down a
        evacuate web 2.94
        expect refused 409: delete it again
        host a thaw
        delay 30
        expect web is gone
        """
    )
    assert not world.has_disk(world.instances["web"])


# -- two managers of one host


def test_a_manager_that_slept_while_another_took_its_place_takes_nothing_away(tell):
    tell(
        A_DIED
        + """
        evacuate web 2.95 to b
        expect web STOPPED on b
        process a freeze after read ownership_of 2
        host a power on
        compute a another
        delay 60
        force-up a
        delay 60
        host b power off
        force-down b
        evacuate web 2.94 to a
        start web
        delay 5
        expect web runs on a
        host a thaw
        delay 60
        expect web runs on a
        settle
        """
    )


def test_a_stop_that_a_manager_slept_over_stops_nothing_that_was_started_since(tell):
    tell(
        """
        create web on a
        delay 70
        process a freeze after begin_order
        stop web
        compute a another
        delay 30
        expect web STOPPED on a
        start web
        delay 5
        host a thaw
        delay 5
        expect web runs on a
        settle
        """
    )


def test_a_manager_that_slept_sets_no_disk_aside_that_is_in_use_again():
    with a_world(**LOST) as world:
        tell_of(
            world,
            A_DIED
            + """
            evacuate web 2.95 to b
            expect web STOPPED on b
            process a freeze after inventory 2
            host a power on
            compute a another
            delay 60
            force-up a
            delay 60
            host b power off
            force-down b
            evacuate web 2.95 to a
            delay 10
            expect web STOPPED on a
            host a thaw
            delay 10
            expect web STOPPED on a
            """,
        )
        assert disk(world, "a").exists()


# -- a start that fails


@pytest.mark.parametrize("how", ["before destroy", "before power_on"])
def test_a_destination_that_slept_over_a_start_that_fails_takes_nothing_that_is_not_its_own_any_more(how):
    with a_world(**LOST) as world:
        tell_of(
            world,
            A_DIED
            + f"""
            process b freeze {how}
            driver b fail power_on 1
            evacuate web 2.94 to b
            reset web
            host b thaw
            delay 60
            """,
        )
        assert disk(world, world.instance("web").host).exists()


def test_a_destination_that_dies_once_a_failed_start_is_written_down_leaves_no_guest_behind(tell, world):
    tell(
        A_DIED
        + """
        driver b fail power_on 1
        process b crash before destroy
        evacuate web 2.94 to b
        expect web ERROR on a
        compute b restart
        delay 60
        expect b up
        settle
        """
    )
    assert not list((world.hypervisors / "b" / "guests").glob("*.json"))
    assert world.has_disk(world.instances["web"])

"""Hands that come late, or to the wrong place: what a host takes away is nobody else's by then."""

import pytest
from sqlalchemy import delete, select, update

from evacuator.db.models import Allocation, ComputeNode, InstanceActionEvent
from evacuator.engine import clean
from evacuator.engine.adopt import release_guest
from evacuator.errors import Conflict
from tests.world.commands import tell as tell_of
from tests.world.test_hard_cases import A_DIED, LOST, disk
from tests.world.watch import Broken
from tests.world.world import a_world

#: b could not start web, says so, and sleeps before it takes away what it has of it.
SLEEPS_AFTER_A_FAILED_START = (
    A_DIED
    + """
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
)


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
            A_DIED
            + """
            driver b fail power_on 1
            evacuate web 2.94 to b
            expect web ERROR on a
            """,
        )
        assert not disk(world, "b").exists()
        assert disk(world, "a").exists()
        tell_of(world, "evacuate web 2.94 to b\ndelay 5\nexpect web ACTIVE on b\nsettle")


def test_a_destination_that_was_replaced_leaves_no_disk_behind_that_a_later_evacuation_would_find():
    with a_world(**LOST) as world:
        tell_of(
            world,
            A_DIED
            + """
            process b freeze after define
            evacuate web 2.94
            delay 150
            expect web ACTIVE on c
            host b thaw
            delay 60
            expect b up
            """,
        )
        assert not disk(world, "b").exists()
        tell_of(
            world,
            """
            host c power off
            force-down c
            evacuate web 2.94 to b
            delay 5
            expect web ACTIVE on b
            settle
            """,
        )


def test_an_evacuation_back_to_a_source_that_still_has_the_old_disk_leaves_it_alone_whatever_comes_of_it():
    """Its guest there is no proof that this evacuation made what lies beside it."""
    with a_world(**LOST) as world:
        tell_of(
            world,
            A_DIED
            + """
            process b crash after own_instance
            evacuate web 2.94 to b
            expect web ACTIVE on b
            host a power on
            delay 20
            force-up a
            expect a up
            force-down b
            driver a fail power_on 1
            """,
        )
        old = disk(world, "a").read_text()
        tell_of(world, "evacuate web 2.94 to a\ndelay 5\nexpect fault of web: is there already")
        assert disk(world, "a").read_text() == old
        tell_of(world, "settle")
        assert disk(world, "a").read_text() == old


@pytest.mark.parametrize("version", ["2.94", "2.95"])
def test_a_destination_that_slept_leaves_alone_the_disk_that_another_of_its_storage_uses_by_now(version):
    with a_world(**LOST) as world:
        share(world, "c", "b")
        tell_of(
            world,
            A_DIED
            + f"""
            process b freeze after define
            evacuate web {version}
            delay 150
            expect web {"ACTIVE" if version == "2.94" else "STOPPED"} on c
            host b thaw
            delay 20
            """,
        )
        assert disk(world, "c").exists()
        tell_of(world, "settle")
        assert disk(world, "c").exists()


def test_of_a_host_whose_storage_is_not_known_any_more_no_disk_is_deleted():
    with a_world(**LOST) as world:
        tell_of(world, A_DIED + "evacuate web 2.94 to b\ndelay 5")
        (record,) = world.records()
        assert clean.owns_its_disk(world.api.engine, "b", record)
        world.database.write(lambda session: session.execute(delete(ComputeNode).where(ComputeNode.host == "b")))
        assert not clean.owns_its_disk(world.api.engine, "b", record)


def test_a_destination_that_slept_after_a_failed_start_leaves_alone_what_another_of_its_storage_made_since():
    with a_world(**LOST) as world:
        share(world, "c", "b")
        tell_of(
            world,
            A_DIED
            + """
            driver b fail power_on 1
            process b freeze after fail
            evacuate web 2.94 to b
            expect web ERROR on a
            """,
        )
        disk(world, "b").rename(world.folder / "moved-as-told")
        tell_of(world, "evacuate web 2.94 to c\ndelay 5\nexpect web ACTIVE on c\nhost b thaw\ndelay 20")
        assert disk(world, "c").exists()


def test_a_new_disk_that_the_instance_may_have_run_on_is_kept_when_it_cannot_be_started_again():
    with a_world(**LOST) as world:
        tell_of(
            world,
            A_DIED
            + """
            process b crash after power_on
            evacuate web 2.94 to b
            expect web runs on b
            host b power off
            driver b fail power_on 1
            host b power on
            delay 20
            expect migration 1 failed
            expect web ERROR on b
            expect fault of web: may have started the instance on its new disk
            """,
        )
        assert disk(world, "b").exists()
        tell_of(world, "start web\ndelay 5\nexpect web ACTIVE on b\nsettle")


# -- a source that comes back


def test_a_source_that_comes_back_sets_no_disk_aside_on_which_another_host_runs_the_server_by_now():
    with a_world(**LOST) as world:
        share(world, "c", "a")
        tell_of(
            world,
            A_DIED
            + """
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


EVACUATED_AND_BACK = (
    A_DIED
    + """
    evacuate web 2.94 to b
    delay 5
    host a power on
    delay 60
    force-up a
    delay 60
    expect migration 1 completed
    expect web runs on b
"""
)


def move_guests(world, source, destination):
    """Have the hypervisor of one host be another's from now on, as if it had been given that one's name."""
    guests = {host: world.hypervisors / host / "guests" for host in (source, destination)}
    guests[destination].rmdir()
    guests[source].rename(guests[destination])


def test_a_host_that_is_started_under_the_name_of_one_that_was_evacuated_keeps_the_guests_that_run_on_it(world):
    tell_of(world, EVACUATED_AND_BACK + "compute a crash\ncompute b crash")
    move_guests(world, "b", "a")
    with pytest.raises(Broken, match=r"(?s)stray-copy: .* may be the only one there is"):
        tell_of(world, "compute a restart")
    world.delay(120)
    assert [host for host, _uuid in world.running()] == ["a"]
    assert not world.heard("a").up


def test_a_host_to_which_an_evacuation_was_refused_has_nothing_to_do_with_a_guest_that_is_started_there(world):
    tell_of(
        world,
        A_DIED
        + """
        force-down b
        evacuate web 2.94 to b
        expect migration 1 error
        force-up b
        compute b crash
        """,
    )
    move_guests(world, "a", "b")
    guest = world.hypervisors / "b" / "guests" / f"{world.instances['web']}.json"
    guest.write_text(guest.read_text().replace("shutdown", "running"))
    with pytest.raises(Broken, match=r"(?s)stray-copy: .* may be the only one there is"):
        tell_of(world, "compute b restart")
    world.delay(120)
    assert [host for host, _uuid in world.running()] == ["b"]
    assert not world.heard("b").up


def test_an_evacuation_that_is_refused_gives_back_nothing_of_what_another_one_claims(world):
    tell_of(
        world,
        """
        create web on b
        delay 70
        host b power off
        force-down b
        evacuate web 2.94 to c
        expect migration 1 done
        host c power off
        force-down c
        evacuate web 2.94 to b
        expect migration 2 error
        """,
    )
    claims = world.database.read(lambda session: sorted(session.scalars(select(Allocation.host))))
    assert claims == ["b", "c"]
    tell_of(world, "settle")


def test_a_host_that_an_evacuation_came_back_to_removes_what_the_one_before_left(world):
    tell_of(
        world,
        EVACUATED_AND_BACK
        + """
        host b power off
        force-down b
        evacuate web 2.94 to a
        expect web ACTIVE on a
        host a network off
        force-down a
        evacuate web 2.94 to c
        expect web runs on a and c
        host a network on
        delay 60
        expect web runs on c
        settle
        """,
    )


def test_a_cleaning_that_slept_over_its_inventory_completes_nothing_that_came_and_went_since(tell):
    tell(
        """
        create web on b
        delay 70
        process a freeze after inventory 2
        delay 30
        compute a another
        delay 5
        host b power off
        force-down b
        evacuate web 2.94 to a
        delay 5
        expect web runs on a
        compute a crash
        force-down a
        evacuate web 2.94 to c
        expect migration 2 done
        expect web runs on a and c
        host a thaw
        expect migration 2 done
        compute a restart
        delay 60
        expect web runs on c
        settle
        """
    )


def test_that_the_service_of_a_host_was_deleted_proves_nothing_of_what_runs_there(world):
    tell_of(
        world,
        A_DIED
        + """
        evacuate web 2.94 to b
        delay 5
        """,
    )
    service = world.heard("a").service.id
    world.request("delete service a", "DELETE", f"/os-services/{service}", version="2.52")
    tell_of(world, "delay 5\nexpect migration 1 completed\nhost a power on\ndelay 60\nexpect a up")
    found = clean.ownership_of(world.api.engine, "a", world.instances["web"])
    assert found.was_here
    assert not found.seen_gone


# -- what is given back


def test_a_guest_is_not_given_back_while_the_source_of_an_evacuation_that_failed_may_run_it_too(world):
    tell_of(
        world,
        """
        create web on a
        delay 70
        host a network off
        delay 80
        driver b fail power_on 1 lost
        evacuate web 2.94 to b
        delay 5
        expect web ERROR on b
        expect web runs on a and b
        """,
    )
    with pytest.raises(Conflict, match="was evacuated from a, which has not been back"):
        release_guest(world.api.engine, "b", world.instances["web"])
    tell_of(world, "host a network on\ndelay 60\nexpect web runs on b\nexpect a up")
    assert release_guest(world.api.engine, "b", world.instances["web"])


# -- keys


ENCRYPTED = "create web on a\ndelay 70\nstop web\nencrypt web\ntoken owner\n"


def test_a_host_that_slept_over_a_start_asks_for_no_key_once_silence_was_promised(tell, world):
    tell(
        ENCRYPTED
        + """
        process a freeze after define
        start web
        force-down a
        evacuate web 2.95 to b
        expect web STOPPED on b
        delay 600
        """
    )
    before = list(world.shelf.fetched)
    tell("host a thaw\ndelay 5\nexpect web runs nowhere")
    assert world.shelf.fetched == before


def test_a_destination_that_slept_asks_for_no_key_once_silence_was_promised(tell, world):
    tell(
        """
        create web on a
        delay 70
        encrypt web
        host a power off
        force-down a
        token owner
        process b freeze after define
        evacuate web 2.94 to b
        force-down b
        token none
        evacuate web 2.95 to c
        expect web STOPPED on c
        delay 600
        """
    )
    before = list(world.shelf.fetched)
    tell("host b thaw\ndelay 5\nexpect web runs nowhere")
    assert world.shelf.fetched == before


def test_an_api_process_that_slept_over_a_start_asks_for_no_key_once_silence_was_promised(tell, world):
    tell(
        ENCRYPTED
        + """
        process api freeze after read order
        start web
        token none
        api another
        force-down a
        evacuate web 2.95 to b
        expect web STOPPED on b
        delay 600
        """
    )
    before = list(world.shelf.fetched)
    tell("api thaw\ndelay 5\nexpect refused 503: Nothing was written\nexpect web runs nowhere")
    assert world.shelf.fetched == before


# -- disks of which nobody knows how old they are


def last_event(world):
    details = select(InstanceActionEvent.details).order_by(InstanceActionEvent.id.desc()).limit(1)
    return world.database.read(lambda session: session.scalar(details))


def test_a_disk_that_lay_on_the_destination_is_used_and_said_to_be_of_an_age_that_nobody_knows():
    with a_world(shared_storage=False) as world:
        tell_of(world, A_DIED)
        disk(world, "b").write_text(disk(world, "a").read_text())
        tell_of(world, "evacuate web 2.94 to b\ndelay 5\nexpect web ACTIVE on b")
        assert "the disk that lay on b was used: whether it is the instance's newest nobody knows" in last_event(world)
        assert "whether it is the instance's newest nobody knows" in str(world.story)


def test_of_a_disk_on_shared_storage_there_is_nothing_to_say(world):
    tell_of(world, A_DIED + "evacuate web 2.94\nexpect web ACTIVE on b")
    assert last_event(world) is None

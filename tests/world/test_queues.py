"""What waits for a host that has much to take in is late, and no worse for it."""

from collections import deque
from functools import partial

import pytest

from evacuator.compute.manager import ComputeManager
from evacuator.virt.simulated import SimulatedSettings
from tests.world import commands
from tests.world.world import a_world


class OneAtATime:
    """A pool of one worker: what is submitted meanwhile waits."""

    def __init__(self, workers):
        self._workers = workers
        self._queue = deque()
        self._busy = False

    def submit(self, work, /):
        self._queue.append(work)
        if not self._busy:
            self._busy = True
            self._workers.submit(self._do_all)

    def _do_all(self):
        while self._queue:
            self._queue.popleft()()
        self._busy = False


def one_at_a_time(host, workers, incarnation):
    return ComputeManager(host, OneAtATime(workers), incarnation)


BUSY = """
    create web on a
    create db on a
    create mail on a
    delay 700
    host a power off
    force-down a
    """


@pytest.fixture
def tell(request):
    with a_world(request.param, manager=one_at_a_time, define_seconds=200.0) as world:
        yield partial(commands.tell, world)


@pytest.mark.parametrize("tell", ["ab"], indirect=True)
@pytest.mark.parametrize("to", ["", " to b"])
def test_what_waits_in_the_queue_of_the_only_host_is_left_there(tell, to):
    tell(
        f"""
        {BUSY}
        evacuate web 2.94{to}
        evacuate db 2.94{to}
        evacuate mail 2.94{to}
        delay 390
        expect web ACTIVE on b
        expect migration 3 accepted on b
        delay 250
        expect mail ACTIVE on b
        settle
        """
    )


@pytest.mark.parametrize("tell", ["abc"], indirect=True)
def test_what_waits_too_long_goes_to_a_host_that_has_come_meanwhile(tell):
    tell(
        f"""
        {BUSY}
        host c power off
        force-down c
        evacuate web 2.94
        evacuate db 2.94
        evacuate mail 2.94
        host c power on
        delay 70
        force-up c
        delay 270
        expect migration 3 pre-migrating on c
        expect migration 2 pre-migrating on b
        settle
        """
    )


@pytest.mark.parametrize("tell", ["abc"], indirect=True)
def test_what_waits_for_a_host_that_dies_is_told_why_no_other_can_have_it(tell):
    tell(
        f"""
        {BUSY}
        host c power off
        force-down c
        evacuate web 2.94
        evacuate db 2.94
        delay 10
        host b power off
        force-down b
        host a power on
        delay 70
        force-up a
        delay 45
        expect migration 2 failed
        expect fault of db: b had it already
        """
    )


@pytest.mark.parametrize("tell", ["ab"], indirect=True)
def test_that_one_failed_for_waiting_too_long_is_no_work_of_its_destination(tell):
    tell(
        f"""
        {BUSY}
        compute b busy
        evacuate web 2.94
        evacuate db 2.94
        evacuate mail 2.94
        delay 350
        expect migration 1 failed
        expect migration 2 failed
        expect migration 3 failed
        compute b free
        settle
        """
    )


@pytest.mark.parametrize("tell", ["ab"], indirect=True)
@pytest.mark.parametrize("to", ["", " to b"])
def test_what_waits_for_a_host_that_reports_up_and_works_on_nothing_fails(tell, to):
    tell(
        f"""
        {BUSY}
        compute b busy
        evacuate web 2.94{to}
        delay 290
        expect migration 1 accepted on b
        delay 60
        expect migration 1 failed
        expect fault of web: did not begin with the evacuation for 300 s
        compute b free
        settle
        """
    )


def test_what_waits_for_as_long_as_it_takes_is_not_called_stuck():
    """The watch judges as ``evacuator verify`` does, and the third is older than one that waits for no other may be."""
    with a_world("ab", manager=one_at_a_time) as world:
        commands.tell(world, BUSY.replace("delay 700", "delay 70"))
        world.settings = SimulatedSettings(define_seconds=860.0)
        commands.tell(world, "compute b restart\ndelay 1\nevacuate web 2.94\nevacuate db 2.94\nevacuate mail 2.94")
        commands.tell(world, "delay 2550\nexpect migration 3 pre-migrating on b\ndelay 60\nexpect mail ACTIVE on b")

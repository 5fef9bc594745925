"""What a process was kept from doing, and comes to when nobody wants it any more, or when it is done already."""

from dataclasses import replace

from evacuator.virt.simulated import Event, read_journal
from tests.world.boundaries import name_of
from tests.world.client import Client

STOPPED_ON_A = "create web on a\ndelay 70\nstop web\nexpect web STOPPED on a\n"
MOVED_TO_B = "api another\nhost a power off\nforce-down a\nevacuate web 2.95 to b\nexpect web STOPPED on b\n"
REFUSED = "api thaw\nexpect refused 503: Nothing was written\ndelay 15\n"


def test_a_start_that_was_stuck_while_its_sender_was_looked_up_starts_nothing_after_an_evacuation(tell):
    """Its age counts from when it came, not from when somebody began to do something about it."""
    tell(
        f"""
        {STOPPED_ON_A}
        process api freeze after read allowed_by
        start web
        {MOVED_TO_B}
        delay 70
        {REFUSED}
        expect web runs nowhere
        settle
        """
    )


CHANGES = {
    "create other on a": "create_instances",
    "reset web": "reset_state",
    "delete web": "delete_instance",
    "force-down a": "change_service",
    "force-up a": "change_service",
}


def test_nothing_that_api_processes_were_frozen_over_is_done_later(tell, world):
    tell("create web on a\ndelay 70")
    for asked, step in CHANGES.items():
        tell(f"process api freeze before {step}\n{asked}\napi another")
    tell("delay 70\napi thaw")
    answers = dict(world.outcomes[-len(CHANGES) :])
    assert {"create other" if "create" in asked else asked for asked in CHANGES} == answers.keys()
    assert all(
        answer.startswith("refused: 503 This request may have been sent 70 s ago") for answer in answers.values()
    )
    tell("delay 10\nexpect web ACTIVE on a\nexpect web runs on a\nexpect a up\nsettle")
    assert list(world.instances) == ["web"]


class LateNews:
    """A process's way to the database, which lost the acknowledgement of an order and is back after ``seconds``."""

    def __init__(self, process, database, seconds):
        self._process = process
        self._database = database
        self._seconds = seconds

    def read(self, work):
        return self._database.read(work)

    def write(self, work):
        written = self._database.write(work)
        if name_of(work) == "order":
            self._process.sleep(self._seconds)
            written = self._database.write(work)
        return written


def hears_late(world, seconds):
    engine = world.api.engine
    world.api.client = Client(replace(engine, database=LateNews(world.api, engine.database, seconds)))


def test_a_reboot_that_was_carried_out_before_its_sender_heard_of_it_is_not_repeated(tell, world):
    tell("create web on a\ndelay 70")
    hears_late(world, 20)
    tell("reboot web\ndelay 40\nexpect web ACTIVE on a")
    started = [line for line in read_journal(world.hypervisors, "a") if line.event == Event.POWERED_ON]
    assert len(started) == 2


def test_a_start_that_was_carried_out_before_its_sender_heard_of_it_starts_nothing_after_an_evacuation(tell, world):
    tell(STOPPED_ON_A)
    hears_late(world, 40)
    tell(f"start web\ndelay 15\nexpect web ACTIVE on a\n{MOVED_TO_B}\ndelay 60\nexpect web runs nowhere")
    assert world.outcomes[-1] == ("start web", "accepted")
    tell("settle")

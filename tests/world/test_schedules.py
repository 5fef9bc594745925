"""Two hundred random schedules; ``EVACUATOR_TEST_SCHEDULES=10000`` for many more, which are then others each time.

They are drawn in parts, so that one sees how far they are and that several processes share them evenly. Each part
says by which seed it is drawn, and ``EVACUATOR_TEST_SEED`` draws the same again. With neither of the two variables they
are the same two hundred each time, by the seeds 0 to 7.
"""

import os
import random
import sys

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.world.boundaries import LOOKS
from tests.world.commands import tell
from tests.world.schedules import STEPS, Schedule
from tests.world.world import a_world

MANY = int(os.environ.get("EVACUATOR_TEST_SCHEDULES", "0"))
PART = 500
PARTS = [min(PART, MANY - begun) for begun in range(0, MANY, PART)] or [25] * 8
SEED = os.environ.get("EVACUATOR_TEST_SEED")


def drawn_by(number):
    """Return the machine whose schedules are those of a seed."""
    return seed(number)(type("Schedule", (Schedule,), {}))


def number_of(part):
    """Return the seed of a part: the one that was given is that of the first, the next ones are those of the others."""
    return random.SystemRandom().randrange(2**32) if MANY and SEED is None else int(SEED or 0) + part


@pytest.mark.timeout(0 if MANY else 1500)
@pytest.mark.parametrize(
    ("part", "schedules"), list(enumerate(PARTS)), ids=[f"{schedules}_schedules" for schedules in PARTS]
)
def test_anything_may_happen_at_any_moment_and_all_is_well_in_the_end(part, schedules, capsys):
    number = number_of(part)
    with capsys.disabled():
        sys.stderr.write(f"\nEVACUATOR_TEST_SEED={number} EVACUATOR_TEST_SCHEDULES={schedules}\n")
    run_state_machine_as_test(
        drawn_by(number),
        settings=settings(
            max_examples=schedules,
            stateful_step_count=12,
            database=None,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


EVERYTHING = """
create web on a
create db on b
delay 70
host a power off
force-down a
process c freeze after claim_evacuation
evacuate web 2.94 to c
reset web
host c thaw
driver c fail power_on 1
evacuate web 2.94 to c
process c freeze after define
evacuate web 2.95
force-down c
delay 60
expect web STOPPED on b
stop db
start db
reboot db
delete db
start web
host b power off
delay 10
host b power on
delay 70
settle
"""


def test_the_steps_at_which_processes_die_are_those_that_there_are():
    """Save those of encrypted guests and of lost disks, of which there are none in a schedule."""
    with a_world() as world:
        tell(world, EVERYTHING)
        crossed = {what for _process, _when, what in world.crossings if not what.startswith("read ")}
    assert crossed - set(LOOKS) == set(STEPS)


def test_a_seed_draws_the_same_schedules_again():
    def drawn(number):
        told = []

        class Teller(Schedule):
            def teardown(self):
                told.extend(self.world.story.lines)
                self.making.__exit__(None, None, None)

        run_state_machine_as_test(
            seed(number)(Teller),
            settings=settings(max_examples=2, stateful_step_count=3, database=None, deadline=None),
        )
        return told

    assert drawn(7) == drawn(7) != drawn(8)

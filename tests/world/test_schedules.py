"""Two hundred random schedules; ``EVACUATOR_TEST_SCHEDULES=10000`` for many more, which are then others each time.

Many are drawn in parts, so that one sees how far they are and that ``-n 2`` has two processes share them.
"""

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.world.schedules import Schedule

MANY = int(os.environ.get("EVACUATOR_TEST_SCHEDULES", "0"))
PART = 500
PARTS = [min(PART, MANY - begun) for begun in range(0, MANY, PART)] or [200]


@pytest.mark.timeout(0 if MANY else 1500)
@pytest.mark.parametrize("schedules", PARTS, ids=lambda schedules: f"{schedules}_schedules")
def test_anything_may_happen_at_any_moment_and_all_is_well_in_the_end(schedules):
    run_state_machine_as_test(
        Schedule,
        settings=settings(
            max_examples=schedules,
            stateful_step_count=12,
            derandomize=not MANY,
            database=None,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )

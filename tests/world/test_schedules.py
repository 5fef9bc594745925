"""Two hundred random schedules; ``EVACUATOR_TEST_SCHEDULES=10000`` for many more, which are then others each time."""

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.world.schedules import Schedule

MANY = os.environ.get("EVACUATOR_TEST_SCHEDULES")


@pytest.mark.timeout(0 if MANY else 1500)
class TestSchedules(Schedule.TestCase):
    settings = settings(
        max_examples=int(MANY or 200),
        stateful_step_count=12,
        derandomize=MANY is None,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )

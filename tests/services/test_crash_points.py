"""Crash points on MariaDB and PostgreSQL, in the simulator's world and on its clock.

All of an evacuation; of other ways those at which databases can differ: once right before each transaction to which an
evacuation that goes well does not come. What befalls hypervisors in between is the same whatever the database is; with
``EVACUATOR_TEST_CRASH_POINTS=mariadb pytest tests/world/test_crash_points.py`` all of it is told there, too.
"""

import pytest

from tests.services.servers import fresh_tables
from tests.world.boundaries import WatchedDriver
from tests.world.crash_points import EVACUATION, JOURNEYS, MICROVERSIONS, dies, ended_well, points
from tests.world.world import a_world

STORIES = {microversion: EVACUATION.format(microversion=microversion) for microversion in MICROVERSIONS}
POINTS = [(microversion, point) for microversion, story in STORIES.items() for point in points(story)]

ON_THE_MAIN_ROAD = {point.what for _microversion, point in POINTS}
#: The first point of each transaction, and the way on which it is.
OTHERS = {
    point.what: (journey, point)
    for journey, story in reversed(JOURNEYS.items())
    for point in reversed(points(story))
    if point.when == "before" and not point.what.startswith("cast ")
    if point.what not in ON_THE_MAIN_ROAD | WatchedDriver.EFFECTS
}


@pytest.fixture(scope="module", params=["mariadb", "postgresql"])
def url(request):
    with fresh_tables(request.param) as url:
        yield url


def each(name, points):
    return pytest.mark.parametrize((name, "point"), points, ids=[f"{story}: {point}" for story, point in points])


@each("microversion", POINTS)
def test_who_died_is_started_again(url, microversion, point):
    with a_world(url=url) as world:
        dies(world, STORIES[microversion], point)
        world.settle()
        ended_well(world, microversion)


@each("journey", list(OTHERS.values()))
def test_who_died_on_another_way_is_started_again(url, journey, point):
    with a_world(url=url, may_miss=True) as world:
        dies(world, JOURNEYS[journey], point)
        world.settle()

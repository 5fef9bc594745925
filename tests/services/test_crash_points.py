"""Every crash point of an evacuation on MariaDB and PostgreSQL, in the simulator's world and on its clock."""

from contextlib import ExitStack

import pytest

from evacuator.db import schema
from evacuator.db.session import open_database
from tests.services.servers import fresh_database
from tests.world.crash_points import EVACUATION, dies, ended_well, points
from tests.world.world import a_world

STORIES = {microversion: EVACUATION.format(microversion=microversion) for microversion in ("2.94", "2.95")}
POINTS = [(microversion, point) for microversion, story in STORIES.items() for point in points(story)]


@pytest.fixture(scope="module", params=["mariadb", "postgresql"])
def url(request):
    with ExitStack() as closing:
        url = closing.enter_context(fresh_database(request.param)).render_as_string(hide_password=False)
        database = open_database(url)
        schema.upgrade(database)
        database.close()
        yield url


@pytest.mark.parametrize(("microversion", "point"), POINTS, ids=[f"{story}: {point}" for story, point in POINTS])
def test_who_died_is_started_again(url, microversion, point):
    with a_world(url=url) as world:
        dies(world, STORIES[microversion], point)
        world.settle()
        ended_well(world, microversion)

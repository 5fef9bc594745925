"""A transition of whose commit nobody heard is told like any other: once."""

import pytest

from tests.scenarios.unheard import STORIES, is_told_once
from tests.world.world import a_world


@pytest.mark.parametrize("story", STORIES)
def test_it_is_told_and_counted_once(story, caplog):
    with a_world() as world:
        is_told_once(world, story, caplog.records)

from functools import partial

import pytest

from tests.world import commands
from tests.world.world import a_world


@pytest.fixture
def world():
    with a_world() as world:
        yield world


@pytest.fixture
def tell(world):
    """Tell the world what to do, line by line."""
    return partial(commands.tell, world)

"""Every transaction writes to the rows that others wait for in one order: what waits for a lock waits for no circle."""

import re
from itertools import pairwise

import pytest
from sqlalchemy import event

from tests.scenarios.unheard import SOURCE_DIES
from tests.world.commands import tell
from tests.world.world import a_world

ORDER = ["instances", "migrations", "services", "compute_nodes"]
WRITES = re.compile(r"(?:INSERT INTO|UPDATE|DELETE FROM) (\w+)")

#: Story of the instance ``web`` of host a, which is down.
STORIES = {
    "its source comes back": "evacuate web 2.95\ndelay 20\nhost a power on\ndelay 40",
    "its service is deleted": "evacuate web 2.94\ndelay 20\nservice of a is deleted",
    "its destination dies": "compute b busy\nevacuate web 2.95\nhost b power off\ndelay 130",
    "it waits": "compute b busy\ncompute c busy\nevacuate web 2.95\ndelay 400",
    "no host is left": "force-down b\nforce-down c\nevacuate web 2.95",
    "it cannot be defined": "driver b fail define 1\nevacuate web 2.94 to b\ndelay 20",
    "it cannot be started": "driver b fail power_on 1\nevacuate web 2.94 to b\ndelay 20",
    "it is reset": "compute b busy\nevacuate web 2.95 to b\nreset web",
    "it is deleted where it was": "delete web",
    "it is deleted where it is": "evacuate web 2.95\ndelay 20\ndelete web\ndelay 20",
    "another is asked for": "compute b busy\nevacuate web 2.95 to b\nforce-down b\nevacuate web 2.95 to c\ndelay 20",
    "it is stopped and started": "evacuate web 2.94\ndelay 20\nstop web\ndelay 20\nstart web\ndelay 20",
}

#: Known not to keep it: see docs/decisions/0041-shared-rows-last.md.
DELETED_DURING_ITS_EVACUATION = "compute b busy\nevacuate web 2.95 to b\ndelete web"


def out_of_order(engine):
    """Note, from now on, which table comes before which in whatever transaction has them in another order."""
    found = set()
    written = {}

    @event.listens_for(engine, "begin")
    def begins(connection):
        written[connection.connection.dbapi_connection] = []

    @event.listens_for(engine, "before_cursor_execute")
    def executes(connection, _cursor, statement, *_):
        match = WRITES.match(statement)
        if match and match[1] in ORDER:
            tables = written[connection.connection.dbapi_connection]
            tables += [match[1]] * (match[1] not in tables)
            found.update(
                f"{first} before {then}" for first, then in pairwise(tables) if ORDER.index(first) > ORDER.index(then)
            )

    return found


def happens(story):
    """Tell what happens after the death of the source; return what was out of order."""
    with a_world() as world:
        found = out_of_order(world.database.engine)
        tell(world, SOURCE_DIES)
        for line in story.splitlines():
            if line == "service of a is deleted":
                number = world.heard("a").service.id
                world.request("delete the service", "DELETE", f"/os-services/{number}", version="2.11")
                world.delay(1)
                assert ("delete the service", "accepted") in world.outcomes
            else:
                tell(world, line)
    return found


@pytest.mark.parametrize("story", STORIES)
def test_instance_migration_service_node(story):
    assert happens(STORIES[story]) == set()


def test_a_deletion_during_an_evacuation_gives_room_back_before_it_has_the_dead_host_clean():
    assert happens(DELETED_DURING_ITS_EVACUATION) == {"compute_nodes before services"}

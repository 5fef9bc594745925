"""Every moment at which a process can die in an evacuation, found by having one and watching.

A boundary that is new in the code is a new point here, by itself.
"""

from collections import Counter
from dataclasses import dataclass

from tests.world.boundaries import LOOKS
from tests.world.commands import tell
from tests.world.world import a_world

#: The host that dies and comes back.
SOURCE = "a"

PRELUDE = """
    create web on a
    host a power off
    force-down a
"""

#: The way of one evacuation, with the return of its source and its cleaning.
EVACUATION = """
    evacuate web {microversion}
    host a power on
    delay 20
"""

#: How an evacuation ends: as it was, or silent.
MICROVERSIONS = ("2.94", "2.95")

#: Other ways of an evacuation: what fails, what is taken over, and what comes in between.
WAYS = {
    "it cannot be defined": "driver b fail define 1\nevacuate web {microversion}\nhost a power on\ndelay 20",
    "there is no room": "force-down b\nforce-down c\nevacuate web {microversion}\nhost a power on\ndelay 20",
    "another host takes over": "process b freeze after define\nevacuate web {microversion}\nforce-down b\ndelay 60",
    "it is deleted on its way": (
        "process b freeze after define\nevacuate web {microversion}\ndelete web\nhost b thaw\ndelay 20"
    ),
    "it is reset on its way": (
        "process b freeze after define\nevacuate web {microversion}\nreset web\nhost b thaw\ndelay 20"
    ),
}

#: All ways but the main road. Only below 2.95 is anything started, and only then can a start go wrong.
JOURNEYS = {
    f"{way}, {microversion}": story.format(microversion=microversion)
    for way, story in WAYS.items()
    for microversion in MICROVERSIONS
} | {
    "its start is refused": "driver b fail power_on 1\nevacuate web 2.94\nhost a power on\ndelay 20",
    "nobody knows whether it started": "driver b fail power_on 1 lost\nevacuate web 2.94\ndelay 20",
    "it is reset once it runs": (
        "process b freeze after power_on\nevacuate web 2.94\nreset web\nhost b thaw\ndelay 20"
    ),
    "orders of a living host": "create db on b\nstop db\nstart db\nreboot db\ndelete db\ndelay 20",
}


@dataclass(frozen=True)
class Point:
    """The ``nth`` time that ``process`` comes to a boundary: right before it, or right after."""

    process: str
    when: str
    what: str
    nth: int

    def __str__(self):
        return f"{self.process} {self.when} {self.what}{f' {self.nth}' if self.nth > 1 else ''}"


def points(story, prelude=PRELUDE, **options):
    """Return every point of a story, in the order in which it comes to them."""
    with a_world(**options) as world:
        tell(world, prelude)
        begin = len(world.crossings)
        tell(world, story)
        seen = Counter()
        found = []
        for crossing in world.crossings[begin:]:
            seen[crossing] += 1
            point = Point(*crossing, seen[crossing])
            if not point.what.startswith("read ") and point.what not in LOOKS and not _only_tells_the_time(point):
                found.append(point)
        return found


def _only_tells_the_time(point):
    """Tell a heartbeat of the dead host, which says that it has cleaned, from those that go on all the time."""
    return point.what == "beat" and point.process != SOURCE


def dies(world, story, point, prelude=PRELUDE, how="crash"):
    """Tell a story in which a process dies, or another thing befalls it, at ``point``."""
    tell(world, prelude)
    strike = world.strike(point.process, point.when, point.what, how, point.nth)
    tell(world, story)
    assert strike not in world.strikes


def ended_well(world, microversion):
    """Check what became of it: accepted or not, it is somewhere, once, and silent if that was promised."""
    records = world.records()
    instance = world.instance("web")
    assert instance.evacuation_id is None
    assert len(records) <= 1
    if not records:
        assert instance.host == "a"
        return
    assert records[0].status == "completed"
    assert instance.host == records[0].dest_compute != "a"
    on = [line for line in world.story.lines if "powered on" in line and "migration" in line]
    if microversion == "2.95":
        assert instance.vm_state == "stopped"
        assert not on
    else:
        assert instance.vm_state == "active"
        assert len(on) == 1

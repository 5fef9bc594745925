"""Stories in which every commit happens, and each time the connection is lost before anybody hears so."""

from collections import Counter

from evacuator import metrics
from tests.scenarios.chain import gaps, transitions
from tests.world.commands import tell

SOURCE_DIES = "create web on a\ndelay 70\nhost a power off\nforce-down a"

#: Story -> to which status each transition leads. A claim of which nobody heard is made a second time: another manager
#: of that host may have made the first.
STORIES = {
    "it ends stopped": ("evacuate web 2.95\ndelay 20", "accepted pre-migrating pre-migrating done"),
    "it ends running": ("evacuate web 2.94\ndelay 20", "accepted pre-migrating pre-migrating done"),
    "its source comes back": (
        "evacuate web 2.95\ndelay 20\nhost a power on\ndelay 40",
        "accepted pre-migrating pre-migrating done completed",
    ),
    "no host is left": ("force-down b\nforce-down c\nevacuate web 2.95", "accepted error"),
    "its destination dies": (
        "compute b busy\nevacuate web 2.95\nhost b power off\ndelay 130",
        "accepted accepted pre-migrating pre-migrating done",
    ),
    "it cannot be defined": (
        "driver b fail define 1\nevacuate web 2.94 to b\ndelay 20",
        "accepted pre-migrating pre-migrating failed",
    ),
    "it is reset": ("compute b busy\ncompute c busy\nevacuate web 2.95\nreset web\ndelay 20", "accepted failed"),
    "it is deleted": ("compute b busy\ncompute c busy\nevacuate web 2.95\ndelete web\ndelay 20", "accepted failed"),
    "another is asked for": (
        "compute b busy\nevacuate web 2.95 to b\nforce-down b\nevacuate web 2.95 to c\ndelay 20",
        "accepted failed accepted pre-migrating pre-migrating done",
    ),
}


def is_told_once(world, story, log):
    """Tell a story, and check that each transition has one line in the ``log``, and that each end is counted once."""
    what_happens, statuses = STORIES[story]
    before = _ended()
    tell(world, SOURCE_DIES)
    world.database_faults.add("lose", 10_000)
    tell(world, what_happens)
    assert gaps(log, world.records()) == []
    told = Counter(line["to_status"] for lines in transitions(log).values() for line in lines)
    assert told == Counter(statuses.split())
    assert _ended() == before + Counter({outcome: told[outcome] for outcome in OUTCOMES})


OUTCOMES = metrics.KNOWN[metrics.EVACUATIONS]


def _ended():
    counted = metrics.REGISTRY.get_sample_value
    return Counter({outcome: int(counted("evacuator_evacuations_total", {"outcome": outcome})) for outcome in OUTCOMES})

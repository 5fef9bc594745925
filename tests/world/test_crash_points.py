"""A process dies right before and right after every commit and every effect; everything ends well all the same.

With SQLite, or on the server that ``EVACUATOR_TEST_CRASH_POINTS`` names: mariadb or postgresql.
"""

import os

import pytest

from tests.services.servers import fresh_tables
from tests.world.commands import tell
from tests.world.crash_points import EVACUATION, JOURNEYS, MICROVERSIONS, dies, ended_well, points
from tests.world.world import a_world

STORIES = {microversion: EVACUATION.format(microversion=microversion) for microversion in MICROVERSIONS}
POINTS = [(microversion, point) for microversion, story in STORIES.items() for point in points(story)]
#: Every host has storage of its own, and the operator prefers a new disk to none.
LOST_DISKS = {"shared_storage": False, "rebuilds": True}
LOST_DISK_POINTS = [
    (microversion, point) for microversion, story in STORIES.items() for point in points(story, **LOST_DISKS)
]
JOURNEY_POINTS = [
    # Right after one step is right before the next: once is enough where it is not the main road.
    (journey, point)
    for journey, story in JOURNEYS.items()
    for point in points(story)
    if point.when == "before"
]


@pytest.fixture(scope="module")
def url():
    server = os.environ.get("EVACUATOR_TEST_CRASH_POINTS")
    if not server:
        yield None
        return
    with fresh_tables(server) as url:
        yield url


def each(name, points):
    return pytest.mark.parametrize((name, "point"), points, ids=[f"{story}: {point}" for story, point in points])


def test_the_points_are_those_of_the_protocol():
    steps = {point.what for microversion, point in POINTS if point.process == "b" and microversion == "2.94"}
    assert steps >= {"claim_evacuation", "define", "own_instance", "power_on", "finish"}
    silent = {point.what for microversion, point in POINTS if microversion == "2.95"}
    assert not silent & {"own_instance", "power_on"}
    assert silent >= {"accept_evacuation", "cast rebuild_instance", "claim_evacuation", "define", "finish", "destroy"}
    returned = {(point.when, point.what) for _microversion, point in POINTS if point.process == "a"}
    # Without an effect on a guest, and yet: keys are taken away, and what was cleaned is written down.
    assert returned >= {(when, what) for when in ("before", "after") for what in ("take_keys_back", "beat")}


@each("microversion", POINTS)
def test_who_died_is_started_again(url, microversion, point):
    with a_world(url=url) as world:
        dies(world, STORIES[microversion], point)
        world.settle()
        ended_well(world, microversion)


@each("microversion", LOST_DISK_POINTS)
def test_a_lost_disk_is_replaced_once_and_the_old_one_kept_whoever_died(url, microversion, point):
    with a_world(url=url, **LOST_DISKS) as world:
        dies(world, STORIES[microversion], point)
        world.settle()
        ended_well(world, microversion)
        uuid = world.instances["web"]
        places = {host: world.hypervisors / host / "disks" for host in world.hosts}
        kept = {host: [path.name for path in place.glob(f"*{uuid}*")] for host, place in places.items()}
        here = world.instance("web").host
        assert kept[here] == [uuid]
        if world.records():
            assert world.records()[0].disk == "replaced"
            (aside,) = kept["a"]
            assert aside.startswith(f".{uuid}.")


@each("journey", JOURNEY_POINTS)
def test_who_died_on_another_way_is_started_again(url, journey, point):
    # What else is to befall somebody on that way may come to nothing by this.
    with a_world(url=url, may_miss=True) as world:
        dies(world, JOURNEYS[journey], point)
        world.settle()


AT_DESTINATION = [(microversion, point) for microversion, point in POINTS if point.process == "b"]


@each("microversion", AT_DESTINATION)
def test_the_destination_never_comes_back(url, microversion, point):
    """Its host is fenced. Before it owned the instance another takes over; after that the record names the host."""
    with a_world(url=url) as world:
        dies(world, STORIES[microversion], point)
        tell(world, "host b power off\ndelay 200")
        (record,) = world.records()
        instance = world.instance("web")
        assert record.status in {"done", "completed", "failed"}
        assert instance.evacuation_id is None
        if record.status == "failed":
            assert instance.host == "b"
            assert "fence that host (b)" in instance.fault["message"]
            tell(world, f"evacuate web {microversion}")
            assert world.instance("web").host not in {"a", "b"}
        world.settle()


@each("microversion", AT_DESTINATION)
def test_the_destination_sleeps_until_others_have_given_it_up_and_wakes_up(url, microversion, point):
    """It is not fenced. Whatever it was about to do, it does only what the host of the instance may do."""
    with a_world(url=url) as world:
        dies(world, STORIES[microversion], point, how="freeze")
        tell(world, "delay 200")
        (record,) = world.records()
        assert record.status in {"done", "completed", "failed"}
        began = len(world.story.lines)
        tell(world, "host b thaw\ndelay 60")
        if any("b: web powered on" in line for line in world.story.lines[began:]):
            # It fell asleep in the very act, and nobody took the instance from it: the record names it to be fenced.
            assert str(point) == "b before power_on"
            assert (record.status, world.instance("web").host) == ("failed", "b")
        world.settle()

"""The service around a compute manager: the order of its start, and how it ends."""

import time

import pytest

from evacuator.compute.host import Host
from evacuator.compute.manager import ComputeManager
from evacuator.compute.service import ComputeService, Intervals
from evacuator.context import RequestContext
from evacuator.db import schema, services
from evacuator.db.session import open_database
from evacuator.engine.engine import Engine, Rules
from evacuator.engine.service import delete_service
from evacuator.errors import HypervisorUnknown
from evacuator.virt.simulated import SimulatedDriver, SimulatedSettings
from tests.unit.compute.lost_disks import Hosts


class Queue:
    """Workers that never come to work."""

    def __init__(self, *, at_work=False):
        self.stopped = False
        self.at_work = at_work

    def submit(self, work):
        pass

    def stop(self, timeout):
        self.stopped = True
        return not self.at_work


class ByHand:
    """A timer that goes off when the test says so."""

    def __init__(self, name, interval, task, jitter=0.0):
        self.name = name
        self.task = task
        self.stopped = False

    def stop(self):
        self.stopped = True

    def join(self, timeout):
        pass


class Closable(SimulatedDriver):
    """A driver that is of no use any more once it was closed; ``meanwhile`` is what happens during a ``define``."""

    def __init__(self, host, root):
        super().__init__(host, root, SimulatedSettings())
        self.closed = False
        self.meanwhile = lambda: None

    def define(self, guest, disk, cause):
        super().define(guest, disk, cause)
        self.meanwhile()

    def power_on(self, uuid, cause, keys=()):
        if self.closed:
            raise HypervisorUnknown(host=self.host, reason="the driver was closed")
        super().power_on(uuid, cause, keys)

    def close(self):
        self.closed = True


class Station:
    """One compute service whose timers, workers and messages are the test's own."""

    def __init__(self, engine, driver, incarnation, times=ByHand):
        self.timers = []
        self.times = times
        self.listening = None
        self.queue = Queue()
        self.manager = ComputeManager(Host(driver.host, engine, driver, lambda: 0.0), self.queue, incarnation)
        self.service = ComputeService(self.manager, self.queue, Intervals(), self._listen, self._timer)

    def _listen(self):
        self.listening = True
        return self._stop_listening

    def _stop_listening(self):
        self.listening = False

    def _timer(self, *args, **kwargs):
        self.timers.append(self.times(*args, **kwargs))
        return self.timers[-1]

    def go_off(self, name):
        next(timer for timer in self.timers if timer.name == f"a {name}").task()


@pytest.fixture
def engine(tmp_path):
    database = open_database(f"sqlite:///{tmp_path}/evacuator.sqlite")
    schema.upgrade(database)
    yield Engine(database, None, Rules())
    database.close()


@pytest.fixture
def mains(tmp_path):
    class Mains:
        def driver(self):
            return SimulatedDriver("a", tmp_path / "hypervisors", SimulatedSettings())

        def turn(self, position):
            (tmp_path / "hypervisors" / "a" / "mains").write_text(position)

    return Mains()


def test_it_listens_only_once_its_host_is_up(engine, mains):
    station = Station(engine, mains.driver(), "first")
    mains.turn("off")

    assert not station.service.start()
    assert station.listening is None

    mains.turn("on")
    station.go_off("heartbeat")

    assert station.manager.up
    assert station.listening


def test_a_manager_whose_place_was_taken_stops_altogether(engine, mains):
    first, second = (Station(engine, mains.driver(), incarnation) for incarnation in ("first", "second"))
    assert first.service.start()
    assert second.service.start()

    first.go_off("heartbeat")

    assert not first.manager.up
    assert first.listening is False
    assert first.queue.stopped
    assert all(timer.stopped for timer in first.timers)
    assert second.manager.up
    assert second.listening


def test_a_manager_whose_service_was_deleted_stops_and_says_how_to_have_it_back(engine, mains, caplog):
    station = Station(engine, mains.driver(), "first")
    station.service.start()
    deleted = engine.database.read(lambda session: services.by_host(session, "a")).id
    delete_service(engine, RequestContext.of_service("nova-api"), deleted)

    station.go_off("heartbeat")

    assert station.service.superseded.is_set()
    assert "To have the host managed from here, start this process again." in caplog.text


def test_a_task_that_fails_unexpectedly_is_tried_again(engine, mains, caplog):
    station = Station(engine, mains.driver(), "first")
    station.service.start()
    mains.turn("off")

    station.go_off("power")

    assert "switched off" in caplog.text
    assert not any(timer.stopped for timer in station.timers)


def test_once_no_work_is_in_hand_the_driver_is_closed(engine, tmp_path):
    driver = Closable("a", tmp_path / "hypervisors")
    station = Station(engine, driver, "first")
    station.service.start()

    station.service.stop()

    assert driver.closed


def test_a_stop_takes_no_longer_than_told_however_many_of_its_timers_are_held_up(engine, tmp_path):
    class HeldUp(ByHand):
        waited = 0.0

        def join(self, timeout):
            HeldUp.waited += timeout
            time.sleep(timeout)

    station = Station(engine, Closable("a", tmp_path / "hypervisors"), "first", HeldUp)
    station.service.start()

    station.service.stop(timeout=0.1)

    assert HeldUp.waited <= 0.1


def test_an_evacuation_that_outlasts_the_patience_of_a_stop_is_not_told_that_its_hypervisor_is_silent(tmp_path):
    source, destination = (Closable(host, tmp_path / "hypervisors") for host in ("a", "b"))
    hosts = Hosts(tmp_path, [source, destination], allowed=False)
    service = ComputeService(hosts.managers["b"], Queue(at_work=True), Intervals(), lambda: lambda: None, ByHand)
    server = hosts.create("a", None)
    hosts.fence("a")
    destination.meanwhile = service.stop

    record = hosts.evacuate(server, starts=True)

    assert record.status == "done", record.reason
    assert destination.find(server).running
    hosts.database.close()

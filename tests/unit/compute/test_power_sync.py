"""Whatever a hypervisor does by itself, the database learns, at once where the hypervisor tells of it."""

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from evacuator.compute.host import Host
from evacuator.compute.manager import ComputeManager
from evacuator.context import RequestContext
from evacuator.db import instances, schema
from evacuator.db.models import Instance
from evacuator.db.session import open_database
from evacuator.engine import sync
from evacuator.engine.create import NewInstances, create_instances
from evacuator.engine.engine import Engine, Rules
from evacuator.engine.power import start_instance, stop_instance
from evacuator.engine.reset import reset_state
from evacuator.evacuation.states import PowerState, VmState
from evacuator.virt.simulated import FOLDER, SimulatedDriver, SimulatedSettings


class TellingDriver(SimulatedDriver):
    """A simulated host that tells of changes, as libvirt does."""

    tell: Callable[[str, PowerState], None]

    def watch(self, changed: Callable[[str, PowerState], None]) -> None:
        self.tell = changed


class AtOnce:
    """Does what is submitted there and then."""

    def submit(self, work: Callable[[], None], /) -> None:
        work()


class Wakes:
    """Wakes the one manager there is."""

    manager: ComputeManager

    def can_send_target_state(self) -> bool:
        return True

    def rebuild_instance(self, *_args: object) -> None:
        raise NotImplementedError

    def carry_out_order(self, _context: RequestContext, _host: str, instance_uuid: str, order_id: str) -> None:
        self.manager.wake_order(instance_uuid, order_id)


class OneHost:
    """A host with a manager and a running server."""

    def __init__(self, folder: Path) -> None:
        self.database = open_database(f"sqlite:///{folder / 'power.sqlite'}")
        schema.upgrade(self.database)
        casts = Wakes()
        self.engine = Engine(self.database, casts, Rules())
        self.driver = TellingDriver("a", folder / FOLDER, SimulatedSettings())
        self.manager = casts.manager = ComputeManager(
            Host("a", self.engine, self.driver, time.monotonic), AtOnce(), str(uuid.uuid4())
        )
        self.manager.start()
        assert self.manager.beat()
        (made,) = create_instances(self.engine, RequestContext.of_service("test"), NewInstances("server", "1"))
        self.uuid = made.uuid
        assert self.states() == (VmState.ACTIVE, PowerState.RUNNING)

    def states(self) -> tuple[str, int]:
        found = self.database.read(lambda session: instances.get(session, self.uuid))
        return found.vm_state, found.power_state


@pytest.fixture
def host(tmp_path: Path) -> Iterator[OneHost]:
    made = OneHost(tmp_path)
    yield made
    made.database.close()


def test_a_guest_that_stops_by_itself_is_shown_stopped_as_soon_as_its_hypervisor_tells(host: OneHost) -> None:
    host.driver.power_off(host.uuid, "by itself")
    host.driver.tell(host.uuid, PowerState.SHUTDOWN)
    assert host.states() == (VmState.STOPPED, PowerState.SHUTDOWN)


def test_a_guest_that_was_started_behind_our_back_is_shown_running(host: OneHost) -> None:
    host.driver.power_off(host.uuid, "by itself")
    host.driver.tell(host.uuid, PowerState.SHUTDOWN)
    host.driver.power_on(host.uuid, "somebody")
    host.driver.tell(host.uuid, PowerState.RUNNING)
    assert host.states() == (VmState.ACTIVE, PowerState.RUNNING)


def test_once_it_runs_it_is_no_longer_said_why_it_could_not_be_started(host: OneHost) -> None:
    host.driver.power_off(host.uuid, "by itself")
    host.manager.sync_power()
    told = update(Instance).where(Instance.uuid == host.uuid).values(fault={"code": 500, "message": "ask again"})
    host.database.write(lambda session: session.execute(told))
    host.driver.power_on(host.uuid, "somebody")
    host.manager.sync_power()
    assert host.states() == (VmState.ACTIVE, PowerState.RUNNING)
    assert host.database.read(lambda session: instances.get(session, host.uuid)).fault is None


def test_what_a_hypervisor_tells_late_is_looked_at_and_not_believed(host: OneHost) -> None:
    host.driver.tell(host.uuid, PowerState.SHUTDOWN)
    assert host.states() == (VmState.ACTIVE, PowerState.RUNNING)


def test_what_a_hypervisor_tells_of_a_guest_with_which_something_is_done_changes_nothing(host: OneHost) -> None:
    busy = update(Instance).where(Instance.uuid == host.uuid).values(task_state="rebooting")
    host.database.write(lambda session: session.execute(busy))
    host.driver.power_off(host.uuid, "by itself")
    host.driver.tell(host.uuid, PowerState.SHUTDOWN)
    assert host.states() == (VmState.ACTIVE, PowerState.RUNNING)


def test_what_a_hypervisor_tells_of_a_stranger_changes_nothing(host: OneHost) -> None:
    host.driver.tell(str(uuid.uuid4()), PowerState.SHUTDOWN)
    assert host.states() == (VmState.ACTIVE, PowerState.RUNNING)


def test_what_nobody_told_is_found_when_its_time_has_come(host: OneHost) -> None:
    host.driver.power_off(host.uuid, "by itself")
    host.manager.sync_power()
    assert host.states() == (VmState.STOPPED, PowerState.SHUTDOWN)


def test_a_guest_that_somebody_removed_does_not_run(host: OneHost) -> None:
    host.driver.destroy(host.uuid, "somebody", disks=False)
    host.manager.sync_power()
    assert host.states() == (VmState.STOPPED, PowerState.SHUTDOWN)


def test_a_guest_that_somebody_removed_is_shown_stopped_as_soon_as_its_hypervisor_tells(host: OneHost) -> None:
    host.driver.destroy(host.uuid, "somebody", disks=False)
    host.driver.tell(host.uuid, PowerState.SHUTDOWN)
    assert host.states() == (VmState.STOPPED, PowerState.SHUTDOWN)


def test_an_instance_in_error_that_has_no_guest_is_left_as_it_is(host: OneHost) -> None:
    host.driver.destroy(host.uuid, "somebody", disks=False)
    failed = update(Instance).where(Instance.uuid == host.uuid).values(vm_state="error", power_state=0)
    host.database.write(lambda session: session.execute(failed))
    host.manager.sync_power()
    assert host.states() == (VmState.ERROR, PowerState.NOSTATE)


def test_what_is_off_does_not_stay_active_because_somebody_said_so(host: OneHost) -> None:
    host.driver.power_off(host.uuid, "by itself")
    host.manager.sync_power()
    reset_state(host.engine, RequestContext.of_service("test"), host.uuid, VmState.ACTIVE)
    host.manager.sync_power()
    assert host.states() == (VmState.STOPPED, PowerState.SHUTDOWN)


def test_what_was_seen_in_the_middle_of_a_stop_and_a_start_is_not_believed_after_them(host: OneHost) -> None:
    as_read = sync.idle_instance(host.engine, "a", host.uuid)
    assert as_read is not None
    for order in (stop_instance, start_instance):
        order(host.engine, RequestContext.of_service("test"), host.uuid, None, override_lock=True)
    assert not sync.record_power_state(host.engine, "a", as_read, PowerState.SHUTDOWN)
    assert host.states() == (VmState.ACTIVE, PowerState.RUNNING)

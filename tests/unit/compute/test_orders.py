"""What a host makes of orders to reboot."""

import pytest

from evacuator.context import RequestContext
from evacuator.engine import power
from evacuator.virt.simulated import SimulatedDriver, SimulatedSettings
from tests.unit.compute.lost_disks import Hosts


class Awake(SimulatedDriver):
    """Has guests that feel the power button, and restart or go off as the test says."""

    def __init__(self, host, root):
        super().__init__(host, root, SimulatedSettings(shared_storage=True))
        self.restarts = True
        self.meanwhile = lambda: None
        self.hard_reboots = []

    def reboot_softly(self, uuid, cause):
        self.meanwhile()
        if not self.restarts:
            self.power_off(uuid, cause)
        return self.restarts

    def reboot(self, uuid, cause, keys=()):
        self.hard_reboots.append(uuid)
        super().reboot(uuid, cause, keys)


@pytest.fixture
def hosts(tmp_path):
    made = Hosts(tmp_path, [Awake(host, tmp_path / "hypervisors") for host in ("a", "b")], allowed=False)
    yield made
    made.database.close()


@pytest.fixture
def server(hosts):
    return hosts.create("a", None)


@pytest.fixture
def driver(hosts):
    return hosts.drivers["a"]


def reboot(hosts, server, *, hard):
    power.reboot_instance(hosts.engine, RequestContext.of_service("req"), server, None, override_lock=True, hard=hard)


def state(hosts, server):
    instance = hosts.instance(server)
    return instance.host, instance.vm_state, instance.task_state


def test_a_guest_that_restarts_by_itself_is_left_to_itself(hosts, driver, server):
    reboot(hosts, server, hard=False)

    assert driver.hard_reboots == []
    assert state(hosts, server) == ("a", "active", None)


def test_a_guest_that_goes_off_instead_of_restarting_is_started(hosts, driver, server):
    driver.restarts = False

    reboot(hosts, server, hard=False)

    assert driver.find(server).running
    assert state(hosts, server) == ("a", "active", None)


@pytest.mark.parametrize("hard", [True, False])
def test_a_guest_that_somebody_undefined_is_defined_again_and_started(hosts, driver, server, hard):
    driver.destroy(server, "somebody", disks=False)
    driver.restarts = hard

    reboot(hosts, server, hard=hard)

    assert driver.find(server).running
    assert hosts.instance(server).fault is None
    assert state(hosts, server) == ("a", "active", None)


def test_a_guest_whose_disk_is_gone_too_is_not_rebooted_and_the_fault_names_the_disk(hosts, driver, server):
    driver.destroy(server, "somebody", disks=True)

    reboot(hosts, server, hard=True)

    assert driver.find(server) is None
    assert f"The disk of instance {server} is not on host a" in hosts.instance(server).fault["message"]
    assert state(hosts, server) == ("a", "active", None)


def test_a_guest_that_goes_off_and_was_evacuated_meanwhile_is_not_started(hosts, driver, server):
    def evacuated():
        hosts.fence("a")
        assert hosts.evacuate(server).status == "done"

    driver.restarts = False
    driver.meanwhile = evacuated

    reboot(hosts, server, hard=False)

    assert not driver.find(server).running
    assert driver.hard_reboots == []
    assert not hosts.drivers["b"].find(server).running
    assert state(hosts, server) == ("b", "stopped", None)

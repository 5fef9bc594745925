"""What is counted, and under which names."""

import pytest

from evacuator import metrics
from evacuator.virt.simulated import SimulatedDriver, SimulatedSettings
from tests.unit.compute.lost_disks import Hosts


@pytest.fixture
def hosts(tmp_path):
    drivers = [SimulatedDriver(host, tmp_path / "hypervisors", SimulatedSettings()) for host in ("a", "b")]
    made = Hosts(tmp_path, drivers, allowed=False)
    yield made
    made.database.close()


def counted(name, **labels):
    """Return a number as a page of metrics shows it; None where it is not there."""
    return metrics.REGISTRY.get_sample_value(name, labels)


def test_an_attempt_is_measured_once_from_claim_to_end(hosts):
    before = counted("evacuator_phase_seconds_count", phase="attempt") or 0
    server = hosts.create("a", None)
    hosts.fence("a")

    assert hosts.evacuate(server, starts=True).status == "done"

    assert counted("evacuator_phase_seconds_count", phase="attempt") == before + 1

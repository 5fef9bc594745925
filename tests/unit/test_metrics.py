"""What is counted, and under which names."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from evacuator import metrics
from evacuator.api import evacuate_request
from evacuator.engine import accept
from evacuator.engine.record import ENDS
from evacuator.errors import EvacuatorError
from evacuator.evacuation.transitions import TRANSITIONS, Step
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


def test_every_step_and_every_end_of_an_evacuation_is_shown_before_it_happens():
    steps = {"accept", *Step}
    ends = {TRANSITIONS[step].target for step in ENDS}

    assert set(metrics.KNOWN[metrics.TRANSITIONS]) == steps
    assert set(metrics.KNOWN[metrics.EVACUATIONS]) == ends
    assert all(counted("evacuator_transitions_total", step=step) is not None for step in steps)
    assert all(counted("evacuator_evacuations_total", outcome=end) is not None for end in ends)


def test_every_phase_is_shown_before_it_is_measured():
    phases = {"accept", "define", "power_on", "attempt"}

    assert set(metrics.KNOWN[metrics.PHASES]) == phases
    assert all(counted("evacuator_phase_seconds_count", phase=phase) is not None for phase in phases)


def test_every_reason_to_refuse_an_evacuation_is_shown_before_it_is_one():
    named = vars(accept) | vars(evacuate_request)
    errors = {name for name, value in named.items() if isinstance(value, type) and issubclass(value, EvacuatorError)}
    unheard = {"Overtaken", "RoomTaken"}  # it is tried again, or said otherwise
    elsewhere = {
        "DatabaseRefuses",
        "DatabaseUnavailable",
        "EvacuationInProgress",
        "InstanceNotFound",
        "PolicyForbids",
        "RequestTooOld",
    }
    refusals = (elsewhere | errors) - unheard

    assert set(metrics.KNOWN[metrics.REFUSED]) == refusals
    assert all(counted("evacuator_evacuations_refused_total", error=name) is not None for name in refusals)


def test_an_attempt_is_measured_once_from_claim_to_end(hosts):
    before = counted("evacuator_phase_seconds_count", phase="attempt") or 0
    server = hosts.create("a", None)
    hosts.fence("a")

    assert hosts.evacuate(server, starts=True).status == "done"

    assert counted("evacuator_phase_seconds_count", phase="attempt") == before + 1


def test_two_who_look_at_once_each_see_every_host():
    hosts = [f"h{number}" for number in range(50)]

    def look(_turn):
        page = metrics.page_of_site({}, dict.fromkeys(hosts, 1.0), dict.fromkeys(hosts, True))
        return page.count(b"evacuator_compute_up{"), page.count(b"evacuator_heartbeat_age_seconds{")

    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(look, range(100))) == {(50, 50)}
    metrics.page_of_site({}, {}, {})

import pytest

from evacuator.evacuation.states import EVACUABLE, PowerState, VmState, final_state


@pytest.mark.parametrize("before_failure", [None, *VmState])
@pytest.mark.parametrize("vm_state", sorted(EVACUABLE))
def test_from_2_95_on_every_evacuation_ends_stopped(vm_state, before_failure):
    assert final_state(vm_state, before_failure, stops_at_destination=True) is VmState.STOPPED


@pytest.mark.parametrize(
    ("vm_state", "ends"), [("active", VmState.ACTIVE), ("stopped", VmState.STOPPED), ("error", VmState.ACTIVE)]
)
def test_below_2_95_the_state_is_kept_and_error_is_started(vm_state, ends):
    assert final_state(vm_state, None, stops_at_destination=False) is ends


@pytest.mark.parametrize(
    ("before", "ends"), [("stopped", VmState.STOPPED), ("active", VmState.ACTIVE), ("error", VmState.ACTIVE)]
)
def test_a_retry_restores_the_state_from_before_the_failure(before, ends):
    assert final_state("error", before, stops_at_destination=False) is ends


def test_a_remembered_state_means_nothing_to_an_instance_that_has_a_state_again():
    assert final_state("active", "stopped", stops_at_destination=False) is VmState.ACTIVE
    assert final_state("stopped", "active", stops_at_destination=False) is VmState.STOPPED


def test_nothing_that_is_being_built_or_is_gone_can_be_evacuated():
    assert {"active", "stopped", "error"} == EVACUABLE


def test_power_states_have_the_numbers_that_clients_know():
    assert {state.name: state.value for state in PowerState} == {
        "NOSTATE": 0,
        "RUNNING": 1,
        "PAUSED": 3,
        "SHUTDOWN": 4,
        "CRASHED": 6,
        "SUSPENDED": 7,
    }

from inspect import getmembers, isclass

import pytest

from evacuator import errors
from evacuator.api import errors as api_errors
from evacuator.api.faults import OURS, fault_of

#: Raised where no client can hear them, or by a fault in this program.
INSIDE = {
    errors.EvacuatorError,
    errors.TransitionRefused,
    errors.NotConfigured,
    errors.StateDirectoryInUse,
    errors.HypervisorUnknown,
    errors.RoomTaken,
}
ANSWERED_AS_A_PAGE = {api_errors.NotRouted}

ERRORS = {
    error
    for module in (errors, api_errors)
    for _, error in getmembers(module, isclass)
    if issubclass(error, errors.EvacuatorError)
}


@pytest.mark.parametrize("error", sorted(ERRORS, key=lambda error: error.__name__))
def test_every_error_that_a_client_can_cause_is_a_fault_of_theirs(error):
    inside = error in INSIDE | ANSWERED_AS_A_PAGE or issubclass(error, errors.DriverError)
    assert (fault_of(error) is OURS) == inside

from inspect import getmembers, isclass

import falcon
import pytest
from falcon.testing import create_environ

from evacuator import errors
from evacuator.api import errors as api_errors
from evacuator.api.faults import OURS, QUIET, WithoutDatabase, fault_of
from evacuator.api.http import Request

#: Raised where no client can hear them, or by a fault in this program.
INSIDE = {
    errors.EvacuatorError,
    errors.TransitionRefused,
    errors.NotConfigured,
    errors.StateDirectoryInUse,
    errors.HypervisorUnknown,
    errors.RoomTaken,
}

ERRORS = {
    error
    for module in (errors, api_errors)
    for _, error in getmembers(module, isclass)
    if issubclass(error, errors.EvacuatorError)
}


@pytest.mark.parametrize("error", sorted(ERRORS, key=lambda error: error.__name__))
def test_every_error_that_a_client_can_cause_is_a_fault_of_theirs(error):
    inside = error in INSIDE or issubclass(error, errors.DriverError)
    assert (fault_of(error) is OURS) == inside


def test_many_callers_without_a_database_are_one_line_every_few_seconds(caplog):
    seconds = iter((0, 0, 1, 2, QUIET, QUIET + 1))
    answer = WithoutDatabase(lambda: next(seconds))
    request = Request(create_environ("/v2.1/servers"))
    for _ in range(5):
        response = falcon.Response()
        answer(request, response, errors.DatabaseRefuses(reason="disk full"), {})
        assert response.status == 503
        assert "disk full" not in response.text
    assert len(caplog.records) == 2

"""The gate of 2.95 follows from the history."""

import pytest

from evacuator import versions


def test_the_service_version_for_a_target_state_is_the_first_whose_rpc_carries_it() -> None:
    carrying = [entry.version for entry in versions.SERVICE_VERSION_HISTORY if entry.rpc >= versions.TARGET_STATE_RPC]
    assert min(carrying) == versions.TARGET_STATE_SERVICE_VERSION == 2


def test_the_history_only_grows() -> None:
    numbers = [entry.version for entry in versions.SERVICE_VERSION_HISTORY]
    interfaces = [entry.rpc for entry in versions.SERVICE_VERSION_HISTORY]
    assert numbers == list(range(1, len(numbers) + 1))
    assert interfaces == sorted(interfaces)


@pytest.mark.parametrize(("service", "rpc"), [(None, "1.0"), (0, "1.0"), (1, "1.0"), (2, "1.1"), (99, "1.1")])
def test_a_service_version_speaks_the_newest_rpc_that_came_with_it_or_before(service: int | None, rpc: str) -> None:
    assert versions.rpc_version_of(service) == rpc

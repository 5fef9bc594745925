"""Versions of the compute service and of the compute RPC interface, in one table.

What an old compute cannot do is derived from here, so that the check in the API cannot drift from the truth.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServiceRelease:
    """One version of the compute service: the RPC version it speaks and what it brought."""

    version: int
    rpc: tuple[int, int]
    brought: str


SERVICE_VERSION_HISTORY = (
    ServiceRelease(1, (1, 0), "rebuild_instance"),
    ServiceRelease(2, (1, 1), "rebuild_instance takes target_state"),
)

#: What the running code is.
SERVICE_VERSION = SERVICE_VERSION_HISTORY[-1].version

#: Every RPC version that there is: a message cannot be held at any other.
RPC_VERSIONS = tuple(f"{major}.{minor}" for major, minor in (release.rpc for release in SERVICE_VERSION_HISTORY))

#: The RPC version from which ``rebuild_instance`` carries the state to end in.
TARGET_STATE_RPC = (1, 1)

#: The oldest compute service that honours a target state.
TARGET_STATE_SERVICE_VERSION = next(
    release.version for release in SERVICE_VERSION_HISTORY if release.rpc >= TARGET_STATE_RPC
)


def rpc_version_of(service_version: int | None) -> str:
    """Return the RPC version ("1.0") that a compute service speaks; one that reported no version counts as oldest."""
    known = [release for release in SERVICE_VERSION_HISTORY if release.version <= (service_version or 0)]
    major, minor = (known[-1] if known else SERVICE_VERSION_HISTORY[0]).rpc
    return f"{major}.{minor}"

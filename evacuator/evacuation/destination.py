"""Where an instance can go."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Room:
    """What an instance takes of a host."""

    vcpus: int
    memory_mb: int
    disk_gb: int


@dataclass(frozen=True)
class Candidate:
    """A compute host as it stood when it was read.

    ``up``: its service is heard, not forced down, and has cleaned up after the last evacuation away from it.
    ``free``: what no claim takes. ``instances``: how many claims there are. ``holds_copy``: an older copy of the
    instance may still be there, which it owes to clean.
    """

    host: str
    up: bool
    disabled: bool
    service_version: int
    free: Room
    instances: int
    holds_copy: bool = False
    zone: str = ""


@dataclass(frozen=True)
class Need:
    """What a destination must offer.

    ``excluded``: hosts that are out of the question, the source above all. ``filled``: hosts whose room was claimed by
    others between the look at them and the claim. ``left``: the destination from which the instance is taken away.
    ``disabled_allowed``: an operator who names a host below microversion 2.29 (or forces it) may name a disabled one,
    and one outside of ``zone``, the availability zone that the instance must not leave.
    """

    room: Room
    service_version: int = 0
    excluded: frozenset[str] = frozenset()
    filled: frozenset[str] = frozenset()
    requested: str | None = None
    disabled_allowed: bool = False
    zone: str | None = None
    left: str | None = None


def obstacle(need: Need, host: Candidate) -> str | None:
    """Say in a few words why ``host`` cannot take the instance; None when it can."""
    free, room = host.free, need.room
    refusals = (
        (need.requested is not None and host.host != need.requested, "is not the requested host"),
        (host.host == need.left, "had it already"),
        (host.host in need.excluded or host.holds_copy, "is the source or still holds an older copy"),
        (host.host in need.filled, "was filled by others at the same moment"),
        (not host.up, "is down"),
        (host.disabled and not need.disabled_allowed, "is disabled"),
        (
            need.zone is not None and host.zone != need.zone and not need.disabled_allowed,
            f"is in availability zone {host.zone}, not in {need.zone}",
        ),
        (
            host.service_version < need.service_version,
            f"runs compute service version {host.service_version}, {need.service_version} is needed",
        ),
        (free.vcpus < room.vcpus, f"has {free.vcpus} vCPUs free, {room.vcpus} are needed"),
        (free.memory_mb < room.memory_mb, f"has {free.memory_mb} MiB of memory free, {room.memory_mb} are needed"),
        (free.disk_gb < room.disk_gb, f"has {free.disk_gb} GiB of disk free, {room.disk_gb} are needed"),
    )
    return next((reason for refused, reason in refusals if refused), None)


def rank(need: Need, hosts: Iterable[Candidate]) -> list[Candidate]:
    """Return the hosts that can take the instance, best first.

    Most free memory first; among equals the one with fewest instances, so that a dead host's instances spread.
    """
    fit = [host for host in hosts if obstacle(need, host) is None]
    return sorted(fit, key=lambda host: (-host.free.memory_mb, host.instances, host.host))

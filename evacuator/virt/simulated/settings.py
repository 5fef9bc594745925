"""What simulated hosts have, and how they go wrong when they are told to."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from oslo_config import cfg

from evacuator import errors


class FaultKind(StrEnum):
    """How an operation goes wrong."""

    REFUSE = "refuse"
    """It certainly did not happen."""
    TIMEOUT = "timeout"
    """It did not happen, and nobody can tell."""
    LOST = "lost"
    """It did happen, and nobody can tell: only the answer is lost."""
    MISSING = "missing"
    """The disk is not there."""
    LOCKED = "locked"
    """Somebody else writes to the disk."""
    FULL = "full"
    """It certainly did not happen: the host has no space left to write anything."""


#: Operations that can be made to fail: the calls of the driver contract.
OPERATIONS = (
    "facts",
    "inventory",
    "find",
    "define",
    "power_on",
    "power_off",
    "reboot_softly",
    "reboot",
    "destroy",
    "set_aside",
    "take_keys_back",
)

_FAULT = re.compile(r"(?P<operation>\w+)(@(?P<host>[^@:=\s]+))?(:(?P<count>[1-9]\d*))?(=(?P<kind>\w+))?")


@dataclass(frozen=True)
class Fault:
    """An operation that goes wrong: on one host or on each, so many times (counted per driver) or always."""

    operation: str
    host: str | None = None
    count: int | None = None
    kind: FaultKind = FaultKind.REFUSE

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``OPERATION[@HOST][:COUNT][=KIND]``, for example ``power_on@c:2=timeout``.

        :raises NotConfigured: it is not written like this.
        """
        match = _FAULT.fullmatch(text.strip())
        if match is None:
            raise _wrong_fault(text, "it is not of this form")
        operation, kind, count = match["operation"], match["kind"] or FaultKind.REFUSE, match["count"]
        if operation not in OPERATIONS:
            raise _wrong_fault(text, f"there is no operation {operation!r}")
        if kind not in list(FaultKind):
            raise _wrong_fault(text, f"there is no kind {kind!r}")
        return cls(operation, match["host"], int(count) if count else None, FaultKind(kind))


def _wrong_fault(text: str, why: str) -> errors.NotConfigured:
    reason = (
        f"[simulated] faults: {text!r} is wrong: {why}. Write OPERATION[@HOST][:COUNT][=KIND], where OPERATION is one "
        f"of {', '.join(OPERATIONS)} and KIND one of {', '.join(FaultKind)}."
    )
    return errors.NotConfigured(reason=reason)


def parse_faults(texts: Iterable[str]) -> tuple[Fault, ...]:
    """Read each of ``texts`` as :meth:`Fault.parse` does."""
    return tuple(Fault.parse(text) for text in texts)


@dataclass(frozen=True)
class SimulatedSettings:
    """What simulated hosts have and how they behave. Memory in MiB, disks in GiB, delays in seconds."""

    vcpus: int = 256
    memory_mb: int = 524288
    local_gb: int = 10240
    shared_storage: bool = True
    define_seconds: float = 0.0
    power_on_seconds: float = 0.0
    power_off_seconds: float = 0.0
    faults: tuple[Fault, ...] = ()

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> Self:
        """Read the group ``[simulated]``.

        :raises NotConfigured: a fault is not written as it has to be.
        """
        group = conf.simulated
        return cls(
            vcpus=group.vcpus,
            memory_mb=group.memory_mb,
            local_gb=group.local_gb,
            shared_storage=group.shared_storage,
            define_seconds=group.define_seconds,
            power_on_seconds=group.power_on_seconds,
            power_off_seconds=group.power_off_seconds,
            faults=parse_faults(group.faults),
        )

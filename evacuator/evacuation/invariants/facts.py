"""What was read, as plain facts: of the database a :class:`Census`, of the hypervisors the :class:`Evidence`.

Moments are seconds since 1970: in a census by the database's clock, in evidence by the clock of the machine it is on.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import cached_property

from evacuator.evacuation.destination import Room
from evacuator.evacuation.invariants.commands import Commands
from evacuator.evacuation.transitions import UNFINISHED, Status


@dataclass(frozen=True)
class ServiceFacts:
    """A compute service. ``up_since``: since when it has been heard without a gap; None when it is not up."""

    host: str
    version: int | None
    up_since: float | None

    @property
    def up(self) -> bool:
        """Heard lately, not forced down, and clean."""
        return self.up_since is not None


@dataclass(frozen=True)
class NodeFacts:
    """What a host has, and what its totals say is claimed of it."""

    host: str
    total: Room
    used: Room
    claims: int


@dataclass(frozen=True)
class ClaimFacts:
    """A claim of an instance on a host."""

    instance: str
    host: str
    room: Room


@dataclass(frozen=True)
class InstanceFacts:
    """An instance, deleted or not. ``ordered_at``: when its order was given. ``launched``: it has run once."""

    uuid: str
    room: Room
    host: str | None
    vm_state: str
    task_state: str | None = None
    evacuation_id: str | None = None
    order_id: str | None = None
    ordered_at: float | None = None
    launched: bool = True
    deleted: bool = False


@dataclass(frozen=True)
class RecordFacts:
    """The record of an evacuation.

    ``written_at``: when it was written last, as when it ended. ``assigned_at``: when its destination was chosen, or was
    last found to be at work on others; None: when it was accepted.
    """

    id: int
    uuid: str
    instance: str
    status: str
    source: str
    destination: str | None
    final_state: str
    accepted_at: float
    written_at: float = 0.0
    assigned_at: float | None = None

    @property
    def unfinished(self) -> bool:
        """Whether it still holds its instance."""
        return self.status in UNFINISHED

    @property
    def assigned_again_at(self) -> float:
        """When it was given to its destination, if another one had it before; else 0."""
        return self.assigned_at if self.assigned_at is not None and self.assigned_at > self.accepted_at else 0.0

    @property
    def owes_cleaning(self) -> bool:
        """Whether its source may still have a stopped guest and a claim."""
        return self.unfinished or self.status == Status.DONE


@dataclass(frozen=True)
class Census:
    """The database at one moment.

    ``power_orders``: (instance, request id) -> when something was asked that powers the instance on.
    """

    now: float
    services: Sequence[ServiceFacts] = ()
    nodes: Sequence[NodeFacts] = ()
    instances: Sequence[InstanceFacts] = ()
    records: Sequence[RecordFacts] = ()
    claims: Sequence[ClaimFacts] = ()
    power_orders: Mapping[tuple[str, str], float] = field(default_factory=dict)

    @cached_property
    def instance(self) -> Mapping[str, InstanceFacts]:
        """Instances by uuid."""
        return {instance.uuid: instance for instance in self.instances}

    @cached_property
    def record(self) -> Mapping[int, RecordFacts]:
        """Records by number."""
        return {record.id: record for record in self.records}

    @cached_property
    def record_by_uuid(self) -> Mapping[str, RecordFacts]:
        """Records by uuid."""
        return {record.uuid: record for record in self.records}

    @cached_property
    def records_of(self) -> Mapping[str, Sequence[RecordFacts]]:
        """Records by instance."""
        found: dict[str, list[RecordFacts]] = defaultdict(list)
        for record in self.records:
            found[record.instance].append(record)
        return found

    @cached_property
    def last_power_order(self) -> Mapping[str, float]:
        """When something was asked last that powers an instance on."""
        found: dict[str, float] = {}
        for (instance, _request), at in self.power_orders.items():
            found[instance] = max(at, found.get(instance, at))
        return found

    @cached_property
    def up(self) -> frozenset[str]:
        """The hosts that are up."""
        return frozenset(service.host for service in self.services if service.up)

    @cached_property
    def _up_since(self) -> Mapping[str, float]:
        return {service.host: service.up_since for service in self.services if service.up_since is not None}

    def up_for(self, host: str) -> float:
        """For how many seconds a host has been up without a gap; 0 when it is not."""
        return self.now - self._up_since.get(host, self.now)

    @cached_property
    def served(self) -> frozenset[str]:
        """The hosts that have a service."""
        return frozenset(service.host for service in self.services)

    @cached_property
    def known_hosts(self) -> frozenset[str]:
        """The hosts that have a service and a node."""
        return self.served & frozenset(node.host for node in self.nodes)

    def beside(self, record: RecordFacts) -> int:
        """Return how many other evacuations were unfinished at some time since ``record`` was accepted."""
        return sum(
            other.id != record.id and (other.unfinished or other.written_at >= record.accepted_at)
            for other in self.records
        )

    def unfinished_of(self, instance: InstanceFacts) -> RecordFacts | None:
        """Return the unfinished record that holds an instance."""
        record = self.record_by_uuid.get(instance.evacuation_id or "")
        return record if record and record.unfinished else None


@dataclass(frozen=True)
class FoundGuest:
    """A guest that a hypervisor knows; ``marked``: it carries our mark, so that we made or adopted it."""

    host: str
    instance: str
    running: bool
    marked: bool = True


@dataclass(frozen=True)
class JournalLine:
    """What a hypervisor did to a guest, when, and on whose behalf."""

    at: float
    host: str
    instance: str
    event: str
    cause: str


@dataclass(frozen=True)
class Evidence:
    """The hypervisors at one moment.

    ``mains``: host -> whether it is switched on. ``journal`` is in order for each host; None when they keep none.
    ``disks``: (host, instance), with None for the storage that all share; None when only those that are ``lacking``
    where a guest needs them are known. ``unseen``: host -> why it could not be looked at.
    """

    commands: Commands
    now: float
    mains: Mapping[str, bool] = field(default_factory=dict)
    guests: Sequence[FoundGuest] = ()
    journal: Sequence[JournalLine] | None = ()
    disks: frozenset[tuple[str | None, str]] | None = frozenset()
    lacking: frozenset[tuple[str, str]] = frozenset()
    unseen: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def running(self) -> frozenset[tuple[str, str]]:
        """The (host, instance) of each running guest."""
        return frozenset((guest.host, guest.instance) for guest in self.guests if guest.running)

    @cached_property
    def last_change(self) -> Mapping[tuple[str, str], float]:
        """When something was done last to each (host, instance)."""
        return {(line.host, line.instance): line.at for line in self.journal or ()}

    def without(self, hosts: AbstractSet[str]) -> "Evidence":
        """Return what would be known if nobody had looked at ``hosts``."""
        return replace(
            self,
            mains={host: on for host, on in self.mains.items() if host not in hosts},
            guests=[guest for guest in self.guests if guest.host not in hosts],
            journal=None if self.journal is None else [line for line in self.journal if line.host not in hosts],
            disks=None if self.disks is None else frozenset(disk for disk in self.disks if disk[0] not in hosts),
            lacking=frozenset(lack for lack in self.lacking if lack[0] not in hosts),
        )

    def lacks_disk(self, host: str, instance: str) -> bool:
        """Whether the disk of an instance was looked for and is not there."""
        if self.disks is None:
            return (host, instance) in self.lacking
        return not self.disks & {(None, instance), (host, instance)}


@dataclass(frozen=True)
class Bounds:
    """How long things may take, in seconds.

    An evacuation from acceptance to its end where no host has others to work on before it, an order that a host tries
    again and again, a power state to be noticed, what an evacuation left on a destination that could not to be removed.
    """

    evacuation: float = 2515.0
    order: float = 1300.0
    power_sync: float = 120.0
    clean: float = 60.0


@dataclass(frozen=True)
class Site:
    """All that is judged. Without ``evidence`` only the database is."""

    census: Census
    evidence: Evidence | None = None
    bounds: Bounds = field(default_factory=Bounds)

"""A small world: three hosts, one instance of host 0, and what is asked and goes wrong. Replaced, never changed."""

from dataclasses import dataclass, field

from evacuator.evacuation.states import VmState
from evacuator.evacuation.transitions import UNFINISHED, Status, advance

HOSTS = (0, 1, 2)

#: What a request for an evacuation promises: 2.94 starts the guest, 2.95 leaves it off.
ACTIVE, SILENT = False, True

#: What goes wrong only in worlds that name it, once each: a host beats and takes no work; its hypervisor answers no
#: more; it never comes back; its clock is wrong; a request is accepted and its answer lost.
QUEUE, HYPERVISOR, GONE, CLOCK, ANSWER = "queue", "hypervisor", "gone", "clock", "answer"


def hash_once(self):
    """Keep the hash of what never changes: most of a world is shared with the one before it."""
    if "_hash" not in vars(self):
        vars(self)["_hash"] = hash(tuple(vars(self).values()))
    return vars(self)["_hash"]


def changed(thing, **changes):
    """Do as :func:`dataclasses.replace` does, in a fifth of the time, which is most of an exploration's."""
    new = object.__new__(type(thing))
    parts = vars(new)
    parts.update(vars(thing))
    parts.pop("_hash", None)
    count = len(parts)
    parts.update(changes)
    if len(parts) != count:
        raise TypeError(f"{type(thing).__name__} has no {set(changes) - set(vars(thing))}")
    return new


@dataclass(frozen=True)
class Record:
    """An evacuation; ``stops``: it promised silence."""

    status: Status
    attempt: int
    source: int
    dest: int
    stops: bool
    tries: int = 1

    __hash__ = hash_once


@dataclass(frozen=True)
class Worker:
    """A host's work on a record, as it remembers it.

    ``slept``: it was frozen since its last proof. ``token``: it has what the guest's key can be fetched with.
    """

    record: int
    attempt: int
    step: str = "define"
    slept: bool = False
    token: bool = True


@dataclass(frozen=True)
class Order:
    """The owner's order to start the guest. ``after``: how many evacuations had been accepted by then."""

    number: int
    after: int


@dataclass(frozen=True)
class Errand:
    """A host's work on an order; as for a :class:`Worker`."""

    order: Order
    step: str
    slept: bool = False


@dataclass(frozen=True)
class Look:
    """What a host saw of its guest, ``found``, and what the instance was shown as before, ``as_read``."""

    as_read: VmState
    found: VmState
    slept: bool = False


@dataclass(frozen=True)
class Host:
    """``guest``: none, off or on. ``dirty``: it started, or something was taken from it, and it has not cleaned yet.

    ``old``: it was rolled back to the release that starts whatever it evacuates. ``stuck``: what of it is, for good:
    its queue, its hypervisor, or all of it is gone. ``behind``: its own clock is, so that all it says looks old.
    """

    guest: str = "none"
    alive: bool = True
    frozen: bool = False
    fenced: bool = False
    dirty: bool = False
    old: bool = False
    stuck: str = ""
    behind: bool = False
    worker: Worker | Errand | Look | None = None

    __hash__ = hash_once

    @property
    def acts(self):
        return self.alive and not self.frozen and not self.fenced

    @property
    def up(self):
        return self.acts and not self.dirty


@dataclass(frozen=True)
class World:
    """All there is.

    ``owner``: instances.host. ``lock``: the record that instances.evacuation_id names. ``order``: instances.order_id.
    ``requests``: evacuations to be asked for, ``asked``: what else is. ``faults``: how many more can happen, ``rare``:
    which others. ``unfenced``: hosts that were declared dead while the guest ran there. ``unheard``: the database was
    away, and nobody has been heard since. ``unanswered``: the record of a request that did not hear of it.
    ``shown``: instances.vm_state, in worlds that tell it; in others an evacuation ends as its request says.
    ``encrypted``: its disk is, and the key is given to its owner's token alone, which only a request's message has.
    ``seen_down``: a host that an API process saw silent, where that is all it goes by. ``seen_free``: the hosts of
    which API processes saw the instance held by nothing, likewise, each of them for a request.
    """

    hosts: tuple[Host, ...]
    owner: int = 0
    lock: int | None = None
    records: tuple[Record, ...] = ()
    requests: tuple[bool, ...] = (ACTIVE, SILENT)
    asked: tuple[str, ...] = ()
    order: Order | None = None
    deleted: bool = False
    shown: VmState | None = None
    encrypted: bool = False
    faults: int = 2
    rare: tuple[str, ...] = ()
    messages: frozenset = frozenset()
    broken: str | None = None
    unheard: bool = False
    unanswered: int | None = None
    seen_down: int | None = None
    seen_free: tuple[int, ...] = ()
    unfenced: frozenset = field(default_factory=frozenset)

    __hash__ = hash_once

    @property
    def unfinished(self):
        """What was accepted and has not ended: an evacuation or an order; None if all has."""
        if self.lock is not None or any(record.status in UNFINISHED for record in self.records):
            return "evacuation"
        return "order" if self.order is not None else None

    @property
    def left(self):
        """What can still go wrong."""
        return self.faults, self.rare

    def with_host(self, at, **changes):
        hosts = list(self.hosts)
        hosts[at] = changed(hosts[at], **changes)
        return changed(self, hosts=tuple(hosts))

    def with_record(self, number, step, **changes):
        """Let a record take a step, as production's table has it."""
        record = self.records[number]
        status, attempt = advance(record.status, record.attempt, step)
        records = list(self.records)
        records[number] = changed(record, status=status, attempt=attempt, **changes)
        return changed(self, records=tuple(records))

    def without_rare(self, what):
        return changed(self, rare=tuple(each for each in self.rare if each != what))


#: How host 0 comes to be dead: switched off with its guest, or frozen while its guest runs on.
FENCED = (Host(guest="off", alive=False, fenced=True), Host(), Host())
FROZEN = (Host(guest="on", frozen=True), Host(), Host())
#: Dead, and never to come back.
BURNT = (Host(guest="off", alive=False, fenced=True, stuck=GONE), Host(), Host())
#: Dead, while another host was not upgraded yet.
WITH_AN_OLD_ONE = (FENCED[0], Host(), Host(old=True))
#: Alive, with its guest off or running.
STOPPED = (Host(guest="off"), Host(), Host())
RUNNING = (Host(guest="on"), Host(), Host())

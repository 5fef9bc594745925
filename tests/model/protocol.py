"""The protocol of an evacuation in a small world, as states and what can happen next.

Three hosts, one instance of host 0, which is dead, two requests, a bounded number of further faults. A worker's step is
one transaction or one hypervisor call, so that everything can happen between any two of them. Records move by
``evacuator.evacuation.transitions``, guests are judged by ``evacuator.evacuation.cleaning``: what production uses.

Time is not modelled. "Silent" is what others may conclude of a host that is fenced, frozen or whose manager is dead;
one that is frozen and not fenced too, which is why its guest may run on beside another.
"""

from dataclasses import dataclass, field, replace

from evacuator.evacuation.cleaning import Ownership, Verdict, verdict
from evacuator.evacuation.transitions import UNFINISHED, Status, Step, advance

HOSTS = (0, 1, 2)


@dataclass(frozen=True)
class Rules:
    """What can be switched off, one by one; each has its counterexample. The numbers are the protocol's."""

    own_before_power: bool = True
    """1. A guest is powered on only after "this instance is mine" was committed."""
    fresh_proof: bool = True
    """1. Whoever slept since its proof proves again before it powers on."""
    takeover_only_before_ownership: bool = True
    """2. Once the destination owns the instance, its silence gives nobody the right to it."""
    attempt_bound: bool = True
    """3. Every write compares the attempt, and the instance's row as it was read."""
    lost_write_is_a_question: bool = True
    """4. Whoever loses a compare-and-set reads the row before it removes anything."""
    locked_to_one_evacuation: bool = True
    """5. An instance is held by one evacuation at a time."""
    clean_before_up: bool = True
    """6 and 8. A host from which something was taken cleans before it is up."""
    silence_needs_a_witness: bool = True
    """7. When everybody fell silent at once, the database was away, and nobody is dead."""
    wanted_state_is_recorded: bool = True
    """9. The state to end in is what was recorded, not what the guest was."""
    sweeps: bool = True
    """9. A destination finds its work without a message."""
    record_names_its_version: bool = True
    """11. Choice, takeover and claim leave a record that promises silence to hosts that can keep it."""


@dataclass(frozen=True)
class Record:
    """An evacuation; ``stops``: it promised silence."""

    status: Status
    attempt: int
    source: int
    dest: int
    stops: bool
    tries: int = 1


@dataclass(frozen=True)
class Worker:
    """A host's work on a record, as it remembers it. ``slept``: it was frozen since its last proof."""

    record: int
    attempt: int
    step: str = "define"
    slept: bool = False


@dataclass(frozen=True)
class Host:
    """``guest``: none, off or on. ``dirty``: it started, or something was taken from it, and it has not cleaned yet.

    ``old``: it was rolled back to the release that starts whatever it evacuates.
    """

    guest: str = "none"
    alive: bool = True
    frozen: bool = False
    fenced: bool = False
    dirty: bool = False
    old: bool = False
    worker: Worker | None = None

    @property
    def up(self):
        return self.alive and not self.frozen and not self.fenced and not self.dirty


@dataclass(frozen=True)
class World:
    """All there is.

    ``owner``: instances.host. ``lock``: the record that instances.evacuation_id names. ``unfenced``: hosts that were
    declared dead while the guest ran there. ``unheard``: the database was away, and nobody has been heard since.
    """

    hosts: tuple[Host, ...]
    owner: int = 0
    lock: int | None = None
    records: tuple[Record, ...] = ()
    requests: tuple[bool, ...] = (False, True)
    faults: int = 2
    messages: frozenset = frozenset()
    broken: str | None = None
    unheard: bool = False
    unfenced: frozenset = field(default_factory=frozenset)


#: How host 0 comes to be dead: switched off with its guest, or frozen while its guest runs on.
FENCED = (Host(guest="off", alive=False, fenced=True), Host(), Host())
FROZEN = (Host(guest="on", frozen=True), Host(), Host())


class Model:
    """``steps`` gives what can happen next: (what, world) pairs."""

    def __init__(self, rules=None):
        self.rules = rules or Rules()

    # -- small helpers: a world is never changed, only replaced

    def _host(self, world, at, **changes):
        hosts = list(world.hosts)
        hosts[at] = replace(hosts[at], **changes)
        return replace(world, hosts=tuple(hosts))

    def _record(self, world, number, step, **changes):
        record = world.records[number]
        status, attempt = advance(record.status, record.attempt, step)
        records = list(world.records)
        records[number] = replace(record, status=status, attempt=attempt, **changes)
        return replace(world, records=tuple(records))

    def _silent(self, world, at):
        """What others may conclude, or know: an operator who switched a host off says so."""
        host = world.hosts[at]
        if world.unheard and not host.fenced:
            return not self.rules.silence_needs_a_witness
        return host.fenced or host.frozen or not host.alive

    def _take_from(self, world, at):
        """The epoch of a host is raised: it must clean before it is up."""
        host = world.hosts[at]
        if host.alive and not host.frozen:
            world = replace(world, broken=f"I1: host {at} was declared dead, and was only as silent as everybody")
        return self._host(world, at, dirty=True)

    def _keeps_silence(self, world, at, *, stops):
        return not (stops and world.hosts[at].old and self.rules.record_names_its_version)

    # -- everything that can happen

    def steps(self, world):
        yield from self._requests(world)
        for at, host in enumerate(world.hosts):
            if host.alive and not host.frozen and not host.fenced:
                yield from self._manager(world, at, host)
            yield from self._faults(world, at, host)
        yield from self._takeovers(world)
        yield from self._outages(world)

    def _outages(self, world):
        if world.unheard:
            yield "everybody is heard again", replace(world, unheard=False)
        elif world.faults:
            away = replace(world, unheard=True, faults=world.faults - 1)
            yield "the database is away for longer than the down time, and returns", away

    def _requests(self, world):
        source = world.owner
        if not world.requests or not self._silent(world, source):
            return
        if self.rules.locked_to_one_evacuation and world.lock is not None:
            return
        stops, *later = world.requests
        if stops and any(host.old for host in world.hosts):
            return  # the gate
        for dest in HOSTS:
            if dest == source or not world.hosts[dest].up or self._owes_cleaning(world, dest):
                continue
            number = len(world.records)
            record = Record(Status.ACCEPTED, 1, source, dest, stops)
            then = replace(
                world,
                records=(*world.records, record),
                requests=tuple(later),
                lock=number,
                messages=world.messages | {(dest, number)},
            )
            if world.hosts[source].guest == "on":
                then = replace(then, unfenced=then.unfenced | {source})
            version = "2.95" if stops else "2.94"
            yield (
                f"evacuation {number} ({version}) from host {source} to {dest} is accepted",
                self._take_from(then, source),
            )

    def _owes_cleaning(self, world, at):
        return any(record.source == at and record.status == Status.DONE for record in world.records)

    def _manager(self, world, at, host):
        if host.dirty:
            yield from self._clean_up(world, at, host)
        if self.rules.clean_before_up and host.dirty and host.worker is None:
            return  # only then it takes messages and sweeps
        if host.worker is None:
            yield from self._claims(world, at)
        else:
            yield from self._work(world, at, host)

    def _claims(self, world, at):
        for number, record in enumerate(world.records):
            told = (at, number) in world.messages
            if not (told or self.rules.sweeps) or record.dest != at or record.status not in UNFINISHED:
                continue
            if self.rules.locked_to_one_evacuation and world.lock != number:
                continue
            if not self._keeps_silence(world, at, stops=record.stops):
                continue
            step = Step.CLAIM if record.status == Status.ACCEPTED else Step.RECLAIM
            then = self._record(world, number, step)
            worker = Worker(number, then.records[number].attempt)
            then = replace(self._host(then, at, worker=worker), messages=world.messages - {(at, number)})
            yield f"host {at} claims evacuation {number}", then

    def _work(self, world, at, host):
        worker, record = host.worker, world.records[host.worker.record]
        if worker.step == "define":
            guest = "off" if host.guest == "none" else host.guest
            stops = record.stops and self.rules.wanted_state_is_recorded and not host.old
            after = "finish" if stops else ("own" if self.rules.own_before_power else "power")
            defined = replace(worker, step=after)
            yield f"host {at} defines the guest", self._host(world, at, guest=guest, worker=defined)
        elif worker.step == "own":
            yield from self._own(world, at, host)
        elif worker.step == "power":
            yield from self._power(world, at, host)
        elif worker.step == "finish":
            yield from self._finish(world, at, host)

    def _is_mine(self, world, at, worker):
        record = world.records[worker.record]
        current = record.attempt == worker.attempt or not self.rules.attempt_bound
        locked = world.lock == worker.record or not self.rules.locked_to_one_evacuation
        bound = self.rules.attempt_bound and self.rules.takeover_only_before_ownership
        to_be_had = world.owner in (record.source, at) or not bound
        return current and locked and to_be_had and record.status in UNFINISHED

    def _own(self, world, at, host):
        if not self._is_mine(world, at, host.worker):
            yield f"host {at} finds that the evacuation is not its own", self._look_again(world, at)
            return
        owned = replace(host.worker, step="power", slept=False)
        then = replace(self._host(world, at, worker=owned), owner=at)
        yield f"host {at} owns the instance", then

    def _give_up(self, world, number, owner):
        owner = world.records[number].source if owner is None else owner
        return replace(self._record(world, number, Step.FAIL), lock=None, owner=owner)

    def _power(self, world, at, host):
        worker = host.worker
        if worker.slept and self.rules.fresh_proof:
            again = replace(worker, step="own", slept=False)
            yield f"host {at} slept: it proves again", self._host(world, at, worker=again)
            return
        on = self._host(world, at, guest="on", worker=replace(worker, step="finish"))
        yield f"host {at} powers the guest on", self._judge_power_on(on, at, worker)
        yield from self._power_on_fails(world, at, worker)

    def _power_on_fails(self, world, at, worker):
        if not world.faults or not self._is_mine(world, at, worker):
            return
        failed = replace(self._host(world, at, guest="none", worker=None), faults=world.faults - 1)
        back = self._give_up(failed, worker.record, owner=None)
        yield f"host {at} is refused the start, forgets the guest and gives the instance back", back
        unknown = self._host(replace(world, faults=world.faults - 1), at, guest="on", worker=None)
        unknown = self._judge_power_on(unknown, at, worker)
        yield (
            f"host {at} starts it without knowing so, and keeps the instance",
            self._give_up(unknown, worker.record, at),
        )

    def _judge_power_on(self, world, at, worker):
        record = world.records[worker.record]
        if record.stops:
            return replace(world, broken="I2: a guest was powered on that was promised to stay off")
        if self.rules.own_before_power and world.owner != at and at not in world.unfenced:
            return replace(world, broken=f"I1: host {at} powered the guest on, host {world.owner} may run it")
        return world

    def _finish(self, world, at, host):
        worker = host.worker
        if not self._is_mine(world, at, worker):
            yield f"host {at} finds that the evacuation is not its own", self._look_again(world, at)
            return
        done = self._host(world, at, worker=None)
        if world.records[worker.record].status == Status.PRE_MIGRATING:
            done = self._record(done, worker.record, Step.FINISH)
        done = replace(done, owner=at, lock=None)
        yield f"host {at} records that it is done", done
        if world.faults:
            lost = replace(done, faults=world.faults - 1)
            if self.rules.lost_write_is_a_question:
                what = f"host {at} records that it is done, but the answer is lost: it looks again"
                yield what, self._look_again(lost, at)
            else:
                what = (
                    f"host {at} records that it is done, but the answer is lost: it takes that for a no and cleans up"
                )
                yield what, self._host(lost, at, guest="none")

    def _ownership(self, world, at):
        record = world.records[world.lock] if world.lock is not None else None
        return Ownership(
            host=str(world.owner),
            source=str(record.source) if record else None,
            destination=str(record.dest) if record else None,
            was_here=True,
        )

    def _look_again(self, world, at):
        return self._judged(self._host(world, at, worker=None), at)

    def _judged(self, world, at):
        judged = verdict(str(at), self._ownership(world, at), marked=True)
        guest = world.hosts[at].guest
        if judged == Verdict.REMOVE:
            guest = "none"
        elif judged == Verdict.STOP and guest == "on":
            guest = "off"
        if guest != "on":
            world = replace(world, unfenced=world.unfenced - {at})
        return self._host(world, at, guest=guest)

    def _clean_up(self, world, at, host):
        if not self.rules.clean_before_up:
            yield f"host {at} reports up without cleaning", self._host(world, at, dirty=False)
            return
        if host.worker is not None:
            return  # one lock per instance
        then = self._host(self._judged(world, at), at, dirty=False)
        for number, record in enumerate(then.records):
            if record.source == at and record.status == Status.DONE and then.hosts[at].guest == "none":
                then = self._record(then, number, Step.CLEAN)
        yield f"host {at} cleans and reports up", then

    def _faults(self, world, at, host):
        if host.fenced:
            yield f"host {at} is switched on again", self._host(world, at, fenced=False, alive=True, dirty=True)
            return
        if host.frozen:
            worker = replace(host.worker, slept=True) if host.worker else None
            yield f"host {at} thaws", self._host(world, at, frozen=False, worker=worker)
        elif not host.alive:
            yield f"the manager of host {at} is started again", self._host(world, at, alive=True, dirty=True)
        if not world.faults:
            return
        less = replace(world, faults=world.faults - 1)
        off = "off" if host.guest == "on" else host.guest
        fenced = self._host(less, at, fenced=True, frozen=False, alive=False, guest=off, worker=None)
        yield f"host {at} is switched off", replace(fenced, unfenced=fenced.unfenced - {at})
        if host.alive and not host.frozen:
            yield f"host {at} freezes", self._host(less, at, frozen=True)
            yield f"the manager of host {at} dies", self._host(less, at, alive=False, worker=None)
            if not host.old and any(record.stops for record in world.records):
                back = self._host(less, at, old=True, dirty=True, worker=None)
                yield f"the manager of host {at} is started in an older release", back
        for message in world.messages:
            if message[0] == at:
                yield f"a message to host {at} is lost", replace(less, messages=world.messages - {message})

    def _takeovers(self, world):
        for number, record in enumerate(world.records):
            too_old = not self._keeps_silence(world, record.dest, stops=record.stops)
            if record.status not in UNFINISHED or not (too_old or self._silent(world, record.dest)):
                continue
            if self.rules.locked_to_one_evacuation and world.lock != number:
                continue
            taken = world if too_old else self._take_from(world, record.dest)
            if world.owner == record.dest and self.rules.takeover_only_before_ownership:
                yield (
                    f"evacuation {number} ends failed: fence host {record.dest}",
                    self._give_up(taken, number, record.dest),
                )
                continue
            others = [
                at
                for at in HOSTS
                if at not in (record.source, record.dest)
                and world.hosts[at].up
                and self._keeps_silence(world, at, stops=record.stops)
            ]
            if record.tries >= 2 or not others:
                if any(host.up for host in world.hosts):
                    yield f"evacuation {number} ends failed: no other host", self._give_up(taken, number, world.owner)
                continue
            for other in others:
                moved = self._record(taken, number, Step.REASSIGN, dest=other, tries=record.tries + 1)
                moved = replace(moved, messages=moved.messages | {(other, number)})
                yield f"evacuation {number} is given to host {other}", moved

    # -- what must hold

    def violation(self, world):
        """Say which invariant a world breaks; None if it breaks none."""
        if world.broken:
            return world.broken
        running = [at for at in HOSTS if world.hosts[at].guest == "on"]
        strangers = [at for at in running if at != world.owner]
        for at in strangers:
            if world.hosts[at].up:
                return f"I1: host {at} is up and runs a copy that belongs to host {world.owner}"
        fenced = [at for at in running if at not in world.unfenced]
        if len(fenced) > 1:
            return f"I1: hosts {fenced} run the instance, and none of them was declared dead"
        if world.lock is None and world.hosts[world.owner].guest == "none":
            return f"I4: host {world.owner} is to have the guest and has not, and nobody is at work on it"
        return None

"""The protocol of an evacuation in a small world, as what can happen next.

Three hosts, one instance of host 0, one or two requests, a bounded number of further faults. A worker's step is
one transaction or one hypervisor call, so that everything can happen between any two of them. Records move by
``evacuator.evacuation.transitions``, guests are judged by ``evacuator.evacuation.cleaning``: what production uses.

Time is not modelled. "Silent" is what others may conclude of a host that is fenced, frozen or whose manager is dead;
one that is frozen and not fenced too, which is why its guest may run on beside another. Whatever is to happen after a
while may happen at any time.

The instance's one disk is on shared storage: a guest without it is no good copy, on whichever host.
"""

from evacuator.evacuation.cleaning import MUST_NOT_RUN, Ownership, Verdict, verdict
from evacuator.evacuation.transitions import UNFINISHED, Status, Step
from tests.model import asking, looking
from tests.model.rules import Rules
from tests.model.worlds import ANSWER, CLOCK, GONE, HOSTS, HYPERVISOR, QUEUE, Errand, Look, Record, Worker, changed

#: Switches of cleaning's table: how a guest is judged, and how it is judged once the row is changed.
CHANGED_ROWS = {
    "own_guest_is_kept": (Verdict.KEEP, Verdict.REMOVE),
    "source_is_stopped": (Verdict.STOP, Verdict.KEEP),
    "source_is_kept": (Verdict.STOP, Verdict.REMOVE),
    "strangers_are_removed": (Verdict.REMOVE, Verdict.KEEP),
    "shared_disk_stays": (Verdict.REMOVE, Verdict.REMOVE_WITH_DISKS),
}

#: More attempts than the faults of these worlds can cause; production gives up after twenty.
MOST_ATTEMPTS = 10


def _why_not(world, host):
    """Say why a host that was declared dead was not."""
    if world.unheard:
        return "was only as silent as everybody"
    return "only its clock was behind" if host.behind else "had been heard by then"


def _carries_a_token(record):
    """Whether what is sent of an evacuation has its owner's token: a manager that gives it to another host has none."""
    return record.tries == 1


def _without_disk(world, by):
    """Judge that a host deletes the instance's disk with its own guest, which DELETE alone allows."""
    if world.deleted:
        return world
    return changed(world, broken=f"I4: host {by} deleted the disk that host {world.owner} is to run the guest from")


class Model:
    """``steps`` gives what can happen next: (what, world) pairs."""

    def __init__(self, rules=None):
        self.rules = rules or Rules()

    # -- what is to be seen of a host

    def _up(self, world, at):
        """Whether it is heard. Who waits for its hypervisor does not beat."""
        host = world.hosts[at]
        return host.up and not (host.stuck == HYPERVISOR and self.rules.hypervisor_answers_first)

    def _silent(self, world, at):
        """What others may conclude, or know: an operator who switched a host off says so."""
        host = world.hosts[at]
        if host.behind and not self.rules.one_clock_decides:
            return True
        if world.unheard and not host.fenced:
            return not self.rules.silence_needs_a_witness
        hangs = host.stuck == HYPERVISOR and self.rules.hypervisor_answers_first
        return hangs or not host.acts

    def _take_from(self, world, at):
        """The epoch of a host is raised: it must clean before it is up."""
        host = world.hosts[at]
        if host.acts and host.stuck != HYPERVISOR:
            world = changed(world, broken=f"I1: host {at} was declared dead, and {_why_not(world, host)}")
        return world.with_host(at, dirty=True)

    def _keeps_silence(self, world, at, *, stops):
        return not (stops and world.hosts[at].old and self.rules.record_names_its_version)

    # -- everything that can happen

    def steps(self, world):
        yield from self._requests(world)
        yield from asking.questions(self.rules, world)
        yield from asking.asked_again(self.rules, world)
        for at, host in enumerate(world.hosts):
            if host.acts:
                yield from self._manager(world, at, host)
            yield from self._faults(world, at, host)
        if self.rules.orphans_are_settled:
            yield from self._takeovers(world)
        yield from self._outages(world)

    def _outages(self, world):
        if world.unheard:
            yield "everybody is heard again", changed(world, unheard=False)
        elif world.faults:
            away = changed(world, unheard=True, faults=world.faults - 1)
            for at, host in enumerate(world.hosts):
                if host.worker is not None:  # its proof is older than the down time
                    away = away.with_host(at, worker=changed(host.worker, slept=True))
            yield "the database is away for longer than the down time, and returns", away

    def _requests(self, world):
        source = world.owner
        if not world.requests or world.deleted:
            return
        if world.seen_free:
            yield from self._accepted_unseen(world)
        silent = self._silent(world, source)
        if silent and not self.rules.source_is_proven_down:
            yield f"a request for an evacuation finds host {source} silent", changed(world, seen_down=source)
        held = self.rules.locked_to_one_evacuation and world.lock is not None
        if held or not (silent or world.seen_down == source):
            return
        if self._has_too_old_a_host(world) and self.rules.gate_refuses:
            return
        if self.rules.conditions_are_written:
            yield from self._choices(world, source)
        elif len(world.seen_free) < len(world.requests):
            seen = changed(world, seen_free=(*world.seen_free, source))
            yield f"a request for an evacuation finds the instance of host {source} free", seen

    def _accepted_unseen(self, world):
        source, *others = world.seen_free
        if self._silent(world, source):
            yield from self._choices(changed(world, seen_free=tuple(others)), source)

    def _choices(self, world, source):
        for dest in HOSTS:
            if dest != source and self._can_take(world, dest):
                yield from self._accepted(world, source, dest)

    def _has_too_old_a_host(self, world):
        return world.requests[0] and any(host.old for host in world.hosts)

    def _can_take(self, world, dest):
        keeps_silence = self._keeps_silence(world, dest, stops=world.requests[0])
        return self._up(world, dest) and keeps_silence and not self._owes_cleaning(world, dest)

    def _accepted(self, world, source, dest):
        silent, *later = world.requests
        number = len(world.records)
        record = Record(Status.ACCEPTED, 1, source, dest, looking.ends_off(world))
        then = changed(
            world,
            records=(*world.records, record),
            requests=tuple(later),
            lock=number,
            order=None if self.rules.acceptance_voids_orders else world.order,
            messages=world.messages | {(dest, number)},
        )
        if world.hosts[source].guest == "on":
            then = changed(then, unfenced=then.unfenced | {source})
        if self._has_too_old_a_host(world):
            then = changed(then, broken="I7: 2.95 was accepted while a compute manager is too old for it")
        then = self._take_from(then, source)
        what = f"evacuation {number} ({'2.95' if silent else '2.94'}) from host {source} to {dest} is accepted"
        yield what, then
        if ANSWER in world.rare:
            yield f"{what}, but the answer is lost", changed(then.without_rare(ANSWER), unanswered=number)

    def _owes_cleaning(self, world, at):
        return any(record.source == at and record.status == Status.DONE for record in world.records)

    def _manager(self, world, at, host):
        if host.dirty:
            yield from self._clean_up(world, at, host)
        if self.rules.clean_before_up and host.dirty and host.worker is None:
            return  # only then it takes messages and sweeps
        if host.worker is None:
            if host.stuck != QUEUE:
                yield from self._claims(world, at)
                yield from asking.takes_order(self.rules, world, at)
                yield from looking.looks(world, at)
        elif isinstance(host.worker, Errand):
            yield from asking.errand(self.rules, world, at)
        elif isinstance(host.worker, Look):
            yield from looking.looked(self.rules, world, at)
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
            if step == Step.RECLAIM and not self.rules.reclaims:
                continue
            then = world.with_record(number, step)
            token = not world.encrypted or (told and _carries_a_token(record))
            worker = Worker(number, then.records[number].attempt, token=token)
            then = changed(then.with_host(at, worker=worker), messages=world.messages - {(at, number)})
            yield f"host {at} claims evacuation {number}", then

    def _work(self, world, at, host):
        step = host.worker.step
        if host.stuck == HYPERVISOR and step in {"define", "power", "forget"}:
            return
        yield from {
            "define": self._define,
            "own": self._own,
            "write owner": self._write_owner,
            "power": self._power,
            "finish": self._finish,
            "forget": self._forget,
            "give back": self._give_back,
        }[step](world, at, host.worker)

    def _define(self, world, at, worker):
        host, record = world.hosts[at], world.records[worker.record]
        guest = "off" if host.guest == "none" else host.guest
        stops = record.stops and self.rules.wanted_state_is_recorded and not host.old
        after = "finish" if stops else ("own" if self.rules.own_before_power else "power")
        yield f"host {at} defines the guest", world.with_host(at, guest=guest, worker=changed(worker, step=after))

    def _is_mine(self, world, at, worker):
        record = world.records[worker.record]
        current = record.attempt == worker.attempt or not self.rules.attempt_bound
        locked = world.lock == worker.record or not self.rules.locked_to_one_evacuation
        bound = self.rules.attempt_bound and self.rules.takeover_only_before_ownership
        to_be_had = world.owner in (record.source, at) or not bound
        return current and locked and to_be_had and record.status in UNFINISHED

    def _not_mine(self, world, at):
        return f"host {at} finds that the evacuation is not its own", self._look_again(world, at)

    def _own(self, world, at, worker):
        if not self._is_mine(world, at, worker):
            yield self._not_mine(world, at)
        elif not worker.token:
            yield from self._leave_to_owner(world, at, worker)
        elif self.rules.conditions_are_written:
            yield from self._write_owner(world, at, worker)
        else:
            looked = changed(worker, step="write owner", slept=False)
            yield f"host {at} finds that the evacuation is its own", world.with_host(at, worker=looked)

    def _leave_to_owner(self, world, at, worker):
        if self.rules.left_to_its_owner:
            left = world.with_host(at, worker=changed(worker, step="finish"))
            yield f"host {at} has no token of the owner, and starts nothing", left

    def _write_owner(self, world, at, worker):
        owned = changed(worker, step="power", slept=False)
        yield f"host {at} owns the instance", changed(world.with_host(at, worker=owned), owner=at)

    def _give_up(self, world, number, owner):
        return changed(world.with_record(number, Step.FAIL), lock=None, owner=owner)

    def _power(self, world, at, worker):
        if worker.slept and self.rules.fresh_proof:
            again = changed(worker, step="own", slept=False)
            yield f"host {at} slept: it proves again", world.with_host(at, worker=again)
            return
        on = world.with_host(at, guest="on", worker=changed(worker, step="finish"))
        yield f"host {at} powers the guest on", self._judge_power_on(on, at, worker)
        if world.faults:
            yield from self._power_on_fails(changed(world, faults=world.faults - 1), at, worker)

    def _power_on_fails(self, world, at, worker):
        refused = f"host {at} is refused the start"
        if not self._is_mine(world, at, worker):
            what, then = self._not_mine(world, at)
            yield f"{refused}; {what}", then
            return
        if world.hosts[at].guest == "on" and self.rules.failure_is_seen:
            runs = world.with_host(at, worker=changed(worker, step="finish"))
            yield f"{refused}, and sees that the guest runs", runs
            return
        if self.rules.written_before_forgotten:
            yield refused, world.with_host(at, worker=changed(worker, step="give back"))
        else:
            yield refused, world.with_host(at, worker=changed(worker, step="forget"))
        started = world.with_host(at, guest="on", worker=None)
        owner = at if self.rules.unknown_start_stays else world.records[worker.record].source
        unknown = self._give_up(self._judge_power_on(started, at, worker), worker.record, owner)
        keeps = "keeps the instance" if owner == at else "gives the instance back"
        yield f"host {at} starts it without knowing so, and {keeps}", unknown

    def _give_back(self, world, at, worker):
        """Write down that the start failed."""
        if not self._is_mine(world, at, worker):
            yield self._not_mine(world, at)
            return
        owner = world.records[worker.record].source if self.rules.certain_failure_gives_back else at
        then = changed(worker, step="forget") if self.rules.written_before_forgotten else None
        back = self._give_up(world, worker.record, owner).with_host(at, worker=then)
        gives = f" and gives the instance back to host {owner}" if owner != at else ""
        yield f"host {at} records that the start failed{gives}", back

    def _forget(self, world, at, worker):
        then = None if self.rules.written_before_forgotten else changed(worker, step="give back")
        forgotten = world.with_host(at, guest="none", worker=then)
        if not self.rules.shared_disk_stays:
            forgotten = _without_disk(forgotten, at)
        yield f"host {at} forgets the guest", forgotten

    def _judge_power_on(self, world, at, worker):
        if world.records[worker.record].stops:
            return changed(world, broken="I2: a guest was powered on that was promised to stay off")
        if looking.was_left_off(world):
            return changed(world, broken="I2: a guest was powered on that was left off, and nobody asked for it")
        if self.rules.own_before_power and world.owner != at and at not in world.unfenced:
            return changed(world, broken=f"I1: host {at} powered the guest on, host {world.owner} may run it")
        return world

    def _finish(self, world, at, worker):
        if not self._is_mine(world, at, worker):
            yield self._not_mine(world, at)
            return
        done = world.with_host(at, worker=None)
        if world.records[worker.record].status == Status.PRE_MIGRATING:
            done = done.with_record(worker.record, Step.FINISH)
        done = changed(done, owner=at, lock=None, shown=looking.shown_after(world, world.records[worker.record]))
        what = f"host {at} records that it is done"
        yield what, done
        if world.faults:
            lost = changed(done, faults=world.faults - 1)
            if self.rules.lost_write_is_a_question:
                yield f"{what}, but the answer is lost: it looks again", self._look_again(lost, at)
            else:
                forgotten = lost.with_host(at, guest="none")
                yield f"{what}, but the answer is lost: it takes that for a no and cleans up", forgotten

    # -- cleaning

    def _verdict(self, world, at):
        record = world.records[world.lock] if world.lock is not None else None
        ownership = Ownership(
            host=str(world.owner),
            deleted=world.deleted,
            source=str(record.source) if record else None,
            destination=str(record.dest) if record else None,
            was_here=any(at in (each.source, each.dest) for each in world.records),
        )
        judged = verdict(str(at), ownership, marked=True, running=world.hosts[at].guest == "on")
        for switch, (row, otherwise) in CHANGED_ROWS.items():
            if judged == row and not getattr(self.rules, switch):
                return otherwise
        return judged

    def _look_again(self, world, at):
        return self._judged(world.with_host(at, worker=None), at)

    def _judged(self, world, at):
        guest = world.hosts[at].guest
        judged = self._verdict(world, at)
        if judged == Verdict.REMOVE_WITH_DISKS and guest != "none":
            world = _without_disk(world, at)
        if judged in (Verdict.REMOVE, Verdict.REMOVE_WITH_DISKS):
            guest = "none"
        elif judged == Verdict.STOP and guest == "on":
            guest = "off"
        if guest != "on":
            world = changed(world, unfenced=world.unfenced - {at})
        return world.with_host(at, guest=guest)

    def _clean_up(self, world, at, host):
        if not self.rules.clean_before_up:
            yield f"host {at} reports up without cleaning", world.with_host(at, dirty=False)
            return
        if host.worker is not None or host.stuck == HYPERVISOR:
            return  # one lock per instance; and what is there has to be known
        stale = host.guest == "on" and self._verdict(world, at) in MUST_NOT_RUN
        if stale and world.faults and not self.rules.stale_guest_keeps_down:
            up = changed(world.with_host(at, dirty=False), faults=world.faults - 1)
            yield f"host {at} cannot stop its guest and reports up", up
        then = self._judged(world, at)
        if stale and then.hosts[at].guest == "on":
            return  # it is for a person to judge, and this host stays down
        then = then.with_host(at, dirty=False)
        for number, record in enumerate(then.records):
            if record.source == at and record.status == Status.DONE and then.hosts[at].guest == "none":
                then = then.with_record(number, Step.CLEAN)
        yield f"host {at} cleans and reports up", then

    # -- what goes wrong

    def _faults(self, world, at, host):
        if host.fenced:
            if host.stuck != GONE:
                yield f"host {at} is switched on again", world.with_host(at, fenced=False, alive=True, dirty=True)
            return
        if host.frozen:
            worker = changed(host.worker, slept=True) if host.worker else None
            yield f"host {at} thaws", world.with_host(at, frozen=False, worker=worker)
        elif not host.alive:
            yield f"the manager of host {at} is started again", world.with_host(at, alive=True, dirty=True)
        yield from self._rare_faults(world, at, host)
        if not world.faults:
            return
        less = changed(world, faults=world.faults - 1)
        yield f"host {at} is switched off", self._off(less, at)
        if host.acts:
            yield f"host {at} freezes", less.with_host(at, frozen=True)
            yield f"the manager of host {at} dies", less.with_host(at, alive=False, worker=None)
            if not host.old and any(record.stops for record in world.records):
                back = less.with_host(at, old=True, dirty=True, worker=None)
                yield f"the manager of host {at} is started in an older release", back
        for message in world.messages:
            if message[0] == at:
                with_token = world.encrypted and _carries_a_token(world.records[message[1]])
                lost = "is lost, and the owner's token with it" if with_token else "is lost"
                yield f"a message to host {at} {lost}", changed(less, messages=world.messages - {message})

    def _rare_faults(self, world, at, host):
        if GONE in world.rare:
            yield f"host {at} burns down", self._off(world.without_rare(GONE), at, stuck=GONE)
        if CLOCK in world.rare:
            yield f"the clock of host {at} falls behind", world.without_rare(CLOCK).with_host(at, behind=True)
        if host.up and not host.stuck:
            if QUEUE in world.rare:
                yield f"host {at} takes no more work", world.without_rare(QUEUE).with_host(at, stuck=QUEUE)
            if HYPERVISOR in world.rare:
                hangs = world.without_rare(HYPERVISOR).with_host(at, stuck=HYPERVISOR)
                yield f"the hypervisor of host {at} hangs", hangs

    def _off(self, world, at, stuck=""):
        guest = "off" if world.hosts[at].guest == "on" else world.hosts[at].guest
        off = world.with_host(at, fenced=True, frozen=False, alive=False, guest=guest, worker=None, stuck=stuck)
        return changed(off, unfenced=off.unfenced - {at})

    def _takeovers(self, world):
        for number, record in enumerate(world.records):
            if record.status not in UNFINISHED:
                continue
            if self.rules.locked_to_one_evacuation and world.lock != number:
                continue
            too_old = not self._keeps_silence(world, record.dest, stops=record.stops)
            if too_old or self._silent(world, record.dest):
                taken = world if too_old else self._take_from(world, record.dest)
                yield from self._settle(taken, number, record)
            elif record.status == Status.ACCEPTED and self.rules.late_is_reassigned:
                yield from self._late(world, number, record)

    def _late(self, world, number, record):
        """Of what its destination has not begun: it is stuck, or takes its time, which is a fault like others."""
        if not world.hosts[record.dest].stuck:
            if not world.faults:
                return
            world = changed(world, faults=world.faults - 1)
        for what, then in self._settle(world, number, record):
            yield f"host {record.dest} does not begin: {what}", then

    def _settle(self, world, number, record):
        if world.owner == record.dest and self.rules.takeover_only_before_ownership:
            failed = self._give_up(world, number, record.dest)
            yield f"evacuation {number} ends failed: fence host {record.dest}", failed
            return
        others = [
            at
            for at in HOSTS
            if at not in (record.source, record.dest)
            and self._up(world, at)
            and self._keeps_silence(world, at, stops=record.stops)
        ]
        if record.tries >= 2 or not others:
            if any(self._up(world, at) for at in HOSTS):
                yield f"evacuation {number} ends failed: no other host", self._give_up(world, number, world.owner)
            return
        for other in others:
            moved = world.with_record(number, Step.REASSIGN, dest=other, tries=record.tries + 1)
            moved = changed(moved, messages=moved.messages | {(other, number)})
            yield f"evacuation {number} is given to host {other}", moved

    # -- what must hold

    def violation(self, world):
        """Say which invariant a world breaks; None if it breaks none."""
        if world.broken:
            return world.broken
        if any(record.attempt > MOST_ATTEMPTS for record in world.records):
            return "I3: an evacuation is begun again and again"
        too_many = self._too_many_run(world)
        if too_many:
            return too_many
        if world.lock is None and not world.deleted and world.hosts[world.owner].guest == "none":
            return f"I4: host {world.owner} is to have the guest and has not, and nobody is at work on it"
        return None

    def _too_many_run(self, world):
        running = [at for at in HOSTS if world.hosts[at].guest == "on"]
        for at in running:
            if world.hosts[at].up and world.deleted:
                return f"I1: host {at} is up and runs a copy of what was deleted"
            if world.hosts[at].up and at != world.owner:
                return f"I1: host {at} is up and runs a copy that belongs to host {world.owner}"
        fenced = [at for at in running if at not in world.unfenced]
        if len(fenced) > 1:
            return f"I1: hosts {fenced} run the instance, and none of them was declared dead"
        return None

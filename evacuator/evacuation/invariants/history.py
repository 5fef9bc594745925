"""I1 and I2 from the hypervisors' journals: every power-on there ever was, held against who may have wanted it."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from evacuator.evacuation.invariants.codes import Code, Finding
from evacuator.evacuation.invariants.facts import Census, Evidence, JournalLine, RecordFacts, Site
from evacuator.evacuation.states import VmState

POWERED_ON = "powered_on"
POWERED_OFF = "powered_off"
DESTROYED = "destroyed"

_OF_MIGRATION = re.compile(r"migration (?P<id>\d+) attempt \d+")


def orders(site: Site) -> Iterator[Finding]:
    """Find power-ons that nobody ordered, that the wrong host made, or that came after a promise of silence."""
    if site.evidence is None:
        return
    for start in _starts(site.evidence):
        finding = _judge(site.census, site.evidence, start)
        if finding is not None:
            yield finding


@dataclass(frozen=True)
class Start:
    """A power-on; ``repeated``: the same order had powered on the same guest before."""

    line: JournalLine
    repeated: bool


def _starts(evidence: Evidence) -> Iterator[Start]:
    seen: set[tuple[str, str, str]] = set()
    for line in evidence.journal or ():
        if line.event == POWERED_ON:
            key = (line.host, line.instance, line.cause)
            yield Start(line, key in seen)
            seen.add(key)


def _judge(census: Census, evidence: Evidence, start: Start) -> Finding | None:
    line = start.line
    ordered_at = _ordered_at(census, line)
    if ordered_at is None:
        return _finding(Code.POWER_ON_UNORDERED, evidence, line, "which nobody ordered")
    record = _record_of(census, line)
    if record is not None and record.final_state == VmState.STOPPED:
        why = f"by migration {record.id} itself, which promised to leave it stopped"
        return _finding(Code.SILENCE_BROKEN, evidence, line, why)
    if record is not None and record.destination != line.host:
        why = f"for migration {record.id}, which gave it to host {record.destination}"
        return _finding(Code.POWER_ON_NOT_OWNED, evidence, line, why)
    void = _evacuations_between(census, line, ordered_at)
    return _judge_void(evidence, start, void) if void else None


def _judge_void(evidence: Evidence, start: Start, void: list[RecordFacts]) -> Finding:
    """Judge a power-on whose order was made void by evacuations accepted since."""
    line, since = start.line, ", ".join(f"migration {record.id}" for record in void)
    if _was_on_its_way(start, void):
        why = f"ordered before {since} took it from this host, which was declared dead and not fenced"
        return _finding(Code.LATE_ORDER, evidence, line, why)
    if any(record.final_state == VmState.STOPPED for record in void):
        return _finding(Code.SILENCE_BROKEN, evidence, line, f"after {since} promised to leave it stopped")
    return _finding(Code.POWER_ON_NOT_OWNED, evidence, line, f"by an order that {since} had made void")


def _was_on_its_way(start: Start, void: list[RecordFacts]) -> bool:
    """Tell whether the order may have been on its way inside of its host when that was declared dead.

    One that had been carried out already was not. It was the first evacuation since that took the instance from there;
    later ones found it elsewhere.
    """
    return not start.repeated and void[0].source == start.line.host


def _record_of(census: Census, line: JournalLine) -> RecordFacts | None:
    of_migration = _OF_MIGRATION.fullmatch(line.cause)
    record = census.record.get(int(of_migration["id"])) if of_migration else None
    return record if record and record.instance == line.instance else None


def _ordered_at(census: Census, line: JournalLine) -> float | None:
    record = _record_of(census, line)
    return record.accepted_at if record else census.power_orders.get((line.instance, line.cause))


def _evacuations_between(census: Census, line: JournalLine, ordered_at: float) -> list[RecordFacts]:
    """Return the evacuations accepted between an order and the power-on that it led to."""
    records = census.records_of.get(line.instance, ())
    return [record for record in records if ordered_at < record.accepted_at <= line.at]


def _finding(code: Code, evidence: Evidence, line: JournalLine, why: str) -> Finding:
    sentence = f"Host {line.host} powered it on at {line.at:.6f} (cause: {line.cause}), {why}."
    return Finding(code, f"instance {line.instance}", sentence, _show(evidence, line.instance))


@dataclass(frozen=True)
class Run:
    """One run of a copy of an instance; ``end`` is infinite while it lasts."""

    start: Start
    end: float

    @property
    def host(self) -> str:
        """Where it ran."""
        return self.start.line.host

    @property
    def begin(self) -> float:
        """Since when."""
        return self.start.line.at


def _runs(evidence: Evidence) -> list[Run]:
    """Make runs of the lines of the journals.

    A journal may name a run that did not come to be (the process died in between): one that has no end although its
    guest does not run, or that begins twice.
    """
    starts = _starts(evidence)
    begun: dict[tuple[str, str], Start] = {}
    ended: list[Run] = []
    for line in evidence.journal or ():
        key = (line.host, line.instance)
        if line.event == POWERED_ON:
            begun[key] = next(starts)
        elif line.event in (POWERED_OFF, DESTROYED) and key in begun:
            ended.append(Run(begun.pop(key), line.at))
    return ended + [Run(start, float("inf")) for key, start in begun.items() if key in evidence.running]


def overlaps(site: Site) -> Iterator[Finding]:
    """Find instances that ran on two hosts at once."""
    if site.evidence is None:
        return
    by_instance: dict[str, list[Run]] = defaultdict(list)
    for run in _runs(site.evidence):
        by_instance[run.start.line.instance].append(run)
    for instance, found in by_instance.items():
        for earlier, later in combinations(sorted(found, key=lambda run: run.begin), 2):
            if earlier.host != later.host and later.begin < earlier.end:
                yield _overlap(site.census, site.evidence, instance, earlier, later)


def _overlap(census: Census, evidence: Evidence, instance: str, earlier: Run, later: Run) -> Finding:
    both = min(earlier.end, later.end)
    until = "until now" if both == float("inf") else f"until {both:.6f}"
    sentence = f"It ran on hosts {earlier.host} and {later.host} at once, from {later.begin:.6f} {until}"
    unfenced = _unfenced_host(census, instance, earlier, later)
    if unfenced is None and earlier.begin == later.begin:
        # Nothing says which of them was first.
        unfenced = _unfenced_host(census, instance, later, earlier)
    if unfenced is None:
        code, why = Code.TWO_COPIES_RAN, "; neither had been declared dead when it was started there."
    else:
        code, why = Code.UNFENCED_COPY_RAN, f"; {unfenced} had been declared dead, but it was not fenced."
    return Finding(code, f"instance {instance}", sentence + why, _show(evidence, instance))


def _unfenced_host(census: Census, instance: str, earlier: Run, later: Run) -> str | None:
    """Return the host whose copy ran only because it was declared dead and not stopped."""
    records = census.records_of.get(instance, ())
    if any(record.source == earlier.host and earlier.begin <= record.accepted_at <= later.begin for record in records):
        return earlier.host
    ordered_at = _ordered_at(census, later.start.line)
    void = [] if ordered_at is None else _evacuations_between(census, later.start.line, ordered_at)
    return later.host if void and _was_on_its_way(later.start, void) else None


def _show(evidence: Evidence, instance: str) -> str:
    return evidence.commands.read_journal(instance)

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
    for line in site.evidence.journal:
        if line.event == POWERED_ON:
            finding = _judge(site.census, site.evidence, line)
            if finding is not None:
                yield finding


def _judge(census: Census, evidence: Evidence, line: JournalLine) -> Finding | None:
    of_migration = _OF_MIGRATION.fullmatch(line.cause)
    record = census.record.get(int(of_migration["id"])) if of_migration else None
    if record is not None and record.instance == line.instance:
        if record.final_state == VmState.STOPPED:
            why = f"by migration {record.id} itself, which promised to leave it stopped"
            return _finding(Code.SILENCE_BROKEN, evidence, line, why)
        if record.destination != line.host:
            why = f"for migration {record.id}, which gave it to host {record.destination}"
            return _finding(Code.POWER_ON_NOT_OWNED, evidence, line, why)
        ordered_at: float | None = record.accepted_at
    else:
        ordered_at = census.power_orders.get((line.instance, line.cause))
    if ordered_at is None:
        return _finding(Code.POWER_ON_UNORDERED, evidence, line, "which nobody ordered")
    return _judge_silence(census, evidence, line, ordered_at)


def _judge_silence(census: Census, evidence: Evidence, line: JournalLine, ordered_at: float) -> Finding | None:
    """Hold a power-on against the evacuations accepted between its order and itself that promise silence."""
    between = [
        record
        for record in census.records_of.get(line.instance, ())
        if record.final_state == VmState.STOPPED and ordered_at < record.accepted_at <= line.at
    ]
    if not between:
        return None
    promises = ", ".join(f"migration {record.id}" for record in between)
    if all(record.source == line.host for record in between):
        why = f"ordered before {promises} took it from this host, which was declared dead and not fenced"
        return _finding(Code.LATE_ORDER, evidence, line, why)
    return _finding(Code.SILENCE_BROKEN, evidence, line, f"after {promises} promised to leave it stopped")


def _finding(code: Code, evidence: Evidence, line: JournalLine, why: str) -> Finding:
    sentence = f"Host {line.host} powered it on at {line.at:.6f} (cause: {line.cause}), {why}."
    return Finding(code, f"instance {line.instance}", sentence, _show(evidence, line.instance))


@dataclass(frozen=True)
class Run:
    """One run of a copy of an instance; ``end`` is infinite while it lasts."""

    host: str
    instance: str
    begin: float
    end: float


def runs(evidence: Evidence) -> list[Run]:
    """Make runs of the lines of the journals.

    A journal may name a run that did not come to be (the process died in between): one that has no end although its
    guest does not run, or that begins twice.
    """
    begun: dict[tuple[str, str], float] = {}
    ended: list[Run] = []
    for line in evidence.journal:
        key = (line.host, line.instance)
        if line.event == POWERED_ON:
            begun[key] = line.at
        elif line.event in (POWERED_OFF, DESTROYED) and key in begun:
            ended.append(Run(*key, begun.pop(key), line.at))
    return ended + [Run(*key, begin, float("inf")) for key, begin in begun.items() if key in evidence.running]


def overlaps(site: Site) -> Iterator[Finding]:
    """Find instances that ran on two hosts at once."""
    if site.evidence is None:
        return
    by_instance: dict[str, list[Run]] = defaultdict(list)
    for run in runs(site.evidence):
        by_instance[run.instance].append(run)
    for found in by_instance.values():
        for earlier, later in combinations(sorted(found, key=lambda run: run.begin), 2):
            if earlier.host != later.host and later.begin < earlier.end:
                yield _overlap(site.census, site.evidence, earlier, later)


def _overlap(census: Census, evidence: Evidence, earlier: Run, later: Run) -> Finding:
    declared = _declared_dead(census, earlier, later)
    both = min(earlier.end, later.end)
    until = "until now" if both == float("inf") else f"until {both:.6f}"
    sentence = f"It ran on hosts {earlier.host} and {later.host} at once, from {later.begin:.6f} {until}"
    if declared is None:
        code, why = Code.TWO_COPIES_RAN, f"; {earlier.host} had not been declared dead."
    else:
        code = Code.UNFENCED_COPY_RAN
        why = f"; migration {declared.id} had declared {earlier.host} dead, but it was not fenced."
    return Finding(code, f"instance {earlier.instance}", sentence + why, _show(evidence, earlier.instance))


def _declared_dead(census: Census, earlier: Run, later: Run) -> RecordFacts | None:
    """Return the evacuation that took the instance from the earlier host while it ran there, before the later began."""
    return next(
        (
            record
            for record in census.records_of.get(earlier.instance, ())
            if record.source == earlier.host and earlier.begin <= record.accepted_at <= later.begin
        ),
        None,
    )


def _show(evidence: Evidence, instance: str) -> str:
    return f"grep {instance} {evidence.place}/hypervisors/*/journal.jsonl"

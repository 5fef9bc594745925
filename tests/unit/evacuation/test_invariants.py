"""Every check is shown what it is there to find: a site on which one thing was broken."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from evacuator.evacuation.destination import Room
from evacuator.evacuation.invariants import findings
from evacuator.evacuation.invariants.codes import NOTES, Code
from evacuator.evacuation.invariants.commands import Libvirt, Simulated
from evacuator.evacuation.invariants.facts import Evidence, FoundGuest, InstanceFacts, RecordFacts, Site
from tests.unit.evacuation.a_site import (
    NOW,
    TINY,
    a_healthy_site,
    minus_claim,
    plus,
    plus_claim,
    with_evidence,
    with_guest,
    with_instance,
    with_line,
    with_node,
    with_record,
    with_service,
    without,
)

DOCUMENT = Path(__file__).parents[3] / "docs" / "verify.md"


@pytest.fixture
def site():
    return a_healthy_site()


def codes(site):
    return {finding.code for finding in findings(site)}


def test_a_site_in_the_middle_of_its_work_has_nothing_wrong(site):
    assert findings(site) == []


@pytest.mark.parametrize(("ago", "found"), [(59.0, set()), (61.0, {Code.STALE_GUEST})])
def test_what_a_start_that_failed_left_may_wait_for_the_next_cleaning_and_no_longer(site, ago, found):
    failed = RecordFacts(9, "ninth", "settled", "failed", "c", "b", "active", NOW - 100, written_at=NOW - ago)

    assert codes(with_guest(plus(site, "records", failed), "b", "settled", running=False)) == found


def test_a_copy_where_the_guest_was_seen_to_be_gone_may_be_the_only_one(site):
    left = RecordFacts(9, "ninth", "settled", "completed", "b", "c", "active", NOW - 900)
    copied = with_guest(plus(site, "records", left), "b", "settled", running=True)

    (stray,) = (finding for finding in findings(copied) if finding.code == Code.STRAY_COPY)

    assert "may be the only one there is" in stray.sentence


def test_without_evidence_the_database_alone_is_judged(site):
    broken = with_node(with_guest(site, "b", "settled", running=True), "a", claims=9)

    assert codes(replace(broken, evidence=None)) == {Code.BOOKS_DIFFER}


def _real(site, **values):
    """Make the hypervisors such as keep no journal, and whose disks are not all known."""
    commands = Libvirt({"b": "qemu+ssh://b/system", "c": "qemu+ssh://c/system"})
    return with_evidence(site, journal=None, disks=None, commands=commands, **values)


def _ordered(site, uuid, request_id, at):
    """Have somebody ask for a start."""
    orders = {**site.census.power_orders, (uuid, request_id): at}
    return replace(site, census=replace(site.census, power_orders=orders))


def _repeated_order(site, uuid):
    """The source carries out, once more, what had been ordered of it before it was declared dead."""
    site = with_line(site, 120.0, "a", uuid, "powered_on", f"req-{uuid}")
    return with_line(site, 121.0, "a", uuid, "powered_off", "mains off")


def _late_order(site):
    """The order of before the evacuation lands on its source after all."""
    site = with_line(_ordered(site, "silent", "req-late", 105.0), 120.0, "a", "silent", "powered_on", "req-late")
    return with_line(site, 121.0, "a", "silent", "powered_off", "mains off")


def _ran_unfenced(site):
    """Host a was frozen when it was declared dead; its guest ran on until it was switched off."""
    lines = [
        replace(line, at=130.0) if (line.event, line.instance) == ("powered_off", "moved") else line
        for line in site.evidence.journal
    ]
    return with_evidence(site, journal=lines)


def _ran_twice(site):
    site = with_line(site, 200.0, "b", "settled", "powered_on", "req-settled")
    return with_line(site, 201.0, "b", "settled", "powered_off", "req-settled")


def _lost_disk(site):
    return with_evidence(site, disks=site.evidence.disks - {(None, "settled")})


def _forgotten(site):
    """Delete the service of host a, which completes its records, and give back what was claimed there."""
    site = with_record(with_record(site, 1, status="completed"), 2, status="completed")
    site = minus_claim(minus_claim(site, "moved", "a"), "silent", "a")
    moving = with_instance(site, "moving", host="b")
    return without(moving, "services", lambda service: service.host == "a")


def _beside_another(site, **values):
    """Change an evacuation under way that one other was beside, which has ended by now."""
    return with_record(with_record(site, 2, written_at=NOW - 300), 3, **values)


#: What is broken -> how, and what must be found; each finds exactly this.
BREAKS = {
    "a guest that somebody started on its host": (
        lambda s: with_guest(with_instance(_real(s), "silent", vm_state="active"), "c", "silent", running=True),
        {Code.STARTED_UNASKED},
    ),
    "a total that does not fit the claims": (lambda s: with_node(s, "b", used=Room(9, 9, 9)), {Code.BOOKS_DIFFER}),
    "a number of claims that does not fit": (lambda s: with_node(s, "b", claims=1), {Code.BOOKS_DIFFER}),
    "less memory than is claimed": (lambda s: with_node(s, "b", total=Room(8, 1023, 80)), {Code.BOOKS_OVERDRAWN}),
    "less disk than is claimed": (lambda s: with_node(s, "b", total=Room(8, 4096, 1)), {Code.BOOKS_OVERDRAWN}),
    "fewer vCPUs than are claimed": (lambda s: with_node(s, "b", total=Room(1, 4096, 80)), {Code.BOOKS_OVERDRAWN}),
    "no claim where the instance is": (lambda s: minus_claim(s, "settled", "c"), {Code.CLAIM_MISSING}),
    "no claim where the instance goes": (lambda s: minus_claim(s, "moving", "b"), {Code.CLAIM_MISSING}),
    "a claim on a third host": (lambda s: plus_claim(s, "settled", "b"), {Code.CLAIM_UNEXPLAINED}),
    "a claim that cleaning did not give back": (
        lambda s: with_record(s, 2, status="completed"),
        {Code.CLAIM_UNEXPLAINED},
    ),
    "a claim that a failure did not give back": (
        lambda s: with_instance(
            with_record(s, 3, status="failed"), "moving", task_state=None, evacuation_id=None, vm_state="error"
        ),
        {Code.CLAIM_UNEXPLAINED, Code.STALE_GUEST},
    ),
    "a claim of a deleted instance": (lambda s: plus_claim(s, "gone", "a"), {Code.CLAIM_OF_DELETED}),
    "a claim of another size": (
        lambda s: plus_claim(minus_claim(s, "settled", "c"), "settled", "c", Room(2, 512, 1)),
        {Code.CLAIM_DIFFERS},
    ),
    "an unfinished record whose instance is free": (
        lambda s: with_instance(minus_claim(s, "moving", "b"), "moving", evacuation_id=None, task_state=None),
        {Code.RECORD_WITHOUT_LOCK, Code.STALE_GUEST},
    ),
    "an unfinished record of a deleted instance": (
        lambda s: with_instance(minus_claim(minus_claim(s, "moving", "b"), "moving", "a"), "moving", deleted=True),
        {Code.RECORD_WITHOUT_LOCK, Code.STALE_GUEST},
    ),
    "an instance held by a record that ended": (
        lambda s: with_instance(s, "moved", evacuation_id="first", task_state="rebuilding"),
        {Code.LOCK_WITHOUT_RECORD},
    ),
    "an instance held by a record that never was": (
        lambda s: with_instance(s, "moved", evacuation_id="nonsense", task_state="rebuilding"),
        {Code.LOCK_WITHOUT_RECORD},
    ),
    "an instance held by another's record": (
        lambda s: plus_claim(
            with_instance(s, "settled", evacuation_id="third", task_state="rebuilding"), "settled", "b"
        ),
        {Code.LOCK_WITHOUT_RECORD, Code.CLAIM_UNEXPLAINED},
    ),
    "an evacuation that never ends": (lambda s: with_record(s, 3, accepted_at=NOW - 3000), {Code.RECORD_STUCK}),
    "an evacuation that waits for a host that works on others": (
        lambda s: _beside_another(s, accepted_at=NOW - 3000, assigned_at=NOW - 250),
        {Code.RECORD_QUEUED},
    ),
    "an evacuation that waits for longer than all others may take": (
        lambda s: _beside_another(s, accepted_at=NOW - 5031, assigned_at=NOW - 250),
        {Code.RECORD_STUCK},
    ),
    "an evacuation that nobody is there to end": (
        lambda s: with_record(
            with_service(with_service(s, "b", up_since=None), "c", up_since=None), 3, accepted_at=NOW - 3000
        ),
        {Code.RECORD_WAITS},
    ),
    "rebuilding without an evacuation": (
        lambda s: with_instance(s, "settled", task_state="rebuilding"),
        {Code.TASK_WITHOUT_WORK},
    ),
    "a task without an order": (
        lambda s: with_instance(s, "settled", task_state="powering-off"),
        {Code.TASK_WITHOUT_WORK},
    ),
    "an order without a task": (lambda s: with_instance(s, "settled", order_id="req-9"), {Code.TASK_WITHOUT_WORK}),
    "an order that comes to no end": (
        lambda s: with_instance(s, "settled", task_state="powering-off", order_id="req-9", ordered_at=NOW - 2000),
        {Code.ORDER_STUCK},
    ),
    "an order that the evacuation left": (
        lambda s: with_instance(s, "moving", order_id="req-9"),
        {Code.ORDER_DURING_EVACUATION},
    ),
    "an instance on a host without a service": (
        lambda s: without(s, "services", lambda service: service.host == "c"),
        {Code.UNKNOWN_HOST},
    ),
    "an instance on a host without a node": (
        lambda s: without(s, "nodes", lambda node: node.host == "c"),
        {Code.UNKNOWN_HOST},
    ),
    "an evacuation to a host without a service": (
        lambda s: without(
            with_record(s, 3, destination="x"), "claims", lambda claim: (claim.instance, claim.host) == ("moving", "b")
        ),
        {Code.UNKNOWN_HOST, Code.CLAIM_MISSING, Code.BOOKS_DIFFER, Code.STALE_GUEST},
    ),
    "a service that reported no version": (lambda s: with_service(s, "b", version=None), {Code.VERSION_UNKNOWN}),
    "a service of version 0": (lambda s: with_service(s, "b", version=0), {Code.VERSION_UNKNOWN}),
    "a service from the future": (lambda s: with_service(s, "b", version=99), {Code.VERSION_NEWER}),
    "a dead host without a service that runs on": (
        lambda s: _forgotten(with_guest(s, "a", "moved", running=True)),
        {Code.UNFENCED_COPY_RUNNING},
    ),
    "a second copy on a host that is up": (
        lambda s: with_guest(s, "b", "settled", running=True),
        {Code.TWO_COPIES, Code.STRAY_COPY},
    ),
    "the only copy on a wrong host": (
        lambda s: with_guest(s, "b", "silent", running=True),
        {Code.STRAY_COPY},
    ),
    "a destination that powers on before it owns": (
        lambda s: with_guest(s, "b", "moving", running=True),
        {Code.STRAY_COPY},
    ),
    "a dead host that runs on": (lambda s: with_guest(s, "a", "moved", running=True), {Code.UNFENCED_COPY_RUNNING}),
    "a dead host that runs what is being moved": (
        lambda s: with_guest(s, "a", "moving", running=True),
        {Code.UNFENCED_COPY_RUNNING},
    ),
    "a dead host that runs what was deleted": (
        lambda s: with_guest(s, "a", "gone", running=True),
        {Code.UNFENCED_COPY_RUNNING},
    ),
    "a host that reported up with what was moved away": (
        lambda s: with_guest(with_service(s, "a", up_since=9000.0), "a", "moved", running=True),
        # The stopped guest of what was deleted is stale from then on, too.
        {Code.TWO_COPIES, Code.STRAY_COPY, Code.STALE_GUEST},
    ),
    "a copy on a silent host that no record names": (
        lambda s: with_guest(with_service(s, "b", up_since=None), "b", "settled", running=True),
        {Code.TWO_COPIES, Code.STRAY_COPY},
    ),
    "a stopped guest where it does not belong": (
        lambda s: with_guest(s, "b", "settled", running=False),
        {Code.STALE_GUEST},
    ),
    "a guest of no instance": (lambda s: with_guest(s, "b", "stranger", running=True), {Code.UNOWNED_GUEST}),
    "an ACTIVE instance that does not run": (
        lambda s: with_guest(s, "c", "settled", running=False),
        {Code.ACTIVE_NOT_RUNNING},
    ),
    "a SHUTOFF instance that runs": (lambda s: with_guest(s, "c", "silent", running=True), {Code.STOPPED_BUT_RUNNING}),
    "a disk that is gone": (_lost_disk, {Code.DISK_MISSING}),
    "a disk that is on another host": (
        lambda s: with_evidence(_lost_disk(s), disks=_lost_disk(s).evidence.disks | {("b", "settled")}),
        {Code.DISK_MISSING},
    ),
    "2.95 that starts and then stops": (
        lambda s: with_line(
            with_line(s, 115.0, "c", "silent", "powered_on", "migration 2 attempt 2"),
            *(116.0, "c", "silent", "powered_off", "migration 2 attempt 2"),
        ),
        {Code.SILENCE_BROKEN},
    ),
    "an order of before that the destination carries out": (
        lambda s: with_line(s, 120.0, "c", "silent", "powered_on", "req-silent"),
        {Code.SILENCE_BROKEN},
    ),
    "an order of before that the dead source carries out": (_late_order, {Code.LATE_ORDER}),
    "an old order that the dead source carries out a second time": (
        lambda s: _repeated_order(s, "silent"),
        {Code.SILENCE_BROKEN},
    ),
    "a source that starts what had been started elsewhere": (
        lambda s: _repeated_order(s, "moved"),
        {Code.POWER_ON_NOT_OWNED, Code.TWO_COPIES_RAN},
    ),
    "a power-on that nobody ordered": (
        lambda s: with_line(s, 120.0, "c", "resting", "powered_on", "cleaning of c"),
        {Code.POWER_ON_UNORDERED},
    ),
    "a power-on for another instance's record": (
        lambda s: with_line(s, 120.0, "c", "resting", "powered_on", "migration 1 attempt 2"),
        {Code.POWER_ON_UNORDERED},
    ),
    "a power-on for a record that never was": (
        lambda s: with_line(s, 120.0, "c", "resting", "powered_on", "migration 77 attempt 1"),
        {Code.POWER_ON_UNORDERED},
    ),
    "a power-on on a host that lost the record": (
        lambda s: with_line(s, 120.0, "c", "moved", "powered_on", "migration 1 attempt 1"),
        {Code.POWER_ON_NOT_OWNED},
    ),
    "two hosts that ran it for a while": (_ran_twice, {Code.TWO_COPIES_RAN}),
    "a dead host that ran it for a while": (_ran_unfenced, {Code.UNFENCED_COPY_RAN}),
}


@pytest.mark.parametrize("what", BREAKS)
def test_a_broken_site_is_found_out(site, what):
    breaks, expected = BREAKS[what]

    found = findings(breaks(site))

    assert {finding.code for finding in found} == expected
    for finding in found:
        assert finding.subject
        assert finding.sentence.endswith(".")
        assert finding.next_command


def test_every_code_is_found_by_some_break():
    assert set().union(*(expected for _, expected in BREAKS.values())) == set(Code)


def test_every_code_is_documented_once_and_nothing_else():
    headings = re.findall(r"^### `([a-z-]+)`", DOCUMENT.read_text(), re.MULTILINE)

    assert sorted(headings) == sorted(Code)


def test_what_an_unfenced_host_did_in_the_past_is_only_a_note(site):
    (finding,) = findings(_ran_unfenced(site))
    assert not finding.broken
    assert "; a had been declared dead" in finding.sentence
    assert {Code.LATE_ORDER, Code.UNFENCED_COPY_RAN, Code.STARTED_UNASKED, Code.RECORD_QUEUED} == NOTES


def test_the_next_command_for_an_unfenced_copy_fences_that_host(site):
    (finding,) = findings(with_guest(site, "a", "moved", running=True))
    assert finding.next_command == "evacuator host power-off a --state-dir D"


@pytest.mark.parametrize("host", ["a", "c"])
def test_where_the_recorded_host_has_none_nothing_is_to_be_destroyed(site, host):
    """As after a database was restored that is older than where guests are."""
    elsewhere = [guest for guest in site.evidence.guests if guest.instance != "moved"]
    found = findings(with_guest(with_evidence(site, guests=elsewhere), host, "moved", running=True))

    (finding,) = (each for each in found if each.code in (Code.UNFENCED_COPY_RUNNING, Code.STRAY_COPY))
    assert "But host b has none, so that this may be the only one there is" in finding.sentence
    assert "power-off" not in finding.next_command


def test_books_that_differ_come_with_the_statement_that_sets_them_right(site):
    (finding,) = findings(with_node(site, "b", claims=1))
    assert finding.next_command == (
        "UPDATE compute_nodes SET vcpus_used = 2, memory_mb_used = 1024, local_gb_used = 2, claims = 2 "
        "WHERE host = 'b';"
    )


# -- what is owed, or under way, is nothing wrong


def test_a_record_may_be_late_as_long_as_computes_have_not_been_up_for_that_time(site):
    restarted = with_service(with_service(site, "b", up_since=NOW - 30), "c", up_since=NOW - 30)
    assert findings(with_record(restarted, 3, accepted_at=NOW - 3000)) == []


def test_an_order_may_be_late_as_long_as_its_host_has_not_been_up_for_that_time(site):
    ordered = with_instance(site, "settled", task_state="powering-off", order_id="req-9", ordered_at=NOW - 2000)
    assert findings(with_service(ordered, "c", up_since=NOW - 1000)) == []


def test_a_destination_that_owns_the_instance_may_run_it_before_the_record_is_done(site):
    owned = with_guest(with_instance(site, "moving", host="b"), "b", "moving", running=True)
    assert findings(with_line(owned, NOW - 1, "b", "moving", "powered_on", "migration 3 attempt 2")) == []


def test_a_host_that_lost_its_power_a_moment_ago_is_not_blamed_for_its_guests(site):
    dark = with_evidence(with_guest(site, "c", "settled", running=False), mains={"a": False, "b": True, "c": False})
    assert findings(dark) == []


def test_a_host_that_came_back_a_moment_ago_has_yet_to_look_at_its_guests(site):
    dark = with_guest(site, "c", "settled", running=False)
    assert findings(with_service(dark, "c", up_since=NOW - 1)) == []


def test_a_guest_that_stopped_by_itself_may_wait_for_the_next_look_at_power(site):
    stopped = with_guest(site, "c", "settled", running=False)
    assert findings(with_line(stopped, NOW - 1, "c", "settled", "powered_off", "mains off")) == []


@pytest.mark.parametrize("values", [{"task_state": "powering-on", "order_id": "req-9"}, {"vm_state": "error"}])
def test_a_guest_with_an_order_or_in_error_may_run_or_not(site, values):
    changed = with_instance(site, "resting", **values)
    assert findings(changed) == []
    assert findings(with_guest(changed, "c", "resting", running=True)) == []


@pytest.mark.parametrize(("ago", "is_stale"), [(5, False), (300, True)])
def test_a_source_that_came_back_before_its_evacuation_failed_has_yet_to_clean(site, ago, is_stale):
    failed = with_record(site, 1, status="failed", written_at=NOW - ago)
    returned = with_guest(with_service(failed, "a", up_since=500.0), "a", "moved", running=False)

    found = {finding.code for finding in findings(returned) if finding.subject == "instance moved"}
    assert (Code.STALE_GUEST in found) is is_stale


@pytest.mark.parametrize(("ago", "is_stale"), [(5, False), (300, True)])
def test_a_destination_that_an_evacuation_was_taken_from_has_yet_to_clean(site, ago, is_stale):
    given_to_b = with_record(site, 3, accepted_at=NOW - 400, assigned_at=NOW - ago)
    found = codes(with_guest(given_to_b, "c", "moving", running=False))

    assert (Code.STALE_GUEST in found) is is_stale


def test_a_guest_of_somebody_else_is_none_of_our_business(site):
    foreign = FoundGuest("b", "foreign", running=True, marked=False)
    assert findings(with_evidence(site, guests=[*site.evidence.guests, foreign])) == []


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"host": "b", "instance": "settled", "marked": False}, set()),
        ({"host": "b", "instance": "settled", "marked": True}, {Code.STALE_GUEST}),
        # Migration 1 took it away from a, so that it is ours.
        ({"host": "a", "instance": "moved", "marked": False}, {Code.STALE_GUEST}),
    ],
)
def test_a_stopped_guest_without_our_mark_is_stale_only_where_an_evacuation_was(site, values, found):
    completed = minus_claim(with_record(site, 1, status="completed"), "moved", "a")
    site = with_service(without(completed, "instances", lambda each: each.uuid == "gone"), "a", up_since=5.0)
    others = [
        guest
        for guest in site.evidence.guests
        if (guest.host, guest.instance) not in {("a", "moved"), ("a", "gone"), (values["host"], values["instance"])}
    ]
    assert codes(with_evidence(site, guests=[*others, FoundGuest(running=False, **values)], journal=[])) == found


def test_a_refused_evacuation_brought_no_guest(site):
    refused = RecordFacts(9, "ninth", "settled", "error", "c", "b", "active", NOW - 900)
    unmarked = FoundGuest("b", "settled", running=False, marked=False)
    site = with_evidence(plus(site, "records", refused), guests=[*site.evidence.guests, unmarked])
    assert findings(site) == []


def test_a_printed_path_is_quoted_for_the_shell():
    commands = Simulated("/var/my site")
    assert [
        commands.stop("b", "one"),
        commands.show("b", "one"),
        commands.trace("b", "one"),
        commands.find_disk("b", "one"),
        commands.read_journal("one"),
    ] == [
        "evacuator host power-off b --state-dir '/var/my site'",
        "cat '/var/my site/hypervisors/b/guests/one.json'",
        "grep one '/var/my site/hypervisors/b/guests/one.json'",
        "find '/var/my site' -name '*one*'",
        "grep one '/var/my site'/hypervisors/*/journal.jsonl",
    ]


def test_where_no_journal_is_kept_what_is_there_is_judged(site):
    assert findings(_real(site)) == []
    (finding,) = findings(with_guest(_real(site), "b", "resting", running=True))
    assert finding.code is Code.STRAY_COPY
    assert "under another name" in finding.sentence
    assert finding.next_command == "virsh -c qemu+ssh://b/system dumpxml resting"


def test_a_copy_where_an_evacuation_brought_it_is_to_be_ended(site):
    ended = with_guest(with_instance(_real(site), "moved", host="c"), "c", "moved", running=True)
    (finding,) = [found for found in findings(ended) if found.code is Code.STRAY_COPY]
    assert finding.next_command == "virsh -c qemu+ssh://b/system destroy moved"


def test_a_disk_is_missing_only_where_a_guest_lacks_it(site):
    (finding,) = findings(_real(site, lacking=frozenset({("c", "resting")})))
    assert (finding.code, finding.subject) == (Code.DISK_MISSING, "instance resting")


def test_a_guest_that_was_started_on_its_host_after_the_promise_of_silence_is_a_note(site):
    started = with_guest(with_instance(_real(site), "silent", vm_state="active"), "c", "silent", running=True)
    (finding,) = findings(started)
    assert (finding.code, finding.broken) == (Code.STARTED_UNASKED, False)
    assert "Migration 2 promised" in finding.sentence
    assert findings(_ordered(started, "silent", "req-start", 500.0)) == []


def test_an_instance_that_never_ran_needs_no_disk(site):
    building = InstanceFacts("new", TINY, "c", "building", task_state="spawning", order_id="req-new", launched=False)
    assert findings(plus_claim(plus(site, "instances", building), "new", "c")) == []


def test_a_private_disk_of_its_own_host_is_a_disk(site):
    moved = _lost_disk(site)
    assert findings(with_evidence(moved, disks=moved.evidence.disks | {("c", "settled")})) == []


def test_hosts_without_a_simulated_hypervisor_are_not_asked_for_guests_and_disks(site):
    assert findings(
        replace(site, evidence=Evidence(Simulated("D"), NOW, {"b": True}, disks=frozenset({(None, "moved")})))
    ) == [
        finding
        for finding in findings(with_evidence(site, guests=[], journal=[]))
        if finding.subject == "instance moved"
    ]


def test_os_start_after_the_promise_of_silence_is_an_order(site):
    ordered = _ordered(site, "silent", "req-start", 500.0)
    started = with_line(ordered, 501.0, "c", "silent", "powered_on", "req-start")
    running = with_guest(with_instance(started, "silent", vm_state="active"), "c", "silent", running=True)
    assert findings(running) == []


def test_an_evacuation_below_2_95_after_the_promise_of_silence_may_power_on(site):
    later = RecordFacts(4, "fourth", "silent", "done", "c", "b", "active", 600.0)
    moved = with_instance(plus(site, "records", later), "silent", host="b", vm_state="active")
    moved = plus_claim(with_service(moved, "c", up_since=NOW - 50), "silent", "b")
    started = with_line(moved, 601.0, "b", "silent", "powered_on", "migration 4 attempt 2")
    assert findings(with_guest(started, "b", "silent", running=True)) == []


def test_a_refused_evacuation_promised_silence_too(site):
    refused = RecordFacts(4, "fourth", "settled", "error", "c", None, "stopped", 600.0)
    late = with_line(plus(site, "records", refused), 700.0, "b", "settled", "powered_on", "req-settled")
    assert Code.SILENCE_BROKEN in codes(late)


def test_a_journal_may_name_a_run_that_did_not_come_to_be(site):
    # The process died between the line and the guest's start; the guest was never seen to run.
    assert findings(with_line(site, 90.0, "b", "settled", "powered_on", "req-settled")) == []


def test_runs_one_after_the_other_are_no_two_copies(site):
    back = with_line(site, 9.0, "b", "settled", "powered_on", "req-settled")
    assert findings(with_line(back, 9.5, "b", "settled", "destroyed", "req-settled")) == []


def test_two_copies_that_still_run_are_told_with_since_when(site):
    twice = with_line(
        with_guest(site, "b", "settled", running=True), 200.0, "b", "settled", "powered_on", "req-settled"
    )
    (finding,) = (finding for finding in findings(twice) if finding.code is Code.TWO_COPIES_RAN)
    assert "from 200.000000 until now" in finding.sentence


def test_an_order_on_its_way_inside_a_host_that_is_declared_dead_is_not_ours_to_prevent(site):
    late = with_line(_ordered(site, "moved", "req-late", 105.0), 300.0, "a", "moved", "powered_on", "req-late")
    late = with_line(late, 301.0, "a", "moved", "powered_off", "cleaning of a")
    assert codes(late) == {Code.LATE_ORDER, Code.UNFENCED_COPY_RAN}


def test_a_site_of_nothing_has_nothing_wrong():
    census = replace(
        a_healthy_site().census, services=[], nodes=[], instances=[], records=[], claims=[], power_orders={}
    )
    assert findings(Site(census, Evidence(Simulated("D"), NOW))) == []

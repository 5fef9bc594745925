import pytest
from hypothesis import given
from hypothesis import strategies as st

from evacuator.evacuation.cleaning import Ownership, Verdict, verdict

ME = "a"


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize(
    ("ownership", "judged"),
    [
        (Ownership(ME), Verdict.KEEP),
        (Ownership("b", source="b", destination=ME), Verdict.KEEP),
        (Ownership(ME, source="b", destination=ME), Verdict.KEEP),
        (Ownership(ME, source=ME, destination="b"), Verdict.STOP),
        (Ownership("b", source=ME, destination="b"), Verdict.STOP),
        (Ownership("b", was_here=True), Verdict.REMOVE),
        (Ownership("b", source="b", destination="c", was_here=True), Verdict.REMOVE),
        (Ownership(None, was_here=True), Verdict.REMOVE),
        (Ownership("b", deleted=True, was_here=True), Verdict.REMOVE_WITH_DISKS),
        (None, Verdict.REPORT),
    ],
)
def test_the_row_decides_whether_we_made_it_or_a_record_names_us(ownership, judged, marked):
    assert verdict(ME, ownership, marked=marked) is judged


@pytest.mark.parametrize("deleted", [True, False])
def test_what_nothing_proves_to_be_ours_is_only_reported(deleted):
    assert verdict(ME, Ownership("b", deleted=deleted), marked=False) is Verdict.REPORT


@pytest.mark.parametrize(("deleted", "judged"), [(False, Verdict.REMOVE), (True, Verdict.REMOVE_WITH_DISKS)])
def test_our_mark_alone_proves_that_it_is_ours(deleted, judged):
    assert verdict(ME, Ownership("b", deleted=deleted), marked=True) is judged


@pytest.mark.parametrize(
    ("ownership", "judged"),
    [
        (Ownership("b"), Verdict.DISPUTE),
        (Ownership("b", source="b", destination="c"), Verdict.DISPUTE),
        (Ownership("b", was_here=True), Verdict.REMOVE),
        (Ownership("b", was_here=True, seen_gone=True), Verdict.DISPUTE),
        (Ownership("b", deleted=True), Verdict.REMOVE_WITH_DISKS),
        (Ownership("b", deleted=True, was_here=True, seen_gone=True), Verdict.REMOVE_WITH_DISKS),
    ],
)
def test_a_guest_that_runs_where_no_evacuation_brought_it_may_be_the_only_one_there_is(ownership, judged):
    assert verdict(ME, ownership, marked=True, running=True) is judged


def test_a_guest_that_was_seen_gone_and_does_not_run_is_removed_as_any_other():
    assert verdict(ME, Ownership("b", was_here=True, seen_gone=True), marked=True) is Verdict.REMOVE


def test_a_deleted_instance_is_removed_although_the_row_names_this_host():
    assert verdict(ME, Ownership(ME, deleted=True), marked=True) is Verdict.REMOVE_WITH_DISKS


hosts = st.none() | st.sampled_from("abc")
yes_or_no = st.booleans()
ownerships = st.builds(
    Ownership, hosts, deleted=yes_or_no, source=hosts, destination=hosts, was_here=yes_or_no, seen_gone=yes_or_no
)


@given(ownerships, st.booleans(), st.booleans())
def test_disks_go_only_with_instances_that_were_deleted(ownership, marked, running):
    judged = verdict(ME, ownership, marked=marked, running=running)
    assert ownership.deleted or judged is not Verdict.REMOVE_WITH_DISKS


@given(ownerships, st.booleans(), st.booleans())
def test_nothing_is_removed_while_this_host_is_its_owner_or_part_of_its_evacuation(ownership, marked, running):
    if not ownership.deleted and ME in (ownership.host, ownership.source, ownership.destination):
        assert verdict(ME, ownership, marked=marked, running=running) in (Verdict.KEEP, Verdict.STOP)


@given(ownerships, st.booleans(), st.booleans())
def test_the_source_of_an_evacuation_never_keeps_a_guest_running(ownership, marked, running):
    if ownership.source == ME:
        assert verdict(ME, ownership, marked=marked, running=running) is not Verdict.KEEP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evacuator.errors import TransitionRefused
from evacuator.evacuation.transitions import TRANSITIONS, UNFINISHED, Status, Step, advance

ENDED = set(Status) - UNFINISHED

#: Written out a second time on purpose: (status, step) -> (status, whether the attempt is raised). Nothing else is.
ALLOWED = {
    ("accepted", Step.CLAIM): ("pre-migrating", True),
    ("pre-migrating", Step.RECLAIM): ("pre-migrating", True),
    ("accepted", Step.REASSIGN): ("accepted", True),
    ("pre-migrating", Step.REASSIGN): ("accepted", True),
    ("pre-migrating", Step.FINISH): ("done", False),
    ("done", Step.CLEAN): ("completed", False),
    ("accepted", Step.NO_HOST): ("error", False),
    ("accepted", Step.FAIL): ("failed", False),
    ("pre-migrating", Step.FAIL): ("failed", False),
}


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("status", Status)
def test_the_table_has_these_steps_and_no_others(status, step):
    allowed = ALLOWED.get((status, step))
    if allowed is None:
        with pytest.raises(TransitionRefused, match=f"{status} has no step '{step}'"):
            advance(status, 7, step)
    else:
        after, raised = allowed
        assert advance(status, 7, step) == (after, 8 if raised else 7)


def test_a_status_that_is_not_in_the_table_has_no_step():
    with pytest.raises(TransitionRefused):
        advance("running", 1, Step.CLAIM)


@given(st.lists(st.sampled_from(list(Step))))
def test_whatever_happens_an_evacuation_that_ended_never_works_again(steps):
    status, attempt = Status.ACCEPTED, 1
    for step in steps:
        try:
            after, raised = advance(status, attempt, step)
        except TransitionRefused:
            continue
        assert attempt <= raised <= attempt + 1
        assert after in ENDED or status in UNFINISHED
        # What was done was done by the attempt that claimed it last.
        assert not (after is Status.DONE and status is Status.ACCEPTED)
        status, attempt = after, raised


def test_every_unfinished_status_can_fail():
    assert TRANSITIONS[Step.FAIL].sources == UNFINISHED


def test_whoever_takes_a_record_locks_out_who_had_it_before():
    raising = {step for step, transition in TRANSITIONS.items() if transition.raises_attempt}
    assert raising == {Step.CLAIM, Step.RECLAIM, Step.REASSIGN}

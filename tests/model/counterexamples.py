"""What happens without each rule: the smallest world in which it is missed, and the invariant that breaks there."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evacuator.evacuation.states import VmState
from tests.model.explore import explore
from tests.model.protocol import Model
from tests.model.rules import Rules
from tests.model.worlds import (
    ACTIVE,
    ANSWER,
    BURNT,
    CLOCK,
    FENCED,
    FROZEN,
    GONE,
    HYPERVISOR,
    QUEUE,
    RUNNING,
    SILENT,
    STOPPED,
    WITH_AN_OLD_ONE,
    World,
)

#: One file a counterexample, as it was reviewed.
FOLDER = Path(__file__).parent / "counterexamples"


@dataclass(frozen=True)
class Without:
    """Without ``rule``, this invariant breaks in what can follow ``world``."""

    rule: str
    invariant: str
    world: World

    def explored(self):
        return explore(Model(Rules(**{self.rule: False})), self.world)


TWICE = World(FENCED, requests=(ACTIVE, ACTIVE), faults=1)
ONCE = World(FENCED, requests=(ACTIVE,))
SILENTLY = World(FENCED, requests=(SILENT,))
ENCRYPTED = World(FENCED, requests=(ACTIVE,), encrypted=True, faults=1)
UNFENCED = World(FROZEN, requests=(ACTIVE,))
ORDERED = World(STOPPED, requests=(ACTIVE,), asked=("start",))
ORDERED_BEFORE_SILENCE = World(STOPPED, requests=(SILENT,), asked=("start",))


def _with_rare(what):
    return World(FENCED, requests=(ACTIVE,), faults=0, rare=(what,))


#: By the name of its file, which is the rule's, and the case where there are several.
COUNTEREXAMPLES: Mapping[str, Without] = {
    "own_before_power": Without("own_before_power", "I1", TWICE),
    "fresh_proof": Without("fresh_proof", "I1", TWICE),
    "fresh_proof-of_an_order": Without("fresh_proof", "I1", ORDERED),
    "fresh_proof-before_silence": Without("fresh_proof", "I2", ORDERED_BEFORE_SILENCE),
    "orders_are_proven": Without("orders_are_proven", "I1", ORDERED),
    "orders_are_proven-before_silence": Without("orders_are_proven", "I2", ORDERED_BEFORE_SILENCE),
    "takeover_only_before_ownership": Without("takeover_only_before_ownership", "I1", TWICE),
    "failure_is_seen": Without("failure_is_seen", "I1", ONCE),
    "certain_failure_gives_back": Without("certain_failure_gives_back", "I4", ONCE),
    "written_before_forgotten": Without("written_before_forgotten", "I4", ONCE),
    "unknown_start_stays": Without("unknown_start_stays", "I1", ONCE),
    "attempt_bound": Without("attempt_bound", "I1", TWICE),
    "lost_write_is_a_question": Without("lost_write_is_a_question", "I4", TWICE),
    "repeated_request_finds_its_record": Without("repeated_request_finds_its_record", "I6", _with_rare(ANSWER)),
    "locked_to_one_evacuation": Without("locked_to_one_evacuation", "I1", TWICE),
    "source_is_proven_down": Without("source_is_proven_down", "I1", UNFENCED),
    "orders_need_no_evacuation": Without(
        "orders_need_no_evacuation", "I1", World(FENCED, requests=(ACTIVE,), asked=("start",), faults=0)
    ),
    "acceptance_voids_orders": Without("acceptance_voids_orders", "I2", ORDERED_BEFORE_SILENCE),
    "reset_ends_the_evacuation": Without(
        "reset_ends_the_evacuation", "I3", World(FENCED, requests=(ACTIVE,), asked=("reset",), faults=0)
    ),
    "delete_ends_the_evacuation": Without(
        "delete_ends_the_evacuation", "I1", World(FENCED, requests=(ACTIVE,), asked=("delete",), faults=0)
    ),
    "clean_before_up": Without("clean_before_up", "I1", World(FROZEN, requests=(ACTIVE,), faults=0)),
    "hypervisor_answers_first": Without("hypervisor_answers_first", "I3", _with_rare(HYPERVISOR)),
    "silence_needs_a_witness": Without("silence_needs_a_witness", "I1", World(RUNNING, requests=(ACTIVE,))),
    "own_guest_is_kept": Without("own_guest_is_kept", "I4", ONCE),
    "source_is_stopped": Without("source_is_stopped", "I1", UNFENCED),
    "source_is_kept": Without("source_is_kept", "I4", UNFENCED),
    "strangers_are_removed": Without("strangers_are_removed", "I1", UNFENCED),
    "deleted_is_cleaned": Without("deleted_is_cleaned", "I1", World(FROZEN, requests=(), asked=("delete",))),
    "stale_guest_keeps_down": Without("stale_guest_keeps_down", "I1", UNFENCED),
    "wanted_state_is_recorded": Without("wanted_state_is_recorded", "I2", SILENTLY),
    "sweeps": Without("sweeps", "I3", World(FENCED, requests=(ACTIVE,), faults=1)),
    "reclaims": Without("reclaims", "I3", World(FENCED, requests=(ACTIVE,), faults=1)),
    "orphans_are_settled": Without("orphans_are_settled", "I3", _with_rare(GONE)),
    "late_is_reassigned": Without("late_is_reassigned", "I3", _with_rare(QUEUE)),
    "shared_disk_stays": Without("shared_disk_stays", "I4", World(FENCED, requests=(ACTIVE,), faults=0)),
    "shared_disk_stays-after_a_failed_start": Without(
        "shared_disk_stays", "I4", World(BURNT, requests=(ACTIVE,), faults=1)
    ),
    "gate_refuses": Without("gate_refuses", "I7", World(WITH_AN_OLD_ONE, requests=(SILENT,))),
    "record_names_its_version": Without("record_names_its_version", "I2", SILENTLY),
    "conditions_are_written": Without(
        "conditions_are_written", "I1", World(FENCED, requests=(ACTIVE, ACTIVE), faults=0)
    ),
    "conditions_are_written-by_a_destination": Without(
        "conditions_are_written", "I1", World(FENCED, requests=(ACTIVE,), faults=1)
    ),
    "one_clock_decides": Without(
        "one_clock_decides", "I1", World(RUNNING, requests=(ACTIVE,), faults=0, rare=(CLOCK,))
    ),
    "one_clock_decides-at_a_takeover": Without("one_clock_decides", "I1", _with_rare(CLOCK)),
    "looking_drives_nothing": Without(
        "looking_drives_nothing", "I2", World(FENCED, shown=VmState.ACTIVE, requests=(SILENT,), faults=1)
    ),
    "looks_are_compared": Without(
        "looks_are_compared", "I2", World(RUNNING, shown=VmState.STOPPED, requests=(SILENT, ACTIVE), faults=2)
    ),
    "orders_need_a_host_that_is_up": Without(
        "orders_need_a_host_that_is_up", "I3", World(BURNT, requests=(), asked=("start",), faults=0)
    ),
    "left_to_its_owner": Without("left_to_its_owner", "I3", ENCRYPTED),
    "left_to_its_owner-after_a_takeover": Without(
        "left_to_its_owner", "I3", World(FENCED, requests=(ACTIVE,), encrypted=True, faults=0, rare=(QUEUE,))
    ),
}

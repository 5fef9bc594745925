"""The rules of the protocol that can be switched off in the model, and for each rule where it is seen to be needed."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Rules:
    """What can be switched off, one by one; each has its counterexample. The numbers are the protocol's."""

    own_before_power: bool = True
    """1. A guest is powered on only after "this instance is mine" was committed."""
    fresh_proof: bool = True
    """1. Whoever slept since its proof proves again before it powers on."""
    orders_are_proven: bool = True
    """1. Before anything is powered on by an order, it is proven that it is current and that its host is the owner."""
    takeover_only_before_ownership: bool = True
    """2. Once the destination owns the instance, its silence gives nobody the right to it."""
    failure_is_seen: bool = True
    """2. A start has failed for certain only where the guest was seen not to run."""
    certain_failure_gives_back: bool = True
    """2. A start that failed for certain gives the instance back to its source, which has a guest."""
    written_before_forgotten: bool = True
    """2. That it failed is written down before the guest is undefined."""
    unknown_start_stays: bool = True
    """2. A start of which nobody knows whether it happened leaves the instance with the destination."""
    attempt_bound: bool = True
    """3. Every write compares the attempt, and the instance's row as it was read."""
    lost_write_is_a_question: bool = True
    """4. Whoever loses a compare-and-set reads the row before it removes anything."""
    repeated_request_finds_its_record: bool = True
    """4. A request whose acceptance was committed without an answer finds its own record, and that is success."""
    locked_to_one_evacuation: bool = True
    """5. An instance is held by one evacuation at a time."""
    source_is_proven_down: bool = True
    """5. That the source is down is proven by the acceptance's own write, not by a look before it."""
    orders_need_no_evacuation: bool = True
    """5. Nothing is started or rebooted by an order while an evacuation holds the instance."""
    acceptance_voids_orders: bool = True
    """1 and 5. What was ordered before an evacuation was accepted is void."""
    reset_ends_the_evacuation: bool = True
    """5. os-resetState ends the record in the transaction that frees the instance."""
    delete_ends_the_evacuation: bool = True
    """5. DELETE does so too, so that the destination loses its next write."""
    clean_before_up: bool = True
    """6 and 8. A host from which something was taken cleans before it is up."""
    hypervisor_answers_first: bool = True
    """6. A heartbeat is sent only after the hypervisor answered."""
    silence_needs_a_witness: bool = True
    """7. When everybody fell silent at once, the database was away, and nobody is dead."""
    own_guest_is_kept: bool = True
    """8. Cleaning keeps the guest of an instance that is this host's, or on its way to it."""
    source_is_stopped: bool = True
    """8. Cleaning stops the guest whose evacuation away from here is unfinished."""
    source_is_kept: bool = True
    """8. Cleaning only stops it: it is the good copy if the evacuation fails."""
    strangers_are_removed: bool = True
    """8. Cleaning removes the guest of an instance that belongs elsewhere by now."""
    deleted_is_cleaned: bool = True
    """8. A host that was down when its instance was deleted cleans before it is up."""
    stale_guest_keeps_down: bool = True
    """8. A host is not up while a guest runs there that must not."""
    wanted_state_is_recorded: bool = True
    """9. The state to end in is what was recorded, not what the guest was."""
    sweeps: bool = True
    """9. A destination finds its work without a message."""
    reclaims: bool = True
    """9. A destination takes up again what an earlier life of it had claimed."""
    orphans_are_settled: bool = True
    """9. Any living manager settles what another host was to do."""
    late_is_reassigned: bool = True
    """9. What its destination does not begin in time goes to another host, although the destination beats."""
    shared_disk_stays: bool = True
    """10. A shared disk does not go with the guest of a host that the instance has left."""
    gate_refuses: bool = True
    """11. 2.95 is refused while any compute manager is too old for it."""
    record_names_its_version: bool = True
    """11. Choice, takeover and claim leave a record that promises silence to hosts that can keep it."""
    conditions_are_written: bool = True
    """12. What must hold when it is written is compared by that write, not by a look before it."""
    one_clock_decides: bool = True
    """13. Who is silent is decided by the database's clock, never by comparing those of two machines."""
    looking_drives_nothing: bool = True
    """14. Who sees that a guest is not what it is shown as neither starts nor stops it."""
    looks_are_compared: bool = True
    """14. What was seen is recorded only of an instance that is still here, and as it was read before the look."""
    orders_need_a_host_that_is_up: bool = True
    """15. Nothing is ordered of a host that is down."""
    left_to_its_owner: bool = True
    """16. An encrypted guest for which no token of its owner is at hand is left to its owner."""


@dataclass(frozen=True)
class Shown:
    """Where a rule is seen to be needed: by ``switches`` of the model, and by ``tests`` of what is not in the model.

    A test is a folder of ``tests/scenarios``, or ``file::test`` below ``tests``.
    """

    rule: str
    switches: tuple[str, ...]
    tests: tuple[str, ...] = ()


#: Each rule of the protocol by its number, in our words.
PROTOCOL: Mapping[int, Shown] = {
    1: Shown(
        "Own before power: every power-on follows a committed and fresh proof",
        ("own_before_power", "fresh_proof", "orders_are_proven", "acceptance_voids_orders"),
        (
            "destination-frozen-right-after-it-proved-its-ownership",
            "unit/compute/test_orders.py::test_a_guest_that_goes_off_and_was_evacuated_meanwhile_is_not_started",
        ),
    ),
    2: Shown(
        "Takeover only before ownership; back to the source only after a failure that is certain",
        (
            "takeover_only_before_ownership",
            "failure_is_seen",
            "certain_failure_gives_back",
            "written_before_forgotten",
            "unknown_start_stays",
        ),
        ("nova-1702454-requested-host-was-replaced",),
    ),
    3: Shown("Every write is bound to the attempt and to the row as it was read", ("attempt_bound",)),
    4: Shown(
        "A lost write is a question, not an answer",
        ("lost_write_is_a_question", "repeated_request_finds_its_record"),
        ("database-lost-the-acknowledgement-of-every-commit",),
    ),
    5: Shown(
        "Acceptance is one transaction that locks the instance and proves its source down; reset and DELETE end it",
        (
            "locked_to_one_evacuation",
            "source_is_proven_down",
            "orders_need_no_evacuation",
            "acceptance_voids_orders",
            "reset_ends_the_evacuation",
            "delete_ends_the_evacuation",
        ),
        (
            "services/test_races.py::test_what_an_evacuation_is_to_end_as_is_not_decided_by_a_state_that_has_changed",
            "services/test_races.py::test_a_host_that_fills_up_at_that_moment_is_not_overfilled",
            "unit/evacuation/test_destination.py::test_an_obstacle_is_named_in_words",
        ),
    ),
    6: Shown(
        "A heartbeat says: clean, the only manager here, and the hypervisor answers",
        ("clean_before_up", "hypervisor_answers_first"),
        (
            "two-managers-for-one-host",
            "world/test_hard_cases.py::test_a_manager_that_slept_while_another_took_its_place_takes_nothing_away",
            "unit/compute/test_service.py::test_it_listens_only_once_its_host_is_up",
        ),
    ),
    7: Shown(
        "Silence needs a witness",
        ("silence_needs_a_witness",),
        (
            "silence-counts-anew-after-an-outage",
            "functional/test_clock.py::test_a_heartbeat_from_the_future_is_no_silence",
        ),
    ),
    8: Shown(
        "Cleaning is one table over the hypervisor's inventory",
        (
            "clean_before_up",
            "own_guest_is_kept",
            "source_is_stopped",
            "source_is_kept",
            "strangers_are_removed",
            "deleted_is_cleaned",
            "stale_guest_keeps_down",
        ),
        (
            "unit/evacuation/test_cleaning.py::test_what_nothing_proves_to_be_ours_is_only_reported",
            "world/test_hard_cases.py::test_a_hypervisor_that_is_managed_under_a_name_not_its_own_keeps_its_guests",
            "world/test_hard_cases.py::test_a_stopped_guest_that_does_not_answer_does_not_keep_its_host_down",
        ),
    ),
    9: Shown(
        "Messages are hints: the record says what to do, and whoever has it finds it",
        ("wanted_state_is_recorded", "sweeps", "reclaims", "orphans_are_settled", "late_is_reassigned"),
        (
            "messages-lost-doubled-late-and-out-of-order",
            "unit/rpc/test_rpc.py::test_a_new_compute_is_told_the_migration_and_the_attempt",
            "unit/rpc/test_rpc.py::test_an_old_compute_is_told_the_migration_without_the_attempt",
        ),
    ),
    10: Shown(
        "Disks: the owner's DELETE alone deletes a shared one, and a lost one is replaced, never overwritten",
        ("shared_disk_stays",),
        (
            "nova-1550919-shared-disks-deleted-after-a-failed-evacuation",
            "disk-missing-on-the-destination",
            "unit/evacuation/test_cleaning.py::test_disks_go_only_with_instances_that_were_deleted",
            "unit/compute/lost_disks.py::test_a_disk_that_is_there_although_it_should_be_lost_is_a_failure_and_stays",
            "unit/compute/lost_disks.py::test_a_shared_disk_that_is_not_there_is_a_failure_and_never_replaced",
            "unit/compute/lost_disks.py::test_the_source_keeps_the_old_disk_set_aside_and_another_evacuation_may_come_back",
        ),
    ),
    11: Shown(
        "The least version is compared where it matters: choice, takeover and claim, not only the request",
        ("gate_refuses", "record_names_its_version"),
        (
            "an-old-compute-anywhere-refuses-2.95",
            "services/test_rolling_upgrade.py::test_a_service_that_is_rolled_back_after_the_check_does_not_get_a_2_95_evacuation",
        ),
    ),
    12: Shown(
        "Transactions: conditional writes, repeated whole, without effects before the commit or long waits for locks",
        ("conditions_are_written",),
        (
            "database-deadlocks-and-lost-connections",
            "services/test_races.py::test_of_two_evacuations_that_both_find_the_instance_free_one_is_accepted",
            "services/test_races.py::test_a_silent_host_that_is_heard_at_that_moment_is_not_taken_for_dead",
            "services/test_database.py::test_who_waits_too_long_for_a_lock_begins_again",
            "services/test_database.py::test_who_freezes_in_a_transaction_lets_the_others_go_on_and_begins_again",
            "services/test_one_file.py::test_processes_that_share_a_file_take_turns_and_outlive_one_another",
        ),
    ),
    13: Shown(
        "One clock decides, the database's",
        ("one_clock_decides",),
        (
            "services/test_clock.py::test_machines_whose_clocks_are_an_hour_apart_agree_on_who_is_dead",
            "services/test_clock.py::test_a_heartbeat_that_follows_a_gap_begins_anew",
        ),
    ),
    14: Shown(
        "Looking at power drives no hypervisor, and writes only what nobody has changed since the look",
        ("looking_drives_nothing", "looks_are_compared"),
        (
            "unit/compute/test_power_sync.py::test_what_was_seen_in_the_middle_of_a_stop_and_a_start_is_not_believed_after_them",
            "unit/compute/test_power_sync.py::test_what_a_hypervisor_tells_of_a_guest_with_which_something_is_done_changes_nothing",
            "unit/compute/test_power_sync.py::test_what_a_hypervisor_tells_of_a_stranger_changes_nothing",
        ),
    ),
    15: Shown(
        "Orders to a host that is down are refused, and the ERROR of a failed evacuation can be ended",
        ("orders_need_a_host_that_is_up",),
        (
            "orders-to-a-host-that-is-down",
            "source-returns-after-a-failure",
            "nova-1784983-state-not-restored-when-the-claim-failed",
        ),
    ),
    16: Shown(
        "An encrypted guest is started with its owner's token or left to its owner",
        ("left_to_its_owner",),
        (
            "an-encrypted-guest-is-left-to-its-owner",
            "an-encrypted-guest-whose-start-is-interrupted",
            "world/test_encrypted.py::test_whoever_takes_it_over_has_nobodys_token",
            "world/test_encrypted.py::test_whoever_comes_next_takes_it_back_before_the_host_is_up",
        ),
    ),
}

"""What verify reads of simulated hypervisors, and that it only reads."""

import json

import pytest

from evacuator import errors
from evacuator.evacuation.invariants.commands import Simulated
from evacuator.evacuation.invariants.facts import FoundGuest
from evacuator.virt.driver import DiskSource
from evacuator.virt.simulated import Mains, SimulatedDriver, SimulatedSettings
from evacuator.virt.simulated.evidence import look
from tests.unit.virt.contract import a_guest


def a_driver(tmp_path, host="a", **settings):
    return SimulatedDriver(host, tmp_path / "hypervisors", SimulatedSettings(**settings), clock=lambda: 100.0)


@pytest.fixture
def driver(tmp_path):
    return a_driver(tmp_path)


@pytest.fixture
def running(driver):
    guest = a_guest()
    driver.define(guest, DiskSource.NEW, "req-1")
    driver.power_on(guest.uuid, "req-1")
    return guest.uuid


def everything_in(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_guests_journals_mains_and_disks_are_read_as_they_are(tmp_path, driver, running):
    stopped = a_guest()
    a_driver(tmp_path, "b", shared_storage=False).define(stopped, DiskSource.NEW, "req-2")

    seen = look(tmp_path, clock=lambda: 500.0)

    assert (seen.commands, seen.now) == (Simulated(str(tmp_path)), 500.0)
    assert seen.mains == {"a": True, "b": True}
    assert sorted(seen.guests, key=lambda guest: guest.host) == [
        FoundGuest("a", running, running=True),
        FoundGuest("b", stopped.uuid, running=False),
    ]
    assert [(line.at, line.host, line.event, line.cause) for line in seen.journal] == [
        (100.0, "a", "defined", "req-1"),
        (100.0, "a", "powered_on", "req-1"),
        (100.0, "b", "defined", "req-2"),
    ]
    assert seen.disks == {(None, running), ("b", stopped.uuid)}
    assert seen.running == {("a", running)}


def test_looking_changes_nothing_not_even_what_a_hypervisor_owes_its_journal(tmp_path, driver, running):
    owing(tmp_path, running)
    before = everything_in(tmp_path)

    look(tmp_path)

    assert everything_in(tmp_path) == before


def test_a_host_that_was_switched_off_runs_nothing(tmp_path, driver, running):
    Mains(tmp_path / "hypervisors", "a").switch_off()

    seen = look(tmp_path)

    assert seen.mains == {"a": False}
    assert seen.running == frozenset()


def test_a_guest_runs_no_more_once_the_mains_are_off_even_if_nobody_wrote_it_down_yet(tmp_path, driver, running):
    (tmp_path / "hypervisors" / "a" / "mains").write_text("off\n")
    assert look(tmp_path).running == frozenset()


def owing(tmp_path, uuid):
    """The process died right after the guest stopped, before the journal said so."""
    path = tmp_path / "hypervisors" / "a" / "guests" / f"{uuid}.json"
    line = {"at": 200.0, "host": "a", "instance": uuid, "event": "powered_off", "cause": "req-9"}
    path.write_text(json.dumps({**json.loads(path.read_text()), "power_state": "shutdown", "owed": line}))


def test_the_line_that_a_guest_still_owes_counts_as_written(tmp_path, driver, running):
    owing(tmp_path, running)

    seen = look(tmp_path)

    assert [line.event for line in seen.journal] == ["defined", "powered_on", "powered_off"]
    assert seen.running == frozenset()


def test_it_looks_while_a_host_is_at_work_and_holds_its_lock(tmp_path, driver, running):
    with driver._machine.locked():
        assert look(tmp_path).running == {("a", running)}


def test_a_host_that_is_expected_and_has_no_folder_is_named(tmp_path, driver):
    seen = look(tmp_path, expected=["a", "b"])
    assert seen.unseen == {"b": f"it has no folder under {tmp_path / 'hypervisors'}"}


def test_no_hypervisors_are_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(errors.NotFound, match="leave out --state-dir"):
        look(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_guest_that_cannot_be_read_is_an_error_that_names_its_file(tmp_path, driver, running, text):
    path = tmp_path / "hypervisors" / "a" / "guests" / f"{running}.json"
    path.write_text(text)
    with pytest.raises(errors.DriverError, match=f"{running}.json does not describe a guest"):
        look(tmp_path)

"""What every driver has to keep, as tests: a driver's own test class inherits :class:`DriverContract`."""

import uuid
from abc import abstractmethod

import pytest

from evacuator import errors
from evacuator.evacuation.states import PowerState
from evacuator.keys.manager import Key
from evacuator.virt.driver import DiskSource, Driver, Guest


def a_guest(name: str = "witness") -> Guest:
    """Make up a small guest with an id of its own."""
    return Guest(
        uuid=str(uuid.uuid4()), name=name, vcpus=1, memory_mb=64, disk_gb=1, image_ref=None, project_id="acceptance"
    )


class DriverContract:
    """``make_driver`` called twice for one host gives two drivers of the same hypervisor."""

    @abstractmethod
    def make_driver(self, host: str) -> Driver:
        """Return a driver of the hypervisor on ``host``, which has no guests before the test."""

    @abstractmethod
    def encrypted_guest(self, driver: Driver) -> tuple[Guest, Key]:
        """Return a guest whose disk is there and encrypted, and which is not defined, with the key to it."""

    @pytest.fixture
    def driver(self):
        driver = self.make_driver("a")
        yield driver
        driver.close()

    @pytest.fixture
    def defined(self, driver):
        guest = a_guest()
        driver.define(guest, DiskSource.NEW, "req-define")
        return guest

    @pytest.fixture
    def running(self, driver, defined):
        driver.power_on(defined.uuid, "req-start")
        return defined

    def test_it_says_what_the_hypervisor_is_and_has(self, driver):
        facts = driver.facts()

        assert driver.host == "a"
        assert facts.hypervisor_hostname
        assert facts.hypervisor_type
        assert facts.hypervisor_version > 0
        assert facts.host_ip
        assert facts.storage_id
        assert min(facts.vcpus, facts.memory_mb, facts.local_gb) > 0

    def test_a_hypervisor_without_guests_has_an_empty_inventory(self, driver):
        assert list(driver.inventory()) == []

    def test_an_unknown_guest_is_not_found(self, driver):
        assert driver.find(str(uuid.uuid4())) is None

    def test_a_defined_guest_exists_marked_and_powered_off(self, driver, defined):
        found = driver.find(defined.uuid)

        assert found.uuid == defined.uuid
        assert found.power_state is PowerState.SHUTDOWN
        assert found.marked
        assert not found.running

    def test_the_inventory_lists_running_and_stopped_guests(self, driver, running):
        stopped = a_guest("stopped")
        driver.define(stopped, DiskSource.NEW, "req-define")

        assert {known.uuid: known.running for known in driver.inventory()} == {running.uuid: True, stopped.uuid: False}

    def test_defining_a_guest_twice_leaves_one(self, driver, defined):
        driver.define(defined, DiskSource.NEW, "req-define")

        assert [known.uuid for known in driver.inventory()] == [defined.uuid]

    @pytest.mark.parametrize("disk", list(DiskSource))
    def test_defining_a_running_guest_again_leaves_it_running(self, driver, disk):
        guest = a_guest()
        driver.define(guest, DiskSource.NEW if disk is DiskSource.EXISTING else disk, "migration 1 attempt 2")
        driver.power_on(guest.uuid, "migration 1 attempt 2")

        driver.define(guest, disk, "migration 1 attempt 3")

        assert driver.find(guest.uuid).power_state is PowerState.RUNNING

    def test_a_guest_says_for_which_work_its_disk_was_made_anew(self, driver, defined):
        guest = a_guest("another")
        driver.define(guest, DiskSource.REPLACED, "migration 7 attempt 2")
        driver.define(guest, DiskSource.REPLACED, "migration 7 attempt 3")

        assert driver.find(guest.uuid).replaced_by == "migration 7"
        assert driver.find(defined.uuid).replaced_by is None

    @pytest.mark.parametrize("made_for", [DiskSource.NEW, DiskSource.REPLACED])
    def test_the_disk_of_a_guest_that_is_here_for_another_reason_is_not_lost(self, driver, made_for):
        guest = a_guest()
        driver.define(guest, made_for, "migration 1 attempt 2")

        with pytest.raises(errors.DiskNotLost):
            driver.define(guest, DiskSource.REPLACED, "migration 7 attempt 2")

        assert driver.find(guest.uuid).replaced_by != "migration 7"

    def test_a_guest_whose_existing_disk_is_missing_is_not_defined(self, driver):
        guest = a_guest()

        with pytest.raises(errors.DiskMissing):
            driver.define(guest, DiskSource.EXISTING, "migration 1 attempt 1")
        assert driver.find(guest.uuid) is None

    def test_a_guest_that_is_powered_on_runs(self, driver, running):
        assert driver.find(running.uuid).power_state is PowerState.RUNNING

    def test_powering_on_a_running_guest_changes_nothing(self, driver, running):
        driver.power_on(running.uuid, "req-again")

        assert driver.find(running.uuid).power_state is PowerState.RUNNING

    def test_powering_on_an_unknown_guest_is_an_error(self, driver):
        with pytest.raises(errors.GuestNotFound):
            driver.power_on(str(uuid.uuid4()), "req-start")

    def test_a_guest_that_is_powered_off_is_stopped_and_still_there(self, driver, running):
        driver.power_off(running.uuid, "req-stop")

        assert driver.find(running.uuid).power_state is PowerState.SHUTDOWN

    def test_powering_off_a_stopped_guest_changes_nothing(self, driver, defined):
        driver.power_off(defined.uuid, "req-stop")

        assert driver.find(defined.uuid).power_state is PowerState.SHUTDOWN

    def test_powering_off_an_unknown_guest_changes_nothing(self, driver):
        driver.power_off(str(uuid.uuid4()), "req-stop")

        assert list(driver.inventory()) == []

    def test_a_stopped_guest_can_be_started_again(self, driver, running):
        driver.power_off(running.uuid, "req-stop")
        driver.power_on(running.uuid, "req-start")

        assert driver.find(running.uuid).running

    def test_a_rebooted_guest_runs(self, driver, running):
        driver.reboot(running.uuid, "req-reboot")

        assert driver.find(running.uuid).power_state is PowerState.RUNNING

    def test_a_guest_reboots_softly_or_says_that_it_takes_a_hard_reboot(self, driver, running):
        if not driver.reboot_softly(running.uuid, "req-reboot"):
            driver.reboot(running.uuid, "req-reboot")

        assert driver.find(running.uuid).power_state is PowerState.RUNNING

    def test_a_soft_reboot_starts_no_guest_that_is_stopped(self, driver, defined):
        assert driver.reboot_softly(defined.uuid, "req-reboot") is False

        assert driver.find(defined.uuid).power_state is PowerState.SHUTDOWN

    def test_a_guest_that_is_not_known_does_not_reboot_softly(self, driver):
        assert driver.reboot_softly(str(uuid.uuid4()), "req-reboot") is False

    def test_rebooting_a_stopped_guest_starts_it(self, driver, defined):
        driver.reboot(defined.uuid, "req-reboot")

        assert driver.find(defined.uuid).power_state is PowerState.RUNNING

    def test_rebooting_an_unknown_guest_is_an_error(self, driver):
        with pytest.raises(errors.GuestNotFound):
            driver.reboot(str(uuid.uuid4()), "req-reboot")

    def test_a_destroyed_guest_is_gone_although_it_ran(self, driver, running):
        driver.destroy(running.uuid, "migration 1", disks=False)

        assert driver.find(running.uuid) is None
        assert list(driver.inventory()) == []

    def test_destroying_an_unknown_guest_changes_nothing(self, driver, running):
        driver.destroy(str(uuid.uuid4()), "migration 1", disks=True)

        assert driver.find(running.uuid).running

    def test_destroying_a_guest_keeps_its_disks_unless_told_otherwise(self, driver, defined):
        driver.destroy(defined.uuid, "migration 1", disks=False)
        driver.define(defined, DiskSource.EXISTING, "migration 2 attempt 1")

        assert driver.find(defined.uuid).power_state is PowerState.SHUTDOWN

    def test_destroying_a_guest_with_its_disks_deletes_them(self, driver, defined):
        driver.destroy(defined.uuid, "req-delete", disks=True)

        with pytest.raises(errors.DiskMissing):
            driver.define(defined, DiskSource.EXISTING, "migration 2 attempt 1")

    @pytest.fixture
    def vault(self, driver):
        guest, key = self.encrypted_guest(driver)
        driver.define(guest, DiskSource.EXISTING, "migration 1 attempt 1")
        return guest, key

    def test_an_encrypted_guest_is_defined_without_its_key_and_not_started_without_it(self, driver, vault):
        guest, _key = vault

        with pytest.raises(errors.DriverError, match="is encrypted and host a has not its key"):
            driver.power_on(guest.uuid, "req-start")
        assert driver.find(guest.uuid).power_state is PowerState.SHUTDOWN

    def test_with_its_key_an_encrypted_guest_is_started_and_the_key_is_not_kept(self, driver, vault):
        guest, key = vault

        driver.power_on(guest.uuid, "req-start", [key])

        assert driver.find(guest.uuid).running
        driver.power_on(guest.uuid, "req-again")
        driver.power_off(guest.uuid, "req-stop", hard=True)
        with pytest.raises(errors.DriverError, match="is encrypted"):
            driver.power_on(guest.uuid, "req-start")
        driver.power_on(guest.uuid, "req-start", [key])
        assert driver.find(guest.uuid).running

    def test_an_encrypted_guest_is_rebooted_with_its_key(self, driver, vault):
        guest, key = vault

        driver.reboot(guest.uuid, "req-reboot", [key])
        driver.reboot(guest.uuid, "req-reboot", [key])

        assert driver.find(guest.uuid).running

    def test_a_guest_that_needs_no_key_starts_with_one_all_the_same(self, driver, defined):
        driver.power_on(defined.uuid, "req-start", [Key(str(uuid.uuid4()), b"superfluous")])

        assert driver.find(defined.uuid).running

    def test_taking_keys_back_touches_no_guest(self, driver, vault, running):
        guest, key = vault
        driver.power_on(guest.uuid, "req-start", [key])

        driver.take_keys_back()

        assert {known.uuid for known in driver.inventory() if known.running} == {guest.uuid, running.uuid}

    def test_guests_outlive_their_driver(self, driver, running):
        driver.close()

        assert self.make_driver("a").find(running.uuid).power_state is PowerState.RUNNING

    def test_a_guest_of_one_host_is_not_on_another(self, driver, running):
        other = self.make_driver("b")

        assert other.find(running.uuid) is None
        assert list(other.inventory()) == []
        other.close()

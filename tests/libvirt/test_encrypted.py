"""Encrypted disks: defining a guest needs no key, and a host has one for no longer than a start takes."""

import threading
import uuid
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import libvirt
import pytest

from evacuator import errors
from evacuator.keys.manager import Key
from evacuator.virt.driver import DiskSource
from evacuator.virt.libvirt import loans
from evacuator.virt.libvirt.connection import Timing
from tests.libvirt.lab import eventually
from tests.libvirt.luks import PASSPHRASE, Volume
from tests.unit.virt.contract import a_guest


def encrypted(lab, volume=None):
    guest = replace(a_guest(f"vault-{uuid.uuid4().hex[:6]}"), memory_mb=16)
    volume = volume or Volume(lab.instances / f"{guest.uuid}.qcow2")
    return replace(guest, definition=volume.domain(guest), key_ids=(volume.key.id,)), volume


@pytest.fixture
def vault(lab):
    return encrypted(lab)


@pytest.fixture
def guest(vault):
    return vault[0]


@pytest.fixture
def volume(vault):
    return vault[1]


@pytest.fixture
def driver(make_driver, guest):
    driver = make_driver("b")
    driver.define(guest, DiskSource.EXISTING, "migration 1 attempt 1")
    return driver


def secrets(host):
    with host.opened() as conn:
        return [secret.UUIDString() for secret in conn.listAllSecrets()]


@contextmanager
def somebodys_secret(host, key, description="", ephemeral="no"):
    """Define a secret as ``virsh secret-define`` would."""
    described = f"<description>{description}</description>"
    with host.opened() as conn:
        xml = f"<secret ephemeral='{ephemeral}' private='yes'><uuid>{key.id}</uuid>{described}</secret>"
        conn.secretDefineXML(xml).setValue(key.passphrase)
        yield
        if key.id in secrets(host):
            conn.secretLookupByUUIDString(key.id).undefine()


def test_a_guest_is_defined_with_no_secret_anywhere(lab, driver, guest, volume):
    assert not driver.find(guest.uuid).running
    assert secrets(lab["b"]) == []
    assert volume.boots() == 0


def test_without_its_key_it_is_not_started_and_stays_whole(driver, guest, volume):
    with pytest.raises(errors.DriverError, match="is encrypted and host b has not its key"):
        driver.power_on(guest.uuid, "req-start")
    assert not driver.find(guest.uuid).running
    assert volume.boots() == 0


def test_with_a_wrong_key_it_is_not_started_and_the_host_keeps_nothing(lab, driver, guest, volume):
    wrong = replace(volume.key, passphrase=b"wrong")

    with pytest.raises(errors.DriverError, match="is encrypted, and the key that host b was given does not open it"):
        driver.power_on(guest.uuid, "req-start", [wrong])

    assert volume.boots() == 0
    assert secrets(lab["b"]) == []


def test_with_its_key_it_boots_and_the_host_keeps_nothing(lab, driver, guest, volume):
    driver.power_on(guest.uuid, "req-start", [volume.key])

    eventually(lambda: volume.boots() == 1)
    assert secrets(lab["b"]) == []
    driver.power_off(guest.uuid, "req-stop")
    with pytest.raises(errors.DriverError, match="is encrypted"):
        driver.power_on(guest.uuid, "req-start")
    assert volume.boots() == 1


def test_a_hard_reboot_starts_it_with_its_key(lab, driver, guest, volume):
    driver.power_on(guest.uuid, "req-start", [volume.key])
    eventually(lambda: volume.boots() == 1)

    driver.reboot(guest.uuid, "req-reboot", [volume.key])

    eventually(lambda: volume.boots() == 2)
    assert secrets(lab["b"]) == []


def test_two_guests_that_are_opened_by_one_key_may_start_at_once(lab, driver, guest, volume):
    other, _ = encrypted(lab, Volume(lab.instances / "other.qcow2", volume.key.id))
    driver.define(other, DiskSource.EXISTING, "migration 2 attempt 1")
    starts = [
        threading.Thread(target=driver.power_on, args=(each.uuid, "req-start", [volume.key])) for each in (guest, other)
    ]

    for start in starts:
        start.start()
    for start in starts:
        start.join()

    assert {known.running for known in driver.inventory()} == {True}
    assert secrets(lab["b"]) == []


def test_the_key_is_in_no_description_no_log_and_on_no_command_line(lab, driver, guest, volume, caplog):
    driver.power_on(guest.uuid, "req-start", [volume.key])

    with lab["b"].opened() as conn:
        domain = conn.lookupByUUIDString(guest.uuid)
        described = [domain.XMLDesc(flags) for flags in (0, libvirt.VIR_DOMAIN_XML_SECURE)]
    (pid,) = lab["b"].guest_pids()
    shown = {
        "description": "".join(described).encode(),
        "command line": Path(f"/proc/{pid}/cmdline").read_bytes(),
        "environment": Path(f"/proc/{pid}/environ").read_bytes(),
        "QEMU's log": lab["b"].qemu_log(guest.name).read_bytes(),
        "libvirt's log": (lab["b"].folder / "libvirtd.log").read_bytes(),
        "our log": caplog.text.encode(),
    }
    assert guest.name.encode() in shown["description"] + shown["command line"]
    for way in (PASSPHRASE, PASSPHRASE.encode().hex()):
        assert [name for name, text in shown.items() if way.encode() in text] == []


class TestWhatIsLeftBehind:
    def test_what_a_start_left_whose_process_died_is_taken_back_by_the_next(self, lab, make_driver, guest, volume):
        with somebodys_secret(lab["b"], volume.key, f"{loans.MARK} for req-start", ephemeral="yes"):
            make_driver("b").take_keys_back()
            assert secrets(lab["b"]) == []

    @pytest.mark.parametrize(("description", "ephemeral"), [("", "no"), ("", "yes"), (loans.MARK, "no")])
    def test_what_is_somebody_elses_stays(self, lab, make_driver, volume, description, ephemeral):
        with somebodys_secret(lab["b"], volume.key, description, ephemeral):
            make_driver("b").take_keys_back()
            assert secrets(lab["b"]) == [volume.key.id]

    def test_a_key_that_the_host_has_for_good_is_used_as_it_is_and_stays(self, lab, driver, guest, volume):
        with somebodys_secret(lab["b"], volume.key):
            driver.power_on(guest.uuid, "req-start")
            eventually(lambda: volume.boots() == 1)
            driver.power_off(guest.uuid, "req-stop", hard=True)
            driver.power_on(guest.uuid, "req-start", [Key(volume.key.id, b"not needed")])
            eventually(lambda: volume.boots() == 2)
            assert secrets(lab["b"]) == [volume.key.id]

    def test_a_start_that_nobody_waits_for_any_more_lends_nothing(self, lab, make_driver, guest, volume):
        driver = make_driver("b", timing=Timing(call=1.0, effect=2.0))
        driver.define(guest, DiskSource.EXISTING, "migration 1 attempt 1")
        lab["b"].freeze_daemon()
        try:
            with pytest.raises(errors.HypervisorUnknown):
                driver.power_on(guest.uuid, "req-start", [volume.key])
        finally:
            lab["b"].thaw_daemon()

        eventually(lambda: driver.find(guest.uuid) is not None)
        driver.take_keys_back()
        assert secrets(lab["b"]) == []
        assert not driver.find(guest.uuid).running
        assert volume.boots() == 0

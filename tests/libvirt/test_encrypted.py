"""Encrypted disks: an evacuation that starts nothing needs no key, and what needs one says so."""

import subprocess
import uuid
from dataclasses import replace

import libvirt
import pytest

from evacuator import errors
from evacuator.virt.driver import DiskSource
from tests.libvirt import witness
from tests.libvirt.lab import TEMPLATE, eventually
from tests.unit.virt.contract import a_guest

PASSPHRASE = "correct horse battery staple"
ENCRYPTION = "<encryption format='luks'><secret type='passphrase' uuid='{secret}'/></encryption></source>"


class Volume:
    """A witness in a LUKS-encrypted qcow2 file, and the id of the secret that its key would be."""

    def __init__(self, folder, guest):
        self.secret = str(uuid.uuid4())
        self.path = folder / f"{guest.uuid}.qcow2"
        self._key = ["--object", f"secret,id=key,data={PASSPHRASE}"]
        raw = folder / f"{guest.uuid}.raw"
        witness.build(raw)
        options = "encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10"
        command = [
            "qemu-img",
            "convert",
            *self._key,
            "-f",
            "raw",
            "-O",
            "qcow2",
            "-o",
            options,
            str(raw),
            str(self.path),
        ]
        # It measures the processor first, and gives up where that is too busy.
        eventually(lambda: subprocess.run(command, capture_output=True, check=False).returncode == 0)
        raw.unlink()
        self.path.chmod(0o666)
        self._image = f"driver=qcow2,encrypt.key-secret=key,file.filename={self.path}"

    def boots(self, folder):
        plain = folder / "plain.raw"
        command = ["qemu-img", "convert", "-U", *self._key, "--image-opts", self._image, "-O", "raw", str(plain)]
        subprocess.run(command, check=True)
        return witness.read(plain).boots


@pytest.fixture
def guest():
    return replace(a_guest(f"vault-{uuid.uuid4().hex[:6]}"), memory_mb=16)


@pytest.fixture
def volume(lab, guest):
    return Volume(lab.instances, guest)


@pytest.fixture
def driver(lab, make_driver, volume):
    source = f"<source file='$disk'>{ENCRYPTION.format(secret=volume.secret)}"
    template = TEMPLATE.replace("<source file='$disk'/>", source)
    return make_driver("b", template=template)


@pytest.fixture
def key(lab, volume):
    """Give the key to b as its owner's start would: for this start only, and not to be read back."""

    def give(passphrase=PASSPHRASE):
        conn = libvirt.open(lab["b"].uri)
        given.append(conn)
        xml = f"<secret ephemeral='yes' private='yes'><uuid>{volume.secret}</uuid></secret>"
        secret = conn.secretDefineXML(xml)
        secret.setValue(passphrase.encode())
        return secret

    given = []
    yield give
    for conn in given:
        for left in conn.listAllSecrets():
            left.undefine()
        conn.close()


def secrets(host):
    with host.opened() as conn:
        return conn.listAllSecrets()


def test_a_guest_is_defined_with_no_secret_anywhere(lab, driver, guest, volume, tmp_path):
    driver.define(guest, DiskSource.EXISTING, "migration 1 attempt 1")

    assert not driver.find(guest.uuid).running
    assert secrets(lab["b"]) == []
    assert volume.boots(tmp_path) == 0


def test_without_its_key_it_is_not_started_and_stays_whole(lab, driver, guest, volume, tmp_path):
    driver.define(guest, DiskSource.EXISTING, "migration 1 attempt 1")

    with pytest.raises(errors.DriverError, match="is encrypted and host b has not its key"):
        driver.power_on(guest.uuid, "req-start")
    assert not driver.find(guest.uuid).running
    assert volume.boots(tmp_path) == 0


def test_with_a_wrong_key_it_is_not_started(driver, guest, volume, key, tmp_path):
    driver.define(guest, DiskSource.EXISTING, "migration 1 attempt 1")
    key("wrong")

    with pytest.raises(errors.DriverError, match="is encrypted"):
        driver.power_on(guest.uuid, "req-start")
    assert volume.boots(tmp_path) == 0


def test_with_its_key_it_boots_and_the_key_is_not_needed_while_it_runs(lab, driver, guest, volume, key, tmp_path):
    driver.define(guest, DiskSource.EXISTING, "migration 1 attempt 1")
    secret = key()

    driver.power_on(guest.uuid, "req-start")
    secret.undefine()

    eventually(lambda: volume.boots(tmp_path) == 1)
    assert secrets(lab["b"]) == []
    driver.power_off(guest.uuid, "req-stop")
    with pytest.raises(errors.DriverError, match="is encrypted"):
        driver.power_on(guest.uuid, "req-start")

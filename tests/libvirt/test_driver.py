"""The libvirt driver on real hosts: the contract, what real hypervisors add to it, and what a broken one does."""

import logging
import os
import signal
import subprocess
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

import libvirt
import pytest
from oslo_config import cfg

from evacuator import errors
from evacuator.conf import opts
from evacuator.evacuation.states import PowerState
from evacuator.keys.manager import Key
from evacuator.virt.driver import DiskSource, Driver, Guest
from evacuator.virt.libvirt import connection, definition, domains
from evacuator.virt.libvirt.connection import MOST_ATTEMPTS, Timing
from evacuator.virt.libvirt.definition import HostChanges
from evacuator.virt.libvirt.disks import DiskFolder
from evacuator.virt.libvirt.settings import LibvirtSettings
from tests.libvirt import witness
from tests.libvirt.lab import TEMPLATE, eventually
from tests.libvirt.luks import Volume
from tests.unit.virt.contract import DriverContract, a_guest

QUICK = Timing(call=1.0, effect=2.0)
TPM = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"
WITH_TPM = TEMPLATE.replace("<memballoon", f"{TPM}<memballoon")


def tpm_state(lab, guest):
    """Leave what a guest with a TPM that was run on host a would have left."""
    state = lab["a"].folder / f"config/libvirt/qemu/swtpm/{guest.uuid}/tpm2/tpm2-00.permall"
    state.parent.mkdir(parents=True)
    state.touch()
    for path in (state, *state.parents[:3]):
        os.chown(path, lab["a"].uid, -1)
    return state


class TestLibvirtDriver(DriverContract):
    @pytest.fixture(autouse=True)
    def _here(self, make_driver, lab):
        self._make = make_driver
        self._instances = lab.instances

    def make_driver(self, host: str) -> Driver:
        return self._make(host)

    def encrypted_guest(self, driver: Driver) -> tuple[Guest, Key]:
        guest = replace(a_guest("vault"), memory_mb=16)
        volume = Volume(self._instances / f"{guest.uuid}.qcow2")
        return replace(guest, definition=volume.domain(guest), key_ids=(volume.key.id,)), volume.key


@pytest.fixture
def driver(make_driver):
    return make_driver("a")


@pytest.fixture
def guest(lab):
    """Make up a guest whose disk is a witness."""
    made = replace(a_guest(f"guest-{uuid.uuid4().hex[:6]}"), memory_mb=16)
    witness.build(lab.instances / f"{made.uuid}.qcow2", period=2)
    return made


def diary(lab, guest):
    return witness.read(lab.instances / f"{guest.uuid}.qcow2")


def booted(lab, guest, times=1):
    eventually(lambda: diary(lab, guest).boots >= times, what=f"{guest.name} did not boot {times} times")
    assert diary(lab, guest).boots == times


def info(disk):
    """Return what QEMU says of a disk."""
    command = ["qemu-img", "info", "-U", "--output=json", str(disk)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


RBD = """
<disk type='network'>
  <driver name='qemu' type='raw'/>
  <source protocol='rbd' name='pool/web'><host name='192.0.2.9'/></source>
  <target dev='vda' bus='virtio'/>
</disk>
"""
DISK = TEMPLATE[TEMPLATE.index("<disk") : TEMPLATE.index("<memballoon")]


def with_firmware(lab, template=TEMPLATE):
    """Return a template of guests with firmware, and the file that keeps its variables."""
    firmware, variables = lab.instances / "firmware.fd", lab.instances / "web_VARS.fd"
    for file in (firmware, variables):
        file.write_bytes(b"\0" * (1 << 18))
    uefi = f"<loader readonly='yes' type='pflash'>{firmware}</loader><nvram>{variables}</nvram></os>"
    return template.replace("</os>", uefi), variables


def domain_xml(host, guest, flags=libvirt.VIR_DOMAIN_XML_INACTIVE):
    with host.opened() as conn:
        return conn.lookupByUUIDString(guest.uuid).XMLDesc(flags)


class TestWhatItLeavesBehind:
    def test_defining_a_guest_on_a_second_host_does_not_run_it_and_starting_it_does(self, lab, make_driver, guest):
        make_driver("b").define(guest, DiskSource.EXISTING, "migration 1 attempt 1")

        assert diary(lab, guest).boots == 0
        assert not lab["b"].qemu_log(guest.name).exists()
        assert lab["b"].guest_pids() == []
        make_driver("b").power_on(guest.uuid, "req-start")
        booted(lab, guest)
        assert lab["b"].qemu_log(guest.name).exists()

    def test_the_mark_says_on_whose_behalf_a_guest_was_defined(self, lab, driver, guest):
        driver.define(guest, DiskSource.EXISTING, "migration 7 attempt 2 <&'\">")

        with lab["a"].opened() as conn:
            xml = conn.lookupByUUIDString(guest.uuid).metadata(
                libvirt.VIR_DOMAIN_METADATA_ELEMENT, definition.NAMESPACE
            )
        assert definition.mark_of(xml).cause == "migration 7 attempt 2 <&'\">"

    def test_a_guest_of_somebody_else_is_listed_without_a_mark(self, lab, driver, guest):
        with lab["a"].opened() as conn:
            conn.defineXML(
                f"<domain type='qemu'><name>x</name><uuid>{guest.uuid}</uuid><memory>16384</memory>"
                "<os><type arch='x86_64'>hvm</type></os></domain>"
            )

        (known,) = driver.inventory()

        assert (known.uuid, known.marked, known.running) == (guest.uuid, False, False)

    def test_autostart_that_somebody_set_is_taken_away(self, lab, driver, guest):
        driver.define(guest, DiskSource.EXISTING, "req")
        with lab["a"].opened() as conn:
            conn.lookupByUUIDString(guest.uuid).setAutostart(1)

            driver.inventory()

            assert not conn.lookupByUUIDString(guest.uuid).autostart()

    @pytest.mark.parametrize("copies", [True, False])
    @pytest.mark.parametrize("ending", ["raw", "qcow2"])
    def test_new_disks_are_made_from_images(self, lab, make_driver, copies, ending):
        guest = replace(a_guest("imaged"), image_ref=str(uuid.uuid4()), memory_mb=16)
        image = lab.images / f"{guest.image_ref}.{ending}"
        witness.build(image)
        driver = make_driver("a", folder=DiskFolder("a", lab.instances, lab.images, copies, 0o666, 30.0))

        driver.define(guest, DiskSource.NEW, "req")
        driver.power_on(guest.uuid, "req")

        booted(lab, guest)
        assert witness.read(image).boots == 0
        assert (f'"backing-filename": "{image}"' in info(lab.instances / f"{guest.uuid}.qcow2")) is not copies
        assert [path.name for path in lab.instances.iterdir()] == [f"{guest.uuid}.qcow2"]

    def test_an_image_that_is_not_there_is_an_error_that_says_where_it_should_be(self, lab, driver):
        with pytest.raises(errors.DriverError, match=f"no image nowhere in {lab.images}"):
            driver.define(replace(a_guest(), image_ref="nowhere"), DiskSource.NEW, "req")
        assert list(lab.instances.iterdir()) == []

    @pytest.mark.parametrize("folder", ["images", "instances"])
    def test_disks_that_are_not_ours_are_not_deleted_and_what_belongs_to_them_neither(
        self, lab, make_driver, guest, folder
    ):
        adopted = getattr(lab, folder) / "web.qcow2"
        witness.build(adopted)
        template, variables = with_firmware(lab, TEMPLATE.replace("$disk", str(adopted)))
        driver = make_driver("a", template=template)
        driver.define(guest, DiskSource.EXISTING, "req")

        driver.destroy(guest.uuid, "req-delete", disks=True)

        assert driver.find(guest.uuid) is None
        assert adopted.exists()
        assert variables.exists()

    @pytest.mark.parametrize(
        ("disk", "named"),
        [
            (RBD, "vda (network)"),
            ("", ""),
        ],
    )
    def test_what_belongs_to_a_guest_with_no_disk_that_was_made_here_stays(
        self, lab, make_driver, guest, caplog, disk, named
    ):
        template, variables = with_firmware(lab, TEMPLATE.replace(DISK, disk))
        driver = make_driver("a", template=template)
        driver.define(guest, DiskSource.EXISTING, "req")

        driver.destroy(guest.uuid, "req-delete", disks=True)

        assert driver.find(guest.uuid) is None
        assert variables.exists()
        assert named in caplog.text

    def test_what_belongs_to_a_disk_that_an_earlier_call_deleted_goes_too(self, lab, make_driver, guest):
        template, variables = with_firmware(lab)
        driver = make_driver("a", template=template)
        driver.define(guest, DiskSource.EXISTING, "req")
        (lab.instances / f"{guest.uuid}.qcow2").unlink()

        driver.destroy(guest.uuid, "req-delete", disks=True)

        assert driver.find(guest.uuid) is None
        assert not variables.exists()

    def test_the_disk_of_a_guest_that_could_not_be_defined_is_deleted_with_it(self, lab, make_driver):
        guest = a_guest()
        driver = make_driver("a", template=TEMPLATE.replace("type='$virt_type'", "type='xen'"))
        with pytest.raises(errors.DriverError, match="cannot virtualise"):
            driver.define(guest, DiskSource.NEW, "req")
        assert driver.find(guest.uuid) is None

        driver.destroy(guest.uuid, "cleaning of a", disks=False)
        assert (lab.instances / f"{guest.uuid}.qcow2").exists()
        driver.destroy(guest.uuid, "req-delete", disks=True)
        assert list(lab.instances.iterdir()) == []

    def test_a_guest_with_managed_memory_and_snapshots_is_forgotten_with_them(self, lab, driver, guest):
        driver.define(guest, DiskSource.EXISTING, "req")
        driver.power_on(guest.uuid, "req")
        booted(lab, guest)
        with lab["a"].opened() as conn:
            domain = conn.lookupByUUIDString(guest.uuid)
            domain.snapshotCreateXML("<domainsnapshot/>")
            domain.managedSave()

        driver.destroy(guest.uuid, "cleaning of a", disks=False)

        assert driver.find(guest.uuid) is None
        assert diary(lab, guest).boots == 1

    @pytest.mark.parametrize("disks", [True, False])
    def test_the_state_of_a_tpm_stays_or_goes_with_the_disks(self, lab, make_driver, guest, disks):
        driver = make_driver("a", template=WITH_TPM)
        driver.define(guest, DiskSource.EXISTING, "req")
        state = tpm_state(lab, guest)

        driver.destroy(guest.uuid, "cleaning of a", disks=disks)

        assert driver.find(guest.uuid) is None
        assert state.exists() is not disks

    def test_the_state_of_a_tpm_outlives_a_new_disk_that_is_taken_back(self, lab, make_driver, guest):
        """It may be that of the disk which was set aside, and which nobody can open without it."""
        driver = make_driver("a", template=WITH_TPM)
        disk = lab.instances / f"{guest.uuid}.qcow2"
        disk.rename(disk.with_suffix(".lost"))
        driver.define(guest, DiskSource.REPLACED, "migration 1 attempt 1")
        state = tpm_state(lab, guest)

        driver.destroy(guest.uuid, "migration 1 attempt 2", disks=True)

        assert driver.find(guest.uuid) is None
        assert not disk.exists()
        assert state.exists()

    def test_power_state_changes_are_told(self, lab, driver, guest):
        told = []
        driver.define(guest, DiskSource.EXISTING, "req")
        driver.watch(lambda *event: told.append(event))
        with lab["a"].opened() as conn:
            domain = conn.lookupByUUIDString(guest.uuid)
            domain.create()
            domain.suspend()
            domain.destroy()

        eventually(lambda: told[-1:] == [(guest.uuid, PowerState.SHUTDOWN)])
        assert (guest.uuid, PowerState.RUNNING) in told
        assert (guest.uuid, PowerState.PAUSED) in told

    def test_a_guest_that_was_paused_goes_on_when_it_is_powered_on(self, lab, driver, guest):
        driver.define(guest, DiskSource.EXISTING, "req")
        driver.power_on(guest.uuid, "req")
        booted(lab, guest)
        with lab["a"].opened() as conn:
            conn.lookupByUUIDString(guest.uuid).suspend()
        assert driver.find(guest.uuid).running

        driver.power_on(guest.uuid, "req")

        assert driver.find(guest.uuid).power_state is PowerState.RUNNING
        assert diary(lab, guest).boots == 1

    def test_a_hard_reboot_boots_once_more_in_another_qemu(self, lab, driver, guest):
        driver.define(guest, DiskSource.EXISTING, "req")
        driver.power_on(guest.uuid, "req")
        booted(lab, guest)
        before = lab["a"].guest_pids()

        driver.reboot(guest.uuid, "req")

        booted(lab, guest, times=2)
        assert lab["a"].guest_pids() != before

    def test_a_soft_reboot_boots_once_more_in_the_same_qemu(self, lab, driver, guest):
        driver.define(guest, DiskSource.EXISTING, "req")
        driver.power_on(guest.uuid, "req")
        booted(lab, guest)
        before = lab["a"].guest_pids()

        assert driver.reboot_softly(guest.uuid, "req")

        booted(lab, guest, times=2)
        assert lab["a"].guest_pids() == before

    def test_a_guest_that_goes_off_instead_of_rebooting_softly_is_not_started(self, lab, make_driver, guest):
        patient = make_driver("a", shutdown_timeout=5.0)
        patient.define(guest, DiskSource.EXISTING, "req")
        patient.power_on(guest.uuid, "req")
        booted(lab, guest)

        def go_off():
            with lab["a"].opened() as conn:
                conn.lookupByUUIDString(guest.uuid).destroy()

        going = threading.Timer(1.0, go_off)
        going.start()
        rebooted = patient.reboot_softly(guest.uuid, "req")
        going.join()

        assert not rebooted
        assert not patient.find(guest.uuid).running
        assert diary(lab, guest).boots == 1

    def test_what_a_host_has_is_what_libvirt_says_times_the_ratios(self, lab, make_driver):
        with lab["a"].opened() as conn:
            _model, memory_mb, cpus, *_rest = conn.getInfo()

        facts = make_driver("a", cpu_allocation_ratio=2.5, ram_allocation_ratio=1.5, reserved_memory_mb=100).facts()

        assert (facts.vcpus, facts.memory_mb) == (int(cpus * 2.5), int(memory_mb * 1.5) - 100)

    def test_two_hosts_of_one_process_are_not_the_same_hypervisor(self, lab, make_driver, driver):
        with pytest.raises(errors.NotConfigured, match=r"\[host:b\]"):
            make_driver("b", uri=lab["a"].uri)


class TestWhatComesTooLate:
    """A proof of ownership is good for half of the down time: no longer is anything done that needs one."""

    @pytest.mark.parametrize(("effect", "down_time", "prompt"), [(60, 60, 30.0), (60, 20, 10.0), (8, 60, 4.0)])
    def test_neither_a_proof_nor_the_time_for_an_effect_is_used_up(self, tmp_path, effect, down_time, prompt):
        file, conf = tmp_path / "evacuator.conf", cfg.ConfigOpts()
        file.write_text(f"[DEFAULT]\nservice_down_time = {down_time}\n[libvirt]\neffect_timeout = {effect}\n")
        opts.register_all(conf)
        conf(["--config-file", str(file)])

        settings = LibvirtSettings.from_conf(conf, "a")

        assert settings.prompt == prompt
        assert prompt < settings.folder.patience < settings.timing.effect

    def test_nothing_is_started(self, lab, make_driver, guest):
        driver = make_driver("a", service_down_time=0.0)
        driver.define(guest, DiskSource.EXISTING, "req")

        with pytest.raises(errors.DriverError, match="came to the start of instance"):
            driver.power_on(guest.uuid, "req")
        assert lab["a"].guest_pids() == []

    @pytest.mark.parametrize("verb", ["power_on", "reboot"])
    def test_time_that_the_log_took_counts(self, lab, make_driver, guest, verb):
        driver = make_driver("a", service_down_time=1.0)
        driver.define(guest, DiskSource.EXISTING, "req")
        slow = logging.Handler()
        slow.emit = lambda _record: time.sleep(0.7)
        log = logging.getLogger("evacuator.virt.libvirt.driver")
        level = log.level
        log.setLevel(logging.INFO)
        log.addHandler(slow)
        try:
            with pytest.raises(errors.DriverError, match="came to the start of instance"):
                getattr(driver, verb)(guest.uuid, "req")
        finally:
            log.removeHandler(slow)
            log.setLevel(level)
        assert lab["a"].guest_pids() == []

    def test_nothing_is_started_for_the_reason_why_it_could_not_be(self):
        """QEMU died without a word, after so long that the instance may be another host's."""
        allowed, started = iter([True, False]), []

        def require_prompt():
            if not next(allowed):
                raise errors.DriverError(reason="too late")

        class Wordless:
            def create(self):
                started.append("once")
                raise libvirt.libvirtError("QEMU unexpectedly closed the monitor")

            def isActive(self):  # noqa: N802 - libvirt's
                return False

        with pytest.raises(errors.DriverError, match="too late"):
            domains.create(Wordless(), require_prompt)
        assert started == ["once"]

    @pytest.mark.parametrize("defined", [True, False])
    def test_no_disk_is_deleted(self, lab, make_driver, guest, defined):
        driver = make_driver("a", service_down_time=0.0)
        if defined:
            driver.define(guest, DiskSource.EXISTING, "req")

        with pytest.raises(errors.HypervisorUnknown, match="none was deleted"):
            driver.destroy(guest.uuid, "req-delete", disks=True)
        assert (lab.instances / f"{guest.uuid}.qcow2").exists()


class TestRefusals:
    """Each with a sentence of its own, since it is what clients see as the instance's fault."""

    def test_a_disk_that_another_guest_writes_to(self, make_driver, guest):
        make_driver("a").define(guest, DiskSource.EXISTING, "req")
        make_driver("a").power_on(guest.uuid, "req")
        other = make_driver("b")
        other.define(guest, DiskSource.EXISTING, "migration 1 attempt 1")

        with pytest.raises(errors.DiskInUse, match=r"fence it first.*Failed to get .*lock"):
            other.power_on(guest.uuid, "migration 1 attempt 1")
        assert not other.find(guest.uuid).running

    def test_a_disk_that_is_missing_is_named(self, lab, driver):
        guest = a_guest()

        with pytest.raises(errors.DiskMissing, match=f"{lab.instances}/{guest.uuid}.qcow2"):
            driver.define(guest, DiskSource.EXISTING, "req")

    def test_a_disk_that_went_away_after_the_definition(self, lab, driver, guest):
        driver.define(guest, DiskSource.EXISTING, "req")
        (lab.instances / f"{guest.uuid}.qcow2").unlink()

        with pytest.raises(errors.DiskMissing):
            driver.power_on(guest.uuid, "req")

    def test_a_disk_that_qemu_may_not_open(self, lab, driver, guest):
        driver.define(guest, DiskSource.EXISTING, "req")
        (lab.instances / f"{guest.uuid}.qcow2").chmod(0o600)

        with pytest.raises(errors.DriverError, match="permissions"):
            driver.define(guest, DiskSource.EXISTING, "req")
        with pytest.raises(errors.DriverError, match="permissions"):
            driver.power_on(guest.uuid, "req")

    def test_a_name_that_another_guest_has(self, driver, guest):
        driver.define(guest, DiskSource.EXISTING, "req")

        with pytest.raises(errors.DriverError, match="another guest of the name"):
            driver.define(replace(a_guest(guest.name)), DiskSource.NEW, "req")

    @pytest.mark.parametrize(
        ("old", "new", "sentence"),
        [
            ("machine='pc'", "machine='pc-i440fx-0.1'", "machine type"),
            ("<devices>", "<cpu mode='custom' match='exact'><model>NoSuchCPU</model></cpu><devices>", "a CPU"),
            ("<memballoon", "<interface type='bridge'><source bridge='nobr0'/></interface><memballoon", "a bridge"),
            ("<memballoon", "<interface type='network'><source network='no'/></interface><memballoon", "network"),
            ("type='$virt_type'", "type='xen'", "cannot virtualise"),
        ],
    )
    def test_what_the_host_does_not_have(self, make_driver, guest, old, new, sentence):
        driver = make_driver("a", template=TEMPLATE.replace(old, new))

        def define_and_start():
            driver.define(guest, DiskSource.EXISTING, "req")
            driver.power_on(guest.uuid, "req")

        with pytest.raises(errors.DriverError, match=sentence) as refusal:
            define_and_start()
        assert type(refusal.value) is errors.DriverError
        found = driver.find(guest.uuid)
        assert found is None or not found.running


class TestAdoptedDefinitions:
    @pytest.fixture
    def stored(self, lab, driver, guest):
        """What host a says of a guest that has a console and lives in a world of other people's metadata."""
        xml = definition.for_this_host(
            TEMPLATE.replace("$virt_type", "qemu")
            .replace("$name", "odd name (1)")
            .replace("$uuid", guest.uuid)
            .replace("$vcpus", "1")
            .replace("$disk", str(lab.instances / f"{guest.uuid}.qcow2"))
            .replace("<memballoon", "<graphics type='vnc' listen='192.0.2.1' port='5999'/><memballoon")
            .replace(
                "<devices>", "<metadata><o:info xmlns:o='http://example.org/o'><o:x/></o:info></metadata><devices>", 1
            ),
            guest.uuid,
            HostChanges(),
            definition.Mark("adopted"),
        )
        with lab["a"].opened() as conn:
            conn.defineXML(xml)
        return replace(guest, definition=domain_xml(lab["a"], guest))

    def test_the_destination_is_told_the_same(self, lab, make_driver, stored):
        make_driver("b").define(stored, DiskSource.EXISTING, "migration 1 attempt 1")

        assert domain_xml(lab["b"], stored) == stored.definition

    def test_what_is_different_on_the_destination_is_only_what_is_configured(self, lab, make_driver, stored):
        changes = HostChanges(graphics_listen="192.0.2.2", cpu_mode="maximum")
        make_driver("b", changes=changes).define(stored, DiskSource.EXISTING, "migration 1 attempt 1")

        old, new = stored.definition.splitlines(), domain_xml(lab["b"], stored).splitlines()
        changed = {line.strip() for line in new} - {line.strip() for line in old}
        assert {line.replace(" migratable='on'", "") for line in changed} == {
            "<cpu mode='maximum' check='none'/>",
            "<graphics type='vnc' port='5999' autoport='no' listen='192.0.2.2'>",
            "<listen type='address' address='192.0.2.2'/>",
        }

    def test_a_definition_of_another_guest_is_refused(self, make_driver, stored):
        with pytest.raises(errors.DriverError, match="not that of a domain of this id"):
            make_driver("b").define(replace(stored, uuid=str(uuid.uuid4())), DiskSource.EXISTING, "migration 1")


class TestDaemonsThatFail:
    """A daemon that hangs or dies fails the operation in time, and hurts nobody else."""

    def test_what_a_tunnel_says_is_one_line(self, lab, make_driver):
        tunnel = lab.root / "tunnel"
        # libvirt looks for last words once the connection has ended.
        tunnel.write_text(
            "#!/bin/sh\nprintf 'timed out during banner exchange\\ngiving up\\n' >&2\nsleep 0.2\nexit 255\n"
        )
        tunnel.chmod(0o755)

        with pytest.raises(errors.HypervisorUnknown) as unknown:
            make_driver("a", uri=f"qemu+ext:///system?command={tunnel}").facts()

        assert "banner exchange giving up" in str(unknown.value)

    def test_what_a_tunnel_says_may_be_no_utf_8(self, lab, make_driver):
        tunnel = lab.root / "tunnel"
        tunnel.write_bytes(b"#!/bin/sh\nprintf 'Zugang ge\\344ndert\n' >&2\nsleep 0.2\nexit 255\n")
        tunnel.chmod(0o755)
        driver = make_driver("a", uri=f"qemu+ext:///system?command={tunnel}", timing=QUICK)

        for _ in range(MOST_ATTEMPTS + 1):
            with pytest.raises(errors.HypervisorUnknown, match="Zugang ge\N{REPLACEMENT CHARACTER}ndert"):
                driver.facts()

    def test_a_dead_daemon_is_said_to_be_silent_and_found_again(self, lab, make_driver, guest):
        driver = make_driver("a", timing=QUICK)
        driver.define(guest, DiskSource.EXISTING, "req")
        driver.power_on(guest.uuid, "req")
        lab["a"].kill_daemon()

        with pytest.raises(errors.HypervisorUnknown):
            driver.facts()
        lab["a"].start_daemon()

        assert driver.find(guest.uuid).power_state is PowerState.RUNNING
        booted(lab, guest)

    def test_a_daemon_that_restarted_between_two_calls_is_not_noticed(self, lab, driver, guest):
        driver.define(guest, DiskSource.EXISTING, "req")
        lab["a"].kill_daemon()
        lab["a"].start_daemon()

        assert driver.find(guest.uuid)

    def test_a_hung_daemon_fails_every_call_in_time_and_is_found_again(self, lab, make_driver, guest):
        driver = make_driver("a", timing=QUICK)
        driver.define(guest, DiskSource.EXISTING, "req")
        lab["a"].freeze_daemon()
        took = []
        for call in (driver.facts, driver.inventory, lambda: driver.power_on(guest.uuid, "req"), driver.facts):
            begun = time.monotonic()
            with pytest.raises(errors.HypervisorUnknown):
                call()
            took.append(time.monotonic() - begun)
        assert max(took) < 3.0
        lab["a"].thaw_daemon()

        eventually(lambda: _facts(driver))

    def test_what_a_hung_daemon_was_to_be_asked_for_is_not_done_when_it_goes_on(self, lab, make_driver, guest):
        driver = make_driver("a", timing=QUICK)
        driver.define(guest, DiskSource.EXISTING, "req")
        lab["a"].freeze_daemon()
        with pytest.raises(errors.HypervisorUnknown):
            driver.power_on(guest.uuid, "req-start")

        lab["a"].thaw_daemon()

        eventually(lambda: _facts(driver))
        time.sleep(2)
        assert lab["a"].guest_pids() == []
        assert diary(lab, guest).boots == 0

    def test_connecting_to_a_hung_daemon_fails_in_time(self, lab, make_driver):
        driver = make_driver("a", timing=QUICK)
        lab["a"].freeze_daemon()

        for _ in range(6):
            begun = time.monotonic()
            with pytest.raises(errors.HypervisorUnknown, match="connecting"):
                driver.facts()
            assert time.monotonic() - begun < 2.0
        assert len(driver._connection._attempts) <= 4
        lab["a"].thaw_daemon()

        assert driver.facts()
        eventually(lambda: driver._connection._attempts == [])

    def test_a_hung_host_does_not_keep_others_waiting(self, lab, make_driver, guest):
        hung, sound = make_driver("a", timing=QUICK), make_driver("b")
        sound.facts()
        lab["a"].freeze_daemon()
        stopping = threading.Event()

        def pester():
            while not stopping.is_set():
                with pytest.raises(errors.HypervisorUnknown):
                    hung.facts()

        thread = threading.Thread(target=pester)
        thread.start()
        slowest = 0.0
        for _ in range(20):
            begun = time.monotonic()
            sound.facts()
            slowest = max(slowest, time.monotonic() - begun)
            time.sleep(0.05)
        stopping.set()
        thread.join()
        begun = time.monotonic()
        hung.close()
        lab["a"].thaw_daemon()

        assert slowest < 0.5
        assert time.monotonic() - begun < 1.0

    def test_a_guest_that_stands_still_can_be_killed(self, lab, make_driver, guest):
        driver = make_driver("a")
        driver.define(guest, DiskSource.EXISTING, "req")
        driver.power_on(guest.uuid, "req")
        for pid in lab["a"].guest_pids():
            os.kill(pid, signal.SIGSTOP)

        driver.destroy(guest.uuid, "cleaning of a", disks=False)

        assert lab["a"].guest_pids() == []


class TestWithoutThreads:
    """A system that lets us start no more threads for a while does no harm that lasts."""

    @pytest.fixture
    def refused(self, monkeypatch):
        """Have no thread started within this whose name begins so."""

        @contextmanager
        def refusing(prefix=""):
            real = threading.Thread.start

            def start(thread):
                if thread.name.startswith(prefix):
                    raise RuntimeError("can't start new thread")
                real(thread)

            with monkeypatch.context() as patched:
                patched.setattr(threading.Thread, "start", start)
                yield

        return refusing

    def test_attempts_to_connect_that_were_not_begun_are_not_counted(self, driver, refused):
        with refused():
            for _ in range(MOST_ATTEMPTS + 1):
                with pytest.raises(errors.HypervisorUnknown, match="can't start new thread"):
                    driver.facts()

        assert driver._connection._attempts == []
        assert driver.facts()

    def test_a_session_over_which_nothing_was_asked_is_there_for_the_next(self, driver, refused):
        with refused("a libvirt "), pytest.raises(errors.HypervisorUnknown, match="can't start new thread"):
            driver.facts()

        assert len(driver._connection._idle) == 1
        assert driver.facts()

    def test_an_event_loop_that_could_not_be_started_is_started_by_the_next(self, driver, monkeypatch):
        class Loop:
            asked = 0

            def ensure(self):
                self.asked += 1
                if self.asked <= MOST_ATTEMPTS:
                    raise RuntimeError("can't start new thread")

        monkeypatch.setattr(connection, "EVENT_LOOP", Loop())
        monkeypatch.setattr(connection, "RETRY_SECONDS", 0.05)
        for _ in range(2):
            with pytest.raises(errors.HypervisorUnknown, match="can't start new thread"):
                driver.facts()

        assert driver._listener.listen(5)
        assert driver.facts()

    def test_events_are_listened_to_once_there_is_a_thread_for_it(self, driver, refused):
        with refused("a listening"), pytest.raises(RuntimeError):
            driver._listener.listen()

        assert driver._listener.listen(5)

    def test_a_connection_to_which_nobody_could_say_goodbye_is_closed_with_the_next(self, driver, refused):
        driver.facts()
        (first,) = driver._connection._idle
        with refused("libvirt goodbye"):
            driver._connection._lost()
        driver.facts()
        (second,) = driver._connection._idle

        driver._connection._lost()

        eventually(lambda: not first.alive and not second.alive)


def test_who_listens_at_a_daemon_that_hangs_is_replaced_once_the_host_answers_again(driver, guest, monkeypatch):
    thawed, opened, real = threading.Event(), [], libvirt.open

    def hang_once(uri):
        first = threading.current_thread().name.endswith("listening") and not opened
        if first:
            opened.append("at a daemon that is frozen")
            assert thawed.wait(60)
        conn = real(uri)
        if first:
            opened.append(conn)
        return conn

    monkeypatch.setattr(connection.libvirt, "open", hang_once)
    monkeypatch.setattr(connection, "RARELY_SECONDS", 0.5)
    told = []
    driver.watch(lambda *event: told.append(event))
    assert not driver._listener.listen(0.2)
    time.sleep(0.5)
    driver.facts()

    eventually(driver._listener._listening.is_set)
    thawed.set()
    eventually(lambda: len(opened) == 2 and not connection.is_alive(opened[1]))
    driver.define(guest, DiskSource.EXISTING, "req")
    driver.power_on(guest.uuid, "req")
    eventually(lambda: told[-1:] == [(guest.uuid, PowerState.RUNNING)])


def test_a_host_that_hangs_for_a_month_is_tried_ever_more_rarely_but_each_half_hour():
    minute, day, begun, hanging = 60, 24 * 3600, [], []
    for now in range(0, 30 * day, minute):
        if begun:
            hanging[-1].begun = time.monotonic() - (now - begun[-1])
        if connection.may_try(hanging, MOST_ATTEMPTS):
            begun.append(now)
            hanging.append(connection.Attempt())

    pauses = [after - before for before, after in pairwise(begun)]
    assert pauses[MOST_ATTEMPTS - 1] <= 6 * minute
    assert pauses == sorted(pauses)
    assert max(pauses) <= 31 * minute
    assert len(begun) < 30 * 50


def _facts(driver):
    try:
        return driver.facts()
    except errors.HypervisorUnknown:
        return None

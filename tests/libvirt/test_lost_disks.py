"""Disks that are lost with their host, on real hosts with storage of their own."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from evacuator.errors import DriverError
from evacuator.virt.driver import DiskSource, Driver
from evacuator.virt.libvirt.disks import DiskFolder
from tests.libvirt import witness
from tests.libvirt.lab import TEMPLATE, eventually
from tests.unit.compute.lost_disks import LostDisks
from tests.unit.virt.contract import a_guest


class TestRealHosts(LostDisks):
    @pytest.fixture(autouse=True)
    def _here(self, lab, make_driver, image):
        self.lab, self._make = lab, make_driver
        self.templates = {"a": TEMPLATE, "b": TEMPLATE}
        witness.build(lab.images / f"{image}.raw", period=2)
        for host in ("a", "b"):
            self.folder(host).mkdir(exist_ok=True)
            self.folder(host).chmod(0o777)
        yield
        for host in ("a", "b"):
            for path in self.folder(host).iterdir():
                path.unlink()

    def folder(self, host: str) -> Path:
        return self.lab.root / f"only-on-{host}"

    def make_driver(self, host: str, *, shared: bool) -> Driver:
        if shared:
            return self._make(host)
        folder = DiskFolder(host, self.folder(host), self.lab.images, copies=False, mode=0o666, patience=30.0)
        return self._make(host, folder=folder, template=self.templates[host])

    def disk_of(self, host: str, server: str) -> Path:
        return self.folder(host) / f"{server}.qcow2"

    def shared_disk_of(self, server: str) -> Path:
        return self.lab.instances / f"{server}.qcow2"

    def boots(self, disk: Path) -> int:
        return witness.read(disk).boots

    def test_a_replaced_disk_was_run_from_by_nobody(self, make_hosts, image):
        hosts = make_hosts()
        server = hosts.create("a", image)
        eventually(lambda: self.boots(self.disk_of("a", server)) == 1)
        hosts.fence("a")

        assert hosts.evacuate(server).disk == "replaced"

        assert self.boots(self.disk_of("b", server)) == 0
        hosts.drivers["b"].power_on(server, "req-start")
        eventually(lambda: self.boots(self.disk_of("b", server)) == 1)
        hosts.come_back("a")
        (aside,) = self.others("a", server)
        assert self.boots(aside) == 1

    def test_the_new_disk_goes_with_a_guest_that_is_not_started(self, make_hosts, image):
        no_bridge = "<interface type='bridge'><source bridge='nobr0'/></interface>"
        self.templates["b"] = TEMPLATE.replace("<memballoon", f"{no_bridge}<memballoon")
        hosts = make_hosts()
        server = hosts.create("a", image)
        hosts.fence("a")

        with self.untouched(self.disk_of("a", server)):
            record = hosts.evacuate(server, starts=True)

        assert record.status == "failed"
        assert re.search("bridge or network interface", record.reason)
        assert list(self.folder("b").glob(f"*{server}*")) == []
        assert hosts.instance(server).host == "a"

    def test_the_new_disk_goes_with_a_guest_that_cannot_be_defined(self, make_hosts, image):
        hosts = make_hosts()
        server = hosts.create("a", image)
        hosts.fence("a")
        with self.lab["a"].opened() as a, self.lab["b"].opened() as b:
            name = a.lookupByUUIDString(server).name()
            b.defineXML(
                f"<domain type='qemu'><name>{name}</name><memory>16384</memory><os><type>hvm</type></os></domain>"
            )

            assert "another guest of the name" in (hosts.evacuate(server).reason or "")

            assert list(self.folder("b").glob(f"*{server}*")) == []
            b.lookupByName(name).undefine()
        assert hosts.evacuate(server).status == "done"

    def test_the_new_disk_stays_where_it_may_be_in_use_elsewhere_by_now(self, image):
        guest = replace(a_guest("taken"), image_ref=image)
        driver = self._make("b", service_down_time=0.0)
        with self.lab["b"].opened() as b:
            b.defineXML(
                f"<domain type='qemu'><name>{guest.name}</name><memory>16384</memory><os><type>hvm</type></os></domain>"
            )

            with pytest.raises(DriverError, match="another guest of the name"):
                driver.define(guest, DiskSource.REPLACED, "migration 1 attempt 1")

        assert self.shared_disk_of(guest.uuid).exists()

    def test_a_disk_that_was_made_before_the_guest_was_defined_is_known_again(self, make_hosts, image):
        hosts = make_hosts()
        server = hosts.create("a", image)
        hosts.fence("a")
        driver = hosts.drivers["b"]
        define, killed = driver._define_as_told, []

        def die(*_what):
            killed.append(self.disk_of("b", server).stat().st_ino)
            raise SystemExit

        driver._define_as_told = die
        with pytest.raises(SystemExit):
            hosts.evacuate(server)
        driver._define_as_told = define

        hosts.managers["b"].sweep()

        assert hosts.instance(server).host == "b"
        assert killed == [self.disk_of("b", server).stat().st_ino]
        assert self.others("b", server) == []


def test_no_disk_of_another_machine_is_made_or_moved_from_here(lab, make_driver):
    """What is at its path here is not that host's."""
    guest = a_guest()
    here = lab.instances / f"{guest.uuid}.qcow2"
    here.touch()
    driver = make_driver("a", uri=lab["a"].uri.replace("qemu+unix:///", "qemu+ssh://elsewhere/"))

    for effect in (
        lambda: driver.set_aside(guest.uuid, "migration 1"),
        lambda: driver.define(guest, DiskSource.REPLACED, "migration 1 attempt 1"),
    ):
        with pytest.raises(DriverError, match="run `evacuator compute` there"):
            effect()
    assert here.exists()

from pathlib import Path

import pytest

from evacuator.errors import FilesOutOfReach
from evacuator.virt.driver import Driver
from evacuator.virt.simulated import FOLDER, SimulatedDriver, SimulatedSettings, parse_faults
from tests.unit.compute.lost_disks import LostDisks


class Distant(SimulatedDriver):
    """One whose files are on another machine, once its host is ``out_of_reach``."""

    def __init__(self, *args, out_of_reach, **kwargs):
        super().__init__(*args, **kwargs)
        self._out_of_reach = out_of_reach

    def set_aside(self, uuid, cause):
        if self.host in self._out_of_reach:
            raise FilesOutOfReach(uuid=uuid, host=self.host)
        super().set_aside(uuid, cause)


class TestSimulatedHosts(LostDisks):
    @pytest.fixture(autouse=True)
    def _here(self, tmp_path):
        self.root = tmp_path / FOLDER
        self.faults = []
        self.out_of_reach = set()

    def make_driver(self, host: str, *, shared: bool) -> Driver:
        settings = SimulatedSettings(shared_storage=shared, faults=parse_faults(self.faults))
        return Distant(host, self.root, settings, out_of_reach=self.out_of_reach)

    def shared_disk_of(self, server: str) -> Path:
        return self.root.parent / "disks" / server

    def disk_of(self, host: str, server: str) -> Path:
        return self.root / host / "disks" / server

    def test_the_new_disk_goes_with_a_guest_that_is_not_started(self, make_hosts, image):
        self.faults = ["power_on@b"]
        hosts = make_hosts()
        server = hosts.create("a", image)
        hosts.fence("a")

        with self.untouched(self.disk_of("a", server)):
            record = hosts.evacuate(server, starts=True)

        assert record.status == "failed"
        assert hosts.instance(server).host == "a"
        assert self.others("b", server) == []
        assert not self.disk_of("b", server).exists()

    def test_an_old_disk_that_cannot_be_reached_from_here_keeps_no_evacuation_from_its_end(self, make_hosts, image):
        hosts = make_hosts()
        server = hosts.create("a", image)
        hosts.fence("a")
        self.out_of_reach.add("a")
        record = hosts.evacuate(server)

        with self.untouched(self.disk_of("a", server)):
            hosts.come_back("a")

        assert hosts.record(record.id).status == "completed"

    def test_an_evacuation_is_not_over_before_the_old_disk_is_aside(self, make_hosts, image):
        self.faults = ["set_aside@a:1"]
        hosts = make_hosts()
        server = hosts.create("a", image)
        hosts.fence("a")
        record = hosts.evacuate(server)

        hosts.come_back("a")
        assert hosts.record(record.id).status == "done"

        hosts.managers["a"].clean()
        assert hosts.record(record.id).status == "completed"

import pytest

from evacuator.virt.driver import Driver
from tests.unit.virt.contract import DriverContract


class TestLibvirtDriver(DriverContract):
    @pytest.fixture(autouse=True)
    def _here(self, make_driver):
        self._make = make_driver

    def make_driver(self, host: str) -> Driver:
        return self._make(host)

import libvirt
import pytest

from evacuator.virt.libvirt.connection import Timing
from evacuator.virt.libvirt.definition import DomainTemplate
from evacuator.virt.libvirt.disks import DiskFolder
from evacuator.virt.libvirt.driver import LibvirtDriver
from evacuator.virt.libvirt.settings import LibvirtSettings
from tests.cloud.barbican_server import Barbican
from tests.cloud.keystone_server import Keystone
from tests.libvirt.lab import TEMPLATE, Lab


@pytest.fixture(scope="session")
def running_lab():
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    lab = Lab(["a", "b", "c"])
    try:
        lab.start()
        yield lab
    finally:
        lab.close()


@pytest.fixture
def lab(running_lab):
    running_lab.ready()
    return running_lab


@pytest.fixture
def make_driver(lab):
    """Make drivers that are closed after the test."""
    made = []

    def make(host="a", **settings):
        patience = settings.pop("timing", Timing(call=5.0, effect=30.0))
        shared = DiskFolder(host, lab.instances, lab.images, copies=False, mode=0o666, patience=30.0)
        folder = settings.pop("folder", shared)
        template = DomainTemplate(settings.pop("template", TEMPLATE), "qemu", "the test")
        settings = {"shutdown_timeout": 0.5, "uri": lab[host].uri, **settings}
        driver = LibvirtDriver(host, LibvirtSettings(template=template, folder=folder, timing=patience, **settings))
        made.append(driver)
        return driver

    yield make
    for driver in made:
        driver.close()


@pytest.fixture(scope="session")
def keystone(tmp_path_factory):
    made = Keystone(tmp_path_factory.mktemp("keystone"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def barbican(keystone, tmp_path_factory):
    made = Barbican(tmp_path_factory.mktemp("barbican"), keystone)
    try:
        made.start()
        yield made
    finally:
        made.stop()

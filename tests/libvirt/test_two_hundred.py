"""A host with two hundred guests dies."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import libvirt

from evacuator.virt.driver import DiskSource, Guest
from tests.acceptance.site import until
from tests.libvirt import witness
from tests.libvirt.real_site import DOWN_TIME, Heartbeats, RealSite, command

COUNT = 200

#: What an evacuation costs beside its definition (requests, claims, records, and the same two cores for all of it) may
#: not make it slower than this share of bare definitions on one host.
LEAST_RATIO = 0.01

#: The same for the driver alone, which looks at the guest and its disks as well.
LEAST_DRIVER_RATIO = 0.05


def domain(name, identity, disk):
    return f"""
<domain type='qemu'>
  <name>{name}</name>
  <uuid>{identity}</uuid>
  <memory unit='MiB'>16</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='{disk}'/>
      <target dev='vda' bus='virtio'/>
    </disk>
  </devices>
</domain>"""


def bare_definitions(lab):
    """Return how many domains a second one libvirt defines when nobody does anything else."""
    with lab["b"].opened() as conn:
        begun = time.monotonic()
        for number in range(COUNT):
            conn.defineXML(domain(f"bare-{number}", uuid.uuid4(), "/nowhere"))
        took = time.monotonic() - begun
        for each in conn.listAllDomains():
            each.undefine()
    return COUNT / took


def driven_definitions(driver, ids, instances):
    """Return how many a second the driver defines."""
    begun = time.monotonic()
    for number, identity in enumerate(ids):
        xml = domain(f"driven-{number}", identity, instances / f"{identity}.qcow2")
        driver.define(Guest(identity, "", 1, 16, 1, None, "p", xml), DiskSource.EXISTING, "migration 1 attempt 1")
    took = time.monotonic() - begun
    for identity in ids:
        driver.destroy(identity, "the test", disks=False)
    return COUNT / took


def test_two_hundred_guests_of_a_dead_host_are_back(lab, make_driver, tmp_path, capsys):
    first = lab.instances / "first.qcow2"
    witness.build(first)
    ids = [str(uuid.uuid4()) for _ in range(COUNT)]
    with lab["a"].opened() as conn:
        for number, identity in enumerate(ids):
            disk = lab.instances / f"{identity}.qcow2"
            disk.write_bytes(first.read_bytes())
            disk.chmod(0o666)
            conn.defineXML(domain(f"guest {number}", identity, disk))
    site = RealSite(tmp_path / "site", lab)
    adopted = command(site, "adopt", "--host", "a", "--all")
    assert adopted.returncode == 0, adopted.stderr + adopted.stdout
    bare = bare_definitions(lab)
    driven = driven_definitions(make_driver("c"), ids, lab.instances)
    site.start()
    try:
        for host in lab.hosts:
            site.find(host)
        lab["a"].power_off()
        site.lose("a")
        heartbeats = Heartbeats(site, {"b", "c"})

        begun = time.monotonic()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda server: site.evacuate(server, version="2.95"), ids))
        accepted = time.monotonic() - begun
        until(lambda: len(all_done(site)) == COUNT, 120, "all evacuations to be done")
        took = time.monotonic() - begun
        heartbeats.stop()

        with lab["b"].opened() as b, lab["c"].opened() as c:
            found = [{each.UUIDString() for each in conn.listAllDomains()} for conn in (b, c)]
            assert not b.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
            assert not c.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
        assert found[0] | found[1] == set(ids)
        assert not found[0] & found[1]
        assert min(map(len, found)) > COUNT / 4
        assert all(site.boots(server) == 0 for server in ids[::20])
        assert heartbeats.downs == []
        figures = {
            "accepted_seconds": round(accepted, 2),
            "done_seconds": round(took, 2),
            "evacuations_per_second": round(COUNT / took, 1),
            "bare_definitions_per_second": round(bare, 1),
            "driver_definitions_per_second": round(driven, 1),
            "ratio": round(COUNT / took / bare, 3),
            "driver_ratio": round(driven / bare, 3),
            "oldest_heartbeat_seconds": round(heartbeats.oldest, 2),
        }
        with capsys.disabled():
            print("", *(f"{name} = {value}" for name, value in figures.items()), sep="\n  ")  # noqa: T201 - it reports
        assert figures["ratio"] >= LEAST_RATIO
        assert figures["driver_ratio"] >= LEAST_DRIVER_RATIO
        assert figures["oldest_heartbeat_seconds"] < DOWN_TIME / 2
    finally:
        site.kill()


def all_done(site):
    return site.get("/os-migrations?status=done&limit=1000", "2.59")["migrations"]

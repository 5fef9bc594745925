"""Domains that somebody made by hand come under management, are evacuated, and are given back."""

import threading
import time
import uuid
from socket import gethostname

import libvirt
import pytest

from evacuator.virt.libvirt.adoption import Adoption
from evacuator.virt.libvirt.connection import Connection, Timing
from evacuator.virt.libvirt.definition import NAMESPACE
from tests.libvirt import witness
from tests.libvirt.real_site import RealSite, command

DOMAIN = """
<domain type='qemu'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  {metadata}
  <memory unit='MiB'>16</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type>{os}</os>
  <features><acpi/></features>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='{disk}'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    {devices}
  </devices>
</domain>
"""
NAMES = ["plain", "odd name (1)", "ümläut", "UPPER.case", "-dash", "two-disks", "snapshots", "nvram", "cdrom", "others"]


def disk_of(path, dev, device="disk"):
    kind = "raw" if device == "cdrom" else "qcow2"
    return (
        f"<disk type='file' device='{device}'><driver name='qemu' type='{kind}'/><source file='{path}'/>"
        f"<target dev='{dev}' bus='{'ide' if device == 'cdrom' else 'virtio'}'/></disk>"
    )


def inactive(host, of):
    with host.opened() as conn:
        return conn.lookupByUUIDString(of).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)


def snapshots_of(conn):
    topological = libvirt.VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL
    found = conn.lookupByName("snapshots").listAllSnapshots(topological)
    return {each.getName(): each.getXMLDesc() for each in found}


@pytest.fixture
def hand_made(lab):
    """Ten domains on a, none like the other; return their ids by name."""
    folder = lab.instances
    (folder / "tools.iso").write_bytes(b"\0" * 65536)
    (folder / "firmware.fd").write_bytes(b"\0" * (1 << 18))
    (folder / "nvram_VARS.fd").write_bytes(b"\0" * (1 << 17))
    witness.build(folder / "data.qcow2")
    more = {
        "two-disks": {"devices": disk_of(folder / "data.qcow2", "vdb")},
        "nvram": {
            "os": f"<loader readonly='yes' type='pflash'>{folder}/firmware.fd</loader>"
            f"<nvram>{folder}/nvram_VARS.fd</nvram>"
        },
        "cdrom": {"devices": disk_of(folder / "tools.iso", "hda", "cdrom")},
        "others": {"metadata": "<metadata><o:info xmlns:o='http://example.org/o' x='1'><o:y/></o:info></metadata>"},
    }
    ids = {name: str(uuid.uuid4()) for name in NAMES}
    with lab["a"].opened() as conn:
        for name, identity in ids.items():
            disk = folder / f"{identity}.qcow2"
            witness.build(disk, period=2)
            parts = {"metadata": "", "os": "", "devices": "", **more.get(name, {})}
            conn.defineXML(DOMAIN.format(name=name, uuid=identity, disk=disk, **parts))
        for name in ("before", "after"):
            conn.lookupByName("snapshots").snapshotCreateXML(f"<domainsnapshot><name>{name}</name></domainsnapshot>")
        conn.lookupByName("plain").setAutostart(1)
    return ids


@pytest.fixture
def site(lab, tmp_path):
    site = RealSite(tmp_path / "site", lab)
    yield site
    site.kill()


def test_ten_hand_made_domains_are_adopted_evacuated_and_released(lab, site, hand_made):
    originals = {name: inactive(lab["a"], identity) for name, identity in hand_made.items()}
    with lab["a"].opened() as conn:
        snapshots = snapshots_of(conn)
    assert list(snapshots) == ["before", "after"]

    tried = command(site, "adopt", "--host", "a", "--all", "--dry-run")
    assert (tried.returncode, tried.stdout.count("can be adopted")) == (0, 10), tried.stdout + tried.stderr
    assert "its autostart is taken away" in tried.stdout
    assert {name: inactive(lab["a"], identity) for name, identity in hand_made.items()} == originals

    adopted = command(site, "adopt", "--host", "a", "--all")
    assert (adopted.returncode, adopted.stdout.count(": adopted (")) == (0, 10), adopted.stdout + adopted.stderr
    tried = command(site, "adopt", "--host", "a", "--all", "--dry-run")
    assert (tried.returncode, tried.stdout.count(": is adopted")) == (0, 10), tried.stdout + tried.stderr
    again = command(site, "adopt", "--host", "a", "plain")
    assert "its definition was read anew" in again.stdout, again.stderr

    site.start()
    site.find("a")
    with lab["a"].opened() as conn:
        assert not conn.lookupByName("plain").autostart()
    servers = list(hand_made.values())
    shown = {server["id"]: server for server in site.get("/servers/detail?all_tenants=1")["servers"]}
    for name, identity in hand_made.items():
        assert (shown[identity]["name"], shown[identity]["OS-EXT-SRV-ATTR:instance_name"]) == (name, name)
    assert site.ask(hand_made["odd name (1)"], "os-start")["status"] == "ACTIVE"

    lab["a"].power_off()
    site.lose("a")
    site.evacuate(*servers, version="2.95", host="b")
    assert site.ended(*servers) == ["done"] * 10
    assert {site.domain("b", server) for server in servers} == {"off"}
    assert {site.boots(server) for name, server in hand_made.items() if name != "odd name (1)"} == {0}
    assert site.ask(hand_made["two-disks"], "os-start")["status"] == "ACTIVE"
    lab["a"].power_on()
    site.find("a")
    assert {site.domain("a", server) for server in servers} == {None}
    assert (lab.instances / "nvram_VARS.fd").exists()
    site.stop()

    released = command(site, "release", "--host", "b", "--all")
    assert (released.returncode, released.stdout.count(": released")) == (0, 10), released.stdout + released.stderr
    assert {name: inactive(lab["b"], identity) for name, identity in hand_made.items()} == originals
    with lab["b"].opened() as conn:
        assert conn.lookupByName("plain").autostart()
        assert conn.lookupByName("two-disks").isActive()
        assert snapshots_of(conn) == snapshots
        conn.lookupByName("plain").setAutostart(0)
    # Nobody's business any more: a site that starts again leaves them alone.
    site.start()
    site.find("b")
    assert site.get("/servers?all_tenants=1")["servers"] == []
    assert site.domain("b", hand_made["two-disks"]) == "running"


def test_what_another_host_could_not_run_is_left_alone_and_the_reason_is_shown(lab, site):
    local = lab.root / "local.qcow2"
    witness.build(local)
    passed = "<hostdev mode='subsystem' type='pci'><source><address bus='0' slot='5' function='0'/></source></hostdev>"
    with lab["a"].opened() as conn:
        for name, devices in (("local", ""), ("card", passed)):
            disk = local if name == "local" else lab.instances / "x.qcow2"
            conn.defineXML(DOMAIN.format(name=name, uuid=uuid.uuid4(), disk=disk, metadata="", os="", devices=devices))

    done = command(site, "adopt", "--host", "a", "--all")

    assert done.returncode == 1
    assert f"disk vda ({local}) is not on a path that every host has" in done.stdout
    assert "a pci device of its host is passed through to it" in done.stdout
    with lab["a"].opened() as conn:
        assert "evacuator" not in conn.lookupByName("local").XMLDesc() + conn.lookupByName("card").XMLDesc()


def test_all_in_one_and_adopt_do_not_write_to_one_file_at_once_but_a_dry_run_writes_nothing(lab, site, hand_made):
    tried = command(site, "adopt", "--host", "a", "--all", "--dry-run")
    assert tried.returncode == 0, tried.stderr
    assert tried.stdout.startswith(f"Host a is at {lab['a'].uri}.\n")
    assert not site.state_dir.exists()
    site.start()

    done = command(site, "adopt", "--host", "a", "plain")
    assert done.returncode == 1
    assert "in use by another evacuator process" in done.stderr
    tried = command(site, "adopt", "--host", "a", "--all", "--dry-run")
    assert tried.returncode == 0, tried.stderr


def test_names_that_are_nowhere_are_said_to_be_and_what_is_there(lab, site, hand_made):
    nowhere = command(site, "adopt", "--host", "a", "nowhere")
    assert nowhere.returncode == 1
    assert "There is no domain nowhere there. Known:" in nowhere.stderr
    site._config.write_text(
        site._config.read_text().replace("[libvirt]", f"[libvirt]\nconnection_uri = {lab['b'].uri}")
    )
    for verb in ("adopt", "release"):
        mistyped = command(site, verb, "--host", "aa", "--all")
        assert mistyped.returncode == 1
        assert "There is no section [host:aa], but one for a, c." in mistyped.stderr
    site._config.write_text(site._config.read_text().replace("[host:", "[hosts:"))
    mistyped = command(site, "release", "--host", "aa", "--all")
    assert mistyped.returncode == 1
    assert "There is no host aa: neither a section [host:aa]" in mistyped.stderr
    assert f"Known: {gethostname()}" in mistyped.stderr


def test_a_transient_domain_is_left_alone_and_one_without_disks_is_adopted(lab, site):
    bare = "<domain type='qemu'><name>{}</name><memory>16384</memory><os><type>hvm</type></os></domain>"
    with lab["a"].opened() as conn:
        transient = conn.createXML(bare.format("transient"))
        conn.defineXML(bare.format("diskless"))

        done = command(site, "adopt", "--host", "a", "--all")

        assert done.returncode == 1, done.stderr
        assert "diskless: adopted (" in done.stdout
        assert "transient: not adopted\n    it is transient" in done.stdout
        transient.destroy()


def test_domains_that_need_files_of_their_host_are_left_alone_with_the_reason(lab, site):
    disk = f"{lab.instances}/../local.qcow2"
    booted = "<kernel>/local/vmlinuz</kernel><initrd>/local/initrd</initrd>"
    parts = {"metadata": "", "devices": ""}
    with lab["a"].opened() as conn:
        for name, os, path in (("booted", booted, lab.instances / "a.qcow2"), ("outside", "", disk)):
            conn.defineXML(DOMAIN.format(name=name, uuid=uuid.uuid4(), os=os, disk=path, **parts))

    done = command(site, "adopt", "--host", "a", "--all", "--dry-run")

    assert done.returncode == 1, done.stderr
    assert done.stdout.split("\n", 1)[1] == (
        "booted: cannot be adopted\n"
        "    its kernel (/local/vmlinuz) is not on a path that every host has\n"
        "    its initial RAM disk (/local/initrd) is not on a path that every host has\n"
        "outside: cannot be adopted\n"
        f"    disk vda ({disk}) is not on a path that every host has\n"
    )


def test_a_section_of_a_host_that_is_none_keeps_all_in_one_from_starting(lab, site):
    site._config.write_text(site._config.read_text().replace("[host:c]", "[host:cc]"))

    with pytest.raises(AssertionError, match=r"section \[host:cc\], but no such host among a, b, c"):
        site.start()


def test_what_was_made_here_is_not_said_to_be_adopted(lab, site):
    site.start()
    server = site.a_running_server()
    site.stop()

    done = command(site, "adopt", "--host", "a", "--all")

    assert f"was made here, so there is nothing to adopt ({server})" in done.stdout
    assert done.returncode == 0, done.stderr
    site.start()
    assert site.ask(server, "os-stop")["status"] == "SHUTOFF"


def test_a_guest_whose_mark_somebody_took_away_is_released_with_the_others(lab, site, hand_made):
    assert command(site, "adopt", "--host", "a", "plain", "others").returncode == 0
    with lab["a"].opened() as conn:
        metadata = libvirt.VIR_DOMAIN_METADATA_ELEMENT
        conn.lookupByName("plain").setMetadata(metadata, None, None, NAMESPACE, libvirt.VIR_DOMAIN_AFFECT_CONFIG)

    released = command(site, "release", "--host", "a", "--all")

    assert released.stdout.splitlines()[1:] == ["others: released", "plain: released"], released.stderr
    again = command(site, "release", "--host", "a", "plain")
    assert (again.returncode, again.stdout.splitlines()[1:]) == (0, ["plain: was not ours"])


def test_domains_that_come_and_go_meanwhile_are_in_nobodys_way(lab):
    bare = "<domain type='qemu'><name>{}</name><memory>16384</memory><os><type>hvm</type></os></domain>"
    stopping = threading.Event()
    came = []

    def come_and_go():
        with lab["a"].opened() as conn:
            while not stopping.is_set():
                conn.defineXML(bare.format("fleeting")).undefine()
                came.append(time.monotonic())

    with lab["a"].opened() as conn:
        conn.defineXML(bare.format("steady"))
    thread = threading.Thread(target=come_and_go)
    thread.start()
    adoption = Adoption(Connection("a", lab["a"].uri, Timing()), [str(lab.instances)])
    try:
        until = time.monotonic() + 3
        seen = []
        while time.monotonic() < until:
            seen.append({found.name for found in adoption.survey()})
    finally:
        stopping.set()
        thread.join()
        adoption.close()
    assert came
    assert seen
    assert all("steady" in names <= {"steady", "fleeting"} for names in seen)

"""What the person who asked for an evacuation is told when the destination's hypervisor would not."""

import sqlite3
import uuid
from contextlib import closing

import pytest

from tests.libvirt import witness
from tests.libvirt.real_site import RealSite, command
from tests.libvirt.test_adopt import DOMAIN

#: What each guest needs that b does not have: text in its definition, what that becomes, and what its owner reads.
#: Host a is said to have had it: nobody can ask it any more.
LACKS = {
    "machine": ("machine='pc-", "machine='pc-99-", "needs a machine type that QEMU on host b does not know"),
    "cpu": (">qemu64<", ">Made-Up<", "needs a CPU that host b"),
    "bridge": ("</devices>", "<interface type='bridge'><source bridge='nobr0'/></interface></devices>", "a bridge or"),
    "network": (
        "</devices>",
        "<interface type='network'><source network='no'/></interface></devices>",
        "a network that",
    ),
    "disk": ("", "", "is not on host b ("),
    "name": ("", "", "Host b has another guest of the name"),
}


@pytest.fixture
def site(lab, tmp_path):
    site = RealSite(tmp_path / "site", lab)
    yield site
    site.kill()


@pytest.fixture
def servers(lab, site):
    """A server for each lack, adopted on a, which has died."""
    ids = {name: str(uuid.uuid4()) for name in LACKS}
    with lab["a"].opened() as a, lab["b"].opened() as b:
        for name, identity in ids.items():
            disk = lab.instances / f"{identity}.qcow2"
            witness.build(disk)
            parts = {"metadata": "", "os": "", "devices": ""}
            a.defineXML(DOMAIN.format(name=name, uuid=identity, disk=disk, **parts))
        b.defineXML("<domain type='qemu'><name>name</name><memory>16384</memory><os><type>hvm</type></os></domain>")
    adopted = command(site, "adopt", "--host", "a", "--all")
    assert adopted.returncode == 0, adopted.stdout + adopted.stderr
    with closing(sqlite3.connect(site.state_dir / "evacuator.sqlite")) as connection, connection:
        for name, (old, new, _sentence) in LACKS.items():
            change = "UPDATE instances SET definition = replace(definition, ?, ?) WHERE uuid = ?"
            connection.execute(change, (old, new, ids[name]))
    (lab.instances / f"{ids['disk']}.qcow2").unlink()
    site.start()
    site.find("a")
    for server in ids.values():
        # At 2.94 one in ERROR is started; the others were off and stay so.
        assert site.action(server, {"os-resetState": {"state": "error"}}).status == 202
    lab["a"].power_off()
    site.lose("a")
    return ids


def test_each_refusal_has_a_sentence_that_reaches_who_asked(site, lab, servers):
    site.evacuate(*servers.values(), version="2.94", host="b")

    assert site.ended(*servers.values()) == ["failed"] * len(servers)
    for name, (_old, _new, sentence) in LACKS.items():
        shown = site.show(servers[name])
        assert (shown["status"], shown["OS-EXT-SRV-ATTR:host"]) == ("ERROR", "a"), name
        assert sentence in shown["fault"]["message"], name
        (event,) = [event for event in site.event_results(servers[name]).items() if event[0] != "rebuild_server"]
        assert event == ("compute_rebuild_instance", ("Error", shown["fault"]["message"]))
        assert site.domain("b", servers[name]) is None
    assert lab["b"].guest_pids() == []
    # Who may not know which hosts there are is not told.
    member = site.get(f"/servers/{servers['bridge']}", "2.95", token="somebody:admin")["server"]
    assert member["fault"]["message"] == "The evacuation failed. An administrator can see why."


def test_at_2_95_what_is_needed_to_run_is_asked_for_when_it_is_started(site, lab, servers):
    chosen = {name: servers[name] for name in ("bridge", "network")}
    site.evacuate(*chosen.values(), version="2.95", host="b")
    assert site.ended(*chosen.values()) == ["done"] * len(chosen)

    for name, server in chosen.items():
        assert site.ask(server, "os-start")["status"] == "SHUTOFF"
        ((result, details),) = site.event_results(server).values()
        assert (result, LACKS[name][2] in details) == ("Error", True), details
        assert site.boots(server) == 0

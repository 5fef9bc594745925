"""What `evacuator verify` says of real hosts. It reads only: whatever is wrong is still wrong afterwards."""

import sqlite3
import time
from contextlib import closing

import pytest

from tests.acceptance.site import until
from tests.libvirt.real_site import RealSite


@pytest.fixture
def make_site(lab, tmp_path):
    made = []

    def make(**options):
        site = RealSite(tmp_path / f"site{len(made)}", lab, **options)
        made.append(site)
        site.start()
        return site

    yield make
    for site in made:
        site.kill()


@pytest.fixture
def site(make_site):
    return make_site()


def test_hosts_that_answer_are_looked_at_and_others_are_named(site, lab):
    server = site.a_running_server()
    with lab["b"].opened() as conn:
        conn.defineXML("<domain type='qemu'><name>x</name><memory>16384</memory><os><type>hvm</type></os></domain>")
    lab["c"].freeze_daemon()

    begun = time.monotonic()
    done = site.verify()
    took = time.monotonic() - begun

    named, summary = done.stdout.splitlines()
    assert named.startswith("not looked at: host c: connecting to qemu+unix:///session")
    assert "2 hypervisors, 2 guests: every invariant holds." in summary
    assert done.returncode == 0, done.stderr
    assert took < 15
    assert site.boots(server) == 1


def test_a_host_of_which_nobody_said_where_it_is_is_named(site, lab):
    text = site._config.read_text()
    site._config.write_text(text.replace(f"[host:b]\nconnection_uri = {lab['b'].uri}", ""))

    done = site.verify()

    assert "not looked at: host b: no connection_uri in a section [host:b] here says where it is" in done.stdout
    assert done.returncode == 0


def test_what_people_did_to_stopped_servers_is_found(site, lab):
    unasked, diskless = servers = site.running_servers(2)
    lab["a"].power_off()
    site.lose("a")
    site.evacuate(*servers, version="2.95", host="b")
    assert site.ended(*servers) == ["done"] * 2
    assert site.verify().returncode == 0
    disk = lab.instances / f"{diskless}.qcow2"
    disk.rename(disk.with_suffix(".gone"))
    with lab["b"].opened() as conn:
        conn.lookupByUUIDString(unasked).create()
        until(lambda: site.status(unasked) == "ACTIVE", 10, "the API to know that it runs")

        done = site.verify()

        assert conn.lookupByUUIDString(unasked).isActive()
    assert done.returncode == 1
    assert f"note started-unasked: instance {unasked}: It runs on host b. Migration" in done.stdout
    assert f"BROKEN disk-missing: instance {diskless}" in done.stdout
    assert f"    next: virsh -c 'qemu+unix:///session?socket={lab['b'].run}" in done.stdout
    assert "not looked at: host a: " in done.stdout


def test_two_copies_and_guests_of_nobody_are_found(make_site, lab):
    site = make_site(template=lab.lockless_template)
    server = site.a_running_server()
    site.stop()  # nobody cleans
    with lab["a"].opened() as a, lab["b"].opened() as b:
        xml = a.lookupByUUIDString(server).XMLDesc()
        b.defineXML(xml).create()
        lonely = "11111111-2222-4333-8444-555555555555"
        b.defineXML(xml.replace(server, lonely).replace("<name>", "<name>x"))

        done = site.verify()

        assert done.returncode == 1
        assert f"BROKEN two-copies: instance {server}: It runs on hosts a and b; a may run it." in done.stdout
        assert f"destroy {server}" in done.stdout
        assert f"BROKEN stray-copy: instance {server}: Host b runs it" in done.stdout
        assert f"BROKEN unowned-guest: instance {lonely}" in done.stdout
        assert b.lookupByUUIDString(server).isActive()


def test_an_active_server_that_does_not_run_is_found(site, lab):
    server = site.a_running_server()
    site.stop()
    with lab["a"].opened() as conn:
        conn.lookupByUUIDString(server).destroy()
    assert site.verify().returncode == 0  # nobody is up, so that nobody is slow to notice
    in_a_minute, since_an_hour = (
        f"strftime('%Y-%m-%d %H:%M:%f', 'now', '{shift}')" for shift in ("60 seconds", "-1 hour")
    )
    with closing(sqlite3.connect(site.state_dir / "evacuator.sqlite")) as connection, connection:
        connection.execute(f"UPDATE services SET last_seen = {in_a_minute}, up_since = {since_an_hour}")

    done = site.verify()

    assert done.returncode == 1, done.stderr
    assert f"BROKEN active-not-running: instance {server}: It is ACTIVE, but host a, which is up" in done.stdout

"""Evacuations between real hosts, over HTTP. The guests count their boots on their own disks."""

import time

import pytest

from tests.acceptance.site import until
from tests.libvirt.real_site import DOWN_TIME, Heartbeats, RealSite, listening, only_defined


@pytest.fixture
def make_site(lab, tmp_path):
    made = []

    def make(**options):
        site = RealSite(tmp_path / f"site{len(made)}", lab, **options)
        made.append(site)
        site.start()
        return site

    yield make
    verified = [site.verify() for site in made]
    for site in made:
        site.kill()
    for each in verified:
        assert each.returncode == 0, each.stdout + each.stderr


@pytest.fixture
def site(make_site):
    return make_site()


class TestPowerFailure:
    def servers(self, site):
        """Return three servers on a: ACTIVE, SHUTOFF and ERROR, each booted once."""
        active, stopped, broken = servers = site.running_servers(3)
        assert site.ask(stopped, "os-stop")["status"] == "SHUTOFF"
        assert site.action(broken, {"os-resetState": {"state": "error"}}).status == 202
        assert [site.status(server) for server in (active, stopped, broken)] == ["ACTIVE", "SHUTOFF", "ERROR"]
        return servers

    def test_at_2_95_nothing_ever_runs_until_it_is_started(self, site, lab):
        servers = self.servers(site)
        lab["a"].power_off()
        site.lose("a")

        with listening(lab["b"], lab["c"]) as heard:
            site.evacuate(*servers, version="2.95")
            assert site.ended(*servers) == ["done"] * 3

            for server in servers:
                assert site.status(server) == "SHUTOFF"
                assert site.domain(site.host_of(server), server) == "off"
                # The three witnesses: its disk, libvirt's events, QEMU's log.
                assert site.boots(server) == 1
                assert only_defined(heard, server)
                assert not lab[site.host_of(server)].qemu_log(site.name_of(server)).exists()
        assert lab["b"].guest_pids() == lab["c"].guest_pids() == []

        # And each of them can say otherwise.
        with listening(lab["b"], lab["c"]) as heard:
            for server in servers:
                assert site.ask(server, "os-start")["status"] == "ACTIVE"
                until(lambda server=server: site.boots(server) == 2, 20, "the boot")
                assert not only_defined(heard, server)
                assert lab[site.host_of(server)].qemu_log(site.name_of(server)).exists()
                assert site.has_beaten(server)

    def test_at_2_94_each_gets_the_state_it_had(self, site, lab):
        active, stopped, broken = servers = self.servers(site)
        lab["a"].power_off()
        site.lose("a")

        with listening(lab["b"], lab["c"]) as heard:
            site.evacuate(*servers, version="2.94")
            assert site.ended(*servers) == ["done"] * 3

            assert [site.status(server) for server in servers] == ["ACTIVE", "SHUTOFF", "ACTIVE"]
            assert only_defined(heard, stopped)
            assert not lab[site.host_of(stopped)].qemu_log(site.name_of(stopped)).exists()
        for server in (active, broken):
            until(lambda server=server: site.boots(server) == 2, 20, "the boot")
            assert site.has_beaten(server)
        assert site.boots(stopped) == 1


class TestReturn:
    def test_a_host_cleans_itself_before_it_is_up_again(self, site, lab):
        running, stopped = servers = site.running_servers(2)
        lab["a"].power_off()
        site.lose("a")
        site.evacuate(running, version="2.94", host="b")
        site.evacuate(stopped, version="2.95", host="b")
        assert site.ended(*servers) == ["done"] * 2

        lab["a"].power_on()
        site.find("a")

        assert [site.domain("a", server) for server in servers] == [None, None]
        assert [site.domain("b", server) for server in servers] == ["running", "off"]
        assert (site.boots(running), site.boots(stopped)) == (2, 1)
        assert site.has_beaten(running)
        until(lambda: {site.migrations(server)[0]["status"] for server in servers} == {"completed"}, 20, "completion")

    def test_autostart_set_behind_our_back_disturbs_no_running_guest(self, site, lab):
        running, stopped = servers = site.running_servers(2)
        lab["a"].power_off()
        # Where nobody is there to take it away again.
        for server in servers:
            lab["a"].set_autostart(site.name_of(server))
        site.lose("a")
        site.evacuate(running, version="2.94", host="b")
        site.evacuate(stopped, version="2.95", host="b")
        assert site.ended(*servers) == ["done"] * 2

        lab["a"].power_on()
        site.find("a")

        # QEMU's lock kept a from starting the one that runs on b. The other one a may have started for a moment, by
        # itself, before anybody could ask it not to: that is why autostart is taken away whenever it is seen.
        assert [site.domain("a", server) for server in servers] == [None, None]
        assert [site.domain("b", server) for server in servers] == ["running", "off"]
        assert site.boots(running) == 2
        assert site.has_beaten(running)
        before = site.boots(stopped)
        assert site.ask(stopped, "os-start")["status"] == "ACTIVE"
        until(lambda: site.boots(stopped) == before + 1, 20, "the boot")

    def test_autostart_that_was_set_in_time_is_gone_when_the_host_returns(self, site, lab):
        server = site.a_running_server()
        with lab["a"].opened() as conn:
            domain = conn.lookupByUUIDString(server)
            domain.setAutostart(1)
            until(lambda: not domain.autostart(), 10, "autostart to be taken away")
        lab["a"].power_off()
        site.lose("a")
        site.evacuate(server, version="2.95", host="b")
        assert site.ended(server) == ["done"]

        lab["a"].power_on()
        site.find("a")

        assert site.boots(server) == 1


class TestZombies:
    """The source fell silent, but its guests go on: nobody fenced it."""

    @pytest.fixture(params=["dead daemon", "frozen host"])
    def zombie(self, request, site, lab):
        server = site.a_running_server()
        if request.param == "dead daemon":
            lab["a"].kill_daemon()
        else:
            lab["a"].freeze()
        site.lose("a")
        return server

    def test_at_2_94_it_fails_with_the_locks_reason_and_can_be_retried_after_fencing(self, site, lab, zombie):
        site.evacuate(zombie, version="2.94", host="b")
        assert site.ended(zombie) == ["failed"]

        shown = site.show(zombie)
        assert (shown["status"], shown["OS-EXT-SRV-ATTR:host"]) == ("ERROR", "a")
        assert "disk still in use on another host: fence it first" in shown["fault"]["message"]
        assert "lock" in shown["fault"]["message"]
        assert site.boots(zombie) == 1
        assert lab.copies(zombie) == ["a"]

        lab["a"].power_off()
        site.evacuate(zombie, version="2.94", host="b")
        assert site.ended(zombie) == ["done"]

        assert site.status(zombie) == "ACTIVE"
        until(lambda: site.boots(zombie) == 2, 20, "the boot")
        assert site.has_beaten(zombie)

    def test_at_2_95_it_is_off_and_cannot_be_started_before_the_source_is_fenced(self, site, lab, zombie):
        site.evacuate(zombie, version="2.95", host="b")
        assert site.ended(zombie) == ["done"]
        assert site.status(zombie) == "SHUTOFF"

        assert site.ask(zombie, "os-start")["status"] == "SHUTOFF"
        ((result, details),) = site.event_results(zombie).values()
        assert (result, site.boots(zombie)) == ("Error", 1)
        assert "fence it first" in details

        lab["a"].power_off()
        assert site.ask(zombie, "os-start")["status"] == "ACTIVE"
        until(lambda: site.boots(zombie) == 2, 20, "the boot")

    def test_where_storage_has_no_locks_two_copies_run_and_are_seen(self, make_site, lab):
        """The proof that the tests beside this one can fail, and why locks do not replace fencing."""
        site = make_site(template=lab.lockless_template)
        server = site.a_running_server()
        lab["a"].kill_daemon()
        site.lose("a")

        site.evacuate(server, version="2.94", host="b")
        assert site.ended(server) == ["done"]

        assert lab.copies(server) == ["a", "b"]
        lab["a"].start_daemon()
        site.find("a")
        assert lab.copies(server) == ["b"]

    def test_a_source_that_comes_back_kills_its_zombie_before_it_is_up(self, request, site, lab, zombie):
        site.evacuate(zombie, version="2.95", host="b")
        assert site.ended(zombie) == ["done"]
        assert len(lab["a"].guest_pids()) == 1

        if request.node.callspec.params["zombie"] == "dead daemon":
            lab["a"].start_daemon()
        else:
            lab["a"].thaw()
        site.find("a")

        assert lab["a"].guest_pids() == []
        assert site.ask(zombie, "os-start")["status"] == "ACTIVE"
        until(lambda: site.boots(zombie) == 2, 20, "the boot")


class TestDestinationsThatFail:
    """Whatever happens to the destination's daemon, every evacuation ends, and there is one guest of each instance."""

    @pytest.mark.parametrize("version", ["2.94", "2.95"])
    @pytest.mark.parametrize("trouble", ["killed", "hung", "restarted"])
    def test_in_the_middle(self, site, lab, trouble, version):
        servers = site.running_servers(6)
        lab["a"].power_off()
        site.lose("a")

        site.evacuate(*servers, version=version)
        if trouble == "hung":
            lab["b"].freeze_daemon()
        else:
            lab["b"].kill_daemon()
        if trouble == "restarted":
            lab["b"].start_daemon()
        ends = dict(zip(servers, site.ended(*servers, seconds=90), strict=True))
        if trouble == "hung":
            lab["b"].thaw_daemon()
        elif trouble == "killed":
            lab["b"].start_daemon()
        site.find("b")

        expected = {"2.94": "running", "2.95": "off"}[version]
        for server, end in ends.items():
            shown = site.show(server)
            here = shown["OS-EXT-SRV-ATTR:host"]
            there = {"b": "c", "c": "b", "a": "b"}[here]
            until(lambda server=server, there=there: site.domain(there, server) is None, 20, "no second guest")
            if end == "done":
                assert site.domain(here, server) == expected
            else:
                # Only a start of which nobody knows whether it happened fails, and names the host to look at.
                assert (version, end, shown["status"]) == ("2.94", "failed", "ERROR")
                said = shown["fault"]["message"]
                assert f"{here}, or fence that host" in said or f"fence that host ({here})" in said
            if version == "2.95":
                assert (end, site.boots(server)) == ("done", 1)
            else:
                assert site.boots(server) <= 2


class TestHungHosts:
    def test_a_host_whose_daemon_hangs_goes_down_and_nobody_else_and_the_process_ends_when_told(self, site, lab):
        site.a_running_server("b")
        heartbeats = Heartbeats(site, {"b", "c"})
        lab["a"].freeze_daemon()

        site.lose("a")
        time.sleep(DOWN_TIME)
        heartbeats.stop()

        assert heartbeats.downs == []
        assert heartbeats.oldest < DOWN_TIME / 2
        begun = time.monotonic()
        assert site.stop() == 0
        assert time.monotonic() - begun < 15
        lab["a"].thaw_daemon()

    def test_a_host_that_is_off_when_the_process_starts_keeps_nobody_waiting(self, site, lab):
        server = site.a_running_server("b")
        assert site.stop() == 0
        lab["a"].power_off()

        site.start()

        assert site.status(server) == "ACTIVE"
        assert "Host a is not up: its hypervisor does not answer" in site._log.read_text()
        lab["a"].power_on()
        site.find("a")


class TestBehindOurBack:
    def test_a_guest_that_was_stopped_or_started_by_somebody_else_shows_it(self, site, lab):
        server = site.a_running_server()
        with lab["a"].opened() as conn:
            conn.lookupByUUIDString(server).destroy()
            until(lambda: site.status(server) == "SHUTOFF", 10, "the API to know that it stopped")
            conn.lookupByUUIDString(server).create()
            until(lambda: site.status(server) == "ACTIVE", 10, "the API to know that it runs")

import itertools
import json
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import replace

import pytest
from oslo_config import cfg

from evacuator import errors
from evacuator.conf import simulated as options
from evacuator.evacuation.states import PowerState
from evacuator.keys.manager import Key
from evacuator.virt.driver import DiskSource, Driver, Guest
from evacuator.virt.simulated import (
    OPERATIONS,
    Event,
    Fault,
    FaultKind,
    JournalEntry,
    Machine,
    Mains,
    SimulatedDriver,
    SimulatedSettings,
    known_hosts,
    parse_faults,
    read_journal,
    read_journals,
)
from tests.unit.virt.contract import DriverContract, a_guest


@pytest.fixture
def root(tmp_path):
    return tmp_path / "hypervisors"


@pytest.fixture
def make(root):
    """Make a driver for a host; its clock shows 1.0, then 2.0 and so on; its sleep only takes notes."""
    ticks = itertools.count(1.0)

    def driver(host="a", sleep=lambda _seconds: None, **settings):
        if "faults" in settings:
            settings["faults"] = parse_faults(settings["faults"])
        return SimulatedDriver(host, root, SimulatedSettings(**settings), lambda: next(ticks), sleep)

    return driver


@pytest.fixture
def driver(make):
    return make()


@pytest.fixture
def guest():
    return a_guest()


def events(root, host="a"):
    return [str(entry.event) for entry in read_journal(root, host)]


class TestSimulatedDriver(DriverContract):
    @pytest.fixture(autouse=True)
    def _here(self, root):
        self.root = root

    def make_driver(self, host: str) -> Driver:
        return SimulatedDriver(host, self.root, SimulatedSettings(), time.time, time.sleep)

    def encrypted_guest(self, driver: Driver) -> tuple[Guest, Key]:
        key = Key(str(uuid.uuid4()), b"correct horse")
        guest = replace(a_guest("vault"), key_ids=(key.id,))
        driver.define(guest, DiskSource.NEW, "c")
        driver.destroy(guest.uuid, "c", disks=False)
        return guest, key


class TestKeys:
    @pytest.fixture
    def vault(self, driver):
        key = Key(str(uuid.uuid4()), b"correct horse")
        guest = replace(a_guest("vault"), key_ids=(key.id,))
        driver.define(guest, DiskSource.NEW, "c")
        return guest, key

    def left_behind(self, root, key):
        (root / "a" / "keys").mkdir(exist_ok=True)
        (root / "a" / "keys" / key.id).touch()

    def test_a_key_that_a_start_left_behind_opens_the_disk_to_anybody_until_it_is_taken_back(self, driver, root, vault):
        guest, key = vault
        self.left_behind(root, key)
        driver.power_on(guest.uuid, "somebody")
        driver.power_off(guest.uuid, "c")

        driver.take_keys_back()

        with pytest.raises(errors.DriverError, match="is encrypted"):
            driver.power_on(guest.uuid, "somebody")

    def test_a_host_whose_mains_were_cut_has_no_key(self, driver, root, vault):
        guest, key = vault
        self.left_behind(root, key)

        Mains(root, "a").switch_off()
        Mains(root, "a").switch_on()

        with pytest.raises(errors.DriverError, match="is encrypted"):
            driver.power_on(guest.uuid, "somebody")

    @pytest.mark.parametrize("kind", ["refuse", "lost"])
    def test_a_start_that_fails_leaves_no_key(self, make, root, vault, kind):
        guest, key = vault

        with pytest.raises(errors.EvacuatorError):
            make(faults=[f"power_on={kind}"]).power_on(guest.uuid, "c", [key])

        assert list((root / "a").glob("keys/*")) == []

    def test_no_file_has_the_key(self, driver, root, vault):
        guest, key = vault
        driver.power_on(guest.uuid, "c", [key])

        files = [path for path in root.parent.rglob("*") if path.is_file()]

        assert len(files) > 2
        assert not any(key.passphrase in path.read_bytes() for path in files)


class TestFacts:
    def test_a_host_has_what_the_settings_say(self, make):
        facts = make("c", vcpus=4, memory_mb=1024, local_gb=7).facts()

        assert (facts.vcpus, facts.memory_mb, facts.local_gb) == (4, 1024, 7)
        assert (facts.hypervisor_hostname, facts.hypervisor_type, facts.host_ip) == ("c", "QEMU", "127.0.0.1")

    def test_hosts_on_shared_storage_publish_one_id_and_others_their_own(self, make):
        assert make("a").facts().storage_id == make("b").facts().storage_id == "simulated-shared"
        assert make("a", shared_storage=False).facts().storage_id == "simulated-a"

    @pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", ".hidden", "a b"])
    def test_a_host_is_not_named_like_a_path(self, make, name):
        with pytest.raises(errors.NotConfigured, match="cannot be called"):
            make(name)


class TestJournal:
    def test_each_effect_is_one_line_of_json_with_its_cause(self, driver, root, guest):
        driver.define(guest, DiskSource.NEW, "req-1")
        driver.power_on(guest.uuid, "req-1")
        driver.power_off(guest.uuid, "req-2")
        driver.destroy(guest.uuid, "migration 7 attempt 2", disks=True)

        text = (root / "a" / "journal.jsonl").read_text()
        assert text.endswith("\n")
        lines = [json.loads(line) for line in text.splitlines()]
        whose = {"host": "a", "instance": guest.uuid}
        assert [{**line, "at": None} for line in lines] == [
            {"at": None, **whose, "event": "defined", "cause": "req-1"},
            {"at": None, **whose, "event": "powered_on", "cause": "req-1"},
            {"at": None, **whose, "event": "powered_off", "cause": "req-2"},
            {"at": None, **whose, "event": "destroyed", "cause": "migration 7 attempt 2"},
        ]
        assert sorted(line["at"] for line in lines) == [line["at"] for line in lines]
        assert list(lines[0]) == ["at", "host", "instance", "event", "cause"]

    def test_calls_without_an_effect_leave_no_line(self, driver, root, guest):
        driver.define(guest, DiskSource.NEW, "once")
        driver.power_off(guest.uuid, "not running")
        driver.power_on(guest.uuid, "once")
        driver.define(guest, DiskSource.EXISTING, "again")
        driver.power_on(guest.uuid, "again")
        driver.power_off(str(uuid.uuid4()), "unknown")
        driver.destroy(str(uuid.uuid4()), "unknown", disks=True)

        assert [(entry.event, entry.cause) for entry in read_journal(root, "a")] == [
            (Event.DEFINED, "once"),
            (Event.POWERED_ON, "once"),
        ]

    def test_a_guest_defined_differently_is_journalled_again_and_goes_on_running(self, driver, root, guest):
        driver.define(guest, DiskSource.NEW, "small")
        driver.power_on(guest.uuid, "small")
        driver.define(replace(guest, vcpus=2), DiskSource.EXISTING, "large")

        assert events(root) == ["defined", "powered_on", "defined"]
        assert driver.find(guest.uuid).running

    def test_destroying_a_running_guest_says_that_it_stopped(self, driver, root, guest):
        driver.define(guest, DiskSource.NEW, "c")
        driver.power_on(guest.uuid, "c")
        driver.destroy(guest.uuid, "c", disks=False)

        assert events(root) == ["defined", "powered_on", "powered_off", "destroyed"]

    def test_a_reboot_is_a_stop_and_a_start(self, driver, root, guest):
        driver.define(guest, DiskSource.NEW, "c")
        driver.power_on(guest.uuid, "c")
        driver.reboot(guest.uuid, "c")

        assert events(root) == ["defined", "powered_on", "powered_off", "powered_on"]

    def test_a_last_line_without_its_end_is_left_out_and_cut_by_the_next_writer(self, driver, root, guest):
        driver.define(guest, DiskSource.NEW, "c")
        journal = root / "a" / "journal.jsonl"
        with journal.open("a") as file:
            file.write('{"at": 5.0, "host": "a", "inst')

        assert events(root) == ["defined"]
        driver.power_on(guest.uuid, "c")
        assert events(root) == ["defined", "powered_on"]

    def test_a_journal_that_is_one_torn_line_is_empty(self, driver, root, guest):
        (root / "a" / "journal.jsonl").write_text('{"at"')

        assert events(root) == []
        driver.define(guest, DiskSource.NEW, "c")
        assert events(root) == ["defined"]

    @pytest.mark.parametrize("line", ["nonsense", "[]", "{}", '{"at": 1, "host": "a", "instance": "x", "event": "?"}'])
    def test_a_whole_line_that_is_not_of_a_journal_is_an_error_that_names_it(self, driver, root, guest, line):
        driver.define(guest, DiskSource.NEW, "c")
        journal = root / "a" / "journal.jsonl"
        journal.write_text(journal.read_text() + line + "\n")

        with pytest.raises(errors.DriverError, match=r"Line 2 of .*journal\.jsonl"):
            read_journal(root, "a")

    def test_a_host_without_effects_has_an_empty_journal(self, driver, root):
        assert read_journal(root, "a") == []

    def test_the_journal_of_an_unknown_host_is_an_error_that_names_the_known_ones(self, make, root):
        make("a")
        make("b")

        with pytest.raises(errors.NotFound, match=r"no simulated host 'x' .*: a, b"):
            read_journal(root, "x")

    def test_the_journals_of_all_hosts_are_read_by_time(self, make, root, guest):
        make("b").define(guest, DiskSource.NEW, "first")
        make("a").define(guest, DiskSource.NEW, "second")
        make("b").power_on(guest.uuid, "third")

        assert [(entry.host, entry.cause) for entry in read_journals(root)] == [
            ("b", "first"),
            ("a", "second"),
            ("b", "third"),
        ]

    def test_no_hosts_have_no_journals(self, root):
        assert read_journals(root) == []
        assert known_hosts(root) == []


class TestCrash:
    """The process dies between two writes: here the second write fails, which leaves the same files."""

    @pytest.fixture
    def running(self, driver, guest):
        driver.define(guest, DiskSource.NEW, "c")
        driver.power_on(guest.uuid, "c")
        return guest

    def block(self, path):
        path.mkdir()
        return path

    def test_within_a_power_on_the_journal_names_it_before_the_guest_runs(self, driver, make, root, guest):
        driver.define(guest, DiskSource.NEW, "c")
        blocked = self.block(root / "a" / "guests" / f"{guest.uuid}.new")

        with pytest.raises(errors.HypervisorUnknown):
            driver.power_on(guest.uuid, "c")
        assert events(root) == ["defined", "powered_on"]
        assert not driver.find(guest.uuid).running

        blocked.rmdir()
        make().power_on(guest.uuid, "again")
        assert driver.find(guest.uuid).running

    def test_within_a_power_off_the_journal_names_it_only_once_the_guest_stopped(self, driver, root, running):
        blocked = self.block(root / "a" / "guests" / f"{running.uuid}.new")

        with pytest.raises(errors.HypervisorUnknown):
            driver.power_off(running.uuid, "c")
        assert events(root) == ["defined", "powered_on"]
        blocked.rmdir()
        assert driver.find(running.uuid).running

    def test_within_a_power_off_the_line_that_is_owed_is_written_by_the_next_who_looks(
        self, driver, make, root, running
    ):
        journal = root / "a" / "journal.jsonl"
        journal.rename(root / "kept")
        self.block(journal)
        with pytest.raises(errors.HypervisorUnknown):
            driver.power_off(running.uuid, "req-stop")
        journal.rmdir()
        (root / "kept").rename(journal)
        assert events(root) == ["defined", "powered_on"]

        assert make().find(running.uuid).power_state is PowerState.SHUTDOWN
        assert make().find(running.uuid).power_state is PowerState.SHUTDOWN

        assert events(root) == ["defined", "powered_on", "powered_off"]
        assert read_journal(root, "a")[-1].cause == "req-stop"

    def test_within_a_define_the_repeated_call_finishes_it(self, driver, make, root, guest):
        blocked = self.block(root / "a" / "guests" / f"{guest.uuid}.new")
        with pytest.raises(errors.HypervisorUnknown):
            driver.define(guest, DiskSource.NEW, "c")
        blocked.rmdir()
        assert driver.find(guest.uuid) is None

        make().define(guest, DiskSource.NEW, "c")

        assert driver.find(guest.uuid) is not None
        assert events(root) == ["defined", "defined"]

    def test_within_a_destroy_the_repeated_call_deletes_the_disk(self, driver, root, running, tmp_path):
        disk = tmp_path / "disks" / running.uuid
        disk.rename(tmp_path / "kept")
        self.block(disk)
        with pytest.raises(errors.HypervisorUnknown):
            driver.destroy(running.uuid, "c", disks=True)
        disk.rmdir()
        (tmp_path / "kept").rename(disk)

        assert driver.find(running.uuid).power_state is PowerState.SHUTDOWN
        driver.destroy(running.uuid, "c", disks=True)

        assert not disk.exists()
        assert driver.find(running.uuid) is None
        assert events(root)[-3:] == ["powered_off", "destroyed", "destroyed"]


class TestMains:
    @pytest.fixture
    def running(self, driver, guest):
        driver.define(guest, DiskSource.NEW, "c")
        driver.power_on(guest.uuid, "c")
        return guest

    def test_with_the_mains_off_every_call_says_so(self, driver, root, running):
        Mains(root, "a").switch_off()

        calls = [
            driver.facts,
            driver.inventory,
            lambda: driver.find(running.uuid),
            lambda: driver.define(running, DiskSource.EXISTING, "c"),
            lambda: driver.power_on(running.uuid, "c"),
            lambda: driver.power_off(running.uuid, "c"),
            lambda: driver.reboot_softly(running.uuid, "c"),
            lambda: driver.reboot(running.uuid, "c"),
            lambda: driver.destroy(running.uuid, "c", disks=True),
            lambda: driver.set_aside(running.uuid, "c"),
            driver.take_keys_back,
        ]
        assert len(calls) == len(OPERATIONS)
        for call in calls:
            with pytest.raises(errors.HypervisorUnknown, match="is switched off"):
                call()

    def test_cutting_the_mains_kills_what_runs_and_journals_it(self, driver, root, running):
        stopped = a_guest("stopped")
        driver.define(stopped, DiskSource.NEW, "c")

        assert Mains(root, "a").switch_off(lambda: 99.0) == [running.uuid]

        assert read_journal(root, "a")[-1] == JournalEntry(99.0, "a", running.uuid, Event.POWERED_OFF, "mains off")
        assert events(root).count("powered_off") == 1

    def test_when_the_mains_return_guests_are_there_and_stay_off(self, driver, root, running):
        mains = Mains(root, "a")
        mains.switch_off()
        assert not mains.on

        assert mains.switch_on()

        assert mains.on
        assert driver.find(running.uuid).power_state is PowerState.SHUTDOWN
        driver.power_on(running.uuid, "req-start")
        assert driver.find(running.uuid).running

    def test_switching_twice_changes_nothing(self, driver, root, running):
        mains = Mains(root, "a")
        assert not mains.switch_on()
        assert mains.switch_off() == [running.uuid]
        assert mains.switch_off() == []
        assert mains.switch_on()
        assert not mains.switch_on()
        assert events(root).count("powered_off") == 1

    def test_a_switch_off_that_was_interrupted_is_finished_before_the_mains_return(self, driver, root, running):
        (root / "a" / "mains").write_text("off")

        Mains(root, "a").switch_on()

        assert driver.find(running.uuid).power_state is PowerState.SHUTDOWN
        assert read_journal(root, "a")[-1].cause == "mains off"

    def test_other_hosts_keep_their_mains(self, driver, make, root):
        make("b")
        Mains(root, "b").switch_off()

        assert driver.facts()

    def test_mains_cut_from_another_process_are_felt_here(self, driver, root, running, tmp_path):
        command = (
            "from pathlib import Path; from evacuator.virt.simulated import Mains;"
            f"Mains(Path({str(root)!r}), 'a').switch_off()"
        )
        subprocess.run([sys.executable, "-c", command], check=True)

        with pytest.raises(errors.HypervisorUnknown):
            driver.facts()
        assert events(root)[-1] == "powered_off"

    def test_mains_cut_during_an_operation_stop_it(self, make, root, guest):
        slow = make(define_seconds=30.0, sleep=lambda _seconds: Mains(root, "a").switch_off())

        with pytest.raises(errors.HypervisorUnknown):
            slow.define(guest, DiskSource.NEW, "c")

        Mains(root, "a").switch_on()
        assert slow.find(guest.uuid) is None
        assert events(root) == []

    @pytest.mark.parametrize("host", ["x", "..", "", "a/guests"])
    def test_an_unknown_host_has_no_switch(self, driver, root, host):
        with pytest.raises(errors.NotFound, match="known are: a"):
            Mains(root, host)

    def test_without_any_host_the_error_says_what_makes_them(self, root):
        with pytest.raises(errors.NotFound, match="all-in-one"):
            Mains(root, "a")


class TestDelays:
    def test_each_operation_takes_its_time(self, make, guest):
        slept = []
        slow = make(sleep=slept.append, define_seconds=1.0, power_on_seconds=2.0, power_off_seconds=4.0)

        slow.define(guest, DiskSource.NEW, "c")
        slow.power_on(guest.uuid, "c")
        slow.power_off(guest.uuid, "c")
        slow.reboot(guest.uuid, "c")
        slow.facts()

        assert slept == [1.0, 2.0, 4.0, 6.0]

    def test_others_use_the_host_during_a_delay(self, make, guest):
        seen = []
        quick = make()
        slow = make(define_seconds=30.0, sleep=lambda _seconds: seen.append(list(quick.inventory())))

        slow.define(guest, DiskSource.NEW, "c")

        assert seen == [[]]
        assert quick.find(guest.uuid) is not None


class TestFaults:
    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("power_on", Fault("power_on")),
            ("define@b:2", Fault("define", host="b", count=2)),
            ("power_on@c=timeout", Fault("power_on", host="c", kind=FaultKind.TIMEOUT)),
            ("destroy:1=lost", Fault("destroy", count=1, kind=FaultKind.LOST)),
            (" facts@node-1.example.org:10=refuse ", Fault("facts", host="node-1.example.org", count=10)),
        ],
    )
    def test_a_fault_is_read_from_a_string(self, text, fault):
        assert Fault.parse(text) == fault

    @pytest.mark.parametrize(
        "text", ["", "explode", "define@", "define:0", "define:x", "define=", "define=explode", "define@b@c", "=refuse"]
    )
    def test_a_string_that_is_no_fault_is_refused_with_the_form_of_one(self, text):
        with pytest.raises(errors.NotConfigured, match=r"OPERATION\[@HOST\]\[:COUNT\]\[=KIND\].*define.*timeout"):
            Fault.parse(text)

    @pytest.mark.parametrize(
        ("kind", "error"),
        [
            ("refuse", errors.DriverError),
            ("timeout", errors.HypervisorUnknown),
            ("missing", errors.DiskMissing),
            ("locked", errors.DiskInUse),
            ("full", errors.DriverError),
        ],
    )
    def test_a_fault_hits_before_the_effect(self, make, root, guest, kind, error):
        driver = make(faults=[f"power_on={kind}"])
        driver.define(guest, DiskSource.NEW, "c")

        with pytest.raises(error):
            driver.power_on(guest.uuid, "c")
        assert events(root) == ["defined"]

    @pytest.mark.parametrize("repeated", [False, True])
    def test_an_answer_that_is_lost_comes_after_the_effect(self, make, root, guest, repeated):
        if repeated:
            make().define(guest, DiskSource.NEW, "c")
        driver = make(faults=["define=lost"])

        with pytest.raises(errors.HypervisorUnknown):
            driver.define(guest, DiskSource.NEW, "c")
        assert driver.find(guest.uuid) is not None

    def test_a_counted_fault_wears_off(self, make, guest):
        driver = make(faults=["define:2"])

        for _ in range(2):
            with pytest.raises(errors.DriverError):
                driver.define(guest, DiskSource.NEW, "c")
        driver.define(guest, DiskSource.NEW, "c")

    def test_a_fault_of_one_host_leaves_the_others_alone(self, make, guest):
        make("a", faults=["define@b"]).define(guest, DiskSource.NEW, "c")
        with pytest.raises(errors.DriverError):
            make("b", faults=["define@b"]).define(guest, DiskSource.NEW, "c")

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_every_operation_can_go_wrong(self, make, guest, operation):
        driver = make(faults=[f"{operation}=timeout"])
        arguments = {
            "facts": {},
            "inventory": {},
            "find": {"uuid": guest.uuid},
            "define": {"guest": guest, "disk": DiskSource.NEW, "cause": "c"},
            "destroy": {"uuid": guest.uuid, "cause": "c", "disks": True},
            "take_keys_back": {},
        }.get(operation, {"uuid": guest.uuid, "cause": "c"})

        with pytest.raises(errors.HypervisorUnknown):
            getattr(driver, operation)(**arguments)


class TestDisks:
    def test_shared_disks_are_found_from_every_host(self, make, guest):
        make("a").define(guest, DiskSource.NEW, "c")

        make("b").define(guest, DiskSource.EXISTING, "migration 1 attempt 1")

        assert make("b").find(guest.uuid) is not None

    def test_private_disks_are_found_only_on_their_own_host(self, make, guest):
        make("a", shared_storage=False).define(guest, DiskSource.NEW, "c")

        with pytest.raises(errors.DiskMissing, match="not on host b"):
            make("b", shared_storage=False).define(guest, DiskSource.EXISTING, "migration 1 attempt 1")

    def test_a_disk_that_is_there_is_kept_when_a_new_one_is_asked_for(self, make, guest, tmp_path):
        make("a").define(guest, DiskSource.NEW, "first")
        disk = tmp_path / "disks" / guest.uuid
        before = disk.read_text()

        make("b").define(guest, DiskSource.NEW, "second")

        assert disk.read_text() == before
        assert "first" in before
        assert [path.name for path in disk.parent.iterdir()] == [guest.uuid]

    def test_a_guest_whose_disk_was_deleted_does_not_start(self, driver, root, guest, tmp_path):
        driver.define(guest, DiskSource.NEW, "c")
        (tmp_path / "disks" / guest.uuid).unlink()

        with pytest.raises(errors.DiskMissing):
            driver.power_on(guest.uuid, "c")
        assert events(root) == ["defined"]

    def test_two_copies_on_one_disk_can_run_so_that_a_check_can_see_them(self, make, root, guest):
        for host in ("a", "b"):
            make(host).define(guest, DiskSource.NEW, "c")
            make(host).power_on(guest.uuid, "c")

        assert make("a").find(guest.uuid).running
        assert make("b").find(guest.uuid).running


class TestFiles:
    def test_a_guest_without_our_mark_is_shown_as_such(self, driver, root, guest):
        driver.define(guest, DiskSource.NEW, "c")
        path = root / "a" / "guests" / f"{guest.uuid}.json"
        fields = json.loads(path.read_text())
        assert fields["power_state"] == "shutdown"
        path.write_text(json.dumps({**fields, "marked": False, "power_state": "paused"}))

        (known,) = driver.inventory()

        assert not known.marked
        assert known.running

    @pytest.mark.parametrize("text", ["", "{}", "[]", "nonsense", '{"power_state": "asleep"}', '{"power_state": 1}'])
    def test_a_file_that_is_no_guest_makes_the_inventory_unknown(self, driver, root, text):
        (root / "a" / "guests" / "other.json").write_text(text)

        with pytest.raises(errors.HypervisorUnknown, match=r"other\.json"):
            driver.inventory()

    def test_a_host_whose_folder_is_gone_does_not_answer(self, driver, root):
        (root / "a" / "guests").rmdir()
        (root / "a").rmdir()

        with pytest.raises(errors.HypervisorUnknown):
            driver.facts()


WORKER = """
import sys, time
from pathlib import Path
from evacuator.virt.driver import DiskSource, Guest
from evacuator.virt.simulated import SimulatedDriver, SimulatedSettings

root, uuids = Path(sys.argv[1]), sys.argv[2].split(",")
driver = SimulatedDriver("a", root, SimulatedSettings(), time.time, time.sleep)
for uuid in uuids:
    driver.define(Guest(uuid, "n", 1, 64, 1, None, "p"), DiskSource.NEW, "c")
print("go", flush=True)
while True:
    for uuid in uuids:
        driver.power_on(uuid, "c")
        driver.power_off(uuid, "c")
"""


class TestProcesses:
    @pytest.fixture
    def worker(self, root):
        """Start processes that switch guests on and off until they are killed."""
        processes = []

        def start(uuids):
            command = [sys.executable, "-c", WORKER, str(root), ",".join(uuids)]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            processes.append(process)
            assert process.stdout.readline() == "go\n"
            return process

        yield start
        for process in processes:
            process.kill()
            process.wait()
            process.stdout.close()

    def test_two_processes_and_many_threads_leave_whole_lines_that_alternate(self, worker, make, root):
        mine, theirs = [a_guest() for _ in range(4)], [str(uuid.uuid4()) for _ in range(2)]
        process = worker(theirs)
        driver = make()

        def work(guest):
            driver.define(guest, DiskSource.NEW, "c")
            for _ in range(10):
                driver.power_on(guest.uuid, "c")
                driver.power_off(guest.uuid, "c")

        threads = [threading.Thread(target=work, args=(guest,)) for guest in mine]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert process.poll() is None

        entries = read_journal(root, "a")
        for guest in mine:
            of_guest = [str(entry.event) for entry in entries if entry.instance == guest.uuid]
            assert of_guest == ["defined", *["powered_on", "powered_off"] * 10]

    def test_a_process_killed_at_any_moment_leaves_a_journal_that_hides_no_run(self, worker, root, make):
        for _ in range(3):
            uuids = [str(uuid.uuid4()) for _ in range(2)]
            process = worker(uuids)
            time.sleep(0.05)
            process.kill()
            process.wait()

            running = {known.uuid for known in make().inventory() if known.running}

            last = {entry.instance: entry.event for entry in read_journal(root, "a")}
            assert running <= {instance for instance, event in last.items() if event is Event.POWERED_ON}

    def test_a_lock_that_is_not_given_back_in_time_is_an_unknown_hypervisor(self, driver, root):
        with (
            Machine(root, "a").locked(),
            pytest.raises(errors.HypervisorUnknown, match="held"),
            Machine(root, "a", patience=0.01).locked(),
        ):
            pass

    def test_a_thread_that_does_not_give_back_its_turn_in_time_is_an_unknown_hypervisor(self, driver, root):
        machine = Machine(root, "a", patience=0.01)

        with machine.locked(), pytest.raises(errors.HypervisorUnknown, match="held"), machine.locked():
            pass


class TestSettings:
    @pytest.fixture
    def conf(self):
        conf = cfg.ConfigOpts()
        options.register(conf)
        conf([])
        return conf

    def test_the_defaults_of_the_options_are_those_of_the_settings(self, conf):
        assert SimulatedSettings.from_conf(conf) == SimulatedSettings()

    def test_settings_are_read_from_the_options(self, conf):
        conf.set_override("vcpus", 4, group="simulated")
        conf.set_override("shared_storage", False, group="simulated")
        conf.set_override("faults", ["define@b:2", "power_on=timeout"], group="simulated")

        assert SimulatedSettings.from_conf(conf) == SimulatedSettings(
            vcpus=4,
            shared_storage=False,
            faults=(Fault("define", host="b", count=2), Fault("power_on", kind=FaultKind.TIMEOUT)),
        )

    def test_a_wrong_fault_in_the_configuration_is_refused(self, conf):
        conf.set_override("faults", ["explode"], group="simulated")

        with pytest.raises(errors.NotConfigured, match="explode"):
            SimulatedSettings.from_conf(conf)

import json
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from oslo_config import cfg
from sqlalchemy import update

from evacuator.cmd import state_dir, verify
from evacuator.cmd.main import configure, main
from evacuator.db import nodes, schema, services
from evacuator.db.models import ComputeNode
from evacuator.db.session import open_database, utcnow
from evacuator.evacuation.invariants import findings
from evacuator.evacuation.invariants.codes import Code
from evacuator.evacuation.invariants.commands import Simulated
from evacuator.evacuation.invariants.facts import Evidence, FoundGuest
from evacuator.virt.driver import DiskSource
from evacuator.virt.simulated import FOLDER, SimulatedDriver, SimulatedSettings
from tests.unit.db.test_census import a_record, add, an_action, an_instance
from tests.unit.evacuation.a_site import a_healthy_site, with_evidence, with_guest, with_node
from tests.unit.virt.contract import a_guest

FACTS = {
    "vcpus": 8,
    "memory_mb": 4096,
    "local_gb": 80,
    "storage_id": "shared",
    "hypervisor_hostname": "b",
    "hypervisor_type": "QEMU",
}


@pytest.fixture
def run():
    """Run the command as ``main`` does."""

    def command(*arguments):
        return main(["verify", *map(str, arguments)])

    yield command
    cfg.CONF.reset()


@pytest.fixture
def database(tmp_path):
    database = open_database(state_dir.sqlite_url(tmp_path))
    schema.upgrade(database)
    yield database
    database.close()


@pytest.fixture
def site(tmp_path, database):
    """A site of one host and its hypervisor, on which nothing is wrong."""
    SimulatedDriver("b", tmp_path / FOLDER, SimulatedSettings())

    def work(transaction):
        services.register(transaction, "b", "uuid-b", "incarnation", 2)
        nodes.register(transaction, "b", "uuid-b", FACTS)

    database.write(work)
    return tmp_path


def test_a_site_without_fault_is_said_to_hold(run, site, capsys):
    assert run("--state-dir", site) == 0
    assert capsys.readouterr().out == (
        "Looked at 1 compute service, 0 instances, 0 evacuations, 0 claims, 1 hypervisor, 0 guests, 0 journal lines: "
        "every invariant holds.\n"
    )


def test_what_is_broken_is_printed_with_its_code_and_the_next_command(run, site, database, capsys):
    database.write(lambda transaction: transaction.execute(update(ComputeNode).values(claims=7)))

    assert run("--state-dir", site) == 1

    broken, following, summary = capsys.readouterr().out.splitlines()
    assert broken.startswith("BROKEN books-differ: host b: Its totals say 7 claims")
    assert following.startswith("    next: UPDATE compute_nodes SET vcpus_used = 0")
    assert summary.endswith(": 1 broken.")


def test_what_hypervisors_have_is_judged_too(run, site, capsys):
    guest = a_guest()
    SimulatedDriver("b", site / FOLDER, SimulatedSettings()).define(guest, DiskSource.NEW, "req-1")

    assert run("--state-dir", site) == 1
    assert f"BROKEN unowned-guest: instance {guest.uuid}" in capsys.readouterr().out


def test_a_configured_database_is_judged_alone_without_a_state_directory(run, site, tmp_path, capsys):
    file = tmp_path / "evacuator.conf"
    file.write_text(f"[database]\nconnection = {state_dir.sqlite_url(site)}\n")

    assert run("--config-file", file) == 0
    told, summary = capsys.readouterr().out.splitlines()
    assert told.startswith("The hypervisors are not looked at: give --state-dir D")
    assert summary == "Looked at 1 compute service, 0 instances, 0 evacuations, 0 claims: every invariant holds."


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda directory: (directory / "evacuator.sqlite").unlink(), "evacuator all-in-one --state-dir"),
        (lambda directory: (directory / "evacuator.sqlite").write_text("no database" * 999), "does not answer"),
        (
            lambda directory: (directory / FOLDER / "b" / "journal.jsonl").write_text("{}\n"),
            "is not a line of a journal",
        ),
        (lambda directory: (directory / FOLDER).rename(directory / "elsewhere"), "leave out --state-dir"),
    ],
)
def test_not_being_able_to_look_has_a_status_of_its_own(run, tmp_path, capsys, break_it, says):
    database = open_database(state_dir.sqlite_url(tmp_path))
    schema.upgrade(database)
    database.close()
    SimulatedDriver("b", tmp_path / FOLDER, SimulatedSettings())
    break_it(tmp_path)

    assert run("--state-dir", tmp_path) == 2

    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("evacuator: ")
    assert says in printed.err


def test_a_database_of_another_schema_names_the_command_to_run(run, tmp_path, capsys):
    open_database(state_dir.sqlite_url(tmp_path)).read(lambda session: session.connection())

    assert run("--state-dir", tmp_path) == 2
    command = f"evacuator db upgrade --database {tmp_path}"
    assert f"run `{command}`" in capsys.readouterr().err


def test_a_configured_database_of_another_schema_is_upgraded_as_it_is_configured(run, tmp_path, capsys):
    url = state_dir.sqlite_url(tmp_path)
    open_database(url).read(lambda session: session.connection())
    file = tmp_path / "evacuator.conf"
    file.write_text(f"[database]\nconnection = {url}\n")

    assert run("--config-file", file, "--state-dir", tmp_path) == 2
    assert "run `evacuator db upgrade`" in capsys.readouterr().err


def test_a_simulated_host_without_a_folder_is_named(run, site, database, capsys):
    database.write(lambda transaction: services.register(transaction, "c", "uuid-c", "incarnation", 2))

    assert run("--state-dir", site) == 0

    named, _summary = capsys.readouterr().out.splitlines()
    assert named == f"not looked at: host c: it has no folder under {site / FOLDER}"


@pytest.fixture
def driven_by_libvirt(site):
    """Make the configuration of a site whose hosts libvirt drives; run with the bindings, by ``tox -e libvirt``."""
    pytest.importorskip("libvirt")

    def write(more):
        file = site / "evacuator.conf"
        file.write_text(f"[database]\nconnection = {state_dir.sqlite_url(site)}\n[compute]\ndriver = libvirt\n{more}\n")
        return file

    return write


def test_a_libvirt_host_without_a_service_is_looked_at_where_its_section_says(run, driven_by_libvirt, capsys):
    file = driven_by_libvirt(
        "[host:gone]\nconnection_uri = test:///default\n[host:renamed]\nconnection_uri = test:///default"
    )

    assert run("--config-file", file) == 0

    b, renamed, summary = capsys.readouterr().out.splitlines()
    assert b.startswith("not looked at: host b: no connection_uri in a section [host:b] here says where it is")
    # Otherwise each guest there would be two copies.
    assert renamed == "not looked at: host renamed: its connection_uri is that of host gone, test:///default"
    assert "1 hypervisor, 1 guest: every invariant holds." in summary


@pytest.mark.parametrize("section", ["", "graphics_listen = 0.0.0.0"])
def test_this_machine_is_not_looked_at_as_a_host_whose_section_does_not_say_where_it_is(
    run, driven_by_libvirt, capsys, section
):
    file = driven_by_libvirt(f"[libvirt]\nconnection_uri = test:///default\n[host:b]\n{section}")

    assert run("--config-file", file) == 0
    assert "not looked at: host b: no connection_uri in a section [host:b]" in capsys.readouterr().out


def test_this_machine_is_looked_at_as_the_host_that_is_named(run, driven_by_libvirt, capsys):
    file = driven_by_libvirt("[libvirt]\nconnection_uri = test:///default")

    assert run("--config-file", file, "--host", "b") == 0
    assert "1 hypervisor, 1 guest: every invariant holds." in capsys.readouterr().out


def test_a_host_that_nobody_knows_is_refused(run, site, capsys):
    assert run("--state-dir", site, "--host", "bb") == 2
    assert "There is no host bb. Known: b." in capsys.readouterr().err


def test_a_host_that_falls_silent_between_two_looks_is_named_and_its_findings_are_kept(run, site, capsys, monkeypatch):
    silent = Evidence(Simulated("D"), 0.0, unseen={"b": "no answer within 60 seconds"})
    stranger = FoundGuest("b", "stranger", running=True)
    answers = iter([Evidence(Simulated("D"), 0.0, mains={"b": True}, guests=[stranger]), silent, silent])
    monkeypatch.setattr(verify.evidence, "look", lambda *_, **__: next(answers))
    monkeypatch.setattr(verify, "BETWEEN_LOOKS", 0)

    assert run("--state-dir", site) == 1

    printed = capsys.readouterr().out
    assert "BROKEN unowned-guest: instance stranger" in printed
    assert "not looked at: host b: no answer within 60 seconds" in printed


def test_no_database_at_all_says_how_to_name_one(run, capsys):
    assert run() == 2
    assert "--state-dir D" in capsys.readouterr().err


def test_the_bound_of_an_evacuation_is_the_one_that_the_document_states():
    configure(cfg.CONF, [])
    bounds = verify.bounds_of(cfg.CONF)
    cfg.CONF.reset()

    document = (Path(__file__).parents[3] / "docs" / "verify.md").read_text()
    assert bounds.evacuation == 2515
    assert "2515 seconds" in document


def test_notes_alone_break_nothing(run, site, database, capsys):
    began = utcnow() - timedelta(seconds=50)
    seconds = began.replace(tzinfo=UTC).timestamp()
    add(database, an_instance("one", deleted=True), an_action("one", "create", "req-1", start_time=began))
    done = {"final_state": "active", "status": "completed"}
    add(database, a_record("first", "one", created_at=began + timedelta(seconds=10), **done))
    for host, lines in {
        "a": [(1, "powered_on", "req-1"), (30, "powered_off", "cleaning of a")],
        "b": [(20, "powered_on", "migration 1 attempt 2"), (40, "powered_off", "mains off")],
    }.items():
        SimulatedDriver(host, site / FOLDER, SimulatedSettings())
        for after, event, cause in lines:
            line = {"at": seconds + after, "host": host, "instance": "one", "event": event, "cause": cause}
            with (site / FOLDER / host / "journal.jsonl").open("a") as journal:
                journal.write(json.dumps(line) + "\n")

    assert run("--state-dir", site) == 0

    note, following, summary = capsys.readouterr().out.splitlines()
    assert note.startswith("note unfenced-copy-ran: instance one: It ran on hosts a and b at once")
    assert following == f"    next: grep one {site}/hypervisors/*/journal.jsonl"
    assert summary.endswith(": every invariant holds, 1 note.")


# -- looking again


@pytest.fixture
def looks():
    """Look at one site after another, and count how often was slept."""

    class Looks:
        def __init__(self):
            self.slept = 0

        def __call__(self, first, *later):
            sites = iter(later)

            def sleep(_seconds):
                self.slept += 1

            return verify.confirmed(first, lambda: next(sites), sleep)

    return Looks()


def test_a_site_without_fault_is_looked_at_once(looks):
    assert looks(a_healthy_site()) == []
    assert looks.slept == 0


def test_what_is_wrong_at_every_look_is_wrong(looks):
    broken = with_node(a_healthy_site(), "b", claims=1)
    assert looks(broken, broken, broken) == findings(broken)
    assert looks.slept == 2


def test_what_is_right_at_a_later_look_was_only_under_way(looks):
    healthy = a_healthy_site()
    assert looks(with_node(healthy, "b", claims=1), healthy) == []


def test_what_goes_wrong_only_later_is_left_to_the_next_run(looks):
    healthy = a_healthy_site()
    broken = with_node(healthy, "b", claims=1)
    both = with_guest(broken, "b", "stranger", running=False)
    assert looks(broken, both, both) == findings(broken)


def _silent(site, host):
    """Have a host give no answer any more."""
    return with_evidence(site, **vars(site.evidence.without({host})) | {"unseen": {host: "no answer"}})


def test_what_was_found_on_a_host_that_gives_no_more_answer_is_kept(looks):
    twice = with_guest(a_healthy_site(), "b", "settled", running=True)
    silent = _silent(twice, "b")

    found = looks(twice, silent, silent)

    assert {finding.code for finding in found} == {Code.TWO_COPIES, Code.STRAY_COPY}


def test_what_was_found_elsewhere_is_judged_anew_when_a_host_gives_no_more_answer(looks):
    healthy = a_healthy_site()
    both = with_guest(with_node(healthy, "b", claims=1), "c", "stranger", running=True)
    assert looks(both, _silent(healthy, "b")) == []


def test_a_host_that_answers_again_is_judged_by_what_it_has_then(looks):
    healthy = a_healthy_site()
    twice = with_guest(healthy, "b", "settled", running=True)
    assert looks(twice, _silent(twice, "b"), healthy) == []

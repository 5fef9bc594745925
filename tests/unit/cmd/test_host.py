import argparse

import pytest

from evacuator import errors
from evacuator.cmd import host
from evacuator.virt.driver import DiskSource
from evacuator.virt.simulated import SimulatedDriver, SimulatedSettings, read_journal
from tests.unit.virt.contract import a_guest


@pytest.fixture
def run(tmp_path):
    parser = argparse.ArgumentParser()
    host.add_parser(parser.add_subparsers())

    def command(*arguments):
        args = parser.parse_args(["host", *arguments, "--state-dir", str(tmp_path)])
        return args.run(args)

    return command


@pytest.fixture
def driver(tmp_path):
    return SimulatedDriver("b", tmp_path / "hypervisors", SimulatedSettings())


@pytest.fixture
def running(driver):
    guest = a_guest()
    driver.define(guest, DiskSource.NEW, "c")
    driver.power_on(guest.uuid, "c")
    return guest


def test_power_off_says_how_many_guests_died(run, driver, running, tmp_path, capsys):
    assert run("power-off", "b") == 0

    assert capsys.readouterr().out == "Host b is switched off; 1 running guest died with it.\n"
    assert read_journal(tmp_path / "hypervisors", "b")[-1].cause == "mains off"
    with pytest.raises(errors.HypervisorUnknown):
        driver.facts()


def test_power_off_of_a_host_without_guests_works(run, driver, capsys):
    assert run("power-off", "b") == 0
    assert capsys.readouterr().out == "Host b is switched off; 0 running guests died with it.\n"


def test_power_on_leaves_the_guests_off_and_says_so(run, driver, running, capsys):
    run("power-off", "b")
    capsys.readouterr()

    assert run("power-on", "b") == 0

    assert capsys.readouterr().out == "Host b is switched on; its guests stay off until they are started.\n"
    assert not driver.find(running.uuid).running


@pytest.mark.parametrize(("switches", "state"), [(["power-off", "power-off"], "off"), (["power-on"], "on")])
def test_switching_a_second_time_says_that_it_was_so_already(run, driver, capsys, switches, state):
    for switch in switches:
        assert run(switch, "b") == 0

    assert capsys.readouterr().out.endswith(f"Host b was switched {state} already.\n")


@pytest.mark.parametrize("switch", ["power-off", "power-on"])
def test_an_unknown_host_is_an_error_that_names_the_known_ones(run, driver, capsys, switch):
    assert run(switch, "x") == 1

    printed = capsys.readouterr()
    assert printed.out == ""
    assert "no simulated host 'x'" in printed.err
    assert "known are: b" in printed.err


def test_a_state_directory_without_hosts_is_an_error_with_the_next_step(run, capsys):
    assert run("power-off", "b") == 1
    assert "evacuator all-in-one --state-dir" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["host"], ["host", "power-off"], ["host", "power-off", "b"], ["host", "explode"]]
)
def test_a_command_line_that_lacks_something_is_explained(arguments, capsys):
    parser = argparse.ArgumentParser()
    host.add_parser(parser.add_subparsers())

    with pytest.raises(SystemExit) as exit_:
        parser.parse_args(arguments)

    assert exit_.value.code == 2
    assert "usage:" in capsys.readouterr().err

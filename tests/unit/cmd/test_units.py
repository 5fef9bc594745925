"""The units of etc/systemd: what they run is a command of ours, told whatever it asks for."""

import argparse
import importlib
import re
import shlex
from pathlib import Path

import pytest

from evacuator.cmd.http_server import CONNECTIONS, FILES
from evacuator.cmd.main import COMMANDS

UNITS = sorted((Path(__file__).parents[3] / "etc" / "systemd").glob("*.service"))
INSTANCE = "beta"


def settings_of(unit, name):
    return re.findall(rf"^{name}=(.*)$", unit, re.MULTILINE)


def environment_of(unit):
    """Return the variables that a unit sets, and those that its first lines tell the operator to set."""
    told = re.findall(r"^# (\w+=\S+)$", unit, re.MULTILINE)
    words = [word for line in settings_of(unit, "Environment") for word in shlex.split(line)]
    return dict(word.split("=", 1) for word in told + words)


def parse(command, arguments):
    parser = argparse.ArgumentParser()
    importlib.import_module(f"evacuator.cmd.{COMMANDS[command]}").add_parser(parser.add_subparsers())
    return parser.parse_args([command, *arguments])


def test_there_is_a_unit_for_each_process_that_stays():
    assert [path.stem for path in UNITS] == [
        "evacuator-all-in-one",
        "evacuator-api",
        "evacuator-compute",
        "evacuator-compute@",
    ]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_runs_its_own_command(path):
    unit = path.read_text()
    (line,) = settings_of(unit, "ExecStart")
    environment = environment_of(unit)
    program, command, *arguments = [
        re.sub(r"\$\{(\w+)\}", lambda found: environment[found[1]], word).replace("%i", INSTANCE)
        for word in shlex.split(line)
    ]
    assert Path(program).name == "evacuator"
    assert path.stem.rstrip("@") == f"evacuator-{command}"
    args = parse(command, arguments)
    if command == "compute":
        assert args.host == (INSTANCE if path.stem.endswith("@") else environment["EVACUATOR_HOST"])


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_may_have_more_files_than_its_server_takes_connections(path):
    (files,) = settings_of(path.read_text(), "LimitNOFILE")
    assert int(files) == FILES > 2 * CONNECTIONS

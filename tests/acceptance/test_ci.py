"""What .ci/run makes of what it runs: a failure of a part is a failure of the whole."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

RUN = Path(__file__).parents[2] / ".ci" / "run"
#: What it calls, and the tox below; anything else is missing here.
TOOLS = ("awk", "bash", "cp", "dirname", "env", "grep", "id")
SERVERS = {f"EVACUATOR_TEST_{name}": "somewhere" for name in ("MARIADB", "POSTGRESQL", "RABBITMQ")}
README = "```sh\n{}\n```\n\n```sh\n{}\n```\n"
TEXTS = "lint,types,docs,api-ref,releasenotes"
MADE = f"py,{TEXTS},services,chaos made"
#: Fails as often as lines with the environment's name are left in `failures`.
TOX = """#!/usr/bin/env bash
name=${!#}
[[ " $* " != *" --notest "* ]] || name="$name made"
echo "$name${PYTEST_ADDOPTS:+ once more}" >> ran
if grep -qx "$name" failures; then
    awk -v name="$name" '$0 == name && !seen++ { next } { print }' failures > left
    cp left failures
    exit 1
fi
"""
#: Says when uv is taken away again, or was never had.
PIP = """#!/usr/bin/env bash
case $1 in
config) ! grep -qx "pip has an index" failures || echo "global.index-url='https://here'" ;;
install) ! grep -qx "no tox-uv" failures ;;
uninstall) echo "without uv" >> ran ;;
esac
"""
UV = """#!/usr/bin/env bash
! grep -qx "uv reaches nothing" failures
"""


class Checkout:
    """A project with the parts ``services`` and ``chaos``, on a machine with a compiler."""

    def __init__(self, root):
        self.root = root
        (root / ".ci").mkdir()
        shutil.copy(RUN, root / ".ci" / "run")
        for part in ("services", "chaos"):
            (root / "tests" / part).mkdir(parents=True)
        self.tools = root / "tools"
        self.tools.mkdir()
        for name in TOOLS:
            (self.tools / name).symlink_to(shutil.which(name))
        (self.tools / "cc").symlink_to(shutil.which("true"))
        programs = root / ".venv" / "bin"
        programs.mkdir(parents=True)
        for name, program in (("tox", TOX), ("pip", PIP), ("uv", UV)):
            (programs / name).write_text(program)
            (programs / name).chmod(0o755)

    def run(self, *failures, demo="true", tests="true", **environment):
        """Return whether all is well, in which order tox ran, and what was printed."""
        (self.root / "README.md").write_text(README.format(demo, tests))
        (self.root / "failures").write_text("".join(f"{name}\n" for name in failures))
        (self.root / "ran").write_text("")
        done = subprocess.run(
            [self.root / ".ci" / "run"],
            env={"PATH": str(self.tools), **SERVERS, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.returncode == 0, (self.root / "ran").read_text().splitlines(), done.stdout + done.stderr


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


def test_all_passes_when_each_part_does(checkout):
    passed, ran, output = checkout.run()
    assert passed
    assert ran == [MADE, "services", "chaos"]
    assert "== all passed (at" in output


def test_a_test_that_fails_once_runs_once_more_and_is_named(checkout):
    passed, ran, output = checkout.run("services")
    assert passed
    assert ran == [MADE, "services", "services once more", "chaos"]
    assert "tox -e services, once more" in output


def test_so_does_one_of_the_command_of_the_first_page_after_the_text_was_checked(checkout):
    passed, ran, _ = checkout.run(tests="false")
    assert passed
    assert ran == [TEXTS, "py once more", "services", "chaos"]


@pytest.mark.parametrize(
    ("failures", "ran"),
    [
        (["services", "services"], [MADE, "services", "services once more"]),
        (["chaos"], [MADE, "services", "chaos"]),
    ],
)
def test_what_fails_for_good_fails_the_whole(checkout, failures, ran):
    passed, really_ran, output = checkout.run(*failures)
    assert not passed
    assert really_ran == ran
    assert "all passed" not in output


@pytest.mark.parametrize("commands", [{"demo": "false"}, {"demo": "false; true"}, {"tests": "false"}])
def test_a_command_of_the_first_page_that_fails_fails_the_whole(checkout, commands):
    (checkout.root / ".venv" / "bin" / "tox").unlink()
    passed, ran, _ = checkout.run(**commands)
    assert not passed
    assert ran == []


def test_tests_that_fail_do_not_hide_that_the_text_is_wrong(checkout):
    passed, ran, _ = checkout.run(TEXTS, tests="false")
    assert not passed
    assert ran == [TEXTS]


@pytest.mark.parametrize("why", ["no tox-uv", "uv reaches nothing", "pip has an index"])
def test_where_uv_would_not_get_what_pip_gets_pip_makes_the_environments(checkout, why):
    passed, ran, _ = checkout.run(why)
    assert passed
    assert ran == ["without uv", MADE, "services", "chaos"]


def test_environments_that_cannot_be_made_at_once_are_left_to_who_wants_them(checkout):
    passed, ran, output = checkout.run(MADE)
    assert passed
    assert ran == [MADE, "services", "chaos"]
    assert "not all environments could be made" in output


@pytest.mark.parametrize(("ci", "passes"), [("true", False), ("", True)])
def test_a_missing_part_is_left_out_by_name_but_fails_where_it_is_for_everybody(checkout, ci, passes):
    (checkout.tools / "cc").unlink()
    passed, ran, output = checkout.run(CI=ci)
    assert passed is passes
    assert ran == ([f"py,{TEXTS} made"] if passes else [])
    assert "cc is missing; on Debian: apt-get install gcc libc6-dev" in output
    assert ("all passed, but for what was left out: services chaos" in output) is passes


def test_it_takes_its_commands_from_a_first_page_with_exactly_two(checkout):
    passed, _, output = checkout.run(tests="true\n```\n```sh\ntrue")
    assert not passed
    assert "exactly two blocks" in output


def test_the_file_can_be_run():
    assert os.access(RUN, os.X_OK)

"""What the pages tell a reader to type, and where they send one, exists."""

import argparse
import importlib
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from evacuator.cmd.main import COMMANDS

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "decisions").glob("*.md")])

BLOCK = re.compile(r"^ *```(console|bash|sh)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


def commands(page):
    """Return what a reader is told to type: in a console block, the lines that begin with a dollar sign."""
    for language, text in BLOCK.findall(page.read_text()):
        lines = [line.strip() for line in text.splitlines()]
        typed = (line[2:] for line in lines if line.startswith("$ "))
        yield text if language != "console" else "\n".join(typed)


def our_own():
    """Return every call of our own command that a reader is told to type."""
    for page in PAGES:
        for line in (line.strip() for block in commands(page) for line in block.splitlines()):
            if line.startswith("evacuator "):
                yield page.name, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_well_formed(page):
    for block in commands(page):
        checked = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    assert [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()] == []


@pytest.mark.parametrize(("page", "line"), list(our_own()))
def test_our_own_commands_are_called_as_they_want_to_be(page, line):
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers()
    for module in COMMANDS.values():
        importlib.import_module(f"evacuator.cmd.{module}").add_parser(subparsers)
    parser.parse_args(shlex.split(line.partition("|")[0], comments=True)[1:])


def test_the_commands_that_are_spoken_of_exist():
    spoken_of = {name for page in PAGES for name in re.findall(r"`evacuator ([a-z-]+)", page.read_text())}
    assert spoken_of <= COMMANDS.keys()

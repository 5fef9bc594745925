"""The demo as a user runs it, and with hypervisors that break what it promises."""

import io
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from rich.console import Console

from evacuator.cmd import demo
from evacuator.cmd.demo.site import PATIENCE, all_in_one, evacuator, until

BROKEN_ALL_IN_ONE = Path(__file__).with_name("broken_all_in_one.py")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc which processes there are")


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Have temporary directories made where it can be seen that they are gone."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


@pytest.fixture
def tell(temporary):
    """Tell the story with a broken driver; returns the exit status and what was shown."""

    def story(broken, patience=PATIENCE):
        out = io.StringIO()

        def launch(state_dir, config_files):
            _python, _m, _main, *rest = all_in_one(state_dir, config_files)
            return [sys.executable, str(BROKEN_ALL_IN_ONE), broken, *rest]

        status = demo.run_story(Console(file=out, width=200), launch=launch, patience=patience)
        return status, out.getvalue()

    return story


def children_of(directory):
    """Return the processes that were started with something in ``directory``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except OSError:
            continue
        if str(directory).encode() in command:
            found.append(int(path.parent.name))
    return found


def test_the_demo_holds_and_leaves_nothing_behind(temporary):
    began = time.monotonic()
    result = subprocess.run(evacuator("demo"), capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout + result.stderr
    assert time.monotonic() - began < 60
    assert "\x1b" not in result.stdout
    rows = [line.split() for line in result.stdout.splitlines() if "->" in line and "verdict" not in line]
    assert [(row[0], row[2], row[6], row[-1]) for row in rows] == [
        ("active-294", "2.94", "ACTIVE", "ok"),
        ("shutoff-294", "2.94", "SHUTOFF", "ok"),
        ("error-294", "2.94", "ACTIVE", "ok"),
        ("active-295", "2.95", "SHUTOFF", "ok"),
        ("shutoff-295", "2.95", "SHUTOFF", "ok"),
        ("error-295", "2.95", "SHUTOFF", "ok"),
    ]
    assert [row[8] for row in rows] == ["once", "never", "once", "never", "never", "never"]
    assert "removed its 6 stale guests" in result.stdout
    assert "with os-start: powered on once" in result.stdout
    assert "every invariant holds" in result.stdout
    assert result.stdout.endswith("All of it held.\n")
    assert list(temporary.iterdir()) == []
    assert children_of(temporary) == []


def test_a_driver_that_starts_and_then_stops_is_found_out(tell, temporary):
    status, shown = tell("StartsThenStops")

    assert status == 1
    for name in ("active-295", "shutoff-295", "error-295"):
        assert re.search(rf"{name} .* once +NOT OK", shown)
        assert f"NOT OK: {name}: it was powered on once, not never" in shown
    assert "BROKEN silence-broken" in shown
    assert shown.endswith("NOT everything held.\n")
    assert list(temporary.iterdir()) == []


def test_a_driver_that_never_starts_is_found_out(tell):
    status, shown = tell("NeverStarts")

    assert status == 1
    assert "NOT OK: active-294: it was powered on never, not once" in shown


def test_a_host_that_keeps_its_stale_guests_breaks_the_story_off(tell, temporary, capsys):
    status, _shown = tell("KeepsStaleGuests", patience=15)

    assert status == 1
    assert "host a has removed its stale guests: this did not happen" in capsys.readouterr().err
    assert list(temporary.iterdir()) == []
    assert children_of(temporary) == []


def test_a_site_that_does_not_start_shows_why(temporary, capsys):
    def launch(_state_dir, _config_files):
        return [sys.executable, "-c", "import sys; sys.exit('this machine is on fire')"]

    assert demo.run_story(Console(file=io.StringIO()), launch=launch) == 1
    assert "this machine is on fire" in capsys.readouterr().err
    assert list(temporary.iterdir()) == []


@pytest.fixture
def kept(temporary):
    """A demo that was told to stay, and its address."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    # Whoever runs in the background of a shell ignores Ctrl-C, and so do its children.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        evacuator("demo", "--keep"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("evacuator verify"):
            break
    yield process, "".join(lines)
    process.kill()
    process.communicate()
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_demo_that_is_kept_goes_on_until_it_is_told_to_stop(kept, temporary, number, status):
    process, shown = kept
    endpoint = re.search(r"export OS_ENDPOINT=(\S+)", shown)[1]
    with urllib.request.urlopen(f"{endpoint}/servers/detail") as answer:
        assert b"active-295" in answer.read()
    assert children_of(temporary)

    process.send_signal(number)

    process.wait(120)
    assert process.returncode == status
    until("nothing of it runs any more", lambda: not children_of(temporary))
    # Killed outright, it cannot tidy up; but nothing of it goes on running.
    assert number == signal.SIGKILL or list(temporary.iterdir()) == []

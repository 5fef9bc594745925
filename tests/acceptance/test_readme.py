"""The README's quickstart, run as it stands."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.processes import EVACUATOR
from tests.acceptance.site import Site, until

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def quickstart(tmp_path: Path) -> Iterator[tuple[list[str], Site]]:
    """The blocks of the second terminal, and a site in the place of the first one's."""
    first, *blocks = re.findall(r"^```bash\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    assert "evacuator all-in-one --state-dir site --hosts a,b,c" in first
    site = Site(tmp_path / "site", down_time=60)
    site.start()
    yield blocks, site
    site.kill()


def as_run_here(block: str, site: Site) -> str:
    """Leave out what a fresh terminal needs, and put the site's own address in."""
    block = block.replace(". .venv/bin/activate\n", "").replace("http://127.0.0.1:8774", site.url)
    return block.replace("sleep 11", "sleep 2").replace("evacuator watch", f"evacuator watch --url {site.url}/v2.1")


def test_the_first_screen_has_exactly_two_commands_for_a_fresh_machine() -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    assert [block.count("\n") for block in blocks] == [1, 1]
    assert "evacuator demo" in blocks[0]
    assert "tox" in blocks[1]


def test_the_quickstart_brings_a_server_back_and_shows_that_it_was_not_powered_on(
    quickstart: tuple[list[str], Site], tmp_path: Path
) -> None:
    blocks, site = quickstart
    create, evacuate, start, again = (as_run_here(block, site) for block in blocks)
    evacuator = " ".join(EVACUATOR)
    settle = "sleep 1\n"
    script = f'evacuator() {{ {evacuator} "$@"; }}\n{create}{settle}{evacuate}echo ==\n{start}{settle}echo ==\n{again}'
    done = subprocess.run(
        [
            "bash",
            "-euo",
            "pipefail",
            "-c",
            script.replace("ask 2.95 /servers/$ID\n", f"{settle}ask 2.95 /servers/$ID\n"),
        ],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    evacuated, started, returned = done.stdout.split("==\n")
    assert '"status": "SHUTOFF"' in evacuated
    assert [json.loads(line)["event"] for line in started.splitlines()[:1]] == ["defined"]
    assert '"completed"' in returned
    assert "every invariant holds" in returned
    (server,) = site.get("/servers")["servers"]
    until(lambda: site.status(server["id"]) == "ACTIVE", 60, "the server to be started")
    host = site.show(server["id"])["OS-EXT-SRV-ATTR:host"]
    assert [line["event"] for line in site.journal(host, server["id"])] == ["defined", "powered_on"]

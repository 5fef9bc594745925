"""The operator's guide, typed as it stands: every command of it, in one shell, from the top to the bottom."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.site import Site, until

PAGE = Path(__file__).parents[2] / "docs" / "evacuate-with-openstack-cli.md"
TYPED = re.compile(r"^\$ (.+)$", re.MULTILINE)
SERVED = re.compile(r"^```bash\n(.+)\n```$", re.MULTILINE)


@pytest.fixture
def site(tmp_path):
    """What the reader is told to start, on a free port and with less patience."""
    (served,) = SERVED.findall(PAGE.read_text())
    assert served == "evacuator all-in-one --state-dir site --hosts a,b,c"
    made = Site(tmp_path / "site", hosts="a,b,c")
    try:
        made.start()
        yield made
    finally:
        made.kill()


def test_its_commands_do_what_it_says(site, tmp_path):
    typed = TYPED.findall(PAGE.read_text())
    assert len(typed) > 15
    script = "set -euxo pipefail\n" + "\n".join(typed).replace("127.0.0.1:8774", site.url.removeprefix("http://"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(
        ["bash"], input=script, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"

    servers = {server["name"]: server for server in site.get("/servers/detail?all_tenants=1")["servers"]}
    assert {name: server["status"] for name, server in servers.items()} == {"web": "ACTIVE", "db": "ACTIVE"}
    for name, version in (("web", "2.95"), ("db", "2.94")):
        server = servers[name]
        (record,) = site.migrations(server["id"])
        assert (record["source_compute"], record["status"]) == ("a", "completed")
        there = site.journal(record["dest_compute"], server["id"])
        assert [line["event"] for line in there] == ["defined", "powered_on"]
        # At 2.95 it was not the evacuation that powered it on.
        assert (there[0]["cause"] == there[1]["cause"]) is (version == "2.94"), there
    assert site.journal("a")[-1]["event"] == "destroyed"
    until(lambda: site.service("a")["state"] == "up", 20, "a to be up")
    verified = site.verify()
    assert verified.returncode == 0, verified.stdout

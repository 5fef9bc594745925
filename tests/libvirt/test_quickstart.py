"""The quickstart of docs/libvirt.md, as it is written there, on hosts of the lab instead of alpha and beta."""

import re
import shlex
import uuid
from pathlib import Path

import pytest

from tests.libvirt import witness
from tests.libvirt.real_site import RealSite
from tests.libvirt.test_adopt import DOMAIN

DOCUMENT = (Path(__file__).parents[2] / "docs" / "libvirt.md").read_text()
QUICKSTART = DOCUMENT[DOCUMENT.index("## Quickstart") : DOCUMENT.index("## What happens")]


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", QUICKSTART, re.MULTILINE | re.DOTALL)


def commands():
    """Return the words of every command of ours, without what a comment says of it."""
    typed = [line.removeprefix("$ ") for block in blocks("console") for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in typed if line.startswith("evacuator ")]


@pytest.fixture
def site(lab, tmp_path):
    """The site of the quickstart: its configuration, but for where the hosts and the storage are."""
    (configuration,) = blocks("ini")
    for said, host in (("alpha", "a"), ("beta", "b")):
        (uri,) = re.findall(rf"^connection_uri = (.*{said}.*)$", configuration, re.MULTILINE)
        configuration = configuration.replace(uri, lab[host].uri)
    configuration = configuration.replace("/srv/vms", str(lab.instances))
    site = RealSite(tmp_path / "site", lab)
    site._config.write_text(f"[DEFAULT]\nservice_down_time = 3\nreport_interval = 0.3\n{configuration}")
    yield site
    site.kill()


def test_what_it_says_is_what_happens(lab, site):
    disk = lab.instances / "web.qcow2"
    witness.build(disk)
    server = str(uuid.uuid4())
    parts = {"metadata": "", "os": "", "devices": "<graphics type='vnc' listen='192.0.2.11'/>"}
    with lab["a"].opened() as conn:
        conn.defineXML(DOMAIN.format(name="web", uuid=server, disk=disk, **parts))
    typed = {words[0] + (" --dry-run" if "--dry-run" in words else ""): words for words in commands()}
    assert list(typed) == ["adopt --dry-run", "adopt", "all-in-one", "verify"]

    def run(name):
        words = [str(site.state_dir) if word == "/var/lib/evacuator" else word for word in typed[name]]
        done = site.run(*words, "--config-file", str(site._config))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "web: can be adopted" in run("adopt --dry-run")
    assert "web: adopted" in run("adopt")
    assert typed["all-in-one"] == ["all-in-one", "--hosts", "alpha,beta", "--state-dir", "/var/lib/evacuator"]
    site._hosts = "alpha,beta"
    site.start()
    for host in ("alpha", "beta"):
        site.find(host)
    assert "2 hypervisors, 1 guest: every invariant holds" in run("verify")

    lab["a"].power_off()
    site.lose("alpha")
    site.evacuate(server, version="2.95")
    assert site.ended(server) == ["done"]
    assert (site.host_of(server), site.status(server)) == ("beta", "SHUTOFF")
    with lab["b"].opened() as conn:
        assert "listen='192.0.2.12'" in conn.lookupByUUIDString(server).XMLDesc()
    assert witness.read(disk).boots == 0
    assert "not looked at: host alpha" in run("verify")

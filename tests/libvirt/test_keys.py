"""A cloud with real hosts, a real Keystone and a real Barbican: who starts a guest whose disk is encrypted."""

import sqlite3
import threading
import time
import uuid
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import libvirt
import pytest

from tests.acceptance.site import until
from tests.cloud.keystone_server import AUTHENTICATION, PASSWORD
from tests.libvirt.luks import PASSPHRASE, Volume
from tests.libvirt.real_site import RealSite, listening, only_defined
from tests.unit.virt.contract import a_guest

#: Everything is logged that any library could be made to log.
CONFIGURATION = """
[encryption]
key_source = castellan
caller_timeout = 3
[barbican]
barbican_endpoint = {barbican}
[DEFAULT]
debug = true
default_log_levels = root=DEBUG
"""


@pytest.fixture
def cloud(lab, keystone, barbican, tmp_path):
    more = AUTHENTICATION.format(url=keystone.url, password=PASSWORD)
    site = RealSite(tmp_path / "cloud", lab, more=more + CONFIGURATION.format(barbican=barbican.url))
    site.keystone, site.barbican = keystone, barbican
    site.token, site.anna, site.bert = (
        keystone.token("admin", "admin"),
        keystone.token_of("anna"),
        keystone.token_of("bert"),
    )
    yield site
    site.kill()


class Vault:
    """A guest of project blue on host a that anna has the key to, adopted and up to date with the site."""

    def __init__(self, site, passphrase=PASSPHRASE):
        self.site = site
        self.guest = replace(a_guest(f"vault-{uuid.uuid4().hex[:6]}"), memory_mb=16)
        self.id = self.guest.uuid
        secret = site.barbican.store(passphrase, site.anna)
        self.volume = Volume(site.lab.instances / f"{self.id}.qcow2", secret, passphrase)
        self.secret = secret
        with site.lab["a"].opened() as conn:
            conn.defineXML(self.volume.domain(self.guest))

    def adopt(self):
        done = self.site.run(
            *("adopt", "--host", "a", "--project", self.site.keystone.projects["blue"], self.guest.name),
            *("--state-dir", str(self.site.state_dir), "--config-file", str(self.site._config)),
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def boots(self):
        return self.volume.boots()

    def shown(self, token=None):
        answer = self.site.request("GET", f"/servers/{self.id}", None, "2.95", token)
        assert answer.status == 200, answer
        return answer.body["server"]

    def reads(self):
        return self.site.barbican.payload_reads(self.secret)


@pytest.fixture
def vault(cloud):
    """An adopted guest that anna started once, on host a."""
    made = Vault(cloud)
    assert f"only who may read secret {made.secret} can start it" in made.adopt()
    cloud.start()
    cloud.find("a")
    assert cloud.ask(made.id, "os-start", cloud.anna)["status"] == "ACTIVE"
    until(lambda: made.boots == 1, 20, "the first boot")
    return made


def dies(site, host="a"):
    site.lab[host].power_off()
    site.lose(host)


def secrets_on(lab):
    found = []
    for host in lab.hosts.values():
        if host.up:
            with host.opened() as conn:
                found += [secret.UUIDString() for secret in conn.listAllSecrets()]
    return found


class Ps:
    """What everybody on the machine can read of the processes that hosts run, looked at all the time."""

    def __init__(self, lab):
        self._lab = lab
        self._stopping = threading.Event()
        self.seen = set()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_what):
        self._stopping.set()
        self._thread.join()

    def _look(self):
        while not self._stopping.wait(0.02):
            for host in self._lab.hosts.values():
                for pid in host._members():
                    try:
                        self.seen.add(Path(f"/proc/{pid}/cmdline").read_bytes())
                    except OSError:
                        continue


def rows_of(site):
    with closing(sqlite3.connect(site.state_dir / "evacuator.sqlite")) as connection:
        return "\n".join(connection.iterdump())


def places(site, vault, ps):
    """Return everything in which a key or a token could have been left."""
    described = []
    for host in site.lab.hosts.values():
        if host.up:
            with host.opened() as conn:
                for domain in conn.listAllDomains():
                    described += [domain.XMLDesc(flags) for flags in (0, libvirt.VIR_DOMAIN_XML_SECURE)]
    files = [path for path in [*site.state_dir.rglob("*"), site._log, site._config] if path.is_file()]
    files += [path for host in site.lab.hosts.values() for path in host.folder.rglob("*.log")]
    return {
        "rows": rows_of(site).encode(),
        "descriptions": "".join(described).encode(),
        "command lines": b"\n".join(ps.seen),
        **{str(path): path.read_bytes() for path in files},
    }


def found(secret, places):
    return sorted(name for name, content in places.items() if secret.encode() in content)


def test_it_evacuates_with_no_secret_anywhere_and_is_started_by_its_owner_and_nobody_else(cloud, lab, vault):
    reads = vault.reads()
    dies(cloud)

    with listening(lab["b"], lab["c"]) as heard, Ps(lab) as ps:
        cloud.evacuate(vault.id, version="2.95", host="b")
        assert cloud.ended(vault.id) == ["done"]

        # Nothing was started, nobody was asked for a key, and no host has one. Three witnesses, and Barbican.
        assert cloud.status(vault.id) == "SHUTOFF"
        assert cloud.domain("b", vault.id) == "off"
        assert vault.boots == 1
        assert only_defined(heard, vault.id)
        assert not lab["b"].qemu_log(vault.guest.name).exists()
        assert secrets_on(lab) == []
        assert vault.reads() == reads

        # An administrator sees the server and not its key: neither by us nor by themselves.
        before = rows_of(cloud)
        for body in ({"os-start": None}, {"reboot": {"type": "HARD"}}):
            refused = cloud.action(vault.id, body)
            assert refused.status == 403
            assert f"Secret {vault.secret} opens a disk of this server" in refused.body["forbidden"]["message"]
            assert "the server's owner, has to start the server" in refused.body["forbidden"]["message"]
        assert cloud.barbican.payload(vault.secret, cloud.token)[0] == 403
        assert cloud.action(vault.id, {"os-start": None}, token=cloud.bert).status == 404
        assert changed(before, rows_of(cloud)) == []
        shown = vault.shown()
        assert (shown["status"], shown["OS-EXT-STS:task_state"]) == ("SHUTOFF", None)
        assert (vault.boots, cloud.domain("b", vault.id)) == (1, "off")
        assert vault.reads() == [*reads, 403, 403, 403]

        # Its owner does, and it boots once.
        assert cloud.ask(vault.id, "os-start", cloud.anna)["status"] == "ACTIVE"
        until(lambda: vault.boots == 2, 20, "the boot")
        assert cloud.domain("b", vault.id) == "running"
        assert not only_defined(heard, vault.id)
        assert secrets_on(lab) == []
        assert vault.reads() == [*reads, 403, 403, 403, 200, 200]

    lab["a"].power_on()
    cloud.find("a")
    assert cloud.domain("a", vault.id) is None
    everywhere = places(cloud, vault, ps)
    # The log names each secret that was fetched, and by whom; the database, which one it is; everybody, whose guest.
    named = set(found(vault.secret, everywhere))
    assert {"rows", "descriptions", str(cloud._log)} <= named
    assert {"rows", "descriptions", "command lines", str(cloud._log)} <= set(found(vault.id, everywhere))
    assert f"secret {vault.secret} of instance {vault.id} was fetched for user {cloud.keystone.users['anna']}" in (
        cloud._log.read_text()
    )
    # The library that was given the key did write down what it asked for and how that was answered.
    assert "DEBUG keystoneauth.session" in cloud._log.read_text()
    for secret in (PASSPHRASE, PASSPHRASE.encode().hex(), cloud.anna, cloud.token):
        assert found(secret, everywhere) == []
    assert vault.boots == 2


def changed(before, after):
    """Return the rows that are not as they were, but for what beats all the time."""
    lines = set(after.splitlines()) ^ set(before.splitlines())
    return [line for line in lines if not line.startswith(('INSERT INTO "services"', "INSERT INTO services"))]


def test_below_2_95_it_runs_again_if_who_evacuates_may_read_its_key_and_else_is_left_to_its_owner(cloud, lab, vault):
    dies(cloud)
    cloud.evacuate(vault.id, version="2.94", host="b")

    assert cloud.ended(vault.id) == ["done"]
    shown = vault.shown(cloud.anna)
    assert shown["status"] == "SHUTOFF"
    assert "the owner must start it" in shown["fault"]["message"]
    assert (vault.boots, cloud.domain("b", vault.id)) == (1, "off")
    assert vault.reads()[-1] == 403
    assert cloud.ask(vault.id, "os-start", cloud.anna)["status"] == "ACTIVE"
    assert "fault" not in vault.shown(cloud.anna)
    until(lambda: vault.boots == 2, 20, "the boot")

    # With a right of their own to this one secret the administrator's evacuation starts it.
    (admin,) = [user["id"] for user in cloud.keystone.api("GET", "/users?name=admin")["users"]]
    cloud.barbican.close_to(vault.secret, cloud.anna, admin, cloud.keystone.users["anna"])
    dies(cloud, "b")
    cloud.evacuate(vault.id, version="2.94", host="c")
    assert cloud.ended(vault.id) == ["done"]
    assert vault.shown()["status"] == "ACTIVE"
    until(lambda: vault.boots == 3, 20, "the boot")
    assert secrets_on(lab) == []


def test_a_start_that_was_interrupted_is_not_repeated_and_leaves_no_key(cloud, lab, vault):
    assert cloud.ask(vault.id, "os-stop", cloud.anna)["status"] == "SHUTOFF"
    lab["a"].freeze_daemon()
    assert cloud.action(vault.id, {"os-start": None}, token=cloud.anna).status == 202
    time.sleep(0.5)
    cloud.kill()
    lab["a"].thaw_daemon()
    # As if it had died a moment later, in the start itself.
    with lab["a"].opened() as conn:
        described = "<description>urn:evacuator:loan:1 for req-1</description>"
        xml = f"<secret ephemeral='yes' private='yes'><uuid>{vault.secret}</uuid>{described}</secret>"
        conn.secretDefineXML(xml).setValue(PASSPHRASE.encode())

    cloud.start()
    cloud.find("a")
    assert secrets_on(lab) == []
    until(lambda: vault.shown()["OS-EXT-STS:task_state"] is None, 30, "the order to be given up")
    shown = vault.shown(cloud.anna)
    assert shown["status"] == "SHUTOFF"
    assert "ask again" in shown["fault"]["message"]
    assert (vault.boots, cloud.domain("a", vault.id)) == (1, "off")

    assert cloud.ask(vault.id, "os-start", cloud.anna)["status"] == "ACTIVE"
    until(lambda: vault.boots == 2, 20, "the boot")


class TestWhatElseMayBeTheMatter:
    """Each is told on the request, in a sentence of its own, and leaves the server as it was."""

    def refused(self, cloud, vault, token, status, *words):
        assert cloud.ask(vault.id, "os-stop", cloud.anna)["status"] == "SHUTOFF"
        before = rows_of(cloud)
        answer = cloud.action(vault.id, {"os-start": None}, token=token)
        assert answer.status == status, answer
        ((_, told),) = answer.body.items()
        for word in words:
            assert word in told["message"]
        assert changed(before, rows_of(cloud)) == []
        assert (vault.boots, cloud.domain("a", vault.id)) == (1, "off")

    def test_a_secret_that_was_deleted(self, cloud, vault):
        cloud.barbican.ask("DELETE", f"/v1/secrets/{vault.secret}", token=cloud.anna)
        self.refused(cloud, vault, cloud.anna, 409, f"The key manager has no secret {vault.secret}")

    def test_a_member_of_the_project_whom_its_owner_keeps_out(self, cloud, vault):
        otto = cloud.keystone.token_of("otto")
        cloud.barbican.close_to(vault.secret, cloud.anna, cloud.keystone.users["anna"])
        self.refused(cloud, vault, otto, 403, f"Secret {vault.secret} opens a disk of this server")

    def test_a_key_manager_that_is_away(self, cloud, vault):
        cloud.barbican.kill()
        try:
            begun = time.monotonic()
            self.refused(cloud, vault, cloud.anna, 503, "cannot be asked", "try later")
            assert time.monotonic() - begun < 30
            # Whoever waits for it holds up nobody: hosts beat on.
            assert {cloud.service(host)["state"] for host in "abc"} == {"up"}
        finally:
            cloud.barbican.serve()
        assert cloud.ask(vault.id, "os-start", cloud.anna)["status"] == "ACTIVE"

"""Where a passphrase and a token come by, and where neither is to be found afterwards.

The parts are those of a real cloud, in one process: the API, a compute manager, oslo.messaging, castellan. What they
say to each other and what they write down is kept, all of it, and searched.
"""

import base64
import json
import logging
import time
from types import SimpleNamespace
from uuid import uuid4

import pytest
import webtest
from oslo_config import cfg
from oslo_messaging import conffixture
from sqlalchemy import text

from evacuator.api.app import make_app
from evacuator.api.auth.keystone import Keystone
from evacuator.api.policies import Policy, get_enforcer
from evacuator.api.settings import ApiSettings
from evacuator.cmd import wiring
from evacuator.compute.host import Host
from evacuator.compute.manager import ComputeManager
from evacuator.conf import opts
from evacuator.db import schema
from evacuator.db.session import open_database
from evacuator.engine.engine import Engine, Rules
from evacuator.rpc import server, transport
from evacuator.rpc.client import ComputeClient
from evacuator.rpc.notifier import BusNotifier
from evacuator.rpc.outbox import Outbox
from evacuator.virt.simulated import FOLDER, SimulatedDriver, SimulatedSettings
from tests.functional.test_auth import Middleware
from tests.unit.keys import cabinet

KEY_ID = "0d9a5a3c-6f3e-4f0c-9c58-1f7f0d5b7c11"
PASSPHRASE = "correct-horse-battery-staple"
TOKEN = "gAAAAB-the-token-of-anna"


class Overheard:
    """A driver of oslo.messaging's with somebody who listens."""

    def __init__(self, driver):
        self._driver = driver
        self.messages = []

    def __getattr__(self, name):
        return getattr(self._driver, name)

    def send(self, target, context, message, *args, **kwargs):
        self.messages.append(json.dumps({"to": str(target), "context": context, "message": message}))
        return self._driver.send(target, context, message, *args, **kwargs)

    def send_notification(self, target, context, message, *args, **kwargs):
        self.messages.append(json.dumps({"notify": str(target), "context": context, "message": message}, default=str))


class Cloud:
    """Hosts a and b, and a way to ask as anna."""

    def __init__(self, folder, conf):
        self.folder = folder
        self.database = open_database(f"sqlite:///{folder}/cloud.sqlite")
        schema.upgrade(self.database)
        opened = transport.open_transport(conf)
        self.wire = opened._driver = Overheard(opened._driver)
        self.outbox = Outbox()
        notifier = BusNotifier(opened, self.outbox, ["versioned_notifications"], "here")
        keys = wiring.keys_of(conf)
        engine = Engine(self.database, ComputeClient(opened, self.outbox), Rules(), notifier, keys)
        self.managers, self.stops = {}, []
        for host in "ab":
            driver = SimulatedDriver(host, folder / FOLDER, SimulatedSettings())
            manager = ComputeManager(Host(host, engine, driver, time.monotonic), Threads(), str(uuid4()))
            manager.start()
            assert manager.beat()
            self.managers[host] = manager
            self.stops.append(server.listen(opened, host, manager))
        who = Middleware(HTTP_X_USER_ID="anna", HTTP_X_PROJECT_ID="blue", HTTP_X_ROLES="admin")
        self.app = webtest.TestApp(
            make_app(engine, ApiSettings(), policy=Policy(get_enforcer(conf)), authenticate=Keystone(who))
        )

    def close(self):
        for stop in self.stops:
            stop()
        self.outbox.close()
        self.database.close()

    def ask(self, method, path, body=None, version="2.95"):
        headers = {"OpenStack-API-Version": f"compute {version}", "X-Auth-Token": TOKEN}
        self.app.request(
            f"/v2.1{path}",
            method=method,
            body=json.dumps(body).encode(),
            headers=headers | {"Content-Type": "application/json"},
        )

    def sql(self, statement):
        self.database.write(lambda transaction: transaction.execute(text(statement)))

    def becomes(self, state, host):
        def shown():
            with self.database.engine.connect() as connection:
                return tuple(connection.execute(text("SELECT vm_state, host FROM instances WHERE task_state IS NULL")))

        deadline = time.monotonic() + 20
        while shown() != ((state, host),):
            assert time.monotonic() < deadline, shown()
            time.sleep(0.02)

    def written(self):
        """Return what is in each file that there is."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in files}


class Threads:
    """Works on what is submitted there and then: the message's own thread is as good as another."""

    def submit(self, work, /):
        work()


@pytest.fixture
def cloud(tmp_path):
    path = tmp_path / "evacuator.conf"
    path.write_text(
        "[encryption]\nkey_source = castellan\n[key_manager]\nbackend = tests.unit.keys.cabinet.Cabinet\n"
        "[oslo_messaging_notifications]\ndriver = messagingv2\n"
    )
    cabinet.SECRETS.clear()
    cabinet.SECRETS[KEY_ID] = PASSPHRASE
    fixture = conffixture.ConfFixture(cfg.CONF)
    with fixture:
        opts.register_all(cfg.CONF)
        cfg.CONF(["--config-file", str(path)], project="evacuator", default_config_dirs=[])
        fixture.transport_url = "fake://"
        made = Cloud(tmp_path / "cloud", cfg.CONF) if (tmp_path / "cloud").mkdir() is None else None
        yield made
        made.close()
        cfg.CONF.reset()


def spelled(secret):
    """Return the ways in which a secret may be written down."""
    raw = secret.encode()
    return {raw, raw.hex().encode(), base64.b64encode(raw).rstrip(b"="), raw[::-1]}


def found(secret, texts):
    return sorted(name for name, content in texts.items() if any(way in content for way in spelled(secret)))


def test_neither_key_nor_token_is_in_anything_that_is_written_and_no_key_in_anything_that_is_sent(cloud, caplog):
    caplog.set_level(logging.DEBUG)
    cloud.ask("POST", "/servers", {"server": {"name": "vault", "flavorRef": "1", "imageRef": "", "networks": "none"}})
    cloud.becomes("active", "a")
    cloud.sql(f"UPDATE instances SET key_ids = '[\"{KEY_ID}\"]'")
    uuid = json.loads(cloud.app.get("/v2.1/servers", headers={"X-Auth-Token": TOKEN}).text)["servers"][0]["id"]
    cloud.sql("UPDATE services SET forced_down = true WHERE host = 'a'")

    cloud.ask("POST", f"/servers/{uuid}/action", {"evacuate": {"host": "b"}}, "2.94")
    cloud.becomes("active", "b")
    cloud.ask("POST", f"/servers/{uuid}/action", {"reboot": {"type": "HARD"}})
    cloud.becomes("active", "b")
    cloud.ask("POST", f"/servers/{uuid}/action", {"os-stop": None})
    cloud.becomes("stopped", "b")
    cloud.ask("POST", f"/servers/{uuid}/action", {"os-start": None})
    cloud.becomes("active", "b")

    # The key was fetched: by b for the evacuation, by both for the reboot and the start; and it did start something.
    assert [token for *_, token in cabinet.ASKED][-5:] == [TOKEN] * 5
    journal = (cloud.folder / FOLDER / "b" / "journal.jsonl").read_text()
    assert journal.count('"powered_on"') == 3

    sent = {f"message {number}": message.encode() for number, message in enumerate(cloud.wire.messages)}
    told = {name: message for name, message in sent.items() if b'"notify"' in message}
    logged = {"log": caplog.text.encode(), "records": repr([vars(record) for record in caplog.records]).encode()}
    written = cloud.written()
    # Each of these would show it, if it were there: they show the id of the server.
    for texts in (sent, told, logged, written):
        assert found(uuid, texts)
    assert {"log", "records"} == set(found(uuid, logged))

    assert found(PASSPHRASE, sent | logged | written) == []
    assert found(TOKEN, logged | written | told) == []
    # Who asked for it comes with the message, as between all services of OpenStack.
    assert found(TOKEN, sent) != []


def test_the_search_finds_what_is_there():
    texts = {"plain": PASSPHRASE.encode(), "hex": PASSPHRASE.encode().hex().encode(), "not": b"something else"}
    assert found(PASSPHRASE, texts | {"base64": base64.b64encode(PASSPHRASE.encode())}) == ["base64", "hex", "plain"]


def test_nothing_that_holds_a_key_shows_it(cloud):
    held = wiring.keys_of(cfg.CONF).fetch(SimpleNamespace(auth_token=TOKEN, to_dict=lambda: {"user": "anna"}), KEY_ID)
    assert held.passphrase == PASSPHRASE.encode()
    shown = {"repr": repr(held), "str": str(held), "list": str([held]), "format": f"{held}"}
    assert found(PASSPHRASE, {name: way.encode() for name, way in shown.items()}) == []

"""A whole site in one thread, whose every statement is seen: API, engine, compute managers, simulated hypervisors."""

import json
import re
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

import webtest
from oslo_config import cfg
from sqlalchemy import Engine as SqlEngine
from sqlalchemy import event

from evacuator.api.app import make_app
from evacuator.api.images import BuiltInImages
from evacuator.api.policies import Policy, get_enforcer
from evacuator.api.settings import ApiSettings
from evacuator.compute.host import Host
from evacuator.compute.manager import ComputeManager
from evacuator.db import schema
from evacuator.db.session import open_database
from evacuator.engine.engine import Engine, Rules
from evacuator.virt.simulated import SimulatedDriver, SimulatedSettings

IMAGE = BuiltInImages.IMAGE["id"]
HOSTS = ("a", "b", "c")
ROOMY = SimulatedSettings(vcpus=2_000_000, memory_mb=2_000_000, local_gb=2_000_000)

_TABLE = re.compile(r'(?:FROM|INTO|UPDATE)\s+[`"]?(\w+)')


@dataclass(frozen=True)
class Statement:
    """What was sent to the database."""

    sql: str
    parameters: object

    def __str__(self):
        """Say it in two words: what is done, to which table first."""
        verb = self.sql.split(None, 1)[0]
        # A scalar subquery may stand before the FROM of the whole; the model's columns come first.
        table = re.match(r"SELECT (\w+)\.", self.sql) or _TABLE.search(self.sql)
        return f"{verb} {table[1]}" if table else verb


class AtOnce:
    """Workers that do what they are given before they return."""

    def submit(self, work):
        work()


class Direct:
    """Casts that arrive."""

    def __init__(self):
        self.managers = {}

    def can_send_target_state(self):
        return True

    def rebuild_instance(self, context, record, instance, service_version):
        self.managers[record.dest_compute].wake_rebuild(record.id, instance.uuid, record.attempt)

    def carry_out_order(self, context, host, instance_uuid, order_id):
        self.managers[host].wake_order(instance_uuid, order_id)


class Site:
    """Hosts a, b and c, up; servers are made and evacuated through the API."""

    def __init__(self, url, state_dir):
        self.database = open_database(url)
        schema.upgrade(self.database)
        self.casts = Direct()
        self.engine = Engine(self.database, self.casts, Rules())
        for name in HOSTS:
            host = Host(name, self.engine, SimulatedDriver(name, state_dir, ROOMY), clock=lambda: 0.0)
            self.casts.managers[name] = ComputeManager(host, AtOnce(), incarnation=str(uuid4()))
            self.casts.managers[name].start()
            assert self.casts.managers[name].beat()
        conf = cfg.ConfigOpts()
        conf([], project="evacuator", default_config_files=[], default_config_dirs=[])
        policy = Policy(get_enforcer(conf))
        self.app = webtest.TestApp(make_app(self.engine, ApiSettings(), BuiltInImages(), policy))

    def close(self):
        self.database.close()

    def ask(self, method, path, body=None, version="2.95"):
        headers = {"OpenStack-API-Version": f"compute {version}", "Content-Type": "application/json"}
        raw = b"" if body is None else json.dumps(body).encode()
        return self.app.request(f"/v2.1{path}", method=method, body=raw, headers=headers)

    def add_server(self, host="a"):
        server = {"name": "web", "flavorRef": "1", "imageRef": IMAGE, "networks": "none", "host": host}
        return self.ask("POST", "/servers", {"server": server}).json["server"]["id"]

    def force_down(self, host="a"):
        service = self.ask("GET", f"/os-services?host={host}").json["services"][0]["id"]
        self.ask("PUT", f"/os-services/{service}", {"forced_down": True})

    def evacuate(self, server, version="2.95"):
        self.ask("POST", f"/servers/{server}/action", {"evacuate": {}}, version)
        return self.ask("GET", f"/servers/{server}").json["server"]

    @contextmanager
    def watched(self):
        """Yield the list to which every statement is added that is sent to the database meanwhile."""
        seen = []

        def executed(_connection, _cursor, sql, parameters, _context, _many):
            if not sql.startswith("BEGIN"):  # of which servers hear nothing
                seen.append(Statement(sql, parameters))

        def ended(word):
            return lambda _connection: seen.append(Statement(word, None))

        listeners = {"before_cursor_execute": executed, "commit": ended("COMMIT")}
        for name, listener in listeners.items():
            event.listen(SqlEngine, name, listener)
        try:
            yield seen
        finally:
            for name, listener in listeners.items():
                event.remove(SqlEngine, name, listener)

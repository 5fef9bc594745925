"""A site to send requests to: the WSGI application on a SQLite file, with casts that are written down.

With ``--database mariadb --database postgresql``, what is tested on such a site is tested on these instead.
"""

import json
import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from uuid import uuid4

import pytest
import webtest
from oslo_config import cfg
from sqlalchemy import insert, text

from evacuator.api.app import make_app
from evacuator.api.images import BuiltInImages
from evacuator.api.policies import Policy, get_enforcer
from evacuator.api.settings import ApiSettings
from evacuator.db import flavors, nodes, services
from evacuator.db.models import Instance, Model
from evacuator.db.session import open_database
from evacuator.engine.engine import Engine, Rules
from evacuator.evacuation.destination import Room
from evacuator.evacuation.states import PowerState
from tests.services.servers import fresh_database
from tests.world.servers import empty, tell_the_time

HERE = Path(__file__).parent
#: So many cases of each test are tried on a server.
CASES = 3
#: When a site begins.
BEGINNING = datetime(2026, 1, 31, 12, 0, 0)  # noqa: DTZ001 - the database's moments have no zone
IMAGE = BuiltInImages.IMAGE["id"]
TABLES = (
    "instances",
    "migrations",
    "allocations",
    "instance_actions",
    "instance_actions_events",
    "services",
    "compute_nodes",
)
POWER = {"active": PowerState.RUNNING, "stopped": PowerState.SHUTDOWN}


@cache
def new_file():
    """Make the tables, with the flavors that there are, in a file once: each site begins with a copy."""
    folder = TemporaryDirectory()
    path = Path(folder.name) / "new.sqlite"
    database = open_database(f"sqlite:///{path}", lambda: BEGINNING)
    Model.metadata.create_all(database.engine)
    database.write(flavors.add_standard)
    database.close()
    return SimpleNamespace(path=path, folder=folder)


class RecordedCasts:
    """Sends nothing and remembers everything."""

    def __init__(self):
        self.sent = []
        self.carries_target_state = True

    def can_send_target_state(self):
        return self.carries_target_state

    def rebuild_instance(self, context, record, instance, service_version):
        self.sent.append(("rebuild_instance", record.dest_compute, instance.uuid))

    def carry_out_order(self, context, host, instance_uuid, order_id):
        self.sent.append(("carry_out_order", host, instance_uuid))


class Site:
    """Hosts, servers, and a way to ask. ``url``: a database of a server, which is emptied; else it is a new file."""

    def __init__(self, directory, url=None, **settings):
        self.time = BEGINNING
        if url is None:
            shutil.copy(new_file().path, f"{directory}/site.sqlite")
        self.database = open_database(url or f"sqlite:///{directory}/site.sqlite", lambda: self.time)
        if url is not None:
            for engine in (self.database.engine, self.database._reader):
                tell_the_time(engine, lambda: self.time.replace(tzinfo=UTC).timestamp())
            empty(self.database.engine)
            self.database.write(flavors.add_standard)
        self.casts = RecordedCasts()
        self.engine = Engine(self.database, self.casts, Rules())
        conf = cfg.ConfigOpts()
        conf([], project="evacuator", default_config_files=[], default_config_dirs=[])
        self.app = webtest.TestApp(
            make_app(self.engine, ApiSettings(**settings), BuiltInImages(), Policy(get_enforcer(conf)))
        )

    def later(self, seconds):
        self.time += timedelta(seconds=seconds)

    def sql(self, statement, **values):
        def work(transaction):
            result = transaction.execute(text(statement), values)
            return result.all() if result.returns_rows else None

        return self.database.write(work)

    def add_host(self, host, version=2):
        def work(transaction):
            services.register(transaction, host, str(uuid4()), f"incarnation of {host}", version)
            facts = {
                "hypervisor_hostname": f"{host}.example.org",
                "hypervisor_type": "simulated",
                "storage_id": "shared",
                "vcpus": 8,
                "memory_mb": 8192,
                "local_gb": 100,
            }
            nodes.register(transaction, host, str(uuid4()), facts)

        self.database.write(work)
        self.beat(host)

    def beat(self, host):
        def work(transaction):
            incarnation = f"incarnation of {host}"
            epoch = services.epoch_of(transaction, host, incarnation)
            services.beat(transaction, host, incarnation, epoch, 60)

        self.database.write(work)

    def force_down(self, host):
        self.sql("UPDATE services SET forced_down = :yes WHERE host = :host", host=host, yes=True)

    def add_server(self, host="dead", vm_state="active", **values):
        uuid = values.pop("uuid", str(uuid4()))
        row = {
            "uuid": uuid,
            "display_name": "web",
            "hostname": "web",
            "project_id": "admin",
            "user_id": "admin",
            "reservation_id": "r-1",
            "image_ref": IMAGE,
            "flavor": {
                "id": "1",
                "original_name": "m1.tiny",
                "vcpus": 1,
                "ram": 512,
                "disk": 1,
                "ephemeral": 0,
                "swap": 0,
                "extra_specs": {},
            },
            "vcpus": 1,
            "memory_mb": 512,
            "disk_gb": 1,
            "availability_zone": "nova",
            "vm_state": vm_state,
            "power_state": POWER.get(vm_state, PowerState.NOSTATE),
            "launched_at": self.time,
            "host": host,
        }

        def work(transaction):
            transaction.execute(insert(Instance).values(**row | values))
            if host:
                nodes.claim(transaction, host, uuid, Room(1, 512, 1))

        self.database.write(work)
        return uuid

    def name_of(self, server):
        """Return the name that a hypervisor knows it by."""
        ((number,),) = self.sql("SELECT id FROM instances WHERE uuid = :uuid", uuid=server)
        return f"instance-{number:08x}"

    def snapshot(self):
        """Return every row there is, to see that nothing was written."""
        return {table: self.sql(f"SELECT * FROM {table} ORDER BY id") for table in TABLES}

    def ask(self, method, path, body=None, version=None, token=None, status="*", **headers):
        """Send a request. ``body``: JSON, or bytes as they are."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if version is not None:
            headers["OpenStack-API-Version"] = f"compute {version}"
        if token is not None:
            headers["X-Auth-Token"] = token
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return self.app.request(path, method=method, body=raw, headers=headers, status=status)

    def get(self, path, version=None, token=None, **headers):
        return self.ask("GET", f"/v2.1{path}", version=version, token=token, **headers)

    def post(self, path, body, version=None, token=None, **headers):
        return self.ask("POST", f"/v2.1{path}", body, version=version, token=token, **headers)

    def put(self, path, body, version=None, token=None):
        return self.ask("PUT", f"/v2.1{path}", body, version=version, token=token)

    def delete(self, path, version=None, token=None):
        return self.ask("DELETE", f"/v2.1{path}", version=version, token=token)

    def act(self, server, body, version=None, token=None, **headers):
        return self.post(f"/servers/{server}/action", body, version=version, token=token, **headers)

    def evacuate(self, server, arguments=None, version="2.95", token=None):
        return self.act(server, {"evacuate": arguments or {}}, version, token)


def pytest_addoption(parser):
    parser.addoption("--database", action="append", default=[], choices=("mariadb", "postgresql"))


def pytest_generate_tests(metafunc):
    chosen = metafunc.config.getoption("--database")
    if chosen and "database_url" in metafunc.fixturenames:
        metafunc.parametrize("database_url", chosen, indirect=True, scope="session")


def pytest_collection_modifyitems(config, items):
    """With ``--database``, leave out what no database has a part in, and most of what differs by arguments alone."""
    if config.getoption("--database"):
        cases, again = Counter(), set()
        for item in items:
            if item.path.is_relative_to(HERE):
                on = item.callspec.params.get("database_url") if "database_url" in item.fixturenames else None
                cases[item.function, on] += 1
                if on is None or cases[item.function, on] > CASES:
                    again.add(item)
        items[:] = [item for item in items if item not in again]
        config.hook.pytest_deselected(items=again)


@pytest.fixture(scope="session")
def database_url(request):
    """A database of a server, where one was chosen."""
    server = getattr(request, "param", None)
    if server is None:
        yield None
        return
    with fresh_database(server) as url:
        address = url.render_as_string(hide_password=False)
        database = open_database(address)
        Model.metadata.create_all(database.engine)
        database.close()
        yield address


@pytest.fixture
def site(tmp_path, database_url):
    """A site without hosts."""
    made = Site(tmp_path, database_url)
    yield made
    made.database.close()


@pytest.fixture
def outage(site):
    """Host ``dead`` is forced down, ``one`` and ``two`` are up; ``server`` was active on the dead one."""
    for host in ("dead", "one", "two"):
        site.add_host(host)
    site.force_down("dead")
    server = site.add_server()
    return SimpleNamespace(
        site=site,
        server=server,
        ask=lambda arguments=None, version="2.95", token=None: site.evacuate(server, arguments, version, token),
    )


def fault(answer):
    """Return key, code and message of a fault."""
    assert answer.content_type == "application/json"
    ((key, told),) = answer.json.items()
    assert told["code"] == answer.status_int
    return key, told["code"], told["message"]

"""The site whose answers are the samples of the API reference: production code, on a clock of its own."""

import json
import re
from contextlib import contextmanager
from uuid import NAMESPACE_URL, uuid5

import webtest
from sqlalchemy import text

from evacuator.api.app import make_app
from evacuator.api.images import BuiltInImages
from evacuator.api.settings import ApiSettings
from evacuator.db import flavors
from tests.world.client import policy
from tests.world.world import a_world

HOSTS = ("compute-1", "compute-2", "compute-3", "compute-4")
BOUND = vars(flavors.Size("bound", "bound", 2, 4096, 40)) | {"extra_specs": {"hw:cpu_policy": "dedicated"}}
ADDRESS = "http://openstack.example.com"
RANDOM = re.compile(
    r'(?<=["/=-])[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}|(?<="r-)[0-9a-f]{8}|(?<="adminPass": ")[A-Za-z0-9]{12}(?=")'
)


def told_again(name):
    """Return an id that is the same in every run."""
    return str(uuid5(NAMESPACE_URL, f"{ADDRESS}/{name}"))


class DocumentedSite:
    """Host ``compute-1`` is dead.

    The server ``web`` was brought back from there at 2.95 and ``db`` found no host; ``owned`` belongs to a member of
    another project. Others wait there for whoever wants to evacuate one.
    """

    def __init__(self, world):
        self.world = world
        settings = ApiSettings(compute_link_prefix=ADDRESS)
        self.app = webtest.TestApp(make_app(world.api.engine, settings, BuiltInImages(), policy()))
        self.names = {}
        self._give_ids()
        world.database.write(lambda session: flavors.add(session, BOUND))
        self.web = self.create("web", "compute-1", metadata={"HA_Enabled": "True"}, tags=["frontend"])
        self.db = self.create("db", "compute-1")
        self.owned = self.create("owned", None, token="alice:demo")
        self.waiting = [self.create(f"waiting-{number}", "compute-1") for number in range(12)]
        self._reserve()
        self._outage()

    def _reserve(self):
        """Put a host into a group."""
        made = self.ask("POST", "/os-aggregates", {"aggregate": {"name": "spare"}}).json["aggregate"]
        self.names[made["uuid"]] = told_again("aggregates/spare")
        for action in ({"add_host": {"host": "compute-4"}}, {"set_metadata": {"metadata": {"rack": "7"}}}):
            assert self.ask("POST", f"/os-aggregates/{made['id']}/action", action).status_int == 200

    def _give_ids(self):
        with self.world.database.engine.begin() as connection:
            for table in ("services", "compute_nodes"):
                for host in HOSTS:
                    made = told_again(f"{table}/{host}")
                    self.names[made] = made
                    connection.execute(text(f"UPDATE {table} SET uuid = :made WHERE host = :host"), locals())

    def _outage(self):
        self.world.power_off("compute-1")
        self.done("PUT", "/os-services/force-down", 200, "2.11", host="compute-1", forced_down=True)
        self.done("PUT", "/os-services/disable", 200, "2.11", host="compute-4")
        self.act(self.web, {"evacuate": {}})
        self.world.delay(7)
        self.act(self.db, {"evacuate": {"host": "compute-4"}})
        self.world.delay(7)
        self.act(self.web, {"lock": {"locked_reason": "its owner was told to look first"}})
        self.evacuated = self.request_of(self.web, "evacuate")
        self.made = self.request_of(self.owned, "create")
        for migration in self.ask("GET", "/os-migrations").json["migrations"]:
            self.names[migration["uuid"]] = told_again(f"migrations/{migration['id']}")

    # -- asking

    def ask(self, method, path, body=None, version="2.95", token=None):
        """Send a request, and let everybody do what it causes."""
        headers = {"OpenStack-API-Version": f"compute {version}"} | ({"X-Auth-Token": token} if token else {})
        raw = b"" if body is None else json.dumps(body).encode()
        address = path if path == "/" or path.startswith("/v2") else f"/v2.1{path}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        answer = self.app.request(address, method=method, body=raw, headers=headers, status="*")
        self.world.hub.run()
        return answer

    def done(self, method, path, code, version="2.95", **body):
        """Send a request that has to succeed."""
        answer = self.ask(method, path, body | {"binary": "nova-compute"}, version)
        assert answer.status_int == code, answer.text

    def act(self, server, body):
        answer = self.ask("POST", f"/servers/{server}/action", body)
        assert answer.status_int in (200, 202), answer.text

    def request_of(self, server, action):
        """Return the id of the request that asked for an action."""
        told = self.ask("GET", f"/servers/{server}/os-instance-actions").json["instanceActions"]
        (request,) = (row["request_id"] for row in told if row["action"] == action)
        self.names[request.removeprefix("req-")] = told_again(f"requests/{action}")
        return request

    def create(self, name, host, token=None, **more):
        """Make a server and wait until it runs."""
        image = BuiltInImages.IMAGE["id"]
        wanted = {"name": name, "flavorRef": "1", "imageRef": image, "networks": "none"} | more
        if host:
            wanted["host"] = host
        answer = self.ask("POST", "/servers", {"server": wanted}, token=token)
        assert answer.status_int == 202, answer.text
        uuid = answer.json["server"]["id"]
        self.names[uuid] = told_again(f"servers/{name}")
        self.world.delay(4)
        return uuid

    # -- telling the same every time

    def fixed(self, answer):
        """Return an answer's text, with an id in the place of each that would be another the next time."""
        seen = {}

        def replace(match):
            found = match[0]
            if found == BuiltInImages.IMAGE["id"]:
                return found
            made = self.names.get(found) or seen.setdefault(found, told_again(f"random/{len(seen)}"))
            return made if "-" in found else made.replace("-", "")[: len(found)]

        return RANDOM.sub(replace, json.dumps(answer, indent=4)) + "\n"


@contextmanager
def a_documented_site():
    """Make the site, and clear it away."""
    with a_world(HOSTS, define_seconds=2, power_on_seconds=1) as world:
        yield DocumentedSite(world)

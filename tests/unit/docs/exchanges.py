"""What the samples of the API reference are of: one row a request, asked of the documented site in this order.

A sample of an answer is written for the first version, and for each at which the answer takes another shape.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from evacuator.api.microversions import MAXIMUM, MINIMUM, Behaviours, ByVersion, Version
from tests.unit.docs.documented_site import told_again

SAMPLES = Path(__file__).parents[3] / "api-ref" / "source" / "samples"
MEMBER = "alice:demo"

IMAGE = "11111111-1111-4111-8111-111111111111"


def the_server(site):
    """The address of the one that was brought back."""
    return {"server_id": site.web}


def one_on_the_dead_host(site):
    return {"server_id": site.waiting.pop()}


def a_running_one(site):
    return {"server_id": site.create("web", "compute-2")}


def a_stopped_one(site):
    server = a_running_one(site)
    site.act(server["server_id"], {"os-stop": None})
    site.world.delay(4)
    return server


@dataclass(frozen=True)
class Exchange:
    """A request and its answer.

    ``name``: folder and beginning of the samples' names. ``schema``, ``query``: what in ``Behaviours`` says which body
    or parameters there may be; a body is read from its own sample. ``where``: makes what the path leaves open.
    ``action``: which server action it is.
    ``also``: versions that have a sample though nothing is new in it.
    """

    name: str
    method: str
    path: str
    schema: str | None = None
    query: str | None = None
    where: Callable | None = None
    action: str | None = None
    token: str | None = None
    also: tuple[str, ...] = ()
    first: str = str(MINIMUM)
    last: str = str(MAXIMUM)
    code: int = 200

    def request_versions(self):
        """Return the versions at which another body begins; none where there is no body."""
        return versions(self, (getattr(Behaviours, self.schema),)) if self.schema else ()

    def response_versions(self):
        """Return the versions at which the answer may take another shape."""
        return self.request_versions() or versions(self, facts())

    def request(self, version):
        """Return the sample of the body that holds at ``version``."""
        samples = {v: self.sample("request", v) for v in self.request_versions() if v <= version}
        return next(path for _, path in sorted(samples.items(), reverse=True) if path.exists())

    def sample(self, kind, version):
        return SAMPLES / f"{self.name}-{kind}-v{version}.json"


@cache
def facts():
    return tuple(fact for fact in vars(Behaviours).values() if isinstance(fact, ByVersion))


def versions(exchange, changing):
    """Return the first version of ``exchange`` and those at which ``changing`` change, and those wanted anyway."""
    first, last = Version.of(exchange.first), Version.of(exchange.last)
    changes = {change for fact in changing for change in fact.changes} | {first}
    return tuple(sorted({v for v in changes if first <= v <= last} | {Version.of(text) for text in exchange.also}))


def act(action, name, schema, where, code=202):
    """Return the exchange of a server action."""
    path = "/servers/{server_id}/action"
    return Exchange(f"servers/{name}", "POST", path, schema, where=where, action=action, code=code)


EXCHANGES = (
    Exchange("versions/list", "GET", "/"),
    Exchange("versions/show", "GET", "/v2.1/"),
    Exchange("servers/list", "GET", "/servers?limit=1", query="servers_query"),
    Exchange("servers/detail", "GET", "/servers/detail?name=web", query="servers_query", also=("2.95",)),
    Exchange("servers/show", "GET", "/servers/{server_id}", where=the_server, also=("2.90", "2.95")),
    Exchange("servers/show-as-member", "GET", "/servers/{server_id}", token=MEMBER,
             where=lambda site: {"server_id": site.owned}),
    Exchange("servers/show-in-error", "GET", "/servers/{server_id}", first="2.95",
             where=lambda site: {"server_id": site.db}),
    Exchange("migrations/list", "GET", "/os-migrations?limit=1", query="migrations_query"),
    Exchange("migrations/list-of-server", "GET", "/servers/{server_id}/migrations", where=the_server, first="2.23"),
    Exchange("instance-actions/list", "GET", "/servers/{server_id}/os-instance-actions?limit=1", query="actions_query",
             where=the_server),
    Exchange("instance-actions/show", "GET", "/servers/{server_id}/os-instance-actions/{request_id}",
             where=lambda site: {"server_id": site.web, "request_id": site.evacuated}),
    Exchange("instance-actions/show-as-member", "GET", "/servers/{server_id}/os-instance-actions/{request_id}",
             token=MEMBER, where=lambda site: {"server_id": site.owned, "request_id": site.made}),
    Exchange("flavors/list", "GET", "/flavors?limit=1", query="flavors_query"),
    Exchange("flavors/detail", "GET", "/flavors/detail?limit=1", query="flavors_query"),
    Exchange("flavors/show", "GET", "/flavors/1"),
    Exchange("flavors/list-extra-specs", "GET", "/flavors/bound/os-extra_specs"),
    Exchange("flavors/show-extra-spec", "GET", "/flavors/bound/os-extra_specs/hw:cpu_policy"),
    Exchange("hypervisors/list", "GET", "/os-hypervisors?limit=1", query="hypervisors_query"),
    Exchange("hypervisors/list-with-servers", "GET",
             "/os-hypervisors?hypervisor_hostname_pattern=compute-3&with_servers=true", query="hypervisors_query",
             first="2.53"),
    Exchange("hypervisors/detail", "GET", "/os-hypervisors/detail?limit=1", query="hypervisors_query"),
    Exchange("hypervisors/show", "GET", "/os-hypervisors/{hypervisor_id}", query="hypervisor_query",
             where=lambda site: {"hypervisor_id": "3"}, last="2.52"),
    Exchange("hypervisors/show", "GET", "/os-hypervisors/{hypervisor_id}?with_servers=true", query="hypervisor_query",
             where=lambda site: {"hypervisor_id": told_again("compute_nodes/compute-3")}, first="2.53"),
    Exchange("hypervisors/search", "GET", "/os-hypervisors/compute-3/search", last="2.52"),
    Exchange("hypervisors/servers", "GET", "/os-hypervisors/compute-3/servers", last="2.52"),
    Exchange("hypervisors/statistics", "GET", "/os-hypervisors/statistics", last="2.87"),
    Exchange("hypervisors/uptime", "GET", "/os-hypervisors/{hypervisor_id}/uptime",
             where=lambda site: {"hypervisor_id": "3"}, last="2.52"),
    Exchange("hypervisors/uptime", "GET", "/os-hypervisors/{hypervisor_id}/uptime",
             where=lambda site: {"hypervisor_id": told_again("compute_nodes/compute-3")}, first="2.53", last="2.87"),
    Exchange("availability-zones/list", "GET", "/os-availability-zone"),
    Exchange("availability-zones/detail", "GET", "/os-availability-zone/detail"),
    Exchange("aggregates/list", "GET", "/os-aggregates"),
    Exchange("aggregates/show", "GET", "/os-aggregates/1"),
    Exchange("images/list", "GET", "/images", query="images_query"),
    Exchange("images/show", "GET", f"/images/{IMAGE}"),
    Exchange("networks/list", "GET", "/networks"),
    Exchange("services/list", "GET", "/os-services?host=compute-4", query="services_query", also=("2.69",)),
    # From here on, what is asked changes things.
    act("evacuate", "evacuate", "evacuate_schema", one_on_the_dead_host, code=200),
    act("lock", "lock", "lock_schema", a_running_one),
    act("unlock", "unlock", "unlock_schema", the_server),
    act("reboot", "reboot", "reboot_schema", a_running_one),
    act("os-start", "start", "start_schema", a_stopped_one),
    act("os-stop", "stop", "stop_schema", a_running_one),
    act("os-resetState", "reset-state", "reset_state_schema", a_running_one),
    Exchange("servers/create", "POST", "/servers", "create_schema", code=202),
    Exchange("services/disable", "PUT", "/os-services/disable", "service_update_schema", last="2.52"),
    Exchange("services/disable-log-reason", "PUT", "/os-services/disable-log-reason", "service_update_schema",
             last="2.52"),
    Exchange("services/enable", "PUT", "/os-services/enable", "service_update_schema", last="2.52"),
    Exchange("services/force-down", "PUT", "/os-services/force-down", "service_update_schema", first="2.11",
             last="2.52"),
    Exchange("services/update", "PUT", "/os-services/{service_id}", "service_update_schema", first="2.53",
             where=lambda site: {"service_id": told_again("services/compute-4")}, also=("2.69",)),
    Exchange("flavors/create", "POST", "/flavors", "flavor_create_schema"),
    Exchange("flavors/describe", "PUT", "/flavors/bound", "flavor_update_schema", first="2.55"),
    Exchange("flavors/add-extra-specs", "POST", "/flavors/bound/os-extra_specs", "extra_specs_schema"),
    Exchange("flavors/set-extra-spec", "PUT", "/flavors/bound/os-extra_specs/hw:cpu_policy", "extra_spec_schema"),
    Exchange("aggregates/create", "POST", "/os-aggregates", "aggregate_create_schema"),
    Exchange("aggregates/update", "PUT", "/os-aggregates/1", "aggregate_update_schema"),
    Exchange("aggregates/set-metadata", "POST", "/os-aggregates/1/action", "aggregate_action_schema"),
    Exchange("aggregates/add-host", "POST", "/os-aggregates/1/action", "aggregate_action_schema"),
    Exchange("aggregates/remove-host", "POST", "/os-aggregates/1/action", "aggregate_action_schema"),
)  # fmt: skip


def shape(value):
    """Return what is compared of an answer: its keys, and the kind of each value; what a list holds counts once."""
    if isinstance(value, dict):
        return tuple(sorted((key, shape(part)) for key, part in value.items()))
    if isinstance(value, list):
        return ("list", tuple(sorted({shape(item) for item in value}, key=repr)))
    return type(value).__name__


def record(site):
    """Yield (file, text) of every sample of an answer, by asking ``site`` for all of them.

    :raises AssertionError: something is answered with another code than its row says.
    """
    for exchange in EXCHANGES:
        last = None
        for version in exchange.response_versions():
            answer = ask(site, exchange, version)
            assert answer.status_int == exchange.code, f"{exchange.name} at {version}: {answer.status} {answer.text}"
            if not answer.body:
                continue
            now = shape(answer.json)
            if now != last or str(version) in exchange.also:
                yield exchange, version, site.fixed(answer.json)
            last = now


def ask(site, exchange, version):
    """Send the request of an exchange, with the body of the sample that holds at ``version``."""
    body = json.loads(exchange.request(version).read_text()) if exchange.schema else None
    path = exchange.path.format(**exchange.where(site) if exchange.where else {})
    return site.ask(exchange.method, path, body, str(version), exchange.token)

"""What every address takes and answers, as data: what the OpenAPI document of a microversion is made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from evacuator.api.microversions import Behaviours
from evacuator.api.schemas import responses as r
from evacuator.api.schemas.responses import Kind, Thing
from evacuator.api.validation import Schema

NOTHING_ABSENT: frozenset[str] = frozenset()
Answer = Callable[[Behaviours], Kind]


def thing(kind: Thing, absent: str | None = None) -> Answer:
    """Return the schema of a thing at a version; ``absent``: the fact that says which keys that version lacks."""

    def at(behaviour: Behaviours) -> Kind:
        missing = getattr(behaviour, absent) if absent else NOTHING_ABSENT
        keys = {key: value for key, value in kind.keys.items() if key not in missing}
        required = sorted(keys.keys() - kind.sometimes)
        return {"type": "object", "properties": keys, "required": required, "additionalProperties": False}

    return at


def one(key: str, answer: Answer) -> Answer:
    """Return the schema of an answer with one thing."""
    return lambda behaviour: {
        "type": "object",
        "properties": {key: answer(behaviour)},
        "required": [key],
        "additionalProperties": False,
    }


def many(key: str, answer: Answer, links: str | None = None) -> Answer:
    """Return the schema of an answer with a list of things, and the ``links`` to its next page."""
    return lambda behaviour: {
        "type": "object",
        "properties": {key: {"type": "array", "items": answer(behaviour)}} | ({links: r.LINKS} if links else {}),
        "required": [key],
        "additionalProperties": False,
    }


def plainly(kind: Kind) -> Answer:
    """Return a schema that is the same at every version."""
    return lambda _behaviour: kind


@dataclass(frozen=True)
class Operation:
    """One method of one address.

    ``body``, ``query``: what in ``Behaviours`` says which body and parameters there may be. ``served``: what says
    whether it is there at all. ``answer`` is None for an empty one. ``missing_is_a_page``: what is not there is
    answered as an address that does not exist, to a person with a browser.
    """

    method: str
    path: str
    code: int = 200
    answer: Answer | None = None
    body: str | None = None
    query: str | None = None
    served: str | None = None
    missing_is_a_page: bool = False

    def is_served(self, behaviour: Behaviours) -> bool:
        """Tell whether this version has it."""
        return self.served is None or bool(getattr(behaviour, self.served))

    def body_schema(self, behaviour: Behaviours) -> Mapping[str, Any] | None:
        """Return the schema of its body."""
        return _document(behaviour, self.body)

    def query_schema(self, behaviour: Behaviours) -> Mapping[str, Any] | None:
        """Return the schema of its query string, in which every parameter is a list."""
        return _document(behaviour, self.query)


def _document(behaviour: Behaviours, fact: str | None) -> Mapping[str, Any] | None:
    schema = getattr(behaviour, fact) if fact else None
    return schema.document if isinstance(schema, Schema) else None


def _service_change(behaviour: Behaviours) -> Kind:
    if behaviour.names_services_by_uuid:
        return thing(r.SERVICE, "service_absent")(behaviour)
    return thing(r.SERVICE_CHANGE)(behaviour)


def _new_server(behaviour: Behaviours) -> Kind:
    reservation = {"type": "object", "properties": {"reservation_id": r.TEXT}, "required": ["reservation_id"]}
    return {"anyOf": [one("server", thing(r.NEW_SERVER))(behaviour), reservation]}


def _evacuated(behaviour: Behaviours) -> Kind | None:
    if not behaviour.returns_admin_password:
        return None
    return {"type": "object", "properties": {"adminPass": r.TEXT_OR_NULL}, "additionalProperties": False}


SERVER = thing(r.SERVER, "server_absent")
SERVICE = thing(r.SERVICE, "service_absent")
HYPERVISOR = thing(r.HYPERVISOR, "hypervisor_absent")
HYPERVISOR_BRIEF = thing(r.HYPERVISOR_BRIEF)
MIGRATION = thing(r.MIGRATION, "migration_absent")
ACTION = thing(r.ACTION, "action_absent")
FLAVOR = thing(r.FLAVOR, "flavor_absent")
AGGREGATE = thing(r.AGGREGATE, "aggregate_absent")
SPECS = one("extra_specs", plainly(r.TEXTS))
ONE_SERVER, ACTIONS_OF = "/servers/{server_id}", "/servers/{server_id}/os-instance-actions"
ONE_FLAVOR, SPECS_OF = "/flavors/{flavor_id}", "/flavors/{flavor_id}/os-extra_specs"
ONE_AGGREGATE = "/os-aggregates/{aggregate_id}"

OPERATIONS = (
    Operation("get", "/servers", 200, many("servers", thing(r.SERVER_BRIEF), "servers_links"), query="servers_query"),
    Operation("post", "/servers", 202, _new_server, body="create_schema"),
    Operation("get", "/servers/detail", 200, many("servers", SERVER, "servers_links"), query="servers_query"),
    Operation("get", ONE_SERVER, 200, one("server", SERVER)),
    Operation("delete", ONE_SERVER, 204),
    Operation(
        "get",
        f"{ONE_SERVER}/migrations",
        200,
        one("migrations", plainly({"type": "array", "maxItems": 0})),
        served="lists_server_migrations",
    ),
    Operation("get", f"{ONE_SERVER}/migrations/{{migration_id}}", served="lists_server_migrations"),
    Operation("get", ACTIONS_OF, 200, many("instanceActions", ACTION, "links"), query="actions_query"),
    Operation("get", f"{ACTIONS_OF}/{{request_id}}", 200, one("instanceAction", ACTION)),
    Operation(
        "get", "/os-migrations", 200, many("migrations", MIGRATION, "migrations_links"), query="migrations_query"
    ),
    Operation("get", "/os-services", 200, many("services", SERVICE), query="services_query"),
    Operation("put", "/os-services/{service_id}", 200, one("service", _service_change), body="service_update_schema"),
    Operation("delete", "/os-services/{service_id}", 204),
    Operation(
        "get",
        "/os-hypervisors",
        200,
        many("hypervisors", HYPERVISOR_BRIEF, "hypervisors_links"),
        query="hypervisors_query",
    ),
    Operation(
        "get",
        "/os-hypervisors/detail",
        200,
        many("hypervisors", HYPERVISOR, "hypervisors_links"),
        query="hypervisors_query",
    ),
    Operation(
        "get",
        "/os-hypervisors/statistics",
        200,
        one("hypervisor_statistics", thing(r.STATISTICS)),
        served="sums_up_hypervisors",
    ),
    Operation("get", "/os-hypervisors/{hypervisor_id}", 200, one("hypervisor", HYPERVISOR), query="hypervisor_query"),
    Operation(
        "get",
        "/os-hypervisors/{hypervisor_id}/search",
        200,
        many("hypervisors", HYPERVISOR_BRIEF),
        served="names_hypervisors_by_number",
    ),
    Operation(
        "get",
        "/os-hypervisors/{hypervisor_id}/servers",
        200,
        many("hypervisors", HYPERVISOR_BRIEF),
        served="names_hypervisors_by_number",
    ),
    Operation(
        "get",
        "/os-hypervisors/{hypervisor_id}/uptime",
        200,
        one("hypervisor", thing(r.HYPERVISOR_UPTIME)),
        served="sums_up_hypervisors",
    ),
    Operation("get", "/os-availability-zone", 200, many("availabilityZoneInfo", thing(r.ZONE))),
    Operation("get", "/os-availability-zone/detail", 200, many("availabilityZoneInfo", thing(r.ZONE))),
    Operation("get", "/os-aggregates", 200, many("aggregates", AGGREGATE)),
    Operation("post", "/os-aggregates", 200, one("aggregate", AGGREGATE), body="aggregate_create_schema"),
    Operation("get", ONE_AGGREGATE, 200, one("aggregate", AGGREGATE)),
    Operation("put", ONE_AGGREGATE, 200, one("aggregate", AGGREGATE), body="aggregate_update_schema"),
    Operation("delete", ONE_AGGREGATE, 200),
    Operation("post", f"{ONE_AGGREGATE}/action", 200, one("aggregate", AGGREGATE), body="aggregate_action_schema"),
    Operation(
        "get",
        "/flavors",
        200,
        many("flavors", thing(r.FLAVOR_BRIEF, "flavor_absent"), "flavors_links"),
        query="flavors_query",
    ),
    Operation("post", "/flavors", 200, one("flavor", FLAVOR), body="flavor_create_schema"),
    Operation("get", "/flavors/detail", 200, many("flavors", FLAVOR, "flavors_links"), query="flavors_query"),
    Operation("get", ONE_FLAVOR, 200, one("flavor", FLAVOR)),
    Operation("put", ONE_FLAVOR, 200, one("flavor", FLAVOR), body="flavor_update_schema", served="describes_flavors"),
    Operation("delete", ONE_FLAVOR, 202),
    Operation("get", SPECS_OF, 200, SPECS),
    Operation("post", SPECS_OF, 200, SPECS, body="extra_specs_schema"),
    Operation("get", f"{SPECS_OF}/{{key}}", 200, plainly(r.TEXTS)),
    Operation("put", f"{SPECS_OF}/{{key}}", 200, plainly(r.TEXTS), body="extra_spec_schema"),
    Operation("delete", f"{SPECS_OF}/{{key}}", 200),
    Operation("get", "/images", 200, many("images", thing(r.IMAGE)), query="images_query"),
    Operation("get", "/images/{image_id}", 200, thing(r.IMAGE)),
    Operation("get", "/v2/images", 200, many("images", thing(r.IMAGE)), query="images_query"),
    Operation("get", "/v2/images/{image_id}", 200, thing(r.IMAGE)),
    Operation("get", "/networks", 200, one("networks", plainly({"type": "array", "maxItems": 0}))),
    Operation("get", "/versions/{version}", 200, one("version", plainly(r.OBJECT)), missing_is_a_page=True),
)

#: The actions of a server are one address: (name, what says which body there may be, code, answer).
SERVER_ACTIONS: tuple[tuple[str, str, int, Callable[[Behaviours], Kind | None]], ...] = (
    ("evacuate", "evacuate_schema", 200, _evacuated),
    ("os-start", "start_schema", 202, lambda _behaviour: None),
    ("os-stop", "stop_schema", 202, lambda _behaviour: None),
    ("reboot", "reboot_schema", 202, lambda _behaviour: None),
    ("os-resetState", "reset_state_schema", 202, lambda _behaviour: None),
    ("lock", "lock_schema", 202, lambda _behaviour: None),
    ("unlock", "unlock_schema", 202, lambda _behaviour: None),
)

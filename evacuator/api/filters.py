"""From the parameters of a query string to what is asked of the database."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from oslo_utils import strutils, timeutils

from evacuator.api import policies
from evacuator.api.errors import Forbidden
from evacuator.api.http import Query, Request
from evacuator.api.policies import Policy
from evacuator.api.settings import ApiSettings
from evacuator.api.views.status import is_status, states_of
from evacuator.db.pages import ActionFilter, FlavorFilter, InState, MigrationFilter, Page, ServerFilter
from evacuator.errors import Invalid
from evacuator.evacuation.states import VmState

TAG_FILTERS = {"tags": "all_tags", "tags-any": "any_tag", "not-tags": "not_all_tags", "not-tags-any": "no_tag"}

#: Parameter -> column, for those that must be equal.
SERVER_EQUAL = {
    "host": "host",
    "node": "node",
    "user_id": "user_id",
    "image": "image_ref",
    "image_ref": "image_ref",
    "uuid": "uuid",
    "reservation_id": "reservation_id",
    "availability_zone": "availability_zone",
    "config_drive": "config_drive",
    "vm_state": "vm_state",
    "task_state": "task_state",
}
SERVER_EQUAL_NUMBER = {"power_state": "power_state", "launch_index": "launch_index"}

#: Parameter -> column, for those that are regular expressions.
SERVER_MATCHING = {
    "name": "display_name",
    "display_name": "display_name",
    "hostname": "hostname",
    "description": "display_description",
    "display_description": "display_description",
    "key_name": "key_name",
}

#: What anybody may filter by; the rest is dropped in silence.
MEMBER_FILTERS = frozenset(
    {"reservation_id", "name", "status", "image", "flavor", "ip", "ip6", "changes-since", "changes-before", "locked"}
) | frozenset(TAG_FILTERS)
MEMBER_STATE_FILTERS = frozenset(
    {"availability_zone", "config_drive", "key_name", "power_state", "task_state", "vm_state", "user_id"}
)

#: What only those may sort by who may know it.
ADMIN_SORT_KEYS = frozenset({"host", "node"})

#: What migrations are found by that must be equal, at every version and where who asked is among it.
MIGRATION_EQUAL = ("instance_uuid", "source_compute", "status", "migration_type")
MIGRATION_WHO_ASKED = ("user_id", "project_id")


def page(
    query: Query,
    settings: ApiSettings,
    sort: Iterable[tuple[str, str]] = (),
    unsaid: tuple[str, str] = ("created_at", "desc"),
) -> Page:
    """Read which part of a list is wanted.

    ``sort`` is what holds unless the query says otherwise; ``unsaid`` what it means by a key or a direction alone.
    """
    limit = query.get("limit")
    keys, directions = query.all("sort_key"), query.all("sort_dir")
    if keys or directions:
        keys = keys or [unsaid[0]]
        padded = directions + [directions[-1] if directions else unsaid[1]] * len(keys)
        sort = zip(keys, padded, strict=False)
    most = settings.max_limit
    return Page(most if limit is None else min(int(limit), most), query.get("marker"), list(sort))


def server_filter(request: Request, query: Query, policy: Policy, all_projects_rule: str) -> ServerFilter:
    """Read which servers are wanted.

    :raises Invalid, Forbidden:
    """
    known = _known_to_caller(request, query, policy)
    project = _project(request, query, policy, all_projects_rule)
    states = _states(request, known)
    wanted: dict[str, Any] = {
        "project_id": project,
        "deleted": _deleted(known, states),
        "states": states,
        "flavor_id": known.get("flavor"),
        "equal": {column: known.get(name) for name, column in SERVER_EQUAL.items() if name in known},
        "matching": {column: known.get(name) for name, column in SERVER_MATCHING.items() if name in known},
        **moments(known),
    }
    wanted["equal"] |= {column: _number(known, name) for name, column in SERVER_EQUAL_NUMBER.items() if name in known}
    if "locked" in known:
        wanted["equal"]["locked"] = _boolean(known, "locked")
    for name, argument in TAG_FILTERS.items():
        wanted[argument] = frozenset((known.get(name) or "").split(",")) - {""}
    if "ip" in known or "ip6" in known:
        wanted["states"] = ()  # no server has an address
    _check_sort(query, policy.allows(request.identity, policies.ALL_FILTERS))
    return ServerFilter(**wanted)


def _known_to_caller(request: Request, query: Query, policy: Policy) -> Query:
    """Leave out what this version does not filter by, and what this caller may not."""
    behaviour = request.behaviour
    absent = set()
    if not behaviour.filters_by_tags:
        absent |= set(TAG_FILTERS)
    if not behaviour.filters_by_changes_before:
        absent.add("changes-before")
    if not behaviour.filters_by_locked:
        absent.add("locked")
    if not policy.allows(request.identity, policies.ALL_FILTERS):
        allowed = MEMBER_FILTERS | (MEMBER_STATE_FILTERS if behaviour.members_filter_by_state else frozenset())
        absent |= {name for name, _ in query.items()} - allowed
    return query.without(absent)


def _project(request: Request, query: Query, policy: Policy, all_projects_rule: str) -> str | None:
    """Return the project whose servers are wanted, None for those of all; without all_tenants it is the caller's."""
    if not _all_projects(query):
        return request.identity.project_id
    policy.check(request.identity, all_projects_rule)
    if not policy.allows(request.identity, policies.ALL_FILTERS):
        return None
    return query.get("project_id") or query.get("tenant_id")


def _all_projects(query: Query) -> bool:
    return "all_tenants" in query and (not query.get("all_tenants") or _boolean(query, "all_tenants"))


def _states(request: Request, known: Query) -> list[InState] | None:
    if "status" not in known:
        return None
    asked = [status.upper() for status in known.all("status")]
    if request.behaviour.refuses_invalid_status and not any(is_status(status) for status in asked):
        raise Invalid(reason="Invalid status value")
    if "DELETED" in asked and not request.identity.is_admin:
        raise Forbidden(reason="Only administrators may list deleted instances")
    return [state for status in asked for state in states_of(status)]


def _deleted(known: Query, states: list[InState] | None) -> bool | None:
    if states and all(state.vm_state == VmState.DELETED for state in states):
        return True
    if "deleted" in known:
        return bool(strutils.bool_from_string(known.get("deleted"), default=False))
    return None if "changes-since" in known else False


def _check_sort(query: Query, may_know_hosts: bool) -> None:  # noqa: FBT001
    hidden = ADMIN_SORT_KEYS & set(query.all("sort_key"))
    if hidden and not may_know_hosts:
        raise Forbidden(reason=f"Only administrators can sort servers by {min(hidden)}")


def moments(query: Query) -> dict[str, datetime]:
    """Read since when and until when things were changed.

    :raises Invalid: the first is later than the second.
    """
    found = {}
    for name, argument in (("changes-since", "changes_since"), ("changes-before", "changes_before")):
        value = query.get(name)
        if value is not None:
            found[argument] = timeutils.normalize_time(timeutils.parse_isotime(value))
    if len(found) > 1 and found["changes_since"] > found["changes_before"]:
        raise Invalid(reason="The value of changes-since must be less than or equal to changes-before.")
    return found


def migration_filter(request: Request, query: Query) -> MigrationFilter:
    """Read which migrations are wanted; what the version does not know is dropped."""
    names = MIGRATION_EQUAL + (MIGRATION_WHO_ASKED if request.behaviour.filters_migrations_by_who_asked else ())
    equal = {name: query.get(name) for name in names if name in query}
    if strutils.bool_from_string(query.get("hidden"), default=False):
        equal["id"] = None  # none is hidden
    known = query if request.behaviour.filters_by_changes_before else query.without({"changes-before"})
    known = known if request.behaviour.pages_migrations else known.without({"changes-since"})
    return MigrationFilter(equal, query.get("host"), **moments(known))


def action_filter(instance_uuid: str, query: Query) -> ActionFilter:
    """Read which actions of an instance are wanted."""
    return ActionFilter(instance_uuid, **moments(query))


def flavor_filter(request: Request, query: Query) -> FlavorFilter:
    """Read which flavors are wanted; only administrators may see those that are not public."""
    sees_private = bool(request.identity.is_admin)
    public: bool | None = True
    if sees_private and "is_public" in query:
        asked = query.get("is_public") or ""
        public = None if asked.lower() == "none" else _boolean(query, "is_public")
    return FlavorFilter(sees_private, public, _number(query, "minRam"), _number(query, "minDisk"))


def _number(query: Query, name: str) -> int:
    value = query.get(name) or "0"
    if not (value.isdecimal() and value.isascii()) or len(value) > len(str(2**31)):
        raise Invalid(reason=f"Invalid input for query parameters {name}. Value: {value}. It must be a number.")
    return min(int(value), 2**31 - 1)


def _boolean(query: Query, name: str) -> bool:
    try:
        return bool(strutils.bool_from_string(query.get(name), strict=True))
    except ValueError as error:
        raise Invalid(reason=f"Invalid input received: {error}") from error

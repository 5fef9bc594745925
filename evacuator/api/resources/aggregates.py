"""Host aggregates."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import falcon

from evacuator.api import policies
from evacuator.api.collaborators import Collaborators
from evacuator.api.http import Request, Resource
from evacuator.api.views import aggregates as view
from evacuator.db import aggregates
from evacuator.db.aggregates import Members
from evacuator.db.numbers import is_number
from evacuator.engine import aggregate as verbs
from evacuator.engine.engine import Engine
from evacuator.errors import Invalid


class Aggregates(Resource):
    """``/os-aggregates``."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def on_get(self, request: Request, response: falcon.Response) -> None:
        """List aggregates."""
        self._parts.policy.check(request.identity, policies.AGGREGATES_LIST)
        found = self._parts.engine.database.read(aggregates.listing)
        response.media = {"aggregates": [view.show(members, request.behaviour) for members in found]}

    def on_post(self, request: Request, response: falcon.Response) -> None:
        """Make an aggregate."""
        wanted = request.body(request.behaviour.aggregate_create_schema)["aggregate"]
        self._parts.policy.check(request.identity, policies.AGGREGATES_CREATE)
        made = verbs.create_aggregate(self._parts.engine, wanted["name"], wanted.get("availability_zone"))
        response.media = {"aggregate": view.brief(made, request.behaviour)}


class Aggregate(Resource):
    """``/os-aggregates/{aggregate_id}``."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def on_get(self, request: Request, response: falcon.Response, *, aggregate_id: str) -> None:
        """Show an aggregate."""
        self._parts.policy.check(request.identity, policies.AGGREGATES_SHOW)
        number = _number(aggregate_id)
        found = self._parts.engine.database.read(lambda session: aggregates.get(session, number))
        response.media = {"aggregate": view.show(found, request.behaviour)}

    def on_put(self, request: Request, response: falcon.Response, *, aggregate_id: str) -> None:
        """Change its name or its zone."""
        wanted = request.body(request.behaviour.aggregate_update_schema)["aggregate"]
        self._parts.policy.check(request.identity, policies.AGGREGATES_UPDATE)
        changed = verbs.change_aggregate(self._parts.engine, _number(aggregate_id), wanted)
        response.media = {"aggregate": view.show(changed, request.behaviour)}

    def on_delete(self, request: Request, _response: falcon.Response, *, aggregate_id: str) -> None:
        """Forget an aggregate; the answer is 200, as it always was."""
        self._parts.policy.check(request.identity, policies.AGGREGATES_DELETE)
        verbs.delete_aggregate(self._parts.engine, _number(aggregate_id))


@dataclass(frozen=True)
class Action:
    """Who may do it, and how it is done."""

    rule: str
    run: Callable[[Engine, int, Mapping[str, Any]], Members]


ACTIONS: Mapping[str, Action] = {
    "add_host": Action(
        policies.AGGREGATES_ADD_HOST,
        lambda engine, number, arguments: verbs.add_host(engine, number, arguments["host"]),
    ),
    "remove_host": Action(
        policies.AGGREGATES_REMOVE_HOST,
        lambda engine, number, arguments: verbs.remove_host(engine, number, arguments["host"]),
    ),
    "set_metadata": Action(
        policies.AGGREGATES_SET_METADATA,
        lambda engine, number, arguments: verbs.set_aggregate_metadata(engine, number, arguments["metadata"]),
    ),
}


class AggregateActions(Resource):
    """``/os-aggregates/{aggregate_id}/action``."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def peek(self, request: Request) -> None:
        """Refuse a body that names no action."""
        request.action(ACTIONS)

    def on_post(self, request: Request, response: falcon.Response, *, aggregate_id: str) -> None:
        """Do it."""
        name = request.action(ACTIONS)
        action = ACTIONS[name]
        arguments = request.body(request.behaviour.aggregate_action_schema)[name]
        self._parts.policy.check(request.identity, action.rule)
        changed = action.run(self._parts.engine, _number(aggregate_id), arguments)
        response.media = {"aggregate": view.show(changed, request.behaviour)}


def _number(text: str) -> int:
    if not is_number(text):
        raise Invalid(reason=f"Invalid aggregate id {text}: it must be a number")
    return int(text)

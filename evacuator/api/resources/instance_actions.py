"""What was asked of a server, by whom, and how it ended."""

from typing import Any

import falcon

from evacuator.api import filters, policies
from evacuator.api.collaborators import Collaborators
from evacuator.api.http import Request, Resource
from evacuator.api.links import Links
from evacuator.api.resources.servers import owner_of
from evacuator.api.views.instance_actions import ActionView
from evacuator.db import pages
from evacuator.db.models import Instance


def _server(parts: Collaborators, request: Request, server_id: str) -> Instance:
    find = pages.server_even_deleted if request.behaviour.shows_actions_of_deleted else pages.server
    return parts.engine.database.read(lambda session: find(session, server_id, request.scope)).instance


class InstanceActions(Resource):
    """``/servers/{server_id}/os-instance-actions``."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def on_get(self, request: Request, response: falcon.Response, *, server_id: str) -> None:
        """List the actions of a server."""
        behaviour, settings = request.behaviour, self._parts.settings
        query = request.query(behaviour.actions_query)
        known = query if behaviour.pages_actions else query.only(())
        instance = _server(self._parts, request, server_id)
        self._parts.policy.check(request.identity, policies.ACTIONS_LIST, owner_of(instance))
        wanted = filters.action_filter(instance.uuid, known)
        page = filters.page(known, settings) if behaviour.pages_actions else pages.EVERYTHING
        found = self._parts.engine.database.read(lambda session: pages.actions(session, wanted, page))
        view = ActionView(behaviour)
        answer: dict[str, Any] = {"instanceActions": [view.brief(action) for action in found]}
        if behaviour.pages_actions and found and len(found) == page.limit:
            answer["links"] = Links(request, settings).next_page(query, found[-1].request_id)
        response.media = answer


class InstanceAction(Resource):
    """``/servers/{server_id}/os-instance-actions/{request_id}``."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def on_get(self, request: Request, response: falcon.Response, *, server_id: str, request_id: str) -> None:
        """Show an action with its parts."""
        instance = _server(self._parts, request, server_id)
        policy, who, target = self._parts.policy, request.identity, owner_of(instance)
        policy.check(who, policies.ACTIONS_SHOW, target)
        action, events = self._parts.engine.database.read(
            lambda session: pages.action(session, instance.uuid, request_id)
        )
        view = ActionView(
            request.behaviour,
            sees_inside=policy.allows(who, policies.ACTIONS_EVENTS, target),
            sees_details=policy.allows(who, policies.ACTIONS_EVENT_DETAILS, target),
        )
        response.media = {"instanceAction": view.alone(action, events, instance.project_id)}

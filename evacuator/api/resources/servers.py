"""Servers: list, show, create, delete."""

import secrets
from typing import Any

import falcon

from evacuator.api import filters, policies
from evacuator.api.collaborators import Collaborators
from evacuator.api.http import Request, Resource
from evacuator.api.links import Links
from evacuator.api.new_server import NewServer
from evacuator.api.views.servers import ServerView
from evacuator.db import pages
from evacuator.db.models import Instance
from evacuator.engine.create import create_instances
from evacuator.engine.delete import delete_instance
from evacuator.errors import ComputeHostNotFound, FlavorNotFound, Invalid

LETTERS = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def generate_password() -> str:
    """Make a password of twelve characters that are hard to confuse."""
    return "".join(secrets.choice(LETTERS) for _ in range(12))


def owner_of(instance: Instance) -> dict[str, str]:
    """Return what policy rules want to know of a server."""
    return {"project_id": instance.project_id, "user_id": instance.user_id}


def view_for(request: Request, parts: Collaborators) -> ServerView:
    """Return how this caller is shown servers."""
    return ServerView(
        request.behaviour,
        Links(request, parts.settings),
        sees_host=parts.policy.allows(request.identity, policies.EXTENDED_ATTRIBUTES),
        sees_host_status=parts.policy.allows(request.identity, policies.SHOW_HOST_STATUS),
    )


class ServerList(Resource):
    """A list of servers."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def _list(self, request: Request, response: falcon.Response, all_rule: str, *, detailed: bool) -> None:
        query = request.query(request.behaviour.servers_query)
        wanted = filters.server_filter(request, query, self._parts.policy, all_rule)
        page = filters.page(query, self._parts.settings)
        view = view_for(request, self._parts)
        down_time = self._parts.engine.rules.service_down_time

        def read(session: Any) -> tuple[list[pages.Server], dict[str, pages.HostState]]:
            found = pages.servers(session, wanted, page)
            asked = view.sees_host_status and detailed
            hosts = (server.instance.host for server in found)
            return found, pages.host_states(session, hosts, down_time) if asked else {}

        found, hosts = self._parts.engine.database.read(read)
        shown = [
            view.listed(server, hosts.get(server.instance.host or "")) if detailed else view.brief(server.instance)
            for server in found
        ]
        answer: dict[str, Any] = {"servers": shown}
        if found and len(found) == page.limit:
            answer["servers_links"] = view.links.next_page(query, found[-1].instance.uuid)
        response.media = answer


class Servers(ServerList):
    """``/servers``."""

    def on_get(self, request: Request, response: falcon.Response) -> None:
        """List servers by name."""
        self._parts.policy.check(request.identity, policies.LIST)
        self._list(request, response, policies.LIST_ALL, detailed=False)

    def on_post(self, request: Request, response: falcon.Response) -> None:
        """Create servers."""
        engine, settings, policy = self._parts.engine, self._parts.settings, self._parts.policy
        body = request.body(request.behaviour.create_schema)["server"]
        policy.check(request.identity, policies.CREATE)
        new = NewServer.from_body(body, self._parts.images, request.identity)
        if new.forces_host:
            policy.check(request.identity, policies.CREATE_ON_HOST)
        elif new.names_host:
            policy.check(request.identity, policies.REQUEST_HOST)
        try:
            created = create_instances(engine, request.identity, new.instances)
        except (FlavorNotFound, ComputeHostNotFound) as error:
            raise Invalid(reason=str(error)) from error
        response.status = 202
        if new.wants_reservation_id:
            response.media = {"reservation_id": created[0].reservation_id}
            return
        view = view_for(request, self._parts)
        shown: dict[str, Any] = {
            "id": created[0].uuid,
            "links": view.brief(created[0])["links"],
            "OS-DCF:diskConfig": "MANUAL",
            "security_groups": [{"name": "default"}],
        }
        if settings.enable_instance_password:
            shown["adminPass"] = generate_password() if new.password is None else new.password
        response.location = view.links.self_href("servers", created[0].uuid)
        response.media = {"server": shown}


class ServersDetail(ServerList):
    """``/servers/detail``."""

    def on_get(self, request: Request, response: falcon.Response) -> None:
        """List servers with all they have."""
        self._parts.policy.check(request.identity, policies.DETAIL)
        self._list(request, response, policies.DETAIL_ALL, detailed=True)


class Server(Resource):
    """``/servers/{server_id}``."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def on_get(self, request: Request, response: falcon.Response, *, server_id: str) -> None:
        """Show a server."""
        down_time = self._parts.engine.rules.service_down_time

        def read(session: Any) -> tuple[pages.Server, dict[str, pages.HostState]]:
            found = pages.server(session, server_id, request.scope)
            return found, pages.host_states(session, [found.instance.host], down_time)

        server, hosts = self._parts.engine.database.read(read)
        self._parts.policy.check(request.identity, policies.SHOW, owner_of(server.instance))
        view = view_for(request, self._parts)
        response.media = {"server": view.alone(server, hosts.get(server.instance.host or ""))}

    def on_delete(self, request: Request, response: falcon.Response, *, server_id: str) -> None:
        """Delete a server."""
        engine = self._parts.engine
        server = engine.database.read(lambda session: pages.server(session, server_id, request.scope))
        self._parts.policy.check(request.identity, policies.DELETE, owner_of(server.instance))
        delete_instance(
            engine, request.identity, server_id, request.scope, override_lock=bool(request.identity.is_admin)
        )
        response.status = 204

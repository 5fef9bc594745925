"""Migrations: all there are, and those of one server."""

from typing import Any

import falcon

from evacuator.api import filters, policies
from evacuator.api.collaborators import Collaborators
from evacuator.api.http import Request, Resource
from evacuator.api.links import Links
from evacuator.api.resources.servers import owner_of
from evacuator.api.views import migrations as view
from evacuator.db import pages
from evacuator.errors import NotFound

NEWEST_FIRST = (("created_at", "desc"), ("id", "desc"))


class Migrations(Resource):
    """``/os-migrations``."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def on_get(self, request: Request, response: falcon.Response) -> None:
        """List migrations."""
        behaviour = request.behaviour
        self._parts.policy.check(request.identity, policies.MIGRATIONS_LIST)
        query = request.query(behaviour.migrations_query)
        wanted = filters.migration_filter(request, query)
        paged = behaviour.pages_migrations
        page = filters.page(query, self._parts.settings, NEWEST_FIRST) if paged else pages.EVERYTHING
        found = self._parts.engine.database.read(lambda session: pages.migrations(session, wanted, page))
        answer: dict[str, Any] = {"migrations": [view.show(ends, behaviour) for ends in found]}
        if paged and found and len(found) == page.limit:
            answer["migrations_links"] = Links(request, self._parts.settings).next_page(query, found[-1].migration.uuid)
        response.media = answer


class ServerMigrations(Resource):
    """``/servers/{server_id}/migrations``: the live migrations in progress, of which there are none."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def on_get(self, request: Request, response: falcon.Response, *, server_id: str) -> None:
        """List none."""
        request.require(request.behaviour.lists_server_migrations)
        found = self._parts.engine.database.read(lambda session: pages.server(session, server_id, request.scope))
        self._parts.policy.check(request.identity, policies.SERVER_MIGRATIONS_LIST, owner_of(found.instance))
        response.media = {"migrations": []}


class ServerMigration(Resource):
    """``/servers/{server_id}/migrations/{migration_id}``: a live migration, which an evacuation is not."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def on_get(self, request: Request, _response: falcon.Response, *, server_id: str, migration_id: str) -> None:
        """Say that there is no such one."""
        request.require(request.behaviour.lists_server_migrations)
        database = self._parts.engine.database
        found = database.read(lambda session: pages.server(session, server_id, request.scope))
        self._parts.policy.check(request.identity, policies.SERVER_MIGRATIONS_SHOW, owner_of(found.instance))
        wanted = pages.MigrationFilter({"instance_uuid": found.instance.uuid})
        known = database.read(lambda session: pages.migrations(session, wanted, pages.Page(1000)))
        if any(str(ends.migration.id) == migration_id for ends in known):
            raise NotFound(reason=f"Migration {migration_id} for server {server_id} is not live-migration.")
        raise NotFound(reason=f"Migration {migration_id} could not be found for server {server_id}.")

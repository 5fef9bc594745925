"""Hypervisors: what hosts have, and which servers are on them."""

from collections.abc import Callable
from typing import Any

import falcon
from oslo_utils import strutils, uuidutils

from evacuator.api import filters, policies
from evacuator.api.collaborators import Collaborators
from evacuator.api.http import Query, Request, Resource
from evacuator.api.links import Links
from evacuator.api.views.hypervisors import HypervisorView, totals
from evacuator.db import pages
from evacuator.db.models import Instance
from evacuator.db.numbers import is_number
from evacuator.errors import Invalid, NotFound

#: More hypervisors than a site has.

Show = Callable[[pages.Hypervisor], dict[str, Any]]


class HypervisorResource(Resource):
    """What the addresses below have in common."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def _find(self, page: pages.Page, name_part: str | None = None) -> list[pages.Hypervisor]:
        engine = self._parts.engine
        down_time = engine.rules.service_down_time
        found = engine.database.read(lambda session: pages.hypervisors(session, down_time, page, name_part))
        if name_part is not None and not found:
            raise NotFound(reason=f"No hypervisor matching '{name_part}' could be found.")
        return found

    def _get(self, request: Request, hypervisor_id: str) -> pages.Hypervisor:
        if request.behaviour.names_services_by_uuid and not uuidutils.is_uuid_like(hypervisor_id):
            raise Invalid(reason=f"Invalid uuid {hypervisor_id}")
        if not request.behaviour.names_services_by_uuid and not is_number(hypervisor_id):
            raise NotFound(reason=f"Hypervisor with ID '{hypervisor_id}' could not be found.")
        engine = self._parts.engine
        down_time = engine.rules.service_down_time
        return engine.database.read(lambda session: pages.hypervisor(session, hypervisor_id, down_time))

    def _servers_of(self, found: list[pages.Hypervisor]) -> dict[str, list[Instance]]:
        hosts = [hypervisor.node.host for hypervisor in found]
        return self._parts.engine.database.read(lambda session: pages.instances_by_host(session, hosts))

    def _with_servers(self, show: Show, view: HypervisorView, found: list[pages.Hypervisor]) -> list[dict[str, Any]]:
        servers = self._servers_of(found)
        return [show(hypervisor) | view.servers(servers[hypervisor.node.host]) for hypervisor in found]


class Hypervisors(HypervisorResource):
    """``/os-hypervisors``."""

    def on_get(self, request: Request, response: falcon.Response) -> None:
        """List hypervisors by name."""
        self._parts.policy.check(request.identity, policies.HYPERVISORS_LIST)
        view = HypervisorView(request.behaviour)
        self._list(request, response, view, view.brief)

    def _list(self, request: Request, response: falcon.Response, view: HypervisorView, show: Show) -> None:
        behaviour, settings = request.behaviour, self._parts.settings
        query = request.query(behaviour.hypervisors_query)
        pattern = query.get("hypervisor_hostname_pattern") if behaviour.names_services_by_uuid else None
        paged = behaviour.pages_hypervisors
        if pattern is not None and ("limit" in query or "marker" in query):
            raise Invalid(
                reason="Paging over hypervisors with the hypervisor_hostname_pattern query parameter is not supported."
            )
        page = filters.page(query, settings) if paged else pages.EVERYTHING
        found = self._find(pages.EVERYTHING if pattern is not None else page, pattern)
        answer: dict[str, Any] = {
            "hypervisors": self._with_servers(show, view, found)
            if _wants_servers(request, query)
            else [show(hypervisor) for hypervisor in found]
        }
        if paged and pattern is None and found and len(found) == page.limit:
            answer["hypervisors_links"] = Links(request, settings).next_page(query, str(view.brief(found[-1])["id"]))
        response.media = answer


class HypervisorsDetail(Hypervisors):
    """``/os-hypervisors/detail``."""

    def on_get(self, request: Request, response: falcon.Response) -> None:
        """List hypervisors with all they have."""
        self._parts.policy.check(request.identity, policies.HYPERVISORS_DETAIL)
        view = HypervisorView(request.behaviour)
        self._list(request, response, view, view.whole)


class HypervisorStatistics(HypervisorResource):
    """``/os-hypervisors/statistics``, until 2.87."""

    def on_get(self, request: Request, response: falcon.Response) -> None:
        """Sum up all hypervisors."""
        request.require(request.behaviour.sums_up_hypervisors)
        self._parts.policy.check(request.identity, policies.HYPERVISORS_STATISTICS)
        response.media = {"hypervisor_statistics": totals(self._find(pages.EVERYTHING))}


class Hypervisor(HypervisorResource):
    """``/os-hypervisors/{hypervisor_id}``."""

    def on_get(self, request: Request, response: falcon.Response, *, hypervisor_id: str) -> None:
        """Show a hypervisor."""
        query = request.query(request.behaviour.hypervisor_query)
        self._parts.policy.check(request.identity, policies.HYPERVISORS_SHOW)
        view = HypervisorView(request.behaviour)
        found = self._get(request, hypervisor_id)
        shown = view.whole(found)
        if _wants_servers(request, query):
            (shown,) = self._with_servers(view.whole, view, [found])
        response.media = {"hypervisor": shown}


class HypervisorSearch(HypervisorResource):
    """``/os-hypervisors/{part of a name}/search``, until 2.52."""

    def on_get(self, request: Request, response: falcon.Response, *, hypervisor_id: str) -> None:
        """Find hypervisors by name."""
        request.require(not request.behaviour.names_services_by_uuid)
        self._parts.policy.check(request.identity, policies.HYPERVISORS_SEARCH)
        view = HypervisorView(request.behaviour)
        response.media = {"hypervisors": [view.brief(found) for found in self._find(pages.EVERYTHING, hypervisor_id)]}


class HypervisorServers(HypervisorResource):
    """``/os-hypervisors/{part of a name}/servers``, until 2.52."""

    def on_get(self, request: Request, response: falcon.Response, *, hypervisor_id: str) -> None:
        """Find servers by the name of their hypervisor."""
        request.require(not request.behaviour.names_services_by_uuid)
        self._parts.policy.check(request.identity, policies.HYPERVISORS_SERVERS)
        view = HypervisorView(request.behaviour)
        found = self._find(pages.EVERYTHING, hypervisor_id)
        response.media = {"hypervisors": self._with_servers(view.brief, view, found)}


class HypervisorUptime(HypervisorResource):
    """``/os-hypervisors/{hypervisor_id}/uptime``, until 2.87."""

    def on_get(self, request: Request, response: falcon.Response, *, hypervisor_id: str) -> None:
        """Show a hypervisor with what no driver here tells: clients that ask want an answer, or they show nothing."""
        request.require(request.behaviour.sums_up_hypervisors)
        self._parts.policy.check(request.identity, policies.HYPERVISORS_UPTIME)
        brief = HypervisorView(request.behaviour).brief(self._get(request, hypervisor_id))
        response.media = {"hypervisor": brief | {"uptime": ""}}


def _wants_servers(request: Request, query: Query) -> bool:
    if not request.behaviour.names_services_by_uuid:
        return False
    return bool(strutils.bool_from_string(query.get("with_servers"), default=False))

"""Flavors."""

from typing import Any

import falcon

from evacuator.api import filters, policies
from evacuator.api.collaborators import Collaborators
from evacuator.api.http import Request, Resource
from evacuator.api.links import Links
from evacuator.api.views.flavors import FlavorView
from evacuator.db import flavors, pages
from evacuator.db.models import Flavor as FlavorRow
from evacuator.errors import NotFound


class Flavors(Resource):
    """``/flavors``."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def on_get(self, request: Request, response: falcon.Response) -> None:
        """List flavors by name."""
        view = FlavorView(request.behaviour, Links(request, self._parts.settings))
        self._list(request, response, view, view.brief)

    def _list(self, request: Request, response: falcon.Response, view: FlavorView, show: Any) -> None:
        query = request.query(request.behaviour.flavors_query)
        wanted, page = filters.flavor_filter(request, query), filters.page(query, self._parts.settings)
        found = self._parts.engine.database.read(lambda session: pages.flavors(session, wanted, page))
        answer: dict[str, Any] = {"flavors": [show(flavor) for flavor in found]}
        if found and len(found) == page.limit:
            answer["flavors_links"] = view.links.next_page(query, found[-1].flavorid)
        response.media = answer


class FlavorsDetail(Flavors):
    """``/flavors/detail``."""

    def on_get(self, request: Request, response: falcon.Response) -> None:
        """List flavors with all they have."""
        view = FlavorView(request.behaviour, Links(request, self._parts.settings))
        self._list(request, response, view, view.whole)


def _flavor(parts: Collaborators, flavor_id: str) -> FlavorRow:
    return parts.engine.database.read(lambda session: flavors.get(session, flavor_id))


class Flavor(Resource):
    """``/flavors/{flavor_id}``."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def on_get(self, request: Request, response: falcon.Response, *, flavor_id: str) -> None:
        """Show a flavor."""
        view = FlavorView(request.behaviour, Links(request, self._parts.settings))
        response.media = {"flavor": view.whole(_flavor(self._parts, flavor_id))}


class ExtraSpecs(Resource):
    """``/flavors/{flavor_id}/os-extra_specs``."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def on_get(self, request: Request, response: falcon.Response, *, flavor_id: str) -> None:
        """List the extra specs of a flavor."""
        self._parts.policy.check(request.identity, policies.FLAVORS_EXTRA_SPECS_LIST)
        response.media = {"extra_specs": _flavor(self._parts, flavor_id).extra_specs}


class ExtraSpec(Resource):
    """``/flavors/{flavor_id}/os-extra_specs/{key}``."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def on_get(self, request: Request, response: falcon.Response, *, flavor_id: str, key: str) -> None:
        """Show an extra spec of a flavor."""
        self._parts.policy.check(request.identity, policies.FLAVORS_EXTRA_SPECS_SHOW)
        specs = _flavor(self._parts, flavor_id).extra_specs
        if key not in specs:
            raise NotFound(reason=f"Flavor {flavor_id} has no extra specs with key {key}.")
        response.media = {key: specs[key]}

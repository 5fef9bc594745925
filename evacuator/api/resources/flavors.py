"""Flavors."""

from typing import Any

import falcon

from evacuator.api import filters, new_flavor, policies
from evacuator.api.collaborators import Collaborators
from evacuator.api.http import Request, Resource
from evacuator.api.links import Links
from evacuator.api.views.flavors import FlavorView
from evacuator.db import flavors, pages
from evacuator.db.models import Flavor as FlavorRow
from evacuator.engine import flavor as verbs
from evacuator.errors import ExtraSpecNotFound, Invalid


class FlavorList(Resource):
    """A list of flavors."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def _view(self, request: Request) -> FlavorView:
        return FlavorView(request.behaviour, Links(request, self._parts.settings))

    def _list(self, request: Request, response: falcon.Response, view: FlavorView, show: Any) -> None:
        query = request.query(request.behaviour.flavors_query)
        wanted = filters.flavor_filter(request, query)
        page = filters.page(query, self._parts.settings, unsaid=("flavorid", "asc"))
        found = self._parts.engine.database.read(lambda session: pages.flavors(session, wanted, page))
        answer: dict[str, Any] = {"flavors": [show(flavor) for flavor in found]}
        if found and len(found) == page.limit:
            answer["flavors_links"] = view.links.next_page(query, found[-1].flavorid)
        response.media = answer


class Flavors(FlavorList):
    """``/flavors``."""

    def on_get(self, request: Request, response: falcon.Response) -> None:
        """List flavors by name."""
        view = self._view(request)
        self._list(request, response, view, view.brief)

    def on_post(self, request: Request, response: falcon.Response) -> None:
        """Make a flavor."""
        body = request.body(request.behaviour.flavor_create_schema)["flavor"]
        self._parts.policy.check(request.identity, policies.FLAVORS_CREATE)
        made = verbs.create_flavor(self._parts.engine, new_flavor.columns(body))
        response.media = {"flavor": self._view(request).whole(made)}


class FlavorsDetail(FlavorList):
    """``/flavors/detail``."""

    def on_get(self, request: Request, response: falcon.Response) -> None:
        """List flavors with all they have."""
        view = self._view(request)
        self._list(request, response, view, view.whole)


def _flavor(parts: Collaborators, request: Request, flavor_id: str) -> FlavorRow:
    sees_private = bool(request.identity.is_admin)
    return parts.engine.database.read(lambda session: flavors.get(session, flavor_id, sees_private=sees_private))


class Flavor(Resource):
    """``/flavors/{flavor_id}``."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def on_get(self, request: Request, response: falcon.Response, *, flavor_id: str) -> None:
        """Show a flavor."""
        view = FlavorView(request.behaviour, Links(request, self._parts.settings))
        response.media = {"flavor": view.whole(_flavor(self._parts, request, flavor_id))}

    def on_put(self, request: Request, response: falcon.Response, *, flavor_id: str) -> None:
        """Change what is said of a flavor, from 2.55 on."""
        request.require(request.behaviour.describes_flavors)
        body = request.body(request.behaviour.flavor_update_schema)["flavor"]
        self._parts.policy.check(request.identity, policies.FLAVORS_UPDATE)
        changed = verbs.describe_flavor(self._parts.engine, flavor_id, body["description"])
        view = FlavorView(request.behaviour, Links(request, self._parts.settings))
        response.media = {"flavor": view.whole(changed)}

    def on_delete(self, request: Request, response: falcon.Response, *, flavor_id: str) -> None:
        """Forget a flavor."""
        self._parts.policy.check(request.identity, policies.FLAVORS_DELETE)
        verbs.delete_flavor(self._parts.engine, flavor_id)
        response.status = 202


class ExtraSpecs(Resource):
    """``/flavors/{flavor_id}/os-extra_specs``."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def on_get(self, request: Request, response: falcon.Response, *, flavor_id: str) -> None:
        """List the extra specs of a flavor."""
        self._parts.policy.check(request.identity, policies.FLAVORS_EXTRA_SPECS_LIST)
        response.media = {"extra_specs": _flavor(self._parts, request, flavor_id).extra_specs}

    def on_post(self, request: Request, response: falcon.Response, *, flavor_id: str) -> None:
        """Add to the extra specs of a flavor; the answer repeats what was added."""
        specs = new_flavor.specs(request.body(request.behaviour.extra_specs_schema)["extra_specs"])
        self._parts.policy.check(request.identity, policies.FLAVORS_EXTRA_SPECS_CREATE)
        verbs.set_extra_specs(self._parts.engine, flavor_id, specs)
        response.media = {"extra_specs": specs}


class ExtraSpec(Resource):
    """``/flavors/{flavor_id}/os-extra_specs/{key}``."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def on_get(self, request: Request, response: falcon.Response, *, flavor_id: str, key: str) -> None:
        """Show an extra spec of a flavor."""
        self._parts.policy.check(request.identity, policies.FLAVORS_EXTRA_SPECS_SHOW)
        specs = _flavor(self._parts, request, flavor_id).extra_specs
        if key not in specs:
            raise ExtraSpecNotFound(flavor_id=flavor_id, key=key)
        response.media = {key: specs[key]}

    def on_put(self, request: Request, response: falcon.Response, *, flavor_id: str, key: str) -> None:
        """Set an extra spec of a flavor."""
        specs = new_flavor.specs(request.body(request.behaviour.extra_spec_schema))
        self._parts.policy.check(request.identity, policies.FLAVORS_EXTRA_SPECS_UPDATE)
        if key not in specs:
            raise Invalid(reason="Request body and URI mismatch")
        verbs.set_extra_specs(self._parts.engine, flavor_id, specs)
        response.media = specs

    def on_delete(self, request: Request, _response: falcon.Response, *, flavor_id: str, key: str) -> None:
        """Take an extra spec from a flavor; the answer is 200, as it always was."""
        self._parts.policy.check(request.identity, policies.FLAVORS_EXTRA_SPECS_DELETE)
        verbs.delete_extra_spec(self._parts.engine, flavor_id, key)

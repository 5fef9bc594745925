"""Availability zones."""

import falcon

from evacuator.api import policies
from evacuator.api.collaborators import Collaborators
from evacuator.api.http import Request, Resource
from evacuator.api.views import availability_zones as view
from evacuator.db import services


class AvailabilityZones(Resource):
    """``/os-availability-zone``."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def on_get(self, request: Request, response: falcon.Response) -> None:
        """List zones."""
        self._parts.policy.check(request.identity, policies.ZONES_LIST)
        self._list(response, with_hosts=False)

    def _list(self, response: falcon.Response, *, with_hosts: bool) -> None:
        engine = self._parts.engine
        down_time = engine.rules.service_down_time
        found = engine.database.read(lambda session: services.listing(session, down_time))
        response.media = {"availabilityZoneInfo": view.listing(found, with_hosts=with_hosts)}


class AvailabilityZonesDetail(AvailabilityZones):
    """``/os-availability-zone/detail``."""

    def on_get(self, request: Request, response: falcon.Response) -> None:
        """List zones with their hosts."""
        self._parts.policy.check(request.identity, policies.ZONES_DETAIL)
        self._list(response, with_hosts=True)

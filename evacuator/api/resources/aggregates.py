"""Host aggregates. There are none yet; clients that show a hypervisor need the list to answer."""

import falcon

from evacuator.api import policies
from evacuator.api.collaborators import Collaborators
from evacuator.api.http import Request, Resource


class Aggregates(Resource):
    """``/os-aggregates``."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def on_get(self, request: Request, response: falcon.Response) -> None:
        """List none."""
        self._parts.policy.check(request.identity, policies.AGGREGATES_LIST)
        response.media = {"aggregates": []}

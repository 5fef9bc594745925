"""Networks, of which there are none, for clients that look for them at the same address and go on without."""

import falcon

from evacuator.api.collaborators import Collaborators
from evacuator.api.http import Request, Resource


class Networks(Resource):
    """``/networks``."""

    def __init__(self, _parts: Collaborators) -> None:
        pass

    def on_get(self, _request: Request, response: falcon.Response) -> None:
        """List none."""
        response.media = {"networks": []}

"""Images, in the form of the image service, for clients that look for it at the same address."""

import falcon

from evacuator.api.collaborators import Collaborators
from evacuator.api.http import Request, Resource


class Images(Resource):
    """``/images``."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def on_get(self, _request: Request, response: falcon.Response) -> None:
        """List images."""
        response.media = {"images": list(self._parts.images.list())}


class Image(Resource):
    """``/images/{image_id}``."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def on_get(self, _request: Request, response: falcon.Response, *, image_id: str) -> None:
        """Show an image: without a key around it, as the image service does."""
        response.media = dict(self._parts.images.get(image_id))

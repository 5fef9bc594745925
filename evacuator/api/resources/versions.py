"""The documents that say which versions are served. They are for everybody."""

from typing import ClassVar

import falcon

from evacuator.api.collaborators import Collaborators
from evacuator.api.http import Request, Resource
from evacuator.api.links import Links
from evacuator.api.views import versions


class Versions(Resource):
    """``/``: all versions, whatever the method."""

    answers_everybody: ClassVar[bool] = True
    is_versioned: ClassVar[bool] = False

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def on_get(self, request: Request, response: falcon.Response) -> None:
        """Show them."""
        response.media = versions.listing(Links(request, self._parts.settings).root)

    on_head = on_post = on_put = on_patch = on_delete = on_get


class VersionDocument(Resource):
    """A document on one version: that of the address."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def _show(self, request: Request, response: falcon.Response) -> None:
        path = "v2" if request.legacy else "v2.1"
        response.media = versions.alone(Links(request, self._parts.settings).root, path)


class Version(VersionDocument):
    """``/v2.1`` and ``/v2``: one version."""

    answers_everybody: ClassVar[bool] = True

    def on_get(self, request: Request, response: falcon.Response) -> None:
        """Show it."""
        self._show(request, response)

    on_head = on_get


class NamedVersion(VersionDocument):
    """``/v2.1/versions/v2.1``: the same document, behind authentication."""

    def on_get(self, request: Request, response: falcon.Response, *, version: str) -> None:
        """Show it."""
        if version != "v2.1":
            raise falcon.HTTPNotFound
        self._show(request, response)

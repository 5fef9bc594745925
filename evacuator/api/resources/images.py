"""Images, in the form of the image service, for clients that look for it at the same address."""

from collections.abc import Sequence

import falcon

from evacuator.api import images
from evacuator.api.collaborators import Collaborators
from evacuator.api.http import Query, Request, Resource
from evacuator.errors import Invalid

#: What a list may be narrowed by: all of them are compared as they are.
FILTERS = ("name", "status", "visibility", "container_format", "disk_format", "owner")


class Images(Resource):
    """``/images``."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def on_get(self, request: Request, response: falcon.Response) -> None:
        """List images."""
        query = request.query(request.behaviour.images_query)
        found = [image for image in self._parts.images.list(request.identity) if _fits(image, query)]
        response.media = {"images": _page(found, query)}


class Image(Resource):
    """``/images/{image_id}``."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def on_get(self, request: Request, response: falcon.Response, *, image_id: str) -> None:
        """Show an image: without a key around it, as the image service does."""
        response.media = dict(self._parts.images.get(request.identity, image_id))


def _fits(image: images.Image, query: Query) -> bool:
    wanted = query.without({"visibility"}) if query.get("visibility") == "all" else query
    tags = wanted.all("tag")
    return set(tags) <= set(image["tags"]) and all(
        image[name] == wanted.get(name) for name in FILTERS if name in wanted
    )


def _page(found: Sequence[images.Image], query: Query) -> Sequence[images.Image]:
    """Return the images behind the marker, up to the limit; without one, all.

    :raises Invalid: no image is the marker.
    """
    marker, limit = query.get("marker"), query.get("limit")
    if marker is not None:
        places = [place for place, image in enumerate(found, 1) if image["id"] == marker]
        if not places:
            raise Invalid(reason=f"marker [{marker}] not found")
        found = found[places[-1] :]
    return found if limit is None else found[: int(limit)]

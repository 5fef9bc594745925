"""Where images come from."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from evacuator.context import RequestContext
from evacuator.errors import ImageNotFound

#: An image in the form of the image service's second version: one flat object.
Image = Mapping[str, Any]


class Images(Protocol):
    """A source of images.

    :raises ImagesUnavailable: it does not answer, to either question.
    """

    def list(self, caller: RequestContext) -> Sequence[Image]:
        """Return all images that ``caller`` may use."""

    def get(self, caller: RequestContext, image_id: str) -> Image:
        """Return an image.

        :raises ImageNotFound: there is none of this id, or not for ``caller``.
        """


class BuiltInImages:
    """The one small image that is always there; simulated guests boot from it."""

    #: As if it were a mebibyte of zeros.
    IMAGE: ClassVar[Image] = {
        "id": "11111111-1111-4111-8111-111111111111",
        "name": "small",
        "status": "active",
        "visibility": "public",
        "protected": True,
        "owner": None,
        "container_format": "bare",
        "disk_format": "raw",
        "size": 1048576,
        "checksum": "b6d81b360a5672d80c27430f39153e2c",
        "os_hash_algo": "sha512",
        "os_hash_value": (
            "d6292685b380e338e025b3415a90fe8f9d39a46e7bdba8cb78c50a338cefca74"
            "1f69e4e46411c32de1afdedfb268e579a51f81ff85e56f55b0ee7c33fe8c25c9"
        ),
        "min_disk": 0,
        "min_ram": 0,
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
        "tags": [],
    }

    def list(self, caller: RequestContext) -> Sequence[Image]:  # noqa: ARG002 - everybody may use it
        """Return the one image."""
        return [self.IMAGE]

    def get(self, caller: RequestContext, image_id: str) -> Image:  # noqa: ARG002
        """Return the one image.

        :raises ImageNotFound:
        """
        if image_id != self.IMAGE["id"]:
            raise ImageNotFound(image_id=image_id)
        return self.IMAGE

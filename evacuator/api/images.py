"""Where images come from."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from evacuator.errors import ImageNotFound

#: An image in the form of the image service's second version: one flat object.
Image = Mapping[str, Any]


class Images(Protocol):
    """A source of images."""

    def list(self) -> Sequence[Image]:
        """Return all images."""

    def get(self, image_id: str) -> Image:
        """Return an image.

        :raises ImageNotFound:
        """


class BuiltInImages:
    """The one small image that is always there; simulated guests boot from it."""

    IMAGE: ClassVar[Image] = {
        "id": "11111111-1111-4111-8111-111111111111",
        "name": "small",
        "status": "active",
        "visibility": "public",
        "protected": True,
        "container_format": "bare",
        "disk_format": "raw",
        "size": 1048576,
        "min_disk": 0,
        "min_ram": 0,
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
        "tags": [],
    }

    def list(self) -> Sequence[Image]:
        """Return the one image."""
        return [self.IMAGE]

    def get(self, image_id: str) -> Image:
        """Return the one image.

        :raises ImageNotFound:
        """
        if image_id != self.IMAGE["id"]:
            raise ImageNotFound(image_id=image_id)
        return self.IMAGE

"""Images that are files in a folder, as the API shows them."""

from collections.abc import Sequence
from pathlib import Path

from evacuator.api.images import Image
from evacuator.errors import ImageNotFound
from evacuator.virt.libvirt.images import ImageFolder, StoredImage


class FolderImages:
    """The images in ``[libvirt] images_path``, looked up anew each time: putting a file there is adding an image."""

    def __init__(self, path: Path) -> None:
        self._folder = ImageFolder(path)

    def list(self) -> Sequence[Image]:
        """Return all images."""
        return [_shown(image) for image in self._folder.list()]

    def get(self, image_id: str) -> Image:
        """Return an image.

        :raises ImageNotFound:
        """
        image = self._folder.find(image_id)
        if image is None:
            raise ImageNotFound(image_id=image_id)
        return _shown(image)


def _shown(image: StoredImage) -> Image:
    changed = f"{image.changed_at:%Y-%m-%dT%H:%M:%SZ}"
    return {
        "id": image.id,
        "name": image.name,
        "status": "active",
        "visibility": "public",
        "protected": True,
        "container_format": "bare",
        "disk_format": image.kind,
        "size": image.size,
        "min_disk": 0,
        "min_ram": 0,
        "created_at": changed,
        "updated_at": changed,
        "tags": [],
    }

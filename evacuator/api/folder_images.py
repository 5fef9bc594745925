"""Images that are files in a folder, as the API shows them."""

import logging
from collections.abc import Sequence

from evacuator.api.checksums import ChecksumBook, Checksums
from evacuator.api.images import Image
from evacuator.context import RequestContext
from evacuator.errors import ImageNotFound, ImagesUnavailable
from evacuator.lanes import AllHang, Lanes, TimedOut
from evacuator.virt.libvirt.images import ImageFolder, StoredImage

LOG = logging.getLogger(__name__)

#: Seconds that an answer waits for checksums. Until a file that takes longer is read, it is shown without.
PATIENCE = 0.5

#: Seconds that it waits for the folder itself, which may be on a machine that has died: mounted hard, it never answers.
FOLDER_PATIENCE = 5.0


class FolderImages:
    """The images in ``[libvirt] images_path``, looked up anew each time: putting a file there is adding an image."""

    def __init__(self, folder: ImageFolder, patience: float = FOLDER_PATIENCE) -> None:
        self._folder = folder
        self._patience = patience
        self._lanes = Lanes("images", most=4)
        self._checksums = ChecksumBook()

    def list(self, caller: RequestContext) -> Sequence[Image]:  # noqa: ARG002 - everybody may use them
        """Return all images.

        :raises ImagesUnavailable:
        """
        return self._shown(self._stored())

    def get(self, caller: RequestContext, image_id: str) -> Image:  # noqa: ARG002
        """Return an image.

        :raises ImageNotFound, ImagesUnavailable:
        """
        found = [image for image in self._stored() if image.id == image_id]
        if not found:
            raise ImageNotFound(image_id=image_id)
        return self._shown(found[:1])[0]

    def _stored(self) -> Sequence[StoredImage]:
        try:
            return self._lanes.call(self._folder.list, self._patience)
        except (OSError, TimedOut, AllHang) as error:
            LOG.warning("The images in %s cannot be read: %s", self._folder.path, str(error) or "it does not answer")
            raise ImagesUnavailable(reason="The images cannot be read. Operators: the log says why.") from error

    def _shown(self, images: Sequence[StoredImage]) -> Sequence[Image]:
        known = self._checksums.look_up(images, PATIENCE)
        return [_shown(image, known.get(image)) for image in images]


def _shown(image: StoredImage, checksums: Checksums | None) -> Image:
    changed = f"{image.changed_at:%Y-%m-%dT%H:%M:%SZ}"
    return {
        "id": image.id,
        "name": image.name,
        "status": "active",
        "visibility": "public",
        "protected": True,
        "owner": None,
        "container_format": "bare",
        "disk_format": image.kind,
        "size": image.size,
        "checksum": checksums and checksums.md5,
        "os_hash_algo": "sha512" if checksums else None,
        "os_hash_value": checksums and checksums.sha512,
        "min_disk": 0,
        "min_ram": 0,
        "created_at": changed,
        "updated_at": changed,
        "tags": [],
    }

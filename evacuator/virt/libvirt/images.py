"""The images that new instances are made from: files in a folder, each an image by the end of its name."""

import errno
import logging
import stat
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid5

LOG = logging.getLogger(__name__)

#: How an image is stored, by the end of its name; never by its content, which whoever made it controls.
FORMATS = {".qcow2": "qcow2", ".raw": "raw", ".img": "raw"}

_NAMESPACE = UUID("5e0a6f0e-6f0c-5c3f-9a53-2f8f4c1d7b60")


@dataclass(frozen=True)
class StoredImage:
    """One image. ``id``: its name where that is a uuid, else one made of the name. ``size``: of the file, in bytes."""

    id: str
    name: str
    path: Path
    kind: str
    size: int
    changed_at: datetime


@dataclass(frozen=True)
class ImageFolder:
    """The images in a folder."""

    path: Path
    _told: set[Path] = field(default_factory=set, init=False, repr=False, compare=False)

    def list(self) -> list[StoredImage]:
        """Return all images by name; none where there is no such folder.

        A file that cannot be shown is left out, and is named in the log the first time.

        :raises OSError: the folder cannot be read, or its storage does not answer.
        """
        if not self.path.is_dir():
            return []
        files = sorted(self.path.iterdir(), key=lambda file: file.name)
        return [image for file in files if file.suffix in FORMATS and (image := self._shown(file))]

    def find(self, image_id: str) -> StoredImage | None:
        """Return one image, or None."""
        return next((image for image in self.list() if image.id == image_id), None)

    def _shown(self, file: Path) -> StoredImage | None:
        try:
            return _image(file)
        # Its name is in bytes that are no text, its date in no calendar, or it is a link that leads to no end.
        except (OSError, ValueError, OverflowError) as error:
            if isinstance(error, OSError) and not _leads_astray(file, error):
                raise
            if file not in self._told:
                self._told.add(file)
                # As Python writes it: a log cannot hold such a name either.
                LOG.warning("%r is no image until that is mended: %s", str(file), error)
            return None


def _leads_astray(file: Path, error: OSError) -> bool:
    """Tell a link that leads nowhere we may go from storage that does not answer, of which no file tells anything."""
    return error.errno == errno.ELOOP or (error.errno == errno.EACCES and file.is_symlink())


def _image(file: Path) -> StoredImage | None:
    try:
        facts = file.stat()
    except FileNotFoundError:  # it has just gone, or is a link to nothing
        return None
    if not stat.S_ISREG(facts.st_mode):
        return None
    return StoredImage(
        id=_id_of(file.stem),
        name=file.stem,
        path=file,
        kind=FORMATS[file.suffix],
        size=facts.st_size,
        changed_at=datetime.fromtimestamp(facts.st_mtime, UTC),
    )


def _id_of(name: str) -> str:
    try:
        return str(UUID(name))
    except ValueError:
        return str(uuid5(_NAMESPACE, name))

"""The checksums of images in a folder, read once: they are known until the file changes."""

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from evacuator.virt.libvirt.images import StoredImage

LOG = logging.getLogger(__name__)

BLOCK = 1 << 20

#: Seconds after which a file that could not be read is read again.
AGAIN_AFTER = 60.0


class Checksums(NamedTuple):
    """What the image service says of an image's content."""

    md5: str
    sha512: str


def read_checksums(path: Path) -> Checksums:
    """Read a file, all of it.

    :raises OSError:
    """
    md5, sha512 = hashlib.md5(usedforsecurity=False), hashlib.sha512()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            md5.update(block)
            sha512.update(block)
    return Checksums(md5.hexdigest(), sha512.hexdigest())


class _Reading(NamedTuple):
    """What came of reading an image; ``checksums`` is None where it could not be read. ``at``: by the book's clock."""

    image: StoredImage
    checksums: Checksums | None
    at: float


class ChecksumBook:
    """Knows checksums, or has them read on a thread of its own: a big file takes minutes, and nobody waits for it."""

    def __init__(
        self, read: Callable[[Path], Checksums] = read_checksums, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._clock = clock
        self._known: dict[Path, _Reading] = {}
        #: What waits to be read, as it was seen last: a file that is being written is not read as often as it is seen.
        self._wanted: dict[Path, StoredImage] = {}
        self._changed = threading.Condition()
        self._reader: threading.Thread | None = None

    def look_up(self, images: Sequence[StoredImage], patience: float) -> Mapping[StoredImage, Checksums]:
        """Return the checksums that are known within ``patience`` seconds."""
        with self._changed:
            known = self._read_already()
            self._wanted |= {image.path: image for image in images if image not in known}
            self._start_reading()
            self._changed.wait_for(lambda: self._reader is None or self._are_read(images), patience)
            known = self._read_already()
        return {image: found for image in images if (found := known.get(image)) is not None}

    def _read_already(self) -> Mapping[StoredImage, Checksums | None]:
        # That a file may be read now changes neither its size nor its date.
        since = self._clock() - AGAIN_AFTER
        readings = self._known.values()
        return {each.image: each.checksums for each in readings if each.checksums is not None or each.at > since}

    def _are_read(self, images: Sequence[StoredImage]) -> bool:
        return self._wanted.keys().isdisjoint(image.path for image in images)

    def _start_reading(self) -> None:
        if self._wanted and self._reader is None:
            reader = threading.Thread(target=self._read_all, name="checksums", daemon=True)
            try:
                reader.start()
            except RuntimeError as error:  # there are too many already; who asks next tries again
                LOG.warning("Checksums cannot be read now: %s", error)
                return
            self._reader = reader
        self._changed.notify_all()

    def _read_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted)
                image = next(iter(self._wanted.values()))
            checksums = self._read_one(image)
            with self._changed:
                self._known[image.path] = _Reading(image, checksums, self._clock())
                if self._wanted[image.path] == image:
                    del self._wanted[image.path]
                self._changed.notify_all()

    def _read_one(self, image: StoredImage) -> Checksums | None:
        try:
            return self._read(image.path)
        except OSError as error:
            before = self._known.get(image.path)
            if before is None or before.image != image:
                LOG.warning("The checksum of %s is not known: %s", image.path, error)
            return None

"""Disks and what they are made of, as files that this process can reach; every wait here is the caller's to bound."""

import contextlib
import functools
import glob
import json
import os
import subprocess
import time
import uuid as uuids
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evacuator import errors
from evacuator.virt.driver import Guest
from evacuator.virt.libvirt.images import FORMATS, ImageFolder

GIB = 1 << 30

#: The file on a storage that gives it its name.
MARKER = ".evacuator-storage"

#: So many hexadecimal digits at the end of a name tell two attempts apart.
_TAIL = 8


@dataclass(frozen=True)
class DiskFolder:
    """Where the disks of new instances are, and the images they are made from.

    ``patience``: how long making one may take, in seconds: less than its caller waits.
    """

    host: str
    instances: Path
    images: Path
    copies: bool
    mode: int
    patience: float

    @functools.cached_property
    def _images(self) -> ImageFolder:
        return ImageFolder(self.images)  # one for all disks: it knows what it has logged

    def path_of(self, uuid: str) -> Path:
        """Return where the disk of a new instance is."""
        return self.instances / f"{uuid}.qcow2"

    def make(self, guest: Guest) -> None:
        """Make a disk under a name of its own and link it into its place; one that is there already is kept.

        :raises DriverError: it could not be made.
        """
        with self._explained(guest.uuid, "made"):
            try:
                if not self.path_of(guest.uuid).exists():
                    with contextlib.suppress(FileExistsError):
                        self._make(guest)
            finally:
                self.leave(guest.uuid)

    def make_again(self, guest: Guest) -> None:
        """Make a disk that was lost; until :meth:`leave` its own name stays, by which another attempt knows it.

        :raises DiskNotLost: one is there that no attempt here made.
        :raises DriverError: it could not be made.
        """
        place = self.path_of(guest.uuid)
        with self._explained(guest.uuid, "made"):
            if not place.exists():
                self._make(guest)
            elif not self._is_known(guest.uuid):
                raise errors.DiskNotLost(uuid=guest.uuid, host=self.host, path=place)

    def leave(self, uuid: str) -> None:
        """Take the own name of a disk away: whoever finds the disk from now on does not ask who made it."""
        for own in self._own_names(uuid):
            with contextlib.suppress(OSError):
                own.unlink(missing_ok=True)

    def unmake(self, uuid: str) -> None:
        """Delete a disk that :meth:`make_again` made, and that was not left yet.

        :raises DriverError: it could not be deleted.
        """
        with self._explained(uuid, "deleted"):
            if self._is_known(uuid):
                self.path_of(uuid).unlink()
        self.leave(uuid)

    def set_aside(self, uuid: str) -> Path | None:
        """Move a disk out of its place; return where it is now, or None when there was none.

        :raises DriverError: it could not be moved.
        """
        place = self.path_of(uuid)
        aside = place.with_stem(f"{place.stem}.replaced-{_tail()}")
        with self._explained(uuid, "set aside"):
            try:
                place.rename(aside)
            except FileNotFoundError:
                return None
        return aside

    def delete(self, uuid: str, paths: list[str]) -> list[str]:
        """Delete that of ``paths`` which was made here, as its name says; return the others, which an owner brought.

        :raises DriverError: it could not be deleted.
        """
        ours = self.path_of(uuid)
        others = [path for path in paths if Path(path) != ours]
        if len(others) < len(paths):
            with self._explained(uuid, "deleted"):
                ours.unlink(missing_ok=True)
        return others

    def storage_id(self) -> str:
        """Return the name of the storage, and give it one where it has none."""
        marker = self.instances / MARKER
        if not marker.exists():
            made = self.instances / f"{MARKER}.{self.host}.{_tail()}"
            try:
                made.write_text(f"{uuids.uuid4()}\n")
                with contextlib.suppress(FileExistsError):
                    marker.hardlink_to(made)
            finally:
                made.unlink(missing_ok=True)
        return marker.read_text().strip()

    def size_gb(self) -> int:
        """Return the size of the file system, in GiB."""
        found = os.statvfs(self.instances)
        return max(1, found.f_frsize * found.f_blocks // GIB)

    def _own_names(self, uuid: str) -> list[Path]:
        # To the letter: another host's name may begin with this one's, and its disks are not to be touched.
        return list(self.instances.glob(f".{uuid}.{glob.escape(self.host)}.{'[0-9a-f]' * _TAIL}"))

    def _new_own_name(self, uuid: str) -> Path:
        return self.instances / f".{uuid}.{self.host}.{_tail()}"

    def _is_known(self, uuid: str) -> bool:
        """Whether a disk in its place still has its own name beside it."""
        place = self.path_of(uuid)
        return place.exists() and any(place.samefile(own) for own in self._own_names(uuid))

    def _make(self, guest: Guest) -> None:
        """Make a disk and link it into its place, with its own name beside it.

        :raises FileExistsError: one is there.
        """
        self.leave(guest.uuid)  # by an attempt that died; only one is under way here at a time
        made = self._new_own_name(guest.uuid)
        try:
            self._fill(made, guest)
            made.chmod(self.mode)
            self.path_of(guest.uuid).hardlink_to(made)
        except BaseException:  # whatever it is, nobody else takes away what is half made
            made.unlink(missing_ok=True)
            raise

    @contextlib.contextmanager
    def _explained(self, uuid: str, what: str) -> Iterator[None]:
        try:
            yield
        # What is no text or no number to the system, a name or a mode, is as little to be had as what it refuses.
        except (OSError, ValueError, OverflowError) as error:
            reason = f"The disk of instance {uuid} could not be {what} in {self.instances}: {error}."
            raise errors.DriverError(reason=reason) from error

    def _fill(self, disk: Path, guest: Guest) -> None:
        size = max(guest.disk_gb * GIB, 1 << 20)
        qemu_img = _QemuImg(self.patience)
        if guest.image_ref is None:
            qemu_img.run("create", "-q", "-f", "qcow2", str(disk), str(size))
            return
        image, kind = self._image(guest.image_ref)
        size = max(size, qemu_img.virtual_size(image, kind))
        if self.copies:
            qemu_img.run("convert", "-f", kind, "-O", "qcow2", str(image), str(disk))
            qemu_img.run("resize", "-q", "-f", "qcow2", str(disk), str(size))
        else:
            qemu_img.run("create", "-q", "-f", "qcow2", "-F", kind, "-b", str(image), str(disk), str(size))

    def _image(self, image_ref: str) -> tuple[Path, str]:
        image = self._images.find(image_ref)
        if image is not None:
            return image.path, image.kind
        endings = " or ".join(FORMATS)
        raise errors.DriverError(
            reason=f"There is no image {image_ref} in {self.images} on host {self.host}. What an image service has "
            f"does not come by itself: put it there as {image_ref} with the ending {endings}."
        )


def _tail() -> str:
    return uuids.uuid4().hex[:_TAIL]


class _QemuImg:
    """qemu-img: all that it is asked to do has to be done within ``patience`` seconds from now."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._deadline = time.monotonic() + patience

    def virtual_size(self, image: Path, kind: str) -> int:
        """Return the size of the disk that a guest sees, in bytes.

        :raises DriverError: as of :meth:`run`, or it prints something else.
        """
        said = self.run("info", "-U", "-f", kind, "--output=json", str(image))
        try:
            return int(json.loads(said)["virtual-size"])
        except (ValueError, TypeError, KeyError) as error:
            reason = f"qemu-img info says no size of {image}: {said.strip() or 'nothing'}."
            raise errors.DriverError(reason=reason) from error

    def run(self, *arguments: str) -> str:
        """Return what it prints.

        :raises DriverError: it failed, or took too long and was killed.
        """
        command, left = ["qemu-img", *arguments], max(0.0, self._deadline - time.monotonic())
        try:
            done = subprocess.run(  # noqa: S603 - no shell; the paths are ours
                command,
                capture_output=True,
                encoding="utf-8",
                errors="replace",  # it prints names of files, which may be any bytes
                check=False,
                timeout=left,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired as error:
            raise errors.DriverError(
                reason=f"qemu-img {arguments[0]} took longer than the {self._patience:g} seconds that making a disk "
                "may take: raise [libvirt] effect_timeout, or set disk_from_image = overlay."
            ) from error
        except OSError as error:
            raise errors.DriverError(reason=f"qemu-img could not be run: {error}.") from error
        if done.returncode != 0:
            said = " ".join(done.stderr.split())
            raise errors.DriverError(reason=f"qemu-img {arguments[0]} failed: {said or done.returncode}.")
        return done.stdout

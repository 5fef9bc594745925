import errno
import hashlib
import os
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from evacuator.api.checksums import AGAIN_AFTER, ChecksumBook, read_checksums
from evacuator.api.folder_images import FolderImages
from evacuator.api.images import BuiltInImages
from evacuator.context import RequestContext
from evacuator.errors import ImageNotFound, ImagesUnavailable
from evacuator.virt.libvirt.images import ImageFolder

LATIN_1 = os.fsdecode(b"B\xfcro.qcow2")

ANYBODY = RequestContext(user_id="u", project_id="p")


def test_files_in_the_folder_are_shown_as_images(tmp_path):
    (tmp_path / "debian-12.qcow2").write_bytes(b"12345")
    images = FolderImages(ImageFolder(tmp_path))

    (image,) = images.list(ANYBODY)

    assert set(image) == set(BuiltInImages.IMAGE)
    assert (image["name"], image["disk_format"], image["size"]) == ("debian-12", "qcow2", 5)
    assert image["checksum"] == hashlib.md5(b"12345").hexdigest()
    assert (image["os_hash_algo"], image["os_hash_value"]) == ("sha512", hashlib.sha512(b"12345").hexdigest())
    assert images.get(ANYBODY, image["id"]) == image
    with pytest.raises(ImageNotFound):
        images.get(ANYBODY, "11111111-1111-4111-8111-111111111111")


def test_a_checksum_is_that_of_the_file_as_it_is_now(tmp_path):
    path = tmp_path / "debian-12.raw"
    images = FolderImages(ImageFolder(tmp_path))
    for content in (b"first", b"second and longer"):
        path.write_bytes(content)
        (image,) = images.list(ANYBODY)
        assert image["checksum"] == hashlib.md5(content).hexdigest()


def test_what_is_no_file_is_no_image(tmp_path):
    os.mkfifo(tmp_path / "pipe.raw")
    (tmp_path / "folder.raw").mkdir()
    (tmp_path / "gone.raw").symlink_to(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("no image")
    assert FolderImages(ImageFolder(tmp_path)).list(ANYBODY) == []
    assert FolderImages(ImageFolder(tmp_path / "nowhere")).list(ANYBODY) == []


def named_in_latin_1(folder, _elsewhere):
    (folder / LATIN_1).write_bytes(b"12345")


def that_leads_to_itself(folder, _elsewhere):
    (folder / "loop.raw").symlink_to("loop.raw")


def of_a_year_that_no_calendar_has(folder, elsewhere):
    os.utime(elsewhere.fileno(), (1 << 55, 1 << 55))
    (folder / "late.raw").symlink_to(elsewhere.name)


@pytest.fixture
def elsewhere():
    """A file in memory, where years go on for longer than on a disk."""
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        yield file


@pytest.mark.parametrize("put", [named_in_latin_1, that_leads_to_itself, of_a_year_that_no_calendar_has])
def test_a_file_that_cannot_be_shown_hides_no_other_and_is_named_once_in_the_log(tmp_path, elsewhere, caplog, put):
    (tmp_path / "a.raw").write_bytes(b"1")
    put(tmp_path, elsewhere)
    (tmp_path / "z.raw").write_bytes(b"2")
    images = FolderImages(ImageFolder(tmp_path))

    for _ in range(3):
        assert [image["name"] for image in images.list(ANYBODY)] == ["a", "z"]

    (told,) = [record.getMessage() for record in caplog.records if "is no image" in record.getMessage()]
    assert told.isascii()


def test_a_folder_that_cannot_be_read_is_said_to_be_so(tmp_path):
    unreadable = FolderImages(ImageFolder(tmp_path / ("x" * 300)))
    with pytest.raises(ImagesUnavailable, match="The images cannot be read"):
        unreadable.list(ANYBODY)
    with pytest.raises(ImagesUnavailable, match="The images cannot be read"):
        unreadable.get(ANYBODY, "11111111-1111-4111-8111-111111111111")


class OnStorageThatIsAway(type(Path())):
    """A file in a folder that the system still knows; whatever is asked of the file itself ends in an error."""

    def iterdir(self):
        return iter([self / "a.raw"])

    def is_dir(self):
        return True

    def stat(self, **_how):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))


def test_images_on_storage_that_is_away_are_not_said_to_be_none(tmp_path):
    away = FolderImages(ImageFolder(OnStorageThatIsAway(tmp_path)))
    with pytest.raises(ImagesUnavailable, match="cannot be read"):
        away.list(ANYBODY)


# -- checksums


def stored(path):
    path.write_bytes(b"12345")
    (image,) = ImageFolder(path.parent).list()
    return image


def test_a_checksum_that_takes_long_is_not_waited_for_and_is_there_later(tmp_path):
    image, go = stored(tmp_path / "big.raw"), threading.Event()

    def slowly(path):
        assert go.wait(30)
        return read_checksums(path)

    book = ChecksumBook(slowly)
    assert book.look_up([image], 0.01) == {}
    go.set()
    assert book.look_up([image], 30) == {image: read_checksums(image.path)}


def test_a_file_is_read_once_until_it_changes(tmp_path):
    image, read = stored(tmp_path / "small.raw"), []

    def counted(path):
        read.append(path)
        return read_checksums(path)

    book = ChecksumBook(counted)
    for _ in range(3):
        assert book.look_up([image], 30)[image].md5 == hashlib.md5(b"12345").hexdigest()
    assert len(read) == 1
    assert book.look_up([replace(image, size=6)], 30)
    assert len(read) == 2


def test_what_cannot_be_read_has_no_checksum_and_is_not_tried_again_and_again(tmp_path, caplog):
    image = stored(tmp_path / "gone.raw")
    image.path.unlink()
    book = ChecksumBook()
    for _ in range(3):
        assert book.look_up([image], 30) == {}
    assert caplog.text.count("The checksum of") == 1


class Time:
    """A clock that a test sets."""

    now = 1000.0

    def __call__(self):
        return self.now


def test_what_could_not_be_read_is_read_again_after_a_minute_and_complained_of_once(tmp_path, caplog):
    image, clock, mended, tries = stored(tmp_path / "secret.raw"), Time(), [], []

    def read(path):
        tries.append(path)
        if not mended:
            raise PermissionError(13, "Permission denied", str(path))
        return read_checksums(path)

    book = ChecksumBook(read, clock)
    assert book.look_up([image], 30) == {}
    clock.now += AGAIN_AFTER
    assert book.look_up([image], 30) == {}
    assert caplog.text.count("The checksum of") == 1
    mended.append(True)
    clock.now += AGAIN_AFTER - 1
    assert book.look_up([image], 30) == {}
    assert len(tries) == 2
    clock.now += 1
    assert book.look_up([image], 30) == {image: read_checksums(image.path)}
    clock.now += AGAIN_AFTER
    assert book.look_up([image], 30) == {image: read_checksums(image.path)}
    assert len(tries) == 3


def test_without_a_thread_for_them_there_are_no_checksums_and_nothing_fails_until_there_is_one(
    tmp_path, caplog, monkeypatch
):
    image, book = stored(tmp_path / "small.raw"), ChecksumBook()

    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refuse)
        begun = time.monotonic()
        assert book.look_up([image], 30) == {}
        assert time.monotonic() - begun < 10, "nobody is to be waited for"
    assert "can't start new thread" in caplog.text

    assert book.look_up([image], 30) == {image: read_checksums(image.path)}


class Silent(ImageFolder):
    """One on a machine that has died."""

    died = threading.Event()

    def list(self):
        self.died.wait()
        return []


def test_a_folder_that_does_not_answer_is_not_waited_for(tmp_path):
    images = FolderImages(Silent(tmp_path), patience=0.01)
    try:
        for _ask in range(8):
            with pytest.raises(ImagesUnavailable):
                images.list(ANYBODY)
    finally:
        Silent.died.set()

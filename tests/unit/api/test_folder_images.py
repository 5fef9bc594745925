import pytest

from evacuator.api.folder_images import FolderImages
from evacuator.api.images import BuiltInImages
from evacuator.errors import ImageNotFound


def test_files_in_the_folder_are_shown_as_images(tmp_path):
    (tmp_path / "debian-12.qcow2").write_bytes(b"12345")
    images = FolderImages(tmp_path)

    (image,) = images.list()

    assert set(image) == set(BuiltInImages.IMAGE)
    assert (image["name"], image["disk_format"], image["size"]) == ("debian-12", "qcow2", 5)
    assert images.get(image["id"]) == image
    with pytest.raises(ImageNotFound):
        images.get("11111111-1111-4111-8111-111111111111")

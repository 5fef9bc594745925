import dataclasses
import os
import stat
import threading
import uuid

import pytest

from evacuator import errors
from evacuator.virt.driver import Guest
from evacuator.virt.libvirt.disks import MARKER, DiskFolder
from evacuator.virt.libvirt.images import ImageFolder

GUEST = Guest(str(uuid.uuid4()), "n", 1, 64, 3, None, "p")

FAKE_QEMU_IMG = """#!/bin/sh
echo "$@" >> "$(dirname "$0")/calls"
[ ! -e "$(dirname "$0")/slow" ] || trap 'exec sleep 0.4' EXIT
[ ! -e "$(dirname "$0")/mumbling" ] || { echo half > "$5"; printf 'B\\374ro is full' >&2; exit 1; }
[ ! -e "$(dirname "$0")/broken" ] || { echo "disk full" >&2; exit 1; }
case $1 in
info) cat "$(dirname "$0")/info" 2>&- || echo '{"virtual-size": 5368709120}' ;;
convert) echo copied > "$7" ;;
create) for last; do case $last in /*new-disks/*) echo made > "$last" ;; esac; done ;;
esac
"""


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """A qemu-img that takes notes."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "qemu-img").write_text(FAKE_QEMU_IMG)
    (folder / "qemu-img").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


@pytest.fixture
def make(tmp_path):
    for name in ("new-disks", "images"):
        (tmp_path / name).mkdir()

    def folder(host="a", *, copies=False, patience=10.0):
        return DiskFolder(host, tmp_path / "new-disks", tmp_path / "images", copies, 0o640, patience)

    return folder


def names(folder):
    return sorted(path.name for path in folder.instances.iterdir())


def test_an_empty_disk_has_the_flavors_size(tools, make):
    make().make(GUEST)

    assert names(make()) == [f"{GUEST.uuid}.qcow2"]
    assert stat.S_IMODE(make().path_of(GUEST.uuid).stat().st_mode) == 0o640
    assert (tools / "calls").read_text().endswith(f" {3 << 30}\n")


@pytest.mark.parametrize(("name", "kind"), [("i.qcow2", "qcow2"), ("i.raw", "raw"), ("i.img", "raw")])
@pytest.mark.parametrize("copies", [True, False])
def test_a_disk_from_an_image_is_no_smaller_than_that(tools, make, name, kind, copies):
    folder = make(copies=copies)
    (folder.images / name).write_text("image")
    (image,) = ImageFolder(folder.images).list()

    folder.make(Guest(GUEST.uuid, "n", 1, 64, 3, image.id, "p"))

    calls = (tools / "calls").read_text()
    assert f" {kind} " in calls
    assert calls.endswith(f" {5 << 30}\n")
    assert ("convert" in calls) is copies


@pytest.mark.parametrize("image", ["nowhere", "../images/i", "/etc/passwd"])
def test_an_image_that_is_not_in_its_folder_is_not_there(tools, make, image):
    (make().images / "i.raw").write_text("image")

    with pytest.raises(errors.DriverError, match="There is no image"):
        make().make(Guest(GUEST.uuid, "n", 1, 64, 3, image, "p"))
    assert names(make()) == []


def test_an_image_has_its_name_for_id_where_that_is_a_uuid_and_else_always_the_same(make):
    folder = make().images
    named = str(uuid.uuid4())
    for name in (f"{named}.qcow2", "debian-12.raw", "notes.txt", ".hidden"):
        (folder / name).write_text("x")

    images = {image.name: image for image in ImageFolder(folder).list()}

    assert set(images) == {named, "debian-12"}
    assert images[named].id == named
    assert str(uuid.UUID(images["debian-12"].id)) == images["debian-12"].id
    assert ImageFolder(folder).find(images["debian-12"].id) == images["debian-12"]
    assert ImageFolder(folder / "nowhere").list() == []


def test_a_disk_is_made_beside_an_image_whose_name_is_no_text_which_is_logged_once(tools, make, caplog):
    folder = make()
    (folder.images / "debian-12.raw").write_text("image")
    (image,) = ImageFolder(folder.images).list()
    (folder.images / os.fsdecode(b"B\xfcro.qcow2")).write_text("image")

    for _ in range(2):
        folder.make_again(Guest(GUEST.uuid, "n", 1, 64, 3, image.id, "p"))
        folder.unmake(GUEST.uuid)

    assert caplog.text.count("is no image") == 1


def test_a_disk_that_is_there_is_kept(tools, make):
    make().path_of(GUEST.uuid).write_text("precious")

    make().make(GUEST)

    assert make().path_of(GUEST.uuid).read_text() == "precious"
    assert not (tools / "calls").exists()


def test_what_an_attempt_that_died_left_is_removed_but_not_what_another_host_is_at(tools, make):
    for host in ("a", "b"):
        (make().instances / f".{GUEST.uuid}.{host}.0123abcd").touch()

    make("a").make(GUEST)

    assert names(make()) == [f".{GUEST.uuid}.b.0123abcd", f"{GUEST.uuid}.qcow2"]


@pytest.mark.parametrize(
    ("host", "other"),
    [
        ("node1", "node1.example.org"),
        ("node1", "node1.0123abcd"),
        ("node1", "node1."),
        ("node[1-2]", "node2"),
        ("node*", "node2"),
        ("node?", "node2"),
    ],
)
def test_a_host_tells_what_it_is_at_from_what_hosts_with_like_names_are_at(tools, make, host, other):
    theirs = make().instances / f".{GUEST.uuid}.{other}.0123abcd"
    theirs.write_text("half")

    make(host).make_again(GUEST)
    assert theirs.exists()
    assert len(names(make())) == 3
    make(host).make_again(GUEST)
    make(host).leave(GUEST.uuid)

    assert names(make()) == [theirs.name, f"{GUEST.uuid}.qcow2"]


def test_a_disk_that_a_host_with_a_like_name_made_is_no_other_hosts_to_unmake(tools, make):
    make("node1.example.org").make_again(GUEST)

    with pytest.raises(errors.DiskNotLost):
        make("node1").make_again(GUEST)
    make("node1").unmake(GUEST.uuid)

    assert make().path_of(GUEST.uuid).exists()
    make("node1.example.org").make_again(GUEST)


def test_a_lost_disk_is_made_again_and_known_until_it_is_left(tools, make):
    make().make_again(GUEST)
    made = make().path_of(GUEST.uuid).stat().st_ino

    make().make_again(GUEST)
    assert make().path_of(GUEST.uuid).stat().st_ino == made
    assert len(names(make())) == 2

    make().leave(GUEST.uuid)
    assert names(make()) == [f"{GUEST.uuid}.qcow2"]
    with pytest.raises(errors.DiskNotLost, match="is there already"):
        make().make_again(GUEST)


def test_a_disk_that_is_not_lost_is_no_attempts_to_unmake(tools, make):
    make().path_of(GUEST.uuid).write_text("precious")
    (make().instances / f".{GUEST.uuid}.a.0123abcd").write_text("half")

    with pytest.raises(errors.DiskNotLost):
        make().make_again(GUEST)
    make().unmake(GUEST.uuid)

    assert names(make()) == [f"{GUEST.uuid}.qcow2"]
    assert make().path_of(GUEST.uuid).read_text() == "precious"


def test_what_was_made_again_can_be_unmade(tools, make):
    make().make_again(GUEST)

    make().unmake(GUEST.uuid)

    assert names(make()) == []


def test_a_disk_is_set_aside_under_a_name_that_ends_as_before(make):
    make().path_of(GUEST.uuid).write_text("old")

    aside = make().set_aside(GUEST.uuid)

    assert (aside.suffix, aside.read_text()) == (".qcow2", "old")
    assert names(make()) == [aside.name]
    assert make().set_aside(GUEST.uuid) is None


def test_a_tool_that_fails_leaves_nothing_and_its_words(tools, make):
    (tools / "broken").touch()

    with pytest.raises(errors.DriverError, match="disk full"):
        make().make(GUEST)
    assert names(make()) == []


@pytest.mark.parametrize("making", ["make", "make_again"])
def test_words_of_a_tool_that_are_no_text_are_told_as_far_as_they_are(tools, make, making):
    (tools / "mumbling").touch()

    with pytest.raises(errors.DriverError, match="B\N{REPLACEMENT CHARACTER}ro is full"):
        getattr(make(), making)(GUEST)
    assert names(make()) == []


def test_a_disk_is_made_of_an_image_that_names_what_is_no_text(tools, make):
    folder = make()
    (folder.images / "i.qcow2").write_text("image")
    (image,) = ImageFolder(folder.images).list()
    (tools / "info").write_bytes(b'{"backing-filename": "B\xfcro", "virtual-size": 5368709120}')

    folder.make(Guest(GUEST.uuid, "n", 1, 64, 3, image.id, "p"))

    assert names(folder) == [f"{GUEST.uuid}.qcow2"]


@pytest.mark.parametrize("said", ["", "{}", '{"virtual-size": null}'])
def test_an_answer_of_a_tool_without_a_size_is_said_to_be_that(tools, make, said):
    folder = make()
    (folder.images / "i.qcow2").write_text("image")
    (image,) = ImageFolder(folder.images).list()
    (tools / "info").write_text(said)

    with pytest.raises(errors.DriverError, match=r"qemu-img info says no size of .*i\.qcow2: "):
        folder.make_again(Guest(GUEST.uuid, "n", 1, 64, 3, image.id, "p"))
    assert names(folder) == []


@pytest.mark.parametrize("making", ["make", "make_again"])
def test_whatever_goes_wrong_with_a_disk_it_is_not_left_half_made(tools, make, making):
    folder = dataclasses.replace(make(), mode=1 << 40)

    with pytest.raises(errors.DriverError, match="could not be made"):
        getattr(folder, making)(GUEST)
    assert names(folder) == []


@pytest.mark.parametrize("making", ["make", "make_again"])
def test_what_takes_too_long_in_all_leaves_nothing_and_says_what_to_do(tools, make, making):
    folder = make(copies=True, patience=1.0)
    (folder.images / "i.raw").write_text("image")
    (image,) = ImageFolder(folder.images).list()
    (tools / "slow").touch()

    with pytest.raises(errors.DriverError, match=r"qemu-img \w+ took longer than the 1 seconds .*effect_timeout"):
        getattr(folder, making)(Guest(GUEST.uuid, "n", 1, 64, 3, image.id, "p"))
    assert names(folder) == []


def test_a_tool_that_is_missing_is_said_to_be(make, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(errors.DriverError, match="could not be run"):
        make().make(GUEST)


def test_only_the_disk_that_was_made_here_is_deleted(make, tmp_path):
    ours, neighbour = make().path_of(GUEST.uuid), make().instances / "web.qcow2"
    elsewhere = tmp_path / "images" / ours.name
    for path in (ours, neighbour, elsewhere):
        path.touch()

    left = make().delete(GUEST.uuid, [str(path) for path in (ours, neighbour, elsewhere, ours)])

    assert left == [str(neighbour), str(elsewhere)]
    assert [path.exists() for path in (ours, neighbour, elsewhere)] == [False, True, True]


def test_a_storage_gets_one_name_however_many_ask_at_once(make):
    found, barrier = [], threading.Barrier(8)

    def ask(host):
        barrier.wait()
        found.append(make(host).storage_id())

    threads = [threading.Thread(target=ask, args=(f"h{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8
    assert len(set(found)) == 1
    assert names(make()) == [MARKER]


def test_the_size_of_a_storage_is_that_of_its_file_system(make):
    assert make().size_gb() >= 1

"""The objects that cross RPC stay what they were, or get a new version."""

from oslo_versionedobjects import fixture

from evacuator.objects.instance import Instance
from evacuator.objects.migration import Migration

#: A change of an object's fields or methods changes its fingerprint: raise its VERSION, teach obj_make_compatible to
#: leave out what is new, and only then write the new fingerprint here.
FINGERPRINTS = {
    "Instance": "1.0-a51e6a02af481926beaba4c07adb160f",
    "Migration": "1.1-a0aa7fe1ecf6d917daab6c33e1879b2a",
}

A_UUID = "0d9a5a3c-6f3e-4f0c-9c58-1f7f0d5b7c11"


def a_migration() -> Migration:
    return Migration(
        id=7,
        uuid=A_UUID,
        instance_uuid=A_UUID,
        status="accepted",
        source_compute="a",
        dest_compute="b",
        attempt=3,
    )


def test_no_object_changes_without_a_new_version() -> None:
    checker = fixture.ObjectVersionChecker({"Instance": [Instance], "Migration": [Migration]})
    expected, found = checker.test_hashes(FINGERPRINTS)
    assert expected == found


def test_every_older_version_can_be_made_for_an_older_receiver() -> None:
    fixture.ObjectVersionChecker({"Instance": [Instance], "Migration": [Migration]}).test_compatibility_routines()


def test_a_receiver_of_migration_1_0_is_not_told_of_the_attempt() -> None:
    primitive = a_migration().obj_to_primitive(target_version="1.0")
    assert primitive["evacuator_object.version"] == "1.0"
    assert "attempt" not in primitive["evacuator_object.data"]


def test_a_receiver_of_migration_1_1_is_told_of_the_attempt() -> None:
    assert a_migration().obj_to_primitive()["evacuator_object.data"]["attempt"] == 3

"""What all our versioned objects share: the namespace, and the serializer that knows it."""

from typing import Any

from oslo_versionedobjects import base


class EvacuatorObject(base.VersionedObject):
    """The root of what crosses RPC."""

    OBJ_SERIAL_NAMESPACE = "evacuator_object"
    OBJ_PROJECT_NAMESPACE = "evacuator"


class EvacuatorSerializer(base.VersionedObjectSerializer):
    """Turns our objects into what a message can hold, and back."""

    OBJ_BASE_CLASS = EvacuatorObject


def drop(primitive: dict[str, Any], target_version: str, since: dict[str, tuple[int, int]]) -> None:
    """Remove from ``primitive`` the fields that came after ``target_version``; ``since`` says when each did."""
    major, minor = (int(part) for part in target_version.split("."))
    for name, version in since.items():
        if (major, minor) < version:
            primitive.pop(name, None)

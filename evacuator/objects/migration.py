"""The record of an evacuation, as its destination is told of it."""

from typing import Any

from oslo_versionedobjects import base, fields

from evacuator.objects.registry import EvacuatorObject, drop


@base.VersionedObjectRegistry.register
class Migration(EvacuatorObject):
    """Which evacuation, and which attempt of it. A compute service reads everything else from the record."""

    # 1.0: first version
    # 1.1: attempt, which binds the message to one assignment
    VERSION = "1.1"

    fields = {  # noqa: RUF012 - how the library wants it
        "id": fields.IntegerField(),
        "uuid": fields.UUIDField(),
        "instance_uuid": fields.UUIDField(),
        "status": fields.StringField(),
        "source_compute": fields.StringField(),
        "dest_compute": fields.StringField(nullable=True),
        "attempt": fields.IntegerField(),
    }

    def obj_make_compatible(self, primitive: dict[str, Any], target_version: str) -> None:
        """Leave out what a receiver of ``target_version`` does not know."""
        super().obj_make_compatible(primitive, target_version)
        drop(primitive, target_version, {"attempt": (1, 1)})

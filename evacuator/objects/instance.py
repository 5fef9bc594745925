"""An instance, as a compute service is told of it."""

from oslo_versionedobjects import base, fields

from evacuator.objects.registry import EvacuatorObject


@base.VersionedObjectRegistry.register
class Instance(EvacuatorObject):
    """Which instance, and what it takes. Everything else is read from the database."""

    # 1.0: first version
    VERSION = "1.0"

    fields = {  # noqa: RUF012 - how the library wants it
        "uuid": fields.UUIDField(),
        "host": fields.StringField(nullable=True),
        "vm_state": fields.StringField(),
        "vcpus": fields.IntegerField(),
        "memory_mb": fields.IntegerField(),
        "disk_gb": fields.IntegerField(),
    }

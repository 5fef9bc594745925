"""What answers are made of: every key that any version of a thing has, with what it may be.

Which of the keys a version has is said in ``evacuator.api.microversions``; what only some callers see, or only some
states have, is named beside the keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Kind = dict[str, Any]

TEXT: Kind = {"type": "string"}
TEXT_OR_NULL: Kind = {"type": ["string", "null"]}
NUMBER: Kind = {"type": "integer"}
NUMBER_OR_NULL: Kind = {"type": ["integer", "null"]}
BOOLEAN: Kind = {"type": "boolean"}
NULL: Kind = {"type": "null"}
OBJECT: Kind = {"type": "object"}
SECOND: Kind = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}
MICROSECOND: Kind = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$"}
MICROSECOND_OR_NULL: Kind = {"type": ["string", "null"], "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$"}
ID: Kind = {"type": ["string", "integer"]}
NAMES: Kind = {"type": "array", "items": {"type": "string"}}
TEXTS: Kind = {"type": "object", "additionalProperties": {"type": "string"}}
LINKS: Kind = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"rel": TEXT, "href": {"type": "string", "format": "uri"}, "type": TEXT},
        "required": ["rel", "href"],
        "additionalProperties": False,
    },
}


@dataclass(frozen=True)
class Thing:
    """The keys of a thing; ``sometimes``: those that an answer may lack at a version that has them."""

    keys: Mapping[str, Kind]
    sometimes: frozenset[str] = frozenset()


SERVER_BRIEF = Thing({"id": TEXT, "name": TEXT, "links": LINKS})

SERVER = Thing(
    {
        "id": TEXT,
        "name": TEXT,
        "links": LINKS,
        "status": TEXT,
        "tenant_id": TEXT,
        "user_id": TEXT,
        "created": SECOND,
        "updated": SECOND,
        "hostId": TEXT,
        "accessIPv4": TEXT,
        "accessIPv6": TEXT,
        "addresses": OBJECT,
        "metadata": TEXTS,
        "image": {"type": ["object", "string"]},
        "flavor": OBJECT,
        "key_name": TEXT_OR_NULL,
        "config_drive": TEXT,
        "OS-DCF:diskConfig": TEXT,
        "OS-EXT-AZ:availability_zone": TEXT,
        "OS-EXT-STS:task_state": TEXT_OR_NULL,
        "OS-EXT-STS:vm_state": TEXT,
        "OS-EXT-STS:power_state": NUMBER,
        "OS-SRV-USG:launched_at": MICROSECOND_OR_NULL,
        "OS-SRV-USG:terminated_at": MICROSECOND_OR_NULL,
        "os-extended-volumes:volumes_attached": {"type": "array", "maxItems": 0},
        "progress": NUMBER,
        "fault": {
            "type": "object",
            "properties": {"code": NUMBER, "created": SECOND, "message": TEXT, "details": TEXT},
            "required": ["code", "created", "message"],
            "additionalProperties": False,
        },
        "OS-EXT-SRV-ATTR:host": TEXT_OR_NULL,
        "OS-EXT-SRV-ATTR:hypervisor_hostname": TEXT_OR_NULL,
        "OS-EXT-SRV-ATTR:instance_name": TEXT,
        "OS-EXT-SRV-ATTR:hostname": TEXT,
        "OS-EXT-SRV-ATTR:kernel_id": TEXT,
        "OS-EXT-SRV-ATTR:ramdisk_id": TEXT,
        "OS-EXT-SRV-ATTR:launch_index": NUMBER,
        "OS-EXT-SRV-ATTR:reservation_id": TEXT,
        "OS-EXT-SRV-ATTR:root_device_name": TEXT,
        "OS-EXT-SRV-ATTR:user_data": TEXT_OR_NULL,
        "locked": BOOLEAN,
        "locked_reason": TEXT_OR_NULL,
        "host_status": {"enum": ["", "UP", "DOWN", "MAINTENANCE", "UNKNOWN"]},
        "description": TEXT_OR_NULL,
        "tags": NAMES,
        "trusted_image_certificates": NULL,
        "server_groups": {"type": "array", "maxItems": 0},
    },
    frozenset(
        {
            "progress",
            "fault",
            "host_status",
            "server_groups",
            "OS-EXT-SRV-ATTR:host",
            "OS-EXT-SRV-ATTR:hypervisor_hostname",
            "OS-EXT-SRV-ATTR:instance_name",
            "OS-EXT-SRV-ATTR:hostname",
            "OS-EXT-SRV-ATTR:kernel_id",
            "OS-EXT-SRV-ATTR:ramdisk_id",
            "OS-EXT-SRV-ATTR:launch_index",
            "OS-EXT-SRV-ATTR:reservation_id",
            "OS-EXT-SRV-ATTR:root_device_name",
            "OS-EXT-SRV-ATTR:user_data",
        }
    ),
)

NEW_SERVER = Thing(
    {
        "id": TEXT,
        "links": LINKS,
        "OS-DCF:diskConfig": TEXT,
        "security_groups": {"type": "array", "items": TEXTS},
        "adminPass": TEXT,
    },
    frozenset({"adminPass"}),
)

SERVICE = Thing(
    {
        "id": ID,
        "binary": TEXT,
        "host": TEXT,
        "zone": TEXT,
        "status": {"enum": ["enabled", "disabled"]},
        "state": {"enum": ["up", "down"]},
        "updated_at": MICROSECOND_OR_NULL,
        "disabled_reason": TEXT_OR_NULL,
        "forced_down": BOOLEAN,
    }
)

#: What an update in the older form answers.
SERVICE_CHANGE = Thing(
    {"host": TEXT, "binary": TEXT, "status": TEXT, "disabled_reason": TEXT, "forced_down": BOOLEAN},
    frozenset({"status", "disabled_reason", "forced_down"}),
)

HYPERVISOR_SERVERS: Kind = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"name": TEXT, "uuid": TEXT},
        "required": ["name", "uuid"],
        "additionalProperties": False,
    },
}

HYPERVISOR_BRIEF = Thing(
    {
        "id": ID,
        "hypervisor_hostname": TEXT,
        "state": {"enum": ["up", "down"]},
        "status": {"enum": ["enabled", "disabled"]},
        "servers": HYPERVISOR_SERVERS,
    },
    frozenset({"servers"}),
)

HYPERVISOR_UPTIME = Thing(
    {"id": ID, "hypervisor_hostname": TEXT, "state": TEXT, "status": TEXT, "uptime": {"const": ""}},
)

SUMS: Mapping[str, Kind] = {
    "vcpus": NUMBER,
    "memory_mb": NUMBER,
    "local_gb": NUMBER,
    "vcpus_used": NUMBER,
    "memory_mb_used": NUMBER,
    "local_gb_used": NUMBER,
    "free_ram_mb": NUMBER,
    "free_disk_gb": NUMBER,
    "current_workload": NUMBER,
    "running_vms": NUMBER,
    "disk_available_least": NUMBER,
}

HYPERVISOR = Thing(
    {
        **HYPERVISOR_BRIEF.keys,
        **SUMS,
        "hypervisor_type": TEXT,
        "hypervisor_version": NUMBER,
        "host_ip": TEXT_OR_NULL,
        "service": {
            "type": "object",
            "properties": {"id": ID, "host": TEXT, "disabled_reason": TEXT_OR_NULL},
            "required": ["id", "host", "disabled_reason"],
            "additionalProperties": False,
        },
        "cpu_info": {"type": ["object", "string"]},
        "uptime": NULL,
    },
    frozenset({"servers"}),
)

STATISTICS = Thing({"count": NUMBER, **SUMS})

MIGRATION = Thing(
    {
        "id": NUMBER,
        "uuid": TEXT,
        "migration_type": {"const": "evacuation"},
        "status": {"enum": ["accepted", "pre-migrating", "done", "completed", "failed", "error"]},
        "instance_uuid": TEXT,
        "source_compute": TEXT,
        "source_node": TEXT_OR_NULL,
        "dest_compute": TEXT_OR_NULL,
        "dest_node": TEXT_OR_NULL,
        "dest_host": TEXT_OR_NULL,
        "old_instance_type_id": NULL,
        "new_instance_type_id": NULL,
        "user_id": TEXT,
        "project_id": TEXT,
        "created_at": MICROSECOND,
        "updated_at": MICROSECOND_OR_NULL,
    }
)

ACTION = Thing(
    {
        "action": TEXT,
        "instance_uuid": TEXT,
        "request_id": TEXT,
        "user_id": TEXT,
        "project_id": TEXT,
        "start_time": MICROSECOND,
        "message": TEXT_OR_NULL,
        "updated_at": MICROSECOND,
        "events": {"type": "array", "items": OBJECT},
    },
    frozenset({"events"}),
)

FLAVOR_BRIEF = Thing({"id": TEXT, "name": TEXT, "links": LINKS, "description": TEXT_OR_NULL})

FLAVOR = Thing(
    {
        **FLAVOR_BRIEF.keys,
        "ram": NUMBER,
        "disk": NUMBER,
        "vcpus": NUMBER,
        "swap": {"type": ["integer", "string"]},
        "rxtx_factor": {"type": "number"},
        "OS-FLV-EXT-DATA:ephemeral": NUMBER,
        "OS-FLV-DISABLED:disabled": BOOLEAN,
        "os-flavor-access:is_public": BOOLEAN,
        "extra_specs": TEXTS,
    }
)

AGGREGATE = Thing(
    {
        "id": NUMBER,
        "uuid": TEXT,
        "name": TEXT,
        "availability_zone": TEXT_OR_NULL,
        "hosts": NAMES,
        "metadata": TEXTS,
        "created_at": MICROSECOND,
        "updated_at": MICROSECOND_OR_NULL,
        "deleted": BOOLEAN,
        "deleted_at": NULL,
    },
    frozenset({"hosts", "metadata"}),
)

ZONE = Thing(
    {
        "zoneName": TEXT,
        "zoneState": {"type": "object", "properties": {"available": BOOLEAN}, "required": ["available"]},
        "hosts": {"type": ["object", "null"]},
    }
)

IMAGE = Thing(
    {
        "id": TEXT,
        "name": TEXT_OR_NULL,
        "status": TEXT,
        "visibility": TEXT,
        "protected": BOOLEAN,
        "owner": TEXT_OR_NULL,
        "container_format": TEXT_OR_NULL,
        "disk_format": TEXT_OR_NULL,
        "size": NUMBER_OR_NULL,
        "checksum": TEXT_OR_NULL,
        "os_hash_algo": TEXT_OR_NULL,
        "os_hash_value": TEXT_OR_NULL,
        "min_disk": NUMBER,
        "min_ram": NUMBER,
        "created_at": SECOND,
        "updated_at": SECOND,
        "tags": NAMES,
    }
)

FAULT: Kind = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": {
        "type": "object",
        "properties": {"code": {"type": "integer", "minimum": 400, "maximum": 599}, "message": {"type": "string"}},
        "required": ["code", "message"],
    },
}

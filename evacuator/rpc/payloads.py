"""Events in the form of Nova's versioned notifications.

What an instance does not have here (ports, volumes, shares) is empty as it is in Nova for an instance without them.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from evacuator.evacuation.events import EVACUATE, NO_HOST, Event
from evacuator.evacuation.states import PowerState

#: Event -> the Nova service whose event it is; all others are the compute's.
SERVICES = {EVACUATE: "nova-api", NO_HOST: "nova-conductor"}

POWER_STATES = {
    PowerState.NOSTATE: "pending",
    PowerState.RUNNING: "running",
    PowerState.PAUSED: "paused",
    PowerState.SHUTDOWN: "shutdown",
    PowerState.CRASHED: "crashed",
    PowerState.SUSPENDED: "suspended",
}


def publisher_of(event: Event, here: str) -> str:
    """Return who tells of an event; ``here`` is the machine of a service that is no compute."""
    return f"{SERVICES.get(event.name, 'nova-compute')}:{event.host or here}"


def payload_of(event: Event) -> dict[str, Any]:
    """Return what is told of an event."""
    if event.name == NO_HOST:
        return _compute_task(event)
    if event.name.startswith("instance.rebuild."):
        return _object("InstanceActionRebuildPayload", "1.10", _instance(event) | {"trusted_image_certificates": None})
    return _object("InstanceActionPayload", "1.9", _instance(event))


def _object(name: str, version: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "nova_object.namespace": "nova",
        "nova_object.name": name,
        "nova_object.version": version,
        "nova_object.data": data,
    }


def _instance(event: Event) -> dict[str, Any]:
    row = event.instance
    return {
        "uuid": row["uuid"],
        "display_name": row["display_name"],
        "display_description": row["display_description"],
        "host_name": row["hostname"],
        "host": row["host"],
        "node": row["node"] or row["host"],
        "availability_zone": row["availability_zone"],
        "tenant_id": row["project_id"],
        "user_id": row["user_id"],
        "reservation_id": row["reservation_id"],
        "state": row["vm_state"],
        "task_state": row["task_state"],
        "power_state": POWER_STATES[PowerState(row["power_state"])],
        "progress": 0,
        "locked": bool(row["locked"]),
        "locked_reason": row["locked_reason"],
        "flavor": _flavor(row["flavor"]),
        "image_uuid": row["image_ref"] or "",
        "kernel_id": "",
        "ramdisk_id": "",
        "key_name": row["key_name"],
        "metadata": row["metadata"],
        "architecture": None,
        "os_type": None,
        "auto_disk_config": "MANUAL",
        "ip_addresses": [],
        "block_devices": [],
        "shares": [],
        "created_at": _moment(row["created_at"]),
        "updated_at": _moment(row["updated_at"]),
        "launched_at": _moment(row["launched_at"]),
        "terminated_at": _moment(row["terminated_at"]),
        "deleted_at": _moment(row["terminated_at"]) if row["deleted"] else None,
        "request_id": event.request_id,
        "action_initiator_user": event.user_id,
        "action_initiator_project": event.project_id,
        "fault": _exception(event, "EvacuationFailed") if event.reason else None,
    }


def _flavor(flavor: Mapping[str, Any]) -> dict[str, Any]:
    return _object(
        "FlavorPayload",
        "1.4",
        {
            "flavorid": flavor["id"],
            "name": flavor["original_name"],
            "vcpus": flavor["vcpus"],
            "memory_mb": flavor["ram"],
            "root_gb": flavor["disk"],
            "ephemeral_gb": flavor["ephemeral"],
            "swap": flavor["swap"],
            "extra_specs": flavor["extra_specs"],
            "rxtx_factor": 1.0,
            "vcpu_weight": 0,
            "disabled": False,
            "is_public": True,
            "projects": None,
            "description": None,
        },
    )


def _exception(event: Event, name: str) -> dict[str, Any]:
    return _object(
        "ExceptionPayload",
        "1.1",
        {
            "exception": name,
            "exception_message": event.reason,
            "module_name": "evacuator.engine",
            "function_name": event.name,
            "traceback": "",
        },
    )


def _compute_task(event: Event) -> dict[str, Any]:
    row = event.instance
    request = {
        "instance_uuid": row["uuid"],
        "project_id": row["project_id"],
        "user_id": row["user_id"],
        "availability_zone": row["availability_zone"],
        "flavor": _flavor(row["flavor"]),
        "ignore_hosts": [row["host"]],
        "num_instances": 1,
        "image": None,
        "numa_topology": None,
        "pci_requests": None,
        "scheduler_hints": {},
        "security_groups": [],
        "force_hosts": None,
        "force_nodes": None,
        "instance_group": None,
        "requested_destination": None,
        "retry": None,
    }
    told = {
        "instance_uuid": row["uuid"],
        "state": row["vm_state"],
        "request_spec": _object("RequestSpecPayload", "1.1", request),
        "reason": _exception(event, "NoValidHost"),
    }
    return _object("ComputeTaskPayload", "1.0", told)


def _moment(value: datetime | None) -> str | None:
    return None if value is None else f"{value:%Y-%m-%dT%H:%M:%SZ}"

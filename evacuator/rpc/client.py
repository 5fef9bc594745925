"""Wakes compute managers.

The version history of the interface is ``evacuator.versions.SERVICE_VERSION_HISTORY``:

* 1.0: ``rebuild_instance(instance, migration)``, ``carry_out_order(instance_uuid, order_id)``
* 1.1: ``rebuild_instance`` takes ``target_state``
"""

from typing import Any

import oslo_messaging

from evacuator import metrics
from evacuator.context import RequestContext
from evacuator.db.models import Instance, Migration
from evacuator.evacuation.states import VmState
from evacuator.objects import instance as instance_object
from evacuator.objects import migration as migration_object
from evacuator.rpc.outbox import Outbox
from evacuator.rpc.serializer import ContextSerializer
from evacuator.rpc.transport import TOPIC, Transport
from evacuator.versions import TARGET_STATE_RPC, rpc_version_of

#: The version of the objects that a receiver of each RPC version knows.
OBJECT_VERSIONS = {"1.0": {"Migration": "1.0", "Instance": "1.0"}}

TARGET_STATE_VERSION = ".".join(map(str, TARGET_STATE_RPC))


class ComputeClient:
    """Casts to compute managers. Nothing here waits for a broker: the outbox does.

    ``pin`` holds every message at an RPC version that the oldest compute of a rolling upgrade understands.
    """

    def __init__(self, transport: Transport, outbox: Outbox, pin: str | None = None) -> None:
        target = oslo_messaging.Target(topic=TOPIC, version="1.0")
        self._client = oslo_messaging.get_rpc_client(
            transport, target, serializer=ContextSerializer(), version_cap=pin, retry=2
        )
        self._outbox = outbox

    def can_send_target_state(self) -> bool:
        """Tell whether the pin allows a message that carries a target state."""
        return bool(self._client.can_send_version(TARGET_STATE_VERSION))

    def rebuild_instance(
        self, context: RequestContext, record: Migration, instance: Instance, service_version: int
    ) -> None:
        """Wake the destination of an evacuation, in the version that it speaks.

        A target state that is not needed is left out for a compute that does not know it; one that is needed never
        comes to such a compute, since neither choice nor claim let it have the record.
        """
        version = rpc_version_of(service_version)
        if not self._client.can_send_version(version):
            version = "1.0"
        arguments: dict[str, Any] = {
            "instance": _primitive(_instance(instance), version),
            "migration": _primitive(_migration(record), version),
        }
        if version == TARGET_STATE_VERSION:
            arguments["target_state"] = str(VmState.STOPPED) if record.final_state == VmState.STOPPED else None
        self._cast(context, str(record.dest_compute), version, "rebuild_instance", arguments)

    def carry_out_order(self, context: RequestContext, host: str, instance_uuid: str, order_id: str) -> None:
        """Wake the host of an instance for which an order waits."""
        arguments = {"instance_uuid": instance_uuid, "order_id": order_id}
        self._cast(context, host, "1.0", "carry_out_order", arguments)

    def _cast(self, context: RequestContext, host: str, version: str, method: str, arguments: dict[str, Any]) -> None:
        prepared = self._client.prepare(server=host, version=version)
        self._outbox.put(lambda: prepared.cast(context, method, **arguments), metrics.WAKEUPS_LOST.inc)


def _primitive(entity: Any, rpc_version: str) -> dict[str, Any]:
    wanted = OBJECT_VERSIONS.get(rpc_version, {}).get(entity.obj_name())
    primitive: dict[str, Any] = entity.obj_to_primitive(target_version=wanted)
    return primitive


def _instance(row: Instance) -> Any:
    return instance_object.Instance(
        uuid=row.uuid,
        host=row.host,
        vm_state=row.vm_state,
        vcpus=row.vcpus,
        memory_mb=row.memory_mb,
        disk_gb=row.disk_gb,
    )


def _migration(row: Migration) -> Any:
    return migration_object.Migration(
        id=row.id,
        uuid=row.uuid,
        instance_uuid=row.instance_uuid,
        status=str(row.status),
        source_compute=row.source_compute,
        dest_compute=row.dest_compute,
        attempt=row.attempt,
    )

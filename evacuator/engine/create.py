"""Make new instances: choose a host, claim its room, record them, and wake the host."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from evacuator.context import RequestContext
from evacuator.db import actions, aggregates, flavors, instances, nodes
from evacuator.db.clock import now
from evacuator.db.models import Flavor, Instance
from evacuator.db.session import Transaction
from evacuator.engine.choose import NoValidHost, claim_destination
from evacuator.engine.engine import Engine
from evacuator.engine.record import fault
from evacuator.errors import ComputeHostNotFound, FlavorTooSmall, ZoneNotAvailable
from evacuator.evacuation.destination import Need, Room
from evacuator.evacuation.states import TaskState, VmState

GIB = 1 << 30


@dataclass(frozen=True)
class NeededImage:
    """What instances are made from, and what it needs of their flavor. ``size``: in bytes, 0 where nobody knows."""

    id: str
    size: int = 0
    least_disk_gb: int = 0
    least_memory_mb: int = 0

    def check_fits(self, flavor: Flavor) -> None:
        """Refuse a flavor that is too small; one without a disk of its own has as much as the image needs.

        :raises FlavorTooSmall:
        """
        if flavor.memory_mb < self.least_memory_mb:
            raise FlavorTooSmall(what="memory", has=f"{flavor.memory_mb} MiB", needs=f"{self.least_memory_mb} MiB")
        least = max(self.size, self.least_disk_gb * GIB)
        if 0 < flavor.root_gb * GIB < least:
            raise FlavorTooSmall(what="disk", has=f"{flavor.root_gb * GIB} bytes", needs=f"{least} bytes")


@dataclass(frozen=True)
class NewInstances:
    """What the caller asked for.

    ``requested_node``: what the hypervisor of the host calls itself; it names the host, or has to agree with who does.
    ``forces_host``: the named host may be disabled.
    ``availability_zone``: where the instances must stay; None for anywhere.
    """

    name: str
    flavor_id: str
    image: NeededImage | None = None
    requested_host: str | None = None
    requested_node: str | None = None
    forces_host: bool = False
    availability_zone: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Sequence[str] = ()
    description: str | None = None
    key_name: str | None = None
    user_data: str | None = None
    config_drive: str = ""
    hostname: str | None = None
    min_count: int = 1
    max_count: int = 1


def create_instances(engine: Engine, context: RequestContext, wanted: NewInstances) -> list[Instance]:
    """Record the instances and wake their hosts; one for which there is no room ends in ERROR with the reason.

    :raises FlavorNotFound: it does not exist, or is not public and the caller no administrator.
    :raises FlavorTooSmall:
    :raises ComputeHostNotFound: the requested host does not exist, or has another hypervisor than the requested one.
    :raises ZoneNotAvailable: no host that may be used is in the availability zone.
    :raises RequestTooOld: this process was frozen over it; nothing is written.
    """
    uuids = [str(uuid4()) for _ in range(wanted.max_count)]

    def work(transaction: Transaction) -> list[Instance]:
        if instances.find(transaction, uuids[0]) is not None:  # the acknowledgement of our own commit was lost
            return [instances.get(transaction, uuid) for uuid in uuids]
        engine.still_wanted(context)
        flavor = flavors.get(transaction, wanted.flavor_id, sees_private=bool(context.is_admin))
        if wanted.image is not None:
            wanted.image.check_fits(flavor)
        placed = replace(wanted, requested_host=_requested(transaction, wanted))
        if wanted.availability_zone and not aggregates.is_zone(transaction, wanted.availability_zone):
            raise ZoneNotAvailable
        reservation = f"r-{uuid4().hex[:8]}"
        return [
            _create(engine, transaction, context, placed, flavor, reservation, index=index, uuid=uuid)
            for index, uuid in enumerate(uuids)
        ]

    return engine.database.write(work)


def _requested(transaction: Transaction, wanted: NewInstances) -> str | None:
    """Return the host that was named, in whichever way; None when none was.

    :raises ComputeHostNotFound:
    """
    host, hypervisor = wanted.requested_host, wanted.requested_node
    if host is None and hypervisor is None:
        return None
    node = nodes.named(transaction, host, hypervisor)
    if node is None:
        both = f"{host} with hypervisor {hypervisor}"
        raise ComputeHostNotFound(host=both if host and hypervisor else host or hypervisor)
    return node.host


def _create(
    engine: Engine,
    transaction: Transaction,
    context: RequestContext,
    wanted: NewInstances,
    flavor: Flavor,
    reservation: str,
    *,
    index: int,
    uuid: str,
) -> Instance:
    name = wanted.name if wanted.max_count == 1 else f"{wanted.name}-{index + 1}"
    room = Room(flavor.vcpus, flavor.memory_mb, flavor.root_gb + flavor.ephemeral_gb)
    instance = Instance(
        uuid=uuid,
        display_name=name,
        display_description=wanted.description,
        hostname=wanted.hostname or hostname_of(name),
        project_id=context.project_id,
        user_id=context.user_id,
        reservation_id=reservation,
        launch_index=index,
        image_ref=wanted.image and wanted.image.id,
        flavor=_snapshot(flavor),
        vcpus=room.vcpus,
        memory_mb=room.memory_mb,
        disk_gb=room.disk_gb,
        instance_metadata=dict(wanted.metadata),
        tags=list(wanted.tags),
        key_name=wanted.key_name,
        user_data=wanted.user_data,
        config_drive=wanted.config_drive,
        availability_zone=wanted.availability_zone,
        vm_state=VmState.BUILDING,
        task_state=TaskState.SPAWNING,
    )
    instances.insert(transaction, instance)
    actions.start(transaction, context, instance.uuid, "create")
    need = Need(
        room,
        requested=wanted.requested_host,
        disabled_allowed=wanted.forces_host,
        zone=wanted.availability_zone,
    )
    chosen = claim_destination(engine, transaction, instance.uuid, need)
    if isinstance(chosen, NoValidHost):
        instances.change(transaction, instance.uuid, {"host": None}, _refused(chosen))
        actions.finish(transaction, instance.uuid, context.request_id, actions.ERROR)
        return instance
    host, order_id = chosen.host, context.request_id
    instances.change(transaction, uuid, {"host": None}, {"host": host, "order_id": order_id})
    transaction.on_commit(lambda: engine.casts.carry_out_order(context, host, uuid, order_id))
    return instance


def _refused(refusal: NoValidHost) -> dict[str, Any]:
    return {
        "vm_state": VmState.ERROR,
        "task_state": None,
        "fault": fault(refusal.sentence, without_hosts=refusal.without_hosts),
        "fault_at": now(),
    }


def _snapshot(flavor: Flavor) -> dict[str, Any]:
    """Keep what the flavor was: it may be changed or deleted while the instance lives."""
    return {
        "id": flavor.flavorid,
        "original_name": flavor.name,
        "vcpus": flavor.vcpus,
        "ram": flavor.memory_mb,
        "disk": flavor.root_gb,
        "ephemeral": flavor.ephemeral_gb,
        "swap": flavor.swap,
        "extra_specs": dict(flavor.extra_specs),
    }


def hostname_of(name: str) -> str:
    """Make a host name of a display name: letters, digits and hyphens, 63 at most."""
    cleaned = re.sub(r"[^a-z0-9-]+", "-", name.lower().replace("_", "-")).strip("-")[:63].strip("-")
    return cleaned or "server"

"""Guests that exist already: take them under management, and give them back."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import uuid4

from evacuator.context import RequestContext
from evacuator.db import actions, adoption, instances, nodes
from evacuator.db.clock import now
from evacuator.db.models import Instance
from evacuator.db.session import Transaction
from evacuator.engine.create import hostname_of
from evacuator.engine.engine import Engine
from evacuator.errors import Conflict, InstanceNotFound, NotConfigured
from evacuator.evacuation.destination import Room
from evacuator.evacuation.states import PowerState, VmState


@dataclass(frozen=True)
class ExistingGuest:
    """A guest as its host knows it.

    ``definition``: what another host has to be told to run it. ``key_ids``: the secrets that open its disks.
    """

    uuid: str
    name: str
    room: Room
    power_state: PowerState
    definition: str
    key_ids: Sequence[str] = ()


class Outcome(StrEnum):
    """What adopting a guest came to."""

    ADOPTED = "adopted"
    READ_ANEW = "was adopted; its definition was read anew"
    MADE_HERE = "was made here, so there is nothing to adopt"


def register_node(engine: Engine, host: str, facts: dict[str, Any]) -> None:
    """Record what a host is and has, if no compute manager has done so yet.

    :raises NotConfigured: another hypervisor is recorded: its guests would be taken for that host's.
    """

    def work(transaction: Transaction) -> None:
        node = nodes.of_host(transaction, host)
        if node is None:
            nodes.register(transaction, host, str(uuid4()), facts)
        elif node.hypervisor_hostname != facts["hypervisor_hostname"]:
            raise NotConfigured(
                reason=f"The hypervisor of host {host} is recorded as {node.hypervisor_hostname}, and this is "
                f"{facts['hypervisor_hostname']}. Say where {host} is, with connection_uri in [host:{host}]; or, if it "
                "was renamed, or recorded wrongly, start its compute service once."
            )

    engine.database.write(work)


def adopt_guest(
    engine: Engine, context: RequestContext, host: str, guest: ExistingGuest, project: str | None = None
) -> Outcome:
    """Take a guest of ``host`` under management; of one that was adopted only the definition is taken, anew.

    ``project``: where one that was adopted has to be; None where nobody said so.

    :raises Conflict: it is another host's or project's, was deleted here, or there is no room for it in the host's
        books.
    """

    def work(transaction: Transaction) -> Outcome:
        known = instances.find(transaction, guest.uuid)
        if known is not None:
            return _refresh(transaction, host, known, guest, project)
        instances.insert(transaction, _instance(context, host, guest))
        actions.start(transaction, context, guest.uuid, "adopt")
        actions.finish(transaction, guest.uuid, context.request_id)
        if not nodes.claim(transaction, host, guest.uuid, guest.room):
            raise Conflict(
                reason=f"Host {host} has no room in its books for {guest.name} ({guest.room.vcpus} vCPU, "
                f"{guest.room.memory_mb} MiB, {guest.room.disk_gb} GiB): raise cpu_allocation_ratio, "
                "ram_allocation_ratio or local_gb in [libvirt], and start its compute service once."
            )
        return Outcome.ADOPTED

    return engine.database.write(work)


def release_guest(engine: Engine, host: str, uuid: str) -> bool:
    """Forget an instance of ``host``, so that its guest is nobody's business but its owner's; False if none is known.

    :raises Conflict: it is another host's, something is being done with it, or another host still holds a copy.
    """

    def work(transaction: Transaction) -> bool:
        try:
            instance = instances.get(transaction, uuid)
        except InstanceNotFound:
            return False
        if instance.host != host:
            raise Conflict(reason=f"Instance {uuid} is not on host {host} but on {instance.host}: release it there.")
        if instance.evacuation_id or instance.task_state:
            raise Conflict(reason=f"Instance {uuid} is being worked on ({instance.task_state}): wait for the end.")
        copies = adoption.hosts_with_copies(transaction, uuid)
        if copies:
            raise Conflict(
                reason=f"Instance {uuid} was evacuated from {', '.join(copies)}, which has not been back and may still "
                "have its old copy: release it once that host is up again."
            )
        adoption.forget(transaction, uuid, host)
        return True

    return engine.database.write(work)


def _refresh(
    transaction: Transaction, host: str, known: Instance, guest: ExistingGuest, project: str | None
) -> Outcome:
    if known.deleted:
        raise Conflict(reason=f"Instance {guest.uuid} was deleted: host {host} is about to remove its guest and disks.")
    if known.host != host:
        raise Conflict(reason=f"Instance {guest.uuid} belongs to host {known.host}; what is on {host} is an old copy.")
    if project not in (None, known.project_id):
        raise Conflict(
            reason=f"Instance {guest.uuid} is in project {known.project_id} already: release it, then adopt it into "
            f"{project}."
        )
    if known.definition is None:
        return Outcome.MADE_HERE
    instances.change(transaction, guest.uuid, {"host": host}, _what_it_is(guest))
    return Outcome.READ_ANEW


def _what_it_is(guest: ExistingGuest) -> dict[str, Any]:
    return {"definition": guest.definition, "key_ids": list(guest.key_ids) or None}


def _instance(context: RequestContext, host: str, guest: ExistingGuest) -> Instance:
    runs = guest.power_state in (PowerState.RUNNING, PowerState.PAUSED)
    room = guest.room
    return Instance(
        uuid=guest.uuid,
        display_name=guest.name,
        hostname=hostname_of(guest.name),
        project_id=context.project_id,
        user_id=context.user_id,
        reservation_id=f"r-{uuid4().hex[:8]}",
        flavor={
            "id": "adopted",
            "original_name": "adopted",
            "vcpus": room.vcpus,
            "ram": room.memory_mb,
            "disk": room.disk_gb,
            "ephemeral": 0,
            "swap": 0,
            "extra_specs": {},
        },
        vcpus=room.vcpus,
        memory_mb=room.memory_mb,
        disk_gb=room.disk_gb,
        **_what_it_is(guest),
        host=host,
        vm_state=VmState.ACTIVE if runs else VmState.STOPPED,
        power_state=guest.power_state if runs else PowerState.SHUTDOWN,
        launched_at=now(),
    )

"""What operators say of a service, and what a service says of itself."""

from dataclasses import dataclass
from typing import Any

from evacuator.context import RequestContext
from evacuator.db import aggregates, migrations, nodes, services
from evacuator.db.session import Transaction
from evacuator.engine.engine import Engine
from evacuator.engine.record import move
from evacuator.errors import HostUpRefused, ServiceInUse
from evacuator.evacuation.transitions import Step
from evacuator.versions import SERVICE_VERSION


@dataclass(frozen=True)
class ServiceChange:
    """What an operator wants changed; None leaves a thing as it is."""

    disabled: bool | None = None
    disabled_reason: str | None = None
    forced_down: bool | None = None


def change_service(engine: Engine, context: RequestContext, service_id: int, wanted: ServiceChange) -> None:
    """Enable, disable, force down or let up a service.

    :raises ServiceNotFound:
    :raises HostUpRefused: evacuations away from the host are done and it has not cleaned up after them.
    :raises RequestTooOld: this process was frozen over it; nothing is written.
    """

    def work(transaction: Transaction) -> None:
        engine.still_wanted(context)
        service = services.get(transaction, service_id)
        if wanted.forced_down is False and services.owes_cleaning(transaction, service.host):
            raise HostUpRefused(host=service.host)
        values: dict[str, Any] = {}
        if wanted.forced_down is not None:
            values["forced_down"] = wanted.forced_down
        if wanted.disabled is not None:
            values |= {"disabled": wanted.disabled, "disabled_reason": wanted.disabled_reason}
        services.edit(transaction, service, values)

    engine.database.write(work)


def delete_service(engine: Engine, context: RequestContext, service_id: int) -> None:
    """Forget a service and its node: its host is gone for good, so what it still owed to clean is settled too.

    :raises ServiceNotFound:
    :raises ServiceInUse: it hosts instances, or unfinished evacuations name it, perhaps since a moment ago.
    :raises RequestTooOld: this process was frozen over it; nothing is written.
    """

    def work(transaction: Transaction) -> None:
        engine.still_wanted(context)
        service = services.get(transaction, service_id)
        holds = services.what_holds(transaction, service.host)
        if holds:
            raise ServiceInUse(host=service.host, what=holds)
        # One lock order everywhere: migration, service, node.
        owed = migrations.done_away_from(transaction, service.host)
        for record in owed:
            move(transaction, record, Step.CLEAN, f"the compute service of {service.host} was deleted")
        services.delete(transaction, service)
        for record in owed:
            nodes.release(transaction, service.host, record.instance_uuid)
        if not nodes.delete(transaction, service.host):
            raise ServiceInUse(host=service.host, what="has claims of instances; evacuate or delete them first")
        aggregates.forget_host(transaction, service.host)

    engine.database.write(work)


@dataclass
class Pulse:
    """What a compute manager tells the database of itself with each heartbeat.

    ``epoch`` is the one up to which it has cleaned; None until it has.
    """

    host: str
    incarnation: str
    epoch: int | None = None


def register_service(
    engine: Engine, pulse: Pulse, uuid: str, node_facts: dict[str, Any], version: int = SERVICE_VERSION
) -> None:
    """Record that a compute manager starts; the service is not up before it has cleaned and beaten."""

    def work(transaction: Transaction) -> None:
        services.register(transaction, pulse.host, uuid, pulse.incarnation, version)
        nodes.register(transaction, pulse.host, uuid, node_facts)

    engine.database.write(work)


def beat(engine: Engine, pulse: Pulse) -> bool:
    """Report up; False when something was evacuated from this host since it last cleaned, or another manager runs."""
    if pulse.epoch is None:
        return False
    epoch, down_time = pulse.epoch, engine.rules.service_down_time
    return engine.database.write(
        lambda transaction: services.beat(transaction, pulse.host, pulse.incarnation, epoch, down_time)
    )


def epoch_to_clean(engine: Engine, pulse: Pulse) -> int | None:
    """Return the epoch that this host must clean up to now; None when another manager runs for it, or none may."""
    return engine.database.read(lambda session: services.epoch_of(session, pulse.host, pulse.incarnation))

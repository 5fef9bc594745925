"""Accept an evacuation: all checks and all writes in one transaction, then the cast."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from uuid import uuid4

from evacuator import metrics
from evacuator.context import RequestContext
from evacuator.db import actions, instances, migrations, nodes, services
from evacuator.db.models import Instance, Migration
from evacuator.db.session import Transaction
from evacuator.engine.announce import announce
from evacuator.engine.choose import NoValidHost, choose_destination
from evacuator.engine.engine import Engine
from evacuator.engine.record import CHOICE_EVENT, begin, close, in_progress
from evacuator.errors import (
    ComputeHostNotFound,
    ComputesTooOld,
    InstanceChanged,
    InstanceInvalidState,
    InstanceIsBeingDeleted,
    InstanceNotReady,
    Overtaken,
    RoomTaken,
    SameHost,
    SourceInUse,
    UnsupportedRpcVersion,
)
from evacuator.evacuation import events
from evacuator.evacuation.destination import Candidate, Need
from evacuator.evacuation.states import EVACUABLE, TaskState, VmState, final_state
from evacuator.evacuation.transitions import Status, Step
from evacuator.versions import TARGET_STATE_RPC, TARGET_STATE_SERVICE_VERSION


@dataclass(frozen=True)
class EvacuationOrder:
    """What the caller asked for.

    ``project_id`` limits which instances the caller sees, None does not. ``stops_at_destination`` is the promise of
    2.95. ``forces_host``: the named host may be disabled. ``on_shared_storage``: what the caller says below 2.14,
    None from there on. ``permit`` is shown the instance once it is found, and raises what its own rules refuse; it may
    be shown it again.
    """

    instance_uuid: str
    project_id: str | None = None
    stops_at_destination: bool = False
    requested_host: str | None = None
    forces_host: bool = False
    on_shared_storage: bool | None = None
    permit: Callable[[Instance], None] = lambda _instance: None


def accept_evacuation(engine: Engine, context: RequestContext, order: EvacuationOrder) -> Migration:
    """Lock the instance to a new evacuation, claim its destination, record it, and wake the destination.

    A request for which no host has room is accepted too: its record ends in ``error`` at once. A request that fails
    a check has written nothing. Asked again with the same request id (the acknowledgement of the commit was lost),
    the record is returned.

    :raises EvacuatorError: in the order of Nova's checks: InstanceNotFound, what ``permit`` raises, ComputesTooOld,
        ComputeHostNotFound, SameHost, InstanceIsBeingDeleted, InstanceInvalidState, EvacuationInProgress,
        InstanceNotReady, SourceInUse, UnsupportedRpcVersion; InstanceChanged when another request was faster,
        RequestTooOld when this process was frozen over it.
    """
    runs, filled = count(), set[str]()

    def work(transaction: Transaction) -> Migration:
        # A first run may have been committed without our hearing so, and what it began may even have ended.
        accepted = migrations.by_request(transaction, order.instance_uuid, context.request_id) if next(runs) else None
        if accepted is not None:
            return accepted
        engine.still_wanted(context)
        return _accept(engine, transaction, context, order, frozenset(filled))

    with metrics.phase("accept"), metrics.refusals():
        while True:
            try:
                return engine.database.write(work)
            except RoomTaken as taken:
                filled.add(taken.facts["host"])
            except Overtaken as overtaken:
                raise InstanceChanged(uuid=order.instance_uuid) from overtaken


def _accept(
    engine: Engine, transaction: Transaction, context: RequestContext, order: EvacuationOrder, filled: frozenset[str]
) -> Migration:
    instance, some_too_old = instances.get_and_whether_some_older(
        transaction, order.instance_uuid, TARGET_STATE_SERVICE_VERSION, order.project_id
    )
    order.permit(instance)
    if order.stops_at_destination and some_too_old:
        _refuse_old_computes(transaction)
    _check_requested(transaction, instance, order)
    _check_state(instance)
    if instance.evacuation_id is not None:
        current = migrations.by_uuid(transaction, instance.evacuation_id)
        if current is not None:
            if current.request_id == context.request_id:
                return current
            instance = _supersede(engine, transaction, instance, current)
    if instance.launched_at is None or instance.host is None:
        raise InstanceNotReady(uuid=instance.uuid, action="evacuate")
    evacuation_id = str(uuid4())
    _lock(transaction, instance, evacuation_id)
    need = Need(
        nodes.room_of(instance),
        TARGET_STATE_SERVICE_VERSION if order.stops_at_destination else 0,
        frozenset({instance.host}),
        filled,
        order.requested_host,
        order.forces_host,
        instance.availability_zone,
    )
    chosen = choose_destination(engine, transaction, instance.uuid, need)
    record = _record(transaction, context, order, instance, evacuation_id, need, chosen)
    action_id = actions.start(transaction, context, instance.uuid, "evacuate")
    announce(engine, transaction, events.EVACUATE, record)
    if isinstance(chosen, Candidate):
        actions.add_ended_event(transaction, action_id, CHOICE_EVENT, actions.SUCCESS)
        nodes.book(transaction, chosen.host, instance.uuid, need.room)
    # Last come the rows that everybody writes to who evacuates the same host at the same time, so that each holds them
    # for as short as can be.
    _prove_down(engine, transaction, instance.host)
    if order.stops_at_destination:
        _check_pin(engine)
    if isinstance(chosen, NoValidHost):
        _give_up(engine, transaction, context, instance, record, chosen)
    elif nodes.take(transaction, chosen.host, need.room):
        transaction.on_commit(lambda: engine.casts.rebuild_instance(context, record, instance, chosen.service_version))
    else:
        raise RoomTaken(host=chosen.host)
    return record


def _refuse_old_computes(session: Transaction) -> None:
    # Down and disabled ones count too. Between two looks the last of them may have been upgraded.
    old = services.older_than(session, TARGET_STATE_SERVICE_VERSION)
    if old:
        hosts = ", ".join(f"{host}: {version}" for host, version in old)
        raise ComputesTooOld(required=TARGET_STATE_SERVICE_VERSION, found=old[0][1], hosts=hosts)


def _check_requested(session: Transaction, instance: Instance, order: EvacuationOrder) -> None:
    if order.requested_host is None:
        return
    if nodes.of_host(session, order.requested_host) is None:
        raise ComputeHostNotFound(host=order.requested_host)
    if order.requested_host == instance.host:
        raise SameHost


def _check_state(instance: Instance) -> None:
    if instance.task_state == TaskState.DELETING:
        # Its owner was told that it will be gone, and its host may be about to delete the disk.
        raise InstanceIsBeingDeleted(uuid=instance.uuid)
    if instance.vm_state not in EVACUABLE:
        raise InstanceInvalidState(action="evacuate", uuid=instance.uuid, attribute="vm_state", state=instance.vm_state)


def _supersede(engine: Engine, transaction: Transaction, instance: Instance, current: Migration) -> Instance:
    """End the evacuation that holds the instance, if its destination is down; refuse if it is alive."""
    # One lock order everywhere: instance, migration, service, node.
    instances.change(transaction, instance.uuid, {"evacuation_id": current.uuid, "host": instance.host}, {})
    migrations.change(transaction, current, {})
    destination = current.dest_compute
    if destination is None or not services.prove_down(transaction, destination, engine.rules.service_down_time):
        raise in_progress(current, "evacuate")
    reason = f"Host {destination} went down before the evacuation ended; another evacuation was asked for."
    close(transaction, instance, current, Step.FAIL, reason, owner=instance.host)
    announce(engine, transaction, events.REBUILD_ERROR, current, host=destination, reason=reason)
    transaction.expire(instance)
    return instances.get(transaction, instance.uuid)


def _lock(transaction: Transaction, instance: Instance, evacuation_id: str) -> None:
    instances.change(
        transaction,
        instance.uuid,
        # The task, too: its owner may be told just now that it will be gone.
        {
            "host": instance.host,
            "evacuation_id": None,
            "vm_state": instance.vm_state,
            "task_state": instance.task_state,
        },
        # An order that was not carried out is void: nothing may power the guest on by it any more.
        {"evacuation_id": evacuation_id, "task_state": TaskState.REBUILDING, "order_id": None},
    )


def _prove_down(engine: Engine, transaction: Transaction, source: str) -> None:
    down_time = engine.rules.service_down_time
    if not services.prove_down(transaction, source, down_time):
        heard = services.of_host(transaction, source, down_time)
        raise SourceInUse(host=source, evidence=_evidence(heard, source, down_time))


def _check_pin(engine: Engine) -> None:
    if not engine.casts.can_send_target_state():
        raise UnsupportedRpcVersion(
            method="rebuild_instance", required=".".join(map(str, TARGET_STATE_RPC)), pin=engine.rules.rpc_pin
        )


def _evidence(heard: services.Heard | None, source: str, down_time: float) -> str:
    way_out = "If the host is really dead, make sure that it is off, force its compute service down, and retry."
    if heard is None:
        return f"No compute service is registered for {source}, so nothing tells that it is dead."
    last = "was never heard" if heard.age is None else f"was heard {max(heard.age, 0):.0f} s ago"
    if not heard.silent:
        return f"It {last}; silence counts from {down_time:g} s on. {way_out}"
    return (
        f"It {last}, but no other compute service was heard without a gap for the last {down_time:g} s, so this "
        f"silence proves nothing. {way_out}"
    )


def _record(
    transaction: Transaction,
    context: RequestContext,
    order: EvacuationOrder,
    instance: Instance,
    evacuation_id: str,
    need: Need,
    chosen: Candidate | NoValidHost,
) -> Migration:
    destination = order.requested_host if isinstance(chosen, NoValidHost) else chosen.host
    assert instance.host is not None  # noqa: S101 - checked by the caller; tells mypy
    record = Migration(
        uuid=evacuation_id,
        instance_uuid=instance.uuid,
        status=Status.ACCEPTED,
        attempt=1,
        source_compute=instance.host,
        source_node=instance.host,
        dest_compute=destination,
        dest_node=destination,
        final_state=final_state(
            instance.vm_state, instance.state_before_failure, stops_at_destination=order.stops_at_destination
        ),
        # ERROR is no state to go back to, and an older release starts whatever was not stopped before.
        vm_state_before=(instance.vm_state == VmState.ERROR and instance.state_before_failure) or instance.vm_state,
        min_service_version=need.service_version,
        on_shared_storage=order.on_shared_storage,
        host_named=order.requested_host is not None,
        request_id=context.request_id,
        user_id=context.user_id,
        project_id=context.project_id,
    )
    begin(transaction, record)
    return record


def _give_up(
    engine: Engine,
    transaction: Transaction,
    context: RequestContext,
    instance: Instance,
    record: Migration,
    refusal: NoValidHost,
) -> None:
    actions.start_event(transaction, instance.uuid, context.request_id, CHOICE_EVENT, None)
    transaction.expire(instance)
    close(
        transaction,
        instance,
        record,
        Step.NO_HOST,
        refusal.sentence,
        owner=instance.host,
        without_hosts=refusal.without_hosts,
        event=CHOICE_EVENT,
        power_state=instance.power_state,
    )
    announce(engine, transaction, events.NO_HOST, record, reason=refusal.sentence)

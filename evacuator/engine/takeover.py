"""Take an evacuation away from a destination that is lost, or that does not come to it."""

import logging

from evacuator.context import RequestContext
from evacuator.db import actions, instances, migrations, nodes, services
from evacuator.db.clock import now
from evacuator.db.models import Instance, Migration
from evacuator.db.session import Transaction
from evacuator.engine.announce import announce
from evacuator.engine.choose import NoValidHost, claim_destination
from evacuator.engine.engine import Engine
from evacuator.engine.record import REBUILD_EVENT, close, move
from evacuator.errors import DatabaseUnavailable, Overtaken
from evacuator.evacuation import events
from evacuator.evacuation.destination import Need
from evacuator.evacuation.transitions import UNFINISHED, Status, Step

LOG = logging.getLogger(__name__)


def settle_orphans(engine: Engine, context: RequestContext) -> int:
    """Settle every evacuation whose destination is silent or late; return how many were settled.

    One that cannot be settled, whatever is wrong with it, keeps none of the others waiting.
    """
    rules = engine.rules
    orphans = engine.database.read(
        lambda session: [
            record.id for record in migrations.orphans(session, rules.service_down_time, rules.claim_timeout)
        ]
    )
    settled = 0
    for migration_id in orphans:
        try:
            settled += settle_orphan(engine, context, migration_id)
        except DatabaseUnavailable:
            raise
        except Exception:
            LOG.exception("migration %s could not be settled; it will be tried again", migration_id)
    return settled


def settle_orphan(engine: Engine, context: RequestContext, migration_id: int) -> bool:
    """Give one evacuation to another host, or end it; False when it is left to its destination, which is alive.

    Only before its destination owns the instance can another one have it. Once owned, silence proves nothing: it
    ends failed and names the host to fence. One that is merely late, and that no other host can have, stays in the
    queue of a destination that works on others, however long that takes (docs/decisions/0046).
    """

    def work(transaction: Transaction) -> bool:
        record = migrations.get(transaction, migration_id)
        if record is None or record.status not in UNFINISHED or record.dest_compute is None:
            return False
        instance = instances.find(transaction, record.instance_uuid)
        if instance is None or instance.evacuation_id != record.uuid:
            return False
        # One lock order everywhere: instance, migration, service, node. Every manager looks for orphans: whoever held
        # these rows before us may have settled this one.
        instances.change(transaction, instance.uuid, {"evacuation_id": record.uuid, "host": instance.host}, {})
        migrations.change(transaction, record, {})
        return _settle(engine, transaction, context, instance, record)

    try:
        return engine.database.write(work)
    except Overtaken:
        return False


def _settle(
    engine: Engine, transaction: Transaction, context: RequestContext, instance: Instance, record: Migration
) -> bool:
    destination = str(record.dest_compute)
    lost = _lost(engine, transaction, record)
    why = lost or _late(engine, transaction, record)
    if why is None:
        return False
    reason = _pass_on(engine, transaction, context, instance, record, why)
    if reason is None:
        return True
    if lost is None and migrations.is_at_work(transaction, destination, engine.rules.claim_timeout):
        # As if chosen anew: else every host would look for another one at each turn.
        migrations.change(transaction, record, {"assigned_at": now()})
        return False
    close(transaction, instance, record, Step.FAIL, reason, owner=instance.host)
    announce(engine, transaction, events.REBUILD_ERROR, record, host=destination, reason=reason)
    return True


def _lost(engine: Engine, transaction: Transaction, record: Migration) -> str | None:
    """Say why the destination cannot end the evacuation; None when nothing tells that it cannot."""
    assert record.dest_compute is not None  # noqa: S101 - checked by the caller; tells mypy
    if services.prove_down(transaction, record.dest_compute, engine.rules.service_down_time):
        return f"Host {record.dest_compute} went down before the evacuation ended."
    if (services.by_host(transaction, record.dest_compute).version or 0) < record.min_service_version:
        return f"Host {record.dest_compute} runs an older release by now, which cannot end the evacuation."
    return None


def _late(engine: Engine, transaction: Transaction, record: Migration) -> str | None:
    """Say that the destination has not begun in time; None when it has, or may still."""
    timeout = engine.rules.claim_timeout
    if record.status != Status.ACCEPTED or not migrations.is_late(transaction, record, timeout):
        return None
    return f"Host {record.dest_compute} did not begin with the evacuation for {timeout:g} s."


def _pass_on(
    engine: Engine, transaction: Transaction, context: RequestContext, instance: Instance, record: Migration, why: str
) -> str | None:
    """Give an evacuation to another host, and return None; or say why no other can have it, and what to do."""
    left = record.dest_compute
    if instance.host == left:
        return f"{why} It may be running the instance: fence that host ({left}), then evacuate again."
    if record.host_named:
        return f"{why} It was named in the request, so no other was tried. Evacuate again, to another host."
    if record.assignments >= engine.rules.max_assignments:
        return f"{why} It was the last of {record.assignments} destinations tried. Evacuate again."
    refusal = _reassign(engine, transaction, context, instance, record, why)
    return f"{why} {refusal.sentence}" if refusal else None


def _reassign(
    engine: Engine, transaction: Transaction, context: RequestContext, instance: Instance, record: Migration, why: str
) -> NoValidHost | None:
    left = record.dest_compute
    need = Need(
        nodes.room_of(instance),
        record.min_service_version,
        frozenset(host for host in (record.source_compute, instance.host) if host),
        left=left,
        zone=instance.availability_zone,
    )
    chosen = claim_destination(engine, transaction, instance.uuid, need)
    if isinstance(chosen, NoValidHost):
        return chosen
    claimed = record.status == Status.PRE_MIGRATING
    move(
        transaction,
        record,
        Step.REASSIGN,
        why,
        dest_compute=chosen.host,
        dest_node=chosen.host,
        assignments=record.assignments + 1,
        assigned_at=now(),
    )
    nodes.release(transaction, left, instance.uuid)
    if claimed:
        actions.end_event(transaction, instance.uuid, record.request_id, REBUILD_EVENT, actions.ERROR, why)
    transaction.on_commit(lambda: engine.casts.rebuild_instance(context, record, instance, chosen.service_version))
    return None

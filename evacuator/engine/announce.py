"""Tell whoever listens what happens to instances. Where nobody does, nothing is read and nothing is sent."""

from evacuator.db import actions, instances
from evacuator.db.models import Migration
from evacuator.db.session import Transaction
from evacuator.engine.engine import Engine
from evacuator.evacuation.events import FAILURES, POWER, Event


def announce(
    engine: Engine,
    transaction: Transaction,
    name: str,
    record: Migration,
    *,
    host: str | None = None,
    reason: str | None = None,
) -> None:
    """Tell of an evacuation, once this transaction is committed: its instance as it is here and now."""
    if not engine.notifier.listens:
        return
    instance = instances.columns(transaction, record.instance_uuid)
    event = Event(name, host, instance, record.request_id, record.user_id, record.project_id, reason)
    transaction.on_commit(lambda: engine.notifier.send(event))


def announce_order(
    engine: Engine,
    transaction: Transaction,
    part: str,
    when: str,
    uuid: str,
    order_id: str,
    *,
    host: str,
    reason: str | None = None,
) -> None:
    """Tell of a power order of which ``part`` begins or ends, where Nova does."""
    if not engine.notifier.listens or part not in POWER:
        return
    name = f"{POWER[part]}{when}"
    asked = actions.find(transaction, uuid, order_id)
    if asked is None or (reason is not None and name not in FAILURES):
        return
    instance = instances.columns(transaction, uuid)
    event = Event(name, host, instance, order_id, asked.user_id, asked.project_id, reason)
    transaction.on_commit(lambda: engine.notifier.send(event))

"""Record that a destination could not, or that nobody knows whether it did."""

from evacuator.db import instances
from evacuator.db.session import Transaction
from evacuator.engine.announce import announce
from evacuator.engine.claim import Assignment
from evacuator.engine.engine import Engine
from evacuator.engine.record import close
from evacuator.errors import Overtaken
from evacuator.evacuation import events
from evacuator.evacuation.transitions import Step


def fail_at_source(engine: Engine, assignment: Assignment, reason: str) -> None:
    """End the evacuation as failed with the instance back on its source: for certain nothing of it runs here.

    :raises Overtaken: it is not ours any more.
    """
    _fail(engine, assignment, reason, owner=assignment.record.source_compute)


def fail_at_destination(engine: Engine, assignment: Assignment, reason: str) -> None:
    """End the evacuation as failed with the instance on this destination, which owns it and may be running it.

    So the host to fence before a retry is the one that clients are shown.

    :raises Overtaken: it is not ours any more.
    """
    _fail(engine, assignment, reason, owner=assignment.record.dest_compute)


def _fail(engine: Engine, assignment: Assignment, reason: str, *, owner: str | None) -> None:
    record = assignment.record

    def work(transaction: Transaction) -> None:
        instance = instances.find(transaction, record.instance_uuid)
        if instance is None or instance.deleted:
            raise Overtaken(what="instance", where=record.instance_uuid)
        close(transaction, instance, record, Step.FAIL, reason, owner=owner)
        announce(engine, transaction, events.REBUILD_ERROR, record, host=record.dest_compute, reason=reason)

    engine.database.write(work)

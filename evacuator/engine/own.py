"""The destination makes the instance its own: what every power-on of an evacuation follows."""

from evacuator.db import instances, migrations
from evacuator.db.session import Transaction
from evacuator.engine.claim import Assignment
from evacuator.engine.engine import Engine


def prove_attempt(engine: Engine, host: str, assignment: Assignment) -> None:
    """Prove by a write that the evacuation is still this attempt's, without taking the instance yet.

    :raises Overtaken: it is not ours any more.
    """
    record = assignment.record

    def work(transaction: Transaction) -> None:
        as_read = {"evacuation_id": record.uuid, "host": {record.source_compute, host}}
        instances.change(transaction, assignment.instance.uuid, as_read, {})
        migrations.change(transaction, record, {})

    engine.database.write(work)


def own_instance(engine: Engine, host: str, assignment: Assignment) -> None:
    """Record ``host`` as the one host allowed to run the instance; the evacuation must still be this attempt's.

    May be repeated: it then proves anew that both still hold.

    :raises Overtaken: it is not ours any more.
    """
    record, instance = assignment.record, assignment.instance

    def work(transaction: Transaction) -> None:
        instances.change(
            transaction,
            instance.uuid,
            {"evacuation_id": record.uuid, "host": {record.source_compute, host}},
            {"host": host},
        )
        migrations.change(transaction, record, {})

    engine.database.write(work)

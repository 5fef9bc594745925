"""What a host that comes back still owes the database."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from evacuator.db import instances, leftovers, migrations, nodes
from evacuator.db.models import Migration
from evacuator.db.session import Transaction
from evacuator.engine.engine import Engine
from evacuator.engine.record import move
from evacuator.errors import Overtaken
from evacuator.evacuation.cleaning import Ownership
from evacuator.evacuation.transitions import Status, Step


def settled_here(engine: Engine, host: str) -> frozenset[str]:
    """Return the instances that belong on ``host`` and that no evacuation takes from it: most of an inventory."""
    return engine.database.read(lambda session: instances.settled_on(session, host))


def ownership_of(engine: Engine, host: str, instance_uuid: str) -> Ownership | None:
    """Read anew what is known of a guest found on ``host``."""

    def look(session: Any) -> Ownership | None:
        known = migrations.ownership(session, instance_uuid, host)
        gone = known is not None and known.was_here and leftovers.was_seen_gone(session, instance_uuid, host)
        return replace(known, seen_gone=True) if known is not None and gone else known

    return engine.database.read(look)


def owed_by(engine: Engine, host: str) -> Sequence[Migration]:
    """Return the evacuations away from ``host`` that are done; completed is who is not in an inventory taken after."""
    return engine.database.read(lambda session: migrations.done_away_from(session, host))


def is_owed(engine: Engine, migration_id: int) -> bool:
    """Read anew whether an evacuation is done and its source has not been cleaned yet."""

    def look(session: Any) -> bool:
        record = migrations.get(session, migration_id)
        return record is not None and record.status == Status.DONE

    return engine.database.read(look)


def owns_its_disk(engine: Engine, host: str, record: Migration) -> bool:
    """Read anew whether the disk that an evacuation made on ``host`` can be nobody else's by now."""
    return not engine.database.read(lambda session: leftovers.may_be_anothers(session, record, host))


def keeps_disk_in_use(engine: Engine, record: Migration) -> bool:
    """Read anew whether the source of ``record`` has the disk that the instance uses by now."""
    return engine.database.read(lambda session: leftovers.keeps_disk_in_use(session, record))


def complete_cleaned(engine: Engine, host: str, migration_id: int) -> bool:
    """Complete an evacuation away from ``host``, which holds nothing of it any more; give its claim there back.

    False when somebody else was faster.
    """

    def work(transaction: Transaction) -> bool:
        record = migrations.get(transaction, migration_id)
        if record is None or record.status != Status.DONE:
            return False
        move(transaction, record, Step.CLEAN, f"{host} holds nothing of it any more")
        nodes.release(transaction, host, record.instance_uuid)
        return True

    try:
        return engine.database.write(work)
    except Overtaken:
        return False

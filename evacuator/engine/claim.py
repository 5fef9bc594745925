"""A destination takes hold of an evacuation."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from evacuator.db import actions, instances, migrations
from evacuator.db.models import Instance, Migration
from evacuator.db.session import Transaction
from evacuator.engine.announce import announce
from evacuator.engine.engine import Engine
from evacuator.engine.record import REBUILD_EVENT, move
from evacuator.errors import Overtaken
from evacuator.evacuation import events
from evacuator.evacuation.states import VmState
from evacuator.evacuation.transitions import UNFINISHED, Status, Step


@dataclass(frozen=True)
class Assignment:
    """An evacuation in the hands of the destination that claimed it.

    ``owned``: an earlier attempt of this host had already made the instance its own. ``shares_storage``: source and
    destination publish the same storage.
    """

    record: Migration
    instance: Instance
    owned: bool
    shares_storage: bool

    @property
    def cause(self) -> str:
        """On whose behalf the hypervisor is driven."""
        return f"migration {self.record.id} attempt {self.record.attempt}"

    @property
    def ends_running(self) -> bool:
        """Whether the instance is to be started."""
        return self.record.final_state == VmState.ACTIVE


def waiting_evacuations(engine: Engine, host: str) -> Sequence[Migration]:
    """Return every unfinished evacuation to ``host`` that it should look at.

    One that needs its caller's token is left to the message that brings it, for as long as that may still come.
    """
    caller_timeout = engine.rules.caller_timeout if engine.keys.keeps_keys else None
    return engine.database.read(lambda session: migrations.unfinished_at(session, host, caller_timeout))


def claim_evacuation(
    engine: Engine, host: str, migration_id: int, attempt: int | None, service_version: int
) -> Assignment | None:
    """Claim an evacuation for ``host``, or claim again one that an earlier life of it had claimed.

    None when there is nothing to do: it is finished, somebody else's, another attempt's, or needs a newer compute
    service than this one. ``attempt`` is the one that a message named; None takes the record as it stands.
    """
    runs = count()

    def work(transaction: Transaction) -> Assignment | None:
        repeated = next(runs) > 0
        found = migrations.get_for(transaction, migration_id, host)
        if found is None:
            return None
        record, instance, shares_storage = found
        if not _is_for(record, host, service_version) or instance.evacuation_id != record.uuid:
            return None
        if attempt not in (None, record.attempt) and not (repeated and _claimed_from(record, attempt)):
            return None
        if record.status == Status.ACCEPTED:
            move(transaction, record, Step.CLAIM, f"claimed by {host}")
            actions.start_event(transaction, instance.uuid, record.request_id, REBUILD_EVENT, host)
            announce(engine, transaction, events.REBUILD_START, record, host=host)
        else:
            # Whoever had it may make the instance its own at this moment: what we say of that must still be so.
            instances.change(transaction, instance.uuid, {"evacuation_id": record.uuid, "host": instance.host}, {})
            move(transaction, record, Step.RECLAIM, f"claimed again by {host}")
        return Assignment(record, instance, owned=instance.host == host, shares_storage=shares_storage)

    try:
        return engine.database.write(work)
    except Overtaken:
        return None


def _is_for(record: Migration, host: str, service_version: int) -> bool:
    return record.status in UNFINISHED and record.dest_compute == host and record.min_service_version <= service_version


def _claimed_from(record: Migration, attempt: int | None) -> bool:
    """Tell whether ``record`` is as a claim of ``attempt`` left it: our own, of whose commit we did not hear."""
    return record.status == Status.PRE_MIGRATING and attempt is not None and record.attempt == attempt + 1

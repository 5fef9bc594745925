"""The one door through which an evacuation changes its status."""

import logging
from typing import Any

from evacuator import metrics
from evacuator.db import actions, instances, migrations, nodes
from evacuator.db.clock import now
from evacuator.db.models import Instance, Migration
from evacuator.db.session import Transaction
from evacuator.errors import EvacuationInProgress
from evacuator.evacuation.states import PowerState, VmState
from evacuator.evacuation.transitions import Step, advance

LOG = logging.getLogger(__name__)

CHOICE_EVENT = "rebuild_server"
REBUILD_EVENT = "compute_rebuild_instance"

#: The steps with which an evacuation ends.
ENDS = frozenset({Step.FINISH, Step.NO_HOST, Step.FAIL})

#: The steps that more than one process may take at once from the same status and attempt. All others are left to the
#: host whose the attempt is, or belong to the transaction that made the record.
CONTESTED = frozenset({Step.REASSIGN, Step.FAIL, Step.CLEAN})


def begin(transaction: Transaction, record: Migration) -> None:
    """Insert a new record, which from here on has its number. The log line is written once it is committed."""
    migrations.insert(transaction, record)
    its_id = {"uuid": record.uuid}
    transaction.leaves(lambda session: migrations.shows(session, its_id))
    _tell(transaction, record, None, "accept", f"{record.user_id} asked for it, to end {record.final_state}")


def move(transaction: Transaction, record: Migration, step: Step, why: str, **values: Any) -> None:
    """Take ``record`` one step on, if it still is in the status and attempt in which it was read.

    Once it is committed ``record`` shows what was written, and the log line is written.

    :raises TransitionRefused: there is no such step from there.
    :raises Overtaken: somebody else moved it.
    """
    status, attempt = advance(record.status, record.attempt, step)
    migrations.change(transaction, record, {"status": status, "attempt": attempt, **values})
    destination = values.get("dest_compute", record.dest_compute)
    left = {"id": record.id, "status": status, "attempt": attempt, "dest_compute": destination}
    if step in CONTESTED:
        left["updated_at"] = migrations.written_at(transaction, record.id)
    transaction.leaves(lambda session: migrations.shows(session, left))
    _tell(transaction, record, record.status, step, why)


def in_progress(record: Migration, action: str) -> EvacuationInProgress:
    """Make the refusal of what cannot be done while ``record`` holds its instance."""
    return EvacuationInProgress(
        action=action,
        uuid=record.instance_uuid,
        migration_id=record.id,
        destination=record.dest_compute,
        status=record.status,
        since=f"{record.created_at:%Y-%m-%d %H:%M:%S}",
    )


def fault(message: str, without_hosts: str | None = None) -> dict[str, Any]:
    """Make what clients are shown of an instance in ERROR.

    ``without_hosts``: the message for those who may not know which hosts there are, where it names one.
    """
    return {"code": 500, "message": message, "details": None, "without_hosts": without_hosts}


def close(
    transaction: Transaction,
    instance: Instance,
    record: Migration,
    step: Step,
    reason: str,
    *,
    owner: str | None,
    without_hosts: str = "The evacuation failed. An administrator can see why.",
    event: str = REBUILD_EVENT,
    power_state: int = PowerState.NOSTATE,
) -> None:
    """End an evacuation without success: the instance goes to ERROR, on the one host ``owner`` that may run it.

    The state it had is remembered, so that a retry can restore it; a second failure does not overwrite that. The
    claim on the other host is given back.

    :raises Overtaken: the record or the instance is not as it was read.
    """
    fell_from_error = record.vm_state_before == VmState.ERROR
    remembered = instance.state_before_failure if fell_from_error else record.vm_state_before
    instances.change(
        transaction,
        instance.uuid,
        {"evacuation_id": record.uuid, "host": instance.host},
        {
            "host": owner,
            "vm_state": VmState.ERROR,
            "power_state": power_state,
            "task_state": None,
            "evacuation_id": None,
            "order_id": None,
            "state_before_failure": remembered,
            "fault": fault(reason, without_hosts),
            "fault_at": now(),
        },
    )
    move(transaction, record, step, reason, reason=reason)
    if step is not Step.NO_HOST:  # of which the host that it names has nothing
        give_back_unowned(transaction, instance.uuid, record, owner)
    actions.finish_event(transaction, instance.uuid, record.request_id, event, actions.ERROR, reason)


def give_back_unowned(transaction: Transaction, instance_uuid: str, record: Migration, owner: str | None) -> None:
    """Give back what the evacuation claims on whichever of its two hosts is not ``owner``."""
    for host in (record.source_compute, record.dest_compute):
        if host != owner:
            nodes.release(transaction, host, instance_uuid)


def _tell(transaction: Transaction, record: Migration, before: str | None, step: str, why: str) -> None:
    """Count a transition and write its line once it is committed; by then ``record`` shows what it led to."""

    def tell() -> None:
        status, attempt = str(record.status), record.attempt
        source, destination = record.source_compute, record.dest_compute
        line = (
            f"migration {record.id} of instance {record.instance_uuid}: {before or 'nothing'} -> {status}, "
            f"attempt {attempt}, from {source} to {destination or 'nowhere'} [{record.request_id}]: {why}"
        )
        transition = {
            "migration": record.id,
            "instance": record.instance_uuid,
            "request_id": record.request_id,
            "from_status": before,
            "to_status": status,
            "attempt": attempt,
            "source": source,
            "destination": destination,
            "why": why,
        }
        metrics.TRANSITIONS.labels(step).inc()
        if step in ENDS:
            metrics.EVACUATIONS.labels(status).inc()
        # With [DEFAULT] use_json the parts of the line have names.
        LOG.info("%s", line, extra={"transition": transition, "extra_keys": ["transition"]})

    transaction.on_commit(tell)

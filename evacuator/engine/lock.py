"""Lock and unlock an instance against its own users."""

from collections.abc import Mapping

from evacuator.context import RequestContext
from evacuator.db import actions, instances
from evacuator.db.session import Transaction
from evacuator.engine.engine import Engine


def lock_instance(
    engine: Engine, context: RequestContext, uuid: str, project_id: str | None, reason: str | None = None
) -> None:
    """Lock an instance; evacuating it is not hindered by that.

    :raises InstanceNotFound:
    """
    values: dict[str, object] = {"locked": True, "locked_reason": reason}
    _write(engine, context, uuid, project_id, "lock", "api_lock", values)


def unlock_instance(engine: Engine, context: RequestContext, uuid: str, project_id: str | None) -> None:
    """Unlock an instance.

    :raises InstanceNotFound:
    """
    _write(engine, context, uuid, project_id, "unlock", "api_unlock", {"locked": False, "locked_reason": None})


def _write(
    engine: Engine,
    context: RequestContext,
    uuid: str,
    project_id: str | None,
    action: str,
    event: str,
    values: Mapping[str, object],
) -> None:
    def work(transaction: Transaction) -> None:
        instance = instances.get(transaction, uuid, project_id)
        by_owner = context.project_id == instance.project_id and not context.is_admin
        instances.change(transaction, uuid, {}, {**values, "locked_by_owner": by_owner})
        actions.start(transaction, context, uuid, action)
        actions.start_event(transaction, uuid, context.request_id, event, None)
        actions.finish_event(transaction, uuid, context.request_id, event, actions.SUCCESS)

    engine.database.write(work)

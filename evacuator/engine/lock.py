"""Lock and unlock an instance against its own users."""

from collections.abc import Callable, Mapping

from evacuator.context import RequestContext
from evacuator.db import actions, instances
from evacuator.db.models import Instance
from evacuator.db.session import Transaction
from evacuator.engine.engine import Engine
from evacuator.engine.once import Once
from evacuator.errors import InstanceChanged, Overtaken

#: What is to be written to an instance; None leaves it as it is.
Decide = Callable[[Instance], Mapping[str, object] | None]


def lock_instance(
    engine: Engine, context: RequestContext, uuid: str, project_id: str | None, reason: str | None = None
) -> None:
    """Lock an instance; evacuating it is not hindered by that.

    For those of its own project one that is locked stays as it is: else they would make an administrator's lock theirs.

    :raises InstanceNotFound:
    :raises InstanceChanged: somebody else locked or unlocked it at the same moment.
    :raises RequestTooOld: this process was frozen over it; nothing is written.
    """

    def decide(instance: Instance) -> Mapping[str, object] | None:
        by_owner = _is_owner(context, instance)
        if instance.locked and by_owner:
            return None
        return {"locked": True, "locked_by_owner": by_owner, "locked_reason": reason}

    _write(engine, context, uuid, project_id, "lock", decide)


def unlock_instance(
    engine: Engine,
    context: RequestContext,
    uuid: str,
    project_id: str | None,
    permit_override: Callable[[Instance], None],
) -> None:
    """Unlock an instance.

    ``permit_override`` refuses, by raising, callers who may not undo a lock of the other kind: an administrator's for
    those of the instance's project, theirs for anybody else.

    :raises InstanceNotFound:
    :raises InstanceChanged: somebody else locked or unlocked it at the same moment.
    :raises RequestTooOld: this process was frozen over it; nothing is written.
    """

    def decide(instance: Instance) -> Mapping[str, object]:
        if instance.locked and instance.locked_by_owner != _is_owner(context, instance):
            permit_override(instance)
        return {"locked": False, "locked_by_owner": False, "locked_reason": None}

    _write(engine, context, uuid, project_id, "unlock", decide)


def _is_owner(context: RequestContext, instance: Instance) -> bool:
    # An administrator of the instance's project, too: the lock would hold everybody else there.
    return context.project_id == instance.project_id


def _write(
    engine: Engine, context: RequestContext, uuid: str, project_id: str | None, action: str, decide: Decide
) -> None:
    event, once = f"api_{action}", Once(engine, context, uuid)

    def work(transaction: Transaction) -> None:
        instance = instances.get(transaction, uuid, project_id)
        if once.is_done(transaction):
            return
        values = decide(instance)
        if values is None:
            return
        as_read = {"locked": instance.locked, "locked_by_owner": instance.locked_by_owner}
        instances.change(transaction, uuid, as_read, values)
        actions.start(transaction, context, uuid, action)
        actions.start_event(transaction, uuid, context.request_id, event, None)
        actions.finish_event(transaction, uuid, context.request_id, event, actions.SUCCESS)

    try:
        engine.database.write(work)
    except Overtaken as overtaken:
        raise InstanceChanged(uuid=uuid) from overtaken

"""Instance actions and their events: what was asked, and how each part of it ended."""

from typing import Any

from sqlalchemy import exists, func, insert, literal, not_, select
from sqlalchemy.orm import Session

from evacuator.context import RequestContext
from evacuator.db.clock import now
from evacuator.db.models import InstanceAction, InstanceActionEvent
from evacuator.db.writes import add, change

SUCCESS = "Success"
ERROR = "Error"


def start(session: Session, context: RequestContext, instance_uuid: str, action: str) -> int:
    """Record that somebody asked for ``action``, and return the number of the record."""
    return add(
        session,
        InstanceAction,
        {
            "instance_uuid": instance_uuid,
            "action": action,
            "request_id": context.request_id,
            "user_id": context.user_id,
            "project_id": context.project_id,
        },
    )


def add_ended_event(session: Session, action_id: int, event: str, result: str) -> None:
    """Record a part of an action that took no time worth telling."""
    values = {"action_id": action_id, "event": event, "finish_time": now(), "result": result}
    add(session, InstanceActionEvent, values)


def start_event(session: Session, instance_uuid: str, request_id: str, event: str, host: str | None) -> None:
    """Record that a part of an action begins on ``host``; one that began already and goes on stays as it is."""
    columns = ["action_id", "event", "host", "start_time"]
    begun = exists().where(
        InstanceActionEvent.action_id == InstanceAction.id,
        InstanceActionEvent.event == event,
        InstanceActionEvent.finish_time.is_(None),
    )
    action = select(InstanceAction.id, literal(event), literal(host), now()).where(
        InstanceAction.instance_uuid == instance_uuid, InstanceAction.request_id == request_id, not_(begun)
    )
    session.execute(insert(InstanceActionEvent).from_select(columns, action, include_defaults=False))


def end_event(
    session: Session,
    instance_uuid: str,
    request_id: str,
    event: str,
    result: str,
    details: str | None = None,
    traceback: str | None = None,
) -> None:
    """Record how a part of an action ended, while the action goes on."""
    # One value, not IN (SELECT ...), for which MariaDB would look at every event there is.
    action = select(func.max(InstanceAction.id)).where(
        InstanceAction.instance_uuid == instance_uuid, InstanceAction.request_id == request_id
    )
    change(
        session,
        InstanceActionEvent,
        {"event": event, "finish_time": None},
        {"finish_time": now(), "result": result, "details": details, "traceback": traceback},
        InstanceActionEvent.action_id == action.scalar_subquery(),
    )


def finish_event(
    session: Session,
    instance_uuid: str,
    request_id: str,
    event: str,
    result: str,
    details: str | None = None,
    traceback: str | None = None,
) -> None:
    """Record how the last part of an action ended, and with it the action; an Error marks the whole of it."""
    end_event(session, instance_uuid, request_id, event, result, details, traceback)
    finish(session, instance_uuid, request_id, ERROR if result == ERROR else None)


def finish(session: Session, instance_uuid: str, request_id: str, message: str | None = None) -> None:
    """Record that an action ended; ``message`` is "Error" or null, as in Nova."""
    values: dict[str, Any] = {"finish_time": now(), "updated_at": now()}
    if message:
        values["message"] = message
    change(session, InstanceAction, {"instance_uuid": instance_uuid, "request_id": request_id}, values)

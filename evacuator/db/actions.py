"""Instance actions and their events: what was asked, and how each part of it ended."""

from typing import Any

from sqlalchemy import String, and_, bindparam, exists, func, insert, select, update
from sqlalchemy.orm import Session

from evacuator.context import RequestContext
from evacuator.db.clock import now, seconds_ago
from evacuator.db.models import InstanceAction, InstanceActionEvent
from evacuator.db.writes import add, change, count, table_of

SUCCESS = "Success"
ERROR = "Error"


_ACTIONS, _EVENTS = table_of(InstanceAction), table_of(InstanceActionEvent)
_OF_REQUEST = and_(
    _ACTIONS.c.instance_uuid == bindparam("of_instance"), _ACTIONS.c.request_id == bindparam("of_request")
)
_RUNS = and_(_EVENTS.c.event == bindparam("of_event"), _EVENTS.c.finish_time.is_(None))
_START_EVENT = insert(_EVENTS).from_select(
    ["action_id", "event", "host", "start_time"],
    select(
        _ACTIONS.c.id, bindparam("of_event", type_=String(255)), bindparam("on_host", type_=String(255)), now()
    ).where(_OF_REQUEST, ~exists().where(_EVENTS.c.action_id == _ACTIONS.c.id, _RUNS)),
    include_defaults=False,
)
_END_EVENT = (
    update(_EVENTS)
    # One value, not IN (SELECT ...), for which MariaDB would look at every event there is.
    .where(_EVENTS.c.action_id == select(func.max(_ACTIONS.c.id)).where(_OF_REQUEST).scalar_subquery())
    .where(_RUNS)
    .values(
        finish_time=now(),
        result=bindparam("new_result"),
        details=bindparam("new_details"),
        traceback=bindparam("new_traceback"),
    )
)


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


def find(session: Session, instance_uuid: str, request_id: str) -> InstanceAction | None:
    """Return what a request asked of an instance."""
    asked = InstanceAction.instance_uuid == instance_uuid, InstanceAction.request_id == request_id
    return session.scalars(select(InstanceAction).where(*asked).order_by(InstanceAction.id.desc()).limit(1)).first()


def is_younger(session: Session, instance_uuid: str, request_id: str, seconds: float) -> bool:
    """Tell whether an action began less than so many seconds ago, by the database's clock."""
    asked = InstanceAction.instance_uuid == instance_uuid, InstanceAction.request_id == request_id
    younger = select(InstanceAction.id).where(*asked, InstanceAction.start_time > seconds_ago(seconds)).limit(1)
    return session.scalar(younger) is not None


def add_ended_event(session: Session, action_id: int, event: str, result: str) -> None:
    """Record a part of an action that took no time worth telling."""
    values = {"action_id": action_id, "event": event, "finish_time": now(), "result": result}
    add(session, InstanceActionEvent, values)


def start_event(session: Session, instance_uuid: str, request_id: str, event: str, host: str | None) -> None:
    """Record that a part of an action begins on ``host``; one that began already and goes on stays as it is."""
    parameters = {"of_instance": instance_uuid, "of_request": request_id, "of_event": event, "on_host": host}
    session.execute(_START_EVENT, parameters)


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
    which = {"of_instance": instance_uuid, "of_request": request_id, "of_event": event}
    end = {"new_result": result, "new_details": details, "new_traceback": traceback}
    count(session, _END_EVENT, which | end)


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

"""What was asked of a server."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evacuator.api.microversions import Behaviours
from evacuator.api.views.moments import to_microsecond
from evacuator.api.views.servers import host_id
from evacuator.db.models import InstanceAction, InstanceActionEvent


@dataclass(frozen=True)
class ActionView:
    """Shows actions to one caller. ``sees_inside``: host and traceback; ``sees_details``: why something failed."""

    behaviour: Behaviours
    sees_inside: bool = False
    sees_details: bool = False

    def brief(self, action: InstanceAction) -> dict[str, Any]:
        """Show an action as a list does."""
        shown = {
            "action": action.action,
            "instance_uuid": action.instance_uuid,
            "request_id": action.request_id,
            "user_id": action.user_id,
            "project_id": action.project_id,
            "start_time": to_microsecond(action.start_time),
            "message": action.message,
            "updated_at": to_microsecond(action.updated_at or action.start_time),
        }
        return {key: value for key, value in shown.items() if key not in self.behaviour.action_absent}

    def alone(self, action: InstanceAction, events: Sequence[InstanceActionEvent], project_id: str) -> dict[str, Any]:
        """Show an action with its parts; ``project_id`` is the server's."""
        shown = self.brief(action)
        if self.sees_inside or self.behaviour.shows_events_to_members:
            shown["events"] = [self._event(event, project_id) for event in events]
        return shown

    def _event(self, event: InstanceActionEvent, project_id: str) -> dict[str, Any]:
        shown = {
            "event": event.event,
            "start_time": to_microsecond(event.start_time),
            "finish_time": to_microsecond(event.finish_time),
            "result": event.result,
            "hostId": host_id(project_id, event.host),
        }
        if self.sees_inside:
            shown |= {"traceback": event.traceback, "host": event.host}
        if self.sees_details:
            shown["details"] = event.details
        return {key: value for key, value in shown.items() if key not in self.behaviour.event_absent}

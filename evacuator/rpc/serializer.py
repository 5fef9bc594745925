"""What crosses a message: our versioned objects, and who asked."""

from typing import Any

import oslo_messaging

from evacuator.context import RequestContext
from evacuator.objects.registry import EvacuatorSerializer


class ContextSerializer(oslo_messaging.NoOpSerializer):  # type: ignore[misc]
    """Carries the request's context beside the objects."""

    def __init__(self) -> None:
        self._objects = EvacuatorSerializer()

    def serialize_entity(self, context: RequestContext, entity: Any) -> Any:
        """Make an object what a message can hold."""
        return self._objects.serialize_entity(context, entity)

    def deserialize_entity(self, context: RequestContext, entity: Any) -> Any:
        """Make an object of what a message held."""
        return self._objects.deserialize_entity(context, entity)

    def serialize_context(self, context: RequestContext) -> dict[str, Any]:
        """Make a context what a message can hold."""
        values: dict[str, Any] = context.to_dict()
        return values

    def deserialize_context(self, context: dict[str, Any]) -> RequestContext:
        """Make a context of what a message held."""
        return RequestContext.from_dict(context)

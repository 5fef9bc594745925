"""Who asked for the work that is in hand."""

import threading

from evacuator.context import RequestContext


class Callers:
    """The contexts that messages brought, each with its caller's token, for no longer than the work that it asked for.

    They are in memory alone: whoever takes the work over, or goes on with it after a crash, has nobody's token.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._contexts: dict[tuple[str, str], RequestContext] = {}

    def remember(self, context: RequestContext, instance_uuid: str) -> None:
        """Keep who asked for something to be done with an instance."""
        with self._guard:
            self._contexts[instance_uuid, context.request_id] = context

    def of(self, instance_uuid: str, request_id: str) -> RequestContext | None:
        """Return who asked by that very request; None where no message brought it, or another's did."""
        with self._guard:
            return self._contexts.get((instance_uuid, request_id))

    def forget(self, context: RequestContext, instance_uuid: str) -> None:
        """Keep it no longer."""
        with self._guard:
            self._contexts.pop((instance_uuid, context.request_id), None)

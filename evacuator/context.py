"""Who asks, and under which request id."""

from typing import Any, Self

from oslo_context import context


class RequestContext(context.RequestContext):
    """The identity and the request id that a request carries through API, engine and RPC."""

    user_id: str
    project_id: str
    request_id: str
    is_admin: bool
    auth_token: str | None
    roles: list[str]

    #: What lets the caller's token be used with other services. It stays in this process.
    token_auth: Any = None

    #: When the request may have been sent at the earliest, by the clock of this process, which alone can read it; None
    #: for work that no request asked for.
    begun: float | None = None

    @classmethod
    def of_service(cls, name: str) -> "RequestContext":
        """Make the context of work that no request asked for."""
        return cls(user_id=name, project_id=name, is_admin=True, roles=["admin"])

    @classmethod
    def from_dict(cls, values: dict[str, Any], **kwargs: Any) -> Self:
        """Rebuild a context from what crossed RPC."""
        made: Self = super().from_dict(values, **kwargs)
        return made

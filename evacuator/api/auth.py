"""Who asks: one strategy for each ``[api] auth_strategy``."""

from collections.abc import Callable, Mapping
from typing import Protocol

from evacuator.api.http import Request
from evacuator.context import RequestContext

#: Tokens that mean nobody in particular, who is then the administrator; clients without authentication send "notused".
NOBODY = frozenset({"", "notused"})

ADMIN = "admin"
ADMIN_ROLES = ("admin", "manager", "member", "reader")
MEMBER_ROLES = ("member", "reader")


class Authenticator(Protocol):
    """Finds out who asks."""

    def __call__(self, request: Request) -> RequestContext:
        """Return the caller's identity, with roles and the request's id.

        :raises Unauthenticated: nobody knows who it is.
        """


def noauth(request: Request) -> RequestContext:
    """Believe what the token says: ``user:project``, or ``user`` in the project of that name."""
    token = request.get_header("X-Auth-Token") or ""
    user, _, project = (ADMIN if token in NOBODY else token).partition(":")
    return RequestContext(
        user_id=user,
        project_id=project or user,
        roles=list(ADMIN_ROLES if user == ADMIN else MEMBER_ROLES),
        auth_token=token,
        request_id=request.request_id,
        global_request_id=request.get_header("X-OpenStack-Request-ID"),
    )


STRATEGIES: Mapping[str, Callable[[], Authenticator]] = {"noauth": lambda: noauth}


def authenticator(strategy: str) -> Authenticator:
    """Return what ``[api] auth_strategy`` names."""
    return STRATEGIES[strategy]()

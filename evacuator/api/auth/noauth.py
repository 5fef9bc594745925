"""``noauth``: everybody is who they say they are."""

from evacuator.api.auth.roles import ADMIN, ADMIN_ROLES, MEMBER_ROLES
from evacuator.api.errors import Unauthenticated
from evacuator.api.http import Request
from evacuator.context import RequestContext

#: Tokens that mean nobody in particular, who is then the administrator; clients without authentication send "notused".
NOBODY = frozenset({"", "notused"})

CHALLENGE = 'Token realm="Evacuator"'


def noauth(request: Request) -> RequestContext:
    """Believe what the token says: ``user:project``, or ``user`` in the project of that name.

    It proves nothing to anybody else, so that it is passed on to nobody.

    :raises Unauthenticated: it names a project and no user.
    """
    token = request.get_header("X-Auth-Token") or ""
    user, _, project = (ADMIN if token in NOBODY else token).partition(":")
    if not user:
        raise Unauthenticated(challenge=CHALLENGE)
    return RequestContext(
        user_id=user,
        project_id=project or user,
        roles=list(ADMIN_ROLES if user == ADMIN else MEMBER_ROLES),
        request_id=request.request_id,
        global_request_id=request.get_header("X-OpenStack-Request-ID"),
    )

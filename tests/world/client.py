"""Whoever uses the API of a world: requests as clients send them, into the application as production makes it."""

import json
from functools import cache

import webtest
from oslo_config import cfg

from evacuator.api.app import make_app
from evacuator.api.auth.roles import ADMIN_ROLES
from evacuator.api.images import BuiltInImages
from evacuator.api.policies import Policy, get_enforcer
from evacuator.api.settings import ApiSettings
from evacuator.context import RequestContext

IMAGE = BuiltInImages.IMAGE["id"]

#: What carries the name that a request has in a story.
NAME = "X-OpenStack-Request-ID"


@cache
def policy():
    """Return what may be asked for by whom, as it is where nobody configured anything."""
    conf = cfg.ConfigOpts()
    conf([], project="evacuator", default_config_files=[], default_config_dirs=[])
    return Policy(get_enforcer(conf))


def operator(request):
    """Take everybody for the operator; a request has the id that its story gives it, which is the same each time."""
    return RequestContext(
        user_id="operator",
        project_id="admin",
        roles=list(ADMIN_ROLES),
        auth_token=request.get_header("X-Auth-Token"),
        request_id=request.get_header(NAME),
        overwrite=False,
    )


class Client:
    """Sends requests to the application of one API process."""

    def __init__(self, engine):
        self._app = webtest.TestApp(make_app(engine, ApiSettings(), BuiltInImages(), policy(), operator))

    def ask(self, method, path, body, version, *, token, name):
        """Send a request and say how it was answered: "accepted", or "refused" with the fault."""
        headers = {"OpenStack-API-Version": f"compute {version}", "Content-Type": "application/json", NAME: name}
        if token:
            headers["X-Auth-Token"] = token
        raw = b"" if body is None else json.dumps(body).encode()
        answer = self._app.request(f"/v2.1{path}", method=method, headers=headers, body=raw, status="*")
        if answer.status_int < 300:
            return "accepted"
        (fault,) = answer.json.values()
        assert answer.status_int != 500, f"{method} {path} of {name}: {fault}"
        return f"refused: {answer.status_int} {fault['message']}"

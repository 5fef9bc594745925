"""``keystone``: tokens of an OpenStack Keystone, which keystonemiddleware validates."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import falcon
from oslo_config import cfg

from evacuator.api.errors import Forbidden, Unauthenticated
from evacuator.api.http import Request
from evacuator.context import RequestContext
from evacuator.errors import NotConfigured

SECTION = "keystone_authtoken"

#: Seconds that Keystone may be silent over a question, unless ``http_connect_timeout`` says otherwise.
PATIENCE = 10

#: Where the application inside of the middleware leaves what the middleware told it.
TOLD = "evacuator.identity"


class Keystone:
    """Believes what Keystone says of a token.

    The middleware wraps an application that only notes who asks, and is called for requests that need to know that. So
    the documents on versions are for everybody, and what the middleware refuses has a request id like every answer.
    """

    def __init__(self, middleware: Any) -> None:
        self._middleware = middleware

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> "Keystone":
        """Make the middleware from ``[keystone_authtoken]``, whose options are the middleware's own.

        :raises NotConfigured: keystonemiddleware is not installed, or the section lacks what it needs.
        """
        try:
            from keystonemiddleware import auth_token  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise NotConfigured(
                reason=f"[api] auth_strategy = keystone needs keystonemiddleware ({error}): pip install "
                "'evacuator[keystone]'."
            ) from error
        for group, options in auth_token.list_opts():
            conf.register_opts(options, group=group)
        # What restricted application credentials call this service.
        conf.set_default("service_type", "compute", group=SECTION)
        # By itself it would wait for ever, and soon every thread for a Keystone that took its question and went.
        conf.set_default("http_connect_timeout", PATIENCE, group=SECTION)
        if not conf[SECTION].auth_type:
            raise NotConfigured(
                reason=f"[api] auth_strategy = keystone needs a user that may validate tokens: set auth_type, "
                f"auth_url, username, password and the rest in [{SECTION}] of the configuration file."
            )
        try:
            return cls(auth_token.AuthProtocol(_note, {"oslo_config_config": conf}))
        except Exception as error:  # whatever its plugins make of what is configured
            raise NotConfigured(reason=f"[{SECTION}] cannot be used: {error}") from error

    def __call__(self, request: Request) -> RequestContext:
        """Have the token validated.

        :raises falcon.HTTPServiceUnavailable: Keystone does not answer.
        """
        environment = dict(request.env)
        answer = _Answer()
        for _ in self._middleware(environment, answer):
            pass
        if TOLD not in environment:
            raise answer.refusal()
        context = RequestContext.from_environ(
            environment,
            request_id=request.request_id,
            global_request_id=request.get_header("X-OpenStack-Request-ID"),
        )
        context.token_auth = environment.get("keystone.token_auth")
        if not (context.user_id and context.project_id):
            raise Forbidden(reason="This token is not scoped to a project. Ask Keystone for one that is.")
        return context


class _Answer:
    """What the middleware answers, if it does not let the request through."""

    def __init__(self) -> None:
        self._status = 0
        self._headers: dict[str, str] = {}

    def __call__(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:  # noqa: ARG002
        self._status = int(status.split(maxsplit=1)[0])
        self._headers = {name.lower(): value for name, value in headers}
        return lambda _written: None

    def refusal(self) -> Exception:
        """Return it as an error of ours."""
        if self._status == HTTPStatus.UNAUTHORIZED:
            return Unauthenticated(challenge=self._headers.get("www-authenticate", "Keystone"))
        return falcon.HTTPServiceUnavailable(
            description="Keystone did not answer, so that nobody knows whether the token is valid. Try again later."
        )


def _note(environment: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    environment[TOLD] = True
    start_response("204 No Content", [])
    return []

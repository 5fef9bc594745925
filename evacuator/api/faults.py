"""What each error means to an HTTP client, in one table."""

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import falcon

from evacuator import errors
from evacuator.api import errors as api_errors
from evacuator.api.http import Request

LOG = logging.getLogger(__name__)

#: Seconds between two lines that say that the database does not do its work: every caller would cause one.
QUIET = 10.0


@dataclass(frozen=True)
class Fault:
    """A status code, and the key that the body of the answer has."""

    code: int
    key: str


BAD_REQUEST = Fault(400, "badRequest")
UNAUTHORIZED = Fault(401, "unauthorized")
FORBIDDEN = Fault(403, "forbidden")
NOT_FOUND = Fault(404, "itemNotFound")
NOT_ACCEPTABLE = Fault(406, "computeFault")
CONFLICT = Fault(409, "conflictingRequest")
TOO_LARGE = Fault(413, "overLimit")
UNSUPPORTED_TYPE = Fault(415, "badMediaType")
UNAVAILABLE = Fault(503, "serviceUnavailable")
OURS = Fault(500, "computeFault")

#: An error that has no row of its own has that of the nearest class it derives from.
FAULTS: Mapping[type[errors.EvacuatorError], Fault] = {
    errors.Invalid: BAD_REQUEST,
    errors.NotFound: NOT_FOUND,
    errors.Conflict: CONFLICT,
    # A write lost its race twice, so that the caller has to look again.
    errors.Overtaken: CONFLICT,
    errors.RequestTooOld: UNAVAILABLE,
    errors.DatabaseUnavailable: UNAVAILABLE,
    errors.ImagesUnavailable: UNAVAILABLE,
    errors.KeyUnavailable: CONFLICT,
    errors.KeyForbidden: FORBIDDEN,
    errors.KeyManagerSilent: UNAVAILABLE,
    api_errors.Unauthenticated: UNAUTHORIZED,
    api_errors.Forbidden: FORBIDDEN,
    api_errors.VersionNotSupported: NOT_ACCEPTABLE,
    api_errors.BodyTooLarge: TOO_LARGE,
    api_errors.UnsupportedContentType: UNSUPPORTED_TYPE,
}

#: What Falcon itself may refuse, in the same words.
KEYS = {fault.code: fault.key for fault in FAULTS.values()}

#: What is said of an address that does not exist.
NO_SUCH_PAGE = "The resource could not be found."


def fault_of(error: type[errors.EvacuatorError]) -> Fault:
    """Return the row of an error class; ours, when nobody outside could have caused it."""
    return next((FAULTS[base] for base in error.__mro__ if base in FAULTS), OURS)


def install(app: "falcon.App[Any, Any]") -> None:
    """Make ``app`` answer every error with a fault, and none with a traceback."""
    app.add_error_handler(Exception, _answer_unexpected)
    app.add_error_handler(falcon.HTTPError, _answer_falcon)
    app.add_error_handler(falcon.HTTPNotFound, _answer_not_routed)
    app.add_error_handler(falcon.HTTPMethodNotAllowed, _answer_not_routed)
    app.add_error_handler(errors.EvacuatorError, _answer)
    app.add_error_handler(errors.DatabaseUnavailable, WithoutDatabase())
    app.add_error_handler(api_errors.Unauthenticated, _answer_unauthenticated)


class WithoutDatabase:
    """Answers who asked in vain for what is in the database, and logs why, ``QUIET`` seconds apart at least.

    What the database's driver says names users and machines. It is for the log alone, whoever asks.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._quiet_until = clock()

    def __call__(
        self, request: Request, response: falcon.Response, error: errors.DatabaseUnavailable, _params: dict[str, Any]
    ) -> None:
        """Answer with 503."""
        now = self._clock()
        if now >= self._quiet_until:
            self._quiet_until = now + QUIET
            LOG.warning("%s %s: %s [%s]", request.method, request.path, error, request.request_id)
        _write(response, UNAVAILABLE, error.sentence(names_hosts=False))


def _write(response: falcon.Response, fault: Fault, message: str) -> None:
    response.status = fault.code
    response.content_type = "application/json; charset=UTF-8"
    response.text = json.dumps({fault.key: {"code": fault.code, "message": message}})


def _answer(request: Request, response: falcon.Response, error: errors.EvacuatorError, params: dict[str, Any]) -> None:
    fault = fault_of(type(error))
    if fault is OURS:
        _answer_unexpected(request, response, error, params)
    else:
        _write(response, fault, error.sentence(names_hosts=_is_administrator(request)))


def _is_administrator(request: Request) -> bool:
    identity = getattr(request, "identity", None)
    return identity is not None and bool(identity.is_admin)


def _answer_unexpected(request: Request, response: falcon.Response, error: Exception, _params: dict[str, Any]) -> None:
    LOG.error("%s %s failed [%s]", request.method, request.path, request.request_id, exc_info=error)
    _write(
        response,
        OURS,
        f"Unexpected API Error. The log of the API says more under {request.request_id}; please report it.\n"
        f"{type(error)}",
    )


def _answer_falcon(
    _request: Request, response: falcon.Response, error: falcon.HTTPError, _params: dict[str, Any]
) -> None:
    fault = Fault(error.status_code, KEYS.get(error.status_code, OURS.key))
    response.set_headers(error.headers or {})
    _write(response, fault, error.description or str(error.title or error.status))


def _answer_unauthenticated(
    _request: Request, response: falcon.Response, error: api_errors.Unauthenticated, _params: dict[str, Any]
) -> None:
    response.status = UNAUTHORIZED.code
    response.set_header("WWW-Authenticate", error.facts["challenge"])
    response.media = {"error": {"code": 401, "title": "Unauthorized", "message": str(error)}}


def _answer_not_routed(request: Request, response: falcon.Response, _error: Exception, _params: dict[str, Any]) -> None:
    """Answer an address that does not exist: the caller may be a person with a browser."""
    accept = request.get_header("Accept")
    response.status = 404
    if accept and "json" in accept:
        response.content_type = "application/json; charset=UTF-8"
        response.text = json.dumps(
            {"message": f"{NO_SUCH_PAGE}<br /><br />\n\n\n", "code": "404 Not Found", "title": "Not Found"}
        )
    elif accept:
        response.content_type = "text/html; charset=UTF-8"
        title = "404 Not Found"
        response.text = f"<html><head><title>{title}</title></head><body><h1>{title}</h1>{NO_SUCH_PAGE}</body></html>"
    else:
        response.content_type = "text/plain; charset=UTF-8"
        response.text = f"404 Not Found\n\n{NO_SUCH_PAGE}\n"

"""What is settled about a request before its resource sees it.

Each step may refuse; the order of the steps, in ``evacuator.api.app``, is the order in which Nova refuses.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import falcon
import microversion_parse
from oslo_context.context import generate_request_id

from evacuator.api.auth import Authenticator
from evacuator.api.errors import (
    BodyTooLarge,
    MalformedBody,
    OtherProject,
    UnsupportedContentType,
    VersionMalformed,
    VersionNotSupported,
)
from evacuator.api.http import Request, Resource
from evacuator.api.microversions import MAXIMUM, MINIMUM, Version, behaviours
from evacuator.api.policies import Policy

HEADER = "OpenStack-API-Version"
LEGACY_HEADER = "X-OpenStack-Nova-API-Version"

FORM = re.compile(r"([1-9][0-9]{0,8})\.([1-9][0-9]{0,8}|0)")
VERSIONED_PATH = re.compile(r"/v2(\.1)?(/|$)")

#: As json.dumps writes it; two backslashes are one that stands for itself.
NULL_CHARACTER = re.compile(r"(?<!\\)(\\\\)*\\u0000")

CONTENT_TYPES = frozenset({"text/plain", "application/json", "application/vnd.openstack.compute+json"})


class Paths:
    """Says of every address whether it is one of ours, and gives requests to those an id."""

    def process_request(self, req: Request, resp: falcon.Response) -> None:
        """Give the request an id, if its address is versioned; collapse repeated slashes; answer every OPTIONS."""
        if "\0" in req.path:
            raise falcon.HTTPNotFound
        if "//" in req.path:
            req.path = re.sub("/+", "/", req.path)
        if VERSIONED_PATH.match(req.path):
            req.request_id = generate_request_id()
            req.legacy = not req.path.startswith("/v2.1")
        if req.method == "OPTIONS":
            resp.complete = True

    def process_response(
        self,
        req: Request,
        resp: falcon.Response,
        resource: object,  # noqa: ARG002 - Falcon's signature
        req_succeeded: bool,  # noqa: ARG002, FBT001
    ) -> None:
        """Put the request's id into the answer."""
        if req.request_id is not None:
            resp.set_header("x-openstack-request-id", req.request_id)
            resp.set_header("x-compute-request-id", req.request_id)


#: Settles one thing about a request on its way to a resource, or refuses it.
Step = Callable[[Request, falcon.Response, Resource], None]


class Gate:
    """Takes a request through ``steps`` once it is known where it goes."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps

    def process_resource(self, req: Request, resp: falcon.Response, resource: object, params: dict[str, Any]) -> None:
        """Take the project out of what the resource is called with, then take every step."""
        req.project_in_url = params.pop("project_id", None)
        if isinstance(resource, Resource):
            for step in self._steps:
                step(req, resp, resource)


def check_method(request: Request, _response: falcon.Response, resource: Resource) -> None:
    """Stop at a method that the address does not have: not even its version is looked at."""
    if not hasattr(resource, f"on_{request.method.lower()}"):
        raise falcon.HTTPNotFound


class Authentication:
    """Finds out who asks, unless the resource answers everybody."""

    def __init__(self, authenticate: Authenticator, policy: Policy) -> None:
        self._authenticate = authenticate
        self._policy = policy

    def __call__(self, request: Request, _response: falcon.Response, resource: Resource) -> None:
        """Find out, and whether it is an administrator."""
        if resource.answers_everybody:
            return
        identity = self._authenticate(request)
        identity.begun = request.begun
        identity.is_admin = self._policy.allows(identity, "context_is_admin")
        request.identity = identity


def negotiate(request: Request, response: falcon.Response, resource: Resource) -> None:
    """Read the version from the headers, and say in the answer which one it was."""
    if not resource.is_versioned:
        return
    version = MINIMUM if request.legacy else wanted_version(request)
    if not request.legacy:
        response.set_header(HEADER, f"compute {version}")
        response.set_header(LEGACY_HEADER, str(version))
        response.append_header("Vary", HEADER)
        response.append_header("Vary", LEGACY_HEADER)
    request.behaviour = behaviours(check_supported(version))


def wanted_version(request: Request) -> Version:
    """Return the version that the headers ask for.

    :raises VersionMalformed:
    """
    headers = {name: request.get_header(name) for name in (HEADER, LEGACY_HEADER)}
    given = {name: value for name, value in headers.items() if value is not None}
    text = microversion_parse.get_version(given, "compute", legacy_headers=[LEGACY_HEADER])
    return MINIMUM if text is None else read_version(text)


def read_version(text: str) -> Version:
    """Read a version, or ``latest``.

    :raises VersionMalformed:
    """
    if text == "latest":
        return MAXIMUM
    if not FORM.fullmatch(text):
        raise VersionMalformed(version=text)
    return Version.of(text)


def check_supported(version: Version) -> Version:
    """Return a version that is served.

    :raises VersionNotSupported:
    """
    if not MINIMUM <= version <= MAXIMUM:
        raise VersionNotSupported(version=version, minimum=MINIMUM, maximum=MAXIMUM)
    return version


class Bodies:
    """Reads JSON bodies, up to a limit."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes

    def __call__(self, request: Request, _response: falcon.Response, resource: Resource) -> None:
        """Read the body of a request that has one; the resource then has a first look at it."""
        if request.method not in ("POST", "PUT") or not resource.is_versioned:
            return
        given = request.content_type
        if given and given.partition(";")[0].strip().lower() not in CONTENT_TYPES:
            raise UnsupportedContentType
        raw = self._read(request)
        request.has_body = bool(raw)
        request.json = parse(raw) if raw else None
        resource.peek(request)

    def _read(self, request: Request) -> bytes:
        if (request.content_length or 0) > self._max_bytes:
            raise BodyTooLarge(limit=self._max_bytes)
        # Of a body in chunks some servers tell no length, and end it instead.
        stream = request.stream if request.env.get("wsgi.input_terminated") else request.bounded_stream
        raw: bytes = stream.read(self._max_bytes + 1)
        if len(raw) > self._max_bytes:
            raise BodyTooLarge(limit=self._max_bytes)
        return raw


def parse(raw: bytes) -> Any:
    """Read JSON whose strings any database can store.

    :raises MalformedBody: it is none, it is nested too deep, or a string has a null or half a character.
    """
    try:
        value = json.loads(raw.decode(), parse_constant=_refuse_constant)
        if b"\\u" in raw:
            text = json.dumps(value, ensure_ascii=False)
            text.encode()  # half of a surrogate pair is no character
            if NULL_CHARACTER.search(text):
                raise MalformedBody
    except (ValueError, RecursionError) as error:
        raise MalformedBody from error
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def check_project(request: Request, _response: falcon.Response, resource: Resource) -> None:
    """Compare the project in the address with the caller's."""
    if request.project_in_url is None or resource.answers_everybody:
        return
    if request.project_in_url != request.identity.project_id:
        raise OtherProject(url=request.project_in_url, own=request.identity.project_id)

"""A client of the compute API, ours or Nova's, for the commands that stand outside of it."""

import base64
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

from evacuator.errors import EvacuatorError

#: Who does not answer within so many seconds does not answer.
TIMEOUT = 30.0


#: Where this machine is for itself.
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def with_token(token: str) -> Mapping[str, str]:
    """Return the header of who has a token."""
    return {"X-Auth-Token": token}


def with_password(user: str, password: str) -> Mapping[str, str]:
    """Return the header of who has a password, which ``auth_strategy = http_basic`` asks for."""
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


class ApiUnreachable(EvacuatorError):
    """Nobody answers at the address, or not as the compute API would."""

    message = "{url} does not answer as a compute API does: {reason}"


class ApiRefused(EvacuatorError):
    """The API answered that it would not."""

    message = "{method} {url} was answered with status {status}: {reason}"


class ComputeApi:
    """Speaks with the endpoint ``url`` (with or without ``/v2.1``) at one microversion.

    ``identity``: the headers that say who asks, as of ``with_token`` and ``with_password``.
    """

    def __init__(self, url: str, microversion: str, identity: Mapping[str, str] | None = None) -> None:
        bare = url.rstrip("/")
        place = urllib.parse.urlsplit(bare)
        self.url = bare if place.path else f"{bare}/v2.1"
        self.microversion = microversion
        self._identity = identity or {}
        # A proxy for the world outside knows nothing of this machine.
        around = [urllib.request.ProxyHandler({})] if place.hostname in LOOPBACK else []
        self._open = urllib.request.build_opener(*around).open

    def at(self, microversion: str) -> "ComputeApi":
        """Return the same API at another microversion."""
        return ComputeApi(self.url, microversion, self._identity)

    def newest(self) -> str:
        """Ask for the newest microversion that is spoken there.

        :raises ApiUnreachable, ApiRefused:
        """
        # Without the slash, Keystone-protected Nova still answers 200 here; with it, proxies redirect less often.
        version = self._call("GET", "/", None, headers={}).get("version", {})
        return str(version.get("version") or "2.1")

    def get(self, path: str, **query: str | None) -> Any:
        """Return what is at ``path``; parameters that are None are left out.

        :raises ApiUnreachable, ApiRefused:
        """
        wanted = urllib.parse.urlencode({name: value for name, value in query.items() if value is not None})
        return self._call("GET", f"{path}?{wanted}" if wanted else path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Send ``body`` to ``path``.

        :raises ApiUnreachable, ApiRefused:
        """
        return self._call("POST", path, body)

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """Put ``body`` to ``path``.

        :raises ApiUnreachable, ApiRefused:
        """
        return self._call("PUT", path, body)

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str] | None = None
    ) -> Any:
        url = f"{self.url}{path}"
        if not url.startswith(("http://", "https://")):
            raise ApiUnreachable(url=url, reason="the address must begin with http:// or https://")
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, method=method)  # noqa: S310 - checked above
        spoken = {"OpenStack-API-Version": f"compute {self.microversion}"} if headers is None else headers
        json_only = {"Accept": "application/json", "Content-Type": "application/json"}
        for name, value in {**json_only, **spoken, **self._identity}.items():
            request.add_header(name, value)
        try:
            with self._open(request, timeout=TIMEOUT) as response:
                text = response.read()
            return json.loads(text) if text else {}
        except urllib.error.HTTPError as error:
            with error:
                raise ApiRefused(method=method, url=url, status=error.code, reason=_reason(error)) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ApiUnreachable(url=url, reason=getattr(error, "reason", None) or error) from error


def _reason(error: urllib.error.HTTPError) -> str:
    """Take the sentence out of a fault body: {"conflictingRequest": {"code": 409, "message": ...}}."""
    try:
        (fault,) = json.loads(error.read()).values()
        return str(fault["message"])
    except (ValueError, TypeError, KeyError, AttributeError, OSError, http.client.HTTPException):
        return str(error.reason)

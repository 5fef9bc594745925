"""Compute services: list, enable, disable, force down, forget."""

from collections.abc import Callable, Mapping
from typing import Any

import falcon
from oslo_utils import uuidutils

from evacuator.api import policies
from evacuator.api.collaborators import Collaborators
from evacuator.api.http import Request, Resource
from evacuator.api.schemas.parameters import is_true
from evacuator.api.views import services as view
from evacuator.db import services
from evacuator.db.models import COMPUTE_BINARY
from evacuator.db.numbers import is_number
from evacuator.engine.service import ServiceChange, change_service, delete_service
from evacuator.errors import Invalid, NotFound


class Services(Resource):
    """``/os-services``."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def on_get(self, request: Request, response: falcon.Response) -> None:
        """List services."""
        query = request.query(request.behaviour.services_query)
        self._parts.policy.check(request.identity, policies.SERVICES_LIST)
        engine = self._parts.engine
        down_time = engine.rules.service_down_time
        found = engine.database.read(
            lambda session: services.listing(session, down_time, query.get("host"), query.get("binary"))
        )
        response.media = {"services": [view.show(heard.service, request.behaviour, up=heard.up) for heard in found]}


class Service(Resource):
    """``/os-services/{service_id}``; in the older form the last part is what to do."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def on_put(self, request: Request, response: falcon.Response, *, service_id: str) -> None:
        """Change a service."""
        body = request.body(request.behaviour.service_update_schema)
        self._parts.policy.check(request.identity, policies.SERVICES_UPDATE)
        change = self._change_by_uuid if request.behaviour.names_services_by_uuid else self._change_by_host
        response.media = {"service": change(request, service_id, body)}

    def on_delete(self, request: Request, response: falcon.Response, *, service_id: str) -> None:
        """Forget a service."""
        self._parts.policy.check(request.identity, policies.SERVICES_DELETE)
        engine = self._parts.engine
        key = _uuid(service_id) if request.behaviour.names_services_by_uuid else _number(service_id)
        service = engine.database.read(lambda session: services.get(session, key))
        delete_service(engine, request.identity, service.id)
        response.status = 204

    def _change_by_uuid(self, request: Request, service_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        engine = self._parts.engine
        uuid = _uuid(service_id)
        service = engine.database.read(lambda session: services.get(session, uuid))
        wanted = _wanted(body)
        change_service(engine, request.identity, service.id, wanted)
        down_time = engine.rules.service_down_time
        heard = engine.database.read(lambda session: services.of_host(session, service.host, down_time))
        return view.show(heard.service if heard else service, request.behaviour, up=heard is not None and heard.up)

    def _change_by_host(self, request: Request, verb: str, body: Mapping[str, Any]) -> dict[str, Any]:
        if verb not in VERBS or (verb == "force-down" and not request.behaviour.forces_services_down):
            raise NotFound(reason="Unknown action")
        engine = self._parts.engine
        host, binary = body["host"], body["binary"]
        wanted, shown = VERBS[verb](body)
        service = engine.database.read(lambda session: services.by_host(session, host))
        if binary != COMPUTE_BINARY:
            raise NotFound(reason=f"Could not find binary {binary} on host {host}.")
        change_service(engine, request.identity, service.id, wanted)
        return {"host": host, "binary": binary, **shown}


def _wanted(body: Mapping[str, Any]) -> ServiceChange:
    """Read an update in the newer form; a reason without a status is passed over."""
    status, reason = body.get("status"), body.get("disabled_reason")
    if status is None and "forced_down" not in body:
        raise Invalid(reason="No updates were requested. Fields 'status' or 'forced_down' should be specified.")
    if reason is not None and status == "enabled":
        raise Invalid(reason="Specifying 'disabled_reason' with status 'enabled' is invalid.")
    return ServiceChange(
        disabled=None if status is None else status == "disabled",
        disabled_reason=reason if status == "disabled" else None,
        forced_down=is_true(body["forced_down"]) if "forced_down" in body else None,
    )


def _enable(_body: Mapping[str, Any]) -> tuple[ServiceChange, dict[str, Any]]:
    return ServiceChange(disabled=False), {"status": "enabled"}


def _disable(_body: Mapping[str, Any]) -> tuple[ServiceChange, dict[str, Any]]:
    return ServiceChange(disabled=True), {"status": "disabled"}


def _disable_log_reason(body: Mapping[str, Any]) -> tuple[ServiceChange, dict[str, Any]]:
    if "disabled_reason" not in body:
        raise Invalid(reason="Missing disabled reason field")
    reason = body["disabled_reason"]
    return ServiceChange(disabled=True, disabled_reason=reason), {"status": "disabled", "disabled_reason": reason}


def _force_down(body: Mapping[str, Any]) -> tuple[ServiceChange, dict[str, Any]]:
    if "forced_down" not in body:
        raise Invalid(reason="Missing forced_down field")
    down = is_true(body["forced_down"])
    return ServiceChange(forced_down=down), {"forced_down": down}


#: The older form: what to do, and what the answer then says.
VERBS: Mapping[str, Callable[[Mapping[str, Any]], tuple[ServiceChange, dict[str, Any]]]] = {
    "enable": _enable,
    "disable": _disable,
    "disable-log-reason": _disable_log_reason,
    "force-down": _force_down,
}


def _uuid(text: str) -> str:
    if not uuidutils.is_uuid_like(text):
        raise Invalid(reason=f"Invalid uuid {text}")
    return text


def _number(text: str) -> int:
    if not is_number(text):
        raise Invalid(reason=f"Invalid id {text}: it must be a number")
    return int(text)

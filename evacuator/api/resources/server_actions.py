"""What can be done to a server, in one table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import falcon

from evacuator.api import policies
from evacuator.api.collaborators import Collaborators
from evacuator.api.evacuate_request import EvacuateRequest
from evacuator.api.http import Request, Resource
from evacuator.api.microversions import Behaviours
from evacuator.api.resources.servers import generate_password, owner_of
from evacuator.api.validation import Schema
from evacuator.db import pages
from evacuator.db.models import Instance
from evacuator.engine.accept import accept_evacuation
from evacuator.engine.lock import lock_instance, unlock_instance
from evacuator.engine.power import reboot_instance, start_instance, stop_instance
from evacuator.engine.reset import reset_state
from evacuator.evacuation.states import VmState


@dataclass(frozen=True)
class Asked:
    """An action that was asked for: of which server, by whom, and with what."""

    request: Request
    server_id: str
    arguments: Any

    @property
    def overrides_lock(self) -> bool:
        """Whether a lock does not hold this caller."""
        return bool(self.request.identity.is_admin)


#: Carries out an action and returns the answer's body, None for an empty one.
Run = Callable[[Collaborators, Asked], Mapping[str, Any] | None]


@dataclass(frozen=True)
class Action:
    """How an action's arguments are checked, and how it is carried out, its policy rule included."""

    schema: Callable[[Behaviours], Schema]
    run: Run
    code: int = 202


def allowed_by(rule: str, run: Callable[[Collaborators, Asked, Instance], None]) -> Run:
    """Find the server and ask the policy before ``run``."""

    def checked(parts: Collaborators, asked: Asked) -> None:
        request = asked.request
        found = parts.engine.database.read(lambda session: pages.server(session, asked.server_id, request.scope))
        parts.policy.check(request.identity, rule, owner_of(found.instance))
        run(parts, asked, found.instance)

    return checked


def _evacuate(parts: Collaborators, asked: Asked) -> Mapping[str, Any] | None:
    request = asked.request
    wanted = EvacuateRequest.from_body(asked.arguments, request.behaviour)

    def permit(instance: Instance) -> None:
        # Many are evacuated at once, so that the one who locks the server is also the one who looks whose it is.
        parts.policy.check(request.identity, policies.EVACUATE, owner_of(instance))
        wanted.check()

    accept_evacuation(parts.engine, request.identity, wanted.order(asked.server_id, request.scope, permit))
    if not (request.behaviour.returns_admin_password and parts.settings.enable_instance_password):
        return None
    if wanted.on_shared_storage:
        return {"adminPass": None}
    return {"adminPass": generate_password() if wanted.password is None else wanted.password}


def _start(parts: Collaborators, asked: Asked, instance: Instance) -> None:
    who, uuid, scope = asked.request.identity, instance.uuid, asked.request.scope
    start_instance(parts.engine, who, uuid, scope, override_lock=asked.overrides_lock)


def _stop(parts: Collaborators, asked: Asked, instance: Instance) -> None:
    who, uuid, scope = asked.request.identity, instance.uuid, asked.request.scope
    stop_instance(parts.engine, who, uuid, scope, override_lock=asked.overrides_lock)


def _reboot(parts: Collaborators, asked: Asked, instance: Instance) -> None:
    who, uuid, scope = asked.request.identity, instance.uuid, asked.request.scope
    hard = asked.arguments["type"].upper() == "HARD"
    reboot_instance(parts.engine, who, uuid, scope, override_lock=asked.overrides_lock, hard=hard)


def _reset_state(parts: Collaborators, asked: Asked, instance: Instance) -> None:
    reset_state(parts.engine, asked.request.identity, instance.uuid, VmState(asked.arguments["state"]))


def _lock(parts: Collaborators, asked: Asked, instance: Instance) -> None:
    given = asked.arguments if isinstance(asked.arguments, dict) else {}
    reason = given.get("locked_reason") if asked.request.behaviour.takes_lock_reason else None
    lock_instance(parts.engine, asked.request.identity, instance.uuid, asked.request.scope, reason)


def _unlock(parts: Collaborators, asked: Asked, instance: Instance) -> None:
    who = asked.request.identity

    def permit_override(locked: Instance) -> None:
        parts.policy.check(who, policies.UNLOCK_OVERRIDE, owner_of(locked))

    unlock_instance(parts.engine, who, instance.uuid, asked.request.scope, permit_override)


ACTIONS: Mapping[str, Action] = {
    # 200, not 202: the clients of this action have always been told so.
    "evacuate": Action(lambda behaviour: behaviour.evacuate_schema, _evacuate, code=200),
    "os-start": Action(lambda behaviour: behaviour.start_schema, allowed_by(policies.START, _start)),
    "os-stop": Action(lambda behaviour: behaviour.stop_schema, allowed_by(policies.STOP, _stop)),
    "reboot": Action(lambda behaviour: behaviour.reboot_schema, allowed_by(policies.REBOOT, _reboot)),
    "os-resetState": Action(
        lambda behaviour: behaviour.reset_state_schema, allowed_by(policies.RESET_STATE, _reset_state)
    ),
    "lock": Action(lambda behaviour: behaviour.lock_schema, allowed_by(policies.LOCK, _lock)),
    "unlock": Action(lambda behaviour: behaviour.unlock_schema, allowed_by(policies.UNLOCK, _unlock)),
}


class ServerActions(Resource):
    """``/servers/{server_id}/action``."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts

    def peek(self, request: Request) -> None:
        """Refuse a body that names no action."""
        request.action(ACTIONS)

    def on_post(self, request: Request, response: falcon.Response, *, server_id: str) -> None:
        """Do it."""
        name = request.action(ACTIONS)
        action = ACTIONS[name]
        arguments = request.body(action.schema(request.behaviour))[name]
        answer = action.run(self._parts, Asked(request, server_id, arguments))
        response.status = action.code
        if answer is not None:
            response.media = answer

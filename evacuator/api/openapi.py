"""The OpenAPI document of a microversion, made of what requests are routed and checked by."""

import re
from functools import cache
from typing import Any

from evacuator.api.microversions import MINIMUM, Behaviours, Version, behaviours
from evacuator.api.operations import OPERATIONS, SERVER_ACTIONS, Operation
from evacuator.api.schemas.responses import FAULT

PARAMETER_IN_PATH = re.compile(r"{(\w+)}")

#: Formats that only this application knows; to others they say nothing.
OUR_FORMATS = frozenset({"name", "regex"})

VERSION_HEADER = {
    "name": "OpenStack-API-Version",
    "in": "header",
    "required": True,
    "description": "The microversion that this document describes.",
}


NO_PAGE = {
    "description": "There is no such page.",
    "content": {kind: {"schema": {}} for kind in ("application/json", "text/html", "text/plain")},
}


@cache
def document(version: Version) -> dict[str, Any]:
    """Return the document of ``version``."""
    behaviour = behaviours(version)
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        if operation.is_served(behaviour):
            paths.setdefault(operation.path, {})[operation.method] = _operation(operation, behaviour)
    paths["/servers/{server_id}/action"] = {"post": _server_action(behaviour)}
    for path, item in paths.items():
        item["parameters"] = [_version_parameter(version), *_path_parameters(path)]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Evacuator",
            "version": str(version),
            "description": f"What Evacuator serves of the compute API at microversion {version}.",
        },
        "servers": [{"url": "/v2.1"}],
        "paths": paths,
        "components": {
            "schemas": {"Fault": FAULT},
            "responses": {
                "Refused": {
                    "description": "It was refused, and the sentence says why.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Fault"}}},
                },
            },
        },
    }


def _version_parameter(version: Version) -> dict[str, Any]:
    # Without the header it is the oldest version.
    return VERSION_HEADER | {"required": version != MINIMUM, "schema": {"const": f"compute {version}"}}


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in PARAMETER_IN_PATH.findall(path)
    ]


def _operation(operation: Operation, behaviour: Behaviours) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": _name(operation.method, operation.path),
        "responses": _responses(operation.code, operation.answer(behaviour) if operation.answer else None),
    }
    if operation.missing_is_a_page:
        told["responses"]["404"] = NO_PAGE
    query = operation.query_schema(behaviour)
    if query is not None:
        told["parameters"] = [
            {"name": name, "in": "query", "schema": _portable(schema), "style": "form", "explode": True}
            for name, schema in query["properties"].items()
        ]
    body = operation.body_schema(behaviour)
    if body is not None:
        told["requestBody"] = _json_body(_portable(body))
    return told


def _server_action(behaviour: Behaviours) -> dict[str, Any]:
    """Put all actions of a server together: one of their bodies, and the answers of any."""
    bodies: list[Any] = []
    responses: dict[str, Any] = {}
    for _, schema, code, answer in SERVER_ACTIONS:
        bodies.append(_portable(getattr(behaviour, schema).document))
        responses |= _responses(code, answer(behaviour))
    return {
        "operationId": _name("post", "/servers/{server_id}/action"),
        "requestBody": _json_body({"oneOf": bodies}),
        "responses": responses,
    }


def _json_body(schema: Any) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _responses(code: int, answer: Any) -> dict[str, Any]:
    done: dict[str, Any] = {"description": "It is done." if code != 202 else "It was accepted."}  # noqa: PLR2004
    if answer is not None:
        done["content"] = {"application/json": {"schema": answer}}
    return {str(code): done, "default": {"$ref": "#/components/responses/Refused"}}


def _name(method: str, path: str) -> str:
    words = re.sub(r"[^\w]+", "_", path.replace("{", "").replace("}", "")).strip("_")
    return f"{method}_{words}"


def _portable(schema: Any) -> Any:
    """Leave out the formats that only this application knows."""
    if isinstance(schema, dict):
        return {
            key: _portable(value) for key, value in schema.items() if not (key == "format" and value in OUR_FORMATS)
        }
    if isinstance(schema, list | tuple):
        return [_portable(item) for item in schema]
    return schema

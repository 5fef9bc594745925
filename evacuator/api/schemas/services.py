"""Query strings and bodies of os-services."""

from evacuator.api.schemas.parameters import ANY, BOOLEAN, HOST
from evacuator.api.validation import Schema

QUERY_2_1 = Schema({"type": "object", "properties": {"host": ANY, "binary": ANY}, "additionalProperties": True})
QUERY_2_75 = Schema({"type": "object", "properties": {"host": ANY, "binary": ANY}, "additionalProperties": False})

#: The part of the address says which of these the update needs; the resource looks.
UPDATE_2_1 = Schema(
    {
        "type": "object",
        "properties": {
            "host": HOST,
            "binary": {"type": "string", "minLength": 1, "maxLength": 255},
            "disabled_reason": {"type": "string", "minLength": 1, "maxLength": 255},
        },
        "required": ["host", "binary"],
        "additionalProperties": False,
    }
)

UPDATE_2_11 = Schema(
    {
        "type": "object",
        "properties": {
            "host": HOST,
            "binary": {"type": "string", "minLength": 1, "maxLength": 255},
            "disabled_reason": {"type": "string", "minLength": 1, "maxLength": 255},
            "forced_down": BOOLEAN,
        },
        "required": ["host", "binary"],
        "additionalProperties": False,
    }
)

UPDATE_2_53 = Schema(
    {
        "type": "object",
        "properties": {
            "status": {"type": "string", "enum": ["enabled", "disabled"]},
            "disabled_reason": {"type": "string", "minLength": 1, "maxLength": 255},
            "forced_down": BOOLEAN,
        },
        "additionalProperties": False,
    }
)

"""Bodies of the action ``evacuate``."""

from evacuator.api.schemas.parameters import BOOLEAN, HOST, PASSWORD
from evacuator.api.validation import Schema

V2_1 = Schema(
    {
        "type": "object",
        "properties": {
            "evacuate": {
                "type": "object",
                "properties": {"host": HOST, "onSharedStorage": BOOLEAN, "adminPass": PASSWORD},
                "required": ["onSharedStorage"],
                "additionalProperties": False,
            },
        },
        "required": ["evacuate"],
        "additionalProperties": False,
    }
)

V2_14 = Schema(
    {
        "type": "object",
        "properties": {
            "evacuate": {
                "type": "object",
                "properties": {"host": HOST, "adminPass": PASSWORD},
                "additionalProperties": False,
            },
        },
        "required": ["evacuate"],
        "additionalProperties": False,
    }
)

V2_29 = Schema(
    {
        "type": "object",
        "properties": {
            "evacuate": {
                "type": "object",
                "properties": {"host": HOST, "adminPass": PASSWORD, "force": BOOLEAN},
                "additionalProperties": False,
            },
        },
        "required": ["evacuate"],
        "additionalProperties": False,
    }
)

V2_68 = Schema(
    {
        "type": "object",
        "properties": {
            "evacuate": {
                "type": "object",
                "properties": {"host": HOST, "adminPass": PASSWORD},
                "additionalProperties": False,
            },
        },
        "required": ["evacuate"],
        "additionalProperties": False,
    }
)

V2_95 = Schema(
    {
        "type": "object",
        "properties": {
            "evacuate": {
                "type": "object",
                "properties": {"host": HOST, "adminPass": PASSWORD},
                "additionalProperties": False,
            },
        },
        "required": ["evacuate"],
        "additionalProperties": False,
    }
)

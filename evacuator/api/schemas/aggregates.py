"""Bodies of os-aggregates."""

from evacuator.api.schemas.parameters import HOST, NAME, Kind
from evacuator.api.validation import Schema

ZONE: Kind = {"type": ["string", "null"], "minLength": 1, "maxLength": 255, "format": "name", "pattern": "^[^:]*$"}

CREATE_2_1 = Schema(
    {
        "type": "object",
        "properties": {
            "aggregate": {
                "type": "object",
                "properties": {"name": NAME, "availability_zone": ZONE},
                "required": ["name"],
                "additionalProperties": False,
            },
        },
        "required": ["aggregate"],
        "additionalProperties": False,
    }
)

UPDATE_2_1 = Schema(
    {
        "type": "object",
        "properties": {
            "aggregate": {
                "type": "object",
                "properties": {"name": NAME, "availability_zone": ZONE},
                "minProperties": 1,
                "additionalProperties": False,
            },
        },
        "required": ["aggregate"],
        "additionalProperties": False,
    }
)

METADATA: Kind = {
    "type": "object",
    "maxProperties": 128,
    "properties": {"availability_zone": ZONE},
    "patternProperties": {
        "^(?!availability_zone$)[a-zA-Z0-9-_:. ]{1,255}$": {"type": ["string", "null"], "maxLength": 255},
    },
    "additionalProperties": False,
}

ACTION_2_1 = Schema(
    {
        "type": "object",
        "properties": {
            "add_host": {
                "type": "object",
                "properties": {"host": HOST},
                "required": ["host"],
                "additionalProperties": False,
            },
            "remove_host": {
                "type": "object",
                "properties": {"host": HOST},
                "required": ["host"],
                "additionalProperties": False,
            },
            "set_metadata": {
                "type": "object",
                "properties": {"metadata": METADATA},
                "required": ["metadata"],
                "additionalProperties": False,
            },
        },
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    }
)

"""Query strings and bodies of flavors."""

from evacuator.api.schemas.parameters import ANY, BOOLEAN, LIMIT, MARKER, NAME, SIZE, SIZE_NOT_ZERO, Kind
from evacuator.api.validation import Schema

FLAVOR_ID: Kind = {
    "type": ["string", "integer", "null"],
    "minLength": 1,
    "maxLength": 255,
    "pattern": "^(?! )[a-zA-Z0-9. _-]+(?<! )$",
    "minimum": 0,
    "maximum": 10**18,
}
FACTOR: Kind = {"type": ["number", "string"], "pattern": "^[0-9]{1,9}(\\.[0-9]{1,9})?$", "minimum": 0, "maximum": 10**9}
TEXT_OR_NULL: Kind = {"type": ["string", "null"], "maxLength": 65535}
SPEC: Kind = {"type": ["string", "number"], "maxLength": 255}

CREATE_2_1 = Schema(
    {
        "type": "object",
        "properties": {
            "flavor": {
                "type": "object",
                "properties": {
                    "name": NAME,
                    "id": FLAVOR_ID,
                    "ram": SIZE_NOT_ZERO,
                    "vcpus": SIZE_NOT_ZERO,
                    "disk": SIZE,
                    "OS-FLV-EXT-DATA:ephemeral": SIZE,
                    "swap": SIZE,
                    "rxtx_factor": FACTOR,
                    "os-flavor-access:is_public": BOOLEAN,
                },
                "required": ["name", "ram", "vcpus", "disk"],
                "additionalProperties": False,
            },
        },
        "required": ["flavor"],
        "additionalProperties": False,
    }
)

CREATE_2_55 = Schema(
    {
        "type": "object",
        "properties": {
            "flavor": {
                "type": "object",
                "properties": {
                    "name": NAME,
                    "id": FLAVOR_ID,
                    "ram": SIZE_NOT_ZERO,
                    "vcpus": SIZE_NOT_ZERO,
                    "disk": SIZE,
                    "OS-FLV-EXT-DATA:ephemeral": SIZE,
                    "swap": SIZE,
                    "rxtx_factor": FACTOR,
                    "os-flavor-access:is_public": BOOLEAN,
                    "description": TEXT_OR_NULL,
                },
                "required": ["name", "ram", "vcpus", "disk"],
                "additionalProperties": False,
            },
        },
        "required": ["flavor"],
        "additionalProperties": False,
    }
)

UPDATE_2_55 = Schema(
    {
        "type": "object",
        "properties": {
            "flavor": {
                "type": "object",
                "properties": {"description": TEXT_OR_NULL},
                "required": ["description"],
                "additionalProperties": False,
            },
        },
        "required": ["flavor"],
        "additionalProperties": False,
    }
)

EXTRA_SPECS_2_1 = Schema(
    {
        "type": "object",
        "properties": {
            "extra_specs": {
                "type": "object",
                "maxProperties": 128,
                "patternProperties": {"^[a-zA-Z0-9-_:. ]{1,255}$": SPEC},
                "additionalProperties": False,
            },
        },
        "required": ["extra_specs"],
        "additionalProperties": False,
    }
)

EXTRA_SPEC_2_1 = Schema(
    {
        "type": "object",
        "patternProperties": {"^[a-zA-Z0-9-_:. ]{1,255}$": SPEC},
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    }
)

QUERY_2_1 = Schema(
    {
        "type": "object",
        "properties": {
            "limit": LIMIT,
            "marker": MARKER,
            "is_public": ANY,
            "minRam": ANY,
            "minDisk": ANY,
            "sort_key": ANY,
            "sort_dir": {"type": "array", "items": {"type": "string", "enum": ["asc", "desc"]}},
        },
        "additionalProperties": True,
    }
)

QUERY_2_75 = Schema(
    {
        "type": "object",
        "properties": {
            "limit": LIMIT,
            "marker": MARKER,
            "is_public": ANY,
            "minRam": ANY,
            "minDisk": ANY,
            "sort_key": ANY,
            "sort_dir": {"type": "array", "items": {"type": "string", "enum": ["asc", "desc"]}},
        },
        "additionalProperties": False,
    }
)

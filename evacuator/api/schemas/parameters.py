"""The kinds of values that requests are made of."""

from typing import Any

Kind = dict[str, Any]

#: Exactly what Nova takes for a boolean, numbers not being among it.
BOOLEAN: Kind = {
    "type": ["boolean", "string"],
    "enum": [
        True, "True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes",
        False, "False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no",
    ],
}  # fmt: skip
TRUE_WORDS = frozenset({"true", "1", "on", "yes"})

HOST: Kind = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[a-zA-Z0-9-._]*$"}
PASSWORD: Kind = {"type": "string"}
NAME: Kind = {"type": "string", "minLength": 1, "maxLength": 255, "format": "name"}
DESCRIPTION: Kind = {"type": ["string", "null"], "minLength": 0, "maxLength": 255, "pattern": "^[^\\x00-\\x1f\\x7f]*$"}
UUID: Kind = {"type": "string", "format": "uuid"}
COUNT: Kind = {"type": ["integer", "string"], "pattern": "^[0-9]{1,9}$", "minimum": 1, "maximum": 1000, "minLength": 1}
METADATA: Kind = {
    "type": "object",
    "maxProperties": 128,
    "patternProperties": {"^[a-zA-Z0-9-_:. ]{1,255}$": {"type": "string", "maxLength": 255}},
    "additionalProperties": False,
}
TAGS: Kind = {
    "type": "array",
    "maxItems": 50,
    "items": {"type": "string", "minLength": 1, "maxLength": 60, "pattern": "^[^,/]*$"},
}
HOSTNAME: Kind = {
    "type": "string",
    "minLength": 2,
    "maxLength": 63,
    "pattern": "^[a-zA-Z0-9]+[a-zA-Z0-9-]*[a-zA-Z0-9]+$",
}
#: Less than what a column holds, so that the sum of two, on any host, still fits.
SIZE: Kind = {"type": ["integer", "string"], "pattern": "^[0-9]{1,10}$", "minimum": 0, "maximum": 10**9, "minLength": 1}
SIZE_NOT_ZERO: Kind = {
    "type": ["integer", "string"],
    "pattern": "^0*[1-9][0-9]{0,9}$",
    "minimum": 1,
    "maximum": 10**9,
    "minLength": 1,
    "maxLength": 10,
}

#: In a query string every parameter may be repeated.
BOOLEANS: Kind = {"type": "array", "items": BOOLEAN}
ANY: Kind = {"type": "array", "items": {"type": "string"}}
TEXT: Kind = {"type": "array", "items": {"type": "string", "maxLength": 255}}
REGEX: Kind = {"type": "array", "items": {"type": "string", "maxLength": 255, "format": "regex"}}
MOMENT: Kind = {"type": "array", "items": {"type": "string", "format": "date-time"}}
LIMIT: Kind = {"type": "array", "items": {"type": "string", "pattern": "^[0-9]{1,9}$"}}
MARKER: Kind = {"type": "array", "items": {"type": "string", "maxLength": 255}}
IDENTIFIER: Kind = {"type": "array", "items": {"type": "string", "format": "uuid"}}


def is_true(value: object) -> bool:
    """Read what ``BOOLEAN`` allows."""
    return value is True or str(value).lower() in TRUE_WORDS

"""Query strings of flavors."""

from evacuator.api.schemas.parameters import ANY, LIMIT, MARKER
from evacuator.api.validation import Schema

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

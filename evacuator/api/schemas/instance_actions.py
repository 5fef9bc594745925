"""Query strings of os-instance-actions."""

from evacuator.api.schemas.parameters import LIMIT, MARKER, MOMENT
from evacuator.api.validation import Schema

QUERY_2_1 = Schema({"type": "object", "properties": {}, "additionalProperties": True})

QUERY_2_58 = Schema(
    {
        "type": "object",
        "properties": {"limit": LIMIT, "marker": MARKER, "changes-since": MOMENT},
        "additionalProperties": False,
    }
)

QUERY_2_66 = Schema(
    {
        "type": "object",
        "properties": {"limit": LIMIT, "marker": MARKER, "changes-since": MOMENT, "changes-before": MOMENT},
        "additionalProperties": False,
    }
)

"""Query strings of os-hypervisors."""

from evacuator.api.schemas.parameters import ANY, BOOLEANS, LIMIT, MARKER, TEXT
from evacuator.api.validation import Schema

QUERY_2_1 = Schema({"type": "object", "properties": {}, "additionalProperties": True})

QUERY_2_33 = Schema({"type": "object", "properties": {"limit": LIMIT, "marker": MARKER}, "additionalProperties": True})

QUERY_2_53 = Schema(
    {
        "type": "object",
        "properties": {
            "limit": LIMIT,
            "marker": MARKER,
            "hypervisor_hostname_pattern": TEXT,
            "with_servers": BOOLEANS,
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
            "hypervisor_hostname_pattern": TEXT,
            "with_servers": BOOLEANS,
        },
        "additionalProperties": False,
    }
)

SHOW_2_1 = Schema({"type": "object", "properties": {"with_servers": ANY}, "additionalProperties": True})

SHOW_2_53 = Schema({"type": "object", "properties": {"with_servers": BOOLEANS}, "additionalProperties": True})

SHOW_2_75 = Schema({"type": "object", "properties": {"with_servers": BOOLEANS}, "additionalProperties": False})

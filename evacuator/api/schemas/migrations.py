"""Query strings of os-migrations."""

from evacuator.api.schemas.parameters import ANY, IDENTIFIER, LIMIT, MARKER, MOMENT, TEXT
from evacuator.api.validation import Schema

QUERY_2_1 = Schema(
    {
        "type": "object",
        "properties": {
            "hidden": ANY,
            "host": ANY,
            "instance_uuid": ANY,
            "source_compute": ANY,
            "status": ANY,
            "migration_type": ANY,
        },
        "additionalProperties": True,
    }
)

QUERY_2_59 = Schema(
    {
        "type": "object",
        "properties": {
            "hidden": ANY,
            "host": ANY,
            "instance_uuid": IDENTIFIER,
            "source_compute": ANY,
            "status": ANY,
            "migration_type": ANY,
            "limit": LIMIT,
            "marker": MARKER,
            "changes-since": MOMENT,
        },
        "additionalProperties": False,
    }
)

QUERY_2_66 = Schema(
    {
        "type": "object",
        "properties": {
            "hidden": ANY,
            "host": ANY,
            "instance_uuid": IDENTIFIER,
            "source_compute": ANY,
            "status": ANY,
            "migration_type": ANY,
            "limit": LIMIT,
            "marker": MARKER,
            "changes-since": MOMENT,
            "changes-before": MOMENT,
        },
        "additionalProperties": False,
    }
)

QUERY_2_80 = Schema(
    {
        "type": "object",
        "properties": {
            "hidden": ANY,
            "host": ANY,
            "instance_uuid": IDENTIFIER,
            "source_compute": ANY,
            "status": ANY,
            "migration_type": ANY,
            "limit": LIMIT,
            "marker": MARKER,
            "changes-since": MOMENT,
            "changes-before": MOMENT,
            "user_id": TEXT,
            "project_id": TEXT,
        },
        "additionalProperties": False,
    }
)

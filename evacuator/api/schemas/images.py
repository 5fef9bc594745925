"""Query strings of images."""

from evacuator.api.schemas.parameters import LIMIT, MARKER, TEXT
from evacuator.api.validation import Schema

#: The image service has more to narrow a list by: what is not known here is ignored.
QUERY_2_1 = Schema(
    {
        "type": "object",
        "properties": {
            "limit": LIMIT,
            "marker": MARKER,
            "name": TEXT,
            "status": TEXT,
            "visibility": TEXT,
            "container_format": TEXT,
            "disk_format": TEXT,
            "owner": TEXT,
            "tag": TEXT,
        },
        "additionalProperties": True,
    }
)

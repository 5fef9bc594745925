"""What a body asks for that makes a flavor."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from evacuator.api.schemas.parameters import is_true
from evacuator.errors import Invalid

#: An id that asks for a new one.
ANY_ID = ("auto", None)

#: Property -> (column, what it is when it is not given).
SIZES = {
    "ram": ("memory_mb", 0),
    "vcpus": ("vcpus", 0),
    "disk": ("root_gb", 0),
    "OS-FLV-EXT-DATA:ephemeral": ("ephemeral_gb", 0),
    "swap": ("swap", 0),
}
MOST = 10**9


def columns(body: Mapping[str, Any]) -> dict[str, Any]:
    """Read a body that fits its schema.

    :raises Invalid: a number in words is too large.
    """
    given_id = body.get("id")
    values: dict[str, Any] = {column: int(body.get(name, usual)) for name, (column, usual) in SIZES.items()}
    if max(values.values()) > MOST:
        raise Invalid(reason=f"Invalid input for field/attribute flavor. No size can be more than {MOST}.")
    return values | {
        "flavorid": str(uuid4() if given_id in ANY_ID else given_id),
        "name": body["name"],
        "rxtx_factor": float(body.get("rxtx_factor", 1.0)),
        "is_public": is_true(body.get("os-flavor-access:is_public", True)),
        "description": body.get("description"),
    }


def specs(given: Mapping[str, Any]) -> dict[str, str]:
    """Read extra specs, whose values are texts whatever they were sent as."""
    return {key: str(value) for key, value in given.items()}

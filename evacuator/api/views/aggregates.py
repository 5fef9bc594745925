"""Aggregates."""

from typing import Any

from evacuator.api.microversions import Behaviours
from evacuator.api.views.moments import to_microsecond
from evacuator.db.aggregates import Members


def show(members: Members, behaviour: Behaviours) -> dict[str, Any]:
    """Show an aggregate with its hosts; its zone is among the metadata too."""
    aggregate, hosts = members
    zone = aggregate.availability_zone
    shown = brief(members, behaviour) | {
        "hosts": hosts,
        "metadata": aggregate.aggregate_metadata | ({"availability_zone": zone} if zone else {}),
    }
    return {key: value for key, value in shown.items() if key not in behaviour.aggregate_absent}


def brief(members: Members, behaviour: Behaviours) -> dict[str, Any]:
    """Show an aggregate as the answer to its making does."""
    aggregate = members.aggregate
    shown = {
        "id": aggregate.id,
        "uuid": aggregate.uuid,
        "name": aggregate.name,
        "availability_zone": aggregate.availability_zone,
        "created_at": to_microsecond(aggregate.created_at),
        "updated_at": to_microsecond(aggregate.updated_at),
        "deleted": False,
        "deleted_at": None,
    }
    return {key: value for key, value in shown.items() if key not in behaviour.aggregate_absent}

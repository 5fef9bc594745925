"""Availability zones."""

from collections.abc import Iterable
from typing import Any

from evacuator.api.views.moments import to_microsecond
from evacuator.db.services import Heard


def listing(services: Iterable[Heard], *, with_hosts: bool) -> list[dict[str, Any]]:
    """Show the zones of compute services: available while one of them is enabled."""
    zones: dict[str, list[Heard]] = {}
    for heard in services:
        zones.setdefault(heard.service.availability_zone, []).append(heard)
    return [
        {
            "zoneName": name,
            "zoneState": {"available": any(not heard.service.disabled for heard in members)},
            "hosts": {heard.service.host: _host(heard) for heard in members} if with_hosts else None,
        }
        for name, members in sorted(zones.items())
    ]


def _host(heard: Heard) -> dict[str, Any]:
    service = heard.service
    return {
        service.binary: {
            "available": heard.up,
            "active": not service.disabled,
            "updated_at": to_microsecond(service.last_seen),
        }
    }

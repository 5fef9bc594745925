"""Compute services."""

from typing import Any

from evacuator.api.microversions import Behaviours
from evacuator.api.views.moments import to_microsecond
from evacuator.db.models import Service


def show(service: Service, behaviour: Behaviours, *, up: bool) -> dict[str, Any]:
    """Show a service."""
    touched = [moment for moment in (service.last_seen, service.updated_at) if moment is not None]
    shown = {
        "id": service.uuid if behaviour.names_services_by_uuid else service.id,
        "binary": service.binary,
        "host": service.host,
        "zone": service.availability_zone,
        "status": "disabled" if service.disabled else "enabled",
        "state": "up" if up else "down",
        "updated_at": to_microsecond(max(touched, default=None)),
        "disabled_reason": service.disabled_reason,
        "forced_down": service.forced_down,
    }
    return {key: value for key, value in shown.items() if key not in behaviour.service_absent}

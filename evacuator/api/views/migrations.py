"""Migrations."""

from typing import Any

from evacuator.api.microversions import Behaviours
from evacuator.api.views.moments import to_microsecond
from evacuator.db.models import Migration


def show(migration: Migration, behaviour: Behaviours) -> dict[str, Any]:
    """Show a migration."""
    shown = {
        "id": migration.id,
        "uuid": migration.uuid,
        "migration_type": migration.migration_type,
        "status": migration.status,
        "instance_uuid": migration.instance_uuid,
        "source_compute": migration.source_compute,
        "source_node": migration.source_node,
        "dest_compute": migration.dest_compute,
        "dest_node": migration.dest_node,
        "dest_host": migration.dest_host,
        "old_instance_type_id": None,
        "new_instance_type_id": None,
        "user_id": migration.user_id,
        "project_id": migration.project_id,
        "created_at": to_microsecond(migration.created_at),
        "updated_at": to_microsecond(migration.updated_at),
    }
    return {key: value for key, value in shown.items() if key not in behaviour.migration_absent}

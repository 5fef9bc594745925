"""Migrations."""

from typing import Any

from evacuator.api.microversions import Behaviours
from evacuator.api.views.moments import to_microsecond
from evacuator.db.pages import MigrationEnds


def show(ends: MigrationEnds, behaviour: Behaviours) -> dict[str, Any]:
    """Show a migration; a host whose node nobody knows any more has the host's name for a node, and no address."""
    migration, source, destination = ends
    shown = {
        "id": migration.id,
        "uuid": migration.uuid,
        "migration_type": migration.migration_type,
        "status": migration.status,
        "instance_uuid": migration.instance_uuid,
        "source_compute": migration.source_compute,
        "source_node": source.hypervisor_hostname if source else migration.source_node,
        "dest_compute": migration.dest_compute,
        "dest_node": destination.hypervisor_hostname if destination else migration.dest_node,
        "dest_host": destination.host_ip if destination else migration.dest_host,
        "old_instance_type_id": None,
        "new_instance_type_id": None,
        "user_id": migration.user_id,
        "project_id": migration.project_id,
        "created_at": to_microsecond(migration.created_at),
        "updated_at": to_microsecond(migration.updated_at),
    }
    return {key: value for key, value in shown.items() if key not in behaviour.migration_absent}

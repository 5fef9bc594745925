"""The first tables.

Revision: 0001, the first.
"""

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")

#: In the order in which they can be dropped.
TABLES = (
    "instance_actions_events",
    "instance_actions",
    "allocations",
    "migrations",
    "instances",
    "flavors",
    "compute_nodes",
    "services",
)

#: flavorid, name, vCPUs, MiB of memory, GiB of disk
FLAVORS = (
    ("1", "m1.tiny", 1, 512, 1),
    ("2", "m1.small", 1, 2048, 20),
    ("3", "m1.medium", 2, 4096, 40),
    ("4", "m1.large", 4, 8192, 80),
    ("5", "m1.xlarge", 8, 16384, 160),
)


def upgrade() -> None:
    _create_tables()
    _add_flavors()


def _create_tables() -> None:
    op.create_table(
        "compute_nodes",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("hypervisor_hostname", sa.String(length=255), nullable=False),
        sa.Column("hypervisor_type", sa.String(length=255), nullable=False),
        sa.Column("hypervisor_version", sa.Integer(), nullable=False),
        sa.Column("host_ip", sa.String(length=39), nullable=True),
        sa.Column("cpu_info", sa.JSON(), nullable=False),
        sa.Column("storage_id", sa.String(length=255), nullable=False),
        sa.Column("vcpus", sa.Integer(), nullable=False),
        sa.Column("memory_mb", sa.Integer(), nullable=False),
        sa.Column("local_gb", sa.Integer(), nullable=False),
        sa.Column("vcpus_used", sa.Integer(), nullable=False),
        sa.Column("memory_mb_used", sa.Integer(), nullable=False),
        sa.Column("local_gb_used", sa.Integer(), nullable=False),
        sa.Column("claims", sa.Integer(), nullable=False),
        sa.Column(
            "free_memory_mb", sa.Integer(), sa.Computed("memory_mb - memory_mb_used", persisted=True), nullable=True
        ),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=("pk_compute_nodes")),
        sa.UniqueConstraint("host", name=("uq_compute_nodes_host")),
        sa.UniqueConstraint("uuid", name=("uq_compute_nodes_uuid")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_index("ix_compute_nodes_free_memory_mb_id", "compute_nodes", ["free_memory_mb", "id"], unique=False)

    op.create_table(
        "flavors",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("flavorid", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("vcpus", sa.Integer(), nullable=False),
        sa.Column("memory_mb", sa.Integer(), nullable=False),
        sa.Column("root_gb", sa.Integer(), nullable=False),
        sa.Column("ephemeral_gb", sa.Integer(), nullable=False),
        sa.Column("swap", sa.Integer(), nullable=False),
        sa.Column("is_public", sa.Boolean(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("rxtx_factor", sa.Double(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("extra_specs", sa.JSON(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=("pk_flavors")),
        sa.UniqueConstraint("flavorid", name=("uq_flavors_flavorid")),
        sa.UniqueConstraint("name", name=("uq_flavors_name")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "instances",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("display_name", sa.String(length=255), nullable=False),
        sa.Column("display_description", sa.String(length=255), nullable=True),
        sa.Column("hostname", sa.String(length=255), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("reservation_id", sa.String(length=36), nullable=False),
        sa.Column("launch_index", sa.Integer(), nullable=False),
        sa.Column("image_ref", sa.String(length=255), nullable=True),
        sa.Column("flavor", sa.JSON(), nullable=False),
        sa.Column("vcpus", sa.Integer(), nullable=False),
        sa.Column("memory_mb", sa.Integer(), nullable=False),
        sa.Column("disk_gb", sa.Integer(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("key_name", sa.String(length=255), nullable=True),
        sa.Column("user_data", sa.Text(), nullable=True),
        sa.Column("config_drive", sa.String(length=255), nullable=False),
        sa.Column("availability_zone", sa.String(length=255), nullable=True),
        sa.Column("locked", sa.Boolean(), nullable=False),
        sa.Column("locked_by_owner", sa.Boolean(), nullable=False),
        sa.Column("locked_reason", sa.String(length=255), nullable=True),
        sa.Column("host", sa.String(length=255), nullable=True),
        sa.Column("vm_state", sa.String(length=255), nullable=False),
        sa.Column("task_state", sa.String(length=255), nullable=True),
        sa.Column("power_state", sa.Integer(), nullable=False),
        sa.Column("evacuation_id", sa.String(length=36), nullable=True),
        sa.Column("order_id", sa.String(length=255), nullable=True),
        sa.Column("state_before_failure", sa.String(length=255), nullable=True),
        sa.Column("fault", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("fault_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=True),
        sa.Column("launched_at", MOMENT, nullable=True),
        sa.Column("terminated_at", MOMENT, nullable=True),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=("pk_instances")),
        sa.UniqueConstraint("uuid", name=("uq_instances_uuid")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_index("ix_instances_deleted_created_at", "instances", ["deleted", "created_at"], unique=False)
    op.create_index("ix_instances_host_deleted", "instances", ["host", "deleted"], unique=False)
    op.create_index("ix_instances_host_order_id", "instances", ["host", "order_id"], unique=False)
    op.create_index(
        "ix_instances_project_id_deleted_created_at", "instances", ["project_id", "deleted", "created_at"], unique=False
    )

    op.create_table(
        "services",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("binary", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("availability_zone", sa.String(length=255), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.String(length=255), nullable=True),
        sa.Column("forced_down", sa.Boolean(), nullable=False),
        sa.Column("last_seen", MOMENT, nullable=True),
        sa.Column("up_since", MOMENT, nullable=True),
        sa.Column("incarnation", sa.String(length=36), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("cleaned_epoch", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=("pk_services")),
        sa.UniqueConstraint("host", "binary", name=("uq_services_host_binary")),
        sa.UniqueConstraint("uuid", name=("uq_services_uuid")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_index("ix_services_binary_last_seen", "services", ["binary", "last_seen"], unique=False)
    op.create_index("ix_services_binary_version", "services", ["binary", "version"], unique=False)

    op.create_table(
        "allocations",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("instance_uuid", sa.String(length=36), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("vcpus", sa.Integer(), nullable=False),
        sa.Column("memory_mb", sa.Integer(), nullable=False),
        sa.Column("disk_gb", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["instance_uuid"], ["instances.uuid"], name=("fk_allocations_instance_uuid")),
        sa.PrimaryKeyConstraint("id", name=("pk_allocations")),
        sa.UniqueConstraint("instance_uuid", "host", name=("uq_allocations_instance_uuid_host")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_index("ix_allocations_host", "allocations", ["host"], unique=False)

    op.create_table(
        "instance_actions",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("instance_uuid", sa.String(length=36), nullable=False),
        sa.Column("action", sa.String(length=255), nullable=False),
        sa.Column("request_id", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("start_time", MOMENT, nullable=False),
        sa.Column("finish_time", MOMENT, nullable=True),
        sa.Column("message", sa.String(length=255), nullable=True),
        sa.Column("updated_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["instance_uuid"], ["instances.uuid"], name=("fk_instance_actions_instance_uuid")),
        sa.PrimaryKeyConstraint("id", name=("pk_instance_actions")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_index(
        "ix_instance_actions_instance_uuid_request_id",
        "instance_actions",
        ["instance_uuid", "request_id"],
        unique=False,
    )
    op.create_index(
        "ix_instance_actions_instance_uuid_start_time",
        "instance_actions",
        ["instance_uuid", "start_time"],
        unique=False,
    )

    op.create_table(
        "migrations",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("instance_uuid", sa.String(length=36), nullable=False),
        sa.Column("migration_type", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=255), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("source_compute", sa.String(length=255), nullable=False),
        sa.Column("source_node", sa.String(length=255), nullable=True),
        sa.Column("dest_compute", sa.String(length=255), nullable=True),
        sa.Column("dest_node", sa.String(length=255), nullable=True),
        sa.Column("dest_host", sa.String(length=39), nullable=True),
        sa.Column("final_state", sa.String(length=16), nullable=False),
        sa.Column("vm_state_before", sa.String(length=255), nullable=False),
        sa.Column("min_service_version", sa.Integer(), nullable=False),
        sa.Column("on_shared_storage", sa.Boolean(), nullable=True),
        sa.Column("host_named", sa.Boolean(), nullable=False),
        sa.Column("assignments", sa.Integer(), nullable=False),
        sa.Column("assigned_at", MOMENT, nullable=False),
        sa.Column("request_id", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("disk", sa.String(length=16), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["instance_uuid"], ["instances.uuid"], name=("fk_migrations_instance_uuid")),
        sa.PrimaryKeyConstraint("id", name=("pk_migrations")),
        sa.UniqueConstraint("uuid", name=("uq_migrations_uuid")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_index("ix_migrations_created_at", "migrations", ["created_at"], unique=False)
    op.create_index("ix_migrations_dest_compute_created_at", "migrations", ["dest_compute", "created_at"], unique=False)
    op.create_index("ix_migrations_instance_uuid_status", "migrations", ["instance_uuid", "status"], unique=False)
    op.create_index("ix_migrations_request_id", "migrations", ["request_id"], unique=False)
    op.create_index(
        "ix_migrations_source_compute_created_at", "migrations", ["source_compute", "created_at"], unique=False
    )
    op.create_index("ix_migrations_status_dest_compute", "migrations", ["status", "dest_compute"], unique=False)
    op.create_index("ix_migrations_status_source_compute", "migrations", ["status", "source_compute"], unique=False)

    op.create_table(
        "instance_actions_events",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("action_id", sa.Integer(), nullable=False),
        sa.Column("event", sa.String(length=255), nullable=False),
        sa.Column("start_time", MOMENT, nullable=False),
        sa.Column("finish_time", MOMENT, nullable=True),
        sa.Column("result", sa.String(length=255), nullable=True),
        sa.Column("traceback", sa.Text(), nullable=True),
        sa.Column("host", sa.String(length=255), nullable=True),
        sa.Column("details", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["action_id"], ["instance_actions.id"], name=("fk_instance_actions_events_action_id")),
        sa.PrimaryKeyConstraint("id", name=("pk_instance_actions_events")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_index(
        "ix_instance_actions_events_action_id_event", "instance_actions_events", ["action_id", "event"], unique=False
    )


def _add_flavors() -> None:
    flavors = sa.table(
        "flavors",
        *(sa.column(name) for name in ("flavorid", "name", "vcpus", "memory_mb", "root_gb", "ephemeral_gb", "swap")),
        sa.column("is_public", sa.Boolean()),
        sa.column("disabled", sa.Boolean()),
        sa.column("rxtx_factor", sa.Double()),
        sa.column("extra_specs", sa.JSON()),
        sa.column("created_at", MOMENT),
    )
    op.bulk_insert(
        flavors,
        [
            {
                "flavorid": flavorid,
                "name": name,
                "vcpus": vcpus,
                "memory_mb": memory_mb,
                "root_gb": root_gb,
                "ephemeral_gb": 0,
                "swap": 0,
                "is_public": True,
                "disabled": False,
                "rxtx_factor": 1.0,
                "extra_specs": {},
                "created_at": datetime(2026, 11, 22),  # noqa: DTZ001 - moments are UTC, without a zone
            }
            for flavorid, name, vcpus, memory_mb, root_gb in FLAVORS
        ],
    )


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)

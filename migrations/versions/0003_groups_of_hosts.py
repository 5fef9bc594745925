"""Groups of hosts, which may be zones; an instance remembers the zone that was asked for, and no other.

Revision: 0003, follows 0002.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
TO_THE_LETTER = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def upgrade() -> None:
    op.create_table(
        "aggregates",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("uuid", sa.String(36), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("availability_zone", sa.String(255), nullable=True),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_aggregates"),
        sa.UniqueConstraint("uuid", name="uq_aggregates_uuid"),
        sa.UniqueConstraint("name", name="uq_aggregates_name"),
        **TO_THE_LETTER,
    )
    op.create_table(
        "aggregate_hosts",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("aggregate_id", sa.Integer(), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.ForeignKeyConstraint(["aggregate_id"], ["aggregates.id"], name="fk_aggregate_hosts_aggregate_id"),
        sa.PrimaryKeyConstraint("id", name="pk_aggregate_hosts"),
        sa.UniqueConstraint("aggregate_id", "host", name="uq_aggregate_hosts_aggregate_id_host"),
        **TO_THE_LETTER,
    )
    op.create_index("ix_aggregate_hosts_host", "aggregate_hosts", ["host"])
    # Until now there was one zone, which everybody was recorded in whether it was asked for or not.
    op.execute("UPDATE instances SET availability_zone = NULL WHERE availability_zone = 'nova'")


def downgrade() -> None:
    op.execute("UPDATE instances SET availability_zone = 'nova' WHERE availability_zone IS NULL")
    op.drop_table("aggregate_hosts")
    op.drop_table("aggregates")

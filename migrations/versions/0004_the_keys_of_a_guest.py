"""Which secrets open the encrypted disks of an adopted guest.

Revision: 0004, follows 0003.
"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ENCRYPTION = re.compile(r"<encryption\b.*?</encryption>", re.DOTALL)
SECRET = re.compile(r"""<secret\b[^>]*\buuid=["']([0-9A-Fa-f-]{36})["']""")


def upgrade() -> None:
    op.add_column("instances", sa.Column("key_ids", sa.JSON(none_as_null=True), nullable=True))
    _read_definitions()


def _read_definitions() -> None:
    """Find out what an adoption would find out today."""
    instances = sa.table(
        "instances", sa.column("id"), sa.column("definition"), sa.column("key_ids", sa.JSON(none_as_null=True))
    )
    connection = op.get_bind()
    encrypted = sa.select(instances.c.id, instances.c.definition).where(instances.c.definition.contains("<encryption"))
    for number, definition in connection.execute(encrypted).all():
        found = SECRET.findall(" ".join(ENCRYPTION.findall(definition)))
        if found:
            values = {"key_ids": list(dict.fromkeys(key_id.lower() for key_id in found))}
            connection.execute(sa.update(instances).where(instances.c.id == number).values(**values))


def downgrade() -> None:
    with op.batch_alter_table("instances") as instances:
        instances.drop_column("key_ids")

"""What the hypervisor was told of an adopted guest.

Revision: 0002, follows 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("instances", sa.Column("definition", sa.Text(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("instances") as instances:
        instances.drop_column("definition")

"""comments

Revision ID: 7f39fd7b1ad6
Revises: b12c8ff9985b
Create Date: 2025-01-23 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "7f39fd7b1ad6"
down_revision = "b12c8ff9985b"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table_comment("people", "Who buys", existing_comment=None)
    op.alter_column("people", "email", comment="It's theirs", existing_type=sa.String(200))


def downgrade():
    op.alter_column("people", "email", comment=None, existing_type=sa.String(200))
    op.drop_table_comment("people", existing_comment="Who buys")

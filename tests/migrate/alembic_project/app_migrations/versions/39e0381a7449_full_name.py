"""full name

Revision ID: 39e0381a7449
Revises: 5264cc7a1c1f
Create Date: 2025-01-06 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "39e0381a7449"
down_revision = "5264cc7a1c1f"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("people", sa.Column("first", sa.Text))
    op.add_column("people", sa.Column("last", sa.Text))


def downgrade():
    op.drop_column("people", "last")
    op.drop_column("people", "first")

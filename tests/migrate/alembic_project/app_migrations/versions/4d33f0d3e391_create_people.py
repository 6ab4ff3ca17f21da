"""create people

Revision ID: 4d33f0d3e391
Revises:
Create Date: 2025-01-01 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "4d33f0d3e391"
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "people",
        sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
        sa.Column("email", sa.String(200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
    )


def downgrade():
    op.drop_table("people")

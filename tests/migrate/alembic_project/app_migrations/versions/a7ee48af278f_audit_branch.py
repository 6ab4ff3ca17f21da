"""audit branch

Revision ID: a7ee48af278f
Revises: 4d33f0d3e391
Create Date: 2025-01-26 09:00:00
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "a7ee48af278f"
down_revision = "4d33f0d3e391"
branch_labels = "audit"
depends_on = None


def upgrade():
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("what", postgresql.JSONB, nullable=False),
        sa.Column("tags", postgresql.ARRAY(sa.Text)),
    )


def downgrade():
    op.drop_table("audit")

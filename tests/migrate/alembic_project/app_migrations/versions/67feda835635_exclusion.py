"""exclusion

Revision ID: 67feda835635
Revises: 7bafd5a9ce22
Create Date: 2025-01-30 09:00:00
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "67feda835635"
down_revision = "7bafd5a9ce22"
branch_labels = None
depends_on = None


def upgrade():
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
    op.create_table(
        "shifts",
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("during", postgresql.TSTZRANGE, nullable=False),
        postgresql.ExcludeConstraint(("place", "="), ("during", "&&"), name="no_overlap"),
        schema="shop",
    )


def downgrade():
    op.drop_table("shifts", schema="shop")

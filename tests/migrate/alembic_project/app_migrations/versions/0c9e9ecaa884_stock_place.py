"""stock place

Revision ID: 0c9e9ecaa884
Revises: 420896521e62
Create Date: 2025-01-14 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0c9e9ecaa884"
down_revision = "420896521e62"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("stock", sa.Column("place", sa.String(20)), schema="shop")


def downgrade():
    op.drop_column("stock", "place", schema="shop")

"""add price

Revision ID: 9e90c453d373
Revises: 69fa33217b0c
Create Date: 2025-01-04 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "9e90c453d373"
down_revision = "69fa33217b0c"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("products", sa.Column("price", sa.Numeric(10, 2)), schema="shop")


def downgrade():
    op.drop_column("products", "price", schema="shop")

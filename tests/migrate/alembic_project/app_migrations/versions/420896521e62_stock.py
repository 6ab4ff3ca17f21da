"""stock

Revision ID: 420896521e62
Revises: adf55821c2a7
Create Date: 2025-01-13 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "420896521e62"
down_revision = "adf55821c2a7"
branch_labels = "stock"
depends_on = None


def upgrade():
    op.create_table(
        "stock",
        sa.Column("product_id", sa.BigInteger, sa.ForeignKey("shop.products.id"), primary_key=True),
        sa.Column("pieces", sa.Integer, server_default="0"),
        schema="shop",
    )


def downgrade():
    op.drop_table("stock", schema="shop")

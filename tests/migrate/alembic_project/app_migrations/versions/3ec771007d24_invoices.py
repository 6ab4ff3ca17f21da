"""invoices

Revision ID: 3ec771007d24
Revises: adf55821c2a7
Create Date: 2025-01-16 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "3ec771007d24"
down_revision = "adf55821c2a7"
branch_labels = "billing"
depends_on = None


def upgrade():
    op.create_table(
        "invoices", sa.Column("id", sa.Integer, primary_key=True), sa.Column("order_id", sa.Uuid, nullable=False), schema="shop"
    )


def downgrade():
    op.drop_table("invoices", schema="shop")

"""create orders

Revision ID: f0dc19ca139c
Revises: 363e3c446233
Create Date: 2025-01-11 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "f0dc19ca139c"
down_revision = "363e3c446233"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "orders",
        sa.Column("id", sa.Uuid, server_default=sa.text("gen_random_uuid()"), primary_key=True),
        sa.Column("person_id", sa.Integer, sa.ForeignKey("people.id", ondelete="RESTRICT"), nullable=False),
        sa.Column("total", sa.Numeric(12, 2), sa.CheckConstraint("total >= 0", name="total"), nullable=False),
        schema="shop",
    )


def downgrade():
    op.drop_table("orders", schema="shop")

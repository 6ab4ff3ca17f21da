"""create shop schema

Revision ID: 69fa33217b0c
Revises: 93bc7998521c
Create Date: 2025-01-03 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "69fa33217b0c"
down_revision = "93bc7998521c"
branch_labels = None
depends_on = None


def upgrade():
    op.execute("CREATE SCHEMA shop")
    op.create_table(
        "products",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        schema="shop",
    )


def downgrade():
    op.drop_table("products", schema="shop")
    op.execute("DROP SCHEMA shop")

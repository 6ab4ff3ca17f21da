"""rename place

Revision ID: b12c8ff9985b
Revises: d39242ee4e17
Create Date: 2025-01-22 09:00:00
"""

from alembic import op

revision = "b12c8ff9985b"
down_revision = "d39242ee4e17"
branch_labels = None
depends_on = None


def upgrade():
    op.alter_column("stock", "place", new_column_name="shelf", schema="shop")


def downgrade():
    op.alter_column("stock", "shelf", new_column_name="place", schema="shop")

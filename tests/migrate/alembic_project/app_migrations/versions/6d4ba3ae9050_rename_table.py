"""rename table

Revision ID: 6d4ba3ae9050
Revises: 7f39fd7b1ad6
Create Date: 2025-01-24 09:00:00
"""

from alembic import op

revision = "6d4ba3ae9050"
down_revision = "7f39fd7b1ad6"
branch_labels = None
depends_on = None


def upgrade():
    op.rename_table("invoices", "bills", schema="shop")


def downgrade():
    op.rename_table("bills", "invoices", schema="shop")

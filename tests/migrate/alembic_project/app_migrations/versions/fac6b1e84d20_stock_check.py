"""stock check

Revision ID: fac6b1e84d20
Revises: 0c9e9ecaa884
Create Date: 2025-01-15 09:00:00
"""

from alembic import op

revision = "fac6b1e84d20"
down_revision = "0c9e9ecaa884"
branch_labels = None
depends_on = None


def upgrade():
    op.create_check_constraint("pieces", "stock", "pieces >= 0", schema="shop")


def downgrade():
    op.drop_constraint("ck_stock_pieces", "stock", schema="shop")

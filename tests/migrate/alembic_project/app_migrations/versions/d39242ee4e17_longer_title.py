"""longer title

Revision ID: d39242ee4e17
Revises: def6edb466c3
Create Date: 2025-01-21 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "d39242ee4e17"
down_revision = "def6edb466c3"
branch_labels = None
depends_on = None


def upgrade():
    op.alter_column("products", "title", type_=sa.String(500), schema="shop")


def downgrade():
    op.alter_column("products", "title", type_=sa.Text, schema="shop")

"""name of all

Revision ID: 564b1a98f085
Revises: 3d8228f4dfab
Create Date: 2025-01-08 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "564b1a98f085"
down_revision = "3d8228f4dfab"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("people", sa.Column("name", sa.Text))


def downgrade():
    op.drop_column("people", "name")

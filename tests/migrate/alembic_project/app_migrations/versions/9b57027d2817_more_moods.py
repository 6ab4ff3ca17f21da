"""more moods

Revision ID: 9b57027d2817
Revises: 25d180a0836d
Create Date: 2025-01-19 09:00:00
"""

from alembic import op

revision = "9b57027d2817"
down_revision = "25d180a0836d"
branch_labels = None
depends_on = None


def upgrade():
    with op.get_context().autocommit_block():
        op.execute("ALTER TYPE mood ADD VALUE IF NOT EXISTS 'good'")


def downgrade():
    pass

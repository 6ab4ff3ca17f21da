"""mood default

Revision ID: def6edb466c3
Revises: 9b57027d2817
Create Date: 2025-01-20 09:00:00
"""

from alembic import op

revision = "def6edb466c3"
down_revision = "9b57027d2817"
branch_labels = None
depends_on = None


def upgrade():
    op.alter_column("people", "mood", server_default="good")


def downgrade():
    op.alter_column("people", "mood", server_default=None)

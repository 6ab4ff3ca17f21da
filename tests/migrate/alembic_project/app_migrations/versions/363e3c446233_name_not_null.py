"""name not null

Revision ID: 363e3c446233
Revises: ffedb0fba8d1
Create Date: 2025-01-10 09:00:00
"""

from alembic import op

revision = "363e3c446233"
down_revision = "ffedb0fba8d1"
branch_labels = None
depends_on = None


def upgrade():
    op.alter_column("people", "name", nullable=False)


def downgrade():
    op.alter_column("people", "name", nullable=True)

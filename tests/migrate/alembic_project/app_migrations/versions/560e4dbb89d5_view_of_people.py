"""view of people

Revision ID: 560e4dbb89d5
Revises: 6d4ba3ae9050
Create Date: 2025-01-25 09:00:00
"""

from alembic import op

revision = "560e4dbb89d5"
down_revision = "6d4ba3ae9050"
branch_labels = None
depends_on = None


def upgrade():
    op.execute("CREATE VIEW shop.buyers AS SELECT id, name FROM people WHERE city IS NOT NULL")


def downgrade():
    op.execute("DROP VIEW shop.buyers")

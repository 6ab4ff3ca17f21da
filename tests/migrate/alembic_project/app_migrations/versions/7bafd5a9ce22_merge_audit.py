"""merge audit

Revision ID: 7bafd5a9ce22
Revises: 560e4dbb89d5, 56cb460ce2e0
Create Date: 2025-01-29 09:00:00
"""

revision = "7bafd5a9ce22"
down_revision = ("560e4dbb89d5", "56cb460ce2e0")
branch_labels = None
depends_on = None


def upgrade():
    pass


def downgrade():
    pass

"""merge stock and billing

Revision ID: 25d180a0836d
Revises: fac6b1e84d20, f6a5af7eee0c
Create Date: 2025-01-18 09:00:00
"""

revision = "25d180a0836d"
down_revision = ("fac6b1e84d20", "f6a5af7eee0c")
branch_labels = None
depends_on = None


def upgrade():
    pass


def downgrade():
    pass

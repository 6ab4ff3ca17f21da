"""gin index

Revision ID: 56cb460ce2e0
Revises: 7e9fe0d83baf
Create Date: 2025-01-28 09:00:00
"""

from alembic import op

revision = "56cb460ce2e0"
down_revision = "7e9fe0d83baf"
branch_labels = None
depends_on = None


def upgrade():
    with op.get_context().autocommit_block():
        op.create_index("ix_audit_what", "audit", ["what"], postgresql_using="gin", postgresql_concurrently=True)


def downgrade():
    with op.get_context().autocommit_block():
        op.drop_index("ix_audit_what", "audit", postgresql_concurrently=True)

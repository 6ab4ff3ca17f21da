"""unique email

Revision ID: 93bc7998521c
Revises: 4d33f0d3e391
Create Date: 2025-01-02 09:00:00
"""

from alembic import op

revision = "93bc7998521c"
down_revision = "4d33f0d3e391"
branch_labels = None
depends_on = None


def upgrade():
    op.create_unique_constraint(None, "people", ["email"])


def downgrade():
    op.drop_constraint("uq_people_email", "people")

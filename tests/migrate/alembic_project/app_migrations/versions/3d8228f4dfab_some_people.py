"""some people

Revision ID: 3d8228f4dfab
Revises: 39e0381a7449
Create Date: 2025-01-07 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "3d8228f4dfab"
down_revision = "39e0381a7449"
branch_labels = None
depends_on = None


def upgrade():
    people = sa.table("people", sa.column("email"), sa.column("first"), sa.column("last"))
    op.bulk_insert(people, [{"email": f"p{n}@example.org", "first": f"First{n}", "last": f"Last%{n}"} for n in range(50)])


def downgrade():
    op.execute("DELETE FROM people WHERE email LIKE 'p%@example.org'")

"""mood type

Revision ID: 5264cc7a1c1f
Revises: 9e90c453d373
Create Date: 2025-01-05 09:00:00
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "5264cc7a1c1f"
down_revision = "9e90c453d373"
branch_labels = None
depends_on = None


def upgrade():
    mood = postgresql.ENUM("sad", "ok", name="mood")
    mood.create(op.get_bind())
    op.add_column("people", sa.Column("mood", postgresql.ENUM(name="mood", create_type=False)))


def downgrade():
    op.drop_column("people", "mood")
    op.execute("DROP TYPE mood")

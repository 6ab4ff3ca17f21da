"""fill names

Revision ID: ffedb0fba8d1
Revises: 564b1a98f085
Create Date: 2025-01-09 09:00:00
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.orm import Session

revision = "ffedb0fba8d1"
down_revision = "564b1a98f085"
branch_labels = None
depends_on = None


def upgrade():
    bind = op.get_bind()
    people = sa.table("people", sa.column("id"), sa.column("first"), sa.column("last"), sa.column("name"))
    for row in bind.execute(sa.select(people.c.id, people.c.first, people.c.last)).all():
        bind.execute(people.update().where(people.c.id == row.id).values(name=f"{row.first} {row.last}"))
    with Session(bind) as session:
        assert session.execute(sa.text("SELECT count(*) FROM people WHERE name IS NULL")).scalar() == 0


def downgrade():
    op.execute("UPDATE people SET name = NULL")

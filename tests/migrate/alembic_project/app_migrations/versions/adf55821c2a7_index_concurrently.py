"""index concurrently

Revision ID: adf55821c2a7
Revises: f0dc19ca139c
Create Date: 2025-01-12 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "adf55821c2a7"
down_revision = "f0dc19ca139c"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("people", sa.Column("city", sa.Text))
    with op.get_context().autocommit_block():
        op.create_index("ix_people_city", "people", ["city"], postgresql_concurrently=True)
        op.create_index("ix_orders_person_id", "orders", ["person_id"], schema="shop", postgresql_concurrently=True)
    op.execute("COMMENT ON COLUMN people.city IS 'where they live'")


def downgrade():
    with op.get_context().autocommit_block():
        op.drop_index("ix_orders_person_id", "orders", schema="shop", postgresql_concurrently=True)
        op.drop_index("ix_people_city", "people", postgresql_concurrently=True)
    op.drop_column("people", "city")

"""invoices reference

Revision ID: f6a5af7eee0c
Revises: 3ec771007d24
Create Date: 2025-01-17 09:00:00
"""

from alembic import op

revision = "f6a5af7eee0c"
down_revision = "3ec771007d24"
branch_labels = None
depends_on = None


def upgrade():
    op.create_foreign_key(
        None, "invoices", "orders", ["order_id"], ["id"], source_schema="shop", referent_schema="shop", postgresql_not_valid=True
    )
    op.execute("ALTER TABLE shop.invoices VALIDATE CONSTRAINT fk_invoices_order_id_orders")


def downgrade():
    op.drop_constraint("fk_invoices_order_id_orders", "invoices", schema="shop")

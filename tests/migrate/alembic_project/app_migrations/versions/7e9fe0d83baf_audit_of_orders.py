"""audit of orders

Revision ID: 7e9fe0d83baf
Revises: a7ee48af278f
Create Date: 2025-01-27 09:00:00
"""

from alembic import op

revision = "7e9fe0d83baf"
down_revision = "a7ee48af278f"
branch_labels = None
depends_on = "f0dc19ca139c"


def upgrade():
    op.execute(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO public.audit (what) VALUES (to_jsonb(NEW)); RETURN NEW; END $$"
    )
    op.execute("CREATE TRIGGER note AFTER INSERT ON shop.orders FOR EACH ROW EXECUTE FUNCTION note()")


def downgrade():
    op.execute("DROP TRIGGER note ON shop.orders")
    op.execute("DROP FUNCTION note()")

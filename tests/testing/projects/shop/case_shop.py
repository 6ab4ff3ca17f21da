from __future__ import annotations

import pytest
from sqlalchemy import text

from pgcharter.runtime.connections import ContextConnection
from pgcharter.runtime.context import NoTenantError, OtherContextError, context, no_tenant

PRODUCTS = text("SELECT count(*) FROM catalog.products")


def test_every_table_but_what_is_encrypted(pg_make):
    for table in pg_make.recipes.catalog.tables:
        ours = table.schema in ("identity", "catalog", "sales", "audit") and not table.partition_of
        if ours and table.name != "payment_cards":
            pg_make(table.id.sql())


def test_row_security_holds_in_the_session(pg_make, pg_session):
    ours, theirs = pg_make.many("identity.tenants", 2)
    with context(tenant=ours.tenant_id):
        pg_make.many("catalog.products", 3)
        assert pg_session.execute(text("SELECT current_user, count(*) FROM catalog.products")).one() == ("shop_api", 3)
        pg_session.commit()
    with context(tenant=theirs.tenant_id):
        assert pg_session.scalar(PRODUCTS) == 0
        with context(tenant=ours.tenant_id), pytest.raises(OtherContextError):
            pg_session.scalar(PRODUCTS)
        pg_session.rollback()
    with pytest.raises(NoTenantError):
        pg_session.scalar(PRODUCTS)
    pg_session.rollback()
    with no_tenant("the test wants it"):
        assert pg_session.scalar(PRODUCTS) == 0
        assert pg_session.scalar(text("SELECT current_setting('pgcharter.tenant', true)")) == ""


def test_blocks_of_a_connection_are_transactions_of_a_tenant(pg_make, pg_conn):
    for tenant in pg_make.many("identity.tenants", 2):
        with context(tenant=tenant.tenant_id), pg_conn.transaction():
            pg_make("catalog.products")
            assert pg_conn.execute("SELECT count(*) FROM catalog.products").fetchone() == (1,)


def test_rights_are_those_of_the_role(pg_make, pg_session):
    with context(tenant=pg_make("identity.tenants").tenant_id), pytest.raises(Exception, match="permission denied for table tenants"):
        pg_session.execute(text("DELETE FROM identity.tenants"))


def test_a_connection_of_the_service(pg_make, pg_dsn):
    product = pg_make("catalog.products")
    with ContextConnection.connect(pg_dsn) as conn, context(tenant=product.tenant_id):
        query = "SELECT count(*), current_user, session_user FROM catalog.products"
        assert conn.execute(query).fetchone()[:2] == (1, "shop_api")
        conn.commit()


@pytest.mark.pg_role("shop_reports")
def test_one_test_as_another_role(pg_make, pg_session, pg_dsn):
    product = pg_make("catalog.products")
    with context(tenant=product.tenant_id):
        assert pg_session.execute(text("SELECT current_user, count(*) FROM catalog.products")).one() == ("shop_reports", 0)
        with pytest.raises(Exception, match="permission denied for table products"):
            pg_session.execute(text("DELETE FROM catalog.products"))
        with ContextConnection.connect(pg_dsn) as conn:
            assert conn.execute("SELECT current_user, count(*) FROM catalog.products").fetchone() == ("shop_reports", 1)


@pytest.mark.pg_role("")
def test_one_test_as_who_made_the_database(pg_make, pg_session):
    pg_make.many("identity.tenants", 2)
    with no_tenant("all of them"):
        assert pg_session.scalar(text("SELECT count(*) FROM identity.tenants")) == 2

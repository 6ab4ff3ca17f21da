"""The shop keeps its promises at run time: tenants are apart, times move, changes are recorded, what its charter declares is in place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
import pytest
from tests.conftest import every_major
from tests.examples import conftest
from tests.examples.conftest import Template, oldest_and_newest, one

from pgcharter import examples
from pgcharter.cli.project import open_project
from pgcharter.db import Connection, connect
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import registry, roles_settings, tenancy_settings
from pgcharter.policy.model import Policy, State
from pgcharter.probe import run
from pgcharter.probe.expected import Declared
from pgcharter.servers.lifecycle import Server
from pgcharter.servers.scratch import Scratch
from pgcharter.sources import live

ALPHA, BETA = UUID(int=1), UUID(int=2)


@pytest.fixture
def two(shop: str) -> Iterator[Connection]:
    """A connection of a superuser to a shop with two tenants, each with one user."""
    with connect(shop) as conn:
        for tenant, code in ((ALPHA, "AAA"), (BETA, "BBB")):
            conn.execute(
                "INSERT INTO identity.tenants (tenant_id, tenant_name, tenant_code, currency_code) VALUES (%s, %s, %s, 'EUR')",
                (tenant, code, code),
            )
            _user(conn, tenant, f"someone@{code.lower()}.example")
        yield conn


def _user(conn: Connection, tenant: UUID, email: str, **more: object) -> UUID:
    user = uuid4()
    columns = {"user_id": user, "tenant_id": tenant, "email": email, "password_hash": "$x", "first_name": "A", "last_name": "B", **more}
    names, marks = ", ".join(columns), ", ".join(["%s"] * len(columns))
    conn.execute(f"INSERT INTO identity.users ({names}) VALUES ({marks})", list(columns.values()))  # type: ignore[arg-type]
    return user


@contextmanager
def acting(conn: Connection, role: str, tenant: UUID | None, **said: str) -> Iterator[None]:
    """Inside, be `role` for `tenant`, in a transaction that is rolled back; `said` is the rest of the context."""
    with conftest.acting(conn, role):
        for name, value in {"tenant": tenant and str(tenant), **said}.items():
            if value is not None:
                conn.execute("SELECT set_config(%s, %s, true)", (f"pgcharter.{name}", value))
        yield


def _count(conn: Connection, what: str) -> int:
    return int(one(conn, f"SELECT count(*) FROM {what}"))


@oldest_and_newest
def test_a_tenant_sees_only_its_own_rows(two: Connection, major: int) -> None:
    for role in ("shop_readonly", "shop_readwrite", "shop_admin"):
        with acting(two, role, ALPHA):
            rows = two.execute("SELECT tenant_id FROM identity.users").fetchall()
            assert rows == [(ALPHA,)]
            assert _count(two, "identity.tenants") == 1
    assert _count(two, "identity.users") == 2


def test_without_a_tenant_nothing_is_seen_and_nothing_raises(two: Connection) -> None:
    with acting(two, "shop_readwrite", None):
        assert _count(two, "identity.users") == 0
    with acting(two, "shop_readwrite", ALPHA):
        pass
    # After a setting was local to a transaction it reads as '' in this session, not as NULL.
    assert two.execute("SELECT current_setting('pgcharter.tenant', true)").fetchone() == ("",)
    with acting(two, "shop_readwrite", None):
        assert _count(two, "identity.users") == 0


def test_every_table_with_a_tenant_is_forced_for_its_owner(two: Connection) -> None:
    rows = two.execute(
        """
        SELECT c.oid::regclass::text, c.relrowsecurity, c.relforcerowsecurity,
            EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid)
        FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1
        """
    ).fetchall()
    assert len(rows) == 14
    assert all(enabled and forced and has_policy for _, enabled, forced, has_policy in rows), rows


def test_the_owner_is_held_by_the_policies(two: Connection) -> None:
    two.execute("DROP ROLE IF EXISTS shop_test_owner")
    two.execute("CREATE ROLE shop_test_owner")
    try:
        two.execute("GRANT USAGE ON SCHEMA identity TO shop_test_owner")
        two.execute("ALTER TABLE identity.users OWNER TO shop_test_owner")
        with acting(two, "shop_test_owner", BETA):
            assert two.execute("SELECT tenant_id FROM identity.users").fetchall() == [(BETA,)]
    finally:
        two.execute("REASSIGN OWNED BY shop_test_owner TO CURRENT_USER")
        two.execute("DROP OWNED BY shop_test_owner")
        two.execute("DROP ROLE shop_test_owner")


def test_rows_cannot_be_written_for_or_moved_to_another_tenant(two: Connection) -> None:
    with acting(two, "shop_readwrite", ALPHA), pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        _user(two, BETA, "intruder@aaa.example")
    with acting(two, "shop_readwrite", ALPHA), pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        two.execute("UPDATE identity.users SET tenant_id = %s", (BETA,))
    with acting(two, "shop_readwrite", ALPHA):
        assert two.execute("UPDATE identity.users SET first_name = 'Z' WHERE tenant_id = %s", (BETA,)).rowcount == 0
        assert two.execute("DELETE FROM identity.users WHERE tenant_id = %s", (BETA,)).rowcount == 0


def test_a_foreign_key_cannot_reach_into_another_tenant(two: Connection) -> None:
    """Foreign keys look past row policies, so the tenant is part of them."""
    stranger = two.execute("SELECT user_id FROM identity.users WHERE tenant_id = %s", (BETA,)).fetchone()
    assert stranger
    with acting(two, "shop_readwrite", ALPHA), pytest.raises(psycopg.errors.ForeignKeyViolation):
        two.execute("INSERT INTO catalog.vendors (tenant_id, owner_user_id, vendor_name) VALUES (%s, %s, 'x')", (ALPHA, stranger[0]))


@oldest_and_newest
def test_views_show_what_the_reader_may_see(two: Connection, major: int) -> None:
    user = two.execute("SELECT user_id FROM identity.users WHERE tenant_id = %s", (BETA,)).fetchone()
    assert user
    two.execute(
        "INSERT INTO sales.orders (tenant_id, user_id, order_number, currency_code, items_amount, shipping_city) "
        "VALUES (%s, %s, 'N1', 'EUR', 10, 'Graz')",
        (BETA, user[0]),
    )
    two.execute("UPDATE sales.orders SET order_status = 'paid'")
    two.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY platform.daily_sales")
    for view in ("order_summaries", "daily_sales"):
        for tenant, rows in ((None, 0), (ALPHA, 0), (BETA, 1)):
            with acting(two, "shop_readonly", tenant):
                assert _count(two, f"reporting.{view}") == rows


def test_tenant_roles_may_not_read_what_row_policies_do_not_reach(two: Connection) -> None:
    for role in ("shop_readonly", "shop_readwrite"):
        for what in ("platform.daily_sales", "partitions.audit_entries_2026_01"):
            with acting(two, role, ALPHA), pytest.raises(psycopg.errors.InsufficientPrivilege):
                two.execute(f"SELECT FROM {what}")  # type: ignore[arg-type]


def test_what_is_only_appended_can_be_changed_by_nobody(two: Connection) -> None:
    for table in ("pgcharter.events", "pgcharter.event_heads", "audit.audit_entries"):
        for role in ("shop_readonly", "shop_readwrite", "shop_admin"):
            assert one(two, "SELECT has_table_privilege(%s, %s, 'UPDATE, DELETE, TRUNCATE')", role, table) is False


def test_a_new_table_is_granted_when_it_is_made(two: Connection) -> None:
    with two.transaction(force_rollback=True):
        two.execute("CREATE TABLE sales.later (later_id uuid PRIMARY KEY)")
        two.execute("SET LOCAL ROLE shop_readwrite")
        two.execute("INSERT INTO sales.later VALUES (gen_random_uuid())")


def test_updated_at_moves(two: Connection) -> None:
    before = two.execute("SELECT updated_at FROM identity.users WHERE tenant_id = %s", (ALPHA,)).fetchone()
    two.execute("UPDATE identity.users SET first_name = 'New' WHERE tenant_id = %s", (ALPHA,))
    after = two.execute("SELECT updated_at FROM identity.users WHERE tenant_id = %s", (ALPHA,)).fetchone()
    assert before
    assert after
    assert after[0] > before[0]


def test_every_updated_at_has_its_trigger(two: Connection) -> None:
    rows = two.execute(
        """
        SELECT c.oid::regclass::text FROM pg_class AS c
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'updated_at'
        WHERE c.relkind IN ('r', 'p') AND c.relnamespace <> 'pgcharter'::regnamespace
        AND NOT EXISTS (
            SELECT FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND t.tgfoid = 'platform.set_updated_at'::regproc AND t.tgenabled = 'O'
        )
        """
    ).fetchall()
    assert rows == []


TRAIL = "SELECT operation, table_name, old ->> 'last_name', new ->> 'last_name', actor FROM pgcharter.audit_log ORDER BY number"


@oldest_and_newest
def test_the_audit_trail_covers_every_kind_of_change(two: Connection, major: int) -> None:
    before = len(two.execute(TRAIL).fetchall())
    user = _user(two, ALPHA, "watched@aaa.example")
    with two.transaction():
        two.execute("SET LOCAL pgcharter.actor = 'ada'")
        two.execute("UPDATE identity.users SET last_name = 'Changed' WHERE user_id = %s", (user,))
    two.execute("DELETE FROM identity.users WHERE user_id = %s", (user,))
    two.execute("TRUNCATE sales.payments")
    assert two.execute(TRAIL).fetchall()[before:] == [
        ("INSERT", "users", None, "B", None),
        ("UPDATE", "users", "B", "Changed", "ada"),
        ("DELETE", "users", "Changed", None, None),
        ("TRUNCATE", "payments", None, None, None),
    ]
    assert _count(two, "pgcharter.audit_log WHERE coalesce(old, new) ? 'password_hash'") == 0
    assert _count(two, "audit.audit_entries") == 0


def test_what_an_application_does_is_recorded_and_it_can_neither_read_nor_write_that(two: Connection) -> None:
    with acting(two, "shop_api", ALPHA, actor="ada", reason="she asked for it"):
        two.execute("UPDATE identity.users SET last_name = 'C'")
        two.execute("RESET ROLE")
        assert two.execute("SELECT actor, reason FROM pgcharter.audit_log WHERE operation = 'UPDATE'").fetchall() == [
            ("ada", "she asked for it")
        ]
    for change in ("SELECT FROM pgcharter.audit_log", "DELETE FROM pgcharter.audit_log", "TRUNCATE pgcharter.audit_log"):
        with acting(two, "shop_admin", ALPHA), pytest.raises(psycopg.errors.InsufficientPrivilege):
            two.execute(change)  # type: ignore[arg-type]


def test_numbers_of_cards_are_hidden_from_reports_and_never_in_clear(two: Connection) -> None:
    with acting(two, "shop_reports", ALPHA):
        assert two.execute("SELECT payment_card_id, valid_until FROM sales.payment_cards").fetchall() == []
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            two.execute("SELECT card_number_last4 FROM sales.payment_cards")
    user = one(two, "SELECT user_id FROM identity.users WHERE tenant_id = %s", ALPHA)
    add = (
        "INSERT INTO sales.payment_cards (tenant_id, user_id, card_brand, valid_until, card_number_encrypted, card_number_exact, "
        "card_number_last4) VALUES (%s, %s, 'visa', '2030-01-31', %s, %s, %s)"
    )
    conftest.refused(two, psycopg.errors.CheckViolation, add, ALPHA, user, b"4000001234567899".ljust(64), bytes(20), bytes(20))


def _in(policy: Policy, moment: datetime) -> Policy:
    """The policy, as if it were asked at a moment: partitions of the trail are reckoned from the clock."""
    return Policy(policy.name, lambda state: replace(policy.apply(_at(state, moment)), now=state.now))


def _at(state: State, moment: datetime) -> State:
    return replace(state, now=moment)


@every_major
def test_all_that_its_charter_declares_is_in_place(template_of: Template, major_server: Server, major: int) -> None:
    """Migration 013 is what the policies want, on every version, on the day it was written. If not: python tools/shop_policies.py"""
    charter = open_project(examples.folder("shop")).charter
    chosen = tuple(_in(p, datetime(2026, 11, 21, tzinfo=UTC)) for p in registry.chosen(charter))
    assert {p.name for p in chosen} == {"roles", "tenancy", "audit", "encryption", "idempotency", "messaging", "sync", "evidence"}
    built = major_server.dsn(template_of("shop", major_server))  # a copy would not have the privileges of the database itself
    planned = planning.make(Wish("", built, chosen=Chosen(chosen)))
    assert planned.plan.questions == ()
    assert [s.sql for s in planned.plan.steps] == []


@pytest.mark.slow
@oldest_and_newest
def test_attacked_with_every_role_it_shows_nobody_what_is_another_s(
    template_of: Template, major_server: Server, scratch: Scratch, major: int
) -> None:
    charter = open_project(examples.folder("shop")).charter
    declared = Declared(charter.section(roles_settings.SECTION), charter.section(tenancy_settings.SECTION))
    with connect(major_server.dsn(template_of("shop", major_server))) as conn:
        catalog, cluster = live.read_catalog(conn), live.read_cluster(conn)
    found = run.probe(scratch, catalog, cluster, declared)
    assert [(h.object, h.role, h.attack, h.context, h.observed) for h in found.holes if not h.weak] == []
    assert len(found.guarded) > 12


def test_an_address_is_free_again_when_its_account_is_closed(two: Connection) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation):
        _user(two, ALPHA, "SOMEONE@aaa.example")
    two.execute("UPDATE identity.users SET deleted_at = now(), is_active = false WHERE tenant_id = %s", (ALPHA,))
    _user(two, ALPHA, "SOMEONE@aaa.example")
    _user(two, BETA, "someone@aaa.example")


def test_children_have_no_account(two: Connection) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="younger than 13"):
        two.execute("UPDATE identity.users SET date_of_birth = current_date - 365")


@oldest_and_newest
def test_a_version_of_an_aggregate_is_unique_across_the_months(two: Connection, major: int) -> None:
    order = uuid4()
    one_event = "ARRAY['order'], ARRAY[%s], ARRAY[%s], ARRAY[1], ARRAY['order-placed'], ARRAY['{}'::jsonb]"
    append = f"SELECT (pgcharter.append_events({one_event})).versions"
    with acting(two, "shop_readwrite", ALPHA):
        assert two.execute(append, (order, 0)).fetchone() == ([1],)
        assert two.execute(append, (order, 1)).fetchone() == ([2],)
        assert _count(two, "pgcharter.events") == 2
        with pytest.raises(psycopg.Error, match="is at version 2, and the append expected 1"), two.transaction():
            two.execute(append, (order, 1))
        with pytest.raises(psycopg.errors.InsufficientPrivilege), two.transaction():
            two.execute("INSERT INTO pgcharter.events SELECT * FROM pgcharter.events")
    with acting(two, "shop_readwrite", BETA):
        assert _count(two, "pgcharter.events") == 0


def test_partitions_are_made_ahead_once(two: Connection) -> None:
    make = "SELECT platform.create_month_partitions('audit.audit_entries', '2028-11-30', 3)"
    assert two.execute(make).fetchone() == (3,)
    assert two.execute(make).fetchone() == (0,)
    bound = two.execute(
        "SELECT pg_get_expr(relpartbound, oid) FROM pg_class"
        " WHERE oid = 'partitions.audit_entries_2028_12'::regclass AND relforcerowsecurity"
    ).fetchone()
    assert bound
    assert "2028-12-01 00:00:00" in bound[0]
    assert "2029-01-01 00:00:00" in bound[0]


def test_stock_is_reserved_only_while_it_lasts(two: Connection) -> None:
    user = two.execute("SELECT user_id FROM identity.users WHERE tenant_id = %s", (ALPHA,)).fetchone()
    assert user
    vendor, category, product = uuid4(), uuid4(), uuid4()
    two.execute(
        "INSERT INTO catalog.vendors (vendor_id, tenant_id, owner_user_id, vendor_name) VALUES (%s, %s, %s, 'V')", (vendor, ALPHA, user[0])
    )
    two.execute("INSERT INTO catalog.categories (category_id, tenant_id, category_name) VALUES (%s, %s, 'C')", (category, ALPHA))
    two.execute(
        "INSERT INTO catalog.products (product_id, tenant_id, vendor_id, category_id, sku, product_name, product_status, price_amount) "
        "VALUES (%s, %s, %s, %s, 'S', 'Folding Oak Chairs', 'active', 9.5)",
        (product, ALPHA, vendor, category),
    )
    two.execute("INSERT INTO catalog.inventory_items (tenant_id, product_id, received_quantity) VALUES (%s, %s, 5)", (ALPHA, product))
    reserve = "SELECT catalog.reserve_inventory(%s, %s)"
    with acting(two, "shop_readwrite", BETA):
        assert two.execute(reserve, (product, 1)).fetchone() == (False,)
    with acting(two, "shop_readwrite", ALPHA):
        assert [two.execute(reserve, (product, n)).fetchone() for n in (4, 2, 1, 1, -3)] == [(True,), (False,), (True,), (False,), (False,)]
    with acting(two, "shop_readonly", ALPHA):
        found = two.execute("SELECT product_name FROM catalog.search_products('chair')").fetchall()
        assert found == [("Folding Oak Chairs",)]
    with acting(two, "shop_readonly", BETA):
        assert two.execute("SELECT FROM catalog.search_products('chair')").fetchall() == []

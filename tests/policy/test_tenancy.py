"""`[tenancy]` in rows on real servers: what real roles see and may do, on and off, on every kind of table."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from tests.policy.by_hand import lose

from pgcharter.catalog.compare import compare
from pgcharter.catalog.model import Catalog
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Planned, Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.names import ObjectId
from pgcharter.policy import roles, tenancy
from pgcharter.policy.roles_settings import RolesSection
from pgcharter.policy.tenancy_notes import LEAKPROOF
from pgcharter.policy.tenancy_settings import TenancySection, UserRows
from pgcharter.policy.tenancy_tables import expected
from pgcharter.runtime.connections import transaction
from pgcharter.runtime.context import Context
from pgcharter.servers.lifecycle import Server
from pgcharter.sources import live

A, B = (str(uuid.UUID(int=n)) for n in (10, 11))
LONG = "ä" * 31
SCHEMA = f"""
CREATE SCHEMA app; CREATE SCHEMA "Zwei";
CREATE TABLE app.customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text UNIQUE);
CREATE TABLE app.orders (id bigint PRIMARY KEY, customer_id bigint REFERENCES app.customers, total numeric, tags jsonb);
CREATE INDEX ON app.orders (total); CREATE INDEX ON app.orders USING gin (tags); CREATE INDEX ON app.customers (lower(email));
CREATE TABLE "Zwei"."{LONG}" ("Näme" text);
CREATE TABLE "Zwei".orders_tenant_id_idx (a int);
CREATE TABLE app.events (id bigint, at date NOT NULL, v int) PARTITION BY RANGE (at);
CREATE TABLE app.events_1 PARTITION OF app.events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE app.events_2 PARTITION OF app.events FOR VALUES FROM ('2021-01-01') TO ('2022-01-01') PARTITION BY LIST (v);
CREATE TABLE app.events_2a PARTITION OF app.events_2 FOR VALUES IN (1);
CREATE TABLE app.base (a int); CREATE TABLE app.heir (b int) INHERITS (app.base);
CREATE TABLE app.countries (code text PRIMARY KEY);
CREATE TABLE app.notes (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY, tenant_id uuid, note text, who text DEFAULT 'x', UNIQUE (tenant_id, note)
);
CREATE VIEW app.orders_view AS SELECT * FROM app.orders;
CREATE VIEW app.numbers AS SELECT count(*) AS n FROM app.orders_view;
CREATE MATERIALIZED VIEW app.kept AS SELECT * FROM app.notes;
CREATE FUNCTION app.all_orders() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM app.orders';
"""
WISH = TenancySection(
    shared=("app.countries",), user=(UserRows("app.notes", "who"),), application_roles=("pgct_app",), maintenance_role="pgct_maint"
)


@pytest.fixture
def app(major_server: Server) -> Iterator[str]:
    with psycopg.connect(major_server.dsn(), autocommit=True) as conn:
        conn.execute("CREATE DATABASE tenancy TEMPLATE template0")
        conn.execute("CREATE ROLE pgct_app")
    dsn = major_server.dsn("tenancy")
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(SCHEMA.encode())
        conn.execute('GRANT USAGE ON SCHEMA app, "Zwei" TO pgct_app; GRANT ALL ON ALL TABLES IN SCHEMA app, "Zwei" TO pgct_app')
    yield dsn
    with psycopg.connect(major_server.dsn(), autocommit=True) as conn:
        conn.execute("DROP DATABASE tenancy WITH (FORCE)")
        conn.execute("DROP ROLE pgct_app; DROP ROLE IF EXISTS pgct_maint; DROP ROLE IF EXISTS pgct_owner")


def planned(dsn: str, section: TenancySection | None = WISH, *more: Any, prove: bool = False) -> Planned:
    return planning.make(Wish("", dsn, prove=prove, chosen=Chosen((*((tenancy.policy(section),) if section else ()), *more))))


def apply(dsn: str, section: TenancySection | None = WISH, *more: Any, prove: bool = False) -> Planned:
    found = planned(dsn, section, *more, prove=prove)
    if section is None and lose(dsn, found):
        found = planned(dsn, section, *more, prove=prove)
    assert found.plan.questions == ()
    with psycopg.connect(dsn, autocommit=True) as conn:
        for step in found.plan.steps:
            conn.execute(step.sql.encode())
    return found


def catalog(dsn: str) -> Catalog:
    with psycopg.connect(dsn, autocommit=True) as conn:
        return live.read_catalog(conn)


def differences(before: Catalog, after: Catalog) -> list[Any]:
    return [d for d in compare(before, after) if "pgcharter" not in (d.object.schema, d.object.name)]


@pytest.fixture(scope="module")
def steps() -> dict[int, tuple[str, ...]]:
    """The statements that bring the policy, by version of the server."""
    return {}


@pytest.fixture
def tenants(app: str, major_server: Server, steps: dict[int, tuple[str, ...]]) -> str:
    """With the policy in force, two tenants, and rows of both in every table. The way there is planned once for each major version."""
    if major_server.version not in steps:
        steps[major_server.version] = tuple(s.sql for s in planned(app).plan.steps)
    with psycopg.connect(app, autocommit=True) as conn:
        for sql in steps[major_server.version]:
            conn.execute(sql.encode())
        for n, tenant in enumerate((A, B), 1):
            conn.execute(f"INSERT INTO pgcharter.tenants (tenant_id, name) VALUES ('{tenant}', 'tenant-{n}')".encode())
            conn.execute(
                f"""
                SET pgcharter.tenant = '{tenant}';
                INSERT INTO app.customers (email) VALUES ('{n}@example.org');
                INSERT INTO app.orders VALUES ({n}, {n}, {n}, '{{}}'), ({n + 10}, {n}, {n}, '{{}}');
                INSERT INTO "Zwei"."{LONG}" VALUES ('x');
                INSERT INTO app.events VALUES ({n}, '2020-05-05', 1), ({n}, '2021-05-05', 1);
                INSERT INTO app.base VALUES (1); INSERT INTO app.heir VALUES (1, 2);
                INSERT INTO app.notes (note, who) VALUES ('of ada', 'ada'), ('of bob', 'bob')""".encode()
            )
    return app


def run(dsn: str, sql: str, tenant: str = A, actor: str = "ada", role: str = "pgct_app") -> Any:
    """What comes of a statement for a tenant, as rows, number of rows or the words of the error; it is kept."""
    with psycopg.connect(dsn) as conn:
        try:
            with transaction(conn, Context(tenant, actor, everybody=not tenant, role=role)):
                cursor = conn.execute(sql.encode())
                return cursor.fetchall() if cursor.description else cursor.rowcount
        except psycopg.Error as error:
            return str(error.diag.message_primary)


def own(dsn: str, table: str) -> tuple[int, int]:
    rows = run(dsn, f"SELECT tenant_id::text, count(*) FROM {table} GROUP BY 1")
    found = dict(rows)
    return found.get(A, 0), found.get(B, 0)


TABLES = {
    "app.customers": 1, "app.orders": 2, f'"Zwei"."{LONG}"': 1, "app.events": 2, "app.events_1": 1, "app.events_2": 1, "app.events_2a": 1,
    "app.base": 2, "app.heir": 1, "app.notes": 1,
}  # fmt: skip
REFUSED = "new row violates row-level security policy"


@pytest.mark.parametrize("major", [15, 18], ids=lambda major: f"pg{major}")
def test_each_tenant_has_its_own_rows_by_every_verb(tenants: str, major: int) -> None:
    for table, number in TABLES.items():
        assert own(tenants, table) == (number, 0), table
        assert run(tenants, f"SELECT count(*) FROM {table}", tenant="") == [(0,)], table
        assert REFUSED in str(run(tenants, f"UPDATE {table} SET tenant_id = '{B}'")), table
        assert run(tenants, f"UPDATE {table} SET tenant_id = tenant_id WHERE tenant_id = '{B}' RETURNING *") == [], table
        assert run(tenants, f"DELETE FROM {table} WHERE tenant_id = '{B}'") == 0, table
    assert run(tenants, "SELECT id FROM app.orders_view ORDER BY 1") == [(1,), (11,)]
    assert run(tenants, "UPDATE app.orders_view SET total = 5 WHERE id IN (2, 12)") == 0
    assert run(tenants, "SELECT n FROM app.numbers") == [(2,)]
    assert run(tenants, "INSERT INTO app.orders (id) VALUES (99) RETURNING tenant_id::text") == [(A,)]
    assert REFUSED in str(run(tenants, f"INSERT INTO app.orders (id, tenant_id) VALUES (98, '{B}')"))
    assert REFUSED in str(run(tenants, f"INSERT INTO app.events_1 VALUES (1, '2020-06-06', 1, '{B}')"))
    assert REFUSED in str(run(tenants, "INSERT INTO app.orders (id) VALUES (97)", tenant=""))
    upsert = f"INSERT INTO app.orders (id) VALUES (2) ON CONFLICT (id) DO UPDATE SET tenant_id = '{A}'"
    assert "row-level security policy" in str(run(tenants, upsert))
    assert "row-level security policy" in str(run(tenants, f"MERGE INTO app.orders o USING (VALUES (1)) v (i) ON o.id = v.i "
                                                  f"WHEN MATCHED THEN UPDATE SET tenant_id = '{B}'"))  # fmt: skip
    assert run(tenants, f"SELECT count(*) FROM app.orders WHERE tenant_id = '{B}'", tenant=B) == [(2,)]


def test_copy_shows_own_rows_only(tenants: str) -> None:
    with psycopg.connect(tenants) as conn, transaction(conn, Context(A, role="pgct_app")):
        with conn.cursor().copy("COPY app.orders (id, tenant_id) TO STDOUT") as copy:
            assert {str(row[1]) for row in copy.rows()} == {A}
        with pytest.raises(psycopg.errors.FeatureNotSupported), conn.transaction():
            conn.execute("COPY app.orders (id) FROM STDIN")


def test_the_owner_is_held_too_and_maintenance_is_not(tenants: str) -> None:
    with psycopg.connect(tenants, autocommit=True) as conn:
        conn.execute("CREATE ROLE pgct_owner; GRANT USAGE, CREATE ON SCHEMA app TO pgct_owner; ALTER TABLE app.orders OWNER TO pgct_owner")
    assert run(tenants, "SELECT count(*) FROM app.orders", role="pgct_owner") == [(0,)]
    assert run(tenants, "SELECT count(*) FROM app.orders", tenant="", role="pgct_maint") == [(4,)]
    assert run(tenants, "SELECT count(*) FROM app.events", tenant="", role="pgct_maint") == [(4,)]
    with psycopg.connect(tenants, autocommit=True) as conn:
        conn.execute("REASSIGN OWNED BY pgct_owner TO CURRENT_USER; DROP OWNED BY pgct_owner; DROP ROLE pgct_owner")


def test_users_of_a_tenant_have_their_own_rows(tenants: str) -> None:
    assert run(tenants, "SELECT note FROM app.notes", actor="ada") == [("of ada",)]
    assert run(tenants, "SELECT note FROM app.notes", actor="") == []
    assert REFUSED in str(run(tenants, "INSERT INTO app.notes (note, who) VALUES ('y', 'bob')"))
    assert "row-level security policy" in str(run(tenants, "UPDATE app.notes SET who = 'bob'"))


def test_our_table_of_tenants_shows_a_tenant_its_own_row_where_it_may_be_read(tenants: str) -> None:
    assert "permission denied" in str(run(tenants, "SELECT * FROM pgcharter.tenants"))
    with psycopg.connect(tenants, autocommit=True) as conn:
        conn.execute("GRANT USAGE ON SCHEMA pgcharter TO pgct_app; GRANT SELECT ON pgcharter.tenants TO pgct_app")
    assert run(tenants, "SELECT name FROM pgcharter.tenants") == [("tenant-1",)]


def test_an_unknown_tenant_or_one_that_is_none_has_nothing(tenants: str) -> None:
    assert run(tenants, "SELECT * FROM app.orders", tenant=str(uuid.UUID(int=99))) == []
    assert "violates foreign key" in str(run(tenants, "INSERT INTO app.orders (id) VALUES (5)", tenant=str(uuid.UUID(int=99))))
    assert "invalid input syntax for type uuid" in str(run(tenants, "SELECT * FROM app.orders", tenant="' OR true --"))


@pytest.mark.parametrize("major", [15, 18], ids=lambda major: f"pg{major}")
def test_on_twice_and_off(app: str, major: int) -> None:
    before = catalog(app)
    first = apply(app, prove=True)
    assert first.proof
    assert planned(app).plan.empty
    after = catalog(app)
    apply(app, None)
    assert differences(before, catalog(app)) == []
    apply(app)
    assert differences(after, catalog(app)) == []
    with psycopg.connect(app, autocommit=True) as conn:
        for step in first.plan.reverse:
            conn.execute(step.sql.encode())
    assert differences(before, catalog(app)) == []


def test_notes_tell_what_a_person_must_judge(app: str) -> None:
    notes = "\n".join(planned(app).plan.notes)
    for said in (
        "column app.notes.tenant_id becomes required",
        "materialized view app.kept holds rows of tenants",
        "function app.all_orders() runs with the rights of",
        "unique key customers_email_key of app.customers spans tenants",
        "UNIQUE (tenant_id, email) in its place",
        "unique key orders_pkey of app.orders spans tenants",
        "foreign key orders_customer_id_fkey of app.orders lets a row refer to one of another tenant",
        "app.customers_lower_idx (expression lower(email)), app.orders_tags_idx (gin), app.orders_total_idx (numeric)",
        "TRUNCATE, which row security does not hold: REVOKE it from pgct_app",
    ):
        assert said in notes, said
    assert "customers_pkey" not in notes
    assert "notes_pkey" not in notes
    reviewed = replace(WISH, reviewed=("app.kept", "app.all_orders", "app.numbers"))
    quiet = planned(app, reviewed).plan
    assert "app.kept" not in "\n".join(quiet.notes)
    assert "all_orders" not in "\n".join(quiet.notes)
    assert not any("app.numbers" in s.sql for s in quiet.steps if "security_invoker" in s.sql)


def test_rows_that_are_there_need_an_owner(app: str) -> None:
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute("INSERT INTO app.orders (id) VALUES (1); INSERT INTO app.events VALUES (1, '2020-05-05', 1)")
    (question,) = planned(app).plan.questions
    assert "comes to app.events, app.orders, where rows may be already" in question
    (question,) = planned(app, replace(WISH, backfill=A)).plan.questions
    assert 'stage = "tenants"' in question
    apply(app, replace(WISH, stage="tenants"))
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute(f"INSERT INTO pgcharter.tenants (tenant_id, name) VALUES ('{A}', 'first')".encode())
    apply(app, replace(WISH, backfill=A))
    assert planned(app, replace(WISH, backfill=A)).plan.empty
    assert own(app, "app.orders") == own(app, "app.events") == (1, 0)
    assert REFUSED in str(run(app, "INSERT INTO app.orders (id) VALUES (97)", tenant=""))
    apply(app)
    assert planned(app).plan.empty
    assert "null value in column" in str(run(app, "INSERT INTO app.orders (id) VALUES (97)", tenant="", role="pgct_maint"))


def test_what_cannot_be_so_is_asked(app: str) -> None:
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute(
            "CREATE TABLE app.odd (tenant_id integer); CREATE TABLE app.filled (a uuid, tenant_id uuid GENERATED ALWAYS AS (a) STORED)"
        )
        conn.execute("CREATE TABLE app.keyless (id int); ALTER ROLE pgct_app SUPERUSER")
    section = replace(WISH, schemas=("app", "nowhere"), tenants="app.keyless", shared=("app.gone",), user=(UserRows("app.orders", "x"),))
    questions = "\n".join(planned(app, replace(section, backfill="me")).plan.questions)
    for said in (
        "[tenancy] is about schema nowhere, which is not there", "names app.gone, which is not there",
        "names column x of table app.orders", "the table of tenants, has no primary key of one column", "backfill = 'me' is no uuid",
        "column app.odd.tenant_id is integer, and [tenancy] says uuid", "column app.filled.tenant_id is filled by itself",
        "application role pgct_app is a superuser",
    ):  # fmt: skip
        assert said in questions, said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"placement": "schemas", "shared": ("a.b",)}, "and nobody has it"),
        ({"placement": "schemas", "user": (UserRows("a.b", "c"),)}, "are about rows"),
        ({"placement": "databases", "tenants": "a.b"}, "nowhere else"),
        ({"placement": "schemas", "maintenance_role": "tenant_x"}, "would be the role of tenant x"),
        ({"placement": "schemas", "group": "g", "application_roles": ("g",)}, "cannot be both"),
        ({"shared": ("nonsense",)}, "is no table's address"),
        ({"user": (UserRows("a.b", "c"), UserRows("a.b", "d"))}, "names table a.b twice"),
        ({"maintenance_role": "x", "application_roles": ("x",)}, "cannot be both"),
    ],
)
def test_a_section_that_cannot_be_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TenancySection(**changes)


def test_permissive_policies_of_the_project_open_nothing(app: str) -> None:
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute("CREATE POLICY everything ON app.orders USING (true); ALTER TABLE app.orders ENABLE ROW LEVEL SECURITY")
    apply(app)
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute(f"INSERT INTO pgcharter.tenants (tenant_id, name) VALUES ('{A}', 'a'), ('{B}', 'b')".encode())
        conn.execute(f"INSERT INTO app.orders (id, tenant_id) VALUES (1, '{A}'), (2, '{B}')".encode())
    assert own(app, "app.orders") == (1, 0)
    assert {p.name for p in catalog(app).table[ObjectId("table", "app", "orders")].policies} == {"everything", "pgcharter_tenant"}


@pytest.mark.parametrize(("type_", "one", "two"), [("bigint", "1", "2"), ("text", "it's", "zwei")])
def test_other_types_and_the_projects_own_tenants(app: str, type_: Any, one: str, two: str) -> None:
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute(
            f"CREATE TABLE app.firms (id {type_} PRIMARY KEY); DROP TABLE app.notes CASCADE; GRANT SELECT ON app.firms TO pgct_app".encode()
        )
    section = replace(WISH, type=type_, tenants="app.firms", column="Firm", user=())
    apply(app, section)
    assert planned(app, section).plan.empty
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute("INSERT INTO app.firms VALUES (%s), (%s)", (one, two))
    for firm in (one, two):
        assert run(app, f"INSERT INTO app.orders (id) VALUES ({len(firm)})", tenant=firm) in (
            1,
            'duplicate key value violates unique constraint "orders_pkey"',
        )
        assert run(app, "SELECT id::text FROM app.firms", tenant=firm) == [(firm,)]


def test_with_roles_both_are_in_force(app: str) -> None:
    both = roles.policy(RolesSection(readwrite="pgct_app", schemas=("app", "Zwei")))
    apply(app, WISH, both)
    assert planned(app, WISH, both).plan.empty
    assert run(app, "SELECT count(*) FROM app.orders", tenant="", role="pgct_maint") == [(0,)]
    assert run(app, "SELECT count(*) FROM app.orders") == [(0,)]
    apply(app, None)


def test_what_is_expected_is_told_for_each_table(app: str) -> None:
    found = expected(WISH, catalog(app))
    kinds = {str(at): (e.kind, e.column, e.user_column) for at, e in found.items()}
    assert kinds["table app.orders"] == ("tenant", "tenant_id", "")
    assert kinds["table app.events_2a"] == ("tenant", "tenant_id", "")
    assert kinds["table app.notes"] == ("tenant", "tenant_id", "who")
    assert kinds["table app.countries"] == ("shared", "", "")
    apply(app)
    after = expected(WISH, catalog(app))
    assert after.pop(ObjectId("table", "pgcharter", "tenants")).kind == "tenants"
    assert after == dict(found)


@pytest.mark.parametrize("major", [15, 18], ids=lambda major: f"pg{major}")
def test_leakproof_types_are_those_of_the_server(conn: psycopg.Connection[Any], major: int) -> None:
    row = conn.execute("""
        SELECT array_agg(DISTINCT t.typname::text) FROM pg_opclass o JOIN pg_type t ON t.oid = o.opcintype
        WHERE o.opcmethod = (SELECT oid FROM pg_am WHERE amname = 'btree') AND o.opcdefault AND o.opcnamespace = 'pg_catalog'::regnamespace
          AND NOT EXISTS (SELECT FROM pg_amop m JOIN pg_operator p ON p.oid = m.amopopr JOIN pg_proc f ON f.oid = p.oprcode
                          WHERE m.amopfamily = o.opcfamily AND m.amoplefttype = o.opcintype AND m.amoprighttype = o.opcintype
                            AND NOT f.proleakproof)""").fetchone()
    assert row is not None
    assert {*LEAKPROOF, "varchar"} - {*row[0], "varchar"} == set()

"""`[tenancy]` in schemas on real servers: who gets at what, on and off, by hand and by `[roles]`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from pgcharter.catalog.compare import compare
from pgcharter.catalog.model import Catalog
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Planned, Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import audit, roles, tenancy
from pgcharter.policy.audit_settings import AuditSection
from pgcharter.policy.roles_settings import Login, RolesSection
from pgcharter.policy.tenancy_schemas import admitting
from pgcharter.policy.tenancy_settings import TenancySection
from pgcharter.servers.lifecycle import Server
from pgcharter.sources import live

WISH = TenancySection(
    placement="schemas", place="pgct_{name}", group="pgctall", shared=("app.countries", "ref.*"), application_roles=("pgctapp",),
    maintenance_role="pgctkeeper",
)  # fmt: skip
OF_TENANT = """
CREATE SCHEMA {0};
CREATE TABLE {0}.orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at date, v int);
CREATE TABLE {0}.lines (id serial PRIMARY KEY, order_id bigint REFERENCES {0}.orders);
CREATE TABLE {0}.events (at date, v int) PARTITION BY RANGE (at);
CREATE TABLE {0}.events_1 PARTITION OF {0}.events FOR VALUES FROM ('2020-01-01') TO ('2030-01-01');
CREATE VIEW {0}.shown AS SELECT id FROM {0}.orders;
CREATE MATERIALIZED VIEW {0}.kept AS SELECT count(*) AS n FROM {0}.orders;
CREATE FUNCTION {0}.number() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM {0}.orders';
CREATE TYPE {0}.mood AS ENUM ('a');
INSERT INTO {0}.orders (v) VALUES (1), (2);
"""
SCHEMA = """
CREATE SCHEMA app; CREATE TABLE app.countries (code text); CREATE TABLE app.secret (a int); INSERT INTO app.countries VALUES ('XX');
CREATE SCHEMA ref; CREATE TABLE ref.units (a int); CREATE VIEW ref.names AS SELECT a FROM ref.units;
CREATE SCHEMA "pgct_Ä"; CREATE TABLE "pgct_Ä".orders (a int); CREATE SCHEMA "pgct_A"; CREATE SCHEMA pgct_; CREATE SCHEMA "pgct_a-";
"""
LIKE = ("pgct_a", "pgct_b-2")


@pytest.fixture
def app(major_server: Server) -> Iterator[str]:
    with psycopg.connect(major_server.dsn(), autocommit=True) as conn:
        known = {name for (name,) in conn.execute("SELECT rolname FROM pg_roles")}
        conn.execute("CREATE DATABASE apart TEMPLATE template0")
        conn.execute(b"CREATE ROLE pgctapp LOGIN NOINHERIT")
    dsn = major_server.dsn("apart")
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(SCHEMA.encode())
        for place in LIKE:
            conn.execute(OF_TENANT.format(f'"{place}"').encode())
    yield dsn
    with psycopg.connect(major_server.dsn(), autocommit=True) as conn:
        conn.execute("DROP DATABASE apart WITH (FORCE)")
        for (name,) in conn.execute("SELECT rolname FROM pg_roles").fetchall():
            if name not in known:
                conn.execute(f'DROP ROLE "{name}"'.encode())


def planned(dsn: str, section: TenancySection | None = WISH, *more: Any, prove: bool = False) -> Planned:
    return planning.make(Wish("", dsn, prove=prove, chosen=Chosen((*((tenancy.policy(section),) if section else ()), *more))))


def apply(dsn: str, section: TenancySection | None = WISH, *more: Any, prove: bool = False) -> Planned:
    found = planned(dsn, section, *more, prove=prove)
    assert found.plan.questions == ()
    do(dsn, *(step.sql for step in found.plan.steps))
    return found


def do(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        for sql in statements:
            conn.execute(sql.encode())


def admit(dsn: str, major: int, *places: str) -> None:
    do(dsn, *(sql for place in places for sql in admitting(WISH, place, major)))


def catalog(dsn: str) -> Catalog:
    with psycopg.connect(dsn, autocommit=True) as conn:
        return live.read_catalog(conn)


def steps(dsn: str, *more: Any) -> list[str]:
    found = planned(dsn, WISH, *more).plan
    assert found.questions == ()
    return [s.sql for s in found.steps]


def run(dsn: str, sql: str, role: str = "", login: str = "pgctapp") -> Any:
    """What comes of a statement of a login that has taken a role on, as rows, number of rows or the words of the error; nothing stays."""
    with psycopg.connect(dsn) as conn:
        try:
            conn.execute(f"SET SESSION AUTHORIZATION {login}".encode())
            if role:
                conn.execute(f'SET LOCAL ROLE "{role}"'.encode())
            cursor = conn.execute(sql.encode())
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description else cursor.rowcount
        except psycopg.Error as error:
            return str(error.diag.message_primary)
        finally:
            conn.rollback()


DENIED = "permission denied"


@pytest.mark.parametrize("major", [15, 18], ids=lambda major: f"pg{major}")
def test_on_twice_and_off(app: str, major: int) -> None:
    before = catalog(app)
    first = apply(app, prove=True)
    assert first.proof
    assert steps(app) == []
    after = catalog(app)
    for schema in ("pgct_Ä", "pgct_A", "pgct_", "pgct_a-", "app"):
        mine = [d for d in compare(before, after) if schema in (d.object.schema, d.object.name)]
        assert (mine != []) == (schema == "app"), schema
    do(app, "DROP TABLE pgcharter.tenants CASCADE")
    apply(app, None)
    assert [d for d in compare(before, catalog(app)) if "pgcharter" not in (d.object.schema, d.object.name)] == []
    with psycopg.connect(app) as conn:
        left = conn.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'pgct%' AND rolname <> 'pgctapp'").fetchall()
        assert left == []
    apply(app)
    assert [d for d in compare(after, catalog(app)) if "pgcharter" not in (d.object.schema, d.object.name)] == []


@pytest.mark.parametrize("major", [15, 18], ids=lambda major: f"pg{major}")
def test_a_tenant_has_its_schema_and_nothing_else(app: str, major: int) -> None:
    apply(app)
    assert "permission denied to set role" in str(run(app, "SELECT 1", "pgct_a"))
    admit(app, major, *LIKE)
    assert steps(app) == []
    for place, other in (LIKE, LIKE[::-1]):
        mine, theirs = f'"{place}"', f'"{other}"'
        assert run(app, f"SELECT count(*) FROM {mine}.orders", place) == [(2,)]
        assert run(app, f"INSERT INTO {mine}.orders (v) VALUES (3)", place) == 1
        assert run(app, f"INSERT INTO {mine}.lines (order_id) VALUES (1) RETURNING id > 0", place) == [(True,)]
        assert run(app, f"DELETE FROM {mine}.shown WHERE false", place) == 0
        assert run(app, f"SELECT {mine}.number(), n FROM {mine}.kept", place) == [(2, 0)]
        assert run(app, f"SELECT 'a'::{mine}.mood", place) == [("a",)]
        for sql in (
            f"SELECT * FROM {theirs}.orders", f"INSERT INTO {theirs}.orders (v) VALUES (1)", f"SELECT {theirs}.number()",
            f"SELECT nextval('{theirs}.lines_id_seq')", f"SELECT * FROM {theirs}.kept", f"SELECT '{theirs}.orders'::regclass",
            f"CREATE TABLE {mine}.new (a int)", f"CREATE TABLE {theirs}.new (a int)", f"TRUNCATE {mine}.orders",
            f"DROP TABLE {mine}.orders",
            f"ALTER TABLE {mine}.orders ADD x int", "SELECT * FROM app.secret", "INSERT INTO app.countries VALUES ('YY')",
            "SELECT * FROM pgcharter.tenants", f"GRANT {mine} TO pgctall",
        ):  # fmt: skip
            said = str(run(app, sql, place))
            assert DENIED in said or "must be owner" in said or "must have admin option" in said or "no privileges were granted" in said, (
                sql
            )
        assert run(app, "SELECT code FROM app.countries", place) == [("XX",)]
        assert run(app, "SELECT * FROM ref.units, ref.names", place) == []
    for sql in (
        "SELECT * FROM pgct_a.orders",
        "SELECT pgct_a.number()",
        "SELECT nextval('pgct_a.lines_id_seq')",
        "SELECT * FROM app.countries",
    ):
        assert DENIED in str(run(app, sql)), sql
    assert DENIED in str(run(app, "SELECT 1", "pgctkeeper"))


@pytest.mark.parametrize("major", [15, 18], ids=lambda major: f"pg{major}")
def test_maintenance_reaches_all(app: str, major: int) -> None:
    apply(app)
    do(app, "CREATE ROLE pgct_zz_no", "CREATE ROLE pgctadmin LOGIN", "GRANT pgctkeeper TO pgctadmin", "DROP ROLE pgct_zz_no")
    assert run(
        app, 'SELECT (SELECT count(*) FROM pgct_a.orders) + (SELECT count(*) FROM "pgct_b-2".orders)', "pgctkeeper", "pgctadmin"
    ) == [(4,)]


@pytest.mark.parametrize("major", [15, 18], ids=lambda major: f"pg{major}")
def test_what_is_made_later_needs_no_new_plan(app: str, major: int) -> None:
    do(app, "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC") if major == 15 else None
    apply(app)
    admit(app, major, *LIKE)
    do(app, "ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM PUBLIC") if major == 15 else None
    do(
        app,
        "CREATE TABLE pgct_a.later (id bigint GENERATED ALWAYS AS IDENTITY, n serial)",
        "CREATE VIEW pgct_a.later_shown AS SELECT * FROM pgct_a.later",
        "CREATE FUNCTION pgct_a.later_number() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE PROCEDURE pgct_a.later_done() LANGUAGE sql AS 'SELECT 1'",
        "CREATE TABLE ref.later (a int)",
    )
    assert run(app, "INSERT INTO pgct_a.later DEFAULT VALUES RETURNING n + pgct_a.later_number()", "pgct_a") == [(2,)]
    assert run(app, "SELECT * FROM ref.later", "pgct_b-2") == []
    for sql in ("SELECT * FROM pgct_a.later", "SELECT pgct_a.later_number()", "CALL pgct_a.later_done()"):
        assert DENIED in str(run(app, sql, "pgct_b-2"))
        assert DENIED in str(run(app, sql))
    assert steps(app) == []


def test_what_is_open_by_default_is_closed_by_the_schema(app: str) -> None:
    do(
        app,
        "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC, pgctapp",
        "ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO PUBLIC, pgctapp",
        OF_TENANT.format("pgct_c"),
    )
    assert run(app, "SELECT count(*) FROM pgct_c.orders") == [(2,)]
    apply(app)
    assert DENIED in str(run(app, "SELECT count(*) FROM pgct_c.orders"))
    do(app, "CREATE TABLE pgct_c.later (a int)")
    assert DENIED in str(run(app, "SELECT * FROM pgct_c.later"))
    assert any("pgct_c.later" in sql and "REVOKE" in sql for sql in steps(app))


@pytest.mark.parametrize("major", [15, 18], ids=lambda major: f"pg{major}")
@pytest.mark.parametrize(
    ("by_hand", "said"),
    [
        ("GRANT USAGE ON SCHEMA pgct_a TO PUBLIC", "REVOKE USAGE ON SCHEMA pgct_a FROM PUBLIC"),
        ("GRANT SELECT ON pgct_a.orders TO pgctapp", "REVOKE SELECT ON TABLE pgct_a.orders FROM pgctapp"),
        ("GRANT SELECT (v) ON pgct_a.orders TO pgctapp", "REVOKE SELECT (v) ON TABLE pgct_a.orders FROM pgctapp"),
        ("GRANT USAGE ON SCHEMA pgct_a TO pgctall", "REVOKE USAGE ON SCHEMA pgct_a FROM pgctall"),
        ("REVOKE INSERT ON pgct_a.orders FROM pgct_a", "GRANT INSERT ON TABLE pgct_a.orders TO pgct_a"),
        ('GRANT SELECT ON pgct_a.orders TO "pgct_b-2"', 'REVOKE SELECT ON TABLE pgct_a.orders FROM "pgct_b-2"'),
        ('GRANT pgct_a TO "pgct_b-2"', 'REVOKE pgct_a FROM "pgct_b-2"'),
        ("CREATE ROLE pgctx; GRANT pgct_a TO pgctx", "REVOKE pgct_a FROM pgctx"),
        ("REVOKE pgctall FROM pgct_a", "GRANT pgctall TO pgct_a"),
        ("ALTER ROLE pgct_a LOGIN", "ALTER ROLE pgct_a NOLOGIN"),
        ("ALTER ROLE pgct_a SUPERUSER", "ALTER ROLE pgct_a NOSUPERUSER"),
        ("ALTER ROLE pgct_a BYPASSRLS", "ALTER ROLE pgct_a NOBYPASSRLS"),
        ("ALTER DEFAULT PRIVILEGES IN SCHEMA pgct_a GRANT SELECT ON TABLES TO pgctapp", "REVOKE SELECT ON TABLES FROM pgctapp"),
        ("CREATE SCHEMA pgct_new", "CREATE ROLE pgct_new"),
    ],
)  # fmt: skip
def test_drift_by_hand_is_named(app: str, major: int, by_hand: str, said: str) -> None:
    apply(app)
    do(app, by_hand)
    plan = planned(app).plan
    assert said in "\n".join(s.sql for s in plan.steps), [s.sql for s in plan.steps]
    do(app, *(s.sql for s in plan.steps))
    assert steps(app) == []


@pytest.mark.parametrize("major", [15, 18], ids=lambda major: f"pg{major}")
def test_a_tenant_that_is_shut_out_is_not_let_in_by_a_plan(app: str, major: int) -> None:
    apply(app)
    admit(app, major, *LIKE)
    do(app, "REVOKE pgct_a FROM pgctapp")
    assert steps(app) == []
    assert "permission denied to set role" in str(run(app, "SELECT 1", "pgct_a"))
    assert run(app, "SELECT 1", "pgct_b-2") == [(1,)]


@pytest.mark.parametrize("major", [15, 18], ids=lambda major: f"pg{major}")
def test_an_application_that_inherits_is_asked_about(app: str, major: int) -> None:
    apply(app)
    if major == 15:
        do(app, "ALTER ROLE pgctapp INHERIT")
        assert "ALTER ROLE pgctapp NOINHERIT" in "\n".join(planned(app).plan.questions)
        return
    do(app, "GRANT pgct_a TO pgctapp WITH INHERIT TRUE")
    (question,) = planned(app).plan.questions
    assert "REVOKE INHERIT OPTION FOR pgct_a FROM pgctapp" in question
    do(app, question.rpartition(": ")[2])
    assert steps(app) == []
    do(app, "CREATE ROLE pgctmid", "GRANT pgctkeeper TO pgctmid", "GRANT pgctmid TO pgctapp WITH INHERIT TRUE")
    (question,) = planned(app).plan.questions
    assert "role pgctapp inherits the rights of pgctkeeper through pgctmid" in question


def test_what_all_tenants_are_members_of_can_inherit_no_tenant(app: str) -> None:
    """PostgreSQL refuses circles of membership."""
    apply(app)
    for role in ("pgct_a", "pgctkeeper"):
        with pytest.raises(psycopg.errors.InvalidGrantOperation):
            do(app, f"GRANT {role} TO pgctall")


def test_an_application_that_gives_roles_away_is_asked_about(app: str) -> None:
    do(app, "ALTER ROLE pgctapp CREATEROLE")
    assert "ALTER ROLE pgctapp NOCREATEROLE" in "\n".join(planned(app).plan.questions)


def test_roles_that_are_there_and_are_somebodys_are_asked_about(app: str) -> None:
    do(app, "CREATE ROLE pgct_a LOGIN", "CREATE ROLE pgctall SUPERUSER", "ALTER ROLE pgctapp SUPERUSER", "CREATE ROLE pgctkeeper SUPERUSER")
    questions = "\n".join(planned(app).plan.questions)
    for said in (
        "role pgct_a is there already and logs in", "role pgctall is there already and is a superuser",
        "application role pgctapp is a superuser", "maintenance role pgctkeeper is a superuser",
    ):  # fmt: skip
        assert said in questions, said


def test_what_sees_into_a_schema_is_told(app: str) -> None:
    do(
        app,
        "CREATE VIEW app.peek AS SELECT * FROM pgct_a.orders",
        "CREATE VIEW pgct_a.peek AS SELECT * FROM \"pgct_b-2\".orders",
        "CREATE VIEW pgct_a.asks WITH (security_invoker = true) AS SELECT * FROM \"pgct_b-2\".orders",
        "CREATE MATERIALIZED VIEW app.all_orders AS SELECT * FROM \"pgct_b-2\".orders",
        "CREATE FUNCTION app.peeking() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM \"pgct_b-2\".orders'",
        "CREATE FUNCTION pgct_a.own() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM pgct_a.orders'",
        "CREATE TABLE app.refers (id bigint REFERENCES pgct_a.orders)",
        "ALTER TABLE pgct_a.lines OWNER TO pgctapp",
    )  # fmt: skip
    notes = "\n".join(planned(app).plan.notes)
    for said in (
        "view app.peek shows what is in schema pgct_a",
        'view pgct_a.peek shows what is in schema "pgct_b-2"',
        "materialized view app.all_orders shows",
        'function app.peeking() runs with its owner\'s rights and names schema "pgct_b-2"',
        "refers to pgct_a.orders, a tenant's",
        "belong to role pgctapp, which may do everything there without",
    ):
        assert said in notes, said
    assert "pgct_a.asks" not in notes
    assert "pgct_a.own" not in notes
    reviewed = replace(WISH, reviewed=("app.peek", "pgct_a.peek", "app.all_orders", "app.peeking", "pgct_gone.x"))
    quiet = "\n".join(planned(app, reviewed).plan.notes)
    assert "peek" not in quiet


@pytest.mark.parametrize("major", [15, 18], ids=lambda major: f"pg{major}")
def test_a_function_that_looks_where_its_caller_says_is_told(app: str, major: int) -> None:
    body = "RETURNS bigint LANGUAGE sql SECURITY DEFINER {} AS 'SELECT count(*) FROM orders'"
    do(
        app,
        "SET search_path = pgct_a; CREATE FUNCTION pgct_a.loose() " + body.format(""),
        "CREATE FUNCTION pgct_a.tight() " + body.format("SET search_path = pgct_a, pg_temp"),
        "CREATE FUNCTION pgct_a.standard() RETURNS bigint LANGUAGE sql SECURITY DEFINER RETURN (SELECT count(*) FROM pgct_a.orders)",
        'DELETE FROM "pgct_b-2".orders WHERE v = 1',
        "GRANT CREATE ON SCHEMA app TO PUBLIC",
    )
    notes = "\n".join(apply(app).plan.notes)
    admit(app, major, *LIKE)
    seen = {
        name: run(app, f'SET LOCAL search_path = "pgct_b-2"; SELECT pgct_a.{name}()', "pgct_a") for name in ("loose", "tight", "standard")
    }
    assert seen == {"loose": [(1,)], "tight": [(2,)], "standard": [(2,)]}
    assert "function pgct_a.loose() runs with its owner's rights and looks for names where its caller says" in notes
    assert "pgct_a.tight" not in notes
    assert "pgct_a.standard" not in notes
    assert "everybody may make objects in schema app" in notes


@pytest.mark.parametrize("major", [15, 18], ids=lambda major: f"pg{major}")
def test_a_tenant_sees_nothing_of_what_others_run_or_hold(app: str, major: int) -> None:
    apply(app)
    admit(app, major, *LIKE)
    do(app, 'ANALYZE "pgct_b-2".orders')
    for sql in (
        "SELECT * FROM pg_stats WHERE schemaname = 'pgct_b-2'",
        "SELECT query FROM pg_stat_activity WHERE usename = 'pgctapp' AND query NOT LIKE '<insuff%'",
        "SELECT 1 WHERE has_schema_privilege('pgct_b-2', 'USAGE') OR has_function_privilege('\"pgct_b-2\".number()', 'EXECUTE') IS NULL",
        "SELECT 1 WHERE pg_has_role('pgct_b-2', 'USAGE') OR pg_has_role('pgctkeeper', 'MEMBER') OR pg_has_role('pgctapp', 'MEMBER')",
    ):
        found = run(app, sql, "pgct_a")
        assert found == [] or DENIED in str(found), sql
    for sql in ("CREATE SCHEMA mine", "CREATE ROLE x", "ALTER ROLE pgct_a LOGIN",
                'ALTER SCHEMA "pgct_b-2" RENAME TO x', "ALTER DEFAULT PRIVILEGES FOR ROLE pgctapp GRANT ALL ON TABLES TO pgct_a",
                "COPY pgct_a.orders TO PROGRAM 'true'"):  # fmt: skip
        said = str(run(app, sql, "pgct_a"))
        assert "denied" in said or "must be" in said, (sql, said)


ROLES = RolesSection(
    owner="pgctowner",
    readonly="pgctreads",
    readwrite="pgctwrites",
    login=(Login("pgctapp", ("readwrite",)), Login("pgctother", ("readonly",))),
)


@pytest.mark.parametrize("major", [15, 18], ids=lambda major: f"pg{major}")
def test_roles_open_no_tenants_schema(app: str, major: int) -> None:
    more = roles.policy(ROLES)
    apply(app, WISH, more, prove=True)
    assert steps(app, more) == []
    admit(app, major, *LIKE)
    assert steps(app, more) == []
    assert run(app, "SELECT count(*) FROM app.secret", login="pgctother") == [(0,)]
    assert DENIED in str(run(app, "SELECT count(*) FROM pgct_a.orders"))
    assert DENIED in str(run(app, "SELECT count(*) FROM pgct_a.orders", login="pgctother"))
    assert run(app, "SELECT count(*) FROM pgct_a.orders", "pgct_a") == [(2,)]
    do(app, "SET ROLE pgctowner; CREATE TABLE pgct_a.later (a int); CREATE FUNCTION pgct_a.f() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    assert run(app, "SELECT pgct_a.f() FROM pgct_a.later", "pgct_a") == []
    assert steps(app, more) == []
    do(app, "GRANT USAGE ON SCHEMA pgct_a TO pgctreads")
    assert any("REVOKE USAGE ON SCHEMA pgct_a FROM pgctreads" in sql for sql in steps(app, more))
    apply(app, WISH, more)
    do(app, "DROP TABLE pgcharter.tenants CASCADE")
    apply(app, None, more)


def test_audit_knows_tenants_by_a_pattern(app: str) -> None:
    more = audit.policy(AuditSection(tables=("pgct_*.orders",)))
    apply(app, WISH, more)
    assert steps(app, more) == []
    admit(app, 18, *LIKE)
    do(app, 'SET ROLE "pgct_b-2"; INSERT INTO "pgct_b-2".orders (v) VALUES (9)', "SET ROLE pgct_a; DELETE FROM pgct_a.orders")
    with psycopg.connect(app) as conn:
        rows = conn.execute("SELECT table_schema, table_name, count(*) FROM pgcharter.audit_log GROUP BY 1, 2 ORDER BY 1").fetchall()
    assert rows == [("pgct_a", "orders", 2), ("pgct_b-2", "orders", 1)]
    assert DENIED in str(run(app, "SELECT * FROM pgcharter.audit_log", "pgct_a"))

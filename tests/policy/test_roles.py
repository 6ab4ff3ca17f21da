"""`[roles]` on real servers: what each role can do afterwards is asked of PostgreSQL itself."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.policy.planned import applied

from pgcharter.catalog.compare import compare
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Planned, Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import roles
from pgcharter.policy.roles_settings import Hidden, Login, RolesSection
from pgcharter.servers.lifecycle import Server
from pgcharter.sources import live

SCHEMA = """
CREATE SCHEMA app;
CREATE TABLE app.users (id int PRIMARY KEY, name text, "Secret" text);
CREATE TABLE app.orders (id bigint GENERATED ALWAYS AS IDENTITY, user_id int REFERENCES app.users);
CREATE VIEW app.names AS SELECT name FROM app.users;
CREATE SEQUENCE app.numbers;
CREATE FUNCTION app.reads() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM app.users';
CREATE FUNCTION app.writes() RETURNS void LANGUAGE sql AS 'INSERT INTO app.users (id) VALUES (100)';
GRANT SELECT ON app.users TO PUBLIC;
"""
WISH = RolesSection(
    owner="pgct_owner", readonly="pgct_reads", readwrite="pgct_writes", admin="pgct_admin", schemas=("app",),
    login=(
        Login("pgct_api", ("readwrite",), connection_limit=5, statement_timeout="30s", valid_until=datetime.date(2037, 1, 1)),
        Login("pgct_report", ("readonly",)),
        Login("pgct_deploy", ("owner",)),
        Login("pgct_elsewhere", ("admin",), environments=("production",)),
    ),
    hidden=(Hidden("app.users", ("Secret",)),),
)  # fmt: skip
MAY = {
    "pgct_report": ("SELECT name FROM app.users", "SELECT * FROM app.orders", "SELECT * FROM app.names", "SELECT app.reads()"),
    "pgct_api": ('UPDATE app.users SET "Secret" = name', "INSERT INTO app.orders DEFAULT VALUES", "SELECT app.writes()",
                 "SELECT nextval('app.numbers')"),
    "pgct_deploy": ("SET ROLE pgct_owner; CREATE TABLE app.more (id int); DROP TABLE app.more",),
}  # fmt: skip
MAY_NOT = {
    "pgct_report": (
        'SELECT "Secret" FROM app.users', "SELECT * FROM app.users", "DELETE FROM app.orders", "SELECT app.writes()",
        "SELECT nextval('app.numbers')", "CREATE TABLE app.x (id int)", "SET ROLE pgct_reads",
    ),
    "pgct_api": ("TRUNCATE app.orders", "DROP TABLE app.orders", "ALTER TABLE app.users ADD x int", "CREATE TABLE app.x (id int)"),
    "pgct_stranger": ("SELECT * FROM app.users", "SELECT app.reads()"),
}  # fmt: skip


@pytest.fixture
def app(major_server: Server) -> Iterator[str]:
    dsn = major_server.dsn("postgres")
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("CREATE DATABASE roles")
        conn.execute("CREATE ROLE pgct_stranger LOGIN PASSWORD 'x'")
    made = major_server.dsn("roles")
    with psycopg.connect(made, autocommit=True) as conn:
        conn.execute(SCHEMA)
    yield made
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("DROP DATABASE roles WITH (FORCE)")
        rows = conn.execute("SELECT rolname FROM pg_roles WHERE rolname ^@ 'pgct_'").fetchall()
        for (name,) in rows:
            conn.execute(f"DROP ROLE {name}".encode())


def planned(dsn: str, section: RolesSection | None = WISH) -> Planned:
    return planning.make(Wish("", dsn, chosen=Chosen((roles.policy(section),) if section else ())))


def apply(dsn: str, section: RolesSection | None = WISH) -> Planned:
    return applied(dsn, planned(dsn, section))


def attempt(dsn: str, role: str, sql: str) -> str:
    """What comes of a statement as `role`, taken back; "" when it works."""
    with psycopg.connect(dsn) as conn:
        try:
            conn.execute(f"SET SESSION AUTHORIZATION {role}".encode())
            conn.execute(sql.encode())
        except psycopg.errors.InsufficientPrivilege as error:
            return str(error.diag.message_primary)
        finally:
            conn.rollback()
    return ""


def test_everybody_can_do_what_is_declared_and_nothing_else(app: str) -> None:
    apply(app)
    for role, statements in MAY.items():
        assert [attempt(app, role, sql) for sql in statements] == [""] * len(statements), role
    for role, statements in MAY_NOT.items():
        assert all(attempt(app, role, sql) for sql in statements), [s for s in statements if not attempt(app, role, s)]
    assert planned(app).plan.empty


def test_what_is_made_later_is_granted_alike(app: str) -> None:
    apply(app)
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute("SET ROLE pgct_owner")
        conn.execute("CREATE TABLE app.later (id int); CREATE FUNCTION app.later() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    assert attempt(app, "pgct_report", "SELECT * FROM app.later") == ""
    assert attempt(app, "pgct_api", "SELECT app.later()") == ""
    assert attempt(app, "pgct_stranger", "SELECT app.later()")
    assert attempt(app, "pgct_report", "SELECT app.later()")


def test_logins_are_as_declared_and_drift_is_planned_away(app: str) -> None:
    apply(app)
    with psycopg.connect(app, autocommit=True) as conn:
        row = conn.execute("SELECT rolconnlimit, rolvaliduntil::text, rolconfig FROM pg_roles WHERE rolname = 'pgct_api'").fetchone()
        assert row == (5, "2037-01-01 00:00:00+00", ["statement_timeout=30s"])
        assert conn.execute("SELECT count(*) FROM pg_roles WHERE rolname = 'pgct_elsewhere'").fetchone() == (0,)
        conn.execute(
            "GRANT pgct_admin TO pgct_report; ALTER ROLE pgct_api BYPASSRLS CONNECTION LIMIT 50; GRANT DELETE ON app.users TO PUBLIC"
        )
    found = apply(app)
    titles = [s.title for s in found.plan.steps]
    assert "alter role pgct_api" in titles
    assert "pgct_report is no longer pgct_admin" in titles
    assert planned(app).plan.empty


def test_given_up_everything_is_as_before(app: str) -> None:
    def state() -> tuple[planning.Catalog, object]:
        with psycopg.connect(app, autocommit=True) as conn:
            return live.read_catalog(conn), conn.execute("SELECT array_agg(rolname ORDER BY 1) FROM pg_roles").fetchone()

    before = state()
    first = apply(app)
    apply(app, None)
    after = state()
    assert [d for d in compare(before[0], after[0]) if "pgcharter" not in (d.object.schema, d.object.name)] == []
    assert after[1] == before[1]
    apply(app)
    with psycopg.connect(app, autocommit=True) as conn:
        for step in first.plan.reverse:
            conn.execute(step.sql.encode())
    assert state()[1] == before[1]


def test_only_who_is_declared_connects(app: str) -> None:
    def acl() -> object:
        sql = (
            "SELECT array_agg(x ORDER BY x::text) FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) x"
            " WHERE datname = %s"
        )
        with psycopg.connect(app) as conn:
            return conn.execute(sql, ["roles"]).fetchone()

    before = acl()
    found = apply(app)
    assert any("pgct_stranger can no longer connect" in note for note in found.plan.notes)
    assert not any("can no longer connect" in note for note in planned(app).plan.notes)
    may = "SELECT has_database_privilege(%s, current_database(), %s)"
    with psycopg.connect(app, autocommit=True) as conn:
        pairs = [(r, p) for r in ("pgct_report", "pgct_api", "pgct_owner", "pgct_stranger") for p in ("CONNECT", "TEMPORARY", "CREATE")]
        answers = {pair: conn.execute(may, pair).fetchone() == (True,) for pair in pairs}
        assert {key for key, yes in answers.items() if yes} == {
            ("pgct_report", "CONNECT"), ("pgct_api", "CONNECT"), ("pgct_api", "TEMPORARY"),
            ("pgct_owner", "CONNECT"), ("pgct_owner", "TEMPORARY"), ("pgct_owner", "CREATE"),
        }  # fmt: skip
        conn.execute("GRANT CONNECT ON DATABASE roles TO PUBLIC")
    again = apply(app)
    assert [s.sql for s in again.plan.steps] == [
        "DO $pgcharter$BEGIN EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', current_database()); END$pgcharter$"
    ]
    assert planned(app, replace(WISH, connect=("pgct_stranger",))).plan.steps
    apply(app, None)
    assert acl() == before


@pytest.mark.parametrize("major", [15, 18], ids=["pg15", "pg18"])
def test_whoever_may_make_roles_can_run_it_without_being_a_superuser(app: str, major: int) -> None:
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute("CREATE ROLE pgct_runner LOGIN CREATEROLE PASSWORD 'runs'; ALTER DATABASE roles OWNER TO pgct_runner")
        conn.execute("DROP SCHEMA app CASCADE")
    mine = make_conninfo(app, user="pgct_runner", password="runs")
    with psycopg.connect(mine, autocommit=True) as conn:
        conn.execute(SCHEMA.encode())
    try:
        section = replace(WISH, login=tuple(x for x in WISH.login if x.name != "pgct_elsewhere"))
        apply(mine, section)
        assert planned(mine, section).plan.empty
        assert attempt(app, "pgct_report", "SELECT name FROM app.users") == ""
        apply(mine, None)
        assert planned(mine, None).plan.empty
    finally:
        with psycopg.connect(app, autocommit=True) as conn:
            conn.execute("REASSIGN OWNED BY pgct_runner TO CURRENT_USER; DROP OWNED BY pgct_runner")


def test_roles_that_exist_with_other_properties_are_made_right(app: str) -> None:
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute("CREATE ROLE pgct_reads CREATEDB; CREATE ROLE pgct_report NOINHERIT; GRANT pgct_reads TO pgct_report")
    apply(app)
    assert [attempt(app, "pgct_report", sql) for sql in MAY["pgct_report"]] == [""] * len(MAY["pgct_report"])
    with psycopg.connect(app) as conn:
        row = conn.execute("SELECT rolcanlogin, rolcreatedb FROM pg_roles WHERE rolname = 'pgct_reads'").fetchone()
        assert row == (False, False)
    assert planned(app).plan.empty


def test_a_superuser_is_no_application_and_an_owner_does_not_log_in(app: str) -> None:
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute("CREATE ROLE pgct_api SUPERUSER LOGIN; CREATE ROLE pgct_owner LOGIN")
    questions = planned(app).plan.questions
    assert len(questions) == 2
    assert "pgct_api is a superuser" in questions[0]
    assert "pgct_owner owns everything and logs in" in questions[1]


def test_what_is_declared_and_not_there_is_asked(app: str) -> None:
    section = replace(WISH, schemas=("app", "nowhere"), hidden=(Hidden("app.users", ("gone",)), Hidden("nonsense", ("x",))))
    assert [q.split(",")[0] for q in planned(app, section).plan.questions] == [
        "[roles] is about schema nowhere",
        "[[roles.hidden]] names column gone of table app.users",
        "[[roles.hidden]] table 'nonsense' is no table's address: write it as schema.name",
    ]


def test_a_level_without_a_role_is_refused() -> None:
    with pytest.raises(ValueError, match="login x is admin, and"):
        RolesSection(login=(Login("x", ("admin",)),))
    with pytest.raises(ValueError, match="role x has two meanings"):
        RolesSection(owner="x", readonly="x")

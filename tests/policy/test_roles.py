"""`[roles]` on real servers: what each role can do afterwards is asked of PostgreSQL itself."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

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
    found = planned(dsn, section)
    assert not found.plan.questions
    with psycopg.connect(dsn, autocommit=True) as conn:
        for step in found.plan.steps:
            conn.execute(step.sql.encode())
    return found


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

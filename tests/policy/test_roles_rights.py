"""`[roles]` by somebody who is no superuser: what is said beforehand is what PostgreSQL does, on versions before and after 16."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.plan.model import Plan
from pgcharter.plan.roles_allowed import lacking
from pgcharter.policy import roles
from pgcharter.policy.roles_settings import Login, RolesSection
from pgcharter.servers.lifecycle import Server
from pgcharter.sources import live

WISH = RolesSection(owner="pgcr_owner", readonly="pgcr_reads", schemas=("app",), login=(Login("pgcr_api", ("readonly",)),))


@pytest.fixture
def app(major_server: Server) -> Iterator[str]:
    with psycopg.connect(major_server.dsn(), autocommit=True) as conn:
        conn.execute("CREATE ROLE pgcr_makes LOGIN CREATEROLE PASSWORD 'x'; CREATE ROLE pgcr_plain LOGIN PASSWORD 'x'")
        conn.execute("CREATE DATABASE pgcr OWNER pgcr_makes")
        yield make_conninfo(major_server.dsn("pgcr"), user="pgcr_makes", password="x")
        conn.execute("DROP DATABASE pgcr WITH (FORCE)")
        for (name,) in conn.execute("SELECT rolname FROM pg_roles WHERE rolname ^@ 'pgcr_' ORDER BY rolname = 'pgcr_makes'").fetchall():
            conn.execute(f"DROP ROLE {name}".encode())


def planned(dsn: str, section: RolesSection = WISH) -> Plan:
    return planning.make(Wish("", dsn, chosen=Chosen((roles.policy(section),)))).plan


def run(conn: psycopg.Connection[tuple[object, ...]], plan: Plan) -> None:
    for step in plan.steps:
        conn.execute(step.sql.encode())


def said(conn: psycopg.Connection[tuple[object, ...]], plan: Plan, who: str) -> str:
    return lacking(live.read_cluster(conn), plan.steps, who)[0]


@pytest.mark.parametrize("major", [15, 18])
def test_who_may_make_roles_makes_them(app: str, major: int) -> None:
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute("CREATE SCHEMA app; CREATE TABLE app.t (id int PRIMARY KEY)")
        plan = planned(app)
        assert plan.questions == ()
        assert said(conn, plan, "pgcr_makes") == ""
        run(conn, plan)
        assert planned(app).steps == ()
    assert "pgcr_plain may not make or change roles" in said_as_plain(app, plan)


def said_as_plain(dsn: str, plan: Plan) -> str:
    with psycopg.connect(dsn, autocommit=True) as conn:
        return said(conn, plan, "pgcr_plain")


@pytest.mark.parametrize("major", [15, 18])
def test_roles_that_somebody_else_made(app: str, major: int, major_server: Server) -> None:
    with psycopg.connect(major_server.dsn(), autocommit=True) as admin:
        admin.execute("CREATE ROLE pgcr_reads NOLOGIN CREATEDB; CREATE ROLE pgcr_api LOGIN")
        with psycopg.connect(app, autocommit=True) as conn:
            conn.execute("CREATE SCHEMA app; CREATE TABLE app.t (id int PRIMARY KEY)")
            plan = planned(app)
            told = said(conn, plan, "pgcr_makes")
            if major == 15:
                assert told == ""
                run(conn, plan)
                return
            assert "only who has CREATEDB may give or take it" in told
            admin.execute("ALTER ROLE pgcr_makes CREATEDB")
            told, hint = lacking(live.read_cluster(conn), plan.steps, "pgcr_makes")
            assert "no ADMIN OPTION on role" in told
            with pytest.raises(psycopg.errors.InsufficientPrivilege), conn.transaction():
                run(conn, plan)
            for name in ("pgcr_reads", "pgcr_api"):
                admin.execute(f"GRANT {name} TO pgcr_makes WITH ADMIN TRUE, INHERIT FALSE, SET FALSE".encode())
            again = planned(app)
            assert said(conn, again, "pgcr_makes") == ""
            assert hint.startswith("as a superuser: GRANT pgcr_")
            run(conn, again)


@pytest.mark.parametrize("major", [15, 18])
def test_an_owner_that_somebody_else_made(app: str, major: int, major_server: Server) -> None:
    with psycopg.connect(major_server.dsn(), autocommit=True) as admin, psycopg.connect(app, autocommit=True) as conn:
        admin.execute("CREATE ROLE pgcr_owner NOLOGIN")
        conn.execute("CREATE SCHEMA app; CREATE TABLE app.t (id int PRIMARY KEY)")
        plan = planned(app)
        told, hint = lacking(live.read_cluster(conn), plan.steps, "pgcr_makes")
        assert told == "role pgcr_makes may not hand anything over to role pgcr_owner, since it may not become it"
        with pytest.raises(psycopg.errors.InsufficientPrivilege), conn.transaction():
            run(conn, plan)
        admin.execute(hint.encode())
        if major > 15:
            admin.execute("GRANT pgcr_owner TO pgcr_makes WITH ADMIN TRUE")
        plan = planned(app)
        assert said(conn, plan, "pgcr_makes") == ""
        run(conn, plan)


@pytest.mark.parametrize("major", [15, 18])
def test_bypassing_row_security_is_for_superusers_to_give(app: str, major: int) -> None:
    section = RolesSection(readonly="pgcr_reads", login=(Login("pgcr_dumps", ("readonly",), bypasses_row_security=True),))
    with psycopg.connect(app, autocommit=True) as conn:
        plan = planned(app, section)
        assert "may not create role pgcr_dumps: only who has BYPASSRLS may give or take it" in said(conn, plan, "pgcr_makes")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            run(conn, plan)


def test_a_group_that_somebody_logs_in_as_is_asked_about(app: str, major_server: Server) -> None:
    with psycopg.connect(major_server.dsn(), autocommit=True) as admin:
        admin.execute("CREATE ROLE pgcr_reads LOGIN")
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute("CREATE SCHEMA app")
    plan = planned(app)
    assert [q for q in plan.questions if "role pgcr_reads logs in" in q]


def test_who_may_connect_is_let_in_first_and_shut_out_last(app: str) -> None:
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute("CREATE SCHEMA app; CREATE TABLE app.t (id int PRIMARY KEY)")
    steps = planned(app).steps
    grants = [n for n, s in enumerate(steps) if "GRANT CONNECT ON DATABASE" in s.sql]
    revokes = [n for n, s in enumerate(steps) if "CONNECT ON DATABASE %I FROM PUBLIC" in s.sql]
    others = [n for n, s in enumerate(steps) if s.object.kind in ("table", "schema") and s.object.schema != "pgcharter"]
    assert grants
    assert max(grants) < min(others) < max(others) < min(revokes)

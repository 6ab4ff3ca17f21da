"""Trials of plans on scratch servers: what cannot be built there is said, and nothing of the user's is mistaken for ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from pgcharter.catalog.model import EventTrigger, UserType
from pgcharter.errors import PgcharterError, RefusedError
from pgcharter.migrate import planning, proving
from pgcharter.migrate.planning import Wish
from pgcharter.names import ObjectId
from pgcharter.plan import planner
from pgcharter.servers.lifecycle import Server
from pgcharter.servers.scratch import Scratch, open_scratch

SHARED = """
CREATE EXTENSION postgres_fdw;
CREATE SERVER remote FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'h');
CREATE USER MAPPING FOR CURRENT_USER SERVER remote OPTIONS (password 'secret');
CREATE FOREIGN TABLE far (id int) SERVER remote;
CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER watching ON ddl_command_end EXECUTE FUNCTION watch();
"""


@pytest.fixture
def wanted(tmp_path: Path) -> Path:
    path = tmp_path / "wanted.sql"
    path.write_text("CREATE TABLE t (id int PRIMARY KEY, more text);")
    return path


def test_a_database_with_objects_of_superusers_can_be_planned_for(database: str, wanted: Path) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE t (id int PRIMARY KEY);" + SHARED)
    wanted.write_text(wanted.read_text() + "CREATE EXTENSION postgres_fdw; CREATE SERVER remote FOREIGN DATA WRAPPER postgres_fdw "
                      "OPTIONS (host 'h'); CREATE FOREIGN TABLE far (id int) SERVER remote;"
                      "CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';")  # fmt: skip
    planned = planning.make(Wish(str(wanted), database))
    assert [s.sql for s in planned.plan.steps] == ["ALTER TABLE public.t ADD COLUMN more text"]
    assert planned.proof
    assert planned.proof.untried == ()


def test_what_cannot_be_tried_is_said(scratch: Scratch) -> None:
    trigger = EventTrigger("watching", "ddl_command_end", ObjectId("function", "public", "watch()"))
    with scratch.database() as made:
        proving.execute(made, ["CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'"])
        a = proving.read(made)
    b = replace(a, event_triggers=(trigger,))
    proof = proving.must_hold(proving.prove(scratch, a, planner.plan(a, b), b))
    assert proof.untried == (trigger.id,)
    assert "not tried" in proof.sentence
    assert str(trigger.id) in proof.sentence


def test_a_schema_that_cannot_be_built_says_how_to_plan_all_the_same(scratch: Scratch) -> None:
    with scratch.database() as made:
        a = proving.read(made)
        broken = replace(a, types=(UserType("public", "circle_of_c", "base"),))
        with pytest.raises(PgcharterError, match="cannot be built on a scratch server") as caught:
            proving.build(made, broken)
    assert "--no-proof" in caught.value.hint


def test_the_role_of_a_scratch_server_of_the_users_is_no_word_to_replace(major_server: Server, tmp_path: Path) -> None:
    with psycopg.connect(major_server.dsn(), autocommit=True) as admin:
        admin.execute("CREATE ROLE app SUPERUSER LOGIN PASSWORD 'app'")
        try:
            url = major_server.dsn("postgres", "app", "app")
            with open_scratch(url=url) as scratch, scratch.database() as made:
                proving.execute(made, ["CREATE SCHEMA app", "CREATE TABLE app.t (id int)"])
                assert [t.id.sql() for t in proving.read(made).tables] == ["app.t"]
        finally:
            admin.execute("DROP ROLE app")


def test_a_plan_that_does_not_lead_there_is_refused(scratch: Scratch) -> None:
    def read(*statements: str) -> proving.Catalog:
        with scratch.database() as made:
            proving.execute(made, statements)
            return proving.read(made)

    a, b = read("CREATE TABLE t (id int)"), read("CREATE TABLE t (id int)", "CREATE INDEX i ON t (id)")
    plan = planner.plan(a, b)
    assert proving.must_hold(proving.prove(scratch, a, plan, b)).left == ()
    with pytest.raises(RefusedError, match=r"does not lead where it should: \+ index public\.i"):
        proving.must_hold(proving.prove(scratch, a, replace(plan, steps=(), reverse=()), b))
    with pytest.raises(RefusedError, match=r"does not lead where it should: - index public\.i"):
        proving.must_hold(proving.prove(scratch, a, replace(plan, reverse=()), b))

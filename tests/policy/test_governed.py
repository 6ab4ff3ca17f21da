"""Policies through plans on real servers: applied, applied again, given up; cut off anywhere, nothing belongs to nobody."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgcharter.catalog.compare import compare
from pgcharter.catalog.model import Column, DataType, Function, Index, IndexKey, Table
from pgcharter.catalog.model import Policy as RowPolicy
from pgcharter.errors import PgcharterError, RefusedError
from pgcharter.migrate import planning, policies
from pgcharter.migrate.planning import Planned, Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.names import ObjectId, literal
from pgcharter.plan.model import Step
from pgcharter.policy import roles
from pgcharter.policy.marks import without
from pgcharter.policy.model import Policy, State
from pgcharter.policy.roles_settings import RolesSection
from pgcharter.sources import live

NAMES = ObjectId("table", "app", "Näme")
CLOCK = """CREATE FUNCTION pgcharter.clock() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now()'"""


def guarded(state: State) -> State:
    table = state.catalog.table.get(NAMES)
    if table is None:
        return state.asking(f"{NAMES} is not there")
    index = Index("app", "by_tenant", table.name, keys=(IndexKey("tenant"),), definition='CREATE INDEX by_tenant ON app."Näme" (tenant)')
    row = RowPolicy("own", using="tenant = current_setting('x.tenant', true)::int")
    column = Column("tenant", 2, DataType("integer"), comment="whose")
    table = replace(table, columns=(table.columns[0], column), indexes=(index,), policies=(row,), row_security=True)
    clock = Function("pgcharter", "clock", "", returns="timestamp with time zone", definition=CLOCK)
    log = Table("pgcharter", "log", columns=(Column("id", 1, DataType("integer")),))
    tables = (table, log, *(t for t in state.catalog.tables if t.id not in (NAMES, log.id)))
    return replace(state, catalog=replace(state.catalog, tables=tables, functions=(*state.catalog.functions, clock)))


ON, OFF = Chosen((Policy("guarded", guarded),)), Chosen()


@pytest.fixture
def app(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute('CREATE SCHEMA app; CREATE TABLE app."Näme" (id int); CREATE SCHEMA other; CREATE TABLE other.left_alone (id int)')
    return database


def planned(dsn: str, chosen: Chosen, wanted: str = "") -> Planned:
    return planning.make(Wish(wanted, dsn, chosen=chosen))


def run(dsn: str, steps: tuple[Step, ...]) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        for step in steps:
            conn.execute(step.sql.encode())


def catalog(dsn: str) -> planning.Catalog:
    with psycopg.connect(dsn, autocommit=True) as conn:
        return live.read_catalog(conn)


def test_applied_once_is_applied_and_given_up_is_gone(app: str) -> None:
    before = catalog(app)
    first = planned(app, ON)
    assert first.proof
    run(app, first.plan.steps)
    assert planned(app, ON).plan.empty
    after = catalog(app)
    off = planned(app, OFF)
    assert off.proof
    run(app, off.plan.steps)
    assert [
        d for d in compare(before, catalog(app)) if d.object.schema != "pgcharter" and "pgcharter" not in (d.object.schema, d.object.name)
    ] == []
    assert policies.held(app) == ()
    assert planned(app, OFF).plan.empty
    run(app, off.plan.reverse)
    assert compare(after, catalog(app)) == ()
    run(app, first.plan.reverse)
    assert [d for d in compare(before, catalog(app)) if "pgcharter" not in (d.object.schema, d.object.name)] == []


def test_with_a_wanted_side_policies_are_added_to_it(app: str, tmp_path: Path) -> None:
    wanted = tmp_path / "wanted.sql"
    wanted.write_text('CREATE SCHEMA app; CREATE TABLE app."Näme" (id int); CREATE TABLE app.more (id int);')
    plan = planned(app, ON, str(wanted)).plan
    run(app, plan.steps)
    assert planned(app, ON, str(wanted)).plan.empty
    run(app, planned(app, OFF, str(wanted)).plan.steps)
    assert {t.id.sql() for t in catalog(app).tables if t.schema != "pgcharter"} == {'app."Näme"', "app.more", "other.left_alone"}
    assert catalog(app).table[NAMES].policies == ()


def test_what_is_not_mentioned_is_not_dropped_because_policies_changed_something_of_it(app: str, tmp_path: Path) -> None:
    """A schema that what is wanted never mentions, and a library's table: policies answer for what they did there, not for all of it."""
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute("CREATE SCHEMA extra; CREATE TABLE extra.x (id serial PRIMARY KEY); CREATE VIEW extra.v AS SELECT * FROM extra.x")
        conn.execute("CREATE FUNCTION extra.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TYPE extra.mood AS ENUM ('sad')")
        conn.execute("CREATE TABLE app.flyway_schema_history (installed_rank serial PRIMARY KEY, at timestamptz)")
    wanted = tmp_path / "wanted.sql"
    wanted.write_text('CREATE SCHEMA app; CREATE TABLE app."Näme" (id int); CREATE TABLE app.more (id int);')
    levels = Chosen((roles.policy(RolesSection(readonly="pgcg_reads", readwrite="pgcg_writes")),))
    before = {o for o, _ in catalog(app).objects() if o.schema != "pgcharter"}
    try:
        run(app, planned(app, levels).plan.steps)
        for chosen in (levels, OFF):
            plan = planned(app, chosen, str(wanted)).plan
            assert [s.sql for s in plan.steps if s.sql.startswith("DROP") and " ROLE " not in s.sql] == []
            run(app, plan.steps)
            assert planned(app, chosen, str(wanted)).plan.empty
        assert before <= {o for o, _ in catalog(app).objects()}
    finally:
        with psycopg.connect(app, autocommit=True) as conn:
            for role in ("pgcg_reads", "pgcg_writes"):
                if conn.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
                    conn.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def test_cut_off_anywhere_what_was_made_can_still_be_told(app: str) -> None:
    before = catalog(app)
    steps = planned(app, ON).plan.steps
    for step in steps:
        run(app, (step,))
        if policies.held(app):
            left = without(catalog(app), policies.held(app))
            assert [
                d for d in compare(before, left) if d.object.schema != "pgcharter" and "pgcharter" not in (d.object.schema, d.object.name)
            ] == [], step.title
        else:
            assert step.object.schema == "pgcharter" or step.object.name == "pgcharter", step.title
    assert planned(app, ON).plan.empty


def test_a_question_of_a_policy_plans_nothing(app: str) -> None:
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute("DROP SCHEMA app CASCADE")
    plan = planned(app, ON).plan
    assert plan.questions == ('table app."Näme" is not there',)
    assert plan.empty


def test_policies_alone_need_a_live_database(tmp_path: Path) -> None:
    actual = tmp_path / "now.sql"
    actual.write_text("CREATE TABLE t (id int);")
    with pytest.raises(PgcharterError, match="only a live database tells"):
        planning.make(Wish("", str(actual), chosen=ON))


def test_a_record_that_may_not_be_read_is_refused(app: str) -> None:
    run(app, planned(app, ON).plan.steps)
    with psycopg.connect(app, autocommit=True) as conn:
        password = literal(str(conninfo_to_dict(app)["password"]))
        conn.execute(
            f"CREATE ROLE pgc_policy_reader LOGIN PASSWORD {password}; GRANT USAGE ON SCHEMA pgcharter TO pgc_policy_reader".encode()
        )
        try:
            with pytest.raises(RefusedError, match="may not be read"):
                policies.held(make_conninfo(app, user="pgc_policy_reader"))
        finally:
            conn.execute("DROP OWNED BY pgc_policy_reader; DROP ROLE pgc_policy_reader")

"""A plan is run on the database that it was made for, not on one that has changed since in what the plan changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from pgcharter.db import connect
from pgcharter.migrate import files, ledger, runner, units
from pgcharter.migrate.endings import Outcome
from pgcharter.migrate.terms import Terms
from pgcharter.plan import planner, renames
from pgcharter.plan.extent import extent
from pgcharter.plan.normal import normalised, unowned
from pgcharter.render.plan import Story
from pgcharter.render.plan_forms import migration
from pgcharter.servers.scratch import Scratch
from pgcharter.sources import live

OLD = 'CREATE TABLE t (id int PRIMARY KEY, "a; b" int, note varchar(9)); CREATE TABLE gone (x int); CREATE VIEW v AS SELECT 1 AS one;'
NEW = (
    'CREATE TABLE t (id int PRIMARY KEY, "a; b" int NOT NULL, note varchar(20), added int); CREATE INDEX t_note ON t (note);'
    "CREATE VIEW v AS SELECT 2 AS one;"
)
Up = Callable[..., Outcome]


@pytest.fixture
def planned(tmp_path: Path, database: str, scratch: Scratch) -> Up:
    """Make a plan from OLD, which the database has, to NEW; then `planned(sql)` changes the database and runs the plan."""
    with psycopg.connect(database) as conn:
        conn.execute(OLD.encode())
    with connect(database) as conn, scratch.database() as wanted:
        wanted.conn.execute(NEW)
        cut = extent(live.read_catalog(conn), live.read_catalog(wanted.admin))
    a, b = normalised(cut.a, cut.b)
    story = Story(planner.plan(a, unowned(b, {i for i, _ in a.objects()})), "new", "old")
    (tmp_path / "001_plan.sql").write_text(migration(story, description="d", author="me", date="2026-11-21"), "utf-8")

    def up(sql: str = "", **terms: bool) -> Outcome:
        with psycopg.connect(database) as conn:
            conn.execute(sql.encode())
        (found,) = files.read(str(tmp_path)).migrations
        gates = Terms(gates_passed=frozenset(u.gate for u in units.parsed(found).up))
        return runner.apply(database, [units.parsed(found)], terms=replace(gates, **terms))  # type: ignore[arg-type]

    return up


def test_a_plan_runs_where_what_it_changes_is_as_it_was(planned: Up) -> None:
    elsewhere = "CREATE TABLE other (id int); ALTER TABLE t ADD more int; CREATE INDEX ON t (more); COMMENT ON TABLE gone IS 'x';"
    assert planned(elsewhere + "GRANT SELECT ON gone TO PUBLIC; INSERT INTO t VALUES (1, 2, 'n')").status == "done"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ALTER TABLE t ADD added int", "column public.t.added is there already"),
        ("CREATE INDEX t_note ON t (id)", "index public.t_note is there already"),
        ("DROP TABLE gone", "table public.gone is gone"),
        ("ALTER TABLE gone ADD y int", "table public.gone is not as it was"),
        ("ALTER TABLE t ALTER note TYPE text", "column public.t.note is not as it was"),
        ('ALTER TABLE t RENAME "a; b" TO c', 'column public.t."a; b" is gone'),
        ("CREATE OR REPLACE VIEW v AS SELECT 3 AS one", "view public.v is not as it was"),
    ],
)
def test_a_plan_older_than_the_database_is_refused(planned: Up, database: str, change: str, said: str) -> None:
    outcome = planned(change)
    assert (outcome.status, outcome.reason) == ("stopped", "refused")
    assert outcome.message == f"the plan 001 plan is older than the database: {said}; nothing was run"
    assert "--old-plan" in outcome.hint
    with connect(database) as conn:
        assert ledger.read(conn) == ()


def test_it_can_be_run_all_the_same_and_what_is_begun_goes_on(planned: Up, database: str) -> None:
    assert planned("ALTER TABLE gone ADD y int", old_plans=True).status == "done"
    with connect(database) as conn:
        (run,) = ledger.read(conn)
    assert run.description == "d [old plan: table public.gone is not as it was]"


def test_a_plan_that_fits_has_no_note_of_being_old(planned: Up, database: str) -> None:
    assert planned(old_plans=True).status == "done"
    with connect(database) as conn:
        assert [run.description for run in ledger.read(conn)] == ["d"]


def test_a_plan_half_done_is_not_older_than_what_it_has_done(planned: Up, database: str) -> None:
    assert planned("CREATE VIEW on_gone AS SELECT * FROM gone").status == "failed"
    assert planned("DROP VIEW on_gone").status == "done"


def test_only_renames_are_looked_at_where_there_are_any(database: str, tmp_path: Path) -> None:
    with connect(database) as conn:
        conn.execute("CREATE TABLE t (id int PRIMARY KEY, old int)")
        a = live.read_catalog(conn)
        conn.execute("ALTER TABLE t RENAME old TO new; ALTER TABLE t ALTER new SET NOT NULL")
        b = live.read_catalog(conn)
        conn.execute("ALTER TABLE t ALTER new DROP NOT NULL")
        between = live.read_catalog(conn)
        intents = (renames.Intent(a.table[next(t.id for t in a.tables)].part("column", "old"), "new"),)
        made = planner.plan(a, b, intents=intents, renamed=between)
        text = migration(Story(made, "new", "old"), description="d", author="me", date="2026-11-21")
        (tmp_path / "001_plan.sql").write_text(text, "utf-8")
        conn.execute("ALTER TABLE t RENAME new TO old")
    (found,) = files.read(str(tmp_path)).migrations
    one = units.parsed(found)
    outcome = runner.apply(database, [one], terms=Terms(gates_passed=frozenset(u.gate for u in one.up)))
    assert outcome.status == "done", outcome

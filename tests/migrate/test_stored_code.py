"""Stored code as files: planned on top of what is there, whatever the order of the files, and nothing but code is touched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgcharter.errors import PgcharterError, UsageError
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Planned, Wish
from pgcharter.servers.scratch import kept
from pgcharter.sources.code import is_code

BASE = """
CREATE SCHEMA app;
CREATE SCHEMA other;
CREATE FUNCTION app.first() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TABLE app.t (a int DEFAULT app.first(), b text);
CREATE TABLE app.p (a int, d date) PARTITION BY RANGE (d);
CREATE TABLE app.p1 PARTITION OF app.p FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE VIEW app.v AS SELECT a, app.first() AS z FROM app.t;
CREATE VIEW app.w AS SELECT z FROM app.v;
CREATE VIEW other.o AS SELECT z FROM app.w;
CREATE MATERIALIZED VIEW app.m AS SELECT z FROM app.w;
CREATE INDEX m_z ON app.m (z);
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE FUNCTION app.old(a int) RETURNS int LANGUAGE sql AS 'SELECT a';
COMMENT ON FUNCTION app.touch() IS 'says nothing';
CREATE TRIGGER touched BEFORE INSERT ON app.t FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON app.t FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE TRIGGER parted BEFORE INSERT ON app.p FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE TRIGGER instead INSTEAD OF INSERT ON app.w FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE RULE seen AS ON UPDATE TO app.t DO ALSO SELECT a FROM app.v;
REVOKE ALL ON FUNCTION app.touch() FROM PUBLIC;
"""
ROUTINES = """
CREATE FUNCTION app.more(a int) RETURNS int LANGUAGE sql STABLE AS 'SELECT a + 1';
CREATE OR REPLACE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  new.a := coalesce(new.a, 0);
  RETURN new;
END $$;
COMMENT ON FUNCTION app.touch() IS 'fills in';
CREATE FUNCTION app.first() RETURNS int LANGUAGE sql AS 'SELECT 2';
"""
VIEWS = """
CREATE VIEW app.w AS SELECT app.more(z) AS y, z FROM app.v;
CREATE VIEW app.v AS SELECT a, app.first() AS z FROM app.t;
CREATE MATERIALIZED VIEW app.m AS SELECT z FROM app.w;
CREATE INDEX m_z ON app.m (z);
"""


@pytest.fixture(scope="module", autouse=True)
def _one_server() -> Iterator[None]:
    with kept():
        yield


@pytest.fixture
def live(database: str) -> str:
    run(database, BASE)
    return database


def run(dsn: str, sql: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(sql.encode())


def folder(path: Path, **files: str) -> str:
    for name, text in files.items():
        (path / f"{name}.sql").write_text(text)
    return str(path)


def done(planned: Planned, wish: Wish) -> list[str]:
    """Run a plan's SQL on its database; nothing is left to do then. Returns the SQL."""
    found = [s.sql for s in planned.plan.steps if s.sql]
    for sql in found:
        run(wish.actual, sql)
    assert planning.make(wish).plan.steps == ()
    return found


def test_code_is_planned_on_top_of_what_is_there_in_whatever_order(live: str, tmp_path: Path) -> None:
    wish = Wish(folder(tmp_path, a_views=VIEWS, z_routines=ROUTINES), live)
    planned = planning.make(wish)
    assert planned.proof
    changed = {str(o.object) for o in planned.plan.operations}
    assert changed >= {
        "function app.more(integer)", "function app.touch()", "function app.first()", "function app.old(integer)", "view app.w",
    }  # fmt: skip
    notes = "\n".join(planned.plan.notes)
    assert "holds only stored code, so everything else stays as it is" in notes
    assert "left alone: 4 triggers of schema app" in notes
    assert "left alone: 1 rule of schema app" in notes
    sql = "\n".join(done(planned, wish))
    assert "DROP FUNCTION app.old(integer)" in sql
    with psycopg.connect(live) as conn:
        kept_triggers = conn.execute("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal").fetchone()
        may = conn.execute("SELECT proacl IS NOT NULL FROM pg_proc WHERE proname = 'touch'").fetchone()
        says = conn.execute("SELECT obj_description('app.touch'::regproc)").fetchone()
        other = conn.execute("SELECT to_regclass('other.o') IS NOT NULL").fetchone()
    assert (kept_triggers, may, says, other) == ((5,), (True,), ("fills in",), (True,))


def test_triggers_and_rules_of_files_replace_those_that_are_there(live: str, tmp_path: Path) -> None:
    triggers = """
    CREATE TRIGGER parted BEFORE UPDATE ON app.p FOR EACH ROW EXECUTE FUNCTION app.touch();
    CREATE CONSTRAINT TRIGGER late AFTER DELETE ON app.t FOR EACH ROW EXECUTE FUNCTION app.touch();
    ALTER TABLE app.t DISABLE TRIGGER late;
    CREATE RULE seen AS ON UPDATE TO app.t DO ALSO SELECT 1;
    """
    wish = Wish(folder(tmp_path, t=triggers), live)
    planned = planning.make(wish)
    assert {str(o.object) for o in planned.plan.operations} >= {
        "trigger app.p.parted", "trigger app.t.late", "trigger app.t.touched", "trigger app.w.instead", "rule app.t.seen",
    }  # fmt: skip
    done(planned, wish)
    with psycopg.connect(live) as conn:
        left = conn.execute("SELECT tgname::text, tgenabled::text FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1").fetchall()
    assert left == [("late", "D"), ("parted", "O"), ("parted", "O")]


def test_privileges_are_those_of_the_files_only_where_they_speak_of_them(live: str, tmp_path: Path) -> None:
    run(live, "ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT EXECUTE ON FUNCTIONS TO pg_monitor")
    code = (
        "CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'; COMMENT ON FUNCTION app.touch() IS 'x';"
    )
    code += "CREATE FUNCTION app.old(a int) RETURNS int LANGUAGE sql AS 'SELECT a'; GRANT EXECUTE ON FUNCTION app.old TO pg_monitor;"
    wish = Wish(folder(tmp_path, f=code), live)
    planned = planning.make(wish)
    assert {str(o.object): o.fields for o in planned.plan.operations} == {
        "function app.touch()": ("comment",), "function app.old(integer)": ("acl",),
    }  # fmt: skip
    done(planned, wish)


def test_what_tables_use_and_no_file_declares_stays(live: str, tmp_path: Path) -> None:
    code = "CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';"
    planned = planning.make(Wish(folder(tmp_path, f=code), live, prove=False))
    notes = "\n".join(planned.plan.notes)
    assert "left alone: function app.first(), which no file of" in notes
    assert {str(o.object) for o in planned.plan.operations} == {"function app.touch()", "function app.old(integer)"}


def test_what_undeclared_code_uses_stays_too(live: str, tmp_path: Path) -> None:
    code = "CREATE FUNCTION app.first() RETURNS int LANGUAGE sql AS 'SELECT 1';"
    planned = planning.make(Wish(folder(tmp_path, f=code), live, prove=False))
    assert "left alone: function app.touch(), which no file of" in "\n".join(planned.plan.notes)
    assert {str(o.object) for o in planned.plan.operations} == {"function app.old(integer)"}


def test_code_stands_on_what_is_wanted_too(live: str, tmp_path: Path) -> None:
    schema = tmp_path / "schema.sql"
    schema.write_text(BASE.replace("b text", "b text, c int"))
    (tmp_path / "code").mkdir()
    code = folder(tmp_path / "code", f="CREATE FUNCTION app.sum_c() RETURNS bigint LANGUAGE sql AS 'SELECT sum(c) FROM app.t';")
    planned = planning.make(Wish(str(schema), live, code=code, prove=False))
    assert {str(o.object) for o in planned.plan.operations} == {"column app.t.c", "function app.sum_c()"}


def test_functions_that_call_each_other(live: str, tmp_path: Path) -> None:
    code = """
    CREATE FUNCTION app.even(n int) RETURNS bool LANGUAGE sql AS 'SELECT CASE WHEN n = 0 THEN true ELSE app.odd(n - 1) END';
    CREATE FUNCTION app.odd(n int) RETURNS bool LANGUAGE sql AS 'SELECT CASE WHEN n = 0 THEN false ELSE app.even(n - 1) END';
    CREATE FUNCTION app.row_of(x app.v) RETURNS SETOF app.w BEGIN ATOMIC SELECT * FROM app.w WHERE z = x.z; END;
    """
    planned = planning.make(Wish(folder(tmp_path, f=code), live, prove=False))
    assert {"function app.even(integer)", "function app.odd(integer)"} <= {str(o.object) for o in planned.plan.operations}


@pytest.mark.parametrize(
    ("code", "said", "place"),
    [
        ("\nCREATE FUNCTION app.x() RETURNS int LANGUAGE sql AS 'SELECT c FROM app.t';", 'column "c" does not exist', "f.sql:2:"),
        ("CREATE VIEW app.x AS SELECT y FROM app.y;\nCREATE VIEW app.y AS SELECT 1/0 AS z FROM app.nosuch;", "app.nosuch", "f.sql:2:"),
        ("CREATE FUNCTION app.first() RETURNS text LANGUAGE sql AS 'SELECT ''x''';", "cannot change return type", "f.sql:1:"),
    ],
)  # fmt: skip
def test_what_postgresql_refuses_is_said_with_its_place(live: str, tmp_path: Path, code: str, said: str, place: str) -> None:
    with pytest.raises(PgcharterError, match=said) as caught:
        planning.make(Wish(folder(tmp_path, f=code), live, prove=False))
    assert place in caught.value.place


def test_what_stands_on_a_changed_function_changes_with_it(live: str, tmp_path: Path) -> None:
    run(live, "CREATE VIEW other.summed AS SELECT app.old(a) AS c FROM app.t; COMMENT ON VIEW other.summed IS 'kept'; "
              "GRANT SELECT ON other.summed TO PUBLIC;")  # fmt: skip
    code = ROUTINES + "CREATE FUNCTION app.old(a int) RETURNS bigint LANGUAGE sql AS 'SELECT a';"
    wish = Wish(folder(tmp_path, f=code), live)
    planned = planning.make(wish)
    assert planned.proof
    done(planned, wish)
    with psycopg.connect(live) as conn:
        row = conn.execute(
            "SELECT obj_description('other.summed'::regclass), format_type(atttypid, -1),"
            " has_table_privilege('pg_monitor', attrelid, 'SELECT')"
            " FROM pg_attribute WHERE attrelid = 'other.summed'::regclass AND attname = 'c'"
        ).fetchone()
    assert row == ("kept", "bigint", True)


def test_undeclared_code_that_cannot_come_back_is_named(live: str, tmp_path: Path) -> None:
    with pytest.raises(PgcharterError, match=r'refuses CREATE VIEW other\.o: column "z" does not exist') as caught:
        planning.make(Wish(folder(tmp_path, v="CREATE VIEW app.w AS SELECT 1 AS y; CREATE VIEW app.v AS SELECT a FROM app.t;"), live))
    assert "view other.o, which no file declares" in caught.value.place


def test_the_same_thing_twice_is_refused(tmp_path: Path) -> None:
    one = "CREATE FUNCTION app.x(a integer, OUT b text) LANGUAGE sql AS 'SELECT 1';"
    other = "SET search_path = app;\nCREATE OR REPLACE FUNCTION x(z int4) RETURNS int LANGUAGE sql AS 'SELECT 1';"
    with pytest.raises(UsageError, match=r"app.x\(int4\) is declared twice") as caught:
        planning.make(Wish(folder(tmp_path, a=one, b=other), folder(tmp_path, c=one)))
    assert "b.sql:2" in caught.value.place


def test_what_is_code_and_what_is_not(tmp_path: Path) -> None:
    assert is_code(folder(tmp_path, undo="CREATE VIEW undo AS SELECT 1; GRANT SELECT ON undo TO PUBLIC; COMMENT ON VIEW undo IS 'x';"))
    with pytest.raises(UsageError, match="makes no stored code"):
        planning.make(Wish("", str(tmp_path), code=folder(tmp_path, t="GRANT SELECT ON app.t TO PUBLIC;")))
    assert not is_code(str(tmp_path))
    assert not is_code("postgresql://localhost/x")
    assert not is_code("app.models:metadata")

"""plpgsql_check on files and live databases: what it says becomes findings at their lines, and what it cannot know is not told."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from pgcharter import sources
from pgcharter.catalog.reading import Reading
from pgcharter.findings import Severity
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.servers.lifecycle import Server
from pgcharter.servers.scratch import Scratch, kept
from pgcharter.sources.code_check import CodeCheck

BASE = """
CREATE SCHEMA app;
CREATE SCHEMA "Other";
CREATE TABLE app.t (a int, b text);
CREATE TABLE app.t2 (c int);
CREATE TABLE "Other"."Odd" ("É" int);
"""


@pytest.fixture(scope="module", autouse=True)
def _one_server() -> Iterator[None]:
    with kept():
        yield


@pytest.fixture
def fifteen(scratch_of: Callable[[int | None], Scratch]) -> int:
    """A major version whose server has the extension; without one the test is skipped, or fails where CI is set."""
    with scratch_of(15).database() as database:
        if database.admin.execute("SELECT true FROM pg_available_extensions WHERE name = 'plpgsql_check'").fetchone():
            return 15
    if os.environ.get("CI"):
        pytest.fail("PostgreSQL 15 without plpgsql_check (CI allows no missing extension): tools/fetch_postgresql_15.sh brings it")
    pytest.skip("PostgreSQL 15 has no plpgsql_check: tools/fetch_postgresql_15.sh brings it")


def checked(tmp_path: Path, code: str, major: int) -> Reading:
    path = tmp_path / "code.sql"
    path.write_text(BASE + code)
    return sources.read(str(path), major=major, looks=(CodeCheck(),))


def body(text: str, head: str = "FUNCTION app.f() RETURNS void") -> str:
    return f"CREATE {head} LANGUAGE plpgsql AS $$\nBEGIN\n  {text}\nEND $$;"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (body("PERFORM nosuch FROM app.t;"), ['SRC06 function app.f() 9 column "nosuch" does not exist']),
        (body("PERFORM 1 FROM nosuch;", "PROCEDURE app.p()"), ['SRC06 procedure app.p() 9 relation "nosuch" does not exist']),
        (body("RETURN 1;", "FUNCTION app.g() RETURNS int"),
         ["SRC08 function app.g() 7 routine is marked as VOLATILE, should be IMMUTABLE"]),
        (
            body("EXECUTE 'SELECT ' || x;", "FUNCTION app.h(x text) RETURNS void"),
            ["SRC09 function app.h(text) 9 text type variable is not sanitized"],
        ),
        ("CREATE FUNCTION app.q() RETURNS void LANGUAGE plpgsql AS '\nBEGIN PERFORM ''x'';\n  UPDATE app.t SET nosuch = ''1'';\nEND';",
         ['SRC06 function app.q() 9 column "nosuch" of relation "t" does not exist']),
        (body("PERFORM nosuch();", "FUNCTION app.e() RETURNS event_trigger"),
         ["SRC06 function app.e() 9 function nosuch() does not exist"]),
        (body('PERFORM "É", "Ü" FROM "Other"."Odd";', 'FUNCTION "Other"."F É"() RETURNS void'),
         ['SRC06 function "Other"."F É"() 9 column "Ü" does not exist']),
    ],
)  # fmt: skip
def test_what_is_wrong_stands_at_its_line(tmp_path: Path, fifteen: int, code: str, said: list[str]) -> None:
    found = checked(tmp_path, code, fifteen).findings
    assert [
        f"{f.code} {f.object} {f.place.line if f.place else 0} {f.message.split(': ', 1)[1].split(', at line')[0]}" for f in found
    ] == said


@pytest.mark.parametrize(
    "code",
    [
        body("CREATE TEMP TABLE now (i int); INSERT INTO now VALUES (1); PERFORM i FROM now;"),
        body("PERFORM i FROM later;") + body("CREATE TEMPORARY TABLE IF NOT EXISTS later (i int);", "PROCEDURE app.make()"),
        body("EXECUTE format('CREATE TEMP TABLE %I (i int)', 'x'); PERFORM i FROM x;"),
        body("CREATE TEMP TABLE now AS SELECT 1 AS i;\nDECLARE r record; BEGIN SELECT * INTO r FROM now; RAISE NOTICE '%', r.i; END;"),
        body("PERFORM a FROM t; PERFORM c FROM t2;"),
        "CREATE FUNCTION app.f() RETURNS void LANGUAGE plpgsql SET search_path = app AS 'BEGIN PERFORM a FROM t; END';",
        body("RETURN x;", "FUNCTION app.f(x anyelement) RETURNS anyelement"),
        body("new.nosuch := 1; RETURN new;", "FUNCTION app.f() RETURNS trigger"),
    ],
)
def test_wolf_is_not_cried(tmp_path: Path, fifteen: int, code: str) -> None:
    assert [f.message for f in checked(tmp_path, code, fifteen).findings if f.severity > Severity.INFO] == []


def test_a_true_error_beside_a_temporary_table_is_told(tmp_path: Path, fifteen: int) -> None:
    reading = checked(tmp_path, body("CREATE TEMP TABLE now (i int); PERFORM i FROM now; PERFORM nosuch FROM app.t;"), fifteen)
    assert [f.facts["sqlstate"] for f in reading.findings if f.code == "SRC06"] == ["42703"]
    assert [g.what for g in reading.gaps if "plpgsql_check" in g.why] == ["statements of function app.f() on temporary tables"]


def test_trigger_functions_are_checked_for_each_relation(tmp_path: Path, fifteen: int) -> None:
    code = body("IF tg_op = 'INSERT' THEN\n    new.c := 1;\n  END IF; RETURN new;", "FUNCTION app.f() RETURNS trigger")
    code += "CREATE TRIGGER x BEFORE INSERT ON app.t FOR EACH ROW EXECUTE FUNCTION app.f();".join(("", ""))
    code += "CREATE TRIGGER x BEFORE INSERT ON app.t2 FOR EACH ROW EXECUTE FUNCTION app.f();"
    code += body("PERFORM a FROM gone; RETURN NULL;", "FUNCTION app.g() RETURNS trigger")
    code += "CREATE TRIGGER y AFTER DELETE ON app.t REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION app.g();"
    reading = checked(tmp_path, code, fifteen)
    assert [f.message.split(" fails")[0] for f in reading.findings] == ["function app.f() for app.t"]
    assert [f.place.line for f in reading.findings if f.place] == [10]


def test_one_function_for_triggers_with_transition_tables_of_their_own(tmp_path: Path, fifteen: int) -> None:
    branches = "IF tg_op = 'DELETE' THEN PERFORM a FROM gone; ELSE PERFORM a FROM come; END IF; RETURN NULL;"
    code = body(branches, "FUNCTION app.f() RETURNS trigger")
    code += "CREATE TRIGGER i AFTER INSERT ON app.t REFERENCING NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION app.f();"
    code += "CREATE TRIGGER d AFTER DELETE ON app.t REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION app.f();"
    assert checked(tmp_path, code, fifteen).findings == ()


def test_a_server_without_the_extension_is_a_gap(tmp_path: Path) -> None:
    reading = checked(tmp_path, body("PERFORM nosuch FROM app.t;"), 18)
    assert reading.findings == ()
    assert [f"{g.what}: {g.why}" for g in reading.gaps] == [
        "the body of 1 PL/pgSQL routine: not checked by plpgsql_check: the extension is not there"
    ]
    (tmp_path / "code.sql").write_text(BASE)
    assert sources.read(str(tmp_path / "code.sql"), major=18, looks=(CodeCheck(),)).gaps == ()


def test_a_live_database_is_asked_only_where_it_has_the_extension(fifteen: int, server_of: Callable[[int | None], Server]) -> None:
    server = server_of(fifteen)
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE code_check TEMPLATE template0")
        try:
            with psycopg.connect(server.dsn("code_check"), autocommit=True) as conn:
                conn.execute((BASE + body("PERFORM nosuch FROM app.t;")).encode())
                without = sources.read(server.dsn("code_check"), looks=(CodeCheck(),))
                assert without.findings == ()
                assert conn.execute("SELECT count(*) FROM pg_extension WHERE extname = 'plpgsql_check'").fetchone() == (0,)
                conn.execute("CREATE EXTENSION plpgsql_check")
                assert [f.code for f in sources.read(server.dsn("code_check"), looks=(CodeCheck(),)).findings] == ["SRC06"]
        finally:
            admin.execute("DROP DATABASE code_check WITH (FORCE)")


def test_a_changed_routine_that_fails_stops_the_plan(tmp_path: Path, fifteen: int) -> None:
    now, wanted = tmp_path / "now.sql", tmp_path / "wanted.sql"
    broken = body("PERFORM gone FROM app.t;", "FUNCTION app.old() RETURNS void")
    now.write_text(BASE + broken + body("PERFORM a FROM app.t;"))
    wanted.write_text(BASE + broken + body("PERFORM nosuch FROM app.t;"))
    with kept():
        snapshot = tmp_path / "now.json"
        from pgcharter.catalog import codec

        catalog = sources.read(str(now), major=fifteen).catalog
        assert catalog
        snapshot.write_text(codec.dumps(catalog, None))
        plan = planning.make(Wish(str(wanted), str(snapshot))).plan
        assert [
            q.startswith(f"{wanted}:") and 'column "nosuch" does not exist' in q and "--no-code-check" in q for q in plan.questions
        ] == [True]
        assert any("this routine is not changed" in n for n in plan.notes)
        assert planning.make(Wish(str(wanted), str(snapshot), checked=False)).plan.questions == ()
        (tmp_path / "code").mkdir()
        (tmp_path / "code" / "f.sql").write_text(body("PERFORM nosuch FROM app.t;"))
        plan = planning.make(Wish(str(tmp_path / "code"), str(snapshot))).plan
        assert ["f.sql:3:" in q for q in plan.questions] == [True]
        (tmp_path / "code" / "f.sql").write_text(body("PERFORM b FROM app.t;"))
        plan = planning.make(Wish(str(tmp_path / "code"), str(snapshot))).plan
        assert plan.questions == ()
        assert "bodies of PL/pgSQL were checked by plpgsql_check" in plan.notes

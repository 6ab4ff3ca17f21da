"""A guide's own SQL: what it finds, what it may not be, and what happens when it cannot be asked."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from pgcharter import guides, sources
from pgcharter.errors import CharterError
from pgcharter.findings import Severity
from pgcharter.guides.model import Clause, Guide
from pgcharter.guides.score import score
from pgcharter.rules import engine
from pgcharter.sources import own_checks
from pgcharter.tomlfile import quoted

HEAD = 'id = "own"\ntitle = "Own"\n\n[[clause]]\nid = "A1.1"\nsection = "Data"\ntext = "No order without lines"\nproof = "sql"\n'


def guide(*clauses: Clause) -> Guide:
    return Guide("own", "Own", clauses=tuple(replace(c, guide="own", rules=(c.code,)) for c in clauses))


def clause(sql: str, **more: object) -> Clause:
    return Clause("A1.1", "Data", "No order is empty", proof="sql", sql=sql, **more)  # type: ignore[arg-type]


def check(target: str, wanted: Guide) -> engine.Result:
    return engine.run(sources.read(target, looks=own_checks.looks(wanted)), wanted)


@pytest.fixture
def orders(database: str) -> str:
    import psycopg

    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute('CREATE SCHEMA app; CREATE TABLE app."Orders" (id int PRIMARY KEY, lines int)')
        conn.execute('INSERT INTO app."Orders" VALUES (1, 0), (2, 3), (3, 0)')
    return database


def test_every_row_is_a_finding(orders: str) -> None:
    wanted = guide(clause('SELECT id, lines FROM app."Orders" WHERE lines = 0 ORDER BY id'))
    result = check(orders, wanted)
    assert [(f.code, f.message, f.severity) for f in result.findings] == [
        ("OWN-A1.1", "no order is empty: id = 1, lines = 0", Severity.ERROR),
        ("OWN-A1.1", "no order is empty: id = 3, lines = 0", Severity.ERROR),
    ]
    assert "OWN-A1.1" in result.ran
    assert score(wanted, result).verdicts[0].state == "broken"


def test_no_row_is_a_clause_that_holds(orders: str) -> None:
    wanted = guide(clause('SELECT id FROM app."Orders" WHERE lines < 0'))
    result = check(orders, wanted)
    assert result.findings == ()
    assert score(wanted, result).verdicts[0].state == "holds"


def test_names_in_a_row_say_which_object_is_meant(orders: str) -> None:
    sql = """SELECT table_schema, table_name, column_name, 'lines want a check' AS message
             FROM information_schema.columns WHERE column_name = 'lines'"""
    (found,) = check(orders, guide(clause(sql, on="schema", level="should"))).findings
    assert found.object is not None
    assert (found.object.sql(), found.message, found.severity) == ('app."Orders".lines', "lines want a check", Severity.WARNING)


def test_more_rows_than_are_told_are_a_gap(orders: str) -> None:
    result = check(orders, guide(clause("SELECT n FROM generate_series(1, 1000000) n")))
    assert len(result.findings) == own_checks.ROWS
    assert [g.what for g in result.gaps if "A1.1" in g.what] == ["further rows of OWN-A1.1"]


def test_files_answer_for_the_schema_and_not_for_data(tmp_path: Path) -> None:
    (tmp_path / "schema.sql").write_text("CREATE TABLE public.orders (id int PRIMARY KEY, lines int);\n")
    schema = clause("SELECT table_name AS table FROM information_schema.columns WHERE column_name = 'lines'", on="schema")
    data = replace(clause("SELECT 1 FROM public.orders"), id="A1.2")
    wanted = guide(schema, data)
    result = check(str(tmp_path / "schema.sql"), wanted)
    (found,) = result.findings
    assert found.place is not None
    assert (found.code, found.place.line) == ("OWN-A1.1", 1)
    assert result.not_run["OWN-A1.2"] == "looks at data, and only a live database has any"
    assert [v.state for v in score(wanted, result).verdicts] == ["broken", "unproven"]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT id FROM app.gone", 'PostgreSQL says: relation "app.gone" does not exist'),
        ("SELECT pg_sleep(30)", "it took longer than its 1 s"),
        ("SELECT nextval('app.numbers')", "PostgreSQL says: cannot execute nextval() in a read-only transaction"),
        ("SELECT set_config('transaction_read_only', 'off', true)", ""),
    ],
)
def test_what_cannot_be_asked_is_an_error_and_changes_nothing(orders: str, sql: str, said: str) -> None:
    import psycopg

    with psycopg.connect(orders, autocommit=True) as conn:
        conn.execute("CREATE SEQUENCE app.numbers")
        (found,) = check(orders, guide(clause(sql, timeout=1))).findings
        assert conn.execute("SELECT is_called FROM app.numbers").fetchone() == (False,)
    assert found.code == "SRC05"
    assert said in found.message
    assert found.severity is Severity.ERROR


def test_a_check_that_fails_leaves_the_others_standing(orders: str) -> None:
    wanted = guide(clause("SELECT id FROM app.gone"), replace(clause('SELECT id FROM app."Orders"'), id="A1.2"))
    result = check(orders, wanted)
    assert sorted(f.code for f in result.findings) == ["OWN-A1.2", "OWN-A1.2", "OWN-A1.2", "SRC05"]
    assert [v.state for v in score(wanted, result).verdicts] == ["unproven", "broken"]


def test_a_check_switched_off_is_not_asked(orders: str) -> None:
    wanted = replace(guide(clause("SELECT 1")), off=frozenset({"OWN-A1.1"}))
    assert own_checks.looks(wanted) == ()
    assert own_checks.looks(guide(clause("SELECT 1")), skip={"OWN-A1.1"}) == ()


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("DELETE FROM orders", "it is a delete statement"),
        ("WITH gone AS (DELETE FROM orders RETURNING id) SELECT id FROM gone", "it holds DELETE"),
        ("SELECT id INTO copy FROM orders", "it makes a table (INTO)"),
        ("SELECT id FROM orders FOR UPDATE", "it locks rows (FOR UPDATE or SHARE)"),
        ("SELECT 1; SELECT 2", "it holds 2 statements"),
        ("SELECT pg_terminate_backend(pid) FROM pg_stat_activity", "it calls pg_terminate_backend, which no rollback takes back"),
        ("SELECT pg_catalog.pg_reload_conf()", "it calls pg_reload_conf, which no rollback takes back"),
        ("SELECT * FROM public.dblink_exec('x', 'y')", "it calls dblink_exec, which no rollback takes back"),
        ("SELECT pg_advisory_lock(1)", "it calls pg_advisory_lock, which no rollback takes back"),
        ("SELECT 1 WHERE EXISTS (SELECT pg_stat_reset())", "it calls pg_stat_reset, which no rollback takes back"),
        ("\\! id\nSELECT 1", "it holds commands of psql"),
        ("SELEC 1", 'syntax error at or near "SELEC" (line 1 of it)'),
    ],
)
def test_only_one_reading_query_is_taken(tmp_path: Path, sql: str, why: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(f"{HEAD}sql = {quoted(sql)}\n")
    with pytest.raises(CharterError) as caught:
        guides.load(str(path))
    assert caught.value.message == f"own SQL of clause A1.1 must be one query that only reads: {why}"
    assert caught.value.place == f"{path}:9"


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("", 'clause A1.1 has own SQL only together with proof = "sql", and the other way round'),
        ('sql = "SELECT 1"\nrules = ["KEY01"]', "clause A1.1 is proven by its own SQL and names rules as well; make two clauses of it"),
        ('sql = "SELECT 1"\ntimeout = 0', "timeout of clause A1.1 must be between 1 and 600 seconds, not 0"),
    ],
)
def test_keys_that_do_not_go_together(tmp_path: Path, lines: str, why: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(HEAD + lines + "\n")
    with pytest.raises(CharterError) as caught:
        guides.load(str(path))
    assert caught.value.message == why


def test_a_file_with_own_sql_loads_and_its_code_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(HEAD + 'sql = "SELECT 1 WHERE false"\n\n[severity]\n"OWN-A1.1" = "info"\n')
    loaded = guides.load(str(path), codes=engine.load())
    assert loaded.own == {"OWN-A1.1"}
    assert loaded.clause("A1.1").rules == ("OWN-A1.1",)
    assert loaded.severity("OWN-A1.1", Severity.ERROR) is Severity.INFO


def test_values_are_told_as_postgresql_writes_them(database: str) -> None:
    sql = """SELECT 'infinity'::timestamptz AS t, '20000-01-01'::date AS d, time '24:00' AS m, '[infinity,]'::daterange AS r,
             ARRAY[1, NULL] AS a, '{"a": [1]}'::jsonb AS j, '\\x00ff'::bytea AS b, true AS yes, 'x' AS a, NULL::text"""
    (found,) = check(database, guide(clause(sql))).findings
    told = 't = infinity, d = 20000-01-01, m = 24:00:00, r = [infinity,), a = {1,NULL}, j = {"a": [1]}, b = \\x00ff, yes = t'
    assert found.message.startswith(f"no order is empty: {told}")


def test_a_huge_value_is_told_in_part_and_few_are_fetched(database: str) -> None:
    sql = "SELECT repeat('x', 3000000) AS message, n FROM generate_series(1, 100) n"
    result = check(database, guide(clause(sql, timeout=60)))
    assert 1 <= len(result.findings) < 50
    assert max(len(f.message) for f in result.findings) == own_checks.MESSAGE
    assert [g.what for g in result.gaps if "A1.1" in g.what] == ["further rows of OWN-A1.1"]


def test_the_time_holds_for_all_rows_together(database: str) -> None:
    started = time.monotonic()
    result = check(database, guide(clause("SELECT pg_sleep(0.4) FROM generate_series(1, 90)", timeout=1)))
    assert "it took longer than its 1 s" in result.findings[0].message
    assert time.monotonic() - started < 3


def test_a_check_cancelled_by_hand_is_not_called_slow(database: str) -> None:
    (found,) = check(database, guide(clause("SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(1)", timeout=30))).findings
    assert found.message.endswith("PostgreSQL says: canceling statement due to user request")


def test_a_lost_connection_is_told_for_every_check_that_it_hits(orders: str) -> None:
    wanted = guide(clause("SELECT pg_terminate_backend(pg_backend_pid())"), replace(clause('SELECT id FROM app."Orders"'), id="A1.2"))
    result = check(orders, wanted)
    assert [f.code for f in result.findings] == ["SRC05", "SRC05"]
    assert [v.state for v in score(wanted, result).verdicts] == ["unproven", "unproven"]


def test_a_lost_connection_does_not_end_the_check_of_files(tmp_path: Path) -> None:
    (tmp_path / "schema.sql").write_text("CREATE TABLE public.orders (id int PRIMARY KEY, lines int);\n")
    gone = clause("SELECT pg_terminate_backend(pg_backend_pid())", on="schema")
    result = check(str(tmp_path / "schema.sql"), guide(gone))
    assert [f.code for f in result.findings] == ["SRC05"]


def test_a_table_may_be_named_with_its_schema(orders: str) -> None:
    sql = "SELECT oid::regclass AS table FROM pg_class WHERE relname = 'Orders'"
    (found,) = check(orders, guide(clause(sql))).findings
    assert found.object is not None
    assert found.object.sql() == 'app."Orders"'


def test_rows_about_one_table_are_all_told(orders: str) -> None:
    sql = "SELECT 'Orders' AS table, format('line %s is wrong', n) AS message FROM generate_series(1, 3) n"
    found = check(orders, guide(clause(sql))).findings
    assert sorted(f.message for f in found) == ["line 1 is wrong", "line 2 is wrong", "line 3 is wrong"]
    (once,) = check(orders, guide(clause("SELECT 'Orders' AS table, 'wrong' AS message"))).findings
    assert once.key == 'OWN-A1.1:table:app."Orders"'


def test_passwords_in_rows_and_refusals_are_not_told(database: str) -> None:
    shown = clause("SELECT 'postgresql://me:s3cret@host/d' AS message, 'password=s3cret' AS v")
    cast = replace(clause("SELECT 'password=s3cret'::int"), id="A1.2")
    result = check(database, guide(shown, cast))
    assert len(result.findings) == 2
    assert "s3cret" not in repr(result.findings) + repr(result.not_run)


def test_equal_rows_are_all_told(orders: str) -> None:
    sql = "SELECT 'Orders' AS table, 'wrong' AS message, repeat('x', 200) || n AS long FROM generate_series(1, 3) n"
    found = check(orders, guide(clause(sql))).findings
    assert [f.message for f in found] == ["wrong"] * 3
    assert len({f.key for f in found}) == 3

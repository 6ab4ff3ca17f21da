"""The workload on real servers that load pg_stat_statements: what is kept is what ran, whatever is reset or forgotten meanwhile; slow, N+1,
regressions and whole reads are told; what is missing is told with its remedy."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.conftest import installation
from tests.policy.planned import applied

from pgcharter.cli import failures
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import workload as policy
from pgcharter.policy.workload_settings import WorkloadSection
from pgcharter.servers import lifecycle
from pgcharter.servers.lifecycle import Server
from pgcharter.watch import workload_keep, workload_read, workload_report
from pgcharter.watch.workload import Counted, Counters, Use, Which, clean_text, difference, largest
from pgcharter.watch.workload_judge import changes, shapes
from pgcharter.watch.workload_keep import Interval
from pgcharter.watch.workload_scans import tables

AT = datetime(2026, 11, 22, 8, tzinfo=UTC)
DAY = timedelta(days=1)
Conn = psycopg.Connection[Any]


@pytest.fixture(scope="module", params=[15, 18])
def counting(request: pytest.FixtureRequest) -> Iterator[Server]:
    settings: dict[str, lifecycle.Setting] = {"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.max": 400}
    with lifecycle.start_ephemeral(installation(request.param), settings=settings) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            admin.execute("CREATE DATABASE work")
            admin.execute("CREATE DATABASE other")
        dsn = server.dsn("work")
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute('CREATE SCHEMA "Odd %s"; CREATE EXTENSION pg_stat_statements SCHEMA "Odd %s"')
            conn.execute("CREATE TABLE orders (order_id int PRIMARY KEY, note text)")
            conn.execute("CREATE TABLE items (item_id int PRIMARY KEY, order_id int, note text)")
            conn.execute("INSERT INTO orders SELECT i, 'x' FROM generate_series(1, 2000) AS i")
            conn.execute("INSERT INTO items SELECT i, i, repeat('x', 50) FROM generate_series(1, 20000) AS i; ANALYZE")
        applied(dsn, planning.make(Wish("", dsn, chosen=Chosen((policy.policy(WorkloadSection()),)))))
        yield server


@pytest.fixture
def conn(counting: Server) -> Iterator[Conn]:
    with workload_read.open_session(counting.dsn("work")) as one:
        one.execute("TRUNCATE pgcharter.statement_intervals, pgcharter.statement_snapshots, pgcharter.statement_texts")
        one.execute(b'SELECT "Odd %s".pg_stat_statements_reset()')
        yield one


def take(conn: Conn, top: int = 200, keep: timedelta = DAY) -> Interval:
    source, gaps, kept = workload_read.look_for(conn)
    assert (gaps, kept) == ((), True)
    assert source is not None
    made = workload_keep.take(conn, source, top, keep)
    assert made is not None
    return made


def run(server: Server, *statements: str, times: int = 1, database: str = "work") -> None:
    with psycopg.connect(server.dsn(database), autocommit=True) as conn:
        for _ in range(times):
            for sql in statements:
                conn.execute(sql.encode())


def wide(columns: int) -> str:
    """A statement that differs from others in more than its constants."""
    return f"SELECT {', '.join('1' * columns)}"


def costs(conn: Conn, word: str) -> list[tuple[int, int]]:
    """Calls and rows of statements with a word in them, by interval."""
    rows = conn.execute(
        "SELECT s.calls, s.row_count FROM pgcharter.statement_snapshots AS s JOIN pgcharter.statement_texts"
        " USING (role_id, database_id, query_id, top_level) WHERE statement LIKE %s ORDER BY taken_at",
        [f"%{word}%"],
    ).fetchall()
    return [(c, r) for c, r in rows]


def test_what_is_kept_is_what_ran_in_between(conn: Conn, counting: Server) -> None:
    run(counting, "SELECT 1 AS early")
    assert take(conn).began is None
    assert costs(conn, "early") == []
    run(counting, "SELECT note AS one FROM orders WHERE order_id = 1", "SELECT 2 AS early", times=3)
    run(counting, "SELECT 3 AS elsewhere", database="other")
    made = take(conn)
    assert made.calls >= 6
    assert (made.was_reset, made.evictions) == (False, 0)
    run(counting, "SELECT note AS one FROM orders WHERE order_id = 2")
    take(conn)
    take(conn)
    assert costs(conn, "AS one") == [(3, 3), (1, 1)]
    assert costs(conn, "AS early") == [(3, 3)]
    assert costs(conn, "elsewhere") == []
    [(text, role)] = conn.execute("SELECT statement, role_name FROM pgcharter.statement_texts WHERE statement LIKE '%AS one%'").fetchall()
    assert text == "SELECT note AS one FROM orders WHERE order_id = $1"
    assert role == conn.info.user


def test_resets_of_all_and_of_one_lose_nothing_that_ran_since(conn: Conn, counting: Server) -> None:
    run(counting, "SELECT 1 AS lost", times=5)
    take(conn)
    run(counting, "SELECT 1 AS lost", times=7)
    conn.execute(b'SELECT "Odd %s".pg_stat_statements_reset()')
    run(counting, "SELECT 1 AS lost", times=2)
    assert take(conn).was_reset
    assert costs(conn, "AS lost") == [(2, 2)]
    [(query,)] = conn.execute("SELECT query_id FROM pgcharter.statement_texts WHERE statement LIKE '%AS lost%'").fetchall()
    conn.execute(f'SELECT "Odd %s".pg_stat_statements_reset(0, 0, {query})'.encode())
    run(counting, "SELECT 1 AS lost", times=1 if counting.major < 17 else 4)
    assert not take(conn).was_reset
    assert costs(conn, "AS lost") == [(2, 2), (1, 1) if counting.major < 17 else (4, 4)]


def test_statements_that_had_to_be_forgotten_are_told(conn: Conn, counting: Server) -> None:
    take(conn)
    run(counting, *(wide(i) for i in range(1, 600)))
    made = take(conn)
    assert made.evictions > 0
    report = workload_report.report(conn, DAY)
    assert any("pg_stat_statements.max" in g.why for g in report.gaps)


def test_only_the_most_expensive_are_kept_and_old_ones_go(conn: Conn, counting: Server) -> None:
    take(conn)
    run(counting, *(wide(i) for i in range(1, 61)))
    made = take(conn, top=10)
    assert made.statements >= 60
    assert conn.execute("SELECT count(*) FROM pgcharter.statement_snapshots").fetchall() == [(10,)]
    conn.execute(
        "INSERT INTO pgcharter.statement_texts (role_id, database_id, query_id, top_level, role_name, counters, seen_at)"
        " VALUES (1, 1, 1, true, 'gone', '{}', now() - interval '1 s')"
    )
    take(conn, keep=timedelta(0))
    run(counting, wide(60))
    take(conn)
    assert conn.execute("SELECT count(*) FROM pgcharter.statement_intervals").fetchall() == [(2,)]
    assert conn.execute("SELECT count(*) FROM pgcharter.statement_texts WHERE role_id = 1").fetchall() == [(0,)]
    assert costs(conn, f"${60}") == [(1, 1)]


def test_secrets_are_not_kept(conn: Conn, counting: Server) -> None:
    take(conn)
    run(
        counting,
        "CREATE ROLE wl_secret PASSWORD 'hunter2secret'",
        "ALTER ROLE wl_secret PASSWORD 'hunter2secret'",
        "SET app.token = 'hunter2secret'",
        "COMMENT ON ROLE wl_secret IS $a$hunter2secret$a$",
        "SELECT 'hunter2secret', length('hunter2secret')",
        "DROP ROLE wl_secret",
    )
    take(conn, top=400)
    [(kept,)] = conn.execute("SELECT string_agg(t::text, ' ') FROM pgcharter.statement_texts AS t").fetchall()
    assert "wl_secret" in kept
    assert "app.token" in kept
    assert "hunter2secret" not in kept


def test_a_workload_is_told(conn: Conn, counting: Server) -> None:
    take(conn)
    for _ in range(2):
        run(counting, "SELECT order_id, note FROM orders ORDER BY note, order_id LIMIT 700")
        run(counting, *(f"SELECT note AS wanted FROM items WHERE item_id = {i}" for i in range(1, 701)))
        run(counting, *(f"UPDATE items SET note = 'y' WHERE item_id = {i}" for i in range(1, 701)))
        run(counting, "SELECT count(*) FROM items WHERE note LIKE '%z%' AND pg_sleep(0) IS NOT NULL", times=12)
        take(conn)
    report = workload_report.report(conn, DAY)
    assert report.from_snapshots
    assert report.uses[0].counters.execution_ms >= report.uses[1].counters.execution_ms
    updated = next(u for u in report.uses if u.text.startswith("UPDATE items"))
    assert updated.counters.calls == 1400
    assert updated.counters.wal_bytes > 0
    assert [(s.parent.text[:21], s.child.text[:21]) for s in report.shapes] == [("SELECT order_id, note", "SELECT note AS wanted")]
    assert report.shapes[0].spared == 1398
    conn.execute("SELECT pg_stat_force_next_flush()")
    [scan] = [s for s in workload_report.report(conn, DAY).scans if s.table.name == "items"]
    assert scan.scans >= 24
    assert "count(*)" in scan.statements[0].text


def test_a_release_that_made_it_worse_is_told(conn: Conn, counting: Server) -> None:
    take(conn)
    same = "SELECT sum(order_id) FROM orders WHERE note = 'x'"
    run(counting, same, "SELECT pg_sleep(0.001)", "SELECT count(*) AS rare FROM orders", times=20)
    split = take(conn).at
    run(counting, same, "SELECT pg_sleep(0.004)", times=20)
    run(counting, "SELECT count(*), max(i) AS fresh FROM generate_series(1, 200000) AS i")
    take(conn)
    found = workload_report.compare(conn, split, DAY)
    told = {c.use.text: c.verdict for c in found.changes if c.bad}
    assert told["SELECT pg_sleep($1)"] in ("slower", "more often")
    assert [v for t, v in told.items() if "fresh" in t] == ["new"]
    assert not [t for t in told if "rare" in t]


def test_the_second_of_two_at_a_time_does_nothing(conn: Conn, counting: Server) -> None:
    with workload_read.open_session(counting.dsn("work")) as other, other.transaction():
        assert other.execute("SELECT pg_try_advisory_xact_lock(hashtext('pgcharter.statement_snapshots'))").fetchone() == (True,)
        source, _, _ = workload_read.look_for(conn)
        assert source
        assert workload_keep.take(conn, source, 10, DAY) is None
    assert take(conn)


@pytest.mark.parametrize("point", workload_keep.POINTS)
def test_a_snapshot_that_is_killed_has_not_been(conn: Conn, counting: Server, point: str, tmp_path: Path) -> None:
    take(conn)
    run(counting, "SELECT 1 AS killed", times=3)
    (tmp_path / "pgcharter.toml").write_text("[workload]\n")
    words = [sys.executable, "-m", "pgcharter", "advise", "snapshot", "--on", counting.dsn("work")]
    done = subprocess.run(words, cwd=tmp_path, env={**os.environ, "PGCHARTER_FAULT": point}, capture_output=True, check=False)
    assert done.returncode == -9
    taken: list[Interval] = []
    while not taken:  # until the server has noticed that nobody is there
        source, _, _ = workload_read.look_for(conn)
        assert source
        taken += filter(None, [workload_keep.take(conn, source, 200, DAY)])
    assert costs(conn, "AS killed") == [(3, 3)]


Call = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    (tmp_path / "pgcharter.toml").write_text("[workload]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "110")

    def call(*words: str) -> tuple[int, Any, str]:
        capsys.readouterr()
        code = failures.run(list(words))
        done = capsys.readouterr()
        return code, json.loads(done.out) if "json" in words and done.out else done.out, done.err

    return call


def test_as_a_user_asks(conn: Conn, counting: Server, call: Call) -> None:
    on = ("--on", counting.dsn("work"))
    code, text, _ = call("advise", "workload", *on)
    assert code == 0
    assert "not seen: trends" in text
    assert "this is the first snapshot" in call("advise", "snapshot", *on)[1]
    run(counting, "SELECT note AS one FROM orders WHERE order_id = 1", times=3)
    code, data, _ = call("advise", "snapshot", "--format", "json", *on)
    assert (code, data["taken"], data["was_reset"]) == (0, True, False)
    code, data, _ = call("advise", "workload", "--format", "json", *on)
    assert (code, data["from_snapshots"]) == (0, True)
    assert [s["calls"] for s in data["statements"] if "AS one" in s["text"]] == [3]
    assert "SELECT note AS one FROM orders WHERE order_id = $1" in call("advise", "workload", *on)[1]
    code, _, err = call("advise", "regressions", "--split", "2020-01-01T00:00Z", *on)
    assert code == 3
    assert "no two snapshots" in err
    assert call("advise", "regressions", "--split", "yesterday", *on)[0] == 2
    split = str(conn.execute("SELECT min(taken_at) FROM pgcharter.statement_intervals").fetchall()[0][0])
    run(counting, "SELECT 1")
    assert call("advise", "regressions", "--split", split, *on)[0] == 3
    middle = str(conn.execute("SELECT max(taken_at) FROM pgcharter.statement_intervals").fetchall()[0][0])
    take(conn)
    code, data, _ = call("advise", "regressions", "--split", middle, "--format", "json", *on)
    assert code in (0, 1)
    assert data["hours_before"] > 0


def test_what_is_missing_is_told_with_its_remedy(counting: Server, call: Call) -> None:
    on = ("--on", counting.dsn("other"))
    code, text, _ = call("advise", "workload", *on)
    assert code == 0
    assert "CREATE EXTENSION pg_stat_statements" in " ".join(text.split())
    code, _, err = call("advise", "snapshot", *on)
    assert code == 3
    assert "CREATE EXTENSION pg_stat_statements" in " ".join(err.split())
    with psycopg.connect(counting.dsn("work"), autocommit=True) as admin:
        admin.execute("CREATE ROLE wl_low LOGIN")
        admin.execute(b'GRANT USAGE ON SCHEMA "Odd %s" TO wl_low')
        try:
            with workload_read.open_session(psycopg.conninfo.make_conninfo(counting.dsn("work"), options="-c role=wl_low")) as low:
                source, gaps, _ = workload_read.look_for(low)
                assert source
                assert gaps == ()
                assert "GRANT pg_read_all_stats TO wl_low" in source.gaps[0].why
                assert all(c.role == "wl_low" for c in workload_read.counted(low, source).counted)
        finally:
            admin.execute("DROP OWNED BY wl_low; DROP ROLE wl_low")


def test_a_server_that_does_not_load_it_says_how(database: str, call: Call) -> None:
    code, text, _ = call("advise", "workload", "--on", database)
    assert code == 0
    assert "ALTER SYSTEM SET shared_preload_libraries = pg_stat_statements" in " ".join(text.split())


def use(text: str, *, role: int = 1, calls: int = 1, rows: int = 0, ms: float = 1.0) -> Use:
    return Use(Which(role, 1, hash(text), True), "app", text, Counters(calls=calls, row_count=rows, execution_ms=ms))


def test_differences() -> None:
    which = Which(1, 1, 1, True)
    now = Counted(which, "app", Counters(calls=10, execution_ms=5.0))
    base = Counters(calls=4, execution_ms=2.0)
    assert difference(now, base, AT, was_reset=False) == Counters(calls=6, execution_ms=3.0)
    assert difference(now, None, AT, was_reset=False) == now.counters
    assert difference(now, base, AT, was_reset=True) == now.counters
    assert difference(now, Counters(calls=11), AT, was_reset=False) == now.counters
    later = Counted(which, "app", now.counters, AT + timedelta(seconds=1))
    assert difference(later, base, AT, was_reset=False) == now.counters


def test_places_are_given_by_time_and_a_tenth_by_calls() -> None:
    many = {Which(1, 1, i, True): Counters(calls=1000 - i, execution_ms=float(i)) for i in range(100)}
    assert [w.query for w in largest(many, 20)] == [0, 1, *range(99, 81, -1)]


PARENT, CHILD = "SELECT * FROM orders WHERE user_id = $1", "SELECT * FROM items WHERE order_id = $1"


@pytest.mark.parametrize(
    ("parent", "child", "told"),
    [
        (use(PARENT, calls=10, rows=2000), use(CHILD, calls=2000, rows=1990), 1),
        (use(PARENT, calls=10, rows=1000), use(CHILD, calls=2000, rows=2000), 0),
        (use(PARENT, calls=10, rows=2000), use(CHILD, calls=2000, rows=9000), 0),
        (use(PARENT, calls=10, rows=2000), use(CHILD, role=2, calls=2000, rows=2000), 0),
        (use(PARENT, calls=10, rows=500), use(CHILD, calls=500, rows=500), 0),
        (use("INSERT INTO a SELECT 1", calls=10, rows=2000), use(CHILD, calls=2000, rows=2000), 0),
        (use(PARENT, calls=1000, rows=2000), use(CHILD, calls=2000, rows=2000), 0),
        (use(PARENT, calls=10, rows=2000), use("SELECT nextval($1)", calls=2000, rows=2000), 0),
    ],
)
def test_shapes(parent: Use, child: Use, told: int) -> None:
    assert len(shapes({AT: [parent, child]})) == told


def test_numbers_that_fit_by_chance_are_no_shape() -> None:
    first = [use(PARENT, calls=10, rows=3000), use(CHILD, calls=1000, rows=1000)]
    second = [use(PARENT, calls=10, rows=1000), use(CHILD, calls=3000, rows=3000)]
    assert shapes({AT: first, AT + DAY: second}) == []


def test_changes() -> None:
    before = [use("a", calls=100, ms=100), use("b", calls=100, ms=100), use("c", calls=100, ms=400), use("d", calls=100, ms=1)]
    after = [
        use("a", calls=100, ms=300),
        use("b", calls=1000, ms=1000),
        use("c", calls=100, ms=100),
        use("d", calls=100, ms=9),
        use("e", ms=50),
    ]
    found = {c.use.text: (c.verdict, round(c.costs_ms)) for c in changes(before, after, (1.0, 1.0))}
    assert found == {"a": ("slower", 200), "b": ("more often", 900), "c": ("faster", -300), "e": ("new", 50)}
    assert changes([], after, (1.0, 1.0)) == []


def test_texts() -> None:
    assert tables('SELECT * FROM sales.orders AS o JOIN "It" USING (a) WHERE b = $1') == {("sales", "orders"), ("", "It")}
    assert tables("SELECT broken FROM (") == frozenset()
    assert clean_text("/* from a page */ SELECT $1") == "/* from a page */ SELECT $1"
    assert clean_text("SET x = 'secret'") == "SET x = '***'"


ODD = """
[environments.dev]
dsn_env = "DATABASE_URL"
[workload]
[business]
[[business.rule]]
id = "a"
title = "Größe €"
threshold = 2
sql = "SELECT 1 AS value, odd FROM odd"
"""


def test_databases_of_other_encodings(counting: Server, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    encoding = "SQL_ASCII" if counting.major < 18 else "LATIN1"
    with psycopg.connect(counting.dsn(), autocommit=True) as admin:
        admin.execute("DROP DATABASE IF EXISTS odd")
        admin.execute(f"CREATE DATABASE odd TEMPLATE template0 ENCODING {encoding} LOCALE_PROVIDER libc LOCALE 'C'".encode())
    monkeypatch.setenv("DATABASE_URL", counting.dsn("odd"))
    Path("pgcharter.toml").write_text(ODD if encoding == "SQL_ASCII" else ODD.replace(" €", ""))
    with psycopg.connect(counting.dsn("odd"), autocommit=True, client_encoding="UTF8") as conn:
        conn.execute('CREATE EXTENSION pg_stat_statements; CREATE TABLE "Größe" (a int)')
        conn.execute(r"CREATE TABLE odd AS SELECT E'é\x1b[31m' AS odd")
        code, _, err = call("policy", "apply", "--yes")
        assert code == 0, err
        code, _, err = call("advise", "snapshot")
        assert code == 0, err
        conn.execute('SELECT count(*) AS "Ä" FROM "Größe"')
    assert call("advise", "snapshot")[0] == 0
    code, data, _ = call("advise", "workload", "--top", "100", "--format", "json")
    assert code == 0
    assert [s["calls"] for s in data["statements"] if s["text"] == 'SELECT count(*) AS "Ä" FROM "Größe"'] == [1]
    code, said, err = call("business", "check")
    assert (code, err) == (0, ""), said
    assert "Größe" in call("business", "history", "a")[1]
    assert call("advise", "indexes")[0] == 0


PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "workload.md"


def test_the_page_runs(conn: Conn, counting: Server, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    text = PAGE.read_text(encoding="utf-8")
    [charter] = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    Path("pgcharter.toml").write_text(charter)
    monkeypatch.setenv("DATABASE_URL", counting.dsn("work"))
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines() if line]
    assert len(lines) == 3
    for line in lines[1:]:
        code, said, _ = call(*line.split()[1:])
        assert (code, bool(said)) == (0, True), line

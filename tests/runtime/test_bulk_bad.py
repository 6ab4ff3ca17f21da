"""Bad rows: named by number, column and cause; set aside exactly, whatever refuses them; no secret told."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgcharter.runtime import bulk
from pgcharter.runtime.bulk import BadRow, BadRowError

TABLE = """
CREATE TABLE parent (id int PRIMARY KEY);
INSERT INTO parent SELECT generate_series(1, 100);
CREATE TABLE t (id int PRIMARY KEY, parent int NOT NULL REFERENCES parent, kind text CHECK (kind <> 'bad'), code int UNIQUE DEFERRABLE);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF new.kind = TG_ARGV[0] THEN RAISE 'the trigger minds %', new.kind USING ERRCODE = TG_ARGV[1]; END IF; RETURN new; END $$;
CREATE TRIGGER b BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION refuse('before', 'P0001');
CREATE TRIGGER a AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION refuse('after', 'SHOP1');
"""
GOOD = (1, "fine", None)
WRONG: dict[str, tuple[Any, ...]] = {
    "conversion": ("one", "fine", None), "too big": (2**40, "fine", None), "not null": (None, "fine", None), "check": (1, "bad", None),
    "foreign key": (999, "fine", None), "before": (1, "before", None), "after": (1, "after", None), "NUL": (1, "a\0b", None),
    "surrogate": (1, "\ud800", None), "no such value": (1, {"a": 1}, None), "too short": (1, "fine"), "unique": (1, "fine", 77),
}  # fmt: skip


def many(wrong: dict[int, tuple[Any, ...]], count: int) -> list[tuple[Any, ...]]:
    rows = [(i, *wrong.get(i, GOOD)) for i in range(1, count + 1)]
    rows[0] = (1, 1, "first", 77)
    return rows


@pytest.mark.parametrize("major", [15, 18])
@pytest.mark.parametrize("what", WRONG)
def test_every_cause_has_its_number(conn: Any, major: int, what: str) -> None:
    conn.execute(TABLE)
    rows = many({2222: WRONG[what]}, 3000)
    with pytest.raises(BadRowError) as caught:
        bulk.load(conn, "t", iter(rows))
    assert caught.value.bad.number == 2222
    assert "row 2,222 cannot be stored in table public.t" in str(caught.value)
    assert conn.execute("SELECT count(*) FROM t").fetchone() == (0,)
    done = bulk.load(conn, "t", iter(rows), bad="aside")
    assert (done.rows, done.aside, [b.number for b in done.bad], done.bad[0].row) == (2999, 1, [2222], rows[2221])
    assert conn.execute("SELECT count(*), count(*) FILTER (WHERE id = 2222) FROM t").fetchone() == (2999, 0)


@pytest.mark.parametrize("how", ["load", "merge"])
def test_all_of_them_at_once(conn: Any, how: str) -> None:
    conn.execute(TABLE)
    conn.execute("ALTER TABLE t DROP CONSTRAINT t_code_key")
    wrong = {n: v for n, (k, v) in zip(range(1000, 90_000, 7777), WRONG.items(), strict=False) if k != "unique"}
    rows = many(wrong, 100_000)
    rows[50] = (1, 1, "the key of row 1", None)
    work = bulk.load if how == "load" else bulk.merge
    done = work(conn, "t", iter(rows), bad="aside")  # type: ignore[operator]
    assert sorted(b.number for b in done.bad) == sorted([51, *wrong])
    assert done.rows == 100_000 - 1 - len(wrong)
    assert conn.execute("SELECT kind FROM t WHERE id = 1").fetchone() == ("first",)


def test_row_1234567(conn: Any) -> None:
    conn.execute("CREATE TABLE big (id int CHECK (id <> 1234567))")
    with pytest.raises(BadRowError, match="row 1,234,567 cannot"):
        bulk.load(conn, "big", ((i,) for i in range(1, 1_300_000)))
    done = bulk.load(conn, "big", ((i,) for i in range(1, 1_300_000)), bad="aside")
    assert (done.rows, [b.number for b in done.bad]) == (1_299_998, [1_234_567])


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32), st.integers(1, 3000), st.floats(0, 0.02), st.booleans())
def test_law_the_good_are_stored_and_the_bad_are_told(conn: Any, seed: int, count: int, share: float, merged: bool) -> None:
    """Against a model: each row is good or bad by itself, except that a key is taken by the first good row with it."""
    rng = random.Random(seed)
    conn.execute("CREATE TEMP TABLE law (id int PRIMARY KEY, parent int REFERENCES law_parent, kind text CHECK (kind <> 'bad'))".replace(
        "law_parent", "law"))  # fmt: skip
    try:
        kinds = [("x", 0), (None, "bad"), (None, 999_999)]
        rows, bad, taken = [], [], set()
        for number in range(1, count + 1):
            key = rng.randrange(count * 20)
            wrong = rng.choice(kinds) if rng.random() < share else None
            row: tuple[Any, ...] = (key, None, "ok") if wrong is None else ("x", None, "ok") if wrong[0] else (
                (key, None, "bad") if wrong[1] == "bad" else (key, -5, "ok"))  # fmt: skip
            rows.append(row)
            if wrong is not None or key in taken:
                bad.append(number)
            else:
                taken.add(key)
        work: Any = bulk.merge if merged else bulk.load
        done = work(conn, "law", rows, bad="aside", most_bad=10_000, **({"conflict": "error"} if merged else {}))
        assert sorted(b.number for b in done.bad) == bad
        assert {r[0] for r in conn.execute("SELECT id FROM law").fetchall()} == taken
        assert done.rows == len(taken)
    finally:
        conn.execute("DROP TABLE law")


def test_where_they_go(conn: Any, tmp_path: Path) -> None:
    conn.execute("CREATE TABLE t (id int CHECK (id > 0), note text)")
    rows = [(1, "a"), (-1, "b"), (2, "c"), (0, "d")]
    seen: list[BadRow] = []
    assert bulk.load(conn, "t", rows, bad=seen.append).bad == ()
    assert [(b.number, b.row, b.sqlstate) for b in seen] == [(2, (-1, "b"), "23514"), (4, (0, "d"), "23514")]
    bulk.load(conn, "t", rows, bad=tmp_path / "bad.jsonl")
    written = [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines()]
    assert [(w["number"], w["row"]) for w in written] == [(2, [-1, "b"]), (4, [0, "d"])]
    dicts = [{"id": 1, "note": "x"}, {"id": 2}, {"id": 3, "note": "x", "more": 1}, 5]
    done = bulk.load(conn, "t", dicts, bad="aside")
    assert [(b.number, b.row) for b in done.bad] == list(enumerate(dicts[1:], 2))
    assert ["'note'" in done.bad[0].reason, "'more'" in done.bad[1].reason, "int" in done.bad[2].reason] == [True] * 3


def test_too_many_are_an_error(conn: Any) -> None:
    conn.execute("CREATE TABLE t (id int CHECK (id % 2 = 0))")
    with pytest.raises(BadRowError, match="more than 200 rows"):
        bulk.load(conn, "t", ((i,) for i in range(10_000)), bad="aside", most_bad=200)
    assert conn.execute("SELECT count(*) FROM t").fetchone() == (0,)
    assert bulk.load(conn, "t", ((i,) for i in range(600)), bad="aside", most_bad=300).rows == 300


def test_only_rows_are_set_aside(conn: Any) -> None:
    """A missing privilege, a lock that cannot be had, a full disk are no row's fault."""
    conn.execute(
        "CREATE TABLE t (id int); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(10); RETURN new; END $$"
    )
    conn.execute("CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()")
    conn.execute("SET LOCAL statement_timeout = '100ms'")
    with pytest.raises(psycopg.errors.QueryCanceled):
        bulk.load(conn, "t", [(1,)], bad="aside")
    conn.execute("SET LOCAL ROLE pg_monitor")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        bulk.load(conn, "t", [(1,)], bad="aside")
    assert conn.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("bad", ["raise", "aside"])
def test_lines_of_csv(conn: Any, bad: Any) -> None:
    """The number is the line of the file on which the row ends, line breaks inside quotes or not."""
    conn.execute("CREATE TABLE t (id int CHECK (id <> 3), note text)")
    text = 'id,note\n1,"a\nb\nc"\n2,x\r\n"3","y\r\nz"\n4,\n'
    if bad == "raise":
        with pytest.raises(BadRowError, match="line 7 cannot") as caught:
            bulk.load(conn, "t", bulk.Csv(io.StringIO(text, newline="")))
        assert caught.value.bad.number == 7
        return
    done = bulk.load(conn, "t", bulk.Csv(io.StringIO(text + '5,"open\n', newline="")), bad=bad)
    assert (done.rows, [b.number for b in done.bad]) == (3, [7, 9])
    merged = 'id,note\n11,"a\nb"\n12,x\n3,y\n'
    conn.execute("CREATE UNIQUE INDEX ON t (id)")
    with pytest.raises(BadRowError, match="line 5 cannot"):
        bulk.merge(conn, "t", bulk.Csv(io.StringIO(merged)), on=("id",))
    assert [b.number for b in bulk.merge(conn, "t", bulk.Csv(io.StringIO(merged)), on=("id",), bad=bad).bad] == [5]


@pytest.mark.parametrize("bad", ["raise", "aside"])
def test_the_first_bad_row_is_named_and_none_is_logged(conn: Any, bad: Any, caplog: pytest.LogCaptureFixture) -> None:
    """One that the server refuses, before one that cannot be sent."""
    conn.execute("CREATE TABLE t (id int CHECK (id > 0), note text)")
    rows: list[Any] = [(1, "a"), (-1, "hunter2"), (2, "b\0"), (3, "\ud800")]
    if bad == "aside":
        assert [b.number for b in bulk.load(conn, "t", rows, bad=bad).bad] == [2, 3, 4]
    else:
        with pytest.raises(BadRowError, match="row 2 cannot"):
            bulk.load(conn, "t", rows)
    assert "hunter2" not in caplog.text


def test_no_secret_is_told(conn: Any) -> None:
    secret = "hunter2" * 30
    conn.execute("CREATE TABLE t (id int, password_hash int, api_token text UNIQUE, dsn int, CHECK (api_token <> 'no'))")
    rows: list[Any] = [(1, secret, None, None), (1, 1, "hunter2", None), (1, 1, "hunter2", None), (1, None, None, "postgres://u:hunter2@h/d"),
                       (None, None, "no", "1")]  # fmt: skip
    done = bulk.load(conn, "t", rows, bad="aside", format="text")
    assert [b.number for b in done.bad] == [1, 3, 4, 5]
    assert "hunter2" not in repr(done) + str([b.reason for b in done.bad])
    with pytest.raises(BadRowError) as caught:
        bulk.load(conn, "t", rows[:1])
    assert "hunter2" not in str(caught.value) + repr(caught.value.bad) + repr(caught.value.__cause__)
    with pytest.raises(BadRowError) as caught:
        bulk.load(conn, "t", [(1, 1, "x" * 500, "y" * 10_000)])
    assert len(str(caught.value)) < 700

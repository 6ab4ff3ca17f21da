"""COPY-merge: what becomes of rows that meet others, counted right; twins in the input; two merges at once."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import every_major

from pgcharter.errors import UsageError
from pgcharter.runtime import bulk
from pgcharter.runtime.bulk import BadRowError

KINDS = {
    "table": "CREATE TABLE t (id int PRIMARY KEY, n int, note text)",
    "partitioned": "CREATE TABLE t (id int PRIMARY KEY, n int, note text) PARTITION BY RANGE (id);"
    " CREATE TABLE t1 (note text, gone int, n int, id int NOT NULL); ALTER TABLE t1 DROP gone;"
    " ALTER TABLE t ATTACH PARTITION t1 FOR VALUES FROM (0) TO (100); CREATE TABLE t2 PARTITION OF t DEFAULT",
    "view": "CREATE TABLE under (id int PRIMARY KEY, n int, note text); CREATE VIEW t AS TABLE under",
}


def table(conn: Any) -> list[Any]:
    return list(conn.execute("SELECT * FROM t ORDER BY id").fetchall())


@every_major
@pytest.mark.parametrize("kind", KINDS)
def test_counts(conn: Any, major: int, kind: str) -> None:
    conn.execute(KINDS[kind])
    conn.execute("INSERT INTO t VALUES (1, 1, 'a'), (2, 2, 'b'), (500, 3, 'c')")
    rows = [(600, 9, "e"), (1, 9, "x"), (500, 3, "y"), (3, 9, "d")]
    done = bulk.merge(conn, "t", rows, on=("id",), where="target.n <> excluded.n", returning=("id", "note"))
    told = kind != "view" or major >= 18
    assert (done.rows, done.inserted, done.updated, done.ignored) == (3, *((2, 1) if told else (None, None)), 1)
    words = ("insert", "update") if kind == "table" or major >= 18 else (None, None)
    assert sorted(done.returned, key=lambda r: r[1]) == [(words[1], 1, "x"), (words[0], 3, "d"), (words[0], 600, "e")]
    done = bulk.merge(conn, "t", [(1, 0, "no"), (4, 4, "f")], on=("id",), conflict="ignore")
    assert (done.rows, done.inserted, done.updated, done.ignored) == (1, 1, 0, 1)
    done = bulk.merge(conn, "t", [(5, 5, "g")], on=("id",), conflict="error")
    assert (done.rows, done.inserted) == (1, 1)
    with pytest.raises(BadRowError, match=r"row 2 .*already exists"):
        bulk.merge(conn, "t", [(6, 5, "g"), (1, 1, "h")], on=("id",), conflict="error")
    assert table(conn) == [(1, 9, "x"), (2, 2, "b"), (3, 9, "d"), (4, 4, "f"), (5, 5, "g"), (500, 3, "c"), (600, 9, "e")]


@every_major
def test_updated_rows_are_counted_as_such_whatever_locks_them(database: str, major: int) -> None:
    """A row that another transaction holds FOR KEY SHARE, that this one has inserted, updated or locked before."""
    with psycopg.connect(database) as conn, psycopg.connect(database) as other:
        conn.execute("CREATE TABLE t (id int PRIMARY KEY, n int)")
        conn.execute("INSERT INTO t SELECT g, 0 FROM generate_series(1, 5) g")
        conn.commit()
        other.execute("SELECT FROM t WHERE id = 1 FOR KEY SHARE")
        conn.execute("SELECT FROM t WHERE id = 2 FOR UPDATE; UPDATE t SET n = 1 WHERE id = 3; INSERT INTO t VALUES (6, 0)")
        conn.execute("SAVEPOINT s; UPDATE t SET n = 2 WHERE id = 4; RELEASE s; DELETE FROM t WHERE id = 5")
        done = bulk.merge(conn, "t", [(i, 9) for i in range(1, 8)])
        assert (done.inserted, done.updated) == (2, 5)


def test_what_is_updated(conn: Any) -> None:
    conn.execute("CREATE TABLE t (id int PRIMARY KEY, n int, note text, twice int GENERATED ALWAYS AS (n * 2) STORED,"
                 " own int GENERATED ALWAYS AS IDENTITY)")  # fmt: skip
    bulk.merge(conn, "t", [{"id": 1, "n": 1, "note": "a"}])
    bulk.merge(conn, "t", [{"id": 1, "n": 2, "note": "b"}], update=["n"])
    bulk.merge(conn, "t", [{"id": 1, "n": 3, "note": "b"}], update={"n": "target.n + excluded.n", "note": "'100%'"})
    assert table(conn) == [(1, 5, "100%", 10, 1)]
    bulk.merge(conn, "t", [{"id": 1, "own": 7, "n": 0}, {"id": 2, "own": 8, "n": 0}], overriding="system")
    bulk.merge(conn, "t", [{"id": 3, "own": 99, "n": 0}], overriding="user", columns=["id", "own", "n"])
    assert [(r[0], r[4]) for r in table(conn)][:2] == [(1, 1), (2, 8)]
    assert table(conn)[2][4] < 99


def test_twins(conn: Any) -> None:
    conn.execute("CREATE TABLE t (id int PRIMARY KEY, note text)")
    rows = [(1, "a"), (2, "b"), (1, "c"), (3, "d"), (2, "e")]
    with pytest.raises(BadRowError, match=r"row 3 .*has the same key \(id\) as row 1"):
        bulk.merge(conn, "t", rows)
    with pytest.raises(BadRowError, match=r"row 3 .*has the same key \(id\) as row 1"):
        bulk.merge(conn, "t", rows, conflict="ignore", distinct="error")
    done = bulk.merge(conn, "t", rows, bad="aside")
    assert (done.rows, [b.number for b in done.bad], table(conn)) == (3, [3, 5], [(1, "a"), (2, "b"), (3, "d")])
    done = bulk.merge(conn, "t", rows, distinct="last")
    assert (done.updated, done.ignored, table(conn)) == (3, 2, [(1, "c"), (2, "e"), (3, "d")])
    bulk.merge(conn, "t", rows, distinct="first")
    assert table(conn) == [(1, "a"), (2, "b"), (3, "d")]
    conn.execute("TRUNCATE t")
    assert bulk.merge(conn, "t", rows, conflict="ignore").ignored == 2
    assert table(conn) == [(1, "a"), (2, "b"), (3, "d")]


@pytest.mark.parametrize("distinct", ["first", "last"])
def test_twins_among_bad_rows(conn: Any, distinct: Any) -> None:
    conn.execute("CREATE TABLE t (id int PRIMARY KEY, note text CHECK (note <> 'bad'))")
    rows = [(1, "a"), (2, "bad"), (1, "c"), (3, "d")]
    done = bulk.merge(conn, "t", rows, bad="aside", distinct=distinct)
    assert [b.number for b in done.bad] == [2]
    assert table(conn) == [(1, "a" if distinct == "first" else "c"), (3, "d")]


@every_major
def test_null_in_the_key(conn: Any, major: int) -> None:
    conn.execute("CREATE TABLE t (id serial, a int, b int, n int, UNIQUE (a, b))")
    rows = [(1, None, 1), (1, None, 2), (1, 1, 3)]
    columns = ["a", "b", "n"]
    for distinct in (None, "last"):
        assert bulk.merge(conn, "t", rows, on=("a", "b"), columns=columns, distinct=distinct).rows == 3  # type: ignore[arg-type]
    assert conn.execute("SELECT count(*) FROM t").fetchone() == (5,)
    conn.execute("CREATE TABLE alike (a int, b int, n int, UNIQUE NULLS NOT DISTINCT (a, b))")
    with pytest.raises(BadRowError, match=r"row 2 .*same key"):
        bulk.merge(conn, "alike", rows, on=("b", "a"))
    assert bulk.merge(conn, "alike", rows, on=("b", "a"), distinct="last").inserted == 2
    assert bulk.merge(conn, "alike", rows, on="alike_a_b_key", distinct="last").updated == 2


def test_arbiters(conn: Any) -> None:
    conn.execute(
        'CREATE TABLE t (id int, mail text, gone bool, CONSTRAINT "The Key" UNIQUE (id)); CREATE UNIQUE INDEX ON t (mail) WHERE NOT gone'
    )
    bulk.merge(conn, "t", [(1, "a", False), (2, "b", True)], on="The Key")
    done = bulk.merge(conn, "t", [(3, "a", False), (4, "b", False)], on=("mail",), index_where="NOT gone")
    assert (done.inserted, done.updated) == (1, 1)
    assert [r[:2] for r in table(conn)] == [(2, "b"), (3, "a"), (4, "b")]
    assert bulk.merge(conn, "t", [(3, "a", False), (9, "z", False)], conflict="ignore").inserted == 1
    with pytest.raises(UsageError, match="no unique index") as caught:
        bulk.merge(conn, "t", [(3, "a", False)], on=("gone",))
    assert "CREATE UNIQUE INDEX ON public.t (gone)" in caught.value.hint
    for options, says in (
        ({}, "no primary key"),
        ({"on": ("nope",)}, "column nope"),
        ({"on": "The Key", "columns": ["id"]}, "nothing to update"),
    ):
        with pytest.raises(UsageError, match=says):
            bulk.merge(conn, "t", [(3,)] if "columns" in options else [(3, "a", False)], **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("major", [15])  # its build has ICU
def test_a_collation_that_folds_case(conn: Any, major: int) -> None:
    conn.execute("CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
    conn.execute("CREATE TABLE t (id text COLLATE folded PRIMARY KEY, n int)")
    with pytest.raises(BadRowError, match=r"row 2 .*same key"):
        bulk.merge(conn, "t", [("Ann", 1), ("ann", 2)])
    assert bulk.merge(conn, "t", [("Ann", 1), ("ann", 2)], distinct="last").rows == 1


def test_streamed_answers(conn: Any) -> None:
    conn.execute("CREATE TABLE t (id int PRIMARY KEY)")
    seen: list[Any] = []
    done = bulk.merge(conn, "t", ((i,) for i in range(5000)), conflict="ignore", returning=("id",), each=seen.append)
    assert (len(seen), done.returned, seen[0]) == (5000, (), ("insert", 0))


def test_nothing_is_left_behind(conn: Any) -> None:
    conn.execute("CREATE TABLE t (id int PRIMARY KEY CHECK (id <> 7))")
    for _ in range(3):
        bulk.merge(conn, "t", [(1,), (7,)], conflict="ignore", bad="aside")
        with pytest.raises(BadRowError):
            bulk.merge(conn, "t", [(1,), (7,)], conflict="ignore")
    assert conn.execute("SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND relname ~ 'pgcharter'").fetchone() == (0,)


def test_columns_called_like_our_own(conn: Any) -> None:
    names = ["id", "pgcharter_n", "pgcharter_first", "target", "excluded", "old", "new", "fresh"]
    conn.execute(f"CREATE TABLE t ({', '.join(f'{n} int' for n in names)}, PRIMARY KEY (id))")
    done = bulk.merge(conn, "t", [tuple(range(8)), tuple(range(8))], bad="aside", returning=names)
    assert (done.returned, [b.number for b in done.bad]) == ((("insert", *range(8)),), [2])
    assert bulk.merge(conn, "t", [tuple(range(8))], update={"old": "target.old + excluded.new"}).updated == 1
    assert table(conn)[0][5] == 11


def test_two_merges_do_not_deadlock(database: str) -> None:
    """The same keys in opposite order, again and again."""
    with psycopg.connect(database) as conn:
        conn.execute("CREATE TABLE t (id int PRIMARY KEY, n int)")
    rows = [(i, 1) for i in range(400)]
    errors: list[Exception] = []

    def work(source: list[Any]) -> None:
        try:
            with psycopg.connect(database) as conn:
                for _ in range(15):
                    bulk.merge(conn, "t", source, update={"n": "target.n + 1"})
                    conn.commit()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(rows[::step],)) for step in (1, -1, 1, -1)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert errors == []
    with psycopg.connect(database) as conn:
        assert conn.execute("SELECT min(n), max(n) FROM t").fetchone() == (60, 60)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(st.integers(0, 30), st.integers(), max_size=20),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), max_size=60),
    st.sampled_from(["update", "ignore"]), st.sampled_from(["first", "last"]),
)  # fmt: skip
def test_law_against_a_dict(conn: Any, before: dict[int, int], rows: list[tuple[int, int]], conflict: Any, distinct: Any) -> None:
    before = {k: v % 1000 for k, v in before.items()}
    conn.execute("CREATE TEMP TABLE law (id int PRIMARY KEY, n int)")
    try:
        bulk.load(conn, "law", list(before.items()))
        done = bulk.merge(conn, "law", rows, conflict=conflict, distinct=distinct)
        chosen = dict(rows if distinct == "last" else reversed(rows))
        wanted = {**before, **chosen} if conflict == "update" else {**chosen, **before}
        assert dict(conn.execute("TABLE law").fetchall()) == wanted
        assert done.inserted == len(wanted) - len(before)
        assert done.updated == (len(chosen.keys() & before.keys()) if conflict == "update" else 0)
        assert done.rows + done.ignored == len(rows)
    finally:
        conn.execute("DROP TABLE law")


def test_a_row_keeps_the_key_by_which_others_know_it(database: str) -> None:
    """Merged by another unique key, nobody's primary key is changed unless that is said."""
    with psycopg.connect(database) as conn:
        conn.execute("CREATE TABLE t (id int PRIMARY KEY, mail text UNIQUE, n int); INSERT INTO t VALUES (1, 'a', 1)")
        bulk.merge(conn, "t", [(99, "a", 2), (2, "b", 3)], on=("mail",), conflict="update")
        assert table(conn) == [(1, "a", 2), (2, "b", 3)]
        bulk.merge(conn, "t", [(99, "a", 2)], on=("mail",), conflict="update", update=("id", "n"))
        assert table(conn) == [(2, "b", 3), (99, "a", 2)]

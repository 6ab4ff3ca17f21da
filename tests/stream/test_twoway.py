"""Two databases whose applications write to the same rows converge, and changes do not go round."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.stream.copying import Copies, wait

from pgcharter.policy.sync_settings import MappingTable
from pgcharter.servers.lifecycle import Server
from pgcharter.stream import source
from pgcharter.stream.errors import SinkRefusedError
from pgcharter.stream.mapper import Target
from pgcharter.stream.mapping import Mappings
from pgcharter.stream.model import Field, Row, Shape, Stamp
from pgcharter.stream.twoway import Rule, TwoWaySink, Values, newest

NOTES = MappingTable("one", "public.notes")
TABLE = "CREATE TABLE notes (id int PRIMARY KEY, body text, n int, updated_at timestamptz NOT NULL)"
WRITE = (
    "INSERT INTO notes VALUES (%(id)s, %(body)s, 1, clock_timestamp()) ON CONFLICT (id) DO UPDATE SET body = excluded.body,"
    " n = notes.n + 1, updated_at = greatest(clock_timestamp(), notes.updated_at + interval '1 us')"
)
_numbers = itertools.count(1)


class Way(Copies):
    """From one database into the other."""

    def __init__(self, dsn: str, there: str, folder: Path, rule: Rule) -> None:
        folder.mkdir()
        super().__init__(dsn, folder, ("public.notes",))
        self.job = replace(self.job, origin="none")
        self._there, self._rule = there, rule

    def make(self, sink: str) -> Target:
        mapper = Mappings([NOTES], lambda: source.open_source(self.dsn))
        return Target(sink, TwoWaySink(self._there, self.job.slot, self._rule), mapper)


@pytest.fixture
def both(major_server: Server) -> Iterator[tuple[str, str]]:
    names = [f"twoway_{next(_numbers)}" for _ in range(2)]
    with psycopg.connect(major_server.dsn(), autocommit=True) as admin:
        for name in names:
            admin.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
            with psycopg.connect(major_server.dsn(name), autocommit=True) as conn:
                conn.execute(TABLE)
        yield major_server.dsn(names[0]), major_server.dsn(names[1])
        for name in names:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
        admin.execute("SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin WHERE roname LIKE 'sync_twoway_%'")


def rows(dsn: str) -> Any:
    with psycopg.connect(dsn) as conn:
        return conn.execute("SELECT * FROM notes ORDER BY id").fetchall()


def _write(dsn: str, seed: int, count: int) -> None:
    """Rows locked in any order: who loses a deadlock goes on."""
    draw = random.Random(seed)
    with psycopg.connect(dsn) as conn:
        for n in range(count):
            try:
                conn.execute(WRITE, {"id": draw.randint(1, 8), "body": f"{seed}: {n}"})
                if draw.random() < 0.6:
                    conn.rollback() if draw.random() < 0.1 else conn.commit()
            except psycopg.errors.DeadlockDetected:
                conn.rollback()


@pytest.mark.parametrize("major", [15, 18])
def test_two_databases_converge(both: tuple[str, str], tmp_path: Path, major: int) -> None:
    ways = [Way(both[0], both[1], tmp_path / "a", newest("updated_at")), Way(both[1], both[0], tmp_path / "b", newest("updated_at"))]
    try:
        for way in ways:
            way.init()
        with ways[0].running(), ways[1].running():
            writers = [threading.Thread(target=_write, args=(dsn, n, 150)) for n, dsn in enumerate(both)]
            for writer in writers:
                writer.start()
            for writer in writers:
                writer.join()
            with psycopg.connect(both[0], autocommit=True) as conn:
                conn.execute(WRITE, {"id": 100, "body": "the last of a"})
            with psycopg.connect(both[1], autocommit=True) as conn:
                conn.execute(WRITE, {"id": 101, "body": "the last of b"})
            wait(lambda: {100, 101} <= {r[0] for r in rows(both[0])} & {r[0] for r in rows(both[1])})
            wait(lambda: rows(both[0]) == rows(both[1]))
        with psycopg.connect(both[0]) as conn:
            written = conn.execute("SELECT rows FROM pgcharter.sync_sinks").fetchone()
            kept = conn.execute("SELECT DISTINCT done FROM pgcharter_copies.conflicts").fetchall()
        assert written is not None
        assert 0 < written[0] <= 151, "what came from the other database went back"
        assert kept in ([], [("kept",)])
    finally:
        for way in ways:
            way.drop()


FIELDS = (Field("id", "integer", key=True), Field("body", "text"), Field("n", "integer"), Field("updated_at", "timestamp with time zone"))
SHAPE = Shape("notes", FIELDS, "public.notes")


def _row(stamp: int, n: int, body: str, time: str) -> Row:
    from pgcharter.stream.values import load

    made = load("timestamp with time zone")
    assert made is not None
    return Row(SHAPE, "put", (1,), {"id": 1, "body": body, "n": n, "updated_at": made(time)}, Stamp(stamp, 1))


def test_a_rule_of_ones_own_and_its_log(both: tuple[str, str]) -> None:
    def merge(here: Values, comes: Values) -> Values:
        return {**comes, "n": max(here["n"], comes["n"])}

    sink = TwoWaySink(both[1], "sync_twoway_rule", merge)
    assert sink.open([SHAPE]) is None
    sink.write([_row(1, 5, "a", "2024-01-01 00:00:00+00"), _row(2, 3, "b", "2024-01-02 00:00:00+00")], Stamp(2, 1))
    sink.close()
    assert [r[1:3] for r in rows(both[1])] == [("b", 5)]
    assert sink.open([SHAPE]) == Stamp(2, 1)
    sink.close()
    with psycopg.connect(both[1]) as conn:
        assert conn.execute("SELECT key, fields, done FROM pgcharter_copies.conflicts").fetchall() == [([1], ["n"], "merged")]


def test_newest_is_the_same_whichever_comes_first() -> None:
    rule = newest("at")
    one, other, none = {"id": 1, "at": 5, "x": "a"}, {"id": 1, "at": 5, "x": "b"}, {"id": 1, "at": None, "x": "c"}
    for left, right in itertools.permutations((one, other, none), 2):
        assert rule(left, right) == rule(right, left)
    assert rule(one, none) == one


def test_a_unique_column_in_the_way_is_said(both: tuple[str, str]) -> None:
    with psycopg.connect(both[1], autocommit=True) as conn:
        conn.execute("ALTER TABLE notes ADD UNIQUE (body)")
        conn.execute("INSERT INTO notes VALUES (2, 'a', 1, now())")
    sink = TwoWaySink(both[1], "sync_twoway_unique", newest("updated_at"))
    sink.open([SHAPE])
    with pytest.raises(SinkRefusedError, match="unique column"):
        sink.write([_row(1, 5, "a", "2024-01-01 00:00:00+00")], Stamp(1, 1))
    sink.close()

"""`sync reset` of a sink that is well while its seeds run: whenever it comes, the copy is the source in the end."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.stream.copying import Copies, wait

from pgcharter.stream import beginning, source
from pgcharter.stream.checkpoints import Checkpoints, Seed

TABLES = ("public.a", "public.b")


@pytest.fixture
def copies(database: str, tmp_path: Path) -> Iterator[Copies]:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY, v text)")
        conn.execute(
            "INSERT INTO a SELECT i, 'a' FROM generate_series(1, 1500) i; INSERT INTO b SELECT i, 'b' FROM generate_series(1, 300) i"
        )
    made = Copies(database, tmp_path, TABLES, ("one", "two"))
    yield made
    made.drop()


def run(copies: Copies, *statements: str) -> None:
    with psycopg.connect(copies.dsn, autocommit=True) as conn:
        for sql in statements:
            conn.execute(sql.encode())


def reset(copies: Copies, *only: str) -> tuple[str, ...]:
    with source.open_source(copies.dsn) as conn:
        return beginning.reset(conn, copies.job, copies.make("one"), only)


def seeds(copies: Copies) -> dict[str, Seed]:
    with source.open_source(copies.dsn) as conn:
        return {s.source: s for s in Checkpoints(conn, copies.job.slot).seeds() if s.sink == "one"}


def settled(copies: Copies) -> bool:
    return all(s.state == "done" for s in seeds(copies).values()) and copies.kept()["wanted"] == "running" and copies.equal()


def test_progress_of_a_seed_that_was_planted_anew_is_not_written_over(copies: Copies) -> None:
    """The thread that seeds notices what a person asked for only after its chunk."""
    copies.init(later=True)
    with source.open_source(copies.dsn) as conn:
        checkpoints = Checkpoints(conn, copies.job.slot)
        (going,) = [s for s in checkpoints.seeds() if (s.sink, s.source) == ("one", "public.a")]
        going.state, going.after, going.rows = "copying", ["700"], 700
        assert checkpoints.seeded(going)
        reset(copies)
        going.state, going.after, going.rows = "done", ["1500"], 1500
        assert not checkpoints.seeded(going)
        now = seeds(copies)["public.a"]
        assert (now.state, now.after, now.rows) == ("waiting", None, 0)
        assert now.began > 0


@pytest.mark.parametrize("only", [(), ("public.a",)])
def test_reset_while_its_seed_runs(copies: Copies, only: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that somebody took out of the store behind the seed's back are there again: the seed did begin again."""
    slow = threading.Event()
    read = source.read

    def reading(*given: Any) -> Any:
        if not slow.is_set():
            time.sleep(0.1)
        return read(*given)

    monkeypatch.setattr(source, "read", reading)
    copies.init(later=True)
    with copies.running():
        wait(lambda: seeds(copies)["public.a"].rows >= 400)
        import sqlite3

        with sqlite3.connect(copies.path("one"), timeout=20) as store:
            store.execute("DELETE FROM rows WHERE t = 'public.a' AND CAST(json_extract(k, '$[0]') AS int) < 200")
            store.execute("INSERT INTO rows VALUES ('public.a', '[\"9999\"]', '{}', 1, 1)")
        assert "public.a" in reset(copies, *only)
        slow.set()
        wait(lambda: settled(copies))


def test_what_was_on_its_way_when_a_reset_came_leaves_nothing_behind(copies: Copies) -> None:
    """A row that came after the reset was asked for and went before the lane began anew: its delete is dropped with the old lane."""
    copies.init()
    with copies.running():
        wait(lambda: copies.kept()["state"] == "running")
        with source.open_source(copies.dsn) as conn:
            tables = [(t.sql, t.rows) for t in source.tables(conn, "p")]
            row = conn.execute("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn").fetchone()
            assert row is not None
            checkpoints = Checkpoints(conn, copies.job.slot)
            run(copies, "INSERT INTO a VALUES (5000, 'short')")
            wait(copies.equal)
            copies.down("one")
            run(copies, "DELETE FROM a WHERE id = 5000")
            wait(lambda: copies.kept()["state"] == "down")
            checkpoints.plant("one", tables, began=int(row[0]), anew=True)  # as `reset` does, a moment earlier
            checkpoints.want("one", "reset")
            wait(lambda: "sink one begins anew" in copies.said)
            copies.down("one", False)
        wait(lambda: settled(copies))


def test_resets_in_all_moments(copies: Copies) -> None:
    dice = random.Random(11)
    copies.init(later=True)
    with copies.running():
        for n in range(6):
            for _ in range(dice.randint(1, 4)):
                i = dice.randint(1, 1500)
                run(copies, dice.choice((
                    f"UPDATE a SET id = id + 10000 WHERE id = {i}", f"DELETE FROM a WHERE id = {i}",
                    f"UPDATE a SET v = '{n}' WHERE id > {i}",
                    f"INSERT INTO b VALUES ({10000 + n}, 'n') ON CONFLICT DO NOTHING", f"DELETE FROM b WHERE id >= {i}",
                )))  # fmt: skip
            time.sleep(dice.random() * 0.5)
            reset(copies, *dice.choice(((), ("public.a",), ("public.b",))))
        wait(lambda: settled(copies) and copies.equal("two"), 40)

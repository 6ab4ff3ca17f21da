"""Copies by a delta column: what is committed late is not lost, and what is interrupted is done again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.stream.test_reconcile import contents, pair, run, side  # noqa: F401

from pgcharter import faults
from pgcharter.errors import UnavailableError, UsageError
from pgcharter.policy.sync_settings import MappingTable
from pgcharter.sinks.postgresql import PostgresqlSink
from pgcharter.stream.batch import POINTS, Batch, Look, State, batch
from pgcharter.stream.errors import SinkDownError
from pgcharter.stream.reconcile import Side, reconcile
from pgcharter.stream.reconcile_model import Options

NOTES = MappingTable("copies", "public.notes", delta="updated_at")
TABLE = "CREATE TABLE notes (id int PRIMARY KEY, body text, updated_at timestamptz NOT NULL DEFAULT now())"
PUT = "INSERT INTO notes (id, body) VALUES ({0}, '{1}') ON CONFLICT (id) DO UPDATE SET body = '{1}', updated_at = now()"


def once(pair: tuple[str, str], mapping: MappingTable = NOTES, **more: str) -> Batch:  # noqa: F811
    return batch(side(pair, mapping), **more)


def same(pair: tuple[str, str]) -> bool:  # noqa: F811
    return bool(contents(pair[0], "notes") == contents(pair[1], "notes"))


def test_batches_copy_what_has_changed(pair: tuple[str, str]) -> None:  # noqa: F811
    run(pair[0], TABLE, "INSERT INTO notes SELECT n, 'a', now() - n * interval '1 min' FROM generate_series(1, 2500) n")
    first = once(pair)
    assert (first.rows, first.since) == (2500, None)
    run(pair[0], PUT.format(7, "changed"), PUT.format(9000, "new"))
    assert once(pair).rows <= 4, "the largest seen is read again, and no more"
    assert same(pair)
    assert once(pair).rows <= 2


def test_a_row_committed_late_with_an_older_delta_is_not_lost(pair: tuple[str, str]) -> None:  # noqa: F811
    """The transaction began before two batches and commits after them; it had written nothing when they looked, so it had no number."""
    run(pair[0], TABLE, PUT.format(1, "a"))
    once(pair)
    with psycopg.connect(pair[0]) as late, psycopg.connect(pair[0]) as later:
        late.execute("SELECT now()")
        later.execute(PUT.format(3, "later").encode())
        for n in range(3):
            run(pair[0], PUT.format(10 + n, "meanwhile"))
            once(pair)
        late.execute(PUT.format(2, "late").encode())
        late.commit()
        once(pair)
        assert run(pair[1], "SELECT body FROM notes WHERE id = 2") == [("late",)]
        for n in range(3):
            run(pair[0], PUT.format(20 + n, "meanwhile"))
            once(pair)
        later.commit()
    once(pair)
    assert same(pair)


def test_numbers_of_a_sequence_committed_late(pair: tuple[str, str]) -> None:  # noqa: F811
    run(pair[0], "CREATE TABLE notes (id int PRIMARY KEY, version bigserial)", "INSERT INTO notes (id) VALUES (1)")
    mapping = MappingTable("copies", "public.notes", delta="version")
    once(pair, mapping)
    with psycopg.connect(pair[0]) as late:
        late.execute("INSERT INTO notes (id) VALUES (2)")
        for n in range(3, 6):
            run(pair[0], f"INSERT INTO notes (id) VALUES ({n})")
            once(pair, mapping)
        late.commit()
    once(pair, mapping)
    assert same(pair)
    run(pair[0], "INSERT INTO notes VALUES (8, 1)")
    once(pair, mapping, margin="10")
    assert same(pair), "the margin was not taken off"


def test_prepared_transactions_hold_back_too() -> None:
    state = State().after(Look(100, 10, "a", 90), None).after(Look(200, 20, "b", 180), None)
    assert state.next == "a", "a transaction of 180 was open at 200"
    state = state.after(Look(300, 30, "c", 300), 15)
    assert state.next is not None
    assert State("a", state.looks[:2]).after(Look(300, 30, "c", 300), 15).next == "a", "the one prepared may have begun at 90"
    assert state.after(Look(400, 40, "d", 400), None).next == "d"


def test_rows_that_leave_by_the_filter_and_by_deletion(pair: tuple[str, str]) -> None:  # noqa: F811
    mapping = MappingTable("copies", "public.notes", delta="updated_at", filter=("body <> 'draft'",))
    run(pair[0], TABLE, PUT.format(1, "a"), PUT.format(2, "b"), PUT.format(3, "c"))
    once(pair, mapping)
    run(pair[0], PUT.format(1, "draft"), "DELETE FROM notes WHERE id = 2")
    once(pair, mapping)
    assert run(pair[1], "SELECT id FROM notes ORDER BY id") == [(2,), (3,)]
    assert reconcile(side(pair, mapping), Options(repair=True)).counts["extra"] == 1
    assert run(pair[1], "SELECT id FROM notes") == [(3,)]


def test_what_cannot_be_done_is_said(pair: tuple[str, str]) -> None:  # noqa: F811
    run(pair[0], TABLE)
    with pytest.raises(UsageError, match="has no delta"):
        once(pair, MappingTable("copies", "public.notes"))
    with pytest.raises(UsageError, match="has no column"):
        once(pair, MappingTable("copies", "public.notes", delta="nothing"))
    role = f"batch_{os.getpid()}"
    run(pair[0], f"CREATE ROLE {role} LOGIN", f"GRANT SELECT ON notes TO {role}", f"GRANT USAGE ON SCHEMA pgcharter TO {role}")
    run(pair[0], f"GRANT ALL ON pgcharter.sync_snapshots TO {role}")
    try:
        with psycopg.connect(pair[0]), pytest.raises(UnavailableError, match="not shown"):
            batch(side((psycopg.conninfo.make_conninfo(pair[0], options=f"-c role={role}"), pair[1]), NOTES))
    finally:
        run(pair[0], f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_a_store_that_goes_away_in_the_middle(pair: tuple[str, str]) -> None:  # noqa: F811
    """The rest of the answer is not waited for."""
    run(pair[0], TABLE, "INSERT INTO notes SELECT n, repeat('a', 2000) FROM generate_series(1, 20000) n")

    class Away(PostgresqlSink):
        def write(self, rows: Any, upto: Any) -> None:
            raise SinkDownError("it is away")

    with pytest.raises(SinkDownError, match="away"):
        batch(Side(pair[0], Away(pair[1], name="copies"), NOTES, "copies"))


CHILD = """
import sys
from pgcharter.policy.sync_settings import MappingTable
from pgcharter.sinks.postgresql import PostgresqlSink
from pgcharter.sinks.postgresql import PostgresqlSink
from pgcharter.stream.batch import batch
from pgcharter.stream.reconcile import Side
mapping = MappingTable("copies", "public.notes", delta="updated_at")
batch(Side(sys.argv[1], PostgresqlSink(sys.argv[2], name="copies"), mapping, "copies"), size=100)
"""


@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere(pair: tuple[str, str], point: str) -> None:  # noqa: F811
    run(pair[0], TABLE, "INSERT INTO notes SELECT n, 'a' FROM generate_series(1, 250) n")
    for n in range(2):
        which = 1 if point == "batch kept" or n else 2
        ended = subprocess.run(
            [sys.executable, "-c", CHILD, *pair], env={**os.environ, faults.VARIABLE: f"{point}:{which}"}, cwd=Path(__file__).parents[2]
        )
        assert ended.returncode == -signal.SIGKILL
        run(pair[0], PUT.format(n + 1, "changed"), PUT.format(1000 + n, "new"))
    once(pair)
    assert same(pair)

"""Laws: whatever transactions do, the copy equals its source; what is kept in a file comes back as it was, or damage is told."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.stream import stores
from tests.stream.copying import Copies
from tests.stream.wire import name_of

from pgcharter.stream.channel import Channel
from pgcharter.stream.checkpoints import Kept
from pgcharter.stream.lane import Chunk, Lane
from pgcharter.stream.model import Attribute, Relation, Stamp
from pgcharter.stream.passed import Passed
from pgcharter.stream.source import inserts
from pgcharter.stream.spill import Spill, SpillDamagedError, SpillFullError
from pgcharter.stream.transactions import Held, Transaction

SCHEMA = """
CREATE TABLE t (
  id int PRIMARY KEY, v text, n numeric, at timestamptz, day date, flag bool, doc jsonb, list text[], bin bytea, f float8, u uuid,
  i interval
);
ALTER TABLE t ALTER v SET STORAGE EXTERNAL, ALTER doc SET STORAGE EXTERNAL;
CREATE TABLE whole (a int, b text);
ALTER TABLE whole REPLICA IDENTITY FULL;
"""
_TEXT = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=20)
_VALUES = {
    "v": st.one_of(st.none(), _TEXT, st.sampled_from(["x" * 3000, "\\N", "\t\n\\", "ü" * 2500])),
    "n": st.one_of(st.none(), st.decimals(allow_nan=True, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9)),
    "at": st.one_of(st.none(), st.datetimes(timezones=st.none())),
    "flag": st.one_of(st.none(), st.booleans()),
    "list": st.one_of(st.none(), st.lists(_TEXT, max_size=3)),
    "bin": st.one_of(st.none(), st.binary(max_size=10)),
    "f": st.one_of(st.none(), st.floats()),
}
_KEYS = st.integers(1, 6)
_STEP: Any = st.one_of(
    st.tuples(st.just("put"), _KEYS, st.sampled_from(sorted(_VALUES)).flatmap(lambda c: st.tuples(st.just(c), _VALUES[c]))),
    st.tuples(st.just("delete"), _KEYS, st.none()),
    st.tuples(st.just("key"), _KEYS, _KEYS),
    st.tuples(st.just("truncate"), st.none(), st.none()),
    st.tuples(st.just("big"), _KEYS, st.none()),
    st.tuples(st.sampled_from(["savepoint", "rollback to", "commit", "rollback"]), st.none(), st.none()),
)


@pytest.fixture(scope="module")
def source(server_of: Any) -> Iterator[str]:
    server = server_of(None)
    with psycopg.connect(server.dsn(), autocommit=True) as conn:
        conn.execute("CREATE DATABASE stream_laws")
        conn.execute("ALTER DATABASE stream_laws SET logical_decoding_work_mem = '64kB'")
        dsn = server.dsn("stream_laws")
        with psycopg.connect(dsn, autocommit=True) as made:
            made.execute(SCHEMA)
        yield dsn
        conn.execute("DROP DATABASE stream_laws WITH (FORCE)")


@pytest.fixture(scope="module")
def copies(source: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copies]:
    made = Copies(source, tmp_path_factory.mktemp("laws"), ("public.t",), ("part", "all"))
    made.init()
    yield made
    made.drop()


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(_STEP, max_size=25), ends=st.booleans())
def test_the_copy_equals_its_source(copies: Copies, steps: list[Any], ends: bool) -> None:
    with psycopg.connect(copies.dsn) as conn:
        for step in steps:
            act(conn, *step)
        conn.commit() if ends else conn.rollback()
    copies.once()
    assert copies.differences("part") == []
    assert copies.differences("all") == []


def act(conn: psycopg.Connection[Any], what: str, key: Any, value: Any) -> None:
    """Do one step; what cannot be done is as if it had not been asked."""
    if what in ("commit", "rollback"):
        conn.commit() if what == "commit" else conn.rollback()
        return
    if what == "savepoint":
        conn.execute("SAVEPOINT s")
        return
    conn.execute("SAVEPOINT one")
    try:
        if what == "rollback to":
            conn.execute("ROLLBACK TO s")
        elif what == "put":
            column, given_ = value
            conn.execute(
                f"INSERT INTO t (id, {column}) VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET {column} = excluded.{column}".encode(),
                (key, given_),
            )
        elif what == "delete":
            conn.execute("DELETE FROM t WHERE id = %s", (key,))
        elif what == "key":
            conn.execute("UPDATE t SET id = %s WHERE id = %s", (value, key))
        elif what == "truncate":
            conn.execute("TRUNCATE t")
        else:
            conn.execute("DELETE FROM t WHERE id BETWEEN 100 AND 2000")
            conn.execute("INSERT INTO t (id, v) SELECT i, repeat('y', 90) FROM generate_series(100, 900 + %s::int) i", (key,))
    except psycopg.Error:
        conn.execute("ROLLBACK TO one")


def test_rows_of_one_copy_have_stamps_of_their_own(copies: Copies) -> None:
    with psycopg.connect(copies.dsn) as conn:
        conn.execute("DELETE FROM t")
        with conn.cursor() as cursor, cursor.copy("COPY t (id, v) FROM STDIN") as copy:
            for i in range(500):
                copy.write_row((i, "a"))
        conn.execute("UPDATE t SET v = 'b' WHERE id < 250")
    copies.once()
    assert copies.differences("part") == []


RELATION = Relation(7, "s", "t", "default", (Attribute("id", 23, name_of(23, -1), True), Attribute("v", 25, name_of(25, -1), False)))


def transaction(lsn: int, rows: int, tmp: Path | None = None, limit: int = 1 << 20) -> Transaction:
    held = Held(tmp, limit)
    for i in range(rows):
        text = str(i).encode()
        held.add(b"I\0\0\0\7N\0\2t" + len(text).to_bytes(4, "big") + text + b"n")
    return Transaction(lsn, lsn + 1, lsn, 5, {7: RELATION}, held, name_of)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=8),
    stops=st.lists(st.integers(0, 6), max_size=6),
    segment=st.integers(200, 9000),
)
def test_what_is_spilled_comes_back(tmp_path_factory: pytest.TempPathFactory, sizes: list[int], stops: list[int], segment: int) -> None:
    folder = tmp_path_factory.mktemp("spill") / "one"
    spill = Spill(folder, 1 << 30, name_of, segment=segment)
    seen: list[tuple[int, int]] = []
    durable = Stamp(0, 0)
    for number, size in enumerate(sizes, 1):
        spill.append(transaction(number * 10, size, folder.parent, 500))
        if number in stops:  # a crash: what was synchronised is there again
            spill.sync()
            spill.close()
            spill = Spill(folder, 1 << 30, name_of, segment=segment)
        elif len(stops) % 2 and (piece := spill.read()):
            fresh = [c.stamp for c in piece.changes if c.stamp > durable]
            seen += fresh
            durable = max(durable, *fresh) if fresh else durable
            spill.consumed()
    while piece := spill.read():
        seen += [c.stamp for c in piece.changes if c.stamp > durable]
        assert all(c.relation == RELATION for c in piece.changes)
    assert seen == [(n * 10, i) for n, size in enumerate(sizes, 1) for i in range(1, size + 1)]
    spill.consumed()
    assert spill.empty
    spill.clear()
    assert spill.marked
    assert list(folder.glob("*.spill")) == []


def test_damage_is_told(tmp_path: Path) -> None:
    for damage in ("cut", "flip", "gone", "mark"):
        folder = tmp_path / damage
        spill = Spill(folder, 1 << 30, name_of, segment=500)
        for n in range(1, 6):
            spill.append(transaction(n * 10, 30))
        spill.sync()
        spill.append(transaction(60, 1))  # not synchronised
        spill._close_out()
        first, last = sorted(folder.glob("*.spill"))[0], sorted(folder.glob("*.spill"))[-2]
        if damage == "cut":
            first.write_bytes(first.read_bytes()[:-5])
        elif damage == "flip":
            data = bytearray(first.read_bytes())
            data[len(data) // 2] ^= 1
            first.write_bytes(data)
        elif damage == "gone":
            last.unlink()
        else:
            (folder / "synced").write_text("{")

        def read(folder: Path = folder) -> None:
            again = Spill(folder, 1 << 30, name_of)
            while again.read():
                pass

        with pytest.raises(SpillDamagedError):
            read()


def test_a_file_counts_only_once_it_is_synchronised(tmp_path: Path) -> None:
    channel = Channel(Spill(tmp_path / "x", 1 << 20, name_of), Stamp(0, 0))
    channel.hold(True)
    channel.offer(transaction(10, 5))
    assert (channel.spilling, channel.synced) == (True, False)  # a crash now loses nothing: the slot still has it
    assert channel.safe() is None
    assert channel.synced


def test_a_file_is_bounded(tmp_path: Path) -> None:
    spill = Spill(tmp_path / "x", 5_000, name_of)
    spill.append(transaction(1, 50))
    with pytest.raises(SpillFullError):
        spill.append(transaction(2, 500))


def test_a_chunk_is_older_than_what_its_snapshot_does_not_see() -> None:
    passed = Passed()
    for xid, lsn in ((10, 500), (11, 900), (12, 1500)):
        passed.commit(xid, lsn)
    numbers = [10, 11, 12]
    random.Random(1).shuffle(numbers)
    assert passed.lowest(1000, numbers) < 500
    assert passed.lowest(1000, [11]) < 900
    assert passed.lowest(1000, [12, 99]) == 1000


def test_a_lane_never_says_that_its_store_has_more_than_it_was_told(tmp_path: Path) -> None:
    """A chunk waits for the store to keep a later position; meanwhile changes are written, and then the stream is idle further on."""
    passed, path = Passed(), tmp_path / "store.db"
    lane = Lane(stores.target(path, "s.t"), Kept("store"), "", tmp_path / "spill", name_of, [RELATION], passed)
    lane._open()
    chunk = Chunk(RELATION, inserts(RELATION, [("1", "a")], Stamp(8, 0)))
    lane.chunks.put(chunk)
    lane._seed()
    assert not chunk.done.is_set()
    lane.offer(transaction(16, 1))
    batch = lane._channel.take(0)
    assert batch is not None
    lane._writing.write(batch.changes, batch.upto)
    lane._channel.done(batch.upto)
    passed.move(64)
    lane._seed()
    assert chunk.written
    assert stores.Store(path).open(()) == lane.durable

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import installation
from tests.sinks.conformance import Harness, Partial, Rows, delete, put, shape, whole

from pgcharter.errors import CharterError
from pgcharter.names import quote
from pgcharter.policy.sync_settings import SinkTable
from pgcharter.servers import account, lifecycle
from pgcharter.servers.lifecycle import Server
from pgcharter.sinks import postgresql, registry
from pgcharter.sinks.postgresql import PostgresqlSink
from pgcharter.stream import values
from pgcharter.stream.errors import SinkDownError, SinkRefusedError
from pgcharter.stream.model import Field, Row, Shape, Stamp, Stored

_numbers = itertools.count(1)


class PostgresqlHarness(Harness):
    """A database of its own on a server of the module; rows are read as PostgreSQL's text."""

    full = SinkRefusedError  # a limit of the process is no full disk: that is 53100, and passes by itself

    def __init__(self, server: Server, dsn: str) -> None:
        self.server, self.dsn = server, dsn

    def sink(self) -> PostgresqlSink:
        return PostgresqlSink(self.dsn, name="copies")

    def rows(self, of: Shape) -> Rows:
        names = [f.name for f in of.fields]
        columns = ", ".join(quote(n) for n in names)
        with psycopg.connect(self.dsn) as conn:
            for name, value in values.SESSION.items():
                conn.execute("SELECT set_config(%s, %s, false)", (name, value))
            with conn.cursor().copy(f"COPY (SELECT {columns} FROM public.{quote(of.to)}) TO STDOUT".encode()) as copy:
                loads = [values.load(f.type) or str for f in of.fields]
                found = [
                    {n: None if x is None else _comparable(load(x)) for n, load, x in zip(names, loads, row, strict=True)}
                    for row in copy.rows()
                ]
        return {tuple(row[k] for k in of.key): row for row in found}

    def value(self, field: Field, value: Any) -> Any:
        return _comparable(value)

    def stop(self) -> None:
        assert self.server.process is not None
        lifecycle.end(self.server.process, signal.SIGQUIT)

    def start(self) -> None:
        lifecycle.launch(self.server, {**lifecycle.EPHEMERAL, "listen_addresses": ""})

    def fill(self) -> Callable[[], None]:
        """The server's process of the sink may write no file larger than a segment of the log, and the table nearly is."""
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            conn.execute("ALTER TABLE orders ALTER COLUMN body SET STORAGE EXTERNAL")
            conn.execute("INSERT INTO orders (id, body) SELECT -n, repeat('x', 100000) FROM generate_series(1, 140) n")
            found = conn.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'pgcharter sync copies'").fetchone()
        assert found is not None
        account.current().run(["prlimit", f"--pid={found[0]}", f"--fsize={17 << 20}:"], check=True)

        def room() -> None:
            with psycopg.connect(self.dsn, autocommit=True) as conn:
                conn.execute("DELETE FROM orders WHERE id < 0")

        return room

    def spoil(self, of: Shape) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            conn.execute(f"CREATE TABLE {quote(of.to)} (id integer PRIMARY KEY, amount int4range)".encode())


def _comparable(value: Any) -> Any:
    """Not-a-number as something that is equal to itself."""
    return "NaN" if value != value else [_comparable(v) for v in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """A server of this module, which is stopped and started."""
    with lifecycle.start_ephemeral(installation()) as server:
        yield server


class TestPostgresql(Partial):
    @pytest.fixture
    def harness(self, own_server: Server) -> Iterator[Harness]:
        name = f"copies_{next(_numbers)}"
        with psycopg.connect(own_server.dsn(), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        yield PostgresqlHarness(own_server, own_server.dsn(name))
        with psycopg.connect(own_server.dsn(), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def copies(database: str, major_server: Server) -> PostgresqlHarness:
    """On the session's server, for what needs no server of its own."""
    return PostgresqlHarness(major_server, database)


def _run(harness: PostgresqlHarness, *statements: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(harness.dsn, autocommit=True) as conn:
        for sql in statements:
            cursor = conn.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def _types(harness: PostgresqlHarness) -> dict[str, str]:
    sql = "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attnum > 0"
    return dict(_run(harness, sql))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["delete", "clear"])
def test_what_another_process_has_deleted_stays_so(copies: PostgresqlHarness, kind: str) -> None:
    """The worker's connection is older than the first delete or clear of the table, which a repair has written."""
    of = shape()
    worker, repair = copies.sink(), copies.sink()
    worker.open([of])
    worker.write([whole(of, 1, 1)], Stamp(1, 1))
    repair.open([of])
    repair.write([delete(of, Stamp(9, 0), 2) if kind == "delete" else Row(of, "clear", (), {}, Stamp(9, 0))], Stamp(1, 1))
    worker.write([whole(of, 5, 2)], Stamp(5, 1))
    worker.write([whole(of, 10, 3)], Stamp(10, 1))
    assert _run(copies, "SELECT id FROM orders ORDER BY id") == ([(1,), (3,)] if kind == "delete" else [(3,)])
    worker.close()
    repair.close()


_KEY = "CREATE TABLE orders (id integer PRIMARY KEY"


@pytest.mark.parametrize(
    ("there", "said", "hint"),
    [
        ("CREATE TABLE orders (id integer)", "without a unique index on its key", "ADD PRIMARY KEY (id)"),
        ("CREATE TABLE orders (id integer UNIQUE DEFERRABLE)", "without a unique index on its key", "ADD PRIMARY KEY (id)"),
        ("CREATE VIEW orders AS SELECT 1 AS id", "is no table there", "to ="),
        (f"{_KEY}, name integer)", "name is integer there, and text is", "TYPE text USING"),
        (f"{_KEY}, body jsonb)", "body is jsonb there, and text is", "TYPE text USING"),
        (f"{_KEY}, amount int4range)", "amount is int4range there, and numeric is", "TYPE numeric USING"),
    ],
)
def test_tables_that_do_not_fit(copies: PostgresqlHarness, there: str, said: str, hint: str) -> None:
    _run(copies, there)
    sink = copies.sink()
    with pytest.raises(SinkRefusedError, match=said) as refused:
        sink.open([shape()])
    assert hint in refused.value.hint
    sink.close()


def test_a_table_that_is_there_is_widened(copies: PostgresqlHarness) -> None:
    """Columns that would cut values are made wider, columns of others stay, and rows of others are replaced by ours of the same key."""
    _run(copies, f"{_KEY}, name varchar(50), amount numeric(10,1), own text DEFAULT 'mine')", "INSERT INTO orders VALUES (1, 'old', 1)")
    of = shape()
    sink = copies.sink()
    sink.open([of])
    sink.write([whole(of, 1, 1, amount="2.25"), whole(of, 1, 2)], Stamp(1, 1))
    assert copies.rows(of) == {(k,): whole(of, 1, k, amount=a).values for k, a in ((1, "2.25"), (2, "1.50"))}
    assert _types(copies) == {
        "id": "integer", "name": "character varying(50)", "amount": "numeric", "own": "text", "body": "text",
        "pgcharter_lsn": "bigint", "pgcharter_ordinal": "bigint",
    }  # fmt: skip
    with pytest.raises(SinkRefusedError, match=r"value too long for type character varying\(50\)"):
        sink.write([whole(of, 2, 3, name="x" * 51)], Stamp(2, 1))
    sink.close()


def test_numbers_that_the_store_would_draw_itself_are_ours(copies: PostgresqlHarness) -> None:
    _run(copies, "CREATE TABLE orders (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY)")
    of, sink = shape(), copies.sink()
    sink.open([of])
    sink.write([whole(of, 1, 77)], Stamp(1, 1))
    sink.write([whole(of, 2, 77, name="n")], Stamp(2, 1))
    assert copies.rows(of).keys() == {(77,)}
    sink.close()


def test_types_that_the_store_knows_are_kept(copies: PostgresqlHarness) -> None:
    _run(copies, "CREATE SCHEMA app", "CREATE TYPE app.mood AS ENUM ('sad')")
    of = shape(
        "orders", Field("id", "integer", key=True), Field("mood", "app.mood"), Field("other", "app.other"), Field("all", "app.mood[]")
    )
    sink = copies.sink()
    sink.open([of])
    sink.write([put(of, 1, 1, mood="sad", other="(1,x)", all=["sad", None])], Stamp(1, 1))
    assert _run(copies, 'SELECT mood::text, other, "all"::text FROM orders') == [("sad", "(1,x)", "{sad,NULL}")]
    with pytest.raises(SinkRefusedError, match=r'invalid input value for enum app.mood: "new" \(COPY .*column mood'):
        sink.write([put(of, 2, 2, mood="new", other=None, all=None)], Stamp(2, 1))
    sink.open([of])
    assert _types(copies)["mood"] == "app.mood"
    sink.close()


def test_keys_that_are_deleted_are_forgotten_in_time(copies: PostgresqlHarness) -> None:
    of = shape()
    sink = PostgresqlSink(copies.dsn, remembered=3600)
    sink.open([of])
    sink.write([delete(of, 1, n) for n in (1, 2)], Stamp(1, 1))
    _run(copies, "UPDATE pgcharter_copies.gone SET at = now() - interval '2 h' WHERE key = '[1]'")
    sink._purged -= 61
    sink.write([], Stamp(2, 1))
    assert _run(copies, "SELECT target, key FROM pgcharter_copies.gone") == [("public.orders", [2])]
    sink.close()


def test_a_table_that_was_dropped_is_noticed(copies: PostgresqlHarness) -> None:
    """The checkpoint goes back before everything, so that whoever wrote more than that knows that it is lost."""
    of, other = shape(), shape("others")
    sink = copies.sink()
    sink.open([of, other])
    sink.write([whole(of, 5, 1)], Stamp(5, 1))
    assert sink.open([of, other, shape("new")]) == Stamp(5, 1)
    _run(copies, "DROP TABLE orders")
    with pytest.raises(SinkRefusedError, match=r'relation "public\.orders" does not exist'):
        sink.write([whole(of, 6, 2)], Stamp(6, 1))
    assert sink.open([other]) == Stamp(5, 1)
    assert sink.open([of, other]) == Stamp(1, 0)
    sink.write([whole(of, 6, 2)], Stamp(6, 1))
    assert sink.open([of, other]) == Stamp(6, 1)
    sink.close()


def test_many_tables_in_one_batch(copies: PostgresqlHarness) -> None:
    shapes = [shape(f"orders_{n}") for n in range(100)]
    sink = copies.sink()
    sink.open(shapes[:50])
    for stamp in (1, 2):
        sink.write([whole(of, stamp, k, name=str(stamp)) for of in shapes for k in range(3)], Stamp(stamp, 1))
    assert all({r["name"] for r in copies.rows(of).values()} == {"2"} for of in shapes[::20])
    sink.close()


def test_ranges_are_read_in_the_order_of_bytes(copies: PostgresqlHarness) -> None:
    of = shape("texts", Field("id", "text", key=True), Field("n", "numeric", key=True), Field("v", "boolean"))
    sink = copies.sink()
    sink.open([of])
    keys = [(t, Decimal(n)) for t in ("Z", "a", "ä", "é", "") for n in ("-1", "10", "9")]
    sink.write([put(of, Stamp(9, 3), *key, v=True) for key in keys], Stamp(9, 3))
    assert [s.key for s in sink.read(of, None, None)] == sorted(keys)
    some = list(sink.read(of, ("Z", Decimal(9)), ("ä", Decimal(-1))))
    assert [s.key for s in some] == [k for k in sorted(keys) if ("Z", 9) < k <= ("ä", -1)]
    assert some[0] == Stored(("Z", Decimal(10)), {"id": "Z", "n": Decimal(10), "v": True}, Stamp(9, 3))
    other = copies.sink()
    assert len(list(other.read(of, None, None))) == len(keys), "a sink that is not open can be read"
    with pytest.raises(SinkRefusedError, match="orders cannot be read: it is not there"):
        next(other.read(shape(), None, None))
    other.close()
    sink.close()


def test_a_writer_that_is_still_at_work_is_waited_for(copies: PostgresqlHarness) -> None:
    """A transaction that outlived its worker may end late: who opens next sees what it has written."""
    of = shape()
    sink = copies.sink()
    sink.open([of])
    with psycopg.connect(copies.dsn) as ghost:
        ghost.execute("SELECT pg_advisory_xact_lock(1885824359, hashtext('copies'))")
        ghost.execute("INSERT INTO pgcharter_copies.checkpoints (sink, lsn, ordinal) VALUES ('copies', 77, 1)")
        timer = threading.Timer(0.3, ghost.commit)
        timer.start()
        assert sink.open([of]) == Stamp(77, 1)
        timer.join()
    sink.close()


_WRITER = """
import sys
from tests.sinks.conformance import shape, whole
from pgcharter.sinks.postgresql import PostgresqlSink
from pgcharter.stream.model import Stamp
sink = PostgresqlSink(sys.argv[1], name="copies")
of = shape()
kept = sink.open([of])
for n in range(kept.lsn + 1 if kept else 1, 11):
    sink.write([whole(of, n, n), whole(of, n, 0, name=str(n))], Stamp(n, 1))
"""


@pytest.mark.parametrize(("point", "kept"), list(zip(postgresql.POINTS, (3, 4), strict=True)))
def test_a_writer_killed_anywhere(copies: PostgresqlHarness, point: str, kept: int) -> None:
    """Rows and checkpoint are there together, or neither is."""
    command = [sys.executable, "-c", _WRITER, copies.dsn]
    fault = {**os.environ, "PGCHARTER_FAULT": f"{point}:4", "PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run(command, env=fault, check=False).returncode == -signal.SIGKILL
    of, sink = shape(), copies.sink()
    assert sink.open([of]) == Stamp(kept, 1)
    sink.close()
    assert set(copies.rows(of)) == {(n,) for n in range(kept + 1)}
    assert subprocess.run(command, env={**fault, "PGCHARTER_FAULT": ""}, check=False).returncode == 0
    assert set(copies.rows(of)) == {(n,) for n in range(11)}


def test_connections_that_are_cut_again_and_again(copies: PostgresqlHarness) -> None:
    """Whatever moment a connection ends at: from the checkpoint on, all of it again, and nothing is missing or double."""
    of, sink, done = shape(), copies.sink(), threading.Event()
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgcharter sync copies'"

    def cutter() -> None:
        with psycopg.connect(copies.dsn, autocommit=True) as conn:
            for _ in range(12):
                done.wait(random.uniform(0, 0.15))
                conn.execute(cut)

    thread = threading.Thread(target=cutter)
    thread.start()
    last, downs = 0, 0
    try:
        while last < 150:
            try:
                kept = sink.open([of])
                assert kept is None or kept.lsn >= last, "the checkpoint went back behind what was acknowledged"
                last = kept.lsn if kept else 0
                while last < 150:
                    rows = [whole(of, last + 1, last + 1), whole(of, last + 1, 0, name=str(last + 1)), delete(of, last + 1, last - 4)]
                    sink.write(rows, Stamp(last + 1, 1))
                    last += 1
            except SinkDownError:
                downs += 1
    finally:
        done.set()
        thread.join()
    assert downs
    assert set(copies.rows(of)) == {(0,), *((n,) for n in range(146, 151))}
    assert copies.rows(of)[(0,)]["name"] == "150"
    sink.close()


def test_options(copies: PostgresqlHarness) -> None:
    table = SinkTable("copies", "postgresql", url_env="COPY", options={"schema": "Other", "deleted": "1h"})
    sink = registry.make(table, environ={"COPY": copies.dsn})
    of = shape("orders"), shape('"App"."Orders"'), shape("x.y")
    sink.open(of)
    sink.write([whole(o, 1, 1) for o in of], Stamp(1, 1))
    sink.close()
    found = _run(copies, "SELECT schemaname || '.' || relname FROM pg_stat_user_tables WHERE schemaname <> 'pgcharter_copies' ORDER BY 1")
    assert sorted(name for (name,) in found) == ["App.Orders", "Other.orders", "x.y"]
    with pytest.raises(CharterError, match="option color, which postgresql has not"):
        registry.make(SinkTable("s", "postgresql", url_env="COPY", options={"color": "red"}), environ={"COPY": copies.dsn})
    with pytest.raises(CharterError, match="environment variable COPY is not set"):
        registry.make(table, environ={})


def test_what_cannot_be_reached(copies: PostgresqlHarness) -> None:
    sink = PostgresqlSink(copies.dsn + "_not_there")
    with pytest.raises(SinkDownError):
        sink.open([shape()])
    with pytest.raises(SinkDownError, match="is not connected"):
        sink.write([], Stamp(1, 1))


_rows = st.tuples(st.integers(0, 3), st.sampled_from(["whole", "part", "delete", "clear"]), st.integers(0, 99))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(_rows, max_size=30), st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=8))
def test_any_pieces_in_any_order_of_repetition(
    copies: PostgresqlHarness, history: list[tuple[int, str, int]], pieces: list[tuple[int, int]]
) -> None:
    """The whole history in order, with any pieces of it sent again in between, gives what the history gives."""
    of = shape()
    rows, live = [], dict[int, Row]()
    for n, (key, kind, value) in enumerate(history, 1):
        stamp = Stamp(n // 3 + 1, n)
        if kind == "clear" and value < 20:
            rows.append(Row(of, "clear", (), {}, stamp))
            live.clear()
        elif kind == "delete" and key in live:
            rows.append(Row(of, "delete", (key,), {}, stamp))
            del live[key]
        elif kind == "part" and key in live:
            rows.append(Row(of, "put", (key,), {"id": key, "name": f"p{value}"}, stamp))
            live[key] = live[key]._replace(values={**live[key].values, "name": f"p{value}"})
        else:
            rows.append(whole(of, 1, key, name=f"w{value}", body=None)._replace(stamp=stamp))
            live[key] = rows[-1]
    _run(copies, "DROP SCHEMA IF EXISTS pgcharter_copies CASCADE", "DROP TABLE IF EXISTS orders")
    sink, at = copies.sink(), 0
    sink.open([of])
    for start, length in [*pieces, (0, len(rows))]:
        begin, end = min(start, at), min(len(rows), max(start, at) + length)
        sink.write(rows[begin:end], Stamp(99, end))
        at = max(at, end)
    assert copies.rows(of) == {(k,): r.values for k, r in live.items()}
    sink.close()

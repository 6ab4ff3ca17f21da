"""Stores that were set back a little: what they miss is sent again where the slot still has it; never is anything missing unseen."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from tests.sinks import servers
from tests.stream.copying import wait
from tests.stream.test_lost_stores import TABLES, RedisCopies

from pgcharter.sinks.redis import RedisSink
from pgcharter.stream import source


@pytest.fixture(scope="module")
def server() -> Iterator[servers.Store]:
    with servers.running("redis-server") as made:
        yield made


@pytest.fixture
def copies(database: str, tmp_path: Path, server: servers.Store) -> Iterator[RedisCopies]:
    with redis.Redis(port=server.port) as client:
        client.flushall()
    with psycopg.connect(database, autocommit=True) as conn:
        for table in TABLES:
            conn.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, v text)".encode())
            conn.execute(f"INSERT INTO {table} SELECT i, 'a' FROM generate_series(1, 250) i".encode())
    made = RedisCopies(database, tmp_path, TABLES)
    made.server = server
    made.job = replace(made.job, replay=30.0)
    yield made
    made.drop()
    (server.folder / "dump.rdb").unlink(missing_ok=True)


def saved(copies: RedisCopies) -> bytes:
    """The store as it is now."""
    with redis.Redis(port=copies.server.port) as client:
        client.save()
    return (copies.server.folder / "dump.rdb").read_bytes()


@contextmanager
def set_back(copies: RedisCopies, to: bytes) -> Iterator[None]:
    """Restarted from what it was; in between it is down."""
    copies.server.kill()
    (copies.server.folder / "dump.rdb").write_bytes(to)
    yield
    copies.server.start()


def history(copies: RedisCopies) -> None:
    copies.execute(
        "UPDATE a SET v = 'c' WHERE id > 200", "DELETE FROM b WHERE id < 20", "INSERT INTO b VALUES (1000, 'new')",
        "UPDATE a SET id = 2000 WHERE id = 7",
    )  # fmt: skip


def test_what_it_misses_is_sent_again(copies: RedisCopies) -> None:
    copies.init()
    with copies.running():
        copies.execute("UPDATE a SET v = 'b' WHERE id < 100")
        wait(copies.equal)
        before = saved(copies)
        history(copies)
        wait(copies.equal)
        with set_back(copies, before):
            copies.execute("UPDATE a SET v = 'down' WHERE id = 150")
        wait(copies.equal)
        assert copies.kept()["state"] == "running"
        assert any("set back" in s and "is sent again" in s for s in copies.said), copies.said
        copies.execute("UPDATE a SET v = 'after' WHERE id = 151")
        wait(copies.equal)


def test_set_back_while_the_worker_was_away(copies: RedisCopies) -> None:
    copies.init()
    with copies.running():
        copies.execute("UPDATE a SET v = 'b' WHERE id < 100")
        wait(copies.equal)
        before = saved(copies)
        history(copies)
        wait(copies.equal)
        time.sleep(1.5)
    with set_back(copies, before):
        pass
    assert not copies.equal()
    with copies.running():
        wait(copies.equal)
        assert copies.kept()["state"] == "running"


def test_others_see_nothing_twice(copies: RedisCopies) -> None:
    """The slot is read again for one sink; the other one has had it all."""
    copies.job = replace(copies.job, sinks=("one", "two"))
    copies.init()
    with copies.running():
        copies.execute("UPDATE a SET v = 'b' WHERE id < 100")
        wait(copies.equal)
        before = saved(copies)
        history(copies)
        wait(copies.equal)
        with set_back(copies, before):
            pass
        copies.execute("UPDATE a SET v = 'x' WHERE id = 1")
        wait(lambda: copies.equal() and copies.kept("two")["state"] == "running" == copies.kept("one")["state"])


def test_beyond_what_the_slot_has_it_is_lost_and_says_so(copies: RedisCopies) -> None:
    copies.job = replace(copies.job, replay=0.2)
    copies.init()
    with copies.running():
        copies.execute("UPDATE a SET v = 'b' WHERE id < 100")
        wait(copies.equal)
        before = saved(copies)
        history(copies)
        wait(copies.equal)
        time.sleep(1.5)
        with set_back(copies, before):
            pass
        copies.execute("UPDATE a SET v = 'x' WHERE id = 1")
        wait(copies.lost)
        reason = copies.kept()["reason"]
        assert "was set back" in reason
        assert "has let go of the log" in reason
        assert "pgcharter sync reset one" in reason
        copies.reset()
        wait(copies.equal)


def test_rows_seeded_since_are_not_sent_again(copies: RedisCopies) -> None:
    copies.init()
    with copies.running():
        copies.execute("UPDATE a SET v = 'b' WHERE id < 100")
        wait(copies.equal)
        before = saved(copies)
        with redis.Redis(port=copies.server.port) as client:
            client.hset("public.a:3", "v", "damaged")
        with source.open_source(copies.dsn) as conn:
            from pgcharter.stream import beginning

            beginning.reset(conn, copies.job, copies.make("one"), ["public.a"])
        wait(copies.equal)
        wait(lambda: _seeded(copies))
        with set_back(copies, before):
            pass
        copies.execute("UPDATE b SET v = 'x' WHERE id = 1")
        wait(copies.lost)
        assert "public.a was seeded since" in copies.kept()["reason"]


def _seeded(copies: RedisCopies) -> bool:
    with psycopg.connect(copies.dsn) as conn:
        return conn.execute("SELECT bool_and(state = 'done') FROM pgcharter.sync_snapshots").fetchone() == (True,)


@pytest.mark.parametrize("busy", [False, True])
def test_a_chunk_that_is_lost_is_noticed(copies: RedisCopies, busy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks carry no position of their own, and with nothing else written the store would stand where it stood before them."""
    begin, go = threading.Event(), threading.Event()
    read = source.read

    def reading(conn: Any, table: Any, after: Any, limit: int) -> Any:
        assert begin.wait(20)
        if after == ("200",) and not busy:
            assert go.wait(20)
        time.sleep(0.05)
        return read(conn, table, after, limit)

    monkeypatch.setattr(source, "read", reading)
    copies.init(later=True)
    over = threading.Event()

    def write() -> None:
        with psycopg.connect(copies.dsn, autocommit=True) as conn:
            while not over.is_set():
                conn.execute("UPDATE b SET v = v || 'x' WHERE id = 1")

    writer = threading.Thread(target=write)
    with copies.running():
        copies.execute("UPDATE b SET v = 'first' WHERE id = 2")
        wait(lambda: copies.kept()["lsn"] != "0/0")
        before = saved(copies)
        begin.set()
        if busy:
            writer.start()
        wait(lambda: _rows(copies) >= 100)
        with set_back(copies, before):
            pass
        go.set()
        over.set()
        wait(copies.lost)
        assert "was seeded since" in copies.kept()["reason"]
        copies.reset()
        wait(copies.equal)
        if busy:
            writer.join()


def test_a_chunk_of_init_that_is_lost_is_noticed(copies: RedisCopies, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is set back while the first copy is made, which ends there; the worker does not go on behind what is gone."""
    read, dumps = source.read, []

    def reading(conn: Any, table: Any, after: Any, limit: int) -> Any:
        if table.sql == "public.b":
            wait(lambda: redis.Redis(port=copies.server.port).exists("public.a:1"))
            dumps.append(saved(copies))
        yield from read(conn, table, after, limit)

    monkeypatch.setattr(source, "read", reading)
    write = RedisSink.write

    def writing(sink: RedisSink, rows: Any, upto: Any) -> None:
        if not rows and upto.lsn:
            with set_back(copies, dumps[0]):
                pass
        write(sink, rows, upto)

    monkeypatch.setattr(RedisSink, "write", writing)
    assert "one" in copies.init(jobs=1).failed
    monkeypatch.undo()
    assert len(dumps) == 1
    with copies.running():
        wait(copies.lost)
        assert "was seeded since" in copies.kept()["reason"]
        copies.reset()
        wait(copies.equal)


def _rows(copies: RedisCopies) -> int:
    with psycopg.connect(copies.dsn) as conn:
        row = conn.execute("SELECT sum(rows) FROM pgcharter.sync_snapshots WHERE source = 'public.a'").fetchone()
        return int(row[0]) if row else 0

"""Stores that lose what they had, under a worker: it is said, nothing goes on as if nothing were, and a reset brings all back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from tests.sinks import servers
from tests.stream.copying import Copies, wait
from tests.stream.stores import Plain

from pgcharter.sinks.redis import RedisSink
from pgcharter.stream import beginning, source
from pgcharter.stream.mapper import Target

TABLES = ("public.a", "public.b")


class RedisCopies(Copies):
    """Copies in Redis."""

    server: servers.Store

    def make(self, sink: str) -> Target:
        return Target(sink, RedisSink(self.server.url, sink), Plain(*self.job.tables))

    def differences(self, sink: str = "one") -> list[str]:
        found = []
        with psycopg.connect(self.dsn) as conn, redis.Redis(port=self.server.port, decode_responses=True) as client:
            for table in TABLES:
                here = {str(i): v for i, v in conn.execute(f"SELECT id, v FROM {table}".encode())}
                names: Any = client.scan_iter(match=f"{table}:*", count=1000)
                there = {n.rpartition(":")[2]: client.hget(n, "v") for n in names}
                found += [
                    f"{table} {k}: {here.get(k)} is {there.get(k)}" for k in here.keys() | there.keys() if here.get(k) != there.get(k)
                ]
        return found

    def execute(self, *statements: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            for sql in statements:
                conn.execute(sql.encode())

    def reset(self) -> None:
        with source.open_source(self.dsn) as conn:
            beginning.reset(conn, self.job, self.make("one"))

    def lost(self) -> bool:
        return bool(self.kept()["state"] == "lost")


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
    yield made
    made.drop()


@pytest.mark.parametrize("later", [False, True])
def test_flushed_while_the_worker_runs(copies: RedisCopies, later: bool) -> None:
    copies.init(later=later)
    with copies.running():
        wait(copies.equal)
        copies.execute("UPDATE a SET v = 'b' WHERE id < 100")
        wait(copies.equal)
        with redis.Redis(port=copies.server.port) as client:
            client.flushall()
        copies.execute("UPDATE a SET v = 'c' WHERE id < 10")
        wait(copies.lost)
        assert "must be seeded anew: pgcharter sync reset one" in copies.kept()["reason"]
        copies.reset()
        wait(copies.equal)
        assert copies.kept()["state"] == "running"


def test_flushed_while_nothing_is_written(copies: RedisCopies, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pgcharter.stream.lane.PULSE", 0.3)
    copies.init()
    with copies.running():
        wait(lambda: copies.kept()["state"] == "running")
        with redis.Redis(port=copies.server.port) as client:
            client.flushall()
        wait(copies.lost)


def test_flushed_while_the_worker_was_away(copies: RedisCopies) -> None:
    copies.init()
    with redis.Redis(port=copies.server.port) as client:
        client.flushall()
    copies.execute("UPDATE a SET v = 'b' WHERE id < 10")
    copies.once()
    assert copies.lost()
    copies.once()
    assert copies.lost(), "lost stays lost"
    copies.reset()
    copies.once()
    assert copies.differences() == []


def test_flushed_where_a_seed_was_cut_short(copies: RedisCopies) -> None:
    """Of one table all is there, of the other nothing yet, and no change was written since."""
    copies.init(later=True)
    copies.execute(
        "UPDATE pgcharter.sync_snapshots SET state = 'done', rows = 250 WHERE source = 'public.a'",
    )
    copies.once()
    assert copies.lost()


def test_flushed_where_columns_have_changed(copies: RedisCopies) -> None:
    """The sink is opened anew in the middle of a batch, and what it says then counts too."""
    copies.init()
    with copies.running():
        copies.execute("UPDATE a SET v = 'b' WHERE id = 1")
        wait(copies.equal)
        with redis.Redis(port=copies.server.port) as client:
            client.flushall()
        copies.execute("ALTER TABLE a ADD w int", "UPDATE a SET v = 'c', w = 1 WHERE id < 10")
        wait(copies.lost)


def test_restored_from_an_older_copy(copies: RedisCopies) -> None:
    copies.init()
    with copies.running():
        copies.execute("UPDATE a SET v = 'b' WHERE id < 100", "DELETE FROM b WHERE id > 240")
        wait(copies.equal)
        with redis.Redis(port=copies.server.port) as client:
            client.save()
        dump = copies.server.folder / "dump.rdb"
        before = dump.read_bytes()
        copies.execute("UPDATE a SET v = 'c' WHERE id > 200", "DELETE FROM b WHERE id < 20")
        wait(copies.equal)
        copies.server.kill()
        dump.write_bytes(before)
        copies.server.start()
        copies.execute("UPDATE a SET v = 'd' WHERE id = 150")
        wait(copies.lost)
        assert "older" in copies.kept()["reason"]
        copies.reset()
        wait(copies.equal)
        dump.unlink()


def test_a_reset_of_one_table_after_a_loss_seeds_all(copies: RedisCopies) -> None:
    copies.init()
    with redis.Redis(port=copies.server.port) as client:
        client.flushall()
    copies.once()
    assert copies.lost()
    with source.open_source(copies.dsn) as conn:
        assert beginning.reset(conn, copies.job, copies.make("one"), ["public.a"]) == TABLES
    copies.once()
    assert copies.differences() == []

"""Prepared transactions are copied once they are committed, and neither lost nor doubled, whatever happens while they are prepared."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.conftest import installation
from tests.stream.copying import Copies, wait
from tests.stream.stores import Store

from pgcharter.servers import lifecycle
from pgcharter.servers.lifecycle import Server

SETTINGS: dict[str, lifecycle.Setting] = {
    "wal_level": "logical", "max_prepared_transactions": 5, "logical_decoding_work_mem": "64kB", "max_wal_senders": 5,
}  # fmt: skip
_numbers = itertools.count(1)
LARGE = "INSERT INTO a SELECT i, repeat('x', 100) FROM generate_series(1, 5000) i"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with lifecycle.start_ephemeral(installation(), settings=SETTINGS) as made:
        yield made


@pytest.fixture
def copies(server: Server, tmp_path: Path) -> Iterator[Copies]:
    name = f"prepared_{next(_numbers)}"
    with psycopg.connect(server.dsn(), autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name}".encode())
    dsn = server.dsn(name)
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a VALUES (-1, 'before')")
    made = Copies(dsn, tmp_path, ("public.a",), ("one", "two"))
    made.init()
    yield made
    made.drop()


def prepare(copies: Copies, sql: str) -> Callable[[str], None]:
    """Have a transaction prepared; gives what ends it."""
    name = f"x{next(_numbers)}"
    with psycopg.connect(copies.dsn, autocommit=True) as conn:
        conn.execute(f"BEGIN; {sql}; PREPARE TRANSACTION '{name}'".encode())

    def end(how: str) -> None:
        with psycopg.connect(copies.dsn, autocommit=True) as conn:
            conn.execute(f"{how} PREPARED '{name}'".encode())

    return end


def do(copies: Copies, sql: str) -> None:
    with psycopg.connect(copies.dsn, autocommit=True) as conn:
        conn.execute(sql.encode())


def there(copies: Copies, sink: str = "one") -> dict[str, Any]:
    return Store(copies.path(sink)).table("public.a")


@pytest.mark.parametrize("sql", ["INSERT INTO a VALUES (1, 'x')", LARGE], ids=["small", "streamed"])
@pytest.mark.parametrize("how", ["COMMIT", "ROLLBACK"])
def test_held_over_restarts_of_the_worker(copies: Copies, sql: str, how: str) -> None:
    end = prepare(copies, sql)
    do(copies, "INSERT INTO a VALUES (-2, 'beside it')")
    copies.once()
    assert set(there(copies)) == {'["-1"]', '["-2"]'}, "nothing of it is copied before it is committed"
    copies.down("two")
    with copies.running():
        wait(lambda: copies.kept("two").get("state") == "down")
        do(copies, "INSERT INTO a VALUES (-3, 'while one sink is down')")
        end(how)
        wait(lambda: copies.equal("one"))
        wait(lambda: copies.kept("two")["spilling"])
    copies.down("two", False)
    copies.once()
    assert copies.equal("one")
    assert copies.equal("two")
    assert (len(there(copies)) > 3) == (how == "COMMIT")


def test_held_over_a_stop_of_the_server(server: Server, copies: Copies) -> None:
    end = prepare(copies, LARGE)
    with copies.running():
        do(copies, "INSERT INTO a VALUES (-2, 'beside it')")
        wait(lambda: '["-2"]' in there(copies))
        process = server.process
        assert process is not None
        process.send_signal(signal.SIGQUIT)
        process.wait(20)
        lifecycle.launch(server, {**lifecycle.EPHEMERAL, **SETTINGS, "listen_addresses": ""})
        do(copies, "INSERT INTO a VALUES (-3, 'after it')")
        wait(lambda: '["-3"]' in there(copies))
        assert len(there(copies)) == 3
        end("COMMIT")
        wait(lambda: copies.equal("one") and copies.equal("two"))


def test_open_while_tables_are_seeded_beside_the_stream(copies: Copies) -> None:
    do(copies, "INSERT INTO a SELECT i, 'before' FROM generate_series(1, 350) i")
    copies.once()
    ends = [prepare(copies, sql) for sql in ("UPDATE a SET v = 'now' WHERE id % 2 = 0", "DELETE FROM a WHERE id % 7 = 1 AND id % 2 = 1")]
    with psycopg.connect(copies.dsn, autocommit=True) as conn:
        conn.execute("UPDATE pgcharter.sync_snapshots SET state = 'waiting', after = NULL, began = pg_current_wal_lsn()")
    with copies.running():
        wait(lambda: copies.equal("one") and copies.equal("two"))
        ends[0]("COMMIT")
        with psycopg.connect(copies.dsn) as conn:
            wait(lambda: conn.execute("SELECT bool_and(state = 'done') FROM pgcharter.sync_snapshots").fetchone() == (True,))
        ends[1]("COMMIT")
        wait(lambda: copies.equal("one") and copies.equal("two"))

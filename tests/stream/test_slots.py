"""The slot on servers of its own: what it needs, what guards it, and what is said when it is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from tests.conftest import ServerFactory
from tests.stream.copying import Copies, wait

from pgcharter.errors import UnavailableError
from pgcharter.stream import slots, standing
from pgcharter.stream.errors import SlotLostError


@contextmanager
def copies(dsn: str, folder: Path) -> Iterator[Copies]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a SELECT i FROM generate_series(1, 10) i")
    made = Copies(dsn, folder, ("public.a",))
    yield made
    made.drop()


def test_what_the_server_lacks(server: ServerFactory, tmp_path: Path) -> None:
    made = server(settings={"wal_level": "replica"})
    with copies(made.dsn(), tmp_path) as found, pytest.raises(UnavailableError, match="wal_level is replica") as told:
        found.init()
    assert told.value.hint.startswith("ALTER SYSTEM SET wal_level = 'logical'")


@pytest.mark.parametrize("major", [16, 18])
def test_lost_and_begun_anew(server: ServerFactory, tmp_path: Path, major: int) -> None:
    settings = {"wal_level": "logical", "max_slot_wal_keep_size": "32MB", "min_wal_size": "32MB", "max_wal_size": "32MB"}
    made = server(major, settings)  # type: ignore[arg-type]
    with copies(made.dsn(), tmp_path) as found, psycopg.connect(made.dsn(), autocommit=True) as conn:
        if major < 17:
            with pytest.raises(UnavailableError, match="failover slots need PostgreSQL 17"):
                found.init(failover=True)
        assert found.init(failover=major >= 17).warnings == ()
        slot = slots.look(conn, found.job.slot)
        assert slot is not None
        assert (slot.status, slot.failover) == ("reserved", major >= 17)
        conn.execute("CREATE TABLE noise (v text); ALTER TABLE noise ALTER v SET STORAGE EXTERNAL")
        for _ in range(10):
            conn.execute("INSERT INTO noise SELECT repeat('x', 7000) FROM generate_series(1, 1000)")
            conn.execute("SELECT pg_switch_wal()")
        conn.execute("CHECKPOINT")
        conn.execute("UPDATE a SET v = 'changed meanwhile' WHERE id < 5; DELETE FROM a WHERE id = 5")
        told = standing.look(conn, found.job, 1 << 30)
        assert any("is invalid" in p and "sync init --anew" in p for p in told.problems)
        with pytest.raises(SlotLostError, match="is invalid"):
            found.once()
        found.init(anew=True)
        found.once()
        assert found.differences() == []


def test_an_idle_database_moves_on(server: ServerFactory, tmp_path: Path) -> None:
    made = server(settings={"wal_level": "logical"})
    with copies(made.dsn(), tmp_path) as found, psycopg.connect(made.dsn(), autocommit=True) as conn:
        found.init()
        conn.execute("CREATE DATABASE busy")
        with found.running(), psycopg.connect(made.dsn("busy"), autocommit=True) as busy:
            busy.execute("CREATE TABLE t AS SELECT repeat('x', 500) FROM generate_series(1, 20000)")
            row = conn.execute("SELECT pg_current_wal_lsn() - '0/0'").fetchone()
            assert row is not None
            wait(lambda: (s := slots.look(conn, found.job.slot)) and s.confirmed >= int(row[0]))
            wait(lambda: standing.look(conn, found.job, 1 << 30).problems[0].startswith("max_slot_wal_keep_size is -1"))

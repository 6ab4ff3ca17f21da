"""Commits that are in the log and not visible yet: a synchronous standby that stays away makes that long."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.conftest import installation
from tests.stream.copying import Copies, wait
from tests.stream.stores import Store, target

from pgcharter.policy.sync_settings import LookupTable, MappingTable
from pgcharter.servers import lifecycle
from pgcharter.servers.lifecycle import Server
from pgcharter.stream import source
from pgcharter.stream.mapper import Target
from pgcharter.stream.mapping import Mappings
from pgcharter.stream.model import UNCHANGED, Change, Relation, Stamp
from pgcharter.stream.passed import Passed
from pgcharter.stream.reconcile_moment import moment
from pgcharter.stream.writing import Writing

SCHEMA = """
CREATE TABLE a (id int PRIMARY KEY, v text, c int); CREATE TABLE c (id int PRIMARY KEY, name text);
INSERT INTO c VALUES (1, 'one'); INSERT INTO a VALUES (1, 'long', 1); CREATE PUBLICATION p FOR TABLE a, c;
"""
AT = Stamp(1000, 1)

SETTINGS: dict[str, lifecycle.Setting] = {"wal_level": "logical", "max_wal_senders": 4, "max_prepared_transactions": 2}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with lifecycle.start_ephemeral(installation(), settings=SETTINGS) as made:
        yield made


@pytest.fixture
def dsn(server: Server) -> str:
    with psycopg.connect(server.dsn(), autocommit=True) as conn:
        conn.execute("DROP DATABASE IF EXISTS unseen")
        conn.execute("CREATE DATABASE unseen")
    made = server.dsn("unseen")
    with psycopg.connect(made, autocommit=True) as conn:
        conn.execute(SCHEMA)
    return made


class Hung:
    """A transaction whose commit is in the log, and which nobody sees."""

    def __init__(self, dsn: str, *statements: str, block: bool = True) -> None:
        self.dsn, self.xid, self._block = dsn, 0, block
        self._standby("'nobody'")
        self._thread = threading.Thread(target=self._commit, args=(statements,), daemon=True)
        self._thread.start()
        with psycopg.connect(dsn, autocommit=True) as conn:
            wait(lambda: conn.execute("SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep'").fetchone() is not None)

    def _standby(self, names: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            conn.execute(f"ALTER SYSTEM SET synchronous_standby_names = {names}".encode())
            conn.execute("SELECT pg_reload_conf()")
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            wait(lambda: conn.execute("SHOW synchronous_standby_names").fetchone() == (names.strip("'"),))

    def _commit(self, statements: tuple[str, ...]) -> None:
        with psycopg.connect(self.dsn, autocommit=not self._block) as conn:
            conn.execute("SET synchronous_commit = on")
            for sql in statements:
                conn.execute(sql.encode())
            if not self._block:
                return
            row = conn.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
            assert row is not None
            self.xid = int(row[0]) & 0xFFFFFFFF

    def release(self) -> None:
        self._standby("''")
        self._thread.join(10)


@contextmanager
def hung(dsn: str, *statements: str, block: bool = True) -> Iterator[Hung]:
    made = Hung(dsn, *statements, block=block)
    try:
        yield made
    finally:
        made.release()


def relations(dsn: str) -> dict[str, Relation]:
    with source.open_source(dsn) as conn:
        return {t.relation.name: t.relation for t in source.tables(conn, "p")}


def write(dsn: str, to: Target, changes: list[Change], transaction: Hung) -> None:
    """Write changes of a transaction that is seen only after a while."""
    passed = Passed()
    passed.commit(transaction.xid, AT.lsn)
    writing = Writing(to, dsn, passed)
    writing.open(list(relations(dsn).values()))
    writer = threading.Thread(target=writing.write, args=(changes, AT))
    writer.start()
    writer.join(0.3)
    transaction.release()
    writer.join(10)
    assert not writer.is_alive()
    writing.close()


def test_a_row_whose_key_has_changed_is_completed(dsn: str, tmp_path: Path) -> None:
    with hung(dsn, "UPDATE a SET id = 2") as transaction:
        change = Change(relations(dsn)["a"], "update", ("2", UNCHANGED, "1"), ("1", None, None), AT)
        write(dsn, target(tmp_path / "x.sqlite", "public.a"), [change], transaction)
    assert Store(tmp_path / "x.sqlite").table("public.a") == {'["2"]': {"id": "2", "v": "long", "c": "1"}}


def test_what_is_looked_up_is_there(dsn: str, tmp_path: Path) -> None:
    mapping = MappingTable("x", "public.a", lookup=(LookupTable("public.c", {"c": "id"}, ("name",)),))
    to = Target("x", Store(tmp_path / "x.sqlite"), Mappings([mapping], partial(source.open_source, dsn)))
    with hung(dsn, "INSERT INTO c VALUES (7, 'seven')", "INSERT INTO a VALUES (7, 'v', 7)") as transaction:
        of = relations(dsn)
        changes = [
            Change(of["c"], "insert", ("7", "seven"), None, AT._replace(ordinal=0)),
            Change(of["a"], "insert", ("7", "v", "7"), None, AT),
        ]
        write(dsn, to, changes, transaction)
    row: Any = Store(tmp_path / "x.sqlite").table("a")["[7]"]
    assert row["name"] == "seven"


def test_a_moment_waits_for_it(dsn: str) -> None:
    """Though it is the newest transaction there is, which no snapshot names."""
    with hung(dsn, "UPDATE a SET v = 'new'") as transaction, source.open_source(dsn) as conn:
        conn.execute("SET synchronous_commit = local")
        threading.Timer(0.3, transaction.release).start()
        with moment(conn, 10) as at:
            assert conn.execute("SELECT v FROM public.a").fetchone() == ("new",)
            assert at.stamp.lsn


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("down", [True, False], ids=["spilled", "written"])
def test_what_an_earlier_life_of_the_worker_has_passed(dsn: str, tmp_path: Path, *, down: bool, prepared: bool) -> None:
    """The slot does not bring it again, and nobody sees it yet: a seed waits for it, else its rows would be newer than the change."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("DROP PUBLICATION p")
    copies = Copies(dsn, tmp_path, ("public.a",))
    copies.init()
    statements = ["UPDATE a SET v = 'new'"]
    if prepared:
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute("BEGIN; UPDATE a SET v = 'new'; PREPARE TRANSACTION 'x'")
        statements = ["COMMIT PREPARED 'x'"]
    try:
        copies.down("one", down)
        with hung(dsn, *statements, block=not prepared), psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute("SET synchronous_commit = local")
            with copies.running():
                wait(lambda: copies.kept()["spilling"] if down else new(copies))
                at = "SELECT confirmed_flush_lsn > %s FROM pg_replication_slots"
                row = conn.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
                conn.execute("SELECT pg_logical_emit_message(false, 'x', '')")
                wait(lambda: conn.execute(at, row).fetchone() == (True,))
            copies.down("one", False)
            conn.execute("UPDATE pgcharter.sync_snapshots SET state = 'waiting', after = NULL")
            with copies.running():
                wait(lambda: new(copies))
                time.sleep(0.5)
                assert new(copies)
        with copies.running():
            wait(lambda: conn_done(dsn))
            assert new(copies)
    finally:
        copies.drop()


def new(copies: Copies) -> bool:
    return bool(Store(copies.path("one")).table("public.a")['["1"]']["v"] == "new")


def conn_done(dsn: str) -> bool:
    with psycopg.connect(dsn) as conn:
        return conn.execute("SELECT bool_and(state = 'done') FROM pgcharter.sync_snapshots").fetchone() == (True,)

"""Faults between a primary and its standby, and between a publisher and a subscriber."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from tests.watch.faults import CRITICAL, WARNING, Make
from tests.watch.ground import Fault, Ground, until

from pgcharter.watch.model import Level

PRIMARY: list[Fault] = []
STANDBY: list[Fault] = []
SUBSCRIBED: list[Fault] = []


def _into(faults: list[Fault]) -> Callable[..., Callable[[Make], Make]]:
    def fault(check: str, level: Level, says: str = "", *, wait: float = 5.0, quiet_after: bool = True, quiet_before: bool = True,
              **changes: Any) -> Callable[[Make], Make]:  # fmt: skip
        def add(make: Make) -> Make:
            faults.append(Fault(check, level, contextmanager(make), changes, (), says, quiet_before, quiet_after, wait))
            return make

        return add

    return fault


on_primary, on_standby, subscribed = _into(PRIMARY), _into(STANDBY), _into(SUBSCRIBED)


@contextmanager
def _paused(standby: Ground) -> Iterator[None]:
    standby.admin.execute("SELECT pg_wal_replay_pause()")
    until(lambda: standby.fresh("SELECT pg_get_wal_replay_pause_state()") == "paused")
    try:
        yield
    finally:
        standby.admin.execute("SELECT pg_wal_replay_resume()")


def _write(primary: Ground) -> None:
    primary.run("SELECT pg_logical_emit_message(true, 'x', repeat('x', 3000000))", "CREATE TABLE w (i int)", "DROP TABLE w")


@on_primary("replication.lag", CRITICAL, "behind", quiet_before=False, warn=0.01, critical=0.05)
@on_primary("replication.lag_bytes", CRITICAL, "behind (streaming)", warn=1_000_000, critical=2_000_000)
def _slow_standby(primary: Ground) -> Iterator[None]:
    assert primary.other
    with _paused(primary.other):
        _write(primary)
        time.sleep(0.1)
        yield


@on_standby("standby.lag", CRITICAL, "old", warn=0.01, critical=0.05)
@on_standby("standby.lag_bytes", CRITICAL, "are not replayed", warn=1_000_000, critical=2_000_000)
@on_standby("standby.paused", WARNING, "replay is paused")
def _slow_replay(standby: Ground) -> Iterator[None]:
    assert standby.other
    with _paused(standby):
        _write(standby.other)
        time.sleep(0.1)
        yield


@on_standby("standby.receiver", CRITICAL, "nothing is received")
def _no_receiver(standby: Ground) -> Iterator[None]:
    before = standby.value("primary_conninfo").replace("'", "''")
    standby.admin.execute("ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1 password=secret'")
    standby.reload()
    until(lambda: not standby.fresh("SELECT count(*) FROM pg_stat_wal_receiver"))
    yield
    standby.admin.execute(f"ALTER SYSTEM SET primary_conninfo = '{before}'".encode())
    standby.reload()


@on_standby("transactions.conflicts", WARNING, "were cancelled by recovery")
def _cancelled(standby: Ground) -> Iterator[None]:
    primary = standby.other
    assert primary
    primary.run("CREATE TABLE read (i int)", "INSERT INTO read SELECT generate_series(1, 1000)")
    until(lambda: standby.fresh("SELECT to_regclass('read') IS NOT NULL"))
    with standby.session() as reader, contextlib.suppress(psycopg.Error):
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM read")
        primary.run("DELETE FROM read", "VACUUM (TRUNCATE off) read")
        until(
            lambda: standby.fresh(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {reader.info.backend_pid} AND state = 'active'") == 0
        )
        reader.execute("SELECT count(*), pg_sleep(5) FROM read")
    yield
    primary.run("DROP TABLE read")


_STREAMS = "SELECT pid FROM pg_stat_replication WHERE application_name = 'things' AND state = 'streaming'"


@contextmanager
def _subscription(ground: Ground) -> Iterator[None]:
    """Between two databases of one server, with a row that has come."""
    source = ground.extra["source"]
    with psycopg.connect(source, autocommit=True) as there:
        there.execute("CREATE TABLE thing (id int PRIMARY KEY)")
        there.execute("CREATE PUBLICATION things FOR TABLE thing")
        there.execute("SELECT pg_create_logical_replication_slot('things', 'pgoutput')")
        ground.run("CREATE TABLE thing (id int PRIMARY KEY)")
        connection = source.replace("'", "''")
        ground.run(
            f"CREATE SUBSCRIPTION things CONNECTION '{connection}' PUBLICATION things"
            " WITH (create_slot = false, slot_name = things, copy_data = false)"
        )
        try:
            until(lambda: ground.fresh(_STREAMS))
            yield
        finally:
            ground.run("ALTER SUBSCRIPTION things DISABLE", "ALTER SUBSCRIPTION things SET (slot_name = NONE)", "DROP SUBSCRIPTION things")
            ground.run("DROP TABLE thing")
            until(lambda: there.execute("SELECT count(*) FROM pg_replication_slots WHERE active").fetchone() == (0,))
            there.execute("SELECT pg_drop_replication_slot('things')")
            there.execute("DROP PUBLICATION things")
            there.execute("DROP TABLE thing")


@subscribed("subscriptions.disabled", WARNING, "subscription things")
def _disabled(ground: Ground) -> Iterator[None]:
    with _subscription(ground):
        ground.run("ALTER SUBSCRIPTION things DISABLE")
        yield


@subscribed("subscriptions.running", CRITICAL, "subscription things")
def _no_worker(ground: Ground) -> Iterator[None]:
    with _subscription(ground):
        ground.run("ALTER SUBSCRIPTION things CONNECTION 'host=127.0.0.1 port=1'")
        yield


@subscribed("subscriptions.silent", WARNING, "was heard", warn=0.2, critical=1000)
def _silent(ground: Ground) -> Iterator[None]:
    import os
    import signal

    with _subscription(ground):
        pid = ground.fresh(_STREAMS)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


@subscribed("subscriptions.copying", WARNING, "1 tables of subscription things")
def _copying(ground: Ground) -> Iterator[None]:
    with _subscription(ground), psycopg.connect(ground.extra["source"], autocommit=True) as there:
        there.execute("CREATE TABLE more (id int PRIMARY KEY)")
        ground.run("CREATE TABLE more (id int PRIMARY KEY)")
        with ground.session() as holder:
            holder.execute("BEGIN")
            holder.execute("LOCK TABLE more IN SHARE MODE")
            there.execute("ALTER PUBLICATION things ADD TABLE more")
            ground.run("ALTER SUBSCRIPTION things REFRESH PUBLICATION")
            yield
            holder.execute("ROLLBACK")
        until(lambda: not ground.fresh("SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'"))
        there.execute("ALTER PUBLICATION things DROP TABLE more")
        ground.run("ALTER SUBSCRIPTION things REFRESH PUBLICATION", "DROP TABLE more")
        there.execute("DROP TABLE more")

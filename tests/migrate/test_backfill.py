"""Backfills: every row once, whatever the key; checkpoints, throttle, pauses, conflicts with others."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from tests.conftest import ServerFactory, every_major
from tests.later import later
from tests.migrate.scenario import filled, migration, unit
from tests.migrate.test_runner import QUICK, apply, idle_in_transaction, meanwhile, one

from pgcharter.db import connect
from pgcharter.migrate import runner
from pgcharter.migrate.terms import Pace
from pgcharter.migrate.watch import BatchDone, Event, Note, Paused, Resumed, Retries
from pgcharter.names import ObjectId
from pgcharter.servers import folders, lifecycle
from pgcharter.servers.lifecycle import Server

T = ObjectId("table", "public", "t")
SMALL = replace(QUICK, pace=Pace(first=7, largest=60, every=0.05))


def table(definition: str, rows: str) -> Any:
    return migration("001", unit(f"CREATE TABLE t ({definition})", f"INSERT INTO t {rows}"))


def fill(*key: str, name: ObjectId = T, assignments: str = "done = done + 1", condition: str = "done = 0") -> Any:
    return migration("002", filled(name, key, assignments, condition))


NUMBERS = table("id int PRIMARY KEY, done int NOT NULL DEFAULT 0", "SELECT i FROM generate_series(1, 1000) i")

KEYS = {
    "uuid": ("id uuid PRIMARY KEY", "SELECT gen_random_uuid()"),
    "text": ("id text COLLATE \"C\" PRIMARY KEY", "SELECT chr(39) || i || chr(92) || 'ü\"%s' "),
    "timestamp": ("id timestamptz PRIMARY KEY", "SELECT '2026-01-01'::timestamptz + i * interval '7 hours 1 microsecond'"),
    "date": ("id date PRIMARY KEY", "SELECT date '0044-03-15 BC' + i * 997"),
    "float": ("id double precision PRIMARY KEY", "SELECT i / 3.0::float8 - 100"),
    "numeric": ("id numeric PRIMARY KEY", "SELECT i * 1e30 + i / 7.0"),
    "char": ("id char(9) PRIMARY KEY", "SELECT i::text"),
    "bytea": ("id bytea PRIMARY KEY", "SELECT decode(md5(i::text), 'hex')"),
    "interval": ("id interval PRIMARY KEY", "SELECT -i * interval '1 day 1 second'"),
    "inet": ("id inet PRIMARY KEY", "SELECT '10.0.0.0'::inet + i"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KEYS)
def test_every_row_exactly_once_along_a_key_of_any_type(database: str, kind: str) -> None:
    columns, select = KEYS[kind]
    made = table(f"{columns}, done int NOT NULL DEFAULT 0", f"{select} FROM generate_series(1, 400) i")
    odd = unit(
        "SET datestyle = 'SQL, DMY'", "SET intervalstyle = 'sql_standard'", "SET timezone = 'Asia/Kathmandu'", "SET bytea_output = 'escape'"
    )
    job = migration("002", odd, *fill("id").up)
    outcome, events = apply(database, made, job, terms=SMALL)
    assert outcome.status == "done", outcome
    assert one(database, "SELECT array_agg(DISTINCT done) FROM t") == [1]
    batches = [e for e in events if isinstance(e, BatchDone)]
    assert len(batches) > 5
    assert batches[-1].rows == batches[-1].seen == 400


@every_major
def test_composite_quoted_keys_over_partitions(database: str, major: int) -> None:
    made = migration(
        "001",
        unit(
            'CREATE SCHEMA "S é"',
            'CREATE TABLE "S é"."T t" ("A" int, "b c" text, done int NOT NULL DEFAULT 0, PRIMARY KEY ("A", "b c")) PARTITION BY LIST ("A")',
            'CREATE TABLE "S é".p1 PARTITION OF "S é"."T t" FOR VALUES IN (0, 2)',
            'CREATE TABLE "S é".p2 PARTITION OF "S é"."T t" DEFAULT',
            """INSERT INTO "S é"."T t" SELECT i % 5, i::text FROM generate_series(1, 500) i""",
        ),
        unit('ANALYZE "S é"."T t"'),
    )
    job = fill("A", "b c", name=ObjectId("table", "S é", "T t"))
    outcome, events = apply(database, made, job, terms=SMALL)
    assert outcome.status == "done", outcome
    assert one(database, 'SELECT array_agg(DISTINCT done) FROM "S é"."T t"') == [1]
    batches = [e for e in events if isinstance(e, BatchDone)]
    assert batches[0].total == 500
    assert batches[0].share == pytest.approx(7 / 500)
    assert batches[2].remaining is not None
    assert one(database, "SELECT max(reltuples) FROM pg_class WHERE relname = 'p2'") == 300


@pytest.mark.parametrize(("rows", "condition"), [("SELECT 1 WHERE false", "done = 0"), ("SELECT generate_series(1, 300)", "done = 9")])
def test_nothing_to_do(database: str, rows: str, condition: str) -> None:
    made = table("id int PRIMARY KEY, done int NOT NULL DEFAULT 0", rows)
    outcome, events = apply(database, made, fill("id", condition=condition), terms=SMALL)
    assert outcome.status == "done"
    assert [e.rows for e in events if isinstance(e, BatchDone)][-1] == 0


def test_conditions_that_end_in_a_comment_and_hold_percent_signs(database: str) -> None:
    job = fill("id", assignments="done = 10 % 9 -- one", condition="id % 2 = 1 AND done = 0 OR 'a' LIKE '%s' -- odd")
    assert apply(database, NUMBERS, job, terms=SMALL)[0].status == "done"
    assert one(database, "SELECT sum(done) FROM t") == 500


def test_without_a_key_in_the_file_the_tables_own_is_taken_and_without_any_it_is_refused(database: str) -> None:
    assert apply(database, NUMBERS, fill(), terms=SMALL)[0].status == "done"
    with connect(database) as conn:
        conn.execute("CREATE TABLE bare AS SELECT * FROM t")
    outcome, _ = apply(database, migration("003", filled(replace(T, name="bare"), (), "done = 2", "done = 1")), terms=SMALL)
    assert "public.bare has no primary key" in outcome.message
    outcome, _ = apply(database, migration("004", filled(replace(T, name="absent"), (), "done = 2", "done = 1")), terms=SMALL)
    assert "there is no table public.absent" in outcome.message
    outcome, events = apply(database, migration("005", filled(replace(T, name="bare"), ("id",), "done = 2", "done = 1")), terms=SMALL)
    assert outcome.status == "done"
    assert any(isinstance(e, Note) and "no unique index on public.bare begins with id" in e.message for e in events)


def test_a_condition_that_stays_true_ends_with_its_reason(database: str) -> None:
    outcome, _ = apply(database, NUMBERS, fill("id", condition="done >= 0"), terms=SMALL)
    assert outcome.status == "failed"
    assert "it would never end" in outcome.message


def test_without_a_condition_every_row_is_done_once(database: str) -> None:
    assert apply(database, NUMBERS, fill("id", condition="true"), terms=SMALL)[0].status == "done"
    assert one(database, "SELECT array_agg(DISTINCT done) FROM t") == [1]


def test_rows_that_come_in_meanwhile_are_not_missed(database: str) -> None:
    made = table("id int PRIMARY KEY, done int NOT NULL DEFAULT 0", "SELECT i * 10 FROM generate_series(1, 500) i")
    added = threading.Event()

    def watch(event: Event) -> None:
        if isinstance(event, BatchDone) and event.seen > 200 and not added.is_set():
            added.set()
            with connect(database) as conn:
                conn.execute("INSERT INTO t VALUES (5), (15), (100001), (100002)")
                conn.execute("UPDATE t SET done = 0 WHERE id = 20")

    outcome = runner.apply(database, [made, fill("id")], terms=SMALL, watch=watch)
    assert outcome.status == "done"
    assert one(database, "SELECT count(*) FROM t WHERE done <> 1") == 0
    assert one(database, "SELECT count(*) FROM t") == 504


def test_it_goes_on_from_its_checkpoint_and_never_twice(database: str) -> None:
    asked = iter([False] * 6 + [True])
    job = fill("id", condition="done < 9")  # would be done again if it began anew
    outcome, _ = apply(database, NUMBERS, job, terms=replace(SMALL, stop=lambda: next(asked)))
    assert (outcome.status, outcome.reason) == ("stopped", "asked")
    part = one(database, "SELECT sum(done) FROM t")
    assert isinstance(part, int)
    assert 0 < part < 1000
    assert one(database, "SELECT row_count FROM pgcharter.schema_migration_units WHERE done_at IS NULL") == part
    seen: list[int] = []

    def watch(event: Event) -> None:
        if isinstance(event, BatchDone):
            seen.append(event.seen)

    runner.apply(database, [NUMBERS, job], terms=replace(SMALL, stop=lambda: bool(seen) and seen[-1] == 1000), watch=watch)
    assert one(database, "SELECT array_agg(DISTINCT done) FROM t") == [1]
    assert seen[0] > part


def test_batches_grow_to_the_wanted_time_and_no_further(database: str) -> None:
    slow = migration(
        "001",
        unit(
            "CREATE TABLE t (id int PRIMARY KEY, done int NOT NULL DEFAULT 0)",
            "INSERT INTO t SELECT generate_series(1, 800)",
            "CREATE FUNCTION slow() RETURNS int VOLATILE LANGUAGE sql AS 'SELECT 1 FROM pg_sleep(0.001)'",
        ),
    )
    terms = replace(QUICK, pace=Pace(batch=0.1, first=2))
    outcome, events = apply(database, slow, fill("id", assignments="done = slow()"), terms=terms)
    assert outcome.status == "done"
    batches = [e for e in events if isinstance(e, BatchDone) and e.size]
    assert [b.size for b in batches[:4]] == [2, 4, 8, 16]
    assert max(b.seconds for b in batches) < 0.35
    late = [b.seconds for b in batches[6:-1]]
    assert sum(late) / len(late) > 0.05


def test_a_row_locked_by_another_is_waited_for_and_retried(database: str) -> None:
    apply(database, NUMBERS)
    with idle_in_transaction(database, "UPDATE t SET done = 5 WHERE id = 300") as other, later(0.5, other.rollback):
        outcome, events = apply(database, fill("id"), terms=replace(SMALL, deadline=5))
    assert outcome.status == "done", outcome
    assert any(isinstance(e, Retries) for e in events)
    assert one(database, "SELECT array_agg(DISTINCT done) FROM t") == [1]


def test_a_deadlock_is_tried_again(database: str) -> None:
    apply(database, NUMBERS)
    started = threading.Event()

    def other() -> None:
        with psycopg.connect(database) as conn:
            conn.execute("SET deadlock_timeout = '10s'")
            conn.execute("UPDATE t SET done = done WHERE id = 30")
            started.set()
            time.sleep(0.4)
            conn.execute("UPDATE t SET done = done WHERE id = 20")
            conn.commit()

    with meanwhile(other):
        started.wait(5)
        terms = replace(SMALL, lock_timeout=5, deadline=9, settings={"deadlock_timeout": "800ms"}, pace=replace(SMALL.pace, first=60))
        outcome, events = apply(database, fill("id"), terms=terms)
    assert outcome.status == "done", outcome
    assert any(isinstance(e, Retries) and "deadlock" in e.why for e in events)
    assert one(database, "SELECT array_agg(DISTINCT done) FROM t") == [1]


# throttle


def test_the_projects_query_pauses_and_lets_go(database: str) -> None:
    with connect(database) as conn:
        conn.execute("CREATE TABLE brake AS SELECT true AS busy")
        with later(0.8, lambda: one_write(database, "UPDATE brake SET busy = false")):
            pace = replace(SMALL.pace, query="SELECT busy FROM brake")
            outcome, events = apply(database, NUMBERS, fill("id"), terms=replace(SMALL, pace=pace))
    assert outcome.status == "done"
    (paused,) = [e for e in events if isinstance(e, Paused)]
    (resumed,) = [e for e in events if isinstance(e, Resumed)]
    assert paused.reasons == ("the project's own query says wait (1)",)
    assert resumed.paused > 0.5


def test_a_query_that_fails_pauses_too_and_the_longest_pause_ends_the_run(database: str) -> None:
    pace = replace(SMALL.pace, query="SELECT no_such_column", longest=0.3)
    outcome, _ = apply(database, NUMBERS, fill("id"), terms=replace(SMALL, pace=pace))
    assert (outcome.status, outcome.reason) == ("stopped", "strain")
    assert "no_such_column" in outcome.message


def test_sessions_that_wait_for_rows_of_the_table_pause_it(database: str) -> None:
    apply(database, NUMBERS)
    with idle_in_transaction(database, "UPDATE t SET done = 7 WHERE id = 999") as culprit:

        def wait() -> None:
            one_write(database, "UPDATE t SET done = 7 WHERE id = 999")

        with meanwhile(wait), meanwhile(wait):
            time.sleep(0.3)
            with later(0.8, culprit.rollback):
                pace = replace(SMALL.pace, lock_waits=1)
                outcome, events = apply(database, fill("id"), terms=replace(SMALL, pace=pace))
    assert outcome.status == "done", outcome
    assert [e.reasons[0] for e in events if isinstance(e, Paused)][:1] == ["2 sessions wait for locks on the table (limit 1)"]


def one_write(dsn: str, statement: str) -> None:
    with connect(dsn) as conn:
        conn.execute(statement.encode())


def test_a_standby_that_falls_behind_pauses_it(server: ServerFactory) -> None:
    primary = server(settings={"wal_level": "replica", "max_wal_senders": 4, "hot_standby": True})
    apply(primary.dsn(), NUMBERS)
    with standby(primary) as replica, connect(replica) as follower:
        follower.execute("SELECT pg_wal_replay_pause()")
        pace = replace(SMALL.pace, replica_lag=20_000, every=0.0)
        resumed = threading.Timer(1.0, lambda: follower.execute("SELECT pg_wal_replay_resume()"))
        resumed.start()
        outcome, events = apply(primary.dsn(), fill("id"), terms=replace(SMALL, pace=pace))
        resumed.join()
    assert outcome.status == "done"
    paused = [e for e in events if isinstance(e, Paused)]
    assert paused
    assert "the slowest replica is" in paused[0].reasons[0]
    assert "of WAL behind (limit 20 kB)" in paused[0].reasons[0]
    assert one(primary.dsn(), "SELECT array_agg(DISTINCT done) FROM t") == [1]


@contextlib.contextmanager
def standby(primary: Server) -> Iterator[str]:
    """A replica of `primary` on this machine, by pg_basebackup; its DSN."""
    folder = folders.private(primary.account)
    data = folder / "data"
    backup = [
        primary.installation.program("pg_basebackup"),
        "-D",
        data,
        "-d",
        primary.dsn(),
        "-R",
        "-X",
        "stream",
        "--no-sync",
        "-c",
        "fast",
    ]
    subprocess.run([str(part) for part in backup], check=True, capture_output=True, timeout=60, **primary.account.options())
    sockets = primary.account.make_folder(folder / "s")
    replica = replace(primary, data=data, folder=folder, socket_dir=sockets, process=None, lock=None, watchdog=None)
    try:
        lifecycle.launch(replica, {**lifecycle.EPHEMERAL, "listen_addresses": "", "max_wal_senders": 4})
        until = time.monotonic() + 10
        while not one(primary.dsn(), "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") and time.monotonic() < until:
            time.sleep(0.02)
        yield replica.dsn()
    finally:
        replica.stop()

"""Faults of one running server, each with the check that tells of it. They are made, looked at, and undone again."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from tests.watch.ground import Fault, Ground, until

from pgcharter.watch.model import Level

INFO, WARNING, CRITICAL = Level.INFO, Level.WARNING, Level.CRITICAL
FAULTS: list[Fault] = []
Make = Callable[[Ground], Iterator[None]]


def fault(check: str, level: Level, says: str = "", *, majors: tuple[int, ...] = (), wait: float = 0.0, quiet_after: bool = True,
          quiet_before: bool = True, **changes: Any) -> Callable[[Make], Make]:  # fmt: skip
    """Note a function as what makes a check say something. Several of these may stand over one function."""

    def add(make: Make) -> Make:
        FAULTS.append(Fault(check, level, contextmanager(make), changes, majors, says, quiet_before, quiet_after, wait))
        return make

    return add


def _setting(check: str, level: Level, changes: dict[str, Any] | None = None, **settings: str) -> None:
    def make(ground: Ground) -> Iterator[None]:
        with ground.setting(**settings):
            yield

    fault(check, level, wait=2.0, **(changes or {}))(make)


_setting("settings.fsync", CRITICAL, fsync="off")
_setting("settings.full_page_writes", CRITICAL, full_page_writes="off")
_setting("settings.autovacuum", CRITICAL, autovacuum="off")
_setting("settings.track_counts", CRITICAL, track_counts="off")
_setting("settings.dangerous", CRITICAL, ignore_checksum_failure="on")
_setting("settings.synchronous_commit", INFO, synchronous_commit="off")
_setting("settings.idle_timeout", INFO, idle_in_transaction_session_timeout="0")
_setting("settings.track_io_timing", INFO, track_io_timing="off")
_setting("settings.log_lock_waits", INFO, log_lock_waits="off")
_setting("settings.log_checkpoints", INFO, log_checkpoints="off")
_setting("settings.log_autovacuum", INFO, log_autovacuum_min_duration="-1")
_setting("settings.log_temp_files", INFO, log_temp_files="-1")
_setting("security.password_encryption", WARNING, password_encryption="md5")
_setting("server.connecting", WARNING, pre_auth_delay="1")
_setting("server.commits", WARNING, {"warn": 0.08}, commit_delay="100000", commit_siblings="0")
_setting("replication.sync_missing", CRITICAL, synchronous_standby_names="nobody")


@fault("settings.pending", WARNING, "max_connections is 30")
def _pending(ground: Ground) -> Iterator[None]:
    ground.admin.execute("ALTER SYSTEM SET max_connections = 31")
    ground.reload()
    yield
    ground.admin.execute("ALTER SYSTEM RESET max_connections")
    ground.reload()
    until(lambda: not ground.fresh("SELECT count(*) FROM pg_settings WHERE pending_restart"))


@contextmanager
def _line(path: Path, line: str) -> Iterator[None]:
    before = path.read_bytes()
    with path.open("ab") as file:
        file.write(line.encode())
    yield
    with path.open("r+b") as file:
        file.truncate(len(before))


@fault("settings.files", WARNING, "nonsense")
def _wrong_file(ground: Ground) -> Iterator[None]:
    with _line(ground.server.data / "postgresql.conf", "\nnonsense = 1\n"):
        yield


@fault("settings.hba", CRITICAL, "invalid")
def _wrong_hba(ground: Ground) -> Iterator[None]:
    with _line(ground.server.data / "pg_hba.conf", "\nlocal all all nonsense\n"):
        yield


@fault("server.reachable", CRITICAL, "no server answers")
def _nobody(ground: Ground) -> Iterator[None]:
    from pgcharter.watch.collecting import Target

    ground.target = Target("host=127.0.0.1 port=1 dbname=postgres user=nobody")
    yield
    ground.target = None


@fault("server.writes", CRITICAL, "read-only")
def _read_only(ground: Ground) -> Iterator[None]:
    ground.admin.execute(f"ALTER DATABASE {ground.database} SET default_transaction_read_only = on".encode())
    yield
    ground.admin.execute(f"ALTER DATABASE {ground.database} RESET default_transaction_read_only".encode())


@fault("server.clock", CRITICAL, "s away from ours")
def _clock(ground: Ground) -> Iterator[None]:
    from datetime import timedelta

    from pgcharter.watch import health

    ground.now = health.utc_now() + timedelta(seconds=10)
    yield
    ground.now = None


@fault("server.version_end", CRITICAL, "gets no corrections")
def _years_later(ground: Ground) -> Iterator[None]:
    from datetime import UTC, datetime

    ground.now = datetime(2031, 1, 1, tzinfo=UTC)
    yield
    ground.now = None


@fault("server.restarted", INFO, "was started", quiet_after=False, quiet_before=False)
def _just_started(ground: Ground) -> Iterator[None]:
    from datetime import timedelta

    ground.now = ground.fresh("SELECT pg_postmaster_start_time()") + timedelta(seconds=20)
    yield
    ground.now = None


# --- connections ---


@contextmanager
def _many(ground: Ground, count: int, user: str | None = None) -> Iterator[list[psycopg.Connection[Any]]]:
    with ExitStack() as stack:
        yield [stack.enter_context(ground.session(user)) for _ in range(count)]


@fault("connections.used", WARNING, "22 of 27")
@fault("connections.idle", INFO, "do nothing")
def _crowd(ground: Ground) -> Iterator[None]:
    with _many(ground, 21):
        yield


@fault("connections.none_left", CRITICAL, "0 connections are left")
@fault("connections.used", CRITICAL, "27 of 27")
def _full(ground: Ground) -> Iterator[None]:
    with _many(ground, 26):
        yield


@contextmanager
def _role(ground: Ground, name: str, options: str = "LOGIN") -> Iterator[str]:
    ground.admin.execute(f"CREATE ROLE {name} {options}".encode())
    try:
        yield name
    finally:
        ground.admin.execute(f"DROP OWNED BY {name}".encode())
        ground.admin.execute(f"DROP ROLE {name}".encode())


@fault("connections.limit", CRITICAL, "role limited has 2 of its 2")
def _limited(ground: Ground) -> Iterator[None]:
    with _role(ground, "limited", "LOGIN CONNECTION LIMIT 2 PASSWORD 'x'"), ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(psycopg.connect(ground.server.dsn(ground.database, "limited", "x")))
        yield


@fault("connections.churn", INFO, "sessions were begun", warn=20)
def _churn(ground: Ground) -> Iterator[None]:
    for _ in range(21):
        ground.run("SELECT 1")
    yield


@fault("connections.abandoned", WARNING, "lost by their clients", at_least=1, wait=5.0)
def _abandoned(ground: Ground) -> Iterator[None]:
    for _ in range(3):
        conn = psycopg.connect(ground.dsn, autocommit=True)
        pid = conn.info.backend_pid
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, conn.fileno())
        os.close(null)
        conn.close()
        until(lambda pid=pid: not ground.fresh(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}"))
    yield


@fault("connections.fatal", WARNING, "ended by errors", at_least=1, wait=5.0)
def _fatal(ground: Ground) -> Iterator[None]:
    with ground.session() as conn:
        conn.execute("SET idle_session_timeout = '1ms'")
        until(lambda: _is_gone(ground, conn))
    yield


@fault("connections.killed", WARNING, "ended by an operator", at_least=1, wait=5.0)
def _killed(ground: Ground) -> Iterator[None]:
    with ground.session() as conn:
        ground.admin.execute("SELECT pg_terminate_backend(%s)", [conn.info.backend_pid])
        until(lambda: _is_gone(ground, conn))
    yield


def _is_gone(ground: Ground, conn: psycopg.Connection[Any]) -> bool:
    return not ground.fresh(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {conn.info.backend_pid}")


# --- transactions ---


@fault("transactions.idle", CRITICAL, "(somebody)", warn=0.01, critical=0.02)
@fault("transactions.long", CRITICAL, "SELECT 1", warn=0.01, critical=0.02)
def _forgotten(ground: Ground) -> Iterator[None]:
    with ground.session() as conn:
        conn.execute("BEGIN")
        conn.execute("SELECT 1")
        time.sleep(0.03)
        yield


@fault("transactions.long_query", WARNING, "pg_sleep", warn=0.01)
def _slow(ground: Ground) -> Iterator[None]:
    with ground.waiting("SELECT pg_sleep(60)"):
        time.sleep(0.05)
        yield


@fault("transactions.horizon", WARNING, "session", warn=20)
def _old_snapshot(ground: Ground) -> Iterator[None]:
    with ground.session() as conn:
        conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        conn.execute("SELECT 1")
        ground.run(*["SELECT pg_current_xact_id()"] * 25)
        yield


@fault("transactions.prepared", CRITICAL, "forgotten one", warn=0.001, critical=0.002)
@fault("transactions.prepared_room", CRITICAL, "2 of 2")
@fault("transactions.horizon", WARNING, "prepared transaction", warn=20)
def _prepared(ground: Ground) -> Iterator[None]:
    for gid in ("forgotten one", "another"):
        ground.run("BEGIN", "SELECT pg_current_xact_id()", f"PREPARE TRANSACTION '{gid}'")
    ground.run(*["SELECT pg_current_xact_id()"] * 25)
    time.sleep(0.005)
    yield
    for gid in ("forgotten one", "another"):
        ground.admin.execute(f"ROLLBACK PREPARED '{gid}'".encode())


@fault("transactions.rollbacks", WARNING, "were rolled back", at_least=10, wait=5.0)
def _rollbacks(ground: Ground) -> Iterator[None]:
    ground.run(*["BEGIN", "SELECT 1", "ROLLBACK"] * 200)
    yield


@fault("transactions.deadlocks", WARNING, "1 deadlocks", wait=10.0)
def _deadlock(ground: Ground) -> Iterator[None]:
    with ground.session(options="-c deadlock_timeout=1h") as one:
        one.execute("BEGIN")
        one.execute("SELECT pg_advisory_xact_lock(101)")
        with ground.waiting("BEGIN", "SELECT pg_advisory_xact_lock(102)", "SELECT pg_advisory_xact_lock(101)") as two:
            until(lambda: _waits(ground, two))
            with contextlib.suppress(psycopg.Error):
                one.execute("SET LOCAL deadlock_timeout = '1ms'")
                one.execute("SELECT pg_advisory_xact_lock(102)")
    yield


def _waits(ground: Ground, conn: psycopg.Connection[Any]) -> bool:
    row = ground.admin.execute(
        "SELECT count(*) FROM pg_locks WHERE pid = %s AND NOT granted AND waitstart IS NOT NULL", [conn.info.backend_pid]
    )
    return bool((row.fetchone() or [0])[0])


# --- locks ---


@contextmanager
def _table(ground: Ground, columns: str = "id int", name: str = "thing") -> Iterator[str]:
    ground.admin.execute(f"CREATE TABLE {name} ({columns})".encode())
    try:
        yield name
    finally:
        ground.admin.execute(f"DROP TABLE IF EXISTS {name} CASCADE".encode())


@fault("locks.waiting", CRITICAL, "idle in transaction", warn=0.001, critical=0.01)
@fault("locks.blocked", WARNING, "2 sessions wait", warn=2)
def _blocked(ground: Ground) -> Iterator[None]:
    with _table(ground), ground.session() as one:
        one.execute("BEGIN")
        one.execute("LOCK TABLE thing IN ROW EXCLUSIVE MODE")
        with ground.waiting("BEGIN", "LOCK TABLE thing IN EXCLUSIVE MODE") as two, ground.waiting("INSERT INTO thing VALUES (1)") as three:
            until(lambda: _waits(ground, two) and _waits(ground, three))
            time.sleep(0.02)
            yield


@fault("locks.exclusive", CRITICAL, "1 sessions behind it", critical=0.01)
def _queue(ground: Ground) -> Iterator[None]:
    with _table(ground), ground.session() as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM thing")
        with ground.waiting("ALTER TABLE thing ADD x int") as change:
            until(lambda: _waits(ground, change))
            with ground.waiting("SELECT * FROM thing") as behind:
                until(lambda: _waits(ground, behind))
                time.sleep(0.02)
                yield


@fault("locks.room", WARNING, "locks are held")
def _many_locks(ground: Ground) -> Iterator[None]:
    with ground.session() as conn:
        conn.execute("SELECT pg_advisory_lock(i) FROM generate_series(1, 600) i")
        yield


# --- vacuum ---


@fault("vacuum.behind", WARNING, "dead rows", wait=3.0)
def _dead(ground: Ground) -> Iterator[None]:
    with _table(ground, "id int"):
        ground.run("INSERT INTO thing SELECT generate_series(1, 20000)", "ANALYZE thing", "DELETE FROM thing")
        yield


@fault("vacuum.inserts", INFO, "were inserted into public.thing", wait=3.0)
def _inserted(ground: Ground) -> Iterator[None]:
    with _table(ground, "id int"):
        ground.run("INSERT INTO thing SELECT generate_series(1, 110000)")
        yield


@fault("vacuum.never_analyzed", WARNING, "public.thing", wait=3.0)
def _unknown(ground: Ground) -> Iterator[None]:
    with _table(ground, "id int"):
        ground.run("INSERT INTO thing SELECT generate_series(1, 2000)")
        ground.run("VACUUM thing")
        yield


@fault("vacuum.statistics", WARNING, "were changed since it was analysed last", wait=3.0)
def _changed(ground: Ground) -> Iterator[None]:
    with _table(ground, "id int"):
        ground.run("INSERT INTO thing VALUES (1)", "ANALYZE thing", "INSERT INTO thing SELECT generate_series(1, 20000)")
        yield


@fault("vacuum.table_off", WARNING, "public.thing")
def _left_out(ground: Ground) -> Iterator[None]:
    with _table(ground, "id int"):
        ground.admin.execute("ALTER TABLE thing SET (autovacuum_enabled = off)")
        yield


# --- sequences, storage ---


@fault("sequences.used", CRITICAL, "95 of 100")
def _used_up(ground: Ground) -> Iterator[None]:
    ground.admin.execute('CREATE SEQUENCE "Numbers" MAXVALUE 100')
    ground.admin.execute("SELECT setval('\"Numbers\"', 95)")
    yield
    ground.admin.execute('DROP SEQUENCE "Numbers"')


@fault("sequences.column", CRITICAL, "public.thing.id is integer")
def _narrow(ground: Ground) -> Iterator[None]:
    with _table(ground):
        ground.admin.execute("CREATE SEQUENCE wide OWNED BY thing.id")
        ground.admin.execute("SELECT setval('wide', 2000000000)")
        yield


@fault("storage.temporary", WARNING, "of temporary files", warn=100_000, critical=None, wait=3.0)
def _spill(ground: Ground) -> Iterator[None]:
    ground.run("SET work_mem = '64kB'", "SELECT count(*) FROM (SELECT i FROM generate_series(1, 50000) i ORDER BY i DESC) s")
    yield


@fault("storage.temporary_now", WARNING, "pgsql_tmp", warn=1000)
def _temporary(ground: Ground) -> Iterator[None]:
    with ground.session() as conn:
        conn.execute("SET work_mem = '64kB'")
        conn.execute("BEGIN")
        conn.execute("DECLARE c CURSOR FOR SELECT i FROM generate_series(1, 50000) i ORDER BY md5(i::text)")
        conn.execute("FETCH 1 FROM c")
        yield


@fault("storage.checkpoints", WARNING, "% of checkpoints", wait=3.0)
def _checkpoints(ground: Ground) -> Iterator[None]:
    ground.run(*["CHECKPOINT"] * 5)
    yield


def _log(ground: Ground, megabytes: int) -> None:
    """Write so much log."""
    ground.run(*["SELECT pg_logical_emit_message(false, 'x', repeat('x', 1000000))"] * megabytes, "SELECT pg_switch_wal()")


@fault("storage.checkpoint_distance", WARNING, "of log replayed", wait=5.0)
def _stuck_checkpointer(ground: Ground) -> Iterator[None]:
    pid = ground.fresh("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
    ground.run("CHECKPOINT")
    os.kill(pid, signal.SIGSTOP)
    try:
        _log(ground, 70)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
    ground.run("CHECKPOINT")


@fault("storage.cache", INFO, "were not in shared buffers", at_least=10, wait=3.0, quiet_after=False)
def _cold(ground: Ground) -> Iterator[None]:
    with psycopg.connect(ground.server.dsn("cold"), autocommit=True) as conn:
        conn.execute("SELECT count(*) FROM pg_depend, LATERAL (SELECT 1) x")
    yield


@fault("slots.inactive", WARNING, "nobody reads slot", warn=0.001, critical=1000)
@fault("slots.unlimited", WARNING, "there are 1 slots")
@fault("slots.retained", WARNING, "there is no limit", warn=30_000_000, critical=None)
@fault("storage.wal", WARNING, "% of max_wal_size", wait=5.0)
@fault("transactions.horizon", WARNING, "replication slot", warn=20)
def _forgotten_slot(ground: Ground) -> Iterator[None]:
    ground.admin.execute("SELECT pg_create_logical_replication_slot('forgotten', 'pgoutput')")
    ground.run(*["SELECT pg_current_xact_id()"] * 25)
    _log(ground, 66)
    yield
    ground.admin.execute("SELECT pg_drop_replication_slot('forgotten')")
    ground.run("CHECKPOINT")
    _log(ground, 1)
    ground.run("CHECKPOINT")


@fault("slots.retained_percent", WARNING, "% of what it may", wait=2.0, critical=1000)
def _near_its_limit(ground: Ground) -> Iterator[None]:
    with ground.setting(max_slot_wal_keep_size="64MB"):
        ground.admin.execute("SELECT pg_create_physical_replication_slot('slow', true)")
        _log(ground, 40)
        yield
        ground.admin.execute("SELECT pg_drop_replication_slot('slow')")


@fault("slots.lost", CRITICAL, "slot lagging is lost", wait=5.0)
@fault("slots.conflicting", CRITICAL, "wal_removed", majors=(18,), wait=5.0)
def _lost(ground: Ground) -> Iterator[None]:
    with ground.setting(max_slot_wal_keep_size="16MB"):
        ground.admin.execute("SELECT pg_create_physical_replication_slot('lagging', true)")
        _log(ground, 80)
        ground.run("CHECKPOINT")
        yield
        ground.admin.execute("SELECT pg_drop_replication_slot('lagging')")


@fault("slots.room", WARNING, "8 of 10")
def _many_slots(ground: Ground) -> Iterator[None]:
    ground.admin.execute("SELECT pg_create_physical_replication_slot('s' || i) FROM generate_series(1, 8) i")
    yield
    ground.admin.execute("SELECT pg_drop_replication_slot('s' || i) FROM generate_series(1, 8) i")


@fault("replication.senders", WARNING, "8 of 10")
def _many_senders(ground: Ground) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(psycopg.connect(ground.server.dsn(), replication="true", autocommit=True))
        yield


@fault("replication.state", WARNING, "standby behind is in state", wait=3.0)
def _catching_up(ground: Ground) -> Iterator[None]:
    here = str(ground.fresh("SELECT pg_current_wal_lsn()"))
    ground.admin.execute("SELECT pg_create_physical_replication_slot('behind', true)")
    _log(ground, 30)
    with psycopg.connect(ground.server.dsn(), replication="true", autocommit=True, application_name="behind") as conn:
        high, low = here.split("/")
        conn.pgconn.send_query(f"START_REPLICATION SLOT behind PHYSICAL {high}/{int(low, 16) // (16 << 20) * (16 << 20):X}".encode())
        yield
        ground.admin.execute("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'behind'")
        until(lambda: not ground.fresh("SELECT count(*) FROM pg_replication_slots WHERE active"))
        conn.pgconn.finish()
    ground.admin.execute("SELECT pg_drop_replication_slot('behind')")


# --- security ---


@fault("security.md5", WARNING, "role old_hand")
def _md5(ground: Ground) -> Iterator[None]:
    with _role(ground, "old_hand", "LOGIN PASSWORD 'md5aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'"):
        yield


@fault("security.expiring", WARNING, "role leaver")
def _expiring(ground: Ground) -> Iterator[None]:
    with _role(ground, "leaver", f"LOGIN VALID UNTIL '{ground.fresh('SELECT now() + interval $$3 days$$')}'"):
        yield


@fault("security.expiring", CRITICAL, "role gone")
def _expired(ground: Ground) -> Iterator[None]:
    with _role(ground, "gone", f"LOGIN VALID UNTIL '{ground.fresh('SELECT now() - interval $$1 days$$')}'"):
        yield


# --- objects ---


@fault("objects.invalid_index", WARNING, "index public.one of public.thing")
def _invalid(ground: Ground) -> Iterator[None]:
    with _table(ground):
        ground.admin.execute("INSERT INTO thing VALUES (1), (1)")
        with contextlib.suppress(psycopg.errors.UniqueViolation):
            ground.admin.execute("CREATE UNIQUE INDEX CONCURRENTLY one ON thing (id)")
        yield


@fault("objects.leftover_index", WARNING, "thing_id_ccnew")
def _leftover(ground: Ground) -> Iterator[None]:
    with _table(ground):
        ground.admin.execute("CREATE INDEX thing_id ON thing (id)")
        with ground.session() as reader, contextlib.suppress(psycopg.Error):
            reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            reader.execute("SELECT * FROM thing")
            with ground.session() as conn:
                conn.execute("SET statement_timeout = '100ms'")
                conn.execute("REINDEX INDEX CONCURRENTLY thing_id")
        yield


@fault("objects.not_valid", WARNING, "constraint positive of public.thing")
def _not_valid(ground: Ground) -> Iterator[None]:
    with _table(ground):
        ground.admin.execute("ALTER TABLE thing ADD CONSTRAINT positive CHECK (id > 0) NOT VALID")
        yield


@fault("objects.trigger_off", WARNING, "trigger keeps of public.thing")
def _trigger_off(ground: Ground) -> Iterator[None]:
    with _table(ground):
        ground.admin.execute(
            "CREATE TRIGGER keeps BEFORE UPDATE ON thing FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"
        )
        ground.admin.execute("ALTER TABLE thing DISABLE TRIGGER keeps")
        yield


@fault("objects.foreign_key_off", CRITICAL, "foreign key part_of")
def _key_off(ground: Ground) -> Iterator[None]:
    with _table(ground, "id int PRIMARY KEY", "whole"), _table(ground, "id int CONSTRAINT part_of REFERENCES whole"):
        ground.admin.execute("ALTER TABLE thing DISABLE TRIGGER ALL")
        yield


@fault("objects.event_trigger_off", WARNING, "event trigger looks")
def _event_off(ground: Ground) -> Iterator[None]:
    ground.admin.execute("CREATE FUNCTION looks() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'")
    ground.admin.execute("CREATE EVENT TRIGGER looks ON ddl_command_end EXECUTE FUNCTION looks()")
    ground.admin.execute("ALTER EVENT TRIGGER looks DISABLE")
    yield
    ground.admin.execute("DROP FUNCTION looks() CASCADE")


@fault("objects.unlogged", INFO, "public.thing")
def _unlogged(ground: Ground) -> Iterator[None]:
    with _table(ground):
        ground.admin.execute("ALTER TABLE thing SET UNLOGGED")
        yield


@fault("objects.unpopulated", WARNING, "public.empty")
def _unpopulated(ground: Ground) -> Iterator[None]:
    ground.admin.execute("CREATE MATERIALIZED VIEW empty AS SELECT 1 AS x WITH NO DATA")
    yield
    ground.admin.execute("DROP MATERIALIZED VIEW empty")


@fault("objects.extension_outdated", WARNING, "pg_trgm is 1.3", majors=(15, 17, 18))
def _old_extension(ground: Ground) -> Iterator[None]:
    ground.admin.execute("CREATE EXTENSION pg_trgm VERSION '1.3'")
    yield
    ground.admin.execute("DROP EXTENSION pg_trgm")


@fault("objects.collation_changed", CRITICAL, "was 1.0", majors=(15,))
def _other_rules(ground: Ground) -> Iterator[None]:
    ground.admin.execute("CREATE COLLATION sorted (provider = icu, locale = 'und')")
    with _table(ground, "name text COLLATE sorted PRIMARY KEY"):
        ground.admin.execute("UPDATE pg_collation SET collversion = '1.0' WHERE collname = 'sorted'")
        yield
    ground.admin.execute("DROP COLLATION sorted")


@fault("objects.broken_database", WARNING, "dropping database half")
def _half(ground: Ground) -> Iterator[None]:
    ground.admin.execute("CREATE DATABASE half TEMPLATE template0")
    ground.admin.execute("UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'half'")
    yield
    ground.admin.execute("DROP DATABASE half")


_PARTITION = """
DO $$ BEGIN EXECUTE format('CREATE TABLE m{number} PARTITION OF months FOR VALUES FROM (%L) TO (%L)',
    date_trunc('month', now()) + interval '{low} months', date_trunc('month', now()) + interval '{high} months'); END $$
"""


def _months(ground: Ground, first: int, last: int) -> None:
    ground.admin.execute("CREATE TABLE months (at timestamptz NOT NULL, n int) PARTITION BY RANGE (at)")
    for month in range(first, last + 1):
        ground.admin.execute(_PARTITION.format(number=month - first, low=month, high=month + 1).encode())


@fault("objects.partitions_ahead", CRITICAL, "0 of them ahead")
def _last_partition(ground: Ground) -> Iterator[None]:
    _months(ground, -1, 0)
    yield
    ground.admin.execute("DROP TABLE months")


@fault("objects.partitions_ahead", WARNING, "1 of them ahead")
def _one_ahead(ground: Ground) -> Iterator[None]:
    _months(ground, -1, 1)
    yield
    ground.admin.execute("DROP TABLE months")


@fault("objects.default_rows", WARNING, "public.others", wait=3.0)
def _in_default(ground: Ground) -> Iterator[None]:
    _months(ground, 0, 3)
    ground.admin.execute("CREATE TABLE others PARTITION OF months DEFAULT")
    ground.run("INSERT INTO months VALUES ('1999-01-01', 1)")
    yield
    ground.admin.execute("DROP TABLE months")


@fault("objects.detaching", WARNING, "half detached: ")
def _detaching(ground: Ground) -> Iterator[None]:
    _months(ground, 0, 3)
    with ground.session() as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM months")
        with ground.session() as conn, contextlib.suppress(psycopg.errors.QueryCanceled):
            conn.execute("SET statement_timeout = '100ms'")
            conn.execute("ALTER TABLE months DETACH PARTITION m1 CONCURRENTLY")
    yield
    ground.admin.execute("DROP TABLE months, m1")

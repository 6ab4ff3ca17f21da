"""The runner under load, blocked, interrupted, misled, on real servers."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest
from tests.conftest import MAJORS, every_major
from tests.later import later
from tests.migrate import scenario
from tests.migrate.scenario import migration, unit

from pgcharter.db import connect
from pgcharter.errors import PgcharterError, RefusedError, UsageError
from pgcharter.migrate import ledger, lock, losses, runner
from pgcharter.migrate.blockers import Beside, head
from pgcharter.migrate.model import Migration, Unit
from pgcharter.migrate.terms import Pace, Terms, Window
from pgcharter.migrate.watch import Advances, Backend, Event, Finished, Note, Planned, Retries, RunnerWaits, Terminated, UnitDone, Waits
from pgcharter.names import ObjectId
from pgcharter.servers.lifecycle import Server

oldest_and_newest = pytest.mark.parametrize("major", [MAJORS[0], MAJORS[-1]], ids=lambda major: f"pg{major}")
QUICK = Terms(lock_timeout=0.2, deadline=1.5, wait=5)
BASE = migration("001", unit("CREATE TABLE t (id int PRIMARY KEY, n int)", "INSERT INTO t SELECT i, i % 2 FROM generate_series(1, 100) i"))
INDEX = migration("002", unit("CREATE UNIQUE INDEX CONCURRENTLY t_n_key ON t (n)", alone=True))


def apply(dsn: str, *migrations: Migration, terms: Terms = QUICK, **more: object) -> tuple[runner.Outcome, list[Event]]:
    events: list[Event] = []
    return runner.apply(dsn, migrations, terms=terms, watch=events.append, **more), events  # type: ignore[arg-type]


def one(dsn: str, query: str) -> object:
    with connect(dsn) as conn:
        row = conn.execute(query.encode()).fetchone()
        return row[0] if row else None


@contextlib.contextmanager
def idle_in_transaction(dsn: str, *statements: str) -> Iterator[psycopg.Connection]:
    conn = psycopg.connect(dsn, application_name="the culprit")
    for statement in statements:
        conn.execute(statement.encode())
    try:
        yield conn
    finally:
        with contextlib.suppress(psycopg.Error):
            conn.close()


@contextlib.contextmanager
def meanwhile(work: Callable[[], object]) -> Iterator[None]:
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join(30)
        assert not thread.is_alive()


# one runner at a time


def test_two_runners_take_turns_and_the_second_says_who_is_at_work(database: str) -> None:
    with scenario.stopped(database, "before alone:1") as first:
        with pytest.raises(PgcharterError, match=r"another runner is at work .* pid \d+ \(user .*, pgcharter migrate lock"):
            apply(database, *scenario.SCENARIO, terms=replace(QUICK, wait=0.3))
        os.kill(first.pid or 0, signal.SIGCONT)
        outcome, events = apply(database, *scenario.SCENARIO, terms=replace(scenario.TERMS, wait=30))
        first.join(30)
    assert first.exitcode == 0
    assert isinstance(events[0], RunnerWaits)
    assert events[0].holders[0].application.startswith("pgcharter migrate")
    assert outcome.message == "nothing to do"


def test_a_waiting_runner_does_not_hold_up_a_concurrent_build(database: str) -> None:
    apply(database, BASE)
    holder = connect(database)
    holder.execute("SELECT pg_advisory_lock(%s, 0)", (lock.RUNNER,))
    with meanwhile(lambda: apply(database, INDEX, terms=replace(QUICK, wait=20))):
        time.sleep(0.4)
        with connect(database) as conn:
            began = time.monotonic()
            conn.execute("SET statement_timeout = '5s'")
            conn.execute("CREATE INDEX CONCURRENTLY other ON t (n)")
            assert time.monotonic() - began < 3
            waiting = conn.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone()
            assert waiting == (0,)
        holder.close()


def test_a_lock_whose_connection_died_stops_before_the_next_unit(database: str) -> None:
    kill = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND classid::int8 = {lock.RUNNER}"
    two = migration("002", unit("CREATE TABLE a ()"), unit("CREATE TABLE b ()"))

    def watch(event: Event) -> None:
        if isinstance(event, UnitDone) and event.migration is two and event.number == 0:
            one(database, kill)

    outcome = runner.apply(database, [BASE, two], terms=QUICK, watch=watch)
    assert (outcome.status, outcome.number) == ("failed", 1)
    assert "holds the runner's lock is lost" in outcome.message
    assert one(database, "SELECT to_regclass('b')") is None
    assert apply(database, BASE, two)[0].status == "done"


# locks and load


@oldest_and_newest
def test_a_blocker_is_seen_retried_named_and_left_alone(database: str, major: int) -> None:
    apply(database, BASE)
    change = migration("002", unit("ALTER TABLE t ADD COLUMN x int"))
    with idle_in_transaction(database, "UPDATE t SET n = 77 WHERE id = 1 /* secret */") as culprit:
        outcome, events = apply(database, change)
        assert culprit.execute("SELECT 1").fetchone() == (1,)
        pid = culprit.info.backend_pid
    assert (outcome.status, outcome.reason) == ("failed", "lock")
    (blocker,) = outcome.blockers
    assert (blocker.pid, blocker.application, blocker.state, blocker.lock) == (
        pid,
        "the culprit",
        "idle in transaction",
        "ROW EXCLUSIVE on t",
    )
    assert blocker.query == "UPDATE t SET n = ? WHERE id = ?"
    assert f"pid {pid}" in outcome.message
    assert f"pg_terminate_backend({pid})" in outcome.hint
    assert sum(isinstance(e, Retries) for e in events) >= 2
    assert any(isinstance(e, Waits) for e in events)
    assert one(database, "SELECT outcome FROM pgcharter.schema_migrations WHERE version = '002'") == "failed"
    assert apply(database, change)[0].status == "done"


def test_a_blocker_is_ended_only_on_demand(database: str) -> None:
    apply(database, BASE)
    with idle_in_transaction(database, "LOCK TABLE t IN ACCESS SHARE MODE") as culprit:
        change = migration("002", unit("ALTER TABLE t ADD COLUMN x int"))
        outcome, events = apply(database, change, terms=replace(QUICK, terminate_blockers=True, deadline=10))
        assert outcome.status == "done"
        ended = [e.session.pid for e in events if isinstance(e, Terminated)]
        assert ended == [culprit.info.backend_pid]
        with pytest.raises(psycopg.OperationalError):
            culprit.execute("SELECT 1")


def test_a_prepared_transaction_is_named(server_of: Callable[[int | None], Server], server: Callable[..., Server]) -> None:
    own = server(settings={"max_prepared_transactions": 2})
    apply(own.dsn(), BASE)
    with connect(own.dsn()) as conn:
        conn.execute("BEGIN; LOCK TABLE t IN ACCESS SHARE MODE; PREPARE TRANSACTION 'forgotten'")
        outcome, _ = apply(own.dsn(), migration("002", unit("ALTER TABLE t ADD COLUMN x int")))
        conn.execute("ROLLBACK PREPARED 'forgotten'")
    assert "prepared transaction forgotten with ACCESS SHARE on t" in outcome.message


def test_a_blocker_once_seen_is_named_though_the_wait_ended_before_the_last_look(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    apply(database, BASE)
    seen, ask = [], Beside.blockers

    def late(self: Beside, pid: int) -> tuple[Backend, ...] | None:
        found = ask(self, pid)
        if found:
            seen.append(found)
        return () if found and len(seen) > 1 else found

    monkeypatch.setattr(Beside, "blockers", late)
    with idle_in_transaction(database, "LOCK TABLE t IN ACCESS SHARE MODE") as culprit:
        pid = culprit.info.backend_pid
        outcome, _ = apply(database, migration("002", unit("ALTER TABLE t ADD COLUMN x int")))
    assert len(seen) > 1
    assert f"pid {pid}" in outcome.message


def test_nobody_waits_longer_than_the_lock_timeout(database: str) -> None:
    apply(database, BASE)
    waits: list[float] = []
    over = threading.Event()

    def load() -> None:
        with psycopg.connect(database, autocommit=True) as conn:
            while not over.is_set():
                began = time.monotonic()
                conn.execute("UPDATE t SET n = n + 1 WHERE id = 2")
                waits.append(time.monotonic() - began)
                time.sleep(0.005)

    with meanwhile(load), idle_in_transaction(database, "SELECT * FROM t"):
        outcome, _ = apply(database, migration("002", unit("ALTER TABLE t ADD COLUMN x int")), terms=replace(QUICK, lock_timeout=0.3))
        over.set()
    assert outcome.reason == "lock"
    assert max(waits) > 0.2
    assert max(waits) < 0.6
    assert sorted(waits)[len(waits) // 2] < 0.1


def test_a_file_cannot_wait_longer_than_the_terms_allow(database: str) -> None:
    apply(database, BASE)
    with idle_in_transaction(database, "SELECT * FROM t"):
        began = time.monotonic()
        outcome, _ = apply(
            database, migration("002", unit("SET lock_timeout = 0", "ALTER TABLE t ADD COLUMN x int")), terms=replace(QUICK, deadline=0.1)
        )
    assert outcome.reason == "lock"
    assert time.monotonic() - began < 3


def test_waits_for_several_locks_count_together(database: str) -> None:
    apply(database, BASE, migration("0011", unit("CREATE TABLE u ()")))
    with (
        idle_in_transaction(database, "SELECT * FROM t") as first,
        idle_in_transaction(database, "SELECT * FROM u"),
        later(0.4, first.rollback),
    ):
        began = time.monotonic()
        change = migration("002", unit("ALTER TABLE t ADD COLUMN x int", "ALTER TABLE u ADD COLUMN x int"))
        outcome, _ = apply(database, change, terms=replace(QUICK, lock_timeout=0.7, deadline=0.1))
        taken = time.monotonic() - began
    assert outcome.reason == "lock"
    assert taken < 1.1 + 0.35  # 0.4 behind the first and 0.7 behind the second would be 1.1 and the start


# concurrent builds


@every_major
def test_duplicates_leave_no_invalid_index_and_the_next_run_builds_it(database: str, major: int) -> None:
    outcome, events = apply(database, BASE, INDEX)
    assert (outcome.status, outcome.sqlstate) == ("failed", "23505")
    assert "Key (n)=" in outcome.hint
    assert one(database, "SELECT to_regclass('t_n_key')") is None
    assert any(isinstance(e, Note) and "DROP INDEX CONCURRENTLY public.t_n_key" in e.message for e in events)
    with connect(database) as conn:
        conn.execute("UPDATE t SET n = id")
    assert apply(database, BASE, INDEX)[0].status == "done"
    assert one(database, "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_n_key'::regclass") is True


@pytest.mark.parametrize("clause", ["", "IF NOT EXISTS "])
def test_an_invalid_index_is_built_again_not_kept(database: str, clause: str) -> None:
    apply(database, BASE)
    with connect(database) as conn:
        with pytest.raises(psycopg.errors.UniqueViolation):
            conn.execute("CREATE UNIQUE INDEX CONCURRENTLY t_n_key ON t (n)")
        conn.execute("UPDATE t SET n = id")
    again = migration("002", unit(f"CREATE UNIQUE INDEX CONCURRENTLY {clause}t_n_key ON public.t (n)", alone=True))
    (planned,) = apply(database, again, terms=replace(QUICK, dry_run=True))[0].planned
    assert "DROP INDEX CONCURRENTLY public.t_n_key" in planned.statements
    assert apply(database, again)[0].status == "done"
    assert one(database, "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_n_key'::regclass") is True


def test_a_valid_index_is_taken_as_done_when_it_is_the_same_only(database: str) -> None:
    apply(database, BASE)
    with connect(database) as conn:
        conn.execute("CREATE INDEX i ON t (n DESC) INCLUDE (id) WHERE n > 0")
        oid = conn.execute("SELECT 'i'::regclass::oid").fetchone()
    same = migration("002", unit('create index concurrently i on "t" using btree (n desc) include (id) where (n>0)', alone=True))
    other = migration("003", unit("CREATE INDEX CONCURRENTLY i ON t (n)", alone=True))
    outcome, events = apply(database, same)
    assert outcome.status == "done"
    assert any(isinstance(e, UnitDone) and "valid and of this definition" in e.found for e in events)
    assert (one(database, "SELECT 'i'::regclass::oid"),) == oid
    outcome, _ = apply(database, other)
    assert outcome.status == "failed"
    assert "index public.i is there with another definition" in outcome.message


def test_a_build_waits_for_old_transactions_longer_than_the_lock_timeout_and_shows_them(database: str) -> None:
    apply(database, BASE)
    with idle_in_transaction(database, "UPDATE t SET n = n WHERE id = 1") as old:
        plain = migration("002", unit("CREATE INDEX CONCURRENTLY i ON t (n)", alone=True))
        with later(0.9, old.commit):
            outcome, events = apply(database, plain)
        pid = old.info.backend_pid
    assert outcome.status == "done"
    assert pid in {b.pid for e in events if isinstance(e, Waits) for b in e.blockers}
    assert not any(isinstance(e, Retries) for e in events)


def test_progress_of_a_build_is_shown_and_its_limit_ends_it_cleanly(database: str) -> None:
    slow = "CREATE FUNCTION slow(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM pg_sleep(0.02); RETURN i; END $$"
    apply(database, BASE, migration("0011", unit(slow)))
    build = migration("002", unit("CREATE INDEX CONCURRENTLY i ON t (slow(n))", alone=True))
    outcome, events = apply(database, build, terms=replace(QUICK, alone_timeout=1.0))
    assert (outcome.status, outcome.sqlstate) == ("failed", "57014")
    shown = [e for e in events if isinstance(e, Advances)]
    assert shown
    assert (shown[0].command, shown[0].relation) == ("create index", "t")
    assert one(database, "SELECT to_regclass('i')") is None


@pytest.mark.parametrize(
    "statement", ["DROP INDEX CONCURRENTLY absent", "ALTER TABLE t DETACH PARTITION absent CONCURRENTLY", "VACUUM absent"]
)
def test_a_statement_that_failed_is_not_taken_as_done_by_the_next_run(database: str, statement: str) -> None:
    wrong = migration("002", unit(statement, alone=True))
    assert [apply(database, BASE, wrong)[0].status for _ in range(3)] == ["failed"] * 3


def test_a_detach_that_was_cancelled_half_way_is_finished(database: str) -> None:
    made = migration("001", unit("CREATE TABLE p (id int) PARTITION BY LIST (id)", "CREATE TABLE c PARTITION OF p FOR VALUES IN (1)"))
    detach = migration("002", unit("ALTER TABLE p DETACH PARTITION c CONCURRENTLY", alone=True))
    with idle_in_transaction(database, "SELECT 1"):
        apply(database, made)
    with idle_in_transaction(database, "SELECT * FROM p"):
        outcome, _ = apply(database, detach, terms=replace(QUICK, alone_timeout=0.5))
        assert (outcome.status, one(database, "SELECT inhdetachpending FROM pg_inherits")) == ("failed", True)
    assert apply(database, detach)[0].status == "done"
    assert one(database, "SELECT count(*) FROM pg_inherits") == 0


@pytest.mark.parametrize("statement", ["REINDEX TABLE CONCURRENTLY t", "CREATE INDEX CONCURRENTLY ON t (n)"])
def test_what_could_not_be_cleared_away_at_once_is_by_the_next_run(database: str, statement: str) -> None:
    invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
    work = migration("002", unit(statement, alone=True))
    apply(database, BASE)
    with idle_in_transaction(database, "UPDATE t SET n = n WHERE id = 1") as old:
        outcome, events = apply(database, work, terms=replace(QUICK, alone_timeout=1.5))
        assert (outcome.status, outcome.reason) == ("failed", "lock")
        assert f"ran longer than 1.5 s, behind pid {old.info.backend_pid}" in outcome.message
        assert any(isinstance(e, Note) and "still there" in e.message for e in events)
        assert one(database, invalid) == 1
    assert apply(database, work)[0].status == "done"
    assert one(database, invalid) == 0


# settings, failures, resuming


def test_nothing_that_a_migration_sets_reaches_the_next(database: str) -> None:
    with connect(database) as conn:
        conn.execute("CREATE SCHEMA app; CREATE ROLE pgc_other; GRANT ALL ON SCHEMA app, public TO pgc_other")
    try:
        loud = migration(
            "001",
            unit("SET search_path = app", "SET work_mem = '64MB'", "SET ROLE pgc_other", "CREATE TABLE mine ()"),
            unit("SET default_transaction_isolation = 'serializable'", "CREATE TEMP TABLE left_over ()", "PREPARE p AS SELECT 1"),
        )
        names = "('search_path', 'work_mem', 'default_transaction_isolation', 'lock_timeout')"
        state = (
            "CREATE TABLE state AS SELECT current_user, to_regclass('left_over') AS there, name, setting FROM pg_settings WHERE name IN "
        )
        quiet = migration("002", unit(state + names), unit("CREATE TABLE seen AS SELECT count(*) FROM pg_prepared_statements"))
        outcome, _ = apply(database, loud, quiet, terms=replace(QUICK, settings={"maintenance_work_mem": "70MB"}))
        assert outcome.status == "done", outcome
        with connect(database) as conn:
            found = conn.execute("SELECT DISTINCT current_user::text, there FROM state").fetchall()
            assert found == [(conn.info.user, None)]
            now = dict(conn.execute("SELECT name, setting FROM state").fetchall())
            assert now.pop("default_transaction_isolation") == "read committed"
            assert now == {"search_path": '"$user", public', "work_mem": "4096", "lock_timeout": "200"}
            assert conn.execute("SELECT * FROM seen").fetchone() == (0,)
            owner = conn.execute("SELECT relowner::regrole::text FROM pg_class WHERE oid = 'app.mine'::regclass").fetchone()
            assert owner == ("pgc_other",)
            assert set(conn.execute("SELECT run_by FROM pgcharter.schema_migrations").fetchall()) == {(conn.info.user,)}
    finally:
        with connect(database) as conn:
            conn.execute("DROP OWNED BY pgc_other CASCADE; DROP ROLE pgc_other")


def test_a_failure_in_the_middle_says_what_is_applied_and_goes_on_after_the_file_is_mended(database: str) -> None:
    first, second = unit("CREATE SCHEMA app", "SET search_path = app"), unit("CREATE TABLE a ()")
    bad = migration("002", first, second, unit("CREATE TABLE c ()", "CREATE TABLE b (x\n  no_such_type)"))
    good = migration("002", first, second, unit("CREATE TABLE c ()", "CREATE TABLE b (x int)"))
    outcome, _ = apply(database, BASE, bad, migration("003", unit("CREATE TABLE later ()")))
    assert (outcome.status, outcome.reason, outcome.number, outcome.units) == ("failed", "statement", 2, 3)
    assert [m.version for m in outcome.applied] == ["001"]
    assert outcome.place == "002.sql:6"
    assert "2 of the 3 units of 002 step_002 are done" in outcome.message
    assert "correct the file" in outcome.hint
    assert one(database, "SELECT to_regclass('app.c')") is None
    edited = migration("002", replace(first, statements=("CREATE SCHEMA app",)), second)
    with pytest.raises(RefusedError, match="unit 1, which is done, is not what the file says now"):
        apply(database, BASE, edited)
    assert apply(database, BASE, good)[0].status == "done"
    assert one(database, "SELECT to_regclass('app.b')::text") == "app.b"  # its search_path was set again


def test_a_lost_server_session_is_said_and_taken_up(database: str) -> None:
    end = migration("002", unit("CREATE TABLE a ()"), unit("CREATE TABLE b ()", "SELECT pg_terminate_backend(pg_backend_pid())"))
    outcome, _ = apply(database, BASE, end)
    assert (outcome.status, outcome.reason, outcome.number) == ("failed", "server", 1)
    assert "the server ended the connection" in outcome.message
    assert one(database, "SELECT to_regclass('b')") is None
    mended = migration("002", unit("CREATE TABLE a ()"), unit("CREATE TABLE b ()"))
    assert apply(database, BASE, mended)[0].status == "done"


def test_a_full_disk_is_told_apart(database: str) -> None:
    outcome, _ = apply(database, migration("001", unit("DO $$ BEGIN RAISE disk_full; END $$")))
    assert (outcome.reason, outcome.sqlstate) == ("disk", "53100")


def test_ctrl_c_cancels_rolls_back_and_can_be_resumed(database: str) -> None:
    apply(database, BASE)
    change = migration("002", unit("CREATE TABLE a ()"), unit("ALTER TABLE t ADD COLUMN x int"))

    def watch(event: Event) -> None:
        if isinstance(event, Waits):
            raise KeyboardInterrupt

    with idle_in_transaction(database, "SELECT * FROM t"):
        outcome = runner.apply(database, [change], terms=QUICK, watch=watch)
        assert (outcome.status, outcome.number) == ("interrupted", 1)
        assert one(database, "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pgcharter migrate%'") == 0
    assert apply(database, change)[0].status == "done"


def test_ctrl_c_in_a_build_says_what_stays_and_the_next_run_takes_it_away(database: str) -> None:
    apply(database, BASE)
    build = migration("002", unit("CREATE INDEX CONCURRENTLY t_n ON t (n)", alone=True))

    def watch(event: Event) -> None:
        if isinstance(event, Waits):
            raise KeyboardInterrupt

    with idle_in_transaction(database, "UPDATE t SET n = 7"):
        outcome = runner.apply(database, [build], terms=QUICK, watch=watch)
    assert outcome.status == "interrupted"
    assert "stays unused until the next run takes it away" in outcome.message
    assert one(database, "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_n'::regclass") is False
    assert apply(database, build)[0].status == "done"
    assert one(database, "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_n'::regclass") is True


def test_copy_from_stdin_is_refused_not_waited_for(database: str) -> None:
    outcome, _ = apply(database, BASE, migration("002", unit("COPY t FROM STDIN")))
    assert (outcome.status, outcome.sqlstate) == ("failed", "57014")
    assert "standard input" in outcome.message


def test_a_procedure_that_commits_is_not_run_twice_without_leave(database: str) -> None:
    define = unit("CREATE PROCEDURE twice() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO t VALUES (1000); COMMIT; PERFORM pg_sleep(9); END $$")
    call = migration("002", define, unit("CALL twice()", alone=True))
    outcome, _ = apply(database, BASE, call, terms=replace(QUICK, alone_timeout=0.3))
    assert outcome.status == "failed"
    outcome, _ = apply(database, BASE, call)
    assert (outcome.status, outcome.reason) == ("failed", "begun")
    assert "nobody can know" in outcome.message
    assert "--repeat-begun" in outcome.hint
    with connect(database) as conn:
        conn.execute("CREATE OR REPLACE PROCEDURE twice() LANGUAGE sql AS 'UPDATE t SET n = 1000'")
    assert apply(database, BASE, call, terms=replace(QUICK, repeat_begun=True))[0].status == "done"


def test_deferred_constraints_are_checked_inside_the_unit(database: str) -> None:
    late = unit("CREATE TABLE c (t int REFERENCES t DEFERRABLE INITIALLY DEFERRED)", "INSERT INTO c VALUES (12345)")
    outcome, _ = apply(database, BASE, migration("002", late))
    assert (outcome.status, outcome.sqlstate) == ("failed", "23503")
    assert one(database, "SELECT to_regclass('c')") is None


# directions, gates, window, production, dry run


def test_back_and_forth(database: str) -> None:
    both = migration("001", unit("CREATE TABLE a ()"), down=(unit("DROP TABLE a"),))
    assert apply(database, both, direction="down")[0].message == "nothing to do"
    assert apply(database, both)[0].status == "done"
    assert apply(database, both, direction="down")[0].message == "applied: 1"
    assert apply(database, both, direction="down")[0].message == "nothing to do"
    assert one(database, "SELECT to_regclass('a')") is None
    assert apply(database, both)[0].message == "applied: 1"


def test_half_way_up_is_not_taken_for_a_start_down(database: str) -> None:
    half = migration("001", unit("CREATE TABLE a ()"), unit("SELECT 1/0"), down=(unit("DROP TABLE a"),))
    apply(database, half)
    with pytest.raises(RefusedError, match="left half way up"):
        apply(database, half, direction="down")


def test_a_repeatable_migration_runs_when_its_text_changes(database: str) -> None:
    def view(n: int) -> Migration:
        return replace(migration("", unit(f"CREATE OR REPLACE VIEW v AS SELECT {n} AS n")), name="v", kind="repeatable")

    assert [apply(database, view(n))[0].message for n in (1, 1, 2)] == ["applied: 1", "nothing to do", "applied: 1"]


def test_a_gate_stops_until_it_is_opened(database: str) -> None:
    gated = migration("001", unit("CREATE TABLE a ()"), Unit(gate="release 2 runs everywhere"), unit("DROP TABLE a"))
    outcome, _ = apply(database, gated)
    assert (outcome.status, outcome.reason, outcome.number) == ("stopped", "gate", 1)
    assert outcome.hint == "when that is true: pgcharter migrate up --gate 001:2"
    assert one(database, "SELECT outcome FROM pgcharter.schema_migrations") == "running"
    assert apply(database, gated, terms=replace(QUICK, gates_passed=frozenset(("001:3",))))[0].reason == "gate"
    assert apply(database, gated, terms=replace(QUICK, gates_passed=frozenset(("001:2",))))[0].status == "done"


def test_the_window_and_a_wish_to_stop_are_kept_between_units(database: str) -> None:
    two = migration("001", unit("CREATE TABLE a ()"), unit("CREATE TABLE b ()"))
    night = Terms(window=Window.parse("22:00-04:00"), clock=lambda: datetime(2026, 11, 21, 12, tzinfo=UTC))
    outcome, _ = apply(database, two, terms=night)
    assert (outcome.status, outcome.reason, outcome.number) == ("stopped", "window", 0)
    asked = iter((False, True))
    assert apply(database, two, terms=Terms(stop=lambda: next(asked)))[0].number == 1
    assert apply(database, two)[0].status == "done"


@pytest.mark.parametrize(
    ("text", "when", "opens"),
    [
        ("22:00-04:00", "2026-11-21T23:00+00:00", True),
        ("22:00-04:00", "2026-11-21T03:59+00:00", True),
        ("22:00-04:00", "2026-11-21T04:00+00:00", False),
        ("sat 22:00-04:00", "2026-11-22T01:00+00:00", True),  # Sunday, in the night of Saturday
        ("sat 22:00-04:00", "2026-11-21T01:00+00:00", False),
        ("mon-fri 01:00-05:00 Europe/Berlin", "2026-11-20T00:30+00:00", True),
        ("fri-mon 00:00-23:59", "2026-11-24T10:00+00:00", False),
    ],
)
def test_windows(text: str, when: str, opens: bool) -> None:
    assert Window.parse(text).opens(datetime.fromisoformat(when)) is opens


def test_a_window_that_is_none() -> None:
    for text in ("", "22-4", "25:00-26:00", "foo 22:00-23:00", "22:00-23:00 Nowhere/At_all"):
        with pytest.raises(UsageError, match="maintenance window"):
            Window.parse(text)


def test_production_asks_for_leave_and_for_a_backup_point(database: str) -> None:
    drop = migration("002", unit("ALTER TABLE t DROP COLUMN n"))
    live = Terms(production="live", confirmed="live")
    with pytest.raises(RefusedError, match="live is production"):
        apply(database, BASE, terms=replace(live, confirmed="yes"))
    assert apply(database, BASE, terms=live)[0].status == "done"
    with pytest.raises(RefusedError, match="ALTER TABLE t DROP COLUMN n: this takes data away"):
        apply(database, drop, terms=live)
    assert apply(database, drop, terms=replace(live, backup_point=lambda m: f"dump before {m.version}"))[0].status == "done"
    assert one(database, "SELECT description FROM pgcharter.schema_migrations WHERE version = '002'") == "[backup point: dump before 002]"


def test_what_takes_data_away() -> None:
    lossy = ("DROP TABLE a", "DROP SCHEMA a CASCADE", "TRUNCATE a", "DELETE FROM a", "ALTER TABLE a ADD x int, DROP COLUMN y",
             "DROP OWNED BY a", "DROP TYPE t CASCADE")  # fmt: skip
    kept = (
        "DROP INDEX i",
        "DROP VIEW v",
        "ALTER TABLE a DROP CONSTRAINT c",
        "CREATE TABLE dropped ()",
        "DROP TYPE t",
        "SELECT 'DELETE FROM a'",
    )
    assert losses.losses([unit(*lossy, *kept)]) == lossy


def test_a_dry_run_shows_what_the_server_is_then_told(database: str, major_server: Server) -> None:
    setting = frozenset(("maintenance_work_mem",))
    terms = replace(QUICK, settings=dict.fromkeys(setting, "65MB"))
    work = migration(
        "002", unit("ALTER TABLE t ADD COLUMN x int", "COMMENT ON TABLE t IS 'x'"), unit("CREATE INDEX CONCURRENTLY i ON t (n)", alone=True)
    )
    apply(database, BASE)
    outcome, events = apply(database, BASE, work, terms=replace(terms, dry_run=True))
    assert outcome.status == "planned"
    assert [e for e in events if isinstance(e, Planned)] == list(outcome.planned)
    assert one(database, "SELECT to_regclass('i')") is None
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    with connect(database) as conn:
        conn.execute(f"ALTER DATABASE {name} SET log_statement = 'all'".encode())
    before = major_server.log.stat().st_size
    assert apply(database, work, terms=terms)[0].status == "done"
    log = major_server.log.read_text("utf-8", "replace")[before:]
    at = 0
    for planned in outcome.planned:
        for statement in planned.statements:
            if not statement.startswith("--"):
                at = log.index(statement, at)


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("UPDATE t SET a = 'it''s', b = 12.5e3 WHERE id1 = 7 -- pw 'x'", "UPDATE t SET a = ?, b = ? WHERE id1 = ?"),
        ("SELECT $tag$ secret $tag$, E'\\'x', $1, \"Col 1\"", 'SELECT ?, ?, $1, "Col 1"'),
        ("SELECT 'cut off in the midd", "SELECT ?"),
        ("/* app=1 */ CALL p($$x", "CALL p(?"),
    ],
)
def test_queries_are_shown_without_literals(query: str, shown: str) -> None:
    assert head(query) == shown


def test_a_role_without_privileges_runs_everything_and_sees_what_it_may(database: str, major_server: Server) -> None:
    name = str(psycopg.conninfo.conninfo_to_dict(database)["dbname"])
    with connect(database) as conn:
        conn.execute("CREATE ROLE pgc_low LOGIN PASSWORD 'x'; GRANT CREATE ON SCHEMA public TO pgc_low")
        conn.execute(f"GRANT CREATE ON DATABASE {name} TO pgc_low".encode())
    try:
        low = major_server.dsn(name, "pgc_low", "x")
        job = scenario.filled(ObjectId("table", "public", "t"), ("id",), "n = 5", "n <> 5")
        work = migration("002", job, unit("CREATE INDEX CONCURRENTLY i ON t (n)", alone=True))
        pace = Pace(first=20, every=0, wal_rate=1 << 40, dead_rows=9, vacuums=True, query="SELECT false")
        outcome, events = apply(low, BASE, work, terms=replace(QUICK, pace=pace))
        assert outcome.status == "done", outcome
        assert [e.message for e in events if isinstance(e, Note) and "not watched" in e.message] == []
        with idle_in_transaction(database, "UPDATE t SET n = 1") as culprit:
            terms = replace(QUICK, terminate_blockers=True, lock_timeout=1.0, deadline=4)
            outcome, events = apply(low, migration("003", unit("ALTER TABLE t ADD COLUMN x int")), terms=terms)
            assert culprit.execute("SELECT 1").fetchone() == (1,)
            assert [(b.pid, b.user, b.query) for b in outcome.blockers] == [(culprit.info.backend_pid, culprit.info.user, "")]
            assert any(isinstance(e, Note) and "could not be ended" in e.message for e in events)
    finally:
        with connect(database) as conn:
            conn.execute("DROP OWNED BY pgc_low CASCADE; DROP ROLE pgc_low")


def test_what_the_server_says_is_told_once_and_not_without_end(database: str) -> None:
    flood = "DO $$ BEGIN FOR i IN 1..500 LOOP RAISE NOTICE 'n %', i; END LOOP; END $$"
    secret = "DO $$ BEGIN RAISE WARNING 'look: password=hunter2'; RAISE WARNING 'look: password=hunter2'; END $$"
    _, events = apply(database, migration("001", unit("DROP TABLE IF EXISTS nothere", secret)), migration("002", unit(flood)))
    notes = [e.message for e in events if isinstance(e, Note)]
    assert notes[:2] == [
        '001 step_001: notice: table "nothere" does not exist, skipping',
        "001 step_001: warning: look: password=***",
    ]
    assert notes[2:] == [f"002 step_002: notice: n {i}" for i in range(1, 11)] + ["002 step_002: the server said more, which is not shown"]


@pytest.mark.parametrize(
    ("sql", "remedy"),
    [
        ("CREATE TABLE t ()", "if the database has all of the file from elsewhere: pgcharter migrate baseline 002"),
        ("ALTER TABLE t ADD n int", "if the database has all of the file from elsewhere"),
        ("SET ROLE pg_monitor; CREATE TABLE public.u ()", "grant what is missing to the role that migrates"),
        ("CALL p()", "with the line `-- pgcharter: up` at its head"),
        ("SET LOCAL statement_timeout = 1; SELECT pg_sleep(1)", "statement_timeout in pgcharter.toml"),
        (
            "SET LOCAL temp_file_limit = 64; SET LOCAL work_mem = 64; CREATE TABLE u AS SELECT g FROM generate_series(1, 99999) g",
            "raise that limit",
        ),
        ("INSERT INTO t SELECT 1", "correct the data, or the file"),
        ("SELECT 1 / 0", "correct the file"),
    ],
)
def test_the_remedy_fits_what_went_wrong(database: str, sql: str, remedy: str) -> None:
    procedure = "CREATE PROCEDURE p() LANGUAGE plpgsql AS 'BEGIN COMMIT; END'"
    apply(database, migration("001", unit("CREATE TABLE t (n int CHECK (n > 5))", procedure)))
    outcome, _ = apply(database, migration("002", unit(*sql.split("; "))))
    assert outcome.status == "failed"
    assert remedy in outcome.hint
    assert outcome.hint.endswith("run the same command again: it goes on where this run ended")


def test_an_empty_migration_is_recorded(database: str) -> None:
    outcome, events = apply(database, migration("001"))
    assert outcome.status == "done"
    assert isinstance(events[-1], Finished)
    assert apply(database, migration("001"))[0].message == "nothing to do"


def test_the_ledger_knows_the_unfinished(database: str) -> None:
    apply(database, migration("001", unit("CREATE TABLE a ()"), unit("SELECT 1/0")))
    with connect(database) as conn:
        (run,) = ledger.read(conn)
        assert (run.outcome, run.error.split(":")[0]) == ("failed", "unit 2 of 001 step_001 failed")
        assert [p.done for p in ledger.progress(conn, run.id).values()] == [True]

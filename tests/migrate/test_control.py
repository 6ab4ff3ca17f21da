"""Pause, resume and stop from another session; what a run says of itself to others."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from tests.conftest import every_major
from tests.migrate.scenario import migration, stopped, unit
from tests.migrate.test_backfill import NUMBERS, SMALL, fill
from tests.migrate.test_runner import QUICK, apply, meanwhile, one

from pgcharter.db import connect
from pgcharter.errors import PgcharterError
from pgcharter.migrate import control, home, runner
from pgcharter.migrate.endings import Outcome
from pgcharter.migrate.terms import Pace
from pgcharter.migrate.watch import BatchDone, Event, Paused, Resumed, UnitBegun, Waits
from pgcharter.names import quote

LONG = replace(SMALL, pace=Pace(first=15, largest=15, rest=0.02))


def ask(database: str, word: control.Word, reason: str = "") -> control.Request:
    with connect(database) as conn:
        return control.ask(conn, word, reason)


def look(database: str) -> tuple[control.Runner, ...]:
    with connect(database) as conn:
        return control.runners(conn)


def background(database: str, *migrations: Any, terms: Any = LONG, watch: Callable[[Event], None] = lambda _: None) -> Any:
    """A run beside this thread; `.outcome` is its end."""

    class Run(threading.Thread):
        outcome: Outcome

        def run(self) -> None:
            self.outcome = runner.apply(database, migrations, terms=terms, watch=watch)

    made = Run(daemon=True)
    made.start()
    return made


def until(true: Callable[[], Any], seconds: float = 10) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.03)
    raise AssertionError("it never came true")


@every_major
def test_a_backfill_is_paused_seen_and_resumed(database: str, major: int) -> None:
    events: list[Event] = []
    run = background(database, NUMBERS, fill("id"), watch=events.append)
    until(lambda: any(isinstance(e, BatchDone) for e in events))
    asked = ask(database, "pause", "the shop is slow")
    (paused,) = until(lambda: [e for e in events if isinstance(e, Paused)])
    assert paused.reasons == (f"{asked}; to go on: pgcharter migrate resume",)
    assert str(asked).startswith(f"{control.whoami()} (role {asked.role}) asked for it on 20")
    assert str(asked).endswith(" UTC: the shop is slow")
    (seen,) = look(database)
    assert (seen.by, seen.direction, seen.progress.paused) == (control.whoami(), "up", paused.reasons)
    assert (seen.progress.migration, seen.progress.unit, seen.progress.units) == ("002 step_002", 1, 1)
    assert seen.progress.doing == "backfill of public.t"
    assert 0 < seen.progress.rows == seen.progress.done < 1000
    before = one(database, "SELECT count(*) FROM t WHERE done = 1")
    time.sleep(0.4)
    assert one(database, "SELECT count(*) FROM t WHERE done = 1") == before
    ask(database, "resume")
    run.join(30)
    assert run.outcome.status == "done"
    assert one(database, "SELECT array_agg(DISTINCT done) FROM t") == [1]
    assert [e.paused > 0.3 for e in events if isinstance(e, Resumed)] == [True]
    assert look(database) == ()
    assert one(database, "SELECT count(*) FROM pgcharter.migration_runners") == 0
    assert one(database, "SELECT array_agg(request ORDER BY request_id) FROM pgcharter.migration_requests") == ["pause", "resume"]


def test_a_stop_ends_it_after_the_batch_and_the_next_run_goes_on(database: str) -> None:
    events: list[Event] = []
    run = background(database, NUMBERS, fill("id"), watch=events.append)
    until(lambda: any(isinstance(e, BatchDone) for e in events))
    asked = ask(database, "stop", "deploy at nine")
    run.join(10)
    assert (run.outcome.status, run.outcome.reason) == ("stopped", "asked")
    assert f"unit 1 of 002 step_002: stopped, because {asked}" in run.outcome.message
    assert "the batches" not in run.outcome.message
    outcome, later = apply(database, NUMBERS, fill("id"), terms=LONG)
    assert outcome.status == "done"
    assert next(e for e in later if isinstance(e, BatchDone)).seen > 15
    assert one(database, "SELECT array_agg(DISTINCT done) FROM t") == [1]


def test_an_old_stop_is_not_meant_for_later_runs(database: str) -> None:
    ask(database, "stop now")
    assert apply(database, NUMBERS, fill("id"))[0].status == "done"


def test_a_pause_holds_for_the_runs_that_come(database: str) -> None:
    asked = ask(database, "pause")
    began = time.monotonic()
    outcome, events = apply(database, NUMBERS, terms=replace(QUICK, wait=0.5))
    assert time.monotonic() - began < 5
    assert (outcome.status, outcome.reason, outcome.hint) == (
        "stopped", "asked", "pgcharter migrate resume; then run the same command again",
    )  # fmt: skip
    assert f"runs in this database are paused, so nothing was begun: {asked}" in outcome.message
    assert not any(isinstance(e, UnitBegun) for e in events)
    ask(database, "resume")
    assert apply(database, NUMBERS)[0].status == "done"


def test_stop_now_cancels_a_statement_and_stop_waits_for_its_end(database: str) -> None:
    def sleeps(seconds: float, version: str) -> Any:
        return migration(version, unit(f"CREATE TABLE t{version} ()", f"SELECT pg_sleep({seconds})"), unit(f"CREATE TABLE u{version} ()"))

    run = background(database, sleeps(1.2, "001"), terms=QUICK)
    until(lambda: one(database, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"))
    ask(database, "stop")
    run.join(10)
    assert (run.outcome.status, run.outcome.number) == ("stopped", 1)
    began = time.monotonic()
    run = background(database, sleeps(30, "002"), terms=QUICK)
    until(lambda: one(database, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"))
    ask(database, "stop now")
    run.join(10)
    assert time.monotonic() - began < 10
    assert (run.outcome.status, run.outcome.reason, run.outcome.number) == ("stopped", "asked", 0)
    assert one(database, "SELECT to_regclass('t002')") is None


def test_stop_now_leaves_a_cancelled_build_to_the_next_run(database: str) -> None:
    apply(database, NUMBERS)
    build = migration("002", unit("CREATE INDEX CONCURRENTLY t_done ON t (done)", alone=True))
    events: list[Event] = []
    with psycopg.connect(database) as other:
        other.execute("UPDATE t SET done = 0 WHERE id = 1")
        run = background(database, build, terms=QUICK, watch=events.append)
        until(lambda: any(isinstance(e, Waits) for e in events))
        ask(database, "stop now")
        run.join(15)
    assert (run.outcome.status, run.outcome.reason) == ("stopped", "asked")
    assert "what it has built of the index stays unused until the next run takes it away, because" in run.outcome.message
    assert one(database, "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_done'::regclass") is False
    assert apply(database, build)[0].status == "done"
    assert one(database, "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_done'::regclass") is True


def test_a_stop_is_heard_while_it_waits_to_try_again(database: str) -> None:
    apply(database, NUMBERS)
    with psycopg.connect(database) as other:
        other.execute("SELECT * FROM t")
        run = background(database, migration("002", unit("ALTER TABLE t ADD x int")), terms=replace(QUICK, lock_timeout=0.1, deadline=60))
        time.sleep(0.5)
        ask(database, "stop")
        run.join(10)
    assert (run.outcome.status, run.outcome.reason) == ("stopped", "asked")


def test_a_pause_survives_a_killed_runner_and_its_report_is_swept(database: str) -> None:
    with stopped(database, "after batch:1"):
        with connect(database) as conn:
            (seen,) = control.runners(conn)
            control.install(conn)
            conn.execute(
                "INSERT INTO pgcharter.migration_runners (runner_pid, started_at, direction, progress) VALUES (%s, now(), 'up', %s)",
                (seen.pid, '{"unit": 7, "of a newer version": 1}'),
            )
        (seen,) = look(database)
        assert seen.progress.unit == 7
        ask(database, "pause")
    until(lambda: not look(database))
    with connect(database) as conn:
        assert str(control.paused(conn)).startswith(control.whoami())
    outcome, _ = apply(database, *_scenario(), terms=replace(SMALL, wait=0.3))
    assert (outcome.status, outcome.reason) == ("stopped", "asked")
    ask(database, "resume")
    assert apply(database, *_scenario(), terms=SMALL)[0].status == "done"
    run = background(database, migration("009", unit("SELECT pg_sleep(2)")), terms=QUICK)
    until(lambda: [r for r in look(database) if r.said])
    run.join(10)
    assert one(database, "SELECT count(*) FROM pgcharter.migration_runners") == 0


def _scenario() -> tuple[Any, ...]:
    from tests.migrate.scenario import SCENARIO

    return SCENARIO


def test_a_long_statement_is_reported_without_literals(database: str) -> None:
    run = background(database, migration("001", unit("SELECT pg_sleep(3), 'hidden'")), terms=QUICK)
    (seen,) = until(lambda: [r for r in look(database) if r.said])
    assert seen.progress.doing == "SELECT pg_sleep(?), ?"
    run.join(10)


def test_short_runs_make_no_tables(database: str) -> None:
    apply(database, NUMBERS)
    assert one(database, "SELECT to_regclass('pgcharter.migration_runners')") is None
    assert look(database) == ()


def test_who_may_not_write_is_told_and_a_run_goes_on_without(database: str) -> None:
    with connect(database) as conn:
        conn.execute("DROP ROLE IF EXISTS control_guest; CREATE ROLE control_guest LOGIN PASSWORD 'x'")
        control.install(conn)
        conn.execute("CREATE SCHEMA AUTHORIZATION control_guest")
        guest = psycopg.conninfo.make_conninfo(database, user="control_guest", password="x")
        try:
            with connect(guest) as other, pytest.raises(PgcharterError) as caught:
                control.ask(other, "pause")
            assert "the request cannot be recorded in this database, so no run hears of it" in caught.value.message
            assert "TO control_guest" in caught.value.hint
            assert look(guest) == ()
            outcome = runner.apply(home.at(guest, "control_guest"), [migration("001", unit("SELECT pg_sleep(2)"))], terms=QUICK)
            assert outcome.status == "done"
        finally:
            conn.execute("DROP OWNED BY control_guest CASCADE; DROP ROLE control_guest")


def test_two_make_the_tables_at_once(database: str) -> None:
    with meanwhile(lambda: ask(database, "pause")), meanwhile(lambda: ask(database, "pause")):
        ask(database, "pause")
    assert one(database, "SELECT count(*) FROM pgcharter.migration_requests") == 3


def test_the_rights_that_are_named_are_enough(database: str) -> None:
    assert runner.apply(database, [NUMBERS], terms=QUICK).status == "done"
    with connect(database) as conn, contextlib.ExitStack() as stack:
        conn.execute("CREATE ROLE pgct_asker")
        stack.callback(lambda: conn.execute("RESET ROLE; DROP OWNED BY pgct_asker; DROP ROLE pgct_asker"))
        conn.execute("SET ROLE pgct_asker")
        with pytest.raises(PgcharterError, match="permission denied") as refused:
            control.ask(conn, "pause")
        conn.execute("RESET ROLE")
        grants = refused.value.hint.partition(": ")[2]
        conn.execute(grants.replace(quote(conn.info.user), "pgct_asker").encode())
        conn.execute("SET ROLE pgct_asker")
        assert control.ask(conn, "pause").word == "pause"


def test_a_damaged_table_of_requests_is_told(database: str) -> None:
    ask(database, "pause")
    with connect(database) as conn:
        conn.execute("ALTER TABLE pgcharter.migration_requests DROP COLUMN asked_by")
        with pytest.raises(PgcharterError, match="no run hears of it") as refused:
            control.ask(conn, "pause")
        assert "asked_by" in refused.value.message
        conn.execute(refused.value.hint.partition("after ")[2].encode())
        assert control.ask(conn, "resume").word == "resume"


def test_a_password_in_a_reason_is_not_kept(database: str) -> None:
    assert ask(database, "pause", "moved to postgresql://app:hunter2@db/shop").reason == "moved to postgresql://app:***@db/shop"

"""Kill -9 of the runner and of the server at every fault point: the next run goes on, and ends where an undisturbed one ends."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import psycopg
import pytest
from tests.conftest import MAJORS, ServerFactory, every_major, installation
from tests.migrate import harm, scenario

from pgcharter.db import connect
from pgcharter.migrate import runner
from pgcharter.migrate.watch import Event, RunnerWaits
from pgcharter.servers import lifecycle
from pgcharter.servers.lifecycle import Server

ALONE = 6
"""Statements of the scenario that stand alone outside of any transaction; ADD VALUE is run with its record in one."""
PLACES = (
    *[f"{name}:1" for name in runner.POINTS],
    *[f"{name}:{n}" for name in ("before alone", "after alone") for n in range(2, ALONE + 1)],
    "unit:5",
    "in transaction:2", "before commit:3", "after commit:4", "in batch:2", "in batch:3", "after batch:2", "started:2", "started:3",
)  # fmt: skip


@pytest.fixture(params=(MAJORS[0], MAJORS[-1]), ids=("oldest", "newest"))
def held_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with lifecycle.start_ephemeral(installation(request.param)) as server:
        yield server


def made(server: Server, name: str) -> str:
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} STRATEGY file_copy")  # type: ignore[arg-type]
    return server.dsn(name)


@pytest.mark.slow
def test_a_runner_killed_anywhere_is_taken_up_again(held_server: Server) -> None:
    """Every place on the newest version; on the oldest those around what PostgreSQL itself leaves half done."""
    calm = made(held_server, "calm")
    assert scenario.again(calm).status == "done"
    wanted = scenario.everything(calm)
    places = PLACES if held_server.major == MAJORS[-1] else [place for place in PLACES if "alone" in place]
    for number, place in enumerate(places):
        dsn = made(held_server, f"killed_{number}")
        process = scenario.process(dsn, place)
        process.join(60)
        assert process.exitcode == -signal.SIGKILL, place
        outcome = scenario.again(dsn)
        assert (outcome.status, outcome.message.split(":")[0]) in (("done", "applied"), ("done", "nothing to do")), (place, outcome)
        assert scenario.differs(wanted, scenario.everything(dsn)) == [], place


def test_a_server_killed_anywhere_is_taken_up_again(server: ServerFactory) -> None:
    running = server()
    calm = made(running, "calm")
    assert scenario.again(calm).status == "done"
    wanted = scenario.everything(calm)
    for number, place in enumerate(("in transaction:2", "before alone:1", "after alone:2", "in batch:2", "before commit:2")):
        dsn = made(running, f"crashed_{number}")
        with scenario.stopped(dsn, place) as process:
            harm.kill(running)
            os.kill(process.pid or 0, signal.SIGCONT)
            process.join(30)
            assert process.exitcode == 10, place
        assert scenario.again(dsn).status == "done"
        assert scenario.differs(wanted, scenario.everything(dsn)) == [], place


def test_the_statement_of_a_killed_runner_ends_and_the_next_runner_waits_for_that(database: str) -> None:
    running = scenario.process(database, migrations=scenario.SLOW)
    with connect(database) as conn:
        sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
        until = time.monotonic() + 20
        while conn.execute(sleeping).fetchone() == (0,) and time.monotonic() < until:
            time.sleep(0.02)
        os.kill(running.pid or 0, signal.SIGKILL)
        running.join()
        assert conn.execute(sleeping).fetchone() == (1,)  # its session lives on in the server for a moment
        events: list[Event] = []
        began = time.monotonic()
        done = scenario.migration("001", scenario.unit("CREATE TABLE quick ()"))
        assert runner.apply(database, [done], terms=scenario.TERMS, watch=events.append).status == "done"
        assert time.monotonic() - began < 10
        assert conn.execute("SELECT to_regclass('slow')").fetchone() == (None,)
    waits = [e for e in events if isinstance(e, RunnerWaits)]
    assert {holder.application for e in waits for holder in e.holders} == {"pgcharter migrate"}


@every_major
def test_the_scenario_undisturbed_on_every_version(database: str, major: int) -> None:
    outcome = scenario.again(database)
    assert outcome.status == "done", outcome
    assert len(outcome.applied) == 3
    assert scenario.again(database).message == "nothing to do"

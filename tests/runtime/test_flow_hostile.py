"""Workers of feeds, the outbox and sagas where the ground is against them: a pooler, a standby, no server, a clock that is an hour off, a
lease that is slept through.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.runtime import feeds_log, own_tables
from tests.runtime import standby as standbys
from tests.runtime.outbox_messages import until
from tests.runtime.poolers import POOLED, through

from pgcharter import faults
from pgcharter.errors import UnavailableError
from pgcharter.runtime.database import Database
from pgcharter.runtime.feeds import Feed, FeedSettings, Inside, Outside
from pgcharter.runtime.outbox import publish
from pgcharter.runtime.outbox_relay import Relay, Route
from pgcharter.runtime.sagas import Context, Saga, SagaSettings, SagaWorker, Sleep, Step, start
from pgcharter.runtime.targets import Call
from pgcharter.servers import binaries, lifecycle
from pgcharter.servers.lifecycle import Server

pytestmark = pytest.mark.skipif(POOLED, reason="direct: it has a pooler of its own")
LEASE = 1.0


def step(context: Context[Any]) -> None:
    """Does nothing."""


SAGA: Saga[dict[str, Any]] = Saga("o", [Step("a", step), Sleep("b", 0.2), Step("c", step)])


def workers(db: Database, came: list[Any], *, listen: bool = False) -> dict[str, Any]:
    """One of each."""
    settings = FeedSettings(listen=listen, lease=LEASE)
    return {
        "feed": Feed(db, feeds_log.LOG, "feed", Outside(came.append, single=True), settings=settings),
        "relay": Relay(db, [Route("relay", Call(came.append), settings=settings)]),
        "saga": SagaWorker(db, [SAGA], SagaSettings(listen=listen, lease=LEASE), on_end=came.append),
    }


def given(db: Database, conn: Any) -> None:
    """Something for each to do."""
    feeds_log.append(conn, ("k", 1))
    db.run(lambda w: publish(w.conn, "t", 1))
    db.run(lambda w: start(w.conn, SAGA, {}))


@contextmanager
def running(worker: Any) -> Iterator[None]:
    """Runs it, and tells it to stop in the end, which it does."""
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(8)
    assert not thread.is_alive()


@pytest.fixture
def made(database: str) -> Iterator[Any]:
    """All tables, and what the feed reads."""
    feeds_log.made(database)
    with psycopg.connect(database, autocommit=True) as conn:
        yield conn


def test_through_a_pooler_all_of_them_work_and_say_that_they_hear_nothing(
    made: Any, major_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with through(major_server) as behind, Database(behind.dsn(made.info.dbname)) as db:
        came: list[Any] = []
        for worker in workers(db, came, listen=True).values():
            with running(worker):
                given(db, made)
                said = until(lambda: came and [r.getMessage() for r in caplog.records if "a pooler stands between" in r.getMessage()])
            assert len(said) == 1
            assert "so it looks by itself; connect its database directly" in said[0]
            came.clear()
            caplog.clear()


def test_a_clock_that_is_an_hour_off_changes_nothing(made: Any, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases, pauses and times are by the server's clock; what a worker measures itself are spans."""
    true, came = time.time, []  # type: ignore[var-annotated]
    held = "SELECT FROM {} WHERE lease_until BETWEEN clock_timestamp() AND clock_timestamp() + interval '{} s'"
    for jump in (3600.0, -3600.0):
        with Database(database) as db, monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda jump=jump: true() + jump)
            for name, worker in workers(db, came).items():
                given(db, made)
                with running(worker):
                    if name != "saga":
                        until(lambda: made.execute(held.format("pgcharter.feeds", LEASE)).fetchall())
                    until(lambda: came)
                came.clear()


def test_a_standby_is_refused_at_the_start_and_a_server_that_has_gone_keeps_nobody_from_stopping() -> None:
    with lifecycle.start_ephemeral(binaries.choose(18), settings=standbys.PRIMARY) as primary:
        own_tables.install(primary.dsn(), "messaging")
        with standbys.standby_of(primary) as standby, Database(standby.dsn()) as db:
            standbys.caught_up(primary, standby)
            for worker in workers(db, []).values():
                with pytest.raises(UnavailableError, match="what is given as the primary is a standby") as caught:
                    worker.run()
                assert "target_session_attrs=read-write" in caught.value.hint
        with Database(primary.dsn()) as db, ExitStack() as stack:
            for name, worker in workers(db, []).items():
                if name != "feed":
                    stack.enter_context(running(worker))
            time.sleep(0.3)
            standbys.kill(primary)
            time.sleep(0.3)


CHILD = """
import sys
from tests.runtime import feeds_log
from tests.runtime.test_flow_hostile import LEASE
from pgcharter.runtime.database import Database
from pgcharter.runtime.feeds import Feed, FeedSettings, Inside
with Database(sys.argv[1]) as db:
    Feed(db, feeds_log.LOG, "c", Inside(feeds_log.keep("c")), settings=FeedSettings(batch=2, lease=LEASE)).catch_up()
"""


@pytest.mark.parametrize("point", ["feed read", "feed handled", "feed moved"])
def test_who_slept_through_its_lease_writes_nothing(made: Any, database: str, point: str) -> None:
    feeds_log.append(made, *[("k", n) for n in range(6)])
    command = [sys.executable, "-c", CHILD, database]
    environment = {**os.environ, faults.VARIABLE: f"{point}:1:stop"}
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], env=environment, stderr=subprocess.PIPE) as child:
        try:
            assert os.WIFSTOPPED(os.waitpid(child.pid, os.WUNTRACED)[1])
            time.sleep(LEASE * 1.2)
            with Database(database) as db:
                feed = Feed(db, feeds_log.LOG, "c", Inside(feeds_log.keep("c")), settings=FeedSettings(lease=LEASE))
                other = threading.Thread(target=feed.catch_up)
                other.start()
                other.join(2.0)
                child.send_signal(signal.SIGCONT)
                other.join(10)
                assert child.wait(20) == 0, child.stderr and child.stderr.read().decode()
                feed.catch_up()
        finally:
            child.kill()
    assert sorted(feeds_log.done(made, "c")) == [("k", n) for n in range(6)]
    assert made.execute("SELECT position >= 6, token > 1 FROM pgcharter.feeds").fetchall() == [(True, True)]

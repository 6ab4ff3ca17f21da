"""Appends whose server goes away: what is said to be done is there once, what is refused is not, and nobody is held back afterwards."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from tests.runtime.events_store import install

from pgcharter import faults
from pgcharter.runtime.database import Database
from pgcharter.runtime.events import Append, Appended, New, append, read_aggregate, read_all
from pgcharter.runtime.events_writer import POINTS, Writer
from pgcharter.runtime.outcomes import UnknownOutcomeError
from pgcharter.runtime.pools import PoolSize
from pgcharter.servers import binaries, lifecycle
from pgcharter.servers.lifecycle import Server

SETTINGS = {"synchronous_commit": True}
WAYS, MOMENTS, ENDS = ("at once", "unit of work", "append"), ("before", "meanwhile", "after"), ("reset", "immediate")
"""`at once` and `unit of work` are those of a Writer. `meanwhile`: the call waits for a lock in the server."""
_OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
_WAITS = "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    with lifecycle.start_ephemeral(binaries.choose(None), settings=SETTINGS) as server:
        install(server.dsn())
        yield server


def end(server: Server, how: str) -> None:
    """Reset all connections, or stop the server at once, without a checkpoint, and start it again."""
    if how == "reset":
        with psycopg.connect(server.dsn(), autocommit=True) as conn:
            conn.execute(f"SELECT pg_terminate_backend(pid, 5000) {_OTHERS}".encode())
        return
    assert server.process is not None
    server.process.send_signal(signal.SIGQUIT)
    server.process.wait(20)
    lifecycle.launch(server, {**lifecycle.EPHEMERAL, **SETTINGS, "listen_addresses": ""})


def once(act: Callable[[], None]) -> Callable[[], None]:
    left = [act]
    return lambda: left.pop()() if left else None


def appended(db: Database, way: str, one: Append, passed: Callable[[str], None]) -> Appended:
    if way != "append":
        return Writer(db, at_once=way == "at once").append(one)

    def work_of(work: Any) -> Appended:
        work.after_commit(lambda: passed(POINTS[1]))
        found = append(work.conn, one.aggregate_type, one.aggregate_id, one.events, expected=one.expected)
        passed(POINTS[0])
        return found

    return db.run(work_of)


@pytest.mark.parametrize(("way", "moment", "how"), list(itertools.product(WAYS, MOMENTS, ENDS)))
def test_the_server_goes_away(own: Server, monkeypatch: pytest.MonkeyPatch, way: str, moment: str, how: str) -> None:
    with psycopg.connect(own.dsn()) as conn:
        there = len(append_first(conn, f"{way} {moment} {how}"))
    act, met = once(lambda: end(own, how)), threading.Event()

    def passed(point: str) -> None:
        if point == POINTS[moment == "after"] and moment != "meanwhile":
            met.set()
            act()

    monkeypatch.setattr(faults, "point", passed)
    with Database(own.dsn(), size=PoolSize(1, 2, wait=20.0)) as db:
        blocking = threading.Thread(target=block, args=(own, how, met)) if moment == "meanwhile" else None
        if blocking:
            blocking.start()
            assert met.wait(20)
        one = Append("a", f"{way} {moment} {how}", [New("x", there)], there)
        outcome: Any
        try:
            outcome = appended(db, way, one, passed)
        except Exception as error:
            outcome = error
        if blocking:
            blocking.join(30)
        assert met.is_set(), "the moment came"
        with psycopg.connect(own.dsn()) as conn:
            now = [e.data for e in read_aggregate(conn, "a", one.aggregate_id)]
            assert one.aggregate_id in {e.aggregate_id for e in read_all(conn, limit=100_000)}
        assert now == list(range(len(now))), "each once"
        wanted = (
            {there + 1} if isinstance(outcome, Appended) else {there, there + 1} if isinstance(outcome, UnknownOutcomeError) else {there}
        )
        assert len(now) in wanted, (outcome, now)
        assert isinstance(outcome, Appended) or (way == "at once" and moment != "after"), outcome
        again = Writer(db).append(Append("a", one.aggregate_id, [New("x", len(now))], len(now)))
        with psycopg.connect(own.dsn()) as conn:
            assert read_all(conn, limit=100_000)[-1].position == again.position, "nobody is held back"


def append_first(conn: Any, aggregate: str) -> list[Any]:
    append(conn, "a", aggregate, [New("x", 0)])
    conn.commit()
    return read_aggregate(conn, "a", aggregate)


def block(server: Server, how: str, ready: threading.Event) -> None:
    """Hold all heads until somebody waits for one, and end it then."""
    blocker = psycopg.connect(server.dsn())
    blocker.execute("UPDATE pgcharter.event_heads SET version = version")
    ready.set()
    until = time.monotonic() + 20
    with psycopg.connect(server.dsn(), autocommit=True) as looking:  # within a transaction activity stays as it was first seen
        while not looking.execute(f"SELECT 1 {_WAITS}".encode()).fetchall() and time.monotonic() < until:
            time.sleep(0.005)
    end(server, how)
    blocker.close()

"""The law of feeds, against a model: whatever fails, dies or is changed meanwhile, each key in order, and each message once.

`python -m tests.runtime.test_feeds_law 2000` tries so many histories.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.runtime.feeds_log import LOG, append, done, keep, made

from pgcharter.errors import RefusedError
from pgcharter.runtime import feeds_manage as manage
from pgcharter.runtime.database import Database
from pgcharter.runtime.feeds import Feed, FeedSettings, Inside, Outside

KEYS = ("a", "b", "c", "d")
SETTINGS = FeedSettings(batch=3, base=1e-6, longest=1e-6, attempts=3, tolerated=2)
STEPS = st.one_of(
    st.tuples(st.just("append"), st.lists(st.sampled_from(KEYS), min_size=1, max_size=6)),
    st.tuples(st.just("look"), st.integers(1, 3)),
    st.tuples(st.just("die"), st.integers(0, 4)),
    st.tuples(st.just("bad"), st.sets(st.integers(0, 30), max_size=8)),
    st.tuples(st.just("reslot"), st.integers(1, 4)),
    st.tuples(st.just("fence"), st.none()),
    st.tuples(st.just("requeue"), st.none()),
    st.tuples(st.just("skip"), st.sampled_from(KEYS)),
)


class DiedError(BaseException):
    """The worker is gone, and says nothing more."""


class World:
    """A consumer of a log, and what is known of it without looking at its tables."""

    def __init__(self, dsn: str, conn: Any, db: Database, *, inside: bool) -> None:
        self.dsn, self.conn, self.db, self.inside = dsn, conn, db, inside
        conn.execute("TRUNCATE app.things, app.done, pgcharter.feeds, pgcharter.parked")
        self.appended: list[tuple[str, int]] = []
        self.bad: set[int] = set()
        self.skipped: set[int] = set()
        self.delivered: list[tuple[str, int]] = []
        self.fuel: int | None = None
        self.feed = self.made()

    def made(self) -> Feed[Any]:
        return Feed(self.db, LOG, "c", Inside(self.handle) if self.inside else Outside(self.deliver), slots=2, settings=SETTINGS)

    def burn(self, things: Any) -> None:
        for thing in things:
            if self.fuel is not None:
                if self.fuel == 0:
                    raise DiedError
                self.fuel -= 1
            if thing.number in self.bad:
                raise ValueError(f"{thing.number} is bad")

    def handle(self, work: Any, things: Any) -> None:
        keep("c")(work, things)
        self.burn(things)

    def deliver(self, things: Any) -> None:
        for thing in things:
            self.burn([thing])
            self.delivered.append((thing.key, thing.number))

    def do(self, what: str, how: Any) -> None:
        getattr(self, f"do_{what}")(how)
        self.hold()

    def do_append(self, keys: list[str]) -> None:
        things = [(key, len(self.appended) + n) for n, key in enumerate(keys)]
        append(self.conn, *things)
        self.appended += things

    def do_look(self, times: int) -> None:
        for _ in range(times):
            time.sleep(0.0001)
            self.feed.catch_up()

    def do_die(self, fuel: int) -> None:
        """Die in the middle of a handler, without a word to the table of cursors; the next worker comes when the lease is over."""
        self.fuel = fuel
        self.feed._released = lambda slots: iter(())  # type: ignore[assignment, method-assign, return-value]
        with suppress(DiedError):
            self.feed.catch_up()
        self.fuel = None
        self.conn.execute("UPDATE pgcharter.feeds SET lease_until = now()")
        self.feed = self.made()

    def do_bad(self, numbers: set[int]) -> None:
        self.bad = numbers

    def begun(self) -> bool:
        return bool(self.conn.execute("SELECT FROM pgcharter.feeds").fetchall())

    def do_reslot(self, slots: int) -> None:
        if self.begun():
            with suppress(RefusedError), self.conn.transaction():
                manage.reslot(self.conn, "c", slots)

    def do_fence(self, _: None) -> None:
        if self.begun():
            with self.conn.transaction():
                manage.pause(self.conn, "c")
                manage.resume(self.conn, "c")

    def do_requeue(self, _: None) -> None:
        if self.begun():
            with self.conn.transaction():
                manage.requeue(self.conn, "c")

    def do_skip(self, key: str) -> None:
        if self.begun():
            with self.conn.transaction():
                waiting = [p for p in manage.parked(self.conn, "c") if p.key == key]
                self.skipped |= {p.message["number"] for p in waiting}
                assert manage.skip(self.conn, "c", key) == len(waiting)

    def seen(self) -> list[tuple[str, int]]:
        return done(self.conn, "c") if self.inside else self.delivered

    def hold(self) -> None:
        """What always holds: each key in order, from its beginning, without gaps but for what was skipped."""
        seen = self.seen()
        if self.inside:
            assert len(seen) == len(set(seen)), seen
        for key in KEYS:
            wanted = [n for k, n in self.appended if k == key and n not in self.skipped]
            got = [n for n in dict.fromkeys(n for k, n in seen if k == key) if n not in self.skipped]
            assert got == wanted[: len(got)], (key, seen)

    def end(self) -> None:
        """When nothing is bad any more, all is done, once."""
        self.bad = set()
        self.do_requeue(None)
        for _ in range(200):
            time.sleep(0.0002)
            self.feed.catch_up()
            if not self.conn.execute("SELECT FROM pgcharter.parked").fetchall():
                break
        self.hold()
        assert {n for _, n in self.seen()} >= {n for _, n in self.appended} - self.skipped


@contextmanager
def world(dsn: str) -> Iterator[Any]:
    made(dsn)
    with psycopg.connect(dsn, autocommit=True) as conn, Database(dsn) as db:
        yield lambda inside: World(dsn, conn, db, inside=inside)


def law(make: Any, examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), derandomize=examples < 100)
    @given(st.booleans(), st.lists(STEPS, min_size=2, max_size=25))
    def holds(inside: bool, steps: list[tuple[str, Any]]) -> None:
        at = make(inside)
        for what, how in steps:
            at.do(what, how)
        at.end()

    holds()


def test_law(database: str) -> None:
    with world(database) as make:
        law(make, 15)


@pytest.mark.parametrize("inside", [True, False])
def test_one_history(database: str, inside: bool) -> None:
    with world(database) as make:
        at = make(inside)
        history: list[tuple[str, Any]] = [
            ("append", ["a", "b", "a", "c", "a"]), ("bad", {2}), ("look", 1), ("reslot", 3), ("append", ["a", "b"]), ("die", 1),
            ("look", 3), ("requeue", None), ("bad", set()), ("die", 0), ("append", ["c", "a"]), ("fence", None), ("look", 1), ("skip", "a"),
        ]  # fmt: skip
        for what, how in history:
            at.do(what, how)
        at.end()


if __name__ == "__main__":
    from pgcharter.servers import binaries, lifecycle

    with lifecycle.start_ephemeral(binaries.choose(18)) as server, world(server.dsn()) as make:
        law(make, int(sys.argv[1]))
    print(f"{sys.argv[1]} histories hold")  # noqa: T201

"""Real servers with faults made in them, and looks at their health."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import psycopg

from pgcharter.measures import seconds
from pgcharter.servers.lifecycle import Server
from pgcharter.watch import health, registry
from pgcharter.watch.collecting import Target, Watcher
from pgcharter.watch.judging import Past
from pgcharter.watch.model import Check, Health, Level, Reading

Changes = Mapping[str, Any]
"""Fields of a check that are others in a test: thresholds of an hour that nobody waits for."""


@dataclass
class Ground:
    """A server, its superuser's session outside of transactions, and where looks go."""

    server: Server
    admin: psycopg.Connection[Any]
    database: str = "postgres"
    target: Target | None = None
    now: datetime | None = None
    """Time that holds in looks instead of the server's."""
    other: Ground | None = None
    """The standby of a primary."""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def dsn(self) -> str:
        return self.server.dsn(self.database)

    @contextmanager
    def session(self, user: str | None = None, **options: Any) -> Iterator[psycopg.Connection[Any]]:
        """Another session, outside of transactions."""
        options = {"application_name": "somebody", "options": "-c statement_timeout=15s", **options}
        with psycopg.connect(self.server.dsn(self.database, user=user), autocommit=True, **options) as conn:
            yield conn

    @contextmanager
    def setting(self, **settings: str) -> Iterator[None]:
        """Settings of the whole server, in force for new sessions."""
        before = {name: self.value(name) for name in settings}
        for name, value in settings.items():
            self.admin.execute(f"ALTER SYSTEM SET {name} = '{value}'".encode())
        self.reload()
        try:
            yield
        finally:
            for name in settings:
                self.admin.execute(f"ALTER SYSTEM RESET {name}".encode())
            self.reload()
            until(lambda: {n: self.value(n) for n in settings} == before)

    def value(self, name: str) -> Any:
        row = self.admin.execute("SELECT reset_val FROM pg_settings WHERE name = %s", [name]).fetchone()
        return row and row[0]

    def reload(self) -> None:
        """Have the server read its files, and wait until a new session would have them."""
        one = "SELECT pg_conf_load_time()"
        before = self.fresh(one)
        self.admin.execute("SELECT pg_reload_conf()")
        until(lambda: self.fresh(one) > before)
        until(lambda: (self.admin.execute(one).fetchone() or [before])[0] > before)

    def fresh(self, sql: str) -> Any:
        with psycopg.connect(self.server.dsn(), autocommit=True) as conn:
            row = conn.execute(sql.encode()).fetchone()
            return row and row[0]

    def run(self, *statements: str) -> None:
        """In a session of its own that ends, so that what it counted is told."""
        with self.session() as conn:
            for sql in statements:
                conn.execute(sql.encode())

    def look(self, *ids: str, past: Past | None = None, after: float = 0.0, changes: Changes | None = None) -> tuple[Health, Past]:
        """Ask some checks, `after` seconds later than it is."""
        checks = [replace(registry.check(i), **(changes or {})) for i in ids]
        return self.judge(checks, past or Past(), after)

    def judge(self, checks: list[Check], past: Past, after: float = 0.0) -> tuple[Health, Past]:
        now = (self.now or health.utc_now()) + timedelta(seconds=after)
        with Watcher(self.target or Target(self.dsn), now=self.now) as watcher:
            return health.look(watcher, checks, past, now)

    @contextmanager
    def waiting(self, *statements: str, user: str | None = None) -> Iterator[psycopg.Connection[Any]]:
        """A session in which statements run meanwhile, until they are cancelled or done."""
        with self.session(user, options="-c deadlock_timeout=20ms") as conn:

            def run() -> None:
                with contextlib.suppress(psycopg.Error):
                    for sql in statements:
                        conn.execute(sql.encode())

            thread = threading.Thread(target=run, daemon=True)
            thread.start()
            try:
                yield conn
            finally:
                conn.cancel()
                thread.join(10)


PATIENCE = 20.0
"""Seconds for which a busy machine is waited for: what a session has counted is told some time after it ended."""


def until(so: Callable[[], Any], wait: float = 15.0) -> None:
    """Return as soon as it is so."""
    end = time.monotonic() + wait
    while not so():
        if time.monotonic() > end:
            raise AssertionError("it did not come to be so")
        time.sleep(0.005)


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong, and what a check says of it."""

    check: str
    level: Level
    make: Callable[[Ground], Any]
    """A context manager: inside, it is so."""
    changes: Changes
    majors: tuple[int, ...] = ()
    says: str = ""
    """A piece of the sentence."""
    quiet_before: bool = True
    quiet_after: bool = True
    wait: float = 0.0
    """Longest time that it may take to be seen, and to be gone."""


def worst(found: Health, check: str) -> Reading | None:
    return next((r for r in found.readings if r.check.id == check), None)


def proven(ground: Ground, fault: Fault) -> Reading:
    """Hold one fault against its check: quiet before, told meanwhile, quiet after. Returns what was told."""
    check = replace(registry.check(fault.check), **fault.changes)
    ahead = seconds(check.over or "0") + seconds(check.lasting)
    if fault.quiet_before:
        _gone(ground, fault, check, ahead)
    _, past = ground.judge([check], Past())
    with fault.make(ground):
        reading = _told(ground, fault, check, past, ahead)
    if fault.quiet_after:
        _gone(ground, fault, check, ahead)
    return reading


def _told(ground: Ground, fault: Fault, check: Check, past: Past, ahead: float) -> Reading:
    end = time.monotonic() + max(fault.wait, PATIENCE)
    while True:
        found, new = ground.judge([check], past)
        if ahead:
            if not check.over:
                one = worst(found, fault.check)
                assert one is None or one.level <= Level.INFO, one
            found, _ = ground.judge([check], past if check.over else new, ahead)
        one = worst(found, fault.check)
        if one is not None and one.level >= fault.level:
            break
        assert time.monotonic() < end, (one, found.gaps)
        time.sleep(0.02)
    assert one.level is fault.level, one
    assert fault.says in one.says, one.says
    assert one.remedy
    assert "?" not in one.says, one.says
    assert one.since is not None
    return one


def _gone(ground: Ground, fault: Fault, check: Check, ahead: float) -> None:
    end = time.monotonic() + max(fault.wait, PATIENCE)
    while True:
        found, past = ground.judge([check], Past())
        if check.over:
            found, _ = ground.judge([check], past, ahead)
        one = worst(found, fault.check)
        if not found.gaps and (one is None or one.level is Level.OK):
            return
        assert time.monotonic() < end, (one, found.gaps)
        time.sleep(0.02)

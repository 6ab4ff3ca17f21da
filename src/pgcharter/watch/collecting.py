"""Asking collectors: each at most once in its time, one failure hiding no other, what cannot be seen told with its remedy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import psycopg

from pgcharter.errors import ConnectError, PgcharterError
from pgcharter.findings import Gap
from pgcharter.watch import collecting_functions
from pgcharter.watch.collecting_session import SQL, Session, open_session, patience, refused, renewed
from pgcharter.watch.model import KEEP, Collector, Facts

AGE = 300.0
"""Seconds after which a session is made anew: only a new one tells whether anybody is let in, and has the settings that new ones get."""
_ORDER = {"fast": 0, "medium": 1, "slow": 2}
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Target:
    """What is looked at."""

    dsn: str
    pooler: str = ""
    """Connection string of PgBouncer's admin console; empty: there is none."""
    backups: collecting_functions.Backups | None = None
    """Repository of backups; None: nobody has declared one."""
    databases: tuple[str, ...] = ()
    """Databases that are asked one by one; empty: all that can be connected to."""
    system: collecting_functions.System = field(default_factory=collecting_functions.System)
    """The machine we are on."""


class Watcher:
    """Asks one server and keeps answers for as long as they count. Any number of threads may share one.

    Connections stay open until `close`; one that breaks is made anew.
    """

    def __init__(self, target: Target, *, clock: Callable[[], float] = time.monotonic, now: datetime | None = None) -> None:
        self.target = target
        self._clock, self._now = clock, now
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._made: dict[str, tuple[float, float]] = {}
        self._kept: dict[str, tuple[float, Facts]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End all sessions."""
        with self._lock:
            for session in self._sessions.values():
                session.conn.close()
            self._sessions.clear()

    @property
    def server(self) -> str:
        """Which server was asked last; empty: none has answered."""
        return self._sessions[""].server if "" in self._sessions else ""

    def ask(self, collectors: Iterable[Collector]) -> dict[str, Facts]:
        """What each of them answers, by name. Raises PgcharterError only for a target that makes no sense."""
        with self._lock:
            wanted = sorted(collectors, key=lambda c: _ORDER[c.cost])
            found = {c.name: self._kept[c.name][1] for c in wanted if c.name in self._kept and self._kept[c.name][0] > self._clock()}
            new = self._answers([c for c in wanted if c.name not in found])
            for collector in wanted:
                if collector.name in new:
                    keep = KEEP["fast"] if self._lost() else KEEP[collector.cost]
                    self._kept[collector.name] = (self._clock() + keep, new[collector.name])
            return found | new

    def _lost(self) -> bool:
        """Whether the connection is gone, so that an answer says little."""
        main = self._sessions.get("")
        return main is None or main.conn.closed or main.conn.broken

    def _answers(self, collectors: list[Collector]) -> dict[str, Facts]:
        if not collectors:
            return {}
        try:
            main = self._session("")
            took = self._made[""][1]
        except ConnectError as error:
            return {c.name: self._without_server(c, error) for c in collectors}
        made = {c.name: self._once(main, c, took) for c in collectors if c.scope != "database"}
        return made | self._everywhere(main, [c for c in collectors if c.scope == "database"])

    def _session(self, database: str) -> Session:
        known = self._sessions.pop(database, None)
        if known is not None and self._clock() - self._made[database][0] > AGE:
            known.conn.close()
        elif known is not None:
            try:
                self._sessions[database] = renewed(known)
                return self._sessions[database]
            except psycopg.Error:
                known.conn.close()
        began = time.perf_counter()
        self._sessions[database] = open_session(self.target.dsn, database)
        self._made[database] = (self._clock(), time.perf_counter() - began)
        return self._sessions[database]

    def _without_server(self, collector: Collector, error: ConnectError) -> Facts:
        """Facts where no server answers: some do not need one, one of them says that."""
        if collector.name == "reach":
            return Facts("reach", ({"down": 1, "problem": error.message, "hint": error.hint},))
        if collector.scope in ("pooler", "backups"):
            return self._function(None, collector, 0.0)
        return Facts(collector.name, gaps=(Gap(collector.name, "the server cannot be reached"),))

    def _once(self, session: Session, collector: Collector, took: float) -> Facts:
        if not session.concerns(collector):
            return Facts(collector.name, asked=False)
        if lacking := session.lacks(collector):
            return Facts(collector.name, gaps=(Gap(collector.name, lacking),))
        if session.conn.closed:
            return Facts(collector.name, gaps=(Gap(collector.name, "the server has stopped answering meanwhile"),))
        with patience(session.conn, collector.cost):
            return self._function(session, collector, took) if collector.by == "function" else self._asked(session, collector)

    def _asked(self, session: Session, collector: Collector) -> Facts:
        began = time.perf_counter()
        try:
            rows: list[dict[str, Any]] = session.rows(collector, self._now)
        except psycopg.Error as error:
            return Facts(
                collector.name, gaps=(Gap(collector.name, refused(error, session.role, collector)),), seconds=time.perf_counter() - began
            )
        return _parted(Facts(collector.name, tuple(rows), seconds=time.perf_counter() - began))

    def _function(self, session: Session | None, collector: Collector, took: float) -> Facts:
        began = time.perf_counter()
        asked = collecting_functions.Asked(
            session, self.target.dsn, self.target.pooler, self.target.backups, self.target.system, took, self._now
        )
        try:
            rows = collecting_functions.FUNCTIONS[collector.name](asked)
        except collecting_functions.NothingToAskError:
            return Facts(collector.name, asked=False)
        except (psycopg.Error, OSError, PgcharterError) as error:
            why = error.message if isinstance(error, PgcharterError) else str(error).strip().partition("\n")[0]
        except (LookupError, ValueError) as error:
            why = f"what was found there cannot be understood ({type(error).__name__}: {error})"
        else:
            return _parted(Facts(collector.name, tuple(rows), seconds=time.perf_counter() - began))
        return Facts(collector.name, gaps=(Gap(collector.name, why),), seconds=time.perf_counter() - began)

    def _everywhere(self, main: Session, collectors: list[Collector]) -> dict[str, Facts]:
        """Ask in each database, and put together what they say."""
        if not collectors:
            return {}
        rows: dict[str, list[Row]] = {c.name: [] for c in collectors}
        gaps: dict[str, list[Gap]] = {c.name: [] for c in collectors}
        seconds, asked = dict.fromkeys(rows, 0.0), dict.fromkeys(rows, False)
        for name, problem in self._databases(main):
            try:
                session = main if name == main.database else self._session(name) if not problem else None
            except PgcharterError as error:
                session, problem = None, error.message
            for collector in collectors:
                if session is None:
                    gaps[collector.name].append(Gap(collector.name, problem))
                    continue
                one = self._once(session, collector, 0.0)
                rows[collector.name] += ({"database": name, **row} for row in one.rows)
                gaps[collector.name] += one.gaps
                seconds[collector.name] += one.seconds
                asked[collector.name] |= one.asked
        return {n: Facts(n, tuple(rows[n]), tuple(dict.fromkeys(gaps[n])), seconds[n], asked=asked[n] or bool(gaps[n])) for n in rows}

    def _databases(self, main: Session) -> list[tuple[str, str]]:
        """Databases to look into, each with what stands in the way."""
        if self.target.databases:
            return [(name, "") for name in self.target.databases]
        try:
            found = main.conn.execute(SQL["databases"]).fetchall()
        except psycopg.Error:
            return [(main.database, "")]
        grant = "GRANT CONNECT ON DATABASE {} TO {}"
        return [(n, "" if ok else f"role {main.role} may not connect to database {n}: {grant.format(n, main.role)}") for n, ok in found]


def _parted(facts: Facts) -> Facts:
    """Facts with rows that say what could not be seen made into gaps."""
    unseen = tuple(Gap(facts.collector, str(r["unseen"])) for r in facts.rows if r.get("unseen"))
    return replace(facts, rows=tuple(r for r in facts.rows if not r.get("unseen")), gaps=(*facts.gaps, *unseen)) if unseen else facts

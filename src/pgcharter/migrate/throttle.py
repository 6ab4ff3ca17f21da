"""When a backfill should wait: the server is measured between batches; a pause begins above a limit and ends well below it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import psycopg

from pgcharter.db import queries
from pgcharter.migrate.blockers import Beside
from pgcharter.migrate.terms import Pace
from pgcharter.migrate.watch import Note, Watch


@dataclass(frozen=True, slots=True)
class Sign:
    """Something measured that has a limit."""

    name: str
    """Name of its query, and of its limit in Pace."""
    text: str
    """A sentence with `{value}` and `{limit}`."""
    show: Callable[[float], str]


def _bytes(value: float) -> str:
    for unit in ("B", "kB", "MB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} GB"


SIGNS = (
    Sign("replica_lag", "the slowest replica is {value} of WAL behind (limit {limit})", _bytes),
    Sign("replica_seconds", "the slowest replica is {value} behind (limit {limit})", lambda v: f"{v:.1f} s"),
    Sign("archive_queue", "{value} WAL files wait to be archived (limit {limit})", lambda v: f"{v:.0f}"),
    Sign("wal_rate", "{value} of WAL are written in a second (limit {limit})", _bytes),
    Sign("lock_waits", "{value} sessions wait for locks on the table (limit {limit})", lambda v: f"{v:.0f}"),
    Sign("dead_rows", "dead rows are {value} of the live ones (limit {limit}): autovacuum is behind", lambda v: f"{v:.0%}"),
    Sign("vacuums", "vacuum works on the table", lambda v: f"{v:.0f}"),
)


@dataclass
class Throttle:
    """The measurements of one backfill, and whether it should wait now."""

    pace: Pace
    beside: Beside
    table: int
    """Object id."""
    pid: int
    """The session that works."""
    watch: Watch
    above: dict[str, str] = field(default_factory=dict)
    """What is above its limit, or has not come down far enough since: name → sentence."""
    _looked: float = 0.0
    _wal: tuple[float, float] | None = None
    _blind: set[str] = field(default_factory=set)
    _noes: int = 0

    def reasons(self) -> tuple[str, ...]:
        """Why to wait; empty when nothing speaks against going on. The server is asked at most every `pace.every` seconds."""
        now = time.monotonic()
        if now - self._looked >= self.pace.every or (self.above and now - self._looked >= min(self.pace.every, 0.5)):
            self._looked = now
            for sign in SIGNS:
                limit = float(getattr(self.pace, sign.name))
                if limit:
                    self._judge(sign, limit)
            if self.pace.query:
                self._judge_query()
        return tuple(self.above.values())

    def _judge(self, sign: Sign, limit: float) -> None:
        if sign.name == "archive_queue" and self._measure(sign.name, _queries()["archived"]) == 0:
            self._blind.add(sign.name)
        value = self._rate(now=time.monotonic()) if sign.name == "wal_rate" else self._measure(sign.name, _queries()[sign.name])
        if sign.name == "vacuums":
            limit = 0.5
        if value is None or value <= limit * (self.pace.calm if sign.name in self.above else 1.0):
            self.above.pop(sign.name, None)
        else:
            self.above[sign.name] = sign.text.format(value=sign.show(value), limit=sign.show(limit))

    def _judge_query(self) -> None:
        """The project's own query: a failing one says wait too, and one that said wait must say no twice."""
        try:
            rows = self.beside.rows(self.pace.query)
            value = _number(rows[0][0]) if rows and rows[0] else None
            says = f"the project's own query says wait ({value:g})" if value else ""
            says = says if self.beside.connection else "the project's own query cannot be asked"
        except psycopg.Error as error:
            says = f"the project's own query fails: {error.diag.message_primary or error}"
        self._noes = 0 if says else self._noes + 1
        if says:
            self.above["query"] = says
        elif self._noes > 1:
            self.above.pop("query", None)

    def _rate(self, now: float) -> float | None:
        written = self._measure("wal_rate", _queries()["wal_written"])
        if written is None:
            return None
        before, self._wal = self._wal, (now, written)
        return (written - before[1]) / (now - before[0]) if before and now > before[0] else None

    def _measure(self, name: str, query: str) -> float | None:
        if name in self._blind:
            return None
        try:
            rows = self.beside.rows(query, {"table": self.table, "pid": self.pid} if "%(" in query else None)
        except psycopg.Error as error:
            self._blind.add(name)
            said = error.diag.message_primary or str(error)
            self.watch(Note(f"{name} is not watched during this backfill: {said}"))
            return None
        return _number(rows[0][0]) if rows and rows[0] else None


def _queries() -> Mapping[str, str]:
    return queries.load("pgcharter.migrate", "throttle.sql")


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, bool | int | float | Decimal) else None

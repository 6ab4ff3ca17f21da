"""A backfill at work: an UPDATE cut into batches along a unique key, each as long as `Pace.batch` says, each with its checkpoint.

Three stages. rows: everything up to the highest key there was at the start. later: rows that came above it since. late: a last sweep by the
condition alone, for rows that came in between. A row that any stage misses would have to stop meeting the condition by itself.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import psycopg

from pgcharter import faults
from pgcharter.db import queries
from pgcharter.migrate import ledger
from pgcharter.migrate.endings import AGAIN, EndError
from pgcharter.migrate.framing import CLOSING, opening
from pgcharter.migrate.session import StoppedError
from pgcharter.migrate.target import Key, Position, Target
from pgcharter.migrate.throttle import Throttle
from pgcharter.migrate.watch import BatchDone, Note, Paused, Resumed
from pgcharter.names import quote

if TYPE_CHECKING:
    from pgcharter.migrate.terms import Pace
    from pgcharter.migrate.work import Work
    from pgcharter.plan.model import Backfill

LATER = 3
"""How often rows that came above the highest key meanwhile are looked for: behind a busy table one could run for ever."""


def run(work: Work, job: Backfill) -> None:
    """Do the backfill from its checkpoint on, record it as done, and ANALYZE the table. Raises EndError when the run must end."""
    target = find(work, job)
    before = work.progress.get(work.number)
    position = Position()
    if before and before.position and before.checksum == ledger.unit_checksum(work.unit) and "stage" in before.position:
        position = _read(before.position)
    Batches(work, target, position, work.terms.pace).run()
    _analyze(work, target)


def _read(data: dict[str, Any]) -> Position:
    keys = {name: tuple(data[name]) if data[name] is not None else None for name in ("after", "upper")}
    return Position(**{**data, **keys})


def find(work: Work, job: Backfill) -> Target:
    """Look the table and its key up. Raises EndError when it has no such table or column, or no key to go along."""
    conn, name = work.session.conn, job.table.sql()
    row = conn.execute(_sql("table"), (name,)).fetchone()
    if row is None:
        raise EndError("failed", "statement", f"{work.here}: there is no table {name} to fill", f"correct the file, then {AGAIN}")
    oid, _, _, _, total = row
    columns = {column: (kind, filled) for column, kind, filled in conn.execute(_sql("columns"), (oid,)).fetchall()}
    keys = [tuple(found) for (found,) in conn.execute(_sql("keys"), (oid,)).fetchall()]
    key = job.key or (keys[0] if keys else ())
    missing = [column for column in key if column not in columns]
    if missing or not key:
        what = f"has no column {missing[0]}" if missing else "has no primary key or other unique key without NULLs"
        raise EndError("failed", "statement", f"{work.here}: table {name} {what}, so it cannot be filled in batches", AGAIN)
    if not any(found[: len(key)] == key for found in keys):
        wanted = ", ".join(quote(column) for column in key)
        work.watch(Note(f"no unique index on {name} begins with {wanted}, so every batch may read the whole table"))
    condition = "" if job.condition.strip().lower() in ("", "true") else job.condition
    return Target(oid, name, total, key, tuple(columns[column][0] for column in key), job.assignments, condition)


@dataclass
class Batches:
    """The batches of one backfill, one after another."""

    work: Work
    target: Target
    position: Position
    pace: Pace
    _throttle: Throttle = field(init=False)
    _rate: float = 0.0
    _later: int = 0
    _swept_rows: int = 0

    def __post_init__(self) -> None:
        pid = self.work.session.conn.info.backend_pid
        self._throttle = Throttle(self.pace, self.work.beside, self.target.oid, pid, self.work.watch)

    def run(self) -> None:
        """All of them; the last one records the unit as done."""
        if not self.position.size:
            self.position = replace(self.position, size=max(1, self.pace.first))
        if self.position.upper is None and self.position.stage == "rows":
            self.position = replace(self.position, upper=self._highest(None))
        while not self._done():
            self.work.lock.check()
            self.work.between()
            self._pause()
            self.work.attempts(self._batch)
            faults.point("after batch")
            if self.pace.rest:
                time.sleep(self.pace.rest)
        faults.point("before finish")
        self.work.recorded(self.work.record)

    def _done(self) -> bool:
        """Whether nothing is left; moves on to the next stage when one is at its end."""
        p = self.position
        if p.stage == "rows" and (p.upper is None or p.after == p.upper):
            p = replace(p, stage="later", upper=p.after)
        if p.stage == "later" and p.after == p.upper:
            self._later += 1
            upper = self._highest(p.after) if self._later <= LATER else None
            p = replace(p, upper=upper) if upper is not None else replace(p, stage="late")
        if p.stage == "late" and not self.target.condition:
            p = replace(p, stage="done")
        self.position = p
        return p.stage == "done"

    def _highest(self, after: Key | None) -> Key | None:
        return self.work.attempts(lambda: self._key(self.target.highest(after)))

    def _key(self, sql: str) -> Key | None:
        result = self.work.session.run(sql)
        if result is None or not result.ntuples:
            return None
        values = [result.get_value(0, n) for n in range(result.nfields)]
        return tuple((value or b"").decode(self.work.session.conn.info.encoding) for value in values)

    def _batch(self) -> None:
        """One batch in one transaction with its checkpoint; smaller when it is tried again."""
        began, session = time.monotonic(), self.work.session
        p = self.position if self.work.attempt == 1 else replace(self.position, size=max(1, self.position.size // 2**self.work.attempt))
        sweep = p.stage == "late"
        if sweep:
            faults.point("before sweep")
        session.run(opening(self.work.terms) + ("; SET LOCAL statement_timeout = 0" if sweep else ""))
        last, passed = (None, p.size) if sweep else self._reach(p)
        self.work.sql = self.target.sweep(p.size) if sweep else self.target.batch(p.after, last)
        result = session.run(self.work.sql)
        changed = int(result.command_tuples or 0) if result else 0
        faults.point("in batch")
        session.run(CLOSING)
        moved = self._swept(p, changed) if sweep else replace(p, after=last, seen=p.seen + passed, rows=p.rows + changed)
        taken = time.monotonic() - began
        size = self._next(p.size if sweep else passed, taken) if not sweep else p.size
        moved = replace(moved, size=size)
        self.work.checkpoint(asdict(moved), moved.rows)
        session.run("COMMIT")
        self.position = moved
        self._tell(passed if not sweep else changed, time.monotonic() - began)

    def _reach(self, p: Position) -> tuple[Key | None, int]:
        """The key that ends this batch, and how many rows it passes."""
        last = self._key(self.target.reach(p))
        if last is not None:
            return last, p.size
        result = self.work.session.run(self.target.rest(p))
        left = int(result.get_value(0, 0) or 0) if result else 0
        return p.upper, left

    def _swept(self, p: Position, changed: int) -> Position:
        self._swept_rows += changed
        if self._swept_rows > max(p.seen, self.target.total or 0) + p.size:
            raise EndError(
                "failed", "statement",
                f"{self.work.here}: {self.target.name} was done, but rows still meet the condition, so it would never end",
                f"write a condition that SET makes false; then {AGAIN}",
            )  # fmt: skip
        return replace(p, rows=p.rows + changed, stage="late" if changed >= p.size else "done")

    def _next(self, passed: int, seconds: float) -> int:
        """The size of the next batch: towards the wanted time, at most twice as large and not below a quarter."""
        if not passed:
            return self.position.size
        fitting = passed * self.pace.batch / max(seconds, 0.001)
        return int(min(max(fitting, passed / 4, 1), max(passed, self.position.size) * 2, self.pace.largest))

    def _tell(self, passed: int, seconds: float) -> None:
        p, total = self.position, self.target.total
        now = passed / max(seconds + self.pace.rest, 0.001)
        self._rate = now if not self._rate else 0.7 * self._rate + 0.3 * now
        remaining = max(total - p.seen, 0) / self._rate if total and self._rate else None
        work = self.work
        work.watch(
            BatchDone(work.migration, work.number, self.target.name, p.rows, p.seen, total, passed, seconds, self._rate, remaining),
        )

    def _pause(self) -> None:
        """Wait while the server is strained."""
        began = time.monotonic()
        told: tuple[str, ...] = ()
        while reasons := self._throttle.reasons():
            if reasons != told:
                self.work.watch(Paused(self.work.migration, self.work.number, reasons))
                told = reasons
            self.work.between()
            if time.monotonic() - began > self.pace.longest:
                message = f"{self.work.here} paused for {self.pace.longest:.0f} s because {'; '.join(reasons)}; the batches before are kept"
                raise EndError("stopped", "strain", message, AGAIN)
            time.sleep(0.2)
        if told:
            self.work.lock.check()
            self.work.watch(Resumed(self.work.migration, self.work.number, time.monotonic() - began))


def _analyze(work: Work, target: Target) -> None:
    """Fresh statistics; that they could not be had ends nothing."""
    try:
        work.session.run(f"{opening(work.terms)}; ANALYZE {target.name}; COMMIT")
    except (psycopg.Error, StoppedError) as error:
        work.rollback()
        work.watch(Note(f"statistics of {target.name} are old: {error}", f"ANALYZE {target.name}"))
    work.watch(Note(f"{target.name} holds old versions of its changed rows until it is vacuumed", f"VACUUM (ANALYZE) {target.name}"))


def _sql(name: str) -> bytes:
    return queries.load("pgcharter.migrate", "backfill.sql")[name].encode()

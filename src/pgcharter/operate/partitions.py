"""Partitions by time, carried out: each new one in a short transaction of its own, old ones taken out concurrently, archived, dropped.

Whatever ends a run, the next one goes on: a transaction that died has left nothing; a detach that was interrupted is finalized; a
partition that is about to be taken out says so in its comment, so that it is known when it is out. One table that cannot be helped
does not stop the others.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from pgcharter import faults
from pgcharter.db import Connection, connect
from pgcharter.errors import PgcharterError, RefusedError
from pgcharter.findings import Evidence
from pgcharter.measures import seconds
from pgcharter.names import ObjectId, quote
from pgcharter.operate import partitions_make, retention_files, retention_holds
from pgcharter.operate.partitions_look import SQL, look
from pgcharter.operate.partitions_model import Action, Done, Look, Result, TablePlan, bound_text, comment_sql, mark, name_of, unmarked
from pgcharter.operate.partitions_plan import ahead, plan, wanted
from pgcharter.operate.retention_look import blocking
from pgcharter.policy.retention_settings import FILES, RetentionSection
from pgcharter.sources import live

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pgcharter.catalog.model import Catalog

POINTS = (
    "partitions.created", "partitions.marked", "partitions.detached", "partitions.archived", "partitions.released",
    *retention_files.POINTS,
)  # fmt: skip
COUNTS = timedelta(days=1)
"""How long evidence counts."""
Advance = Callable[[str, int, int], None]
Sleep = Callable[[float], None]
_AGAIN = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)


@contextmanager
def opened(dsn: str, section: RetentionSection) -> Iterator[Connection]:
    """A connection that never makes others wait longer than the charter allows."""
    with connect(dsn, application_name="pgcharter partitions", client_encoding="UTF8") as conn:
        wait = int(seconds(section.lock_timeout) * 1000)
        conn.execute(
            f"SET lock_timeout = {max(wait, 1)}; SET statement_timeout = '10min'; SET idle_in_transaction_session_timeout = 0".encode()
        )
        yield conn


def plans(conn: Connection, section: RetentionSection, now: datetime | None = None, only: Sequence[str] = ()) -> tuple[TablePlan, ...]:
    """What shall be done, table by table; nothing is changed. `only` names tables, schema.table."""
    tables = [t for t in section.partition if not only or t.table in only or f"{t.id.schema}.{t.id.name}" in only]
    looks = look(conn, tables, now)
    taken = _taken(conn, looks, section)
    made = tuple(plan(one, section, taken) for one in looks)
    if not any(a.kind != "create" for p in made for a in p.actions):
        return made
    holds = retention_holds.read(conn)
    return tuple(_held(conn, p, holds) for p in made)


def _taken(conn: Connection, looks: Sequence[Look], section: RetentionSection) -> frozenset[ObjectId]:
    """Names of partitions that are wanted, and that something else has."""
    names = []
    for one in looks:
        if one.column:
            cut = section.kept(one.table.keep)
            names += [name_of(one.table, low) for low, _ in wanted(one, cut.before(one.now) if cut else None)]
    rows = conn.execute(SQL["taken"], {"schemas": [n.schema for n in names], "names": [n.name for n in names]}).fetchall()
    return frozenset(ObjectId("table", schema, name) for schema, name in rows)


def _held(conn: Connection, made: TablePlan, holds: Sequence[retention_holds.Hold]) -> TablePlan:
    """Without what a legal hold forbids."""
    stay: dict[ObjectId, str] = {}
    for action in made.actions:
        if action.kind in ("detach", "release") and holds:
            try:
                stay[action.part] = blocking(conn, holds, action.table, action.part)
            except psycopg.Error as error:
                stay[action.part] = f"nobody can tell what of {action.part.sql()} is held: {_first(error)}"
    actions = tuple(a for a in made.actions if not (a.kind in ("detach", "release") and stay.get(a.part)))
    notes = tuple(f"{part.sql()} stays: {why}" for part, why in stay.items() if why)
    return replace(made, actions=actions, notes=(*made.notes, *notes))


def run(
    dsn: str, section: RetentionSection, *, folder: Path, now: datetime | None = None, only: Sequence[str] = (),
    advance: Advance | None = None, sleep: Sleep = time.sleep,
) -> tuple[Result, ...]:  # fmt: skip
    """Carry out what `plans` says. Files go to `to`, from `folder` on. Raises ConnectError, and RefusedError where nothing can be done."""
    with opened(dsn, section) as conn:
        made = plans(conn, section, now, only)
        results = tuple(map(Result, made))
        total = sum(len(p.actions) for p in made)
        catalog = live.read_catalog(conn) if any(a.kind == "create" for p in made for a in p.actions) else None
        works = _Works(conn, section, catalog, folder, sleep)
        for number, result in enumerate(results):
            before = sum(len(p.actions) for p in made[:number])
            works.table(result, partial(_told, advance, before, total))
        _compare(conn, results)
        for result, after in zip(results, look(conn, [r.plan.look.table for r in results], now), strict=True):
            result.ahead = ahead(after) if after.column else 0
    return results


def _told(advance: Advance | None, before: int, total: int, number: int, what: str) -> None:
    if advance:
        advance(what, before + number, total)


class _Works:
    """One run on one connection."""

    def __init__(self, conn: Connection, section: RetentionSection, catalog: Catalog | None, folder: Path, sleep: Sleep) -> None:
        self.conn, self.section, self.catalog, self.folder, self.sleep = conn, section, catalog, folder, sleep

    def table(self, result: Result, advance: Callable[[int, str], None]) -> None:
        """Everything about one table, while no other run works on it."""
        made = result.plan
        if not made.actions:
            return
        alone = self._one(SQL["alone"], {"table": made.look.id.sql()})
        if not alone:
            result.done += [Done(a, "another run is at work on this table") for a in made.actions]
            return
        try:
            self._unmark(made)
            for number, action in enumerate(made.actions):
                advance(number, action.part.sql())
                result.done += self._acted(made.look, action)
        finally:
            if not self.conn.closed:
                self._one(SQL["shared"], {"table": made.look.id.sql()})

    def _one(self, sql: str, parameters: dict[str, Any] | None = None) -> Any:
        row = self.conn.execute(sql.encode(), parameters).fetchone()
        return row[0] if row else None

    def _unmark(self, made: TablePlan) -> None:
        """Comments that say of a partition that it is about to leave, and it is not any more."""
        leaving = {a.part for a in made.actions}
        for part in made.look.parts:
            if part.marked and part.id not in leaving:
                self.conn.execute(comment_sql(part.id, unmarked(part.comment)).encode())

    def _acted(self, known: Look, action: Action) -> list[Done]:
        """One action, with what follows from it."""
        if action.kind == "create":
            return [self._tried(action, lambda: self._create(known, action))]
        if action.kind == "release":
            return [self._tried(action, lambda: self._release(known, action))]
        done = self._tried(action, lambda: self._detach(known, action))
        if done.problem or not action.over:
            return [done]
        after = replace(
            action, kind="release", sql=(), why=f"it was taken out of {known.id.sql()}", lock=f"ACCESS EXCLUSIVE on {action.part.sql()}"
        )
        return [done, self._tried(after, lambda: self._release(known, after))]

    def _tried(self, action: Action, work: Callable[[], str]) -> Done:
        """Try something until its locks are to be had; what is wrong becomes a sentence."""
        tries, took = 0, 0.0
        while True:
            tries += 1
            begun = time.monotonic()
            try:
                said = work()
            except _AGAIN as error:
                took = max(took, time.monotonic() - begun)
                if tries >= self.section.tries:
                    why = f"{action.part.sql()}: its locks were not to be had in {tries} tries: {_first(error)}"
                    return Done(action, why, tries, took)
                self.sleep(random.uniform(0.5, 1.5) * min(0.1 * 2**tries, 5))  # noqa: S311
            except PgcharterError as error:
                return Done(action, error.message, tries, took)
            except psycopg.Error as error:
                if self.conn.closed:
                    raise
                return Done(action, _sentence(action, error), tries, max(took, time.monotonic() - begun))
            else:
                return Done(action, "", tries, max(took, time.monotonic() - begun), said)

    def _create(self, known: Look, action: Action) -> str:
        assert self.catalog  # noqa: S101
        newest = max((p for p in known.parts if p.low), key=lambda p: (p.low, p.id.name), default=None)
        with self.conn.transaction():
            for sql in partitions_make.statements(action, self.catalog, newest.id if newest else None):
                self.conn.execute(sql.encode())
            faults.point(POINTS[0])
        return ""

    def _detach(self, known: Look, action: Action) -> str:
        """Say in the comment what it is, then take it out; what was begun, here or earlier, is finalized."""
        part = next(p for p in known.parts if p.id == action.part)
        if action.kind == "detach":
            self._still_free(known, part.id)
        if action.kind == "detach" and not part.marked:
            self.conn.execute(comment_sql(part.id, mark(part.comment, known.id, part)).encode())
            faults.point(POINTS[1])
        pending = self._one(SQL["pending"], {"schema": part.id.schema, "name": part.id.name})
        if pending is None:
            return "it was taken out already"
        sql = f"ALTER TABLE {known.id.sql()} DETACH PARTITION {part.id.sql()} FINALIZE" if pending else action.sql[0]
        self.conn.execute(sql.encode())
        faults.point(POINTS[2])
        return ""

    def _still_free(self, known: Look, part: ObjectId) -> None:
        """Raise RefusedError when a legal hold forbids it by now."""
        why = blocking(self.conn, retention_holds.read(self.conn), known.id, part)
        if why:
            raise RefusedError(f"{part.sql()} stays: {why}")

    def _release(self, known: Look, action: Action) -> str:
        """What becomes of a table that was a partition, in one transaction, with no hold placed meanwhile."""
        how, to, at = known.table.how, known.table.to, action.part
        count, sha256, where = action.rows, "", ""
        with self.conn.transaction():
            self.conn.execute(retention_holds.SQL["leaving"])
            self._still_free(known, at)
            comment = self._one("SELECT coalesce(obj_description(to_regclass(%(table)s), 'pg_class'), '')", {"table": at.sql()})
            if how in FILES:
                made = self._exported(known, action)
                count, sha256, where = made.rows, made.sha256, str(Path(to) / made.file)
                faults.point(POINTS[3])
            if how in (*FILES, "drop"):
                if how == "drop":
                    count = self._one(f"SELECT count(*) FROM {at.sql()}")
                self.conn.execute(f"DROP TABLE {at.sql()}".encode())
            else:
                self.conn.execute(comment_sql(at, unmarked(comment)).encode())
                if how == "schema":
                    where = to
                    self.conn.execute(f"ALTER TABLE {at.sql()} SET SCHEMA {quote(to)}".encode())
            retention_holds.history(
                self.conn, at, how if how not in FILES else "file", cut_off=action.high, rows=max(count, 0), to=where, sha256=sha256
            )
        faults.point(POINTS[4])
        return where

    def _exported(self, known: Look, action: Action) -> retention_files.Archive:
        at = action.part
        self.conn.execute(
            f"LOCK TABLE {at.sql()} IN SHARE MODE; SET LOCAL statement_timeout = '12h'; SET LOCAL synchronize_seqscans = off".encode()
        )
        names = [name for name, _ in retention_files.columns(self.conn, at)]
        query = f"SELECT {retention_files.listed(names)} FROM ONLY {at.sql()} ORDER BY {quote(known.column)}, ctid"
        place = self.folder / Path(known.table.to).expanduser()
        bound = bound_text(known.type, action.low, action.high)
        return retention_files.write(self.conn, query, at, place, known.table.how, bound=bound, cut_off=action.high)


def _compare(conn: Connection, results: Sequence[Result]) -> None:
    """Hold what was made against its table, through the reader of catalogs."""
    made = [(r, d.action) for r in results for d in r.done if d.action.kind == "create" and not d.problem]
    if not made:
        return
    catalog = live.read_catalog(conn)
    for result, action in made:
        parent, part = catalog.table.get(action.table), catalog.table.get(action.part)
        if parent and part and (lacking := partitions_make.unlike(parent, part)):
            result.unlike = (*result.unlike, f"{action.part.sql()} is not like {action.table.sql()}: {', '.join(lacking)}")


def _first(error: psycopg.Error) -> str:
    return str(error.diag.message_primary or error).partition("\n")[0]


def _sentence(action: Action, error: psycopg.Error) -> str:
    """What PostgreSQL refused, and what that means here."""
    said = _first(error)
    if action.kind == "create" and isinstance(error, psycopg.errors.CheckViolation):
        return (
            f"{action.part.sql()} was not made, because the DEFAULT partition of {action.table.sql()} holds rows of its time ({said}):"
            f" move them, by one statement that deletes and inserts, into a table that is attached in the same transaction"
        )
    if isinstance(error, psycopg.errors.ForeignKeyViolation):
        return f"{action.part.sql()} was not taken out, because rows of other tables refer to it ({said}): those must leave first"
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return f"{action.part.sql()}: this role may not do that ({said})"
    return f"{action.part.sql()}: {said}"


def evidence(results: Sequence[Result], now: datetime) -> tuple[Evidence, ...]:
    """What a run, or a look, proves about each table: `partitions.<schema>.<table>`."""
    found = []
    for result in results:
        one = result.plan.look
        if one.alone:
            continue
        wrong = [*result.plan.problems, *(d.problem for d in result.done if d.problem), *result.unlike]
        if not wrong and result.ahead < one.table.ahead:
            wrong = [f"{result.ahead} of {one.table.ahead} partitions are ready ahead"]
        old = [a for a in result.plan.actions if a.kind != "create" and a.part not in {d.action.part for d in result.done}]
        wrong += [f"{len(old)} partitions are older than {one.table.keep}"] if old else []
        seen = (
            wrong[0]
            if wrong
            else f"{result.ahead} partitions are ready ahead" + (f", none is older than {one.table.keep}" * bool(one.table.keep))
        )
        facts = {"ahead": result.ahead, "wanted": one.table.ahead, "parts": len(one.parts), "problems": wrong}
        found.append(Evidence(f"partitions.{one.id.schema}.{one.id.name}", not wrong, seen, now, now + COUNTS, facts))
    return tuple(found)


def looked(made: Sequence[TablePlan]) -> tuple[Result, ...]:
    """Plans as results of which nothing was done, for evidence of a look."""
    return tuple(Result(p, ahead=p.ahead) for p in made)

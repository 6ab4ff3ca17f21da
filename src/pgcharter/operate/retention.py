"""Rows leave when their time is over, in batches: archived to a table, to files, or deleted.

A batch without rows of other tables is one statement that picks, locks, deletes and archives. One with rows that ON DELETE CASCADE would
take along is one transaction: rows are locked first, and then no foreign key can come to them, so that what is archived with the next
snapshots is all there is. What goes to a file is locked, written, read back and compared, and then exactly that is deleted.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import psycopg

from pgcharter import faults
from pgcharter.db import Connection, connect
from pgcharter.errors import PgcharterError, RefusedError
from pgcharter.findings import Evidence
from pgcharter.measures import seconds
from pgcharter.names import ObjectId, quote
from pgcharter.operate import retention_files, retention_holds
from pgcharter.operate.partitions_look import SQL as LOCKS
from pgcharter.operate.retention_conditions import count, free
from pgcharter.operate.retention_holds import APPLY, SQL
from pgcharter.operate.retention_look import look, with_holds
from pgcharter.operate.retention_model import Ground, Job, Kid, Outcome
from pgcharter.policy.retention_settings import RetentionSection
from pgcharter.policy.soft_delete_settings import SoftDeleteSection

POINTS = ("retention.prepared", "retention.left", "retention.committed", *retention_files.POINTS)
COUNTS = timedelta(days=1)
"""How long evidence counts."""
Advance = Callable[[str, int, int], None]
_AGAIN = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
_LATE = 3
"""Tries of a batch that rows of other tables refer to by now."""
_PICKED = "pgcharter_picked"


@contextmanager
def opened(dsn: str, section: RetentionSection) -> Iterator[Connection]:
    """A connection that never makes others wait longer than the charter allows."""
    with connect(dsn, application_name="pgcharter retention", client_encoding="UTF8") as conn:
        wait = int(seconds(section.lock_timeout) * 1000)
        conn.execute(f"SET lock_timeout = {max(wait, 1)}; SET statement_timeout = '10min'".encode())
        conn.execute("SET default_transaction_isolation = 'read committed'")
        yield conn


def plans(
    conn: Connection, section: RetentionSection, deleted: SoftDeleteSection, now: datetime | None = None, only: Sequence[str] = ()
) -> tuple[Job, ...]:
    """What shall be done, table by table, children first; nothing is changed. `only` names tables, schema.table."""
    return _only(look(conn, section, deleted, now)[0], only)


def _only(jobs: Sequence[Job], only: Sequence[str]) -> tuple[Job, ...]:
    return tuple(j for j in jobs if not only or j.table.sql() in only or f"{j.table.schema}.{j.table.name}" in only)


def run(
    dsn: str, section: RetentionSection, deleted: SoftDeleteSection, *, folder: Path, now: datetime | None = None, only: Sequence[str] = (),
    advance: Advance | None = None, sleep: Callable[[float], None] = time.sleep,
) -> tuple[Outcome, ...]:  # fmt: skip
    """Carry out what `plans` says, with one cut-off for all batches. Files go to `to`, from `folder` on.

    Raises ConnectError, and RefusedError where nothing can be done: without the policy nobody could say what has left.
    """
    with opened(dsn, section) as conn:
        row = conn.execute(SQL["installed"]).fetchone()
        if not row or not all(row):
            raise RefusedError("pgcharter.legal_holds and pgcharter.retention_runs are not installed, so nothing may leave", hint=APPLY)
        jobs, ground = look(conn, section, deleted, now)
        works = _Works(conn, section, ground, folder, sleep)
        return tuple(works.job(job, advance) for job in _only(jobs, only))


class _Works:
    """One run on one connection."""

    def __init__(self, conn: Connection, section: RetentionSection, ground: Ground, folder: Path, sleep: Callable[[float], None]) -> None:
        self.conn, self.section, self.ground, self.folder, self.sleep = conn, section, ground, folder, sleep
        self.names = {ground.relations[oid].id: list(columns) for oid, columns in ground.columns.items()}

    def job(self, job: Job, advance: Advance | None) -> Outcome:
        """Everything about one table, while no other run works on it; what is wrong becomes a sentence."""
        done = Outcome(job, problem=job.problem)
        if job.problem:
            return done
        begun = time.monotonic()
        try:
            self._alone(job)
            try:
                self._all(job, done, advance)
                done.left = count(self.conn, job)
            finally:
                if not self.conn.closed:
                    self.conn.execute(LOCKS["shared"], {"table": job.table.sql()})
        except PgcharterError as error:
            done.problem = error.message
        except psycopg.Error as error:
            if self.conn.closed:
                raise
            done.problem = _sentence(job, error)
        done.seconds = time.monotonic() - begun
        return done

    def _alone(self, job: Job) -> None:
        row = self.conn.execute(LOCKS["alone"], {"table": job.table.sql()}).fetchone()
        if not row or not row[0]:
            raise RefusedError(f"another run is at work on {job.table.sql()}")

    def _all(self, job: Job, done: Outcome, advance: Advance | None) -> None:
        if job.in_files:
            _undone(self.conn, job, self._place(job))
        if job.due:
            self._prepare(job)
        faults.point(POINTS[0])
        while job.due:
            rows, others, file = self._tried(job)
            if not rows:
                break
            done.rows, done.with_them, done.batches = done.rows + rows, done.with_them + others, done.batches + 1
            done.files += [file] if file else []
            faults.point(POINTS[2])
            if advance:
                advance(job.table.sql(), min(done.rows, job.due), job.due)

    def _prepare(self, job: Job) -> None:
        with self.conn.transaction():
            for sql in job.prepare:
                self.conn.execute(sql.encode())
        if job.kids or job.in_files:
            for n, sql in enumerate(_temporary(job)):
                self.conn.execute(f"DROP TABLE IF EXISTS pg_temp.{_PICKED}{n}; {sql}".encode())

    def _place(self, job: Job) -> Path:
        return self.folder / Path(job.to).expanduser()

    def _tried(self, job: Job) -> tuple[int, int, str]:
        tries = 0
        while True:
            tries += 1
            try:
                return self._batch(job)
            except (*_AGAIN, psycopg.errors.ForeignKeyViolation) as error:
                # a row may have come that refers to one that was picked: the next snapshot sees it
                if tries >= (self.section.tries if isinstance(error, _AGAIN) else _LATE):
                    raise
                self.sleep(random.uniform(0.5, 1.5) * min(0.1 * 2**tries, 5))  # noqa: S311

    def _batch(self, job: Job) -> tuple[int, int, str]:
        """One batch: rows, rows of other tables, file."""
        batch, others, file, sha256 = str(uuid4()), 0, "", ""
        with self.conn.transaction():
            self.conn.execute(SQL["leaving"])
            job = with_holds(job, self.ground, retention_holds.read(self.conn))
            if job.in_files:
                rows, file, sha256 = _filed(self.conn, job, self.names[job.table], self._place(job), batch)
            elif job.kids:
                rows, others = _family(self.conn, job, self.names)
            else:
                rows = _one(self.conn, job, self.names[job.table])
            if rows:
                to = file or (job.archive.sql() if job.archive else None)
                action = "file" if job.in_files else job.how
                values = {"id": batch, "schema": job.table.schema, "name": job.table.name, "action": action, "cut_off": job.cut_off}
                self.conn.execute(SQL["batch"], {**values, "rows": rows, "to": to, "sha256": sha256 or None})
            faults.point(POINTS[1])
        return rows, others, file


_PLACE = "pgcharter_place"


def _identity(job: Job) -> tuple[tuple[str, str], ...]:
    """What tells a row from others, and what that is called aside: its primary key, else where it lies, which stays while it is locked."""
    assert job.relation is not None  # noqa: S101
    return tuple((quote(k), quote(k)) for k in job.relation.key) or (("ctid", _PLACE),)


def _same(job: Job) -> str:
    return " AND ".join(f"t.{own} = p.{aside}" for own, aside in _identity(job))


def _picked(job: Job, more: Sequence[str] = ()) -> str:
    """The rows of a batch, locked; those that somebody else is at are passed over."""
    columns = dict.fromkeys((*(f"t.{own} AS {aside}" for own, aside in _identity(job)), *(f"t.{c} AS {c}" for c in map(quote, more))))
    order = f" ORDER BY t.{quote(job.column)}" if job.ordered else ""
    return f"SELECT {', '.join(columns)} FROM {job.table.sql()} t WHERE {free(job)}{order} LIMIT {job.rows} FOR UPDATE OF t SKIP LOCKED"


def _leaving(names: Sequence[str], table: ObjectId, using: str, archive: ObjectId | None) -> str:
    """The statement that deletes rows `t` and archives what it has deleted; it gives their number."""
    listed = ", ".join(map(quote, names))
    kept = f", kept AS (INSERT INTO {archive.sql()} ({listed}) SELECT {listed} FROM gone)" if archive else ""
    returning = ", ".join(f"t.{quote(n)}" for n in names) if archive else "1"
    return f"gone AS (DELETE FROM {table.sql()} t USING {using} RETURNING {returning}){kept} SELECT count(*) FROM gone"


def _number(conn: Connection, sql: str) -> int:
    row = conn.execute(sql.encode()).fetchone()
    return int(row[0]) if row else 0


def _one(conn: Connection, job: Job, names: Sequence[str]) -> int:
    """A batch by one statement."""
    return _number(conn, f"WITH pick AS ({_picked(job)}), {_leaving(names, job.table, f'pick p WHERE {_same(job)}', job.archive)}")


def _remembered(job: Job) -> list[str]:
    """Columns of a batch's rows that others refer to."""
    return list(dict.fromkeys(c for k in job.kids for c in k.reference.referenced))


def _temporary(job: Job) -> Iterator[str]:
    """Tables in which the rows of a batch are remembered, one for each level that has rows below."""
    empty = _picked(job, _remembered(job)).partition(" WHERE ")[0]
    yield f"CREATE TEMP TABLE {_PICKED}0 ON COMMIT DELETE ROWS AS {empty} LIMIT 0"
    for kid, _, number in _levels(job.kids):
        if kid.kids:
            empty = f"SELECT {_below(kid)} FROM {kid.relation.id.sql()} t LIMIT 0"
            yield f"CREATE TEMP TABLE {_PICKED}{number} ON COMMIT DELETE ROWS AS {empty}"


def _below(kid: Kid) -> str:
    return ", ".join(dict.fromkeys(f"t.{quote(c)}" for k in kid.kids for c in k.reference.referenced))


def _locked(conn: Connection, job: Job) -> int:
    """Lock the rows of a batch and remember them; those that must stay after all, because of what came before the lock, are forgotten."""
    first = f"pg_temp.{_PICKED}0"
    conn.execute(f"INSERT INTO {first} {_picked(job, _remembered(job))}".encode())
    if job.blocked:
        conn.execute(f"DELETE FROM {first} p USING {job.table.sql()} t WHERE {_same(job)} AND ({job.blocked})".encode())
    conn.execute(f"ANALYZE {first}".encode())
    return _number(conn, f"SELECT count(*) FROM {first}")


def _family(conn: Connection, job: Job, names: Mapping[ObjectId, Sequence[str]]) -> tuple[int, int]:
    """A batch with the rows of other tables that go with it: locked from above, taken from below."""
    if not _locked(conn, job):
        return 0, 0
    levels, others = _levels(job.kids), 0
    for kid, above, number in levels:
        if kid.kids:
            rows = f"SELECT {_below(kid)} FROM {kid.relation.id.sql()} t, pg_temp.{_PICKED}{above} p WHERE {kid.reference.joined('t', 'p')}"
            conn.execute(f"INSERT INTO pg_temp.{_PICKED}{number} {rows} FOR UPDATE OF t".encode())
    for kid, above, _ in reversed(levels):
        using = f"pg_temp.{_PICKED}{above} p WHERE {kid.reference.joined('t', 'p')}"
        at = kid.relation.id
        others += _number(conn, f"WITH {_leaving(names[at], at, using, kid.archive)}")
    rows_gone = _number(conn, f"WITH {_leaving(names[job.table], job.table, f'pg_temp.{_PICKED}0 p WHERE {_same(job)}', job.archive)}")
    return rows_gone, others


def _filed(conn: Connection, job: Job, names: Sequence[str], place: Path, batch: str) -> tuple[int, str, str]:
    """A batch to a file: what was written, read back and found the same is deleted, and nothing else."""
    if not _locked(conn, job):
        return 0, "", ""
    conn.execute("SET LOCAL statement_timeout = '12h'; SET LOCAL synchronize_seqscans = off")
    own = ", ".join(f"t.{quote(n)}" for n in names)
    order = ", ".join(f"p.{aside}" for _, aside in _identity(job))
    query = f"SELECT {own} FROM {job.table.sql()} t, pg_temp.{_PICKED}0 p WHERE {_same(job)} ORDER BY {order}"
    stem = f"{_stem(job)}.{job.cut_off:%Y%m%dT%H%M%SZ}.{batch[:8]}"
    made = retention_files.write(conn, query, job.table, place, job.how, stem=stem, cut_off=job.cut_off, batch=batch)
    gone = _number(conn, f"WITH {_leaving(names, job.table, f'pg_temp.{_PICKED}0 p WHERE {_same(job)}', None)}")
    if gone != made.rows:
        raise PgcharterError(f"{made.rows} rows of {job.table.sql()} were archived and {gone} would be deleted; nothing was")
    return gone, str(Path(job.to) / made.file), made.sha256


def _stem(job: Job) -> str:
    return f"{job.table.schema}.{job.table.name}"


def _undone(conn: Connection, job: Job, place: Path) -> None:
    """Put aside files of batches that were not committed: their rows are still in the table, and will be archived again."""
    if not place.is_dir():
        return
    whence = retention_files.origin(conn, job.table)
    found = {}
    for file in place.glob(f"*.{job.how}"):
        known = retention_files.read(file)
        if known and known.origin == whence and known.batch:
            found[known.batch] = file
    for (batch,) in conn.execute(SQL["undone"], {"batches": list(found)}).fetchall():
        retention_files.put_aside(found[batch])


def _sentence(job: Job, error: psycopg.Error) -> str:
    """What PostgreSQL refused, and what that means here."""
    said = str(error.diag.message_primary or error).partition("\n")[0]
    name = job.table.sql()
    if isinstance(error, _AGAIN):
        return f"locks on what goes with rows of {name} were not to be had: {said}"
    if isinstance(error, psycopg.errors.ForeignKeyViolation):
        return f"rows of other tables refer to what should leave {name} ({said}): those must leave first, by a rule of their own"
    if isinstance(error, psycopg.errors.UniqueViolation):
        return f"the archive of {name} has such a row already ({said}): it came back under the key of one that had left"
    return f"{name}: {said}"


def evidence(outcomes: Sequence[Outcome], now: datetime) -> tuple[Evidence, ...]:
    """What a run, or a look, proves about each table: `retention.<schema>.<table>`, `purge.<schema>.<table>` of soft delete."""
    found = []
    for one in outcomes:
        job = one.job
        if job.relation is None:
            continue
        wrong = one.problem or (f"{one.left:,} rows are older than {job.keep}" if one.left else "")
        seen = wrong or f"no row is older than {job.keep}" + (f", {one.rows:,} left" if one.rows else "")
        name = f"{'retention' if job.by == 'rule' else 'purge'}.{job.table.schema}.{job.table.name}"
        facts = {"rows": one.rows, "with_them": one.with_them, "left": one.left, "keep": job.keep, "cut_off": job.cut_off.isoformat()}
        found.append(Evidence(name, not wrong, seen, now, now + COUNTS, facts))
    return tuple(found)


def looked(jobs: Sequence[Job]) -> tuple[Outcome, ...]:
    """Plans as outcomes of which nothing was done, for evidence of a look."""
    return tuple(Outcome(j, left=j.due, problem=j.problem) for j in jobs)


def _levels(kids: Sequence[Kid], above: int = 0, start: int = 1) -> list[tuple[Kid, int, int]]:
    """Each table below, with the number of the one above it and its own; those above come first."""
    found: list[tuple[Kid, int, int]] = []
    for kid in kids:
        number = start + len(found)
        found.append((kid, above, number))
        found += _levels(kid.kids, number, number + 1)
    return found

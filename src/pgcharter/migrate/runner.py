"""Applies migrations under load, one runner at a time, and survives being killed anywhere: the next run goes on at the right unit."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import psycopg

from pgcharter import faults
from pgcharter.db import Connection, connect
from pgcharter.errors import ConnectError, PgcharterError, RefusedError, UsageError
from pgcharter.migrate import alone, home, layouts, ledger, lock
from pgcharter.migrate.blockers import Beside
from pgcharter.migrate.control import Control
from pgcharter.migrate.endings import AGAIN, EndError, Outcome
from pgcharter.migrate.losses import needs_backup
from pgcharter.migrate.model import ALEMBIC, Migration, Program, Unit
from pgcharter.migrate.rehearsal import planned
from pgcharter.migrate.session import Session
from pgcharter.migrate.terms import Terms
from pgcharter.migrate.watch import Begun, Finished, Planned, Watch, silent
from pgcharter.migrate.work import Work
from pgcharter.plan import grounds
from pgcharter.redact import redact

__all__ = ["Outcome", "Terms", "apply"]

OURS = "pgcharter"
"""Layout of the files that pgcharter writes: what its functions name may be made later in the file."""

POINTS = (
    "locked", "started", "unit", "in transaction", "before commit", "after commit", "before alone", "after alone", "after record",
    "in batch", "after batch", "before sweep", "before finish", "finished",
)  # fmt: skip
"""Fault points of a run, in the order in which a run passes them first."""


def apply(
    dsn: str, migrations: Sequence[Migration], *, direction: ledger.Direction = "up", terms: Terms | None = None, watch: Watch = silent
) -> Outcome:
    """Apply `migrations` in the order given (for `down`: the order in which they are taken back); those that are done are skipped.

    What goes wrong once statements run is told by the Outcome. Raises, before anything was run: ConnectError; RefusedError for
    production without leave, a lossy step without a backup point, a file edited in a part that is done; UnavailableError on a standby;
    PgcharterError when another runner stays at work or the ledger cannot be made.
    """
    terms = terms or Terms()
    _guard(terms)
    if terms.dry_run:
        return _rehearse(dsn, migrations, direction, terms, watch)
    try:
        return _apply(dsn, migrations, direction, terms, watch)
    except psycopg.Error as error:
        said = error.diag.message_primary or str(error).strip().partition("\n")[0] or "the connection was lost"
        raise ConnectError(f"the server ended the work before anything more was begun: {redact(said)}", hint=AGAIN) from None


def _apply(dsn: str, migrations: Sequence[Migration], direction: ledger.Direction, terms: Terms, watch: Watch) -> Outcome:
    with contextlib.ExitStack() as stack:
        held = stack.enter_context(lock.held(dsn, terms.wait, watch))
        faults.point("locked")
        session = _opened(dsn, terms, stack)
        lock.take(session.conn, lock.FENCE, terms.wait, watch)
        ledger.install(session.conn)
        for program in _programs(migrations, direction)[:1]:
            program.prepare(session.conn)
            stack.callback(program.end)
        control = Control(held.conn, watch, direction, home.of(held.conn).schema)
        stack.callback(control.close)
        watch = control.heard_by(watch)
        beside = Beside(dsn, watch, [held.pid, session.conn.info.backend_pid])
        stack.callback(beside.close)
        run = _Run(session, beside, held, control, terms, watch, direction)
        return run.all(migrations)


def _programs(migrations: Sequence[Migration], direction: ledger.Direction) -> list[Program]:
    return [u.program for m in migrations for u in (m.up if direction == "up" else m.down or ()) if u.program]


def _opened(dsn: str, terms: Terms, stack: contextlib.ExitStack) -> Session:
    try:
        session = Session.open(dsn, terms.settings)
    except psycopg.Error as error:
        if (error.sqlstate or "08")[:2] in ("08", "57"):  # it is gone, or going
            raise
        raise UsageError(f"a setting of this run is not taken by the server: {error.diag.message_primary or error}") from None
    stack.callback(session.close)
    session.between = max(0.02, min(session.between, terms.lock_timeout / 3)) if terms.lock_timeout else session.between
    return session


def _guard(terms: Terms) -> None:
    if terms.production and terms.confirmed != terms.production:
        raise RefusedError(
            f"environment {terms.production} is production, so nothing is changed there without leave",
            hint=f"say so by its name: --confirm {terms.production}",
        )


@dataclass(frozen=True, slots=True)
class Task:
    """A migration that is to be done, or to be gone on with."""

    migration: Migration
    units: tuple[Unit, ...]
    run: int | None = None
    """The unfinished run to go on with."""
    progress: dict[int, ledger.Progress] = field(default_factory=dict)
    first: int = 0
    """Number of the unit to begin with."""


def tasks(conn: Connection, migrations: Sequence[Migration], direction: ledger.Direction) -> Iterator[Task | Migration]:
    """What is to be done of `migrations`, by the ledger: a Task each, or the Migration itself where it is done already.

    Raises RefusedError where one was left half way in the other direction, or is edited in a part that is done, or has no way back.
    """
    last = {layouts.identity(run.version, run.name): run for run in ledger.read(conn) if run.outcome != "cleared"}
    for migration in migrations:
        yield _task(conn, migration, last.get(layouts.identity(migration.version, migration.name)), direction)


def _task(conn: Connection, migration: Migration, known: ledger.Run | None, direction: ledger.Direction) -> Task | Migration:
    units = migration.up if direction == "up" else migration.down
    if units is None:
        raise RefusedError(
            f"{migration.title} has no way back, so it cannot be taken back", hint="write its down part", place=migration.file
        )
    if migration.layout == ALEMBIC and (known is None or known.outcome not in ("running", "failed")):
        return Task(migration, units)
    if known is None:
        return Task(migration, units) if direction == "up" else migration
    if known.outcome not in ("running", "failed"):
        changed = migration.kind == "repeatable" and direction == "up" and known.checksum != migration.checksum
        return Task(migration, units) if known.direction != direction or changed else migration
    progress = ledger.progress(conn, known.id)
    if known.direction != direction:
        if any(one.done or one.position for one in progress.values()):
            raise RefusedError(
                f"{migration.title} was left half way {known.direction}: {sum(p.done for p in progress.values())} of its units are done",
                hint=f"finish that first: pgcharter migrate {known.direction}",
                place=migration.file,
            )
        return migration
    return Task(migration, units, known.id, progress, _first(migration, units, progress))


def _first(migration: Migration, units: tuple[Unit, ...], progress: dict[int, ledger.Progress]) -> int:
    """The unit at which an unfinished run goes on. Raises RefusedError when what is done is not what the file says now."""
    done = sum(1 for one in progress.values() if one.done)
    for number in range(done):
        one = progress.get(number)
        if one is None or number >= len(units) or one.checksum != ledger.unit_checksum(units[number]):
            raise RefusedError(
                f"{migration.title} was left half way, and unit {number + 1}, which is done, is not what the file says now",
                hint="bring back the file as it was run, or: pgcharter migrate repair",
                place=migration.file,
            )
    return done


def _noted(task: Task, note: str) -> Task:
    """The task with a note in what the ledger will keep of it."""
    return replace(task, migration=replace(task.migration, description=f"{task.migration.description} [{note}]".strip()))


@dataclass
class _Run:
    """One run over all migrations."""

    session: Session
    beside: Beside
    lock: lock.RunnerLock
    control: Control
    terms: Terms
    watch: Watch
    direction: ledger.Direction
    applied: list[Migration] = field(default_factory=list)
    skipped: list[Migration] = field(default_factory=list)

    def all(self, migrations: Sequence[Migration]) -> Outcome:
        """Do them, and tell how that ended."""
        todo: list[Task] = []
        for found in tasks(self.session.conn, migrations, self.direction):
            if isinstance(found, Task):
                todo.append(found)
            else:
                self.skipped.append(found)
        todo = [self._backed_up(task) for task in todo]
        for task in todo:
            fitting = self._fitting(task)
            ended = fitting if isinstance(fitting, Outcome) else self._one(fitting)
            if ended is not None:
                return ended
        faults.point("finished")
        message = f"applied: {len(self.applied)}" if self.applied else "nothing to do"
        return Outcome("done", tuple(self.applied), tuple(self.skipped), message=message)

    def _fitting(self, task: Task) -> Task | Outcome:
        """The task, or the outcome of a run that ends at a plan which is older than the database; nothing of it is begun or recorded.

        Where the terms allow such a plan, what the ledger will keep says so.
        """
        ground = layouts.ground(task.migration.text) if self.direction == "up" and not task.progress else ""
        if not ground:
            return task
        from pgcharter.sources.live import read_catalog

        self.session.new = False
        found = tuple(grounds.departures(ground, read_catalog(self.session.conn)))
        if not found:
            return task
        departures = "; ".join(found[:3]) + (f", and {len(found) - 3} more" if len(found) > 3 else "")
        if self.terms.old_plans:
            return _noted(task, f"old plan: {departures}")
        before = f"applied before it: {len(self.applied)}" if self.applied else "nothing was run"
        message = f"the plan {task.migration.title} is older than the database: {departures}; {before}"
        hint = "plan again: pgcharter plan; or, when it fits all the same: pgcharter migrate up --old-plan"
        return Outcome(
            "stopped", tuple(self.applied), tuple(self.skipped), task.migration, 0, len(task.units), "refused", message, hint,
            task.migration.file,
        )  # fmt: skip

    def _backed_up(self, task: Task) -> Task:
        """The task with the backup point in what the ledger will keep. Raises RefusedError for a lossy step without one, in production."""
        terms = self.terms
        lossy = needs_backup(task.migration, task.units[task.first :]) if terms.production else ""
        if not lossy:
            return task
        point = terms.backup_point(task.migration) if callable(terms.backup_point) else terms.backup_point
        if not point and not terms.without_backup:
            raise RefusedError(
                f"{lossy}: this takes data away for good, and no backup point is named",
                hint="name one with --backup-point, or say why none is needed with --without-backup",
                place=task.migration.file,
            )
        return _noted(task, f"backup point: {point}" if point else f"without backup: {terms.without_backup}")

    def _one(self, task: Task) -> Outcome | None:
        """Do one migration; the outcome when the run ends there."""
        work = Work(
            self.session, self.beside, self.lock, self.control, self.terms, self.watch, task.migration, task.units, self.direction,
            task.run, task.progress, task.first,
        )  # fmt: skip
        self.session.look, self.session.hear = work.look, work.hear
        try:
            self._units(work, task)
        except EndError as end:
            return self._ended(work, end)
        except PgcharterError as error:
            return self._ended(work, EndError("failed", "server", error.message, error.hint))
        except psycopg.Error as error:
            return self._ended(work, work.ending(error))
        except KeyboardInterrupt as asked:
            by = f" by {asked}" if str(asked) else ""
            return self._ended(work, EndError("interrupted", "asked", f"{work.here} was interrupted{by}{work.leftover}", AGAIN))
        self.applied.append(task.migration)
        return None

    def _units(self, work: Work, task: Task) -> None:
        work.began = time.monotonic()
        self.watch(Begun(task.migration, self.direction, len(task.units), task.first))
        self.session.renew()
        self.session.new = all(unit.program for unit in task.units)
        if task.migration.layout == OURS:
            self.session.run("SET check_function_bodies = off")
        self._start(work, task)
        for number in range(task.first, len(task.units)):
            work.do(number)
        if task.first == len(task.units):
            work.recorded(lambda: self._nothing_left(work))
        self.watch(Finished(task.migration, self.direction, time.monotonic() - work.began))

    def _start(self, work: Work, task: Task) -> None:
        """Begin a row of the ledger, or go on with it; a migration of one transaction gets its row inside of that."""
        units = task.units
        if task.run is not None:
            work.recorded(lambda: ledger.resume(self.session.conn, task.run or 0, task.migration))
            for sql in alone.settings(tuple(sql for unit in units[: task.first] for sql in unit.statements)):
                self.session.run(sql)
        elif len(units) > 1 or any(not unit.transactional or unit.backfill or unit.gate for unit in units):
            work.run = ledger.start(self.session.conn, task.migration, self.direction)
        faults.point("started")

    def _nothing_left(self, work: Work) -> None:
        if work.run is None:
            ledger.record(self.session.conn, work.migration, self.direction)
        else:
            ledger.finish(self.session.conn, work.run, "done")

    def _ended(self, work: Work, end: EndError) -> Outcome:
        """Clear up, note the end in the ledger as far as the server still listens, and tell."""
        work.rollback()
        if not self.session.lost:
            with contextlib.suppress(psycopg.Error):
                self.session.look = None
                self.session.renew()
                work.recorded(lambda: self._note(work, end))
        return Outcome(
            end.status, tuple(self.applied), tuple(self.skipped), work.migration, work.number, len(work.units), end.reason,
            f"{end.message}; {self._so_far(work)}", end.hint, end.place, end.sqlstate, end.blockers,
        )  # fmt: skip

    def _note(self, work: Work, end: EndError) -> None:
        if work.run is None:
            work.run = ledger.start(self.session.conn, work.migration, self.direction)
        ledger.finish(self.session.conn, work.run, "failed" if end.status == "failed" else "running", end.message)

    def _so_far(self, work: Work) -> str:
        units = f"{work.number} of the {len(work.units)} units of {work.migration.title} are done" if len(work.units) > 1 else ""
        whole = f"applied before it: {len(self.applied)}" if self.applied else "no other migration was applied by this run"
        return f"{units}, {whole}" if units else whole


def _rehearse(dsn: str, migrations: Sequence[Migration], direction: ledger.Direction, terms: Terms, watch: Watch) -> Outcome:
    """What `apply` would execute, by the ledger as it is; nothing is written, not even the ledger, and no lock is taken."""
    with contextlib.closing(connect(dsn, application_name="pgcharter migrate dry run")) as conn:
        conn.execute("SET default_transaction_read_only = on")
        found: list[Planned] = []
        skipped: list[Migration] = []
        for task in tasks(conn, migrations, direction):
            if isinstance(task, Migration):
                skipped.append(task)
                continue
            for one in planned(conn, task.migration, task.units, task.first, direction, terms):
                watch(one)
                found.append(one)
    return Outcome(
        "planned",
        skipped=tuple(skipped),
        planned=tuple(found),
        message=f"{len(found):,} {'unit' if len(found) == 1 else 'units'} would be run",
    )

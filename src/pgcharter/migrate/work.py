"""One migration at work: its units, each in the way it needs, each recorded so that a run that dies anywhere is taken up again."""

from __future__ import annotations

import contextlib
import random
import re
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg

from pgcharter import faults
from pgcharter.errors import PgcharterError
from pgcharter.migrate import alone, backfill, home, ledger, reach
from pgcharter.migrate.endings import AGAIN, EndError, Reason, failed, kept
from pgcharter.migrate.framing import AS_LOGGED_IN, CLOSING, opening, patience
from pgcharter.migrate.session import Session, StoppedError
from pgcharter.migrate.terms import gate_key
from pgcharter.migrate.watch import Advances, Backend, Note, Paused, Resumed, Retries, UnitBegun, UnitDone, Waits, Watch
from pgcharter.names import quote
from pgcharter.redact import redact

if TYPE_CHECKING:
    from pgcharter.migrate.blockers import Beside
    from pgcharter.migrate.control import Control, Request
    from pgcharter.migrate.lock import RunnerLock
    from pgcharter.migrate.model import Migration, Unit
    from pgcharter.migrate.terms import Terms
    from pgcharter.sqltext import Statement

T = TypeVar("T")
_AGAIN = (
    psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure, StoppedError,
)  # fmt: skip
_NOT_TAKEN = ("22", "23", "39", "42", "P0")
"""Classes of SQLSTATE with which tables, their constraints and triggers refuse a row."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 15.0
_BECOMES = re.compile(r"\bset\s+(?:local\s+|session\s+)?(?:role|(?:session\s+)?authorization)\b", re.IGNORECASE)
"""A file that becomes another role: who lacked a right is not known then."""
TOLD = 10
"""Different things said by the server that are told of one migration: a loop that raises notices must not flood the night."""

_OURS = 'schema "pgcharter" already exists'
"""What the server remarks on plans with policies, which make sure of our own schema."""


@dataclass
class Work:
    """The units of one migration in one direction."""

    session: Session
    beside: Beside
    lock: RunnerLock
    control: Control
    terms: Terms
    watch: Watch
    migration: Migration
    units: tuple[Unit, ...]
    direction: ledger.Direction = "up"
    run: int | None = None
    """The ledger's row; None until there is one."""
    progress: Mapping[int, ledger.Progress] = field(default_factory=dict)
    number: int = 0
    """The unit at work."""
    sql: str = ""
    """The statement at work."""
    pid: int = 0
    """The server's process at work, where it is not that of `session`."""
    blockers: tuple[Backend, ...] = ()
    """Who stood in the way when somebody last did."""
    began: float = 0.0
    attempt: int = 1
    """Which try of the unit or batch this is."""
    _waited: float = 0.0
    """Seconds of waiting for locks in this transaction."""
    _limited: bool = True
    """Whether a wait for a lock has a limit now."""
    _looked: float = 0.0
    _told: float = 0.0
    _heard: set[str] = field(default_factory=set)
    _ended: EndError | None = None
    """How the run ends, once the statement at work is cancelled because a person wants that."""

    @property
    def unit(self) -> Unit:
        """The unit at work."""
        return self.units[self.number]

    def do(self, number: int) -> None:
        """Do one unit and record it. Raises EndError when the run must end, psycopg's errors otherwise."""
        self.number, self.sql, self.blockers = number, "", ()
        self.lock.check()
        self.between()
        began = time.monotonic()
        found = ""
        self.watch(UnitBegun(self.migration, number, self.unit))
        faults.point("unit")
        if self.unit.gate:
            self._gate()
        elif self.unit.backfill:
            backfill.run(self, self.unit.backfill)
        elif self.unit.program:
            program = self.unit.program
            found = self.attempts(lambda: program.run(self))
        elif self.unit.transactional:
            self.attempts(self._transaction)
        else:
            found = self._alone()
        faults.point("after record")
        self.watch(UnitDone(self.migration, number, time.monotonic() - began, found))

    def between(self) -> None:
        """Wait while a person wants it, and raise EndError when the run is to end: asked between units and between batches."""
        self.control.tell()
        self._hold()
        self._stop()
        window = self.terms.window
        if window and not window.opens(self.terms.clock()):
            message = f"{self.here}: the maintenance window {window} is not open, so nothing more was begun"
            raise EndError("stopped", "window", message, f"when it is, {AGAIN}")

    def _interrupt(self) -> None:
        """End as Ctrl-C would, which only the main thread hears."""
        if self.terms.interrupted and self.terms.interrupted():
            raise KeyboardInterrupt

    def _stop(self) -> None:
        self._interrupt()
        if self.terms.stop and self.terms.stop():
            raise EndError("stopped", "asked", f"{self.here}: stopped as asked", AGAIN)
        if self.control.stop:
            raise self._stopped(self.control.stop)

    def _stopped(self, request: Request, leftover: str = "") -> EndError:
        return EndError("stopped", "asked", f"{self.here}: stopped{leftover}, because {request}", AGAIN)

    def _hold(self) -> None:
        """Wait while a person wants it: for ever in the middle of work, as long as for another runner when nothing is begun."""
        began, told = time.monotonic(), None
        while pause := self.control.pause:
            if pause != told:
                self.watch(Paused(self.migration, self.number, (f"{pause}; to go on: pgcharter migrate resume",)))
                told = pause
            self._stop()
            self.lock.check()
            self.control.tell()
            if not self.control.at_work and time.monotonic() - began > self.terms.wait:
                message = f"{self.here}: runs in this database are paused, so nothing was begun: {pause}"
                raise EndError("stopped", "asked", message, "pgcharter migrate resume; then run the same command again")
            time.sleep(0.2)
        if told:
            self.watch(Resumed(self.migration, self.number, time.monotonic() - began))

    @property
    def here(self) -> str:
        """Where the run is: `unit 2 of 20261121 add_total`."""
        return f"unit {self.number + 1} of {self.migration.title}"

    @property
    def leftover(self) -> str:
        """What a statement that was cut off may leave behind, as the end of a sentence."""
        built = bool(self.units) and not self.unit.transactional and alone.builds(self.sql)
        return ", and what it has built of the index stays unused until the next run takes it away" if built else ""

    # attempts

    def attempts(self, work: Callable[[], T]) -> T:
        """Do `work` again and again, with pauses that grow, until it gets its locks or the deadline has come."""
        began, self.attempt, self.blockers = time.monotonic(), 1, ()
        while True:
            self._waited = 0.0
            try:
                return work()
            except _AGAIN as error:
                self.rollback()
                if self._ended:
                    raise self._ended from None
                self._try_again(error, began)

    def _try_again(self, error: psycopg.Error | StoppedError, began: float) -> None:
        cause = error.__cause__ if isinstance(error, StoppedError) else error
        if self.session.lost and isinstance(cause, psycopg.Error):
            raise cause
        pause = min(_FIRST_PAUSE * 2 ** (self.attempt - 1), _LONGEST_PAUSE) * random.uniform(0.5, 1.5)  # noqa: S311
        left = self.terms.deadline - (time.monotonic() - began)
        why = "it waited too long for a lock" if isinstance(error, StoppedError) else _said(error)
        if left <= pause:
            raise self._gave_up(time.monotonic() - began, why)
        self.attempt += 1
        self.watch(Retries(self.migration, self.number, self.attempt, pause, left, why, self.blockers))
        until = time.monotonic() + pause
        while (rest := until - time.monotonic()) > 0:
            self._stop()
            self.control.tell()
            time.sleep(min(rest, 0.25))

    def _gave_up(self, seconds: float, why: str) -> EndError:
        who = "; ".join(str(one) for one in self.blockers if not one.waits) or "nobody who could be seen"
        pids = [one.pid for one in self.blockers if one.pid and not one.waits and not one.own]
        end = "; ".join(f"SELECT pg_terminate_backend({pid})" for pid in pids)
        kept = "the batches before it are kept" if self.unit.backfill else "of this unit nothing is applied"
        message = f"{self.here} was given up after {self.attempt} attempts in {seconds:.0f} s: {why}, behind {who}; {kept}"
        return EndError("failed", "lock", message, f"{end + '; then ' if end else ''}{AGAIN}", blockers=self.blockers)

    def rollback(self) -> None:
        """End a transaction that failed, where there is one and a server to say it to."""
        if not self.session.lost and self.session.in_transaction:
            with contextlib.suppress(psycopg.Error):
                self.session.run("ROLLBACK")

    def look(self, running: float) -> bool:
        """Look at the statement at work from beside; whether it must be stopped."""
        now = time.monotonic()
        since, self._looked = min(now - self._looked, running), now
        self._interrupt()
        self.control.tell()
        stop = self.control.stop
        if stop and stop.word == "stop now" and not self._ended:
            self._ended = self._stopped(stop, self.leftover)
            return True
        found = self.beside.blockers(self.pid or self.session.conn.info.backend_pid)
        if found is not None:
            self._waited += since
            self._blocked(found, now)
        elif running > 0.4:
            self._advance()
        longest = self.terms.statement_timeout if self._limited else self.terms.alone_timeout
        if longest and running > longest + 0.5:
            return True
        return bool(self._limited and found is not None and self.terms.lock_timeout and self._waited > self.terms.lock_timeout)

    def _blocked(self, found: tuple[Backend, ...], now: float) -> None:
        changed = [one.pid for one in found] != [one.pid for one in self.blockers]
        self.blockers = found or self.blockers  # a wait can end between the question whether and the one for whom
        if changed or now - self._told > 1:
            self._told = now
            self.watch(Waits(self.migration, self.number, self._waited, found))
        if self.terms.terminate_blockers and (self.attempt > 1 or (not self._limited and self._waited > self.terms.lock_timeout)):
            self.beside.terminate(found)

    def _advance(self) -> None:
        advance = self.beside.advance(self.pid or self.session.conn.info.backend_pid)
        if advance:
            self.watch(Advances(self.migration, self.number, *advance))

    def hear(self, severity: str, words: str) -> None:
        """Tell a warning or notice of the server, once; those of one migration up to a limit."""
        if words.startswith(_OURS):
            return
        said = f"{self.migration.title}: {severity.lower()}: {redact(' '.join(words.split()))[:500]}"
        if said not in self._heard and len(self._heard) <= TOLD:
            self._heard.add(said)
            self.watch(Note(said if len(self._heard) <= TOLD else f"{self.migration.title}: the server said more, which is not shown"))

    # what is recorded

    def recorded(self, write: Callable[[], None]) -> None:
        """Write to the ledger in a transaction of its own, as who logged in."""
        self.session.run(AS_LOGGED_IN)
        write()
        self.session.run("COMMIT")

    def record(self) -> None:
        """Record the unit at work, in the transaction that is open; with its last unit the migration is done.

        Raises EndError where the ledger does not take it: a trigger or a constraint of somebody's stands there, or it is damaged.
        """
        try:
            self._record()
        except psycopg.Error as error:
            state = error.sqlstate or ""
            if state[:2] not in _NOT_TAKEN or state == "42501":
                raise
            message = f"{self.here} ran, but the ledger does not take the record of it: {_said(error)}; {kept(self.unit)}"
            hint = f"mend {home.of(self.session.conn).runs} (a trigger, a constraint, a column that was changed), then {AGAIN}"
            raise EndError("failed", "server", message, hint, sqlstate=state) from None

    def _record(self) -> None:
        conn, last = self.session.conn, self.number == len(self.units) - 1
        if self.run is None:
            ledger.record(conn, self.migration, self.direction, time.monotonic() - self.began)
            return
        ledger.unit_done(conn, self.run, self.number, self.unit)
        if last:
            ledger.finish(conn, self.run, "done")

    def checkpoint(self, position: Any, rows: int) -> None:
        """Record how far the unit at work has come, in the transaction that is open."""
        assert self.run is not None  # noqa: S101  (only migrations of one transaction go without)
        ledger.checkpoint(self.session.conn, self.run, self.number, self.unit, position, rows)

    # kinds of units

    def _gate(self) -> None:
        if not self.terms.passed(self.migration, self.number, self.unit.gate):
            message = f"{self.here} is a gate: {self.unit.gate}; nothing after it was begun"
            key = shlex.quote(gate_key(self.migration, self.number))
            raise EndError("stopped", "gate", message, f"when that is true: pgcharter migrate {self.direction} --gate {key}")
        self.recorded(self.record)

    def _transaction(self) -> None:
        self.session.run(opening(self.terms))
        for sql in self.unit.statements:
            self.sql = sql
            self._refuse_stray()
            self.session.run(sql)
        faults.point("in transaction")
        self.session.run(CLOSING)
        self.record()
        faults.point("before commit")
        last = self.number == len(self.units) - 1
        self.session.run(f"COMMIT; {self.session.fresh()}" if last else "COMMIT")
        self.session.new = last
        faults.point("after commit")

    def _refuse_stray(self) -> None:
        """Raise EndError when the statement at work would change what belongs to another schema because this one lacks it."""
        found = reach.stray(self.session.conn, self.sql)
        if found:
            where = quote(home.of(self.session.conn).schema)
            message = f"{self.here}: schema {where} lacks what it names, so it would change {found}; of this unit nothing is applied"
            raise EndError("failed", "statement", message, f"make it in {where}; or, where {found} is meant, write it so; then {AGAIN}")

    def _alone(self) -> str:
        """Run a statement that stands alone; why nothing had to be run, if so."""
        self.sql = self.unit.statements[0]
        self._refuse_stray()
        statement = alone.one(self.sql)
        if not alone.refuses_transaction(statement):
            try:
                self.attempts(self._transaction)
                return ""
            except psycopg.errors.ActiveSqlTransaction:
                self.rollback()
        before = self.progress.get(self.number)
        begun = before.position if before and before.checksum == ledger.unit_checksum(self.unit) else None
        if alone.unknowable(statement):
            found = self._alone_once(statement, begun)
        else:
            found = self.attempts(lambda: self._alone_once(statement, begun))
        faults.point("after alone")
        self.recorded(self.record)
        return found

    def _alone_once(self, statement: Statement | None, begun: alone.Mark | None) -> str:
        """One try; the mark in the ledger stands from before the statement until it is recorded, or known to have failed."""
        mark = begun or alone.mark(self.session.conn, statement)
        if begun is None:
            self.recorded(lambda: self.checkpoint(mark, 0))
        faults.point("before alone")
        try:
            way = alone.way(self.session.conn, self.sql, statement, begun, repeat=self.terms.repeat_begun)
        except PgcharterError as error:
            reason: Reason = "begun" if alone.unknowable(statement) else "statement"
            raise EndError("failed", reason, f"{self.here}: {error.message}", error.hint) from None
        with self._patient():
            for sql in way.statements:
                try:
                    self.session.run(sql)
                except (psycopg.Error, StoppedError) as error:
                    if begun is not None and alone.done_before(statement, getattr(error, "sqlstate", None)):
                        return "an earlier run had done it"
                    if self._ended:
                        raise self._ended from None
                    behind = self.blockers
                    if self._clean(statement, mark):
                        self._unmark(statement)
                    if isinstance(error, StoppedError) or (self.terms.alone_timeout and error.sqlstate == "57014"):
                        raise self._took_too_long(behind) from None
                    raise
        return way.found

    def _took_too_long(self, blockers: tuple[Backend, ...]) -> EndError:
        behind = "; ".join(str(one) for one in blockers if not one.waits)
        message = f"{self.here} was stopped because it ran longer than {self.terms.alone_timeout:g} s" + (
            f", behind {behind}" if behind else ""
        )
        return EndError("failed", "lock" if behind else "statement", message, AGAIN, sqlstate="57014", blockers=blockers)

    def _clean(self, statement: Statement | None, mark: alone.Mark) -> bool:
        """Take away what the failed statement has left; whether all of it is gone. The next run tries again."""
        if self.session.lost:
            return False
        try:
            for sql in alone.cleaning(self.session.conn, statement, mark):
                self.session.run(sql)
                self.watch(Note(f"what the failed statement left behind was taken away: {sql}"))
        except (psycopg.Error, StoppedError) as error:
            cause = error.__cause__ if isinstance(error, StoppedError) else error
            self.watch(Note(f"what the failed statement left behind is still there: {cause}", "the next run takes it away"))
            return False
        return True

    def _unmark(self, statement: Statement | None) -> None:
        """The statement failed, and that is known: the next run does not take it for done. But one that commits itself may have."""
        if not self.session.lost and not alone.unknowable(statement):
            self.recorded(lambda: self.checkpoint(None, 0))

    @contextlib.contextmanager
    def _patient(self) -> Iterator[None]:
        """Settings of a statement that stands alone; those of the file come back afterwards."""
        conn = self.session.conn
        row = conn.execute("SELECT current_setting('lock_timeout'), current_setting('statement_timeout')").fetchone() or ("0", "0")
        self.session.run(patience(self.terms, conn.info.server_version // 10000))
        self._limited = False
        try:
            yield
        finally:
            self._limited = True
            if not self.session.lost:
                self.session.run(f"SET lock_timeout = '{row[0]}'; SET statement_timeout = '{row[1]}'")

    def ending(self, error: psycopg.Error) -> EndError:
        """The ending that an error of the server makes here."""
        role = "" if self.session.lost or _BECOMES.search(self.migration.text) else self.session.conn.info.user
        return failed(error, self.migration, self.number, self.unit, self.sql, self.direction, lost=self.session.lost, role=role)


def _said(error: psycopg.Error) -> str:
    return error.diag.message_primary or str(error)

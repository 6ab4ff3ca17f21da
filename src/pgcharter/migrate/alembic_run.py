"""One revision of an Alembic project at work: by env.py and Alembic's own context, under our lock, timeouts, retries and ledger.

The ledger's row is written on the revision's own connection by a hook that Alembic calls after it has changed `alembic_version`: all three
are one transaction. A revision that ends a transaction itself (`autocommit_block`, or a commit in a data migration) is done in parts, each
recorded as it is committed. A run that goes on after such a part goes through upgrade() again and sends nothing of what was recorded: what
would be sent must be, text for text, what was sent then; else nothing is run.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import psycopg

from pgcharter.db import queries
from pgcharter.errors import PgcharterError
from pgcharter.migrate import alembic_env, alone, faults, ledger
from pgcharter.migrate.endings import AGAIN, EndError, failed
from pgcharter.migrate.framing import CLOSING, patience
from pgcharter.migrate.lock import FENCE
from pgcharter.migrate.session import APPLICATION
from pgcharter.names import literal
from pgcharter.redact import redact

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext
    from sqlalchemy import Connection as SaConnection

    from pgcharter.db import Connection
    from pgcharter.migrate.alembic import Revisions
    from pgcharter.migrate.work import Work

_AGAIN = ("55P03", "40P01", "40001")
"""SQLSTATEs of what may be tried again: a wait for a lock that was given up, a deadlock, a serialization failure."""
_KEPT = re.compile(r"(?:\s|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*(?:select|with|values|table|show|set|reset)\b", re.IGNORECASE | re.DOTALL)
"""What is sent again when a part that is done is gone through: it reads, or sets something for the session; read only."""
NOTHING = "SELECT 1 WHERE false"


@dataclass(frozen=True)
class Revision:
    """The program of one revision in one direction."""

    revisions: Revisions
    version: str
    direction: ledger.Direction
    dsn: str
    unknown: str = ""

    def prepare(self, conn: Connection) -> None:
        """Share the fence with the connections of env.py, and take over what Alembic itself did since."""
        conn.execute(_sql("share"), (FENCE, FENCE))
        self.revisions.take_over(conn, alembic_env.standpoint(self.revisions.alembic, self.dsn).heads)

    def run(self, work: Work) -> str:
        """Run it. Raises EndError, and psycopg's errors for what may be tried again."""
        visit = Visit(work, self)
        try:
            with visit.watched(), visit.listening():
                alembic_env.visit(self.revisions.alembic, self.dsn, visit.steps, visit.attach)
        except (EndError, KeyboardInterrupt):
            raise
        except Exception as error:
            if visit.refused:
                raise visit.refused from None
            if visit.was_done_before(error):
                return self.run(work)
            raise self._ending(work, visit, error) from None
        if visit.already:
            return f"it is {'applied' if self.direction == 'up' else 'taken back'} already"
        faults.point("after commit")
        self._see(work, visit)
        return ""

    def _see(self, work: Work, visit: Visit) -> None:
        """Raise EndError when nothing was committed: then env.py began a transaction before Alembic could."""
        row = work.session.conn.execute(_sql("outcome"), (visit.row,)).fetchone()
        if row is None or row[0] != "done":
            raise EndError(
                "failed", "statement",
                f"{work.here} ran, and env.py ended without a COMMIT, so nothing of it stays: it speaks on the connection before"
                " context.configure(), and the transaction that this begins is nobody's",
                "in env.py: connection.commit() before context.configure(...)", place=alembic_env.env_py(self.revisions.alembic),
            )  # fmt: skip

    def _ending(self, work: Work, visit: Visit, error: Exception) -> Exception:
        """What the error of a revision, or of env.py, means for the run."""
        project, orig = self.revisions.alembic, alembic_env.first(error)
        place, state = alembic_env.origin(project, error), _state(orig)
        if state in _AGAIN:
            return orig if isinstance(orig, psycopg.Error) else psycopg.errors.lookup(state)(str(orig))
        stays = f"; its first {visit.number} parts are committed and stay" if visit.number else ""
        if state or isinstance(orig, psycopg.Error):
            known = orig if isinstance(orig, psycopg.Error) else psycopg.Error(str(orig))
            end = failed(known, work.migration, work.number, work.unit, "", self.direction, lost=work.session.lost)
            message = end.message.replace("; of this unit nothing is applied", stays) if stays else end.message
            hint = end.hint.replace("pgcharter migrate baseline", "alembic stamp")
            return EndError(end.status, end.reason, message, hint, place=str(place), sqlstate=state)
        if isinstance(orig, PgcharterError):
            return EndError("failed", "statement", f"{work.here} failed: {orig.message}", orig.hint, place=orig.place or str(place))
        said = redact(f"{type(orig).__name__}: {' '.join(str(orig).split())}"[:300])
        kept = stays or "; of this unit nothing is applied"
        return EndError("failed", "statement", f"{work.here} failed: {said}{kept}", f"correct the file, then {AGAIN}", place=str(place))


def _state(error: Exception) -> str:
    """SQLSTATE, in the words of psycopg, psycopg2 or asyncpg; empty for what is no error of the server."""
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or ""


@dataclass
class Visit:
    """One time that env.py runs to do one revision."""

    work: Work
    revision: Revision
    number: int = 0
    """Parts passed: transactions and statements outside of them that are committed."""
    row: int = 0
    """The ledger's row, once it is written."""
    already: bool = False
    refused: EndError | None = None
    """Why it may not go on, found where SQLAlchemy hides errors behind those of its own clearing up."""
    _connection: Any = None
    """The driver's connection that the revision runs on."""
    _stepping: bool = False
    _digest: Any = field(default_factory=hashlib.sha256)
    _spoke: bool = False
    """Whether something was sent in this transaction."""
    _alone: tuple[str, str, Any, bool] | None = None
    """The statement outside of transactions at work: its text, its digest, its mark, and whether an earlier run had begun it."""
    _within: str = ""
    """Digest of a statement at work that env.py sends outside of transactions and PostgreSQL allows in one: it has one of ours."""
    _patient: bool = False
    _since: float = 0.0
    """When the statement at work was sent; 0 while there is none."""
    _began: float = field(default_factory=time.monotonic)

    @cached_property
    def done(self) -> list[str]:
        """Digests of the parts that were recorded before this visit."""
        return list(self._position.get("parts", ()))

    @cached_property
    def _position(self) -> dict[str, Any]:
        known = ledger.progress(self.work.session.conn, self.work.run) if self.work.run else {}
        return (known[0].position or {}) if 0 in known else {}

    # env.py's own connection

    def steps(self, heads: tuple[str, ...], _context: MigrationContext) -> Iterable[Any]:
        """The one step, unless it is done."""
        from alembic.runtime.migration import MigrationStep

        project, up = self.revision.revisions.alembic, self.revision.direction == "up"
        if (self.revision.version in self.revision.revisions.applied(heads)) is up:
            self.already = True
            return
        script: Any = project.script.get_revision(self.revision.version)
        make = MigrationStep.upgrade_from_script if up else MigrationStep.downgrade_from_script
        self._stepping = True
        yield make(project.script.revision_map, script)
        self._stepping = False

    def attach(self, context: MigrationContext) -> None:
        """Take part in what the context does."""
        if context.connection is None:
            raise PgcharterError("env.py configured its context without a connection, so nothing can be run")
        self._connection = context.connection.connection.dbapi_connection
        context.on_version_apply_callbacks = (*context.on_version_apply_callbacks, self._applied)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Hear what SQLAlchemy sends meanwhile."""
        from sqlalchemy import Engine, event
        from sqlalchemy.pool import Pool

        heard: list[tuple[Any, str, Any, dict[str, Any]]] = [
            (Pool, "checkout", self._opened, {}),
            (Pool, "checkin", self._closed, {}),
            (Engine, "before_cursor_execute", self._statement, {"retval": True}),
            (Engine, "after_cursor_execute", self._executed, {}),
            (Engine, "handle_error", self._failed, {}),
            (Engine, "commit", self._commit, {}),
        ]
        for target, name, function, options in heard:
            event.listen(target, name, function, **options)
        try:
            yield
        finally:
            for target, name, function, _ in heard:
                event.remove(target, name, function)

    def _opened(self, connection: Any, _record: Any, _proxy: Any) -> None:
        """Our timeouts, and a share of the fence: while anything of this run lives, no other runner begins."""
        terms, cursor = self.work.terms, connection.cursor()
        settings = {**_timeouts(terms.lock_timeout, terms.statement_timeout), "application_name": APPLICATION, **terms.settings}
        set_all = "".join(f", pg_catalog.set_config({literal(name)}, {literal(value)}, false)" for name, value in settings.items())
        cursor.execute(_sql("join").format(fence=FENCE) + set_all)
        self.work.pid = cursor.fetchone()[0]
        self.work.beside.own.append(self.work.pid)
        cursor.close()
        connection.commit()

    def _closed(self, connection: Any, _record: Any) -> None:
        if connection is not None:
            with contextlib.suppress(Exception):
                cursor = connection.cursor()
                cursor.execute(_sql("leave").format(fence=FENCE))
                cursor.close()
                connection.commit()

    # what the revision sends

    def _ours(self, conn: SaConnection) -> bool:
        return self._stepping and not self.row and conn.connection.dbapi_connection is self._connection

    def _statement(self, conn: SaConnection, cursor: Any, sql: str, parameters: Any, _context: Any, _many: bool) -> tuple[str, Any]:
        if not self._ours(conn):
            return sql, parameters
        digest = f"{sql}\0{parameters!r}".encode("utf-8", "surrogatepass")
        keeps = _KEPT.match(sql) is not None
        if self._connection.autocommit:
            if not keeps:
                sql, parameters = self._by_itself(cursor, sql, parameters, hashlib.sha256(digest).hexdigest())
        else:
            self._impatient(cursor)
            self._digest.update(digest)
            if self.number < len(self.done):
                if not self._spoke:
                    cursor.execute("SET TRANSACTION READ ONLY")
                sql, parameters = (sql, parameters) if keeps else (NOTHING, ())
            self._spoke = True
        self._since = time.monotonic()
        return sql, parameters

    def _executed(self, conn: SaConnection, *_: Any) -> None:
        self._since = 0.0
        if self._within and self._ours(conn):
            digest, self._within = self._within, ""
            own = self._connection.cursor()
            self._record_part(Through(own, self.work.session.conn).closing(), digest)
            own.execute("COMMIT")
            own.close()
            return
        if self._alone is not None and self._ours(conn):
            digest, self._alone = self._alone[1], None
            faults.point("after alone")
            self._record_part(self.work.session.conn, digest)

    def _failed(self, _context: Any) -> None:
        """The transaction that was ours is over, before SQLAlchemy, which knows nothing of it, goes on."""
        self._since = 0.0
        if self._within:
            self._within = ""
            self._connection.rollback()

    def _commit(self, conn: SaConnection) -> None:
        """A transaction ends inside the revision: what it did is recorded in it."""
        if not self._ours(conn) or not self._spoke or self._connection.autocommit:
            return
        digest, self._digest, self._spoke = self._digest.hexdigest(), hashlib.sha256(), False
        if self.number < len(self.done):
            try:
                self._hold(digest)
            except EndError as end:
                self.refused = end
                self._connection.rollback()
                raise
        else:
            self._begin_run()
            self._stepping = False
            self._record_part(Through(conn, self.work.session.conn).closing(), digest)
            self._stepping = True

    def _record_part(self, conn: Any, digest: str) -> None:
        self.done.append(digest)
        self.number += 1
        ledger.checkpoint(conn, self.work.run or 0, 0, self.work.unit, {"parts": self.done}, 0)

    def _hold(self, digest: str) -> None:
        """Pass a part that is done. Raises EndError when it is another one than was done."""
        if self.done[self.number] != digest:
            raise EndError(
                "failed", "begun",
                f"{self.work.here} was left after {len(self.done)} parts that are committed, and part {self.number + 1} is not what it was"
                " then (the file was edited, or what it sends depends on time or data); nothing was run",
                "bring the file back as it was; or finish it by hand, then: alembic stamp, pgcharter migrate repair",
            )  # fmt: skip
        self.number += 1

    def _begin_run(self) -> None:
        """There must be a row of the ledger before anything of it is committed."""
        if self.work.run is None:
            self.work.run = ledger.start(self.work.session.conn, self.work.migration, self.revision.direction)

    # statements outside of transactions

    def _by_itself(self, cursor: Any, sql: str, parameters: Any, digest: str) -> tuple[str, Any]:
        """What is sent for a statement outside of transactions: nothing when it is done; after a crash, what clears up and builds anew."""
        if self.number < len(self.done):
            self._hold(digest)
            return NOTHING, ()
        conn, statement = self.work.session.conn, alone.one(sql)
        if statement is not None and statement.kind == "transaction_stmt":
            return sql, parameters
        if not alone.refuses_transaction(statement):
            self._begin_run()
            self._impatient(cursor)
            cursor.execute("BEGIN")
            self._within = digest
            return sql, parameters
        begun = self._position.get("begun") if self._position.get("digest") == digest else None
        self._begin_run()
        mark = begun or alone.mark(conn, statement)
        if begun is None:
            position = {"parts": self.done, "begun": mark, "digest": digest}
            ledger.checkpoint(conn, self.work.run or 0, 0, self.work.unit, position, 0)
        faults.point("before alone")
        way = alone.way(conn, sql, statement, begun, repeat=self.work.terms.repeat_begun)
        self._alone = (sql, digest, mark, begun is not None)
        cursor.execute(patience(self.work.terms, conn.info.server_version // 10000))
        self._patient = True
        for extra in way.statements[:-1]:
            cursor.execute(extra)
        return (way.statements[-1], parameters) if way.statements else (NOTHING, ())

    def _impatient(self, cursor: Any) -> None:
        """Back in a transaction: waits for locks are short again."""
        if self._patient:
            self._patient = False
            for name, value in _timeouts(self.work.terms.lock_timeout, self.work.terms.statement_timeout).items():
                cursor.execute(f"SET {name} = '{value}'")

    def was_done_before(self, error: Exception) -> bool:
        """Clear up after a statement that failed outside of transactions. Whether its error says that an earlier run had done it."""
        if self._alone is None:
            return False
        (sql, digest, mark, begun), self._alone, conn = self._alone, None, self.work.session.conn
        statement = alone.one(sql)
        if begun and alone.done_before(statement, _state(alembic_env.first(error))):
            self._record_part(conn, digest)
            return True
        with contextlib.suppress(psycopg.Error):
            for clearing in alone.cleaning(conn, statement, mark):
                conn.execute(clearing.encode())
            if not alone.unknowable(statement):
                ledger.checkpoint(conn, self.work.run or 0, 0, self.work.unit, {"parts": self.done}, 0)
        return False

    # the end

    def _applied(self, ctx: MigrationContext, **_: Any) -> None:
        """Alembic has changed its version table: the ledger's row goes into the same transaction."""
        if self.number < len(self.done):
            self._hold("")
        work, conn = self.work, Through(ctx.connection, self.work.session.conn)
        run = work.run
        self.row = run or -1
        faults.point("in transaction")
        conn.closing()
        if run is None:
            self.row = ledger.record(conn, work.migration, self.revision.direction, time.monotonic() - self._began)  # type: ignore[arg-type]
        else:
            ledger.unit_done(conn, run, 0, work.unit)  # type: ignore[arg-type]
            ledger.finish(conn, run, "done")  # type: ignore[arg-type]
        faults.point("before commit")

    # who looks on

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Look from time to time who stands in the way of the statement at work."""
        ended, longest = threading.Event(), self.work.terms.lock_timeout
        pause = max(0.02, min(0.25, longest / 4)) if longest else 0.25

        def look() -> None:
            while not ended.wait(pause):
                since = self._since
                if since and self.work.pid:
                    self.work.look(time.monotonic() - since)

        thread = threading.Thread(target=look, name="pgcharter watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self.work.pid = 0


class Through:
    """A connection of SQLAlchemy's, or a cursor of its driver, as the ledger's functions want one: they join its transaction."""

    def __init__(self, conn: Any, beside: Connection) -> None:
        self.conn, self.info = conn, beside.info
        self._text = psycopg.ClientCursor(beside)

    def closing(self) -> Through:
        """Before the record is written: what is deferred is checked, and whoever env.py became, we are who logged in."""
        for sql in CLOSING.split("; "):
            self.execute(sql)
        return self

    def execute(self, query: str, parameters: Any = None) -> Any:
        """Execute; the values are put into the text by psycopg."""
        text = self._text.mogrify(query.encode(), parameters) if parameters else query
        if not hasattr(self.conn, "exec_driver_sql"):
            return self.conn.execute(text)
        return self.conn.exec_driver_sql(text, execution_options={"no_parameters": True})


def _timeouts(lock: float, statement: float) -> dict[str, str]:
    return {"lock_timeout": f"{lock * 1000:.0f}ms", "statement_timeout": f"{statement * 1000:.0f}ms"}


def _sql(name: str) -> Any:
    return queries.load("pgcharter.migrate", "alembic.sql")[name]

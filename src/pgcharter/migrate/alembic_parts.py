"""One revision as it is sent: in one transaction with the ledger's row, or in parts where it ends transactions itself.

The ledger's row is written on the revision's own connection by a hook that Alembic calls after it has changed `alembic_version`: all three
are one transaction. A revision that ends a transaction itself (`autocommit_block`, or a commit in a data migration) is done in parts, each
recorded as it is committed. A run that goes on after such a part goes through upgrade() again and sends nothing of what was recorded: what
would be sent must be, text for text, what was sent then; else nothing is run.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import psycopg

from pgcharter import faults
from pgcharter.migrate import alembic_batches, alembic_env, alone, ledger
from pgcharter.migrate.endings import EndError
from pgcharter.migrate.framing import CLOSING, patience

if TYPE_CHECKING:
    from sqlalchemy import Connection as SaConnection

    from pgcharter.db import Connection
    from pgcharter.migrate.work import Work

_KEPT = re.compile(r"(?:\s|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*(?:select|with|values|table|show|set|reset)\b", re.IGNORECASE | re.DOTALL)
"""What is sent again when a part that is done is gone through: it reads, or sets something for the session; read only."""
_SETS = re.compile(r"\b(?:set|reset|discard|set_config)\b", re.IGNORECASE)
"""What may change a setting of the session."""
NOTHING = "SELECT 1 WHERE false"


@dataclass
class Parts:
    """A revision at work."""

    work: Work
    version: str
    direction: ledger.Direction
    last: bool
    """Whether the run ends with it."""
    number: int = 0
    """Parts passed: transactions and statements outside of them that are committed."""
    row: int = 0
    """The ledger's row, once it is written."""
    already: bool = False
    committed: bool = False
    """Whether its COMMIT was seen to succeed."""
    refused: EndError | None = None
    """Why it may not go on, found where SQLAlchemy hides errors behind those of its own clearing up."""
    connection: Any = None
    """The driver's connection that it runs on; None while it is not at work."""
    limits: tuple[str, ...] = ()
    """The statements that bring the limits back which env.py has left in force."""
    sets: bool = False
    """Whether it may have changed settings of the session."""
    since: float = 0.0
    """When the statement at work was sent; 0 while there is none."""
    _digest: Any = field(default_factory=hashlib.sha256)
    _spoke: bool = False
    """Whether something was sent in this transaction."""
    _alone: tuple[str, str, Any, bool] | None = None
    """The statement outside of transactions at work: its text, its digest, its mark, and whether an earlier run had begun it."""
    _within: str = ""
    """Digest of a statement at work that env.py sends outside of transactions and PostgreSQL allows in one: it has one of ours."""
    _patient: bool = False
    _began: float = field(default_factory=time.monotonic)

    @cached_property
    def done(self) -> list[str]:
        """Digests of the parts that were recorded before it was taken up."""
        return list(self._position.get("parts", ()))

    @cached_property
    def _position(self) -> dict[str, Any]:
        known = ledger.progress(self.work.session.conn, self.work.run) if self.work.run else {}
        return (known[self.work.number].position or {}) if self.work.number in known else {}

    # what is sent

    def ours(self, conn: SaConnection) -> bool:
        """Whether what a connection does is the revision's doing."""
        return self.connection is not None and not self.row and conn.connection.dbapi_connection is self.connection

    def statement(self, cursor: Any, sql: str, parameters: Any) -> tuple[str, Any]:
        """What is sent for a statement."""
        digest = f"{sql}\0{parameters!r}".encode("utf-8", "surrogatepass")
        keeps = _KEPT.match(sql) is not None
        self.sets = self.sets or _SETS.search(sql) is not None
        if self.connection.autocommit:
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
        self.since = time.monotonic()
        return sql, parameters

    def executed(self) -> None:
        """The statement is done: one outside of transactions is recorded."""
        if self._within:
            digest, self._within = self._within, ""
            own = Through(self.connection, self.work.session.conn).closing()
            self.record_part(own, digest)
            own.execute("COMMIT")
        elif self._alone is not None:
            digest, self._alone = self._alone[1], None
            faults.point("after alone")
            self.record_part(self.work.session.conn, digest)

    def failed(self) -> None:
        """The transaction that was ours is over, before SQLAlchemy, which knows nothing of it, goes on."""
        self.since = 0.0
        if self._within:
            self._within = ""
            self.connection.rollback()

    def commit(self) -> None:
        """A transaction ends inside the revision: what it did is recorded in it."""
        if not self._spoke or self.connection.autocommit:
            return
        digest, self._digest, self._spoke = self._digest.hexdigest(), hashlib.sha256(), False
        if self.number < len(self.done):
            try:
                self._hold(digest)
            except EndError as end:
                self.refused = end
                self.connection.rollback()
                raise
        else:
            self._begin_run()
            self.record_part(Through(self.connection, self.work.session.conn).closing(), digest)

    def applied(self) -> None:
        """Alembic has changed its version table: the ledger's row goes into the same transaction."""
        if self.number < len(self.done):
            self._hold("")
        work, conn = self.work, Through(self.connection, self.work.session.conn).closing()
        run = work.run
        self.row = run or -1
        faults.point("in transaction")
        if run is None:
            self.row = ledger.record(conn, work.migration, self.direction, time.monotonic() - self._began)  # type: ignore[arg-type]
        else:
            ledger.unit_done(conn, run, work.number, work.unit)  # type: ignore[arg-type]
            ledger.finish(conn, run, "done")  # type: ignore[arg-type]
        faults.point("before commit")

    # the record of parts

    def record_part(self, conn: Any, digest: str) -> None:
        """Record a part as done, in the transaction that `conn` has open, or at once."""
        self.done.append(digest)
        self.number += 1
        ledger.checkpoint(conn, self.work.run or 0, self.work.number, self.work.unit, {"parts": self.done}, 0)

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
            self.work.run = ledger.start(self.work.session.conn, self.work.migration, self.direction)

    # statements outside of transactions

    def _by_itself(self, cursor: Any, sql: str, parameters: Any, digest: str) -> tuple[str, Any]:
        """What is sent for a statement outside of transactions: nothing when it is done; after a crash, what clears up and builds anew."""
        if self.number < len(self.done):
            self._hold(digest)
            return NOTHING, ()
        job = alembic_batches.job_of(sql) or alembic_batches.job_of(sql.replace("%%", "%"))
        if job:
            self._begin_run()
            alembic_batches.fill(self, cursor, job, digest)
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
            ledger.checkpoint(conn, self.work.run or 0, self.work.number, self.work.unit, position, 0)
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
            for limit in self.limits:
                cursor.execute(limit)

    def was_done_before(self, error: Exception) -> bool:
        """Clear up after a statement that failed outside of transactions. Whether its error says that an earlier run had done it."""
        if self._alone is None:
            return False
        (sql, digest, mark, begun), self._alone, conn = self._alone, None, self.work.session.conn
        statement = alone.one(sql)
        if begun and alone.done_before(statement, alembic_env.sqlstate(error)):
            self.record_part(conn, digest)
            return True
        with contextlib.suppress(psycopg.Error):
            for clearing in alone.cleaning(conn, statement, mark):
                conn.execute(clearing.encode())
            if not alone.unknowable(statement):
                ledger.checkpoint(conn, self.work.run or 0, self.work.number, self.work.unit, {"parts": self.done}, 0)
        return False


class Through:
    """A driver's connection, as the ledger's functions want one: they join its transaction.

    What `closing` says goes in one message with what is executed after it, where the driver can send several statements at once.
    """

    def __init__(self, driver: Any, beside: Connection) -> None:
        self.info, self._cursor = beside.info, driver.cursor()
        kind = type(driver).__module__.partition(".")[0]
        self._together, self._results = kind in ("psycopg", "psycopg2"), kind == "psycopg"
        self._text, self._before = psycopg.ClientCursor(beside), list[str]()

    def closing(self) -> Through:
        """Before the record is written: what is deferred is checked, and whoever env.py became, we are who logged in."""
        self._before = CLOSING.split("; ")
        return self

    def execute(self, query: bytes | str, parameters: Any = None) -> Any:
        """Execute; the values are put into the text by psycopg."""
        query = query if isinstance(query, bytes) else query.encode()
        texts = [*self._before, self._text.mogrify(query, parameters) if parameters else query.decode()]
        self._before = []
        for text in ["; ".join(texts)] if self._together else texts:
            self._cursor.execute(text)
        while self._results and self._cursor.nextset():  # psycopg2 keeps the last result alone, asyncpg has one
            pass
        return self._cursor

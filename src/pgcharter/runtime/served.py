"""Connections of a `Database`: what a transaction needs to know rides with BEGIN and COMMIT, and a unit of work alone ends it.

With BEGIN go isolation level, timeouts, context, and what is asked of the server: the transaction's id where it may write, how far the
log is replayed where it reads a replica. With COMMIT goes the position in the log, and which watched tables were written.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, ClassVar, Literal

import psycopg
from psycopg import generators, pq
from psycopg.errors import error_from_result
from psycopg.pq import TransactionStatus
from psycopg.rows import Row

from pgcharter.errors import PgcharterError, UsageError
from pgcharter.names import literal
from pgcharter.runtime.connections import AsyncContextConnection, ContextConnection, begun
from pgcharter.runtime.context import NOTHING, Context, current

ID = "SELECT pg_current_xact_id()"
"""Asked with BEGIN of what may write: the id under which the outcome can be asked about."""
LIFE = "extract(epoch FROM pg_postmaster_start_time()) || ' ' || extract(epoch FROM pg_stat_get_bgwriter_stat_reset_time())"
"""One life of a server. A crash does away with what it has counted, even where the postmaster lives on; ids may be given again then."""
FACTS = f"(SELECT system_identifier::text FROM pg_control_system()), substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8), {LIFE}"
"""Of a primary: the system, its timeline, its life. An id means something in all three together."""
REPLAYED = "SELECT pg_last_wal_replay_lsn()"
"""Asked on a replica in a transaction before the unit's own; null where it has never been one, and as it was where it is one no more.

Before: a snapshot is taken before the function runs, so what REPEATABLE READ sees for good could be older than what it says of itself.
"""
_BEFORE = ("BEGIN ISOLATION LEVEL READ COMMITTED", REPLAYED, "COMMIT")
LSN = "pg_current_wal_insert_lsn()::text"
EVERYBODY = replace(NOTHING, everybody=True)

State = Literal["", "open", "sent", "committed", "rolled back", "ended"]


class EndedError(PgcharterError):
    """A unit of work goes on after its transaction has ended."""


class RolledBackError(PgcharterError):
    """COMMIT was answered with ROLLBACK: a statement had failed, its error was caught, and the transaction could keep nothing."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a transaction is to be. Hashable: the statements of each are made once."""

    isolation: str = ""
    """`read committed`, `repeatable read` or `serializable`; empty: as the server is set."""
    readonly: bool = False
    deferrable: bool = False
    settings: tuple[tuple[str, str], ...] = ()
    """Settings that hold for the transaction, such as timeouts."""
    asks: str = ""
    """What is asked with BEGIN: `ID`, `REPLAYED` or nothing."""
    tells: str = ""
    """What is asked with COMMIT, as a SELECT list; empty for nothing."""
    watches: str = ""
    """The query that is sent after that, about watched tables; empty for none."""

    @property
    def commit(self) -> bytes:
        """The message that ends it well."""
        return "; ".join(
            ("COMMIT", *((f"SELECT {self.tells}",) if self.tells else ()), *((self.watches,) if self.watches else ()))
        ).encode()


_OPEN = (TransactionStatus.INTRANS, TransactionStatus.INERROR, TransactionStatus.ACTIVE)


@lru_cache(maxsize=4096)
def _statements(terms: Terms, usual: tuple[tuple[str, str], ...], now: Context, placement: Any, asks: str) -> tuple[str, ...]:
    begin = ["BEGIN"]
    if terms.isolation:
        begin.append(f"ISOLATION LEVEL {terms.isolation.upper()}")
    if terms.readonly:
        begin.append("READ ONLY")
    if terms.deferrable:
        begin.append("DEFERRABLE")
    settings = {**dict(usual), **dict(terms.settings)}
    local = (f"SET LOCAL {name} = {literal(value)}" for name, value in settings.items())
    before, after = (_BEFORE, ()) if asks == REPLAYED else ((), (asks,) if asks else ())
    return (*before, " ".join(begin), *local, *now.statements(placement), *after)


@dataclass(slots=True)
class Said:
    """What the server has said of the transaction that a connection has begun last."""

    id: str = ""
    facts: tuple[str, ...] = ()
    """System, timeline and life of the server that gave the id."""
    replayed: str = ""
    """How far a replica had replayed the log when the transaction began."""
    state: State = ""
    """What became of it: empty until it has begun; `sent` when COMMIT is on its way; `ended` where somebody else has ended it."""
    told: tuple[Any, ...] = ()
    """The row that came with COMMIT."""
    watched: tuple[Any, ...] = ()
    """The row about watched tables; empty where it did not come."""


@dataclass(slots=True)
class Held:
    """The unit of work that has a connection: its terms, and what is known of its transaction."""

    terms: Terms
    said: Said = field(default_factory=Said)
    ending: bool = False
    """The unit of work itself ends the transaction now."""


class _Served:
    """What both colours share."""

    everyone: ClassVar[bool] = True
    """A transaction may begin without a tenant: there is no tenancy."""
    held: Held | None = None
    """The unit of work that the connection is lent to."""
    usual: tuple[tuple[str, str], ...] = ()
    """Settings that every transaction begins with, where the session cannot keep them."""
    facts: tuple[str, ...] = ()
    """`FACTS` of the server behind it; empty where each transaction may be on another one, or the server was a standby."""
    files: tuple[Any, ...] = ()
    """What was last seen of watched tables."""
    born: float = 0.0
    """Monotonic clock."""
    joined: Any = None
    """SQLAlchemy's connection on this one, which is kept from one unit of work to the next."""
    _last: tuple[Any, Any, bytes] = (None, None, b"")

    def opening(self: Any, now: Context) -> tuple[str, ...]:
        """Statements that a transaction begins with. Raises EndedError where a unit of work has lost its transaction."""
        held: Held | None = self.held
        if held is None:
            terms, asks = _USUAL, ""
        else:
            terms = held.terms
            asks = terms.asks
            if held.said.state:
                raise EndedError(
                    "the transaction of this unit of work has ended, so nothing more can be done in it",
                    hint="let the error pass that rolled it back; to go on after one, put what may fail into a db.run of its own",
                )
            if asks == ID and not self.facts:
                asks = f"{ID}, {FACTS}"
        if self.everyone and not now.tenant and not now.everybody:
            now = EVERYBODY if now is NOTHING else replace(now, everybody=True)
        return _statements(terms, self.usual, now, self.placement, asks)

    def message(self: Any, now: Context) -> bytes:
        """Those statements as they are sent; those of the last transaction again where nothing differs."""
        held: Held | None = self.held
        if held is not None and not held.said.state and self._last[0] is held.terms and self._last[1] is now:
            return self._last[2]  # type: ignore[no-any-return]
        message: bytes = super().message(now)  # type: ignore[misc]
        if held is not None and message.isascii():
            self._last = held.terms, now, message
        return message

    def beginning(self: Any) -> Generator[Any, Any, None]:
        """Begin a transaction with the current context, on a connection that has none open.

        Raises psycopg.OperationalError, and closes it, where somebody has kept it and goes on with it: it would be in our transaction.
        """
        if self.pgconn.transaction_status in _OPEN:
            self.pgconn.finish()
            raise psycopg.OperationalError(
                "a connection was used after the unit of work was over that had it, so it is closed: keep none beyond the function"
            )
        now = current()
        message = self.message(now)
        self.context_begun = now
        yield from begun(self, message, now, self.placement)

    def began(self: Any, results: list[Any]) -> None:
        """Take down what came with BEGIN."""
        held: Held | None = self.held
        if held is None:
            return
        said = held.said
        said.state = "open"
        if held.terms.asks == ID:
            row = results[-1]
            said.id = row.get_value(0, 0).decode()
            said.facts = self.facts or tuple(row.get_value(0, column).decode() for column in (1, 2, 3))
        elif held.terms.asks:
            said.replayed = (results[1].get_value(0, 0) or b"").decode()

    def _commit_gen(self: Any) -> Generator[Any, Any, None]:
        """Commit, and hear what comes with it."""
        held: Held | None = self.held
        if held is None or self._num_transactions or self._tpc or self._pipeline:
            yield from super()._commit_gen()  # type: ignore[misc]
            return
        if not held.ending:
            raise UsageError(
                "a unit of work commits when its function returns, and this is a commit inside it",
                hint="leave the commit out; what must be kept by itself goes into a db.run before or after",
            )
        status = self.pgconn.transaction_status
        if status == TransactionStatus.IDLE:
            return
        if status == TransactionStatus.INERROR:
            yield from self._rollback_gen()
            raise RolledBackError(
                "a statement of this unit of work failed and its error was caught, so the server has kept nothing of the whole transaction",
                hint="let the error pass; or put the statement that may fail into a db.run of its own, which is a savepoint",
            )
        if self.pgconn.status != pq.ConnStatus.OK:
            raise psycopg.OperationalError("the connection was lost before the unit of work could commit")
        held.said.state = "sent"
        yield from _committed(self, held)

    def _rollback_gen(self: Any) -> Generator[Any, Any, None]:
        """Roll back; a unit of work cannot go on after it."""
        was_open = self.pgconn.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)
        yield from super()._rollback_gen()  # type: ignore[misc]
        if self.held is not None and was_open:
            self.held.said.state = "rolled back"

    def let_go(self: Any) -> None:
        """Have SQLAlchemy forget the connection. One that it cannot leave as it was is closed."""
        joined, self.joined = self.joined, None
        if joined is not None:
            try:
                getattr(joined, "sync_connection", joined).close()
            except Exception:
                self.pgconn.finish()


_USUAL = Terms()


def _committed(conn: Any, held: Held) -> Generator[Any, Any, None]:
    """Send COMMIT with what is asked beside it. Only COMMIT's own answer says what became of the transaction."""
    conn.pgconn.send_query(held.terms.commit)
    results = yield from generators.execute(conn.pgconn)
    first = results[0]
    if first.status != pq.ExecStatus.COMMAND_OK:
        if conn.pgconn.transaction_status == TransactionStatus.IDLE:
            held.said.state = "rolled back"
        raise error_from_result(first, encoding=conn.info.encoding)
    if first.command_status != b"COMMIT":
        held.said.state = "rolled back"
        raise RolledBackError("the server has answered COMMIT with ROLLBACK, so nothing of the transaction was kept")
    held.said.state = "committed"
    rows = [_row(result) for result in results[1:] if result.status == pq.ExecStatus.TUPLES_OK]
    if held.terms.tells and rows:
        held.said.told = rows.pop(0)
    if rows:
        held.said.watched = rows[0]


def _row(result: Any) -> tuple[Any, ...]:
    return tuple(result.get_value(0, column) for column in range(result.nfields))


class ServedConnection(_Served, ContextConnection[Row]):
    """A connection of a `Database`."""

    def close(self) -> None:
        """Close it; SQLAlchemy lets go of it first."""
        self.let_go()
        super().close()


class AsyncServedConnection(_Served, AsyncContextConnection[Row]):
    """A connection of an `AsyncDatabase`."""

    async def close(self) -> None:
        """Close it; SQLAlchemy lets go of it first."""
        self.let_go()
        await super().close()

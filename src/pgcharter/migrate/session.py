"""The session that runs migrations: one statement at a time, while somebody looks on and can stop it. Single-threaded."""

from __future__ import annotations

import contextlib
import selectors
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg
from psycopg import pq
from psycopg.errors import error_from_result

from pgcharter.db import connect
from pgcharter.names import literal, quote

if TYPE_CHECKING:
    from psycopg.errors import Diagnostic
    from psycopg.pq.abc import PGresult

    from pgcharter.db import Connection

Look = Callable[[float], bool]
"""Called with the seconds a statement has been running; True stops it."""
Hear = Callable[[str, str], None]
"""Called with severity and words of what the server says beside its results: `WARNING`, `NOTICE`, `INFO`."""

APPLICATION = "pgcharter migrate"
_FIRST_LOOK, _LONGEST_BETWEEN = 0.05, 0.5
_GOOD = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK, pq.ExecStatus.EMPTY_QUERY)
_COPY = (pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT, pq.ExecStatus.COPY_BOTH)

FRESH = (
    "CLOSE ALL", "SET SESSION AUTHORIZATION DEFAULT", "RESET ALL", "DEALLOCATE ALL", "UNLISTEN *", "DISCARD PLANS", "DISCARD TEMP",
    "DISCARD SEQUENCES",
)  # fmt: skip
"""What makes a session as new, all in one message: DISCARD ALL but for the advisory locks (documentation, "DISCARD"), which DISCARD ALL
would let go together with the one that fences this session off."""


class StoppedError(Exception):
    """The looker-on had the statement stopped; `__cause__` is what PostgreSQL said to that."""


@dataclass
class _Watched:
    """How a message of statements is looked at."""

    look: Look | None
    pause: float = _FIRST_LOOK
    began: float = field(default_factory=time.monotonic)
    stopped: bool = False


@dataclass
class Session:
    """The connection on which migrations are run, in autocommit: transactions are begun and ended by statements."""

    conn: Connection
    settings: Mapping[str, str] = field(default_factory=dict)
    look: Look | None = None
    hear: Hear | None = None
    between: float = _LONGEST_BETWEEN
    """Longest time between two looks, in seconds."""
    checks_client: bool = True
    """Whether this server can notice by itself that we are gone (client_connection_check_interval needs help of its system)."""
    new: bool = False
    """Nothing was done in it since it was made as new."""
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector, repr=False)

    @classmethod
    def open(cls, dsn: str, settings: Mapping[str, str]) -> Session:
        """Connect. Raises ConnectError, and psycopg's error for a setting that the server does not take."""
        conn = connect(dsn, application_name=APPLICATION, client_encoding="UTF8", keepalives_idle=30, keepalives_interval=10)
        conn.prepare_threshold = None
        session = cls(conn, settings)
        conn.add_notice_handler(session._said)
        session._selector.register(conn.fileno(), selectors.EVENT_READ)
        try:
            conn.execute("SET client_connection_check_interval = '1s'")
        except psycopg.errors.InvalidParameterValue:
            session.checks_client = False
        session.renew()
        return session

    def _said(self, said: Diagnostic) -> None:
        if self.hear and said.message_primary and said.severity_nonlocalized in ("WARNING", "NOTICE", "INFO"):
            self.hear(said.severity or "", said.message_primary)

    def close(self) -> None:
        """Close the connection; what was open is rolled back."""
        with contextlib.suppress(psycopg.Error):
            self.conn.close()
        self._selector.close()

    @property
    def lost(self) -> bool:
        """Whether the server is gone, as far as this session knows."""
        return self.conn.pgconn.status == pq.ConnStatus.BAD

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, failed or not."""
        return self.conn.pgconn.transaction_status in (pq.TransactionStatus.INTRANS, pq.TransactionStatus.INERROR)

    def renew(self) -> None:
        """Forget whatever an earlier migration has set, prepared or left in temporary tables."""
        if not self.new:
            self.run(self.fresh())
            self.new = True

    def fresh(self) -> str:
        """The statements by which a session is as new."""
        return "; ".join((*FRESH, *self.basics()))

    def basics(self) -> list[str]:
        """The statements that set what holds for every migration."""
        found = ["SET client_connection_check_interval = '1s'"] if self.checks_client else []
        return found + [f"SET {quote(name)} = {literal(value)}" for name, value in self.settings.items()]

    def run(self, sql: str) -> PGresult | None:
        """Run statements in one message and give the last one's result. The looker-on is called from time to time meanwhile.

        Raises psycopg's error for the first that fails, StoppedError when the looker-on wanted that, KeyboardInterrupt after the
        statement was cancelled.
        """
        pgconn = self.conn.pgconn
        try:
            pgconn.send_query(sql.encode(self.conn.info.encoding))
        except UnicodeEncodeError as error:
            wrong = sql[error.start]
            raise psycopg.DataError(f"client_encoding was set to {error.encoding}, which has no character {wrong!r}") from None
        while pgconn.flush():
            self._wait(0.1, write=True)
            pgconn.consume_input()
        watched = _Watched(self.look)
        try:
            return self._results(watched)
        except KeyboardInterrupt:
            self._cancel()
            with contextlib.suppress(psycopg.Error):
                self._results(_Watched(None))
            raise
        except psycopg.errors.QueryCanceled as error:
            if watched.stopped:
                raise StoppedError from error
            raise

    def _attend(self, watched: _Watched) -> None:
        """Wait until the next result has arrived whole, or have the statement cancelled when the looker-on wants that."""
        pgconn = self.conn.pgconn
        while pgconn.is_busy():
            if self._wait(watched.pause):
                pgconn.consume_input()
            elif watched.look and not watched.stopped:
                watched.stopped = watched.look(time.monotonic() - watched.began)
                if watched.stopped:
                    self._cancel()
                watched.pause = min(watched.pause * 2, self.between)

    def _wait(self, seconds: float, *, write: bool = False) -> bool:
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if write else 0)
        if write:
            self._selector.modify(self.conn.fileno(), wanted)
        try:
            return bool(self._selector.select(seconds))
        finally:
            if write:
                self._selector.modify(self.conn.fileno(), selectors.EVENT_READ)

    def _results(self, watched: _Watched) -> PGresult | None:
        """Take all results that follow, whatever they are, so that the session can be used again; then raise the first error."""
        pgconn, last, failed = self.conn.pgconn, None, None
        while True:
            self._attend(watched)
            result = pgconn.get_result()
            if result is None:
                break
            if result.status in _COPY:
                self._refuse_copy(result)
            elif result.status in _GOOD:
                last = result
            else:
                failed = failed or result
        if failed is not None:
            raise error_from_result(failed, encoding=self.conn.info.encoding)
        return last

    def _refuse_copy(self, result: PGresult) -> None:
        """A migration's COPY FROM STDIN has no data behind it; COPY TO STDOUT has nobody to read it."""
        pgconn = self.conn.pgconn
        if result.status == pq.ExecStatus.COPY_OUT:
            while pgconn.get_copy_data(0)[0] > 0:
                pass
        else:
            pgconn.put_copy_end(b"a migration cannot read from standard input: use INSERT, or COPY FROM a file of the server")
            pgconn.flush()

    def _cancel(self) -> None:
        with contextlib.suppress(psycopg.Error):
            self.conn.cancel_safe(timeout=5)

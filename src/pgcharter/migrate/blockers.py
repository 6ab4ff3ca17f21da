"""Who stands in the way of the runner's session, and how far its statement has come: asked on a connection beside it."""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from pgcharter.db import connect, queries
from pgcharter.errors import ConnectError
from pgcharter.migrate.watch import Backend, Note, Terminated, Watch
from pgcharter.redact import redact

if TYPE_CHECKING:
    from pgcharter.db import Connection

HEAD = 120
"""Characters of a query that are shown."""
_LITERAL = re.compile(
    r"""--[^\n]*|/\*.*?(?:\*/|\Z)|\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z)|(?:\b[EBXNU]&?)?'(?:[^'\\]|''|\\.)*(?:'|\Z)|("[^"]*"?)|(?<![\w$."])\d[\w.]*""",
    re.DOTALL | re.IGNORECASE,
)


def head(query: str) -> str:
    """The beginning of a query on one line, every literal replaced by `?` and comments left out, also where the end is cut off."""

    def without(match: re.Match[str]) -> str:
        if match[2]:
            return match[2]
        return " " if match[0].startswith(("--", "/*")) else "?"

    text = " ".join(redact(_LITERAL.sub(without, query)).split())
    return text if len(text) <= HEAD else text[: HEAD - 1] + "…"


def backend(row: tuple[Any, ...]) -> Backend:
    """A row of the queries here and in `lock.sql` as a Backend."""
    pid, user, application, state, since, query, lock, own, waits, kind = row
    return Backend(pid, user, application, state, since, head(query), lock, own, waits, kind)


@dataclass
class Beside:
    """The connection beside the one that works. It is opened when first needed; where that is refused the run goes on unseen."""

    dsn: str
    watch: Watch
    own: list[int] = field(default_factory=list)
    """Process ids of this run's sessions."""
    _conn: Connection | None = field(default=None, repr=False)
    _refused: float | None = field(default=None, repr=False)

    def blockers(self, pid: int) -> tuple[Backend, ...] | None:
        """Who stands in the way of `pid`, the roots first; None when it waits for no lock."""
        waiting = self._ask("waiting", {"pid": pid})
        if not waiting or not waiting[0][0]:
            return None
        return tuple(backend(row) for row in self._ask("blockers", {"pid": pid, "own": self.own}))

    def advance(self, pid: int) -> tuple[str, str, str, int, int, str] | None:
        """(command, phase, relation, done, total, measure) of the statement that `pid` runs; None where PostgreSQL does not say."""
        found = self._ask("advance", {"pid": pid})
        if not found:
            return None
        command, phase, relation, done, total, measure = found[0]
        return command, phase, self._ask("relation", (relation,))[0][0] if relation else "", done or 0, total or 0, measure

    def terminate(self, sessions: tuple[Backend, ...]) -> None:
        """End those that block and do not wait themselves; never our own, a replica's, or a prepared transaction."""
        for one in sessions:
            if one.pid and not one.own and not one.waits and one.kind in ("client backend", "autovacuum worker", ""):
                self._terminate(one)

    def _terminate(self, one: Backend) -> None:
        conn = self.connection
        if conn is None:
            return
        try:
            conn.execute(_sql("terminate"), (one.pid,))
            self.watch(Terminated(one))
        except psycopg.Error as error:
            said = error.diag.message_primary or str(error)
            self.watch(Note(f"pid {one.pid} could not be ended: {said}", "GRANT pg_signal_backend TO the role that migrates"))

    def rows(self, query: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        """The rows of a query. Raises psycopg's error for one that fails; none where there is no connection."""
        conn = self.connection
        return [] if conn is None else conn.execute(query.encode(), parameters).fetchall()

    def _ask(self, name: str, parameters: Any) -> list[tuple[Any, ...]]:
        try:
            return self.rows(_sql(name).decode(), parameters)
        except psycopg.Error as error:
            self._unseen(str(error))
            return []

    @property
    def connection(self) -> Connection | None:
        """The connection; None for ten seconds after it was refused or lost."""
        if self._conn is None or self._conn.closed:
            if self._refused is not None and time.monotonic() - self._refused < 10:
                return None
            try:
                self._conn = connect(self.dsn, application_name="pgcharter migrate watch", connect_timeout=3)
                self._conn.execute("SET statement_timeout = '5s'; SET lock_timeout = '1s'")
            except (ConnectError, psycopg.Error) as error:
                self._unseen(str(error))
                return None
        return self._conn

    def _unseen(self, why: str) -> None:
        if self._refused is None:
            self.watch(Note(f"the server cannot be watched meanwhile: {' '.join(why.split())}"))
        self._refused = time.monotonic()

    def close(self) -> None:
        """Close the connection."""
        if self._conn is not None:
            with contextlib.suppress(psycopg.Error):
                self._conn.close()


def _sql(name: str) -> bytes:
    return queries.load("pgcharter.migrate", "blockers.sql")[name].encode()

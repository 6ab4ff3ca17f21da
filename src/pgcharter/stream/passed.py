"""What the reader of a slot has passed in the log, and what of it the source does not show yet.

A commit is in the log, and decoded, before others see it (RecordTransactionCommit, then ProcArrayEndTransaction, access/transam/xact.c);
where it waits for a synchronous standby, long before. A snapshot does not show transactions that it names as running and those from its
xmax on.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Sequence

from pgcharter.db import Connection
from pgcharter.stream.replication import lsn_number

PREFIX = "pgcharter_sync"
"""Of our logical messages."""
MOST = 100_000
"""Transactions that are remembered."""
_WAITING = """
WITH w AS (SELECT backend_xid x FROM pg_stat_activity WHERE wait_event = 'SyncRep')
SELECT x::text::bigint FROM w WHERE x IS NOT NULL
 UNION ALL SELECT transaction::text::bigint FROM pg_prepared_xacts WHERE EXISTS (SELECT FROM w WHERE x IS NULL)
"""
_MASK, _HALF = 0xFFFFFFFF, 1 << 31


class Passed:
    """What the reader has passed in the log."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self.at = 0
        """Up to where everything was received."""
        self._commits: dict[int, int] = {}
        self._order: deque[int] = deque()
        self._unseen: dict[int, None] = {}
        self._lock = threading.Lock()

    def commit(self, xid: int, lsn: int) -> None:
        """Note where a transaction was committed. The last so many are kept."""
        self._commits[xid] = lsn
        self._order.append(xid)
        if len(self._order) > MOST:
            self._commits.pop(self._order.popleft(), None)
        with self._lock:
            self._unseen[xid] = None
            if len(self._unseen) > MOST:
                del self._unseen[next(iter(self._unseen))]

    def earlier(self, conn: Connection) -> None:
        """Note what an earlier life of the worker may have passed, and nobody sees: commits that wait for a synchronous standby.

        Those of other roles are seen by pg_read_all_stats only.
        """
        with self._lock:
            self._unseen.update((x & _MASK, None) for (x,) in conn.execute(_WAITING))

    def unseen(self, xmax: int, running: Collection[int]) -> int | None:
        """A transaction that the stream has brought and that a snapshot does not show, by the numbers it gives; None: it shows all."""
        bound, hidden = xmax & _MASK, {x & _MASK for x in running}
        with self._lock:
            self._unseen = {x: None for x in self._unseen if x in hidden or (x - bound) & _MASK < _HALF}
            return next(iter(self._unseen), None)

    def move(self, lsn: int) -> None:
        """Note up to where everything was received."""
        with self._condition:
            if lsn > self.at:
                self.at = lsn
                self._condition.notify_all()

    def again(self) -> None:
        """What was received comes once more."""
        with self._condition:
            self.at = 0

    def low(self, conn: Connection) -> int:
        """Where the log stands, before a snapshot is taken. A message is written there, so that it is passed soon."""
        row = conn.execute("SELECT pg_logical_emit_message(false, %s, 'low')::text", [PREFIX]).fetchone()
        return lsn_number(row[0]) if row else 0

    def wait(self, lsn: int, seconds: float) -> bool:
        """Wait until everything up to a position was received."""
        with self._condition:
            return self._condition.wait_for(lambda: self.at >= lsn, seconds)

    def lowest(self, lsn: int, running: Sequence[int]) -> int:
        """The smallest of a position and the commits of some transactions, as far as they are known."""
        return min([lsn, *(self._commits[x & _MASK] - 1 for x in running if x & _MASK in self._commits)])

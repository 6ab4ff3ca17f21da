"""What became of a transaction whose COMMIT was not answered: asked of the server, or of its idempotency key, and never guessed."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import psycopg

from pgcharter.errors import ConnectError, PgcharterError
from pgcharter.runtime.colours import Steps
from pgcharter.runtime.outcomes import UnknownOutcomeError, left
from pgcharter.runtime.served import FACTS
from pgcharter.runtime.work import AnyWork, log

if TYPE_CHECKING:
    from pgcharter.runtime.idempotency import Key

Told = Literal["committed", "rolled back", "in progress", "unknown"]
_NOW = f"""
SELECT {FACTS},
       CASE WHEN redo_lsn = checkpoint_lsn AND current_setting('wal_level') <> 'minimal'
            THEN split_part(next_xid, ':', 1)::numeric * 4294967296 + split_part(next_xid, ':', 2)::numeric END
FROM pg_control_checkpoint()
"""
"""The server's facts now. The last column: where the newest checkpoint is the one that ended a recovery or went before a stop (it begins
where it is written, and others do not), ids below were given out before that; those from it on may have been given again since."""
_STATUS = "SELECT pg_xact_status(%s::xid8)"


class Outcomes:
    """The part of a database that finds out."""

    counts: Any
    primary: Any
    begun_on: Any
    _dial: Any
    _flow: Any
    _released: Any
    _sleep: Any

    def _asked(self, work: AnyWork, error: BaseException, settle: float) -> Steps[Told]:
        """Ask the server what became of a commit whose answer was lost. What only read has done nothing either way."""
        said = work.held.said
        if not said.id:
            return "rolled back"
        self.counts.add("asked")
        deadline = time.monotonic() + settle
        pause = 0.01
        while True:
            try:
                told = _told(said.id, said.facts, (yield from self._status(said.id)))
            except (psycopg.OperationalError, PgcharterError) as lost:
                log.debug("the outcome of a commit could not be asked yet: %s", lost)
                told = "in progress"
            if told in ("committed", "rolled back"):
                return told
            if told == "unknown" and work.key is not None:
                told = yield from self._settled(work, work.key)
                if told != "in progress":
                    return told
            elif told == "unknown":
                break
            if left(deadline) <= pause:
                break
            yield partial(self._sleep, pause)
            pause = min(0.5, pause * 2)
        self.counts.add("unknown")
        raise UnknownOutcomeError(
            "the connection was lost while a commit was on its way, and what became of it could not be learnt, so it may be done or not",
            hint="look whether its effect is there before doing it again; with db.run(…, idempotency=…) the next call settles it",
        ) from error

    def _settled(self, work: AnyWork, key: Key) -> Steps[Told]:
        """What the idempotency key says of a transaction: it stands or falls with it, on whatever server there is now."""
        from pgcharter.runtime.idempotency import InProgressError, settled

        try:
            asking = yield from self.begun_on(self.primary, work.terms, work.attempt)
            try:
                found = yield partial(self._flow(settled), asking._conn, key)
                yield from asking._undo()
            finally:
                yield from self._released(asking)
        except (psycopg.OperationalError, ConnectError, InProgressError) as error:
            log.debug("the idempotency key of a lost commit could not be asked yet: %s", error)
            return "in progress"
        return "rolled back" if found is None else "committed"

    def _status(self, xid: str) -> Steps[tuple[Any, ...]]:
        """Status of a transaction, `future` where its id was never given, and the server's facts."""
        conn = yield partial(self._dial, self.primary, 5.0)
        try:
            cursor = yield partial(conn.execute, _NOW)
            facts = yield cursor.fetchone
            try:
                cursor = yield partial(conn.execute, _STATUS, (xid,))
                status = (yield cursor.fetchone)[0]
            except psycopg.errors.InvalidParameterValue:
                status = "future"
        finally:
            yield conn.close
        return status, *facts


def _told(xid: str, facts: tuple[str, ...], found: tuple[Any, ...]) -> Told:
    """What a status says of a transaction that had begun when the server's facts were `facts`.

    An id is not durable when it is given: after a crash the server may give it again, and then `committed` is said of somebody else's
    transaction, while ours is lost ("Is txid_status() actually safe?", pgsql-hackers, February 2021). What is aborted, or an id that is
    still in the future, is rolled back either way. `committed` in another life of the server is believed only of ids that were given out
    before the recovery which began it.
    """
    status, system, timeline, life, bound = found
    if (system, timeline) != facts[:2] or status is None:
        return "unknown"
    if status in ("aborted", "future"):
        return "rolled back"
    if status == "in progress":
        return "in progress"
    return "committed" if life == facts[2] or (bound is not None and int(xid) < bound) else "unknown"

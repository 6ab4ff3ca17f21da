"""One revision of an Alembic project at work: by env.py and Alembic's own context, under our lock, timeouts, retries and ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from pgcharter import faults
from pgcharter.db import queries
from pgcharter.errors import PgcharterError
from pgcharter.migrate import alembic_env, home, ledger
from pgcharter.migrate.alembic_parts import Parts
from pgcharter.migrate.alembic_sitting import Sitting, fence
from pgcharter.migrate.endings import AGAIN, EndError, failed
from pgcharter.migrate.watch import Note
from pgcharter.redact import redact

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.migrate.work import Work

_AGAIN = ("55P03", "40P01", "40001")
"""SQLSTATEs of what may be tried again: a wait for a lock that was given up, a deadlock, a serialization failure."""


@dataclass(frozen=True)
class Revision:
    """The program of one revision in one direction."""

    sitting: Sitting
    """Shared by all revisions of a run."""
    version: str
    direction: ledger.Direction
    last: bool
    """Whether the run ends with it."""
    unknown: str = ""

    def prepare(self, conn: Connection) -> None:
        """Share the fence with the connections of env.py."""
        conn.execute(fence("share", conn).encode())

    def end(self) -> None:
        """Let env.py end, where the run ended before its last revision."""
        self.sitting.end()

    def run(self, work: Work) -> str:
        """Run it. Raises EndError, and psycopg's errors for what may be tried again."""
        parts = Parts(work, self.version, self.direction, self.last)
        try:
            self.sitting.do(parts)
        except (EndError, KeyboardInterrupt):
            raise
        except Exception as error:
            if parts.refused:
                raise parts.refused from None
            if parts.was_done_before(error):
                return self.run(work)
            if not _done(work, parts):
                raise self._ending(work, parts, error) from None
            said = redact(" ".join(str(alembic_env.first(error)).split())[:300])
            place = alembic_env.origin(self.sitting.revisions.alembic, error)
            work.watch(Note(f"{work.migration.title} is done, and after it env.py failed at {place}: {type(error).__name__}: {said}"))
        if parts.already:
            return f"it is {'applied' if self.direction == 'up' else 'taken back'} already"
        faults.point("after commit")
        if not parts.committed and not _done(work, parts):
            raise self._uncommitted(work)
        return ""

    def _uncommitted(self, work: Work) -> EndError:
        """Nothing was committed: env.py began a transaction before Alembic could."""
        return EndError(
            "failed", "statement",
            f"{work.here} ran, and env.py ended without a COMMIT, so nothing of it stays: it speaks on the connection before"
            " context.configure(), and the transaction that this begins is nobody's",
            "in env.py: connection.commit() before context.configure(...)", place=alembic_env.env_py(self.sitting.revisions.alembic),
        )  # fmt: skip

    def _ending(self, work: Work, parts: Parts, error: Exception) -> Exception:
        """What the error of a revision, or of env.py, means for the run."""
        orig, state = alembic_env.first(error), alembic_env.sqlstate(error)
        place = alembic_env.origin(self.sitting.revisions.alembic, error)
        if state in _AGAIN:
            return orig if isinstance(orig, psycopg.Error) else psycopg.errors.lookup(state)(str(orig))
        stays = f"; its first {parts.number} parts are committed and stay" if parts.number else ""
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


def _done(work: Work, parts: Parts) -> bool:
    """Whether the ledger has the revision as done, which it has only together with the revision itself."""
    if not parts.row or work.session.lost:
        return False
    query = home.of(work.session.conn).sql(queries.load("pgcharter.migrate", "alembic.sql")["outcome"])
    row = work.session.conn.execute(query.encode(), (parts.row,)).fetchone()
    return row is not None and row[0] == "done"

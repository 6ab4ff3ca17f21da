"""What stands in the way of a backup: a source that does not follow, a base that is not there, a disk without room."""

from __future__ import annotations

import shutil
from typing import Any

from pgcharter.errors import PgcharterError, RefusedError, UnavailableError
from pgcharter.operate import backup_server
from pgcharter.operate.backup_model import Backup
from pgcharter.operate.backup_repository import Repository
from pgcharter.operate.backup_server import Facts
from pgcharter.operate.backup_verify import broken_chain
from pgcharter.operate.backup_wal import lsn_number


def refuse_stale(conn: Any, facts: Facts, rpo: float) -> None:
    """Raise RefusedError for a standby that does not follow: a backup of it would be older than anybody thinks."""
    if not facts.standby:
        return
    why = stale(*backup_server.ask(conn, "standby")[0], rpo=rpo)
    if why:
        raise RefusedError(
            f"the server is a standby and {why}, so a backup of it would be older than it looks", hint="take the backup of the primary"
        )


def stale(
    behind: float | None, received: str | None, replayed: str | None, status: str | None, paused: bool, silent: float | None, *, rpo: float
) -> str:
    """Why a standby does not follow its primary; empty: it does. One that is idle has replayed long ago, and lacks nothing."""
    if paused:
        return "its replay is paused"
    if status != "streaming":
        return "it receives nothing from its primary"
    if silent is not None and silent > max(rpo, 60):
        return f"its primary was last heard {silent:.0f} s ago"
    if received and replayed and received != replayed and (behind or 0) > rpo:
        return f"it is {behind:.0f} s behind"
    return ""


def newest_base(repository: Repository, facts: Facts) -> Backup:
    """What an incremental backup is made on. Raises UnavailableError before 17, PgcharterError when there is no backup of this timeline."""
    if facts.major < 17:
        raise UnavailableError(
            f"PostgreSQL {facts.major} cannot make incremental backups", hint="pgcharter backup take full; its log is archived all the time"
        )
    if facts.summarize != "on":
        raise UnavailableError(
            "summarize_wal is off, so the server does not know what has changed since the last backup",
            hint="ALTER SYSTEM SET summarize_wal = on; SELECT pg_reload_conf(); then take a full backup",
        )
    there = [b for b in repository.backups() if b.kind != "logical" and b.timeline == facts.timeline]
    if not there:
        raise PgcharterError(
            "there is no backup of this timeline that an incremental one could be made on", hint="pgcharter backup take full"
        )
    base = max(there, key=lambda b: lsn_number(b.stop_lsn))
    if why := broken_chain(repository, base):
        raise PgcharterError(f"no incremental backup can be made on {base.id}: {why}", hint="pgcharter backup take full")
    return base


def room(repository: Repository, size: int) -> None:
    """Raise PgcharterError when a backup would surely not fit: a tenth of the database is taken for what it is at least."""
    for at in filter(None, (repository, repository.seconds())):
        free = shutil.disk_usage(at.root).free
        if free < size // 10:
            raise PgcharterError(
                f"{free >> 20} MB are free at {at.root}, too few for a backup of {size >> 20} MB", place=str(at.root),
                hint="pgcharter backup prune, or make room",
            )  # fmt: skip

"""What retention keeps. Values only."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from pgcharter.errors import RefusedError
from pgcharter.operate.backup_model import Backup

AHEAD = timedelta(minutes=10)
"""How far the newest backup may lie in the future before the clock is not believed."""


def gone(backups: Sequence[Backup], now: datetime, keep: float, keep_full: int) -> tuple[Backup, ...]:
    """The backups that nothing keeps, oldest first; what is built on one goes with it.

    Kept is whatever is needed to restore any moment of the last `keep` seconds, the last `keep_full` full backups with what is built on
    them, what is held, the newest full one and the newest logical one. With both 0 everything is. Raises RefusedError when the newest
    backup is from the future, for then the clock is wrong, and by a wrong clock everything may look old.
    """
    if not backups or not (keep or keep_full):
        return ()
    newest = max(b.ended for b in backups)
    if newest > now + AHEAD:
        raise RefusedError(
            f"the newest backup ended at {newest:%Y-%m-%d %H:%M} UTC, which is in the future: a clock is wrong, so nothing is removed",
            hint="set the clock of this machine, or of the server, right",
        )
    kept = _kept(backups, now - timedelta(seconds=keep) if keep else None, keep_full)
    return tuple(b for b in backups if b.id not in kept)


def _kept(backups: Sequence[Backup], horizon: datetime | None, keep_full: int) -> set[str]:
    physical = sorted((b for b in backups if b.kind != "logical"), key=lambda b: b.ended)
    logical = sorted((b for b in backups if b.kind == "logical"), key=lambda b: b.ended)
    full = [b for b in physical if b.kind == "full"]
    wanted = [b for b in backups if b.hold]
    if horizon:
        wanted += [b for b in backups if b.ended >= horizon]
        wanted += [b for b in physical if b.ended < horizon][-1:]
    last = full[-max(1, keep_full) :]
    wanted += [*last, *(b for b in physical if _root(b, physical) in {f.id for f in last}), *logical[-1:]]
    return {i for b in wanted for i in chain_ids(b, physical)}


def _root(backup: Backup, among: Sequence[Backup]) -> str:
    return chain_ids(backup, among)[-1]


def chain_ids(backup: Backup, among: Collection[Backup]) -> list[str]:
    """Ids of a backup and of those it is built on, itself first; the last may be of one that is not there."""
    by_id, found = {b.id: b for b in among}, [backup.id]
    here: Backup | None = backup
    while here is not None and here.base and here.base not in found:
        found.append(here.base)
        here = by_id.get(here.base)
    return found

"""Having pgBackRest remove what retention does not keep, and the log that nobody needs: never more than was said before."""

from __future__ import annotations

import re

from pgcharter import faults
from pgcharter.errors import RefusedError
from pgcharter.operate import backup_files as files
from pgcharter.operate import backup_native
from pgcharter.operate import backup_pgbackrest_program as programs
from pgcharter.operate.backup_model import Backup
from pgcharter.operate.backup_pgbackrest_stanza import Stanza

POINTS = ("backup pgbackrest expired", "backup pgbackrest pruned")
"""Places at which a test kills."""
_ALL = "9999999"
_EXPIRES = re.compile(r"remove expired backup (\S+)")


def refuse_more(at: Stanza, going: tuple[Backup, ...]) -> None:
    """Ask pgBackRest what would go. Raises RefusedError when more than that would."""
    labels = {str(b.facts["label"]) for b in going if b.kind != "logical"}
    for label in sorted(labels):
        said = _expire(at, f"--set={label}", "--dry-run")
        more = set(_EXPIRES.findall(said.out)) - labels
        if more:
            raise RefusedError(f"pgBackRest would remove {', '.join(sorted(more))} with {label}, which is kept; nothing was removed")


def _expire(at: Stanza, *more: str, log: str = _ALL) -> programs.Said:
    word = f"--repo{at.number}-retention"
    said = at.program.run(
        "expire", f"--repo={at.number}", f"{word}-full-type=count", f"{word}-full={_ALL}", f"{word}-archive-type=full",
        f"{word}-archive={log}", "--log-level-console=info", "--log-level-stderr=error", *more,
    )  # fmt: skip
    if said.code:
        raise programs.failed(said, "pgBackRest cannot remove backups")
    return said


def prune(at: Stanza, going: tuple[Backup, ...]) -> None:
    """Remove backups, newest first, then log; a run that was killed is finished by the next."""
    with at.writing(), at.removing(), files.refusing():
        at.clean()
        for backup in reversed(going):
            if backup.kind == "logical":
                at.remove(backup)
            elif any(b.id == backup.id for b in at.fresh().backups()):
                _expire(at, f"--set={backup.facts['label']}")
            faults.point(POINTS[0])
        count = fulls_with_log(at.fresh().backups())
        if count:
            _expire(at, log=str(count))
        faults.point(POINTS[1])
        at.sync()
        backup_native.prune_marks(at.fresh())


def fulls_with_log(backups: tuple[Backup, ...]) -> int:
    """How many full backups, counted from the newest, keep all log behind them: back to the oldest that is kept for its own sake."""
    physical = [b for b in backups if b.kind != "logical"]
    free = [b for b in physical if not b.hold] or physical
    fulls = [b for b in physical if b.kind == "full"]
    if not free:
        return 0
    first = next((f for f in fulls if f.id in (free[0].id, free[0].base)), fulls[0] if fulls else None)
    return sum(1 for f in fulls if first and f.ended >= first.ended)

"""A data folder from pgBackRest: its `restore` into an empty folder, the log laid beside it, cut off from the archive."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from pgcharter import faults
from pgcharter.errors import PgcharterError, RefusedError
from pgcharter.operate import backup_files as files
from pgcharter.operate import backup_native_restore, restore_target
from pgcharter.operate import backup_pgbackrest_program as programs
from pgcharter.operate.backup_model import Advance, Backup, Prepared, Until
from pgcharter.operate.backup_native_restore import Places
from pgcharter.operate.backup_pgbackrest_stanza import Stanza
from pgcharter.operate.restore_target import Goal
from pgcharter.servers import datafolder
from pgcharter.servers.account import Account

POINTS = ("backup pgbackrest restored", "backup pgbackrest prepared")
"""Places at which a test kills."""
_SHARE = re.compile(r"restore file .*\(\S+, (\d+(?:\.\d+)?)%\)")


def restore(repository: Stanza, backup: Backup, until: Until, folder: Path, advance: Advance | None = None) -> Prepared:
    """See `Engine.restore`. pgBackRest holds each file against its checksum; the recovery is the same as with every engine."""
    tell = advance or (lambda *_: None)
    at = Places(folder.absolute())
    backup_native_restore.refuse_used(at)
    goal = restore_target.goal(repository, until, backup)
    who = repository.program.who
    _room(repository, at, goal)
    with files.refusing():
        _folder(at, who)
        _unpack(repository, goal.backup, at, tell)
        faults.point(POINTS[0])
        backup_native_restore.stage(repository, goal, at.log, who, tell)
    settings = {**backup_native_restore.recovery(goal.until, at.log, backup, goal), "archive_mode": "off"}
    backup_native_restore.configure(at.data, settings, who)
    at.unfinished.unlink()
    faults.point(POINTS[1])
    return Prepared(at.data, backup, settings, str(backup.facts.get("superuser", "")), (at.log,))


def _room(repository: Stanza, at: Places, goal: Goal) -> None:
    size = goal.backup.size + len(goal.segments) * repository.about.segment
    parent = next(p for p in (at.data, *at.data.parents) if p.is_dir())
    free = shutil.disk_usage(parent).free
    if free < size:
        raise PgcharterError(f"{free >> 20} MB are free at {parent}, but the restore needs {size >> 20} MB", place=str(parent))


def _folder(at: Places, who: Account) -> None:
    if not at.data.is_dir():
        at.data.parent.mkdir(parents=True, exist_ok=True)
        who.make_folder(at.data)
    elif who.dropped and at.data.stat().st_uid != who.uid:
        raise RefusedError(
            f"{at.data} does not belong to the owner of the backups, as whom pgBackRest runs", hint=f"chown {who.uid}:{who.gid} {at.data}"
        )
    at.data.chmod(0o700)
    datafolder.write_private(at.unfinished, "a restore into the folder of this name is under way, or was interrupted\n", who)


def _unpack(repository: Stanza, backup: Backup, at: Places, tell: Advance) -> None:
    """Have the files; nothing of the recovery, which is ours, so that it is the same for every engine."""

    def line(text: str) -> None:
        if found := _SHARE.search(text):
            tell(f"unpacking {backup.id}", int(float(found[1]) * backup.size / 100), backup.size)

    said = repository.program.run(
        "restore", f"--repo={repository.number}", f"--set={backup.facts['label']}", f"--pg1-path={at.data}", "--type=none",
        "--archive-mode=off", "--no-delta", "--job-retry=0", f"--tablespace-map-all={at.tablespaces}", "--log-level-console=detail",
        "--log-level-stderr=off", line=line,
    )  # fmt: skip
    if said.code:
        raise programs.failed(said, f"backup {backup.id} cannot be restored")

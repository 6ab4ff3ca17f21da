"""A data folder from backups of `backup_native`: unpacked, combined, held against PostgreSQL's manifest, its log laid beside it."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path, PurePosixPath

from pgcharter import faults
from pgcharter.errors import PgcharterError, RefusedError
from pgcharter.operate import backup_copy, backup_verify, backup_wal, restore_target
from pgcharter.operate import backup_files as files
from pgcharter.operate.backup_model import Backup, Prepared, Until
from pgcharter.operate.backup_repository import Repository
from pgcharter.operate.restore_target import Goal
from pgcharter.servers import account as accounts
from pgcharter.servers import binaries, datafolder, processes
from pgcharter.servers.account import Account

POINTS = ("backup restore unpacked", "backup restore combined", "backup restore prepared")
"""Places at which a test kills."""
Told = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Places:
    """The folders of a restore."""

    data: Path

    @property
    def log(self) -> Path:
        """Segments that are replayed."""
        return self.data.with_name(f"{self.data.name}.log")

    @property
    def parts(self) -> Path:
        """Backups of a chain, until they are combined."""
        return self.data.with_name(f"{self.data.name}.parts")

    @property
    def unfinished(self) -> Path:
        """A file that is there until the folder is ready."""
        return self.data.with_name(f"{self.data.name}.restoring")

    @property
    def tablespaces(self) -> Path:
        """Tablespaces, each in a folder of its oid."""
        return self.data.with_name(f"{self.data.name}.tablespaces")


def restore(repository: Repository, backup: Backup, until: Until, folder: Path, advance: Told) -> Prepared:
    """See `Engine.restore`. Raises RefusedError for a folder that is in use, PgcharterError for whatever is missing or damaged."""
    at = Places(folder.absolute())
    refuse_used(at)
    goal = restore_target.goal(repository, until, backup)
    whole = backup_verify.chain(repository, backup)
    installation = binaries.choose(backup.version // 10000)
    who = owner(at.data)
    _room(repository, at, whole, goal)
    with files.refusing():
        _unpack(repository, whole, at, installation, who, advance)
        faults.point(POINTS[1])
        _held_against_manifest(at, installation, who)
        stage(repository, goal, at.log, who, advance)
    settings = recovery(goal.until, at.log, backup, goal)
    configure(at.data, settings, who)
    at.unfinished.unlink()
    faults.point(POINTS[2])
    return Prepared(at.data, backup, settings, str(backup.facts.get("superuser", "")), (at.log,))


def refuse_used(at: Places) -> None:
    """Raise RefusedError for a folder that holds anything, a server's above all."""
    data = at.data
    said = datafolder.read_pid_file(data)
    if said and processes.is_postmaster(said.pid, data):
        raise RefusedError(
            f"a PostgreSQL server (process {said.pid}) runs on {data}, so nothing is restored over it", hint="name an empty folder"
        )
    unfinished = at.unfinished.exists()
    for path in (data, at.log, at.parts, at.tablespaces):
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise RefusedError(f"{path} is not a folder", hint="name an empty folder", place=str(path))
        if path.is_dir() and any(path.iterdir()):
            left = [str(p) for p in (data, at.log, at.parts, at.tablespaces, at.unfinished) if p.exists()]
            hint = f"what an interrupted restore has left goes with: rm -r {' '.join(left)}" if unfinished else "name an empty folder"
            raise RefusedError(f"{path} is not empty, and nothing is restored over what is there", hint=hint, place=str(path))


def owner(data: Path) -> Account:
    """Who shall own it: as root, whoever owns the empty folder that is given or the one it will lie in, else our servers' account."""
    who = accounts.current()
    if not who.dropped:
        return who
    for folder in (data, data.parent):
        if folder.is_dir() and (entry := folder.stat()).st_uid:
            return Account(str(entry.st_uid), entry.st_uid, entry.st_gid, dropped=True)
    return who


def _room(repository: Repository, at: Places, whole: Sequence[Backup], goal: Goal) -> None:
    size = sum(int(f["raw"]) for b in whole for f in b.facts["files"]) + whole[-1].size * (len(whole) > 1)
    size += len(goal.segments) * repository.about.segment
    parent = next(p for p in (at.data, *at.data.parents) if p.is_dir())
    free = shutil.disk_usage(parent).free
    if free < size:
        raise PgcharterError(
            f"{free >> 20} MB are free at {parent}, but the restore needs {size >> 20} MB for the database and its log", place=str(parent)
        )


def _unpack(repository: Repository, whole: Sequence[Backup], at: Places, tools: binaries.Installation, who: Account, advance: Told) -> None:
    if not at.data.is_dir():
        at.data.parent.mkdir(parents=True, exist_ok=True)
        who.make_folder(at.data)
    at.data.chmod(0o700)
    who.give(at.data)
    datafolder.write_private(at.unfinished, "a restore into the folder of this name is under way, or was interrupted\n", who)
    if len(whole) == 1:
        unpack(repository, whole[0], at.data, at.tablespaces, who, advance)
        return
    who.make_folder(at.parts)
    names = []
    for one in whole:
        part = who.make_folder(at.parts / one.id)
        unpack(repository, one, part, at.parts / f"{one.id}.tablespaces", who, advance)
        names.append(part)
    faults.point(POINTS[0])
    advance("combining", 0, 0)
    _combine(whole, names, at, accounts.readable(tools, who), who)
    shutil.rmtree(at.parts)


def _combine(whole: Sequence[Backup], parts: Sequence[Path], at: Places, tools: binaries.Installation, who: Account) -> None:
    moved = []
    for oid in whole[-1].facts["tablespaces"]:
        if not at.tablespaces.is_dir():
            who.make_folder(at.tablespaces)
        moved += ["-T", f"{at.parts / f'{whole[-1].id}.tablespaces' / oid}={at.tablespaces / oid}"]
    done = who.run([tools.program("pg_combinebackup"), "-o", at.data, *moved, *parts])
    if done.returncode:
        raise PgcharterError(f"the backups could not be combined: {_last(done.stderr)}", hint="choose the full backup with --backup")


def unpack(repository: Repository, backup: Backup, data: Path, spaces: Path, who: Account, advance: Told) -> None:
    """Unpack one backup into `data`, its tablespaces into folders of `spaces`. Raises PgcharterError for what is damaged."""
    done, total = 0, backup.size
    for file in backup.facts["files"]:
        if not file["name"].startswith(backup_copy.MANIFEST):
            continue
        from pgcharter.operate.backup_native import postgresql_manifest

        _write(data / backup_copy.MANIFEST, [postgresql_manifest(repository, backup)], who)
    for file in backup.facts["files"]:
        archive, tar, _ = file["name"].partition(".tar")
        if not tar:
            continue
        target = data if archive == "base" else _space(spaces, archive, who)
        with backup_verify.opened(repository, backup, file["name"]) as members:
            for member in members:
                _member(members, member, target, spaces, who)
                done += member.size
                advance(f"unpacking {backup.id}", done, max(done, total))


def _space(spaces: Path, oid: str, who: Account) -> Path:
    if not spaces.is_dir():
        who.make_folder(spaces)
    if not (spaces / oid).is_dir():
        who.make_folder(spaces / oid)
    return spaces / oid


def _member(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path, spaces: Path, who: Account) -> None:
    """Put one member in its place; never outside of the folder, whatever the archive says."""
    parts = PurePosixPath(member.name).parts
    if member.name.startswith("/") or ".." in parts:
        raise PgcharterError(f"the backup holds a file {member.name!r} that would lie outside of its folder")
    path = target.joinpath(*parts)
    if member.isdir():
        if not path.is_dir():
            _folders(path, target, who)
    elif member.issym():
        if parts[0] != "pg_tblspc" or not parts[-1].isdigit():
            return  # pg_wal or a log folder elsewhere: made anew, empty, where it belongs
        path.symlink_to(_space(spaces, parts[-1], who))
        who.give(path)
    elif member.isreg():
        _folders(path.parent, target, who)
        source = tar.extractfile(member)
        assert source is not None  # noqa: S101  (it is a regular file)
        _write(path, iter(lambda: source.read(files.PIECE), b""), who)


def _folders(path: Path, root: Path, who: Account) -> None:
    if path != root and not path.is_dir():
        _folders(path.parent, root, who)
        who.make_folder(path)


def _write(path: Path, pieces: Iterator[bytes] | list[bytes], who: Account) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        if who.dropped:
            os.fchown(descriptor, who.uid, who.gid)
    finally:
        os.close(descriptor)


def _held_against_manifest(at: Places, tools: binaries.Installation, who: Account) -> None:
    """Have PostgreSQL's pg_verifybackup read every file once more. Raises PgcharterError with what it found."""
    done = who.run([accounts.readable(tools, who).program("pg_verifybackup"), "-n", "-q", at.data])
    if done.returncode:
        raise PgcharterError(f"what was unpacked is not what PostgreSQL sent: {_last(done.stderr or done.stdout)}", place=str(at.data))


def stage(repository: Repository, goal: Goal, folder: Path, who: Account, advance: Told) -> None:
    """Lay the log that is needed beside the data folder, each segment looked at. Raises PgcharterError for a damaged or missing one."""
    if not folder.is_dir():
        who.make_folder(folder)
    names = [*goal.histories, *(s.name for s in goal.segments)]
    for count, name in enumerate(names):
        path = folder / name
        if not path.exists():
            if not backup_wal.fetch(repository, name, path):
                if name in goal.histories and f"{goal.timeline:08X}.history" != name:
                    continue
                raise PgcharterError(f"{name} of the log is missing")
            who.give(path)
        advance("unpacking the log", count + 1, len(names))


def recovery(until: Until, log: Path, backup: Backup, goal: Goal) -> Mapping[str, str]:
    """The settings of the recovery."""
    folder = str(log).replace("%", "%%").replace("'", "'\\''")
    settings = {
        "restore_command": f"cp '{folder}'/%f \"%p\"",
        "recovery_target_timeline": str(goal.timeline) if goal.timeline != backup.timeline else "current",
        "recovery_target_action": "promote",
        "recovery_target_inclusive": "on" if until.inclusive else "off",
    }
    if until.name:
        settings["recovery_target_name"] = until.name
    elif until.lsn:
        settings["recovery_target_lsn"] = until.lsn
    elif until.time:
        settings["recovery_target_time"] = f"{until.time.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00"
    return settings


def configure(data: Path, settings: Mapping[str, str], who: Account) -> None:
    """Have the next start recover: `recovery.signal`, and the settings behind those of ALTER SYSTEM."""
    automatic = data / "postgresql.auto.conf"
    there = automatic.read_text(encoding="utf-8", errors="surrogateescape") if automatic.exists() else ""
    lines = [line for line in there.splitlines() if not line.startswith(("recovery_target", "restore_command"))]
    lines += [f"{n} = {_quoted(v)}" for n, v in settings.items()]
    datafolder.write_private(automatic, "\n".join(lines).encode("utf-8", "surrogateescape").decode("utf-8", "replace") + "\n", who)
    datafolder.write_private(data / "recovery.signal", "", who)
    for name in ("standby.signal", "postmaster.pid", "postmaster.opts"):
        (data / name).unlink(missing_ok=True)


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _last(text: str) -> str:
    return " ".join(line.strip() for line in text.strip().splitlines()[-3:]) or "it said nothing"

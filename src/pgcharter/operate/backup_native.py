"""The engine of PostgreSQL's own tools: base backups, full and incremental, and the archived log, in one repository."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pgcharter import faults
from pgcharter.errors import ConnectError, PgcharterError, UsageError
from pgcharter.findings import Evidence
from pgcharter.measures import seconds
from pgcharter.operate import backup_copy, backup_retention, backup_server, backup_wal
from pgcharter.operate import backup_files as files
from pgcharter.operate.backup_arrival import await_segments, why_late
from pgcharter.operate.backup_cipher import KeyPlace
from pgcharter.operate.backup_model import Advance, Backup, Kind, Prepared, Until
from pgcharter.operate.backup_repository import About, Repository, create, open_repository
from pgcharter.operate.backup_server import Facts
from pgcharter.operate.backup_settings import BackupSection
from pgcharter.operate.backup_source import newest_base, refuse_stale
from pgcharter.operate.backup_source import room as room
from pgcharter.operate.backup_wal import Segment, lsn_number

POINTS = (
    "backup take began", "backup take copied", "backup take arrived", "backup take doubled", "backup take listed",
    "backup prune unlisted", "backup prune removed", "backup prune log",
)  # fmt: skip
"""Places at which a test kills."""


@dataclass(frozen=True)
class Native:
    """`Engine` by PostgreSQL's own tools."""

    section: BackupSection
    dsn: str
    """Empty: there is no server, and none is needed to list, verify, remove and restore."""
    folder: Path = Path()
    """Folder that paths of the section start from."""
    second: bool = False
    """Whether the second location is read instead of the first."""
    name: str = "native"

    @property
    def root(self) -> Path:
        """Folder of the repository. Raises UsageError when the charter names none."""
        word = self.section.second if self.second else self.section.repository
        if not word:
            raise UsageError(
                "the charter does not say where backups go",
                hint='write [backup] repository = "/srv/backup", on another disk than the database',
            )
        return (self.folder / word).absolute()

    def repository(self) -> Repository:
        """The repository that is there. Raises PgcharterError."""
        return open_repository(self.root)

    def ready(self, facts: Facts) -> Repository:
        """The repository for this server, made where it is not there. Raises RefusedError when it is another server's."""
        section, place = self.section, KeyPlace(self.section.key_env, self._absolute(self.section.key_file))
        compression = files.usual() if section.compression == "auto" else section.compression
        key = place.read().id if place else ""
        about = About(
            facts.system, facts.segment, compression, section.level, key, place.variable, place.file, self._absolute(section.second)
        )
        made = create(self.root, about)
        made.seconds()
        return made

    def _absolute(self, word: str) -> str:
        return str((self.folder / word).absolute()) if word else ""

    # --- Engine ---

    def check(self) -> tuple[Evidence, ...]:
        """See `backup_check`."""
        from pgcharter.operate import backup_check

        return backup_check.check(self)

    def take(self, kind: Kind, advance: Advance | None = None) -> Backup:
        """Take a backup and wait until all of it, with the log it needs, is in the repository."""
        if kind == "logical":
            from pgcharter.operate import backup_logical

            return backup_logical.take(self, advance)
        with backup_server.opened(self.dsn) as conn:
            facts = backup_server.facts(conn, self.dsn)
            refuse_stale(conn, facts, seconds(self.section.rpo))
            repository = self.ready(facts)
            with repository.writing(), files.refusing():
                for at in places(repository):
                    at.clean()
                base = newest_base(repository, facts) if kind == "incremental" else None
                room(repository, facts.size)
                return _Take(self, repository, facts, advance or _silent).run(kind, base, conn)

    def backups(self) -> tuple[Backup, ...]:
        """Those with a manifest."""
        return self.repository().backups()

    def verify(self, backup: Backup, advance: Advance | None = None) -> tuple[str, ...]:
        """See `backup_verify`."""
        from pgcharter.operate import backup_verify

        repository = self.repository()
        with repository.reading():
            return backup_verify.verify(repository, backup, advance or _silent)

    def prune(self, *, dry_run: bool, now: datetime | None = None) -> tuple[Backup, ...]:
        """Remove backups, then log, here and at the second location."""
        repository = self.repository()
        going = self._gone(repository, now)
        if not dry_run:
            for at in places(repository):  # each by what it holds itself: a kill may have left one with more than the other
                prune_at(at, self._gone(at, now))
        return going

    def _gone(self, at: Repository, now: datetime | None) -> tuple[Backup, ...]:
        return backup_retention.gone(at.backups(), now or datetime.now(UTC), seconds(self.section.keep), self.section.keep_full)

    def hold(self, backup: Backup, reason: str) -> Backup:
        """Write the hold into the manifest, here and at the second location."""
        repository = self.repository()
        held = replace(backup, hold=reason)
        with repository.writing(), files.refusing():
            for at in places(repository):
                if (at.folder(backup.id) / "manifest.json").exists():
                    at.list(held)
        return held

    def choose(self, until: Until) -> Backup:
        """See `restore_target`."""
        from pgcharter.operate import restore_target

        return restore_target.choose(self.repository(), until)

    def restore(self, backup: Backup, until: Until, folder: Path, advance: Advance | None = None) -> Prepared:
        """See `backup_native_restore`."""
        from pgcharter.operate import backup_native_restore

        repository = self.repository()
        with repository.reading():
            return backup_native_restore.restore(repository, backup, until, folder, advance or _silent)


def _silent(_what: str, _done: int, _total: int) -> None:
    """Nobody watches."""


@dataclass(frozen=True)
class _Take:
    """One backup being taken."""

    engine: Native
    repository: Repository
    facts: Facts
    advance: Advance

    def run(self, kind: Kind, base: Backup | None, conn: Any) -> Backup:
        backup_id, folder = new_folder(self.repository, self.facts.now, kind)
        try:
            faults.point(POINTS[0])
            began = _clock(conn)
            copied, stored = self._copy(folder, backup_id, base)
            faults.point(POINTS[1])
            ended = _clock(conn)
            self._await_log(copied, conn)
            faults.point(POINTS[2])
            made = Backup(
                backup_id, kind, self.engine.name, self.facts.system, self.facts.version, began, ended, size=copied.size,
                stored=sum(s.stored for s in stored), timeline=copied.timeline, start_lsn=copied.start_lsn, stop_lsn=copied.stop_lsn,
                base=base.id if base else "", facts=self._told(copied, stored),
            )  # fmt: skip
            list_everywhere(self.repository, made)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        faults.point(POINTS[4])
        return made

    def _copy(self, folder: Path, backup_id: str, base: Backup | None) -> tuple[backup_copy.Copied, tuple[files.Stored, ...]]:
        outputs: list[files.Output] = []
        form, what = self.repository.form, f"copying {'changes' if base else 'the database'}"

        def sink(name: str) -> files.Output:
            outputs.append(files.Output(folder / (name + form.ending()), f"backups/{backup_id}/{name}", form))
            return outputs[-1]

        manifest = postgresql_manifest(self.repository, base) if base else None
        try:
            with backup_copy.open_walsender(self.engine.dsn) as sender:
                copied = backup_copy.copy(
                    sender, f"pgcharter {backup_id}", sink, lambda done, total: self.advance(what, done, total), base=manifest
                )
            stored = tuple(o.finish() for o in outputs)
        except BaseException:
            for output in outputs:
                output.abandon()
            raise
        files.settle(folder)
        return copied, stored

    def _told(self, copied: backup_copy.Copied, stored: Sequence[files.Stored]) -> Mapping[str, Any]:
        return {
            "files": [{"name": s.name, "raw": s.raw, "stored": s.stored, "sha256": s.sha256} for s in stored],
            "tablespaces": dict(copied.tablespaces), "superuser": self.facts.superuser, "checksums": self.facts.checksums,
            "standby": self.facts.standby, "database": self.facts.database, "key": self.repository.about.key_id,
        }  # fmt: skip

    def _await_log(self, copied: backup_copy.Copied, conn: Any) -> None:
        size = self.repository.about.segment
        span = range(lsn_number(copied.start_lsn) // size, max(0, lsn_number(copied.stop_lsn) - 1) // size + 1)
        wanted = [Segment(copied.timeline, n, size) for n in span]
        await_segments(self.repository, wanted, seconds(self.engine.section.wait), lambda name: why_late(conn, name), self.advance)


def places(repository: Repository) -> tuple[Repository, ...]:
    """The repository and its second location, which comes first: what is listed here is there too."""
    second = repository.seconds()
    return (second, repository) if second else (repository,)


def new_folder(repository: Repository, now: datetime, kind: Kind) -> tuple[str, Path]:
    """A new id by the server's clock, and its folder."""
    while True:
        backup_id = f"{now.astimezone(UTC):%Y%m%dT%H%M%S}Z-{kind}"
        folder = repository.folder(backup_id)
        if not any(list((at.root / "backups").glob(f"{backup_id[:16]}-*")) for at in places(repository)):
            return backup_id, files.make(folder)
        now += timedelta(seconds=1)


def list_everywhere(repository: Repository, made: Backup) -> None:
    """Copy the files of a backup to the second location, and list it there and here."""
    second = repository.seconds()
    if second:
        target = files.make(second.folder(made.id))
        for one in made.facts["files"]:
            _doubled(repository.folder(made.id) / one["name"], target / one["name"], one["sha256"])
        files.settle(target)
        second.list(made)
    faults.point(POINTS[3])
    repository.list(made)


def _doubled(source: Path, target: Path, sha256: str) -> None:
    """Copy a file and read back what is there."""
    import os

    shutil.copyfile(source, target)
    target.chmod(0o600)
    files.own(target)
    descriptor = os.open(target, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if files.digest(target)[1] != sha256:
        raise PgcharterError(
            f"the copy {target} differs from what was written, so the second location is not to be trusted", place=str(target)
        )


def postgresql_manifest(repository: Repository, backup: Backup) -> bytes:
    """PostgreSQL's own manifest of a backup. Raises PgcharterError when it is damaged."""
    name = next((f["name"] for f in backup.facts["files"] if f["name"].startswith(backup_copy.MANIFEST)), "")
    path = repository.folder(backup.id) / name
    return files.content(path, f"backups/{backup.id}/{backup_copy.MANIFEST}", repository.form)


def prune_at(repository: Repository, going: Sequence[Backup]) -> None:
    """Remove backups at one place, newest first so that no chain loses its base before itself, then the log that nobody needs."""
    with repository.writing(), repository.removing(), files.refusing():
        repository.clean()
        for backup in reversed(going):
            if (repository.folder(backup.id) / "manifest.json").exists():
                faults.point(POINTS[5])
                repository.remove(backup)
                faults.point(POINTS[6])
        for path in unneeded_log(repository):
            path.unlink(missing_ok=True)
            faults.point(POINTS[7])
        prune_marks(repository)


def unneeded_log(repository: Repository) -> list[Path]:
    """Segments that no backup needs: older than the oldest one that is kept for its own sake, and not of a held one's own stretch."""
    if repository.damaged():
        return []  # a manifest that cannot be read may need any of them
    physical = [b for b in repository.backups() if b.kind != "logical"]
    size = repository.about.segment
    free = [b for b in physical if not b.hold] or physical
    if not free:
        return []
    first = min(lsn_number(b.start_lsn) for b in free) // size
    own = {n for b in physical for n in range(lsn_number(b.start_lsn) // size, lsn_number(b.stop_lsn) // size + 1)}
    found = []
    for timeline in backup_wal.timelines(repository):
        for path in sorted((repository.wal / f"{timeline:08X}").iterdir()):
            name = path.name.partition(".")[0]
            if len(name) == 24 and not path.name.startswith("."):
                number = Segment.named(name, size).number
                if number < first and number not in own:
                    found.append(path)
    return found


def prune_marks(repository: Repository) -> None:
    """Remove marks from before the log that is left."""
    starts = [lsn_number(b.start_lsn) for b in repository.backups() if b.kind != "logical"]
    for path in sorted((repository.root / "marks").glob("*-*")) if starts else ():
        position = path.name.split(".")[0].rpartition("-")[2]
        if len(position) == 16 and int(position, 16) < min(starts):
            path.unlink(missing_ok=True)


def _clock(conn: Any) -> datetime:
    try:
        row = conn.execute("SELECT pg_catalog.clock_timestamp()").fetchone()
    except Exception as error:
        raise ConnectError(f"the server was lost during the backup ({type(error).__name__})") from None
    found: datetime = row[0].astimezone(UTC)
    return found

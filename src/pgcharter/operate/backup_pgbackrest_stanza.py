"""A repository of ours in which pgBackRest keeps backups and log."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

from pgcharter.operate import backup_files as files
from pgcharter.operate import backup_pgbackrest_program as programs
from pgcharter.operate import backup_pgbackrest_report as report
from pgcharter.operate.backup_model import Backup
from pgcharter.operate.backup_pgbackrest_program import Program
from pgcharter.operate.backup_repository import Repository

TAKE, SUPERUSER, DATABASE = "pgcharter-take", "pgcharter-superuser", "pgcharter-database"
"""Annotations: what was taken together, and what is not in pgBackRest's report."""


@dataclass(frozen=True)
class Stanza(Repository):
    """A repository of ours in which pgBackRest keeps backups and log."""

    program: Program = field(kw_only=True)
    number: int = 1
    """Of the repository in pgBackRest's configuration."""
    beside: Stanza | None = None
    """That at the second location."""

    @cached_property
    def info(self) -> report.Info:
        """What pgBackRest says of it, asked once. Raises PgcharterError."""
        said = self.program.run("info", "--output=json", f"--repo={self.number}")
        if said.code:
            raise programs.failed(said, f"the backups in {self.root} cannot be listed")
        return report.info(said.out, self.number)

    def fresh(self) -> Stanza:
        """The same, to be asked anew."""
        return replace(self, beside=self.beside.fresh() if self.beside else None)

    def backups(self) -> tuple[Backup, ...]:
        """Those that pgBackRest lists, and logical ones, oldest first."""
        logical = [b for b in super().backups() if b.kind == "logical"]
        return tuple(sorted((*map(self._whole, self.info.backups), *logical), key=lambda b: (b.ended, b.id)))

    def _whole(self, backup: Backup) -> Backup:
        """With what was noted when it was taken; one that somebody took by hand is from the same server."""
        noted = [b.facts["annotations"] for b in (backup, *reversed(self.info.backups)) if SUPERUSER in b.facts["annotations"]]
        found = noted[0] if noted else {}
        more = {"superuser": found.get(SUPERUSER, ""), "database": found.get(DATABASE, ""), "key": self.about.key_id}
        return replace(backup, facts={**backup.facts, **more})

    def damaged(self) -> tuple[str, ...]:
        """What pgBackRest says is wrong with the repository, and damaged manifests of logical copies."""
        said = [f"pgBackRest says of {self.root}: {p}" for p in self.info.problems]
        return (*said, *(d for d in super().damaged() if "-logical" in d))

    def find(self, name: str) -> Backup:
        """See `Repository.find`; pgBackRest's own label is understood too."""
        return next((b for b in self.backups() if b.facts.get("label") == name), None) or super().find(name)

    def seconds(self) -> Stanza | None:
        """See `Repository.seconds`."""
        super().seconds()
        return self.beside

    def copies(self, backup: Backup) -> Backup | None:
        """What was taken here together with a backup that may be of the other place."""
        take = backup.facts.get("annotations", {}).get(TAKE)
        return next((b for b in self.backups() if b.id == backup.id or (take and b.facts.get("annotations", {}).get(TAKE) == take)), None)

    def sync(self) -> None:
        """Have a manifest of each backup that is listed, and of no other; only under `writing`."""
        here = self.fresh()
        there = {b.id: b for b in here.backups() if b.kind != "logical"}
        for name in self._ids():
            if name not in there and not name.endswith("-logical"):
                shutil.rmtree(self.folder(name), ignore_errors=True)
        for one in there.values():
            if self._backup(one.id) != one:
                files.make(self.folder(one.id))
                self.list(one)


def stanzas(repository: Stanza) -> tuple[Stanza, ...]:
    """The second location first."""
    second = repository.seconds()
    return (second, repository) if second else (repository,)


def chained(repository: Repository, backup: Backup) -> Iterator[str]:
    """Ids of the backups it is built on that are gone."""
    there = {b.id for b in repository.backups()}
    yield from (str(i) for i in (backup.base, *backup.facts.get("needs", ())) if i and i not in there)

"""The files of a backup as plain ones: for pg_restore, for tar, for whoever restores by hand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from pgcharter.errors import RefusedError, UnavailableError
from pgcharter.operate import backup_files as files
from pgcharter.operate.backup_model import Advance, Backup
from pgcharter.operate.backup_repository import Repository


def extract(repository: Repository, backup: Backup, folder: Path, advance: Advance | None = None) -> tuple[Path, ...]:
    """Write each file decrypted and unpacked into `folder`, and say which. Raises RefusedError where one is, PgcharterError for damage."""
    if "files" not in backup.facts:
        raise UnavailableError(f"backup {backup.id} is in the form of {backup.engine}, whose own program reads it")
    made = []
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in backup.facts["files"]:
        inner = plain_name(file["name"])
        target = folder / inner
        if target.exists() or target.is_symlink():
            raise RefusedError(f"{target} is there already, and nothing is overwritten", hint="name an empty folder", place=str(target))
        path = repository.folder(backup.id) / file["name"]
        stored = files.Input(path, f"backups/{backup.id}/{inner}", repository.form)
        with repository.reading(), files.refusing(), stored as source, _new(target) as out:
            while piece := source.read(files.PIECE):
                out.write(piece)
                if advance:
                    advance(f"unpacking {inner}", out.tell(), file["raw"])
        made.append(target)
    return tuple(made)


def _new(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb")


def plain_name(name: str) -> str:
    """A file's name without the endings of its form."""
    name = name.removesuffix(files.ENCRYPTED)
    for ending in filter(None, files.ENDINGS.values()):
        name = name.removesuffix(ending)
    return name

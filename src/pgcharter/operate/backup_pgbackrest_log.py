"""The log as pgBackRest keeps it: `archive/<stanza>/15-1/<16 digits>/<segment>-<sha1>.zst`, histories beside the folders."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pgcharter.errors import PgcharterError
from pgcharter.operate import backup_files as files
from pgcharter.operate.backup_pgbackrest_program import Program

_KEPT = re.compile(r"([0-9A-F]{24})-([0-9a-f]{40})(?:\.(?:gz|zst))?")
_HISTORY = re.compile(r"[0-9A-F]{8}\.history")


@dataclass(frozen=True)
class Archive:
    """`Log` of one stanza in one repository of pgBackRest. Names are never encrypted; contents may be."""

    repository: Path
    """Its repo-path."""
    stanza: str
    program: Program
    repo: int
    encrypted: bool

    @property
    def folder(self) -> Path:
        """Where the log of the newest system lies: the highest number behind the version."""
        base = self.repository / "archive" / self.stanza
        there = [p for p in base.iterdir() if re.fullmatch(r"[\d.]+-\d+", p.name)] if base.is_dir() else []
        return max(there, key=lambda p: int(p.name.rpartition("-")[2]), default=base / "none")

    def where(self, name: str) -> Path | None:
        """See `Log`."""
        if _HISTORY.fullmatch(name):
            path = self.folder / name
            return path if path.exists() else None
        return next((p for p in (self.folder / name[:16]).glob(f"{name}-*") if _KEPT.fullmatch(p.name)), None)

    def names(self) -> Iterator[str]:
        """See `Log`."""
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if _HISTORY.fullmatch(path.name):
                yield path.name
            elif re.fullmatch("[0-9A-F]{16}", path.name):
                yield from (p.name[:24] for p in path.iterdir() if _KEPT.fullmatch(p.name))

    def content(self, path: Path) -> bytes:
        """See `Log`: held against the checksum in its name."""
        stored = self.program.read(str(path.relative_to(self.repository)), self.repo) if self.encrypted else path.read_bytes()
        kept = _KEPT.fullmatch(path.name)
        data = files.unpacked(stored, path.name)
        if kept and hashlib.sha1(data, usedforsecurity=False).hexdigest() != kept[2]:
            raise PgcharterError(f"segment {kept[1]} of the log is damaged: its checksum does not fit", place=str(path))
        return data

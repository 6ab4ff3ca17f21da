"""The manifest of a folder of copies: which files count, with their checksums, and up to which change they go.

Files are written first, whole and under names never used before; then the manifest is replaced by renaming. Whoever reads the
manifest sees whole files only, whenever the writer dies. Files that a merge has made needless stay for a while for those who read by
an older manifest.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from urllib.parse import quote

from pgcharter.stream.errors import SinkRefusedError
from pgcharter.stream.model import Field, Shape, Stamp

NAME = "manifest.json"
FORMAT = "pgcharter-copies"
RETIRED_SECONDS = 300.0
"""Time for which files stay that the manifest does not name any more."""
_OURS = re.compile(r"\d{12}\.[a-z]+")
_LONGEST = 200


@dataclass(frozen=True)
class File:
    """A file that counts."""

    name: str
    """From the folder on."""
    to: str
    rows: int
    bytes: int
    sha256: str
    fields: tuple[tuple[str, str, bool], ...]
    """Name, type in PostgreSQL, whether it is of the key."""
    level: int = 0
    """How often it was merged."""


@dataclass(frozen=True)
class Manifest:
    """What a folder holds."""

    kind: str
    upto: Stamp | None = None
    files: tuple[File, ...] = ()
    retired: tuple[tuple[str, float], ...] = ()
    """Files that do not count any more, and since when, seconds since 1970."""
    next: int = 1
    """Number of the next file."""

    def of(self, to: str) -> Iterator[File]:
        """Its files of one table, oldest first."""
        return (f for f in self.files if f.to == to)


def read(folder: Path, kind: str) -> Manifest:
    """The manifest of a folder, an empty one where there is none. Raises SinkRefusedError for one that is not ours."""
    file = folder / NAME
    try:
        found = json.loads(file.read_bytes())
    except FileNotFoundError:
        return Manifest(kind)
    except ValueError:
        found = {}
    if found.get("format") != FORMAT or found.get("kind") != kind or found.get("version") != 1:
        what = f"of kind {found['kind']}" if found.get("format") == FORMAT and found.get("kind") != kind else "not one of copies"
        raise SinkRefusedError(f"{file} is {what}, so {kind} files cannot be kept beside it", hint='folder = "another"', place=str(file))
    files = tuple(File(**{**f, "fields": tuple(map(tuple, f["fields"]))}) for f in found["files"])
    upto = Stamp(*found["upto"]) if found["upto"] else None
    return Manifest(kind, upto, files, tuple(map(tuple, found["retired"])), found["next"])


def save(folder: Path, manifest: Manifest) -> None:
    """Put a manifest in the place of the one that is there, durably."""
    text = json.dumps({"format": FORMAT, "version": 1, **asdict(manifest)}, ensure_ascii=False, indent=1)
    aside = folder / f".{NAME}.new"
    durable(aside, text.encode())
    aside.rename(folder / NAME)
    sync_folder(folder)


def durable(file: Path, content: bytes) -> None:
    """Write a file and wait until it is on disk."""
    with file.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until names in a folder are on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def place(to: str) -> str:
    """The folder of a table, whatever its name or its tenant's is: nothing in it leaves the folder of copies."""
    name = quote(to, safe=" ")
    name = "%2E" + name[1:] if name.startswith(".") else name
    return name if len(name) <= _LONGEST else f"{name[:_LONGEST]}-{hashlib.sha256(to.encode()).hexdigest()[:16]}"


def fields_of(shape: Shape) -> tuple[tuple[str, str, bool], ...]:
    """The fields of a shape as a manifest has them."""
    return tuple((f.name, f.type, f.key) for f in shape.fields)


def shape_of(file: File, source: str) -> Shape:
    """The shape that a file was written by."""
    return Shape(file.to, tuple(Field(n, t, key=k) for n, t, k in file.fields), source)


def without_retired(folder: Path, manifest: Manifest, now: float | None = None) -> Manifest:
    """The manifest without files retired long enough, which are removed."""
    limit = (time.time() if now is None else now) - RETIRED_SECONDS
    for name, since in manifest.retired:
        if since < limit:
            (folder / name).unlink(missing_ok=True)
    return replace(manifest, retired=tuple(r for r in manifest.retired if r[1] >= limit))


def sweep(folder: Path, manifest: Manifest) -> None:
    """Remove files of ours that no manifest names: what a writer that died has left."""
    named = {f.name for f in manifest.files} | {name for name, _ in manifest.retired}
    for child in folder.iterdir():
        for file in child.iterdir() if child.is_dir() else ():
            if _OURS.fullmatch(file.name) and f"{child.name}/{file.name}" not in named:
                file.unlink()


@dataclass
class Written:
    """A file being put together."""

    content: bytes
    rows: int
    shape: Shape
    level: int = 0

    def entry(self, number: int, kind: str) -> File:
        """What the manifest says of it."""
        name = f"{place(self.shape.to)}/{number:012}.{kind}"
        digest = hashlib.sha256(self.content).hexdigest()
        return File(name, self.shape.to, self.rows, len(self.content), digest, fields_of(self.shape), self.level)

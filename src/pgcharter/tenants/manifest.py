"""The manifest of an export: what was written, counted and summed; and the files held against it.

`manifest.json` is written last of all, so a folder without it is no export, whatever else is in it. Rows are in PostgreSQL's own COPY text
format, one line each (documentation, "COPY": newlines in values are escaped), compressed with gzip: `zcat FILE | psql -c '\\copy …'`.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from pgcharter.errors import PgcharterError, RefusedError, UsageError

FORMAT, VERSION = "pgcharter-tenant-export", 1
NAME = "manifest.json"
PARTIAL = ".partial"
"""End of the name of a file that is being written."""
CHUNK = 1 << 20
Tell = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and of how much."""


@dataclass(frozen=True)
class TableFile:
    """One table of an export."""

    table: str
    """Its address as SQL."""
    file: str
    columns: Sequence[Mapping[str, str]]
    """Name and type of each column, in the order of the file."""
    rows: int
    bytes: int
    """Of the file as it is, compressed."""
    sha256: str
    """Likewise."""


@dataclass(frozen=True)
class Manifest:
    """All that is said of an export. It holds no secret: no connection string, no key."""

    tenant: Mapping[str, Any]
    """Id, name, settings, placement, place, created_at."""
    exported_at: str
    server_version: str
    tool_version: str
    migrations: Sequence[str]
    """Versions applied where the tenant is, in order: the last is the head."""
    tables: Sequence[TableFile] = ()
    """Those that are referred to before those that refer to them."""
    sequences: Sequence[Mapping[str, Any]] = ()
    """Position of each sequence: sequence, last_value, is_called."""
    encrypted: Sequence[Mapping[str, Any]] = ()
    """Columns whose values are exported as ciphertext: column, key, scope, and the ids of the keys that they need."""
    left_out: Sequence[str] = ()
    """What is not in it, and why, in sentences."""
    snapshot: str = ""
    """The one snapshot that all of it is of, as pg_current_snapshot() says it."""

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(t.rows for t in self.tables)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(t.bytes for t in self.tables)

    def data(self) -> dict[str, Any]:
        """Document `pgcharter-tenant-export`."""
        return {"format": FORMAT, "version": VERSION, **asdict(self)}


def read(folder: Path) -> Manifest:
    """The manifest of an export. Raises UsageError where there is none, PgcharterError for one that cannot be read."""
    path = folder / NAME
    try:
        data = json.loads(path.read_text("utf-8"))
        if data.pop("format") != FORMAT or data.pop("version") != VERSION:
            raise ValueError(f"it is none of format {FORMAT}, version {VERSION}")
        return Manifest(**{**data, "tables": [TableFile(**t) for t in data["tables"]]})
    except FileNotFoundError:
        raise UsageError(f"{folder} holds no {NAME}, so it is no export, or one that was cut off") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PgcharterError(f"{path} cannot be read: {error}") from None


def differing(folder: Path, manifest: Manifest, tell: Tell | None = None) -> Iterator[str]:
    """What is not as the manifest says, each as a sentence: every file is read whole."""
    known = {t.file for t in manifest.tables} | {NAME}
    for number, one in enumerate(manifest.tables):
        if tell:
            tell(f"reading {one.table} back", number, len(manifest.tables))
        yield from _file(folder / one.file, one)
    for other in sorted(p.name for p in folder.iterdir() if p.name not in known):
        yield f"{other} is in the folder, and the manifest does not know it"


def _file(path: Path, one: TableFile) -> Iterator[str]:
    if Path(one.file).name != one.file:
        yield f"{one.file} is no name of a file of this folder"
        return
    try:
        size, digest, rows = counted(path)
    except FileNotFoundError:
        yield f"{one.file}, which has {one.rows:,} rows of {one.table}, is not there"
        return
    except (OSError, EOFError, zlib.error) as error:
        yield f"{one.file} cannot be read: {error}"
        return
    if (size, digest) != (one.bytes, one.sha256):
        was = f"{one.bytes:,} bytes with SHA-256 {one.sha256[:16]}…"
        yield f"{one.file} is not as it was written: {size:,} bytes with SHA-256 {digest[:16]}…, and it had {was}"
    elif rows != one.rows:
        yield f"{one.file} has {rows:,} rows, and the manifest says {one.rows:,}"


def counted(path: Path) -> tuple[int, str, int]:
    """Bytes, SHA-256 and lines of a compressed file, as they are on disk."""
    digest = hashlib.sha256()
    with path.open("rb") as raw:
        while piece := raw.read(CHUNK):
            digest.update(piece)
        size = raw.tell()
    rows = 0
    with gzip.open(path) as text:
        while piece := text.read(CHUNK):
            rows += piece.count(b"\n")
    return size, digest.hexdigest(), rows


def prepared(folder: Path) -> None:
    """Make the folder, or clear it of an export that was cut off. Raises RefusedError where it holds anything else."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    inside = list(folder.iterdir())
    if (folder / NAME).exists():
        raise RefusedError(
            f"{folder} holds an export already, so nothing was written", hint=f"name another folder; what it is: {folder / NAME}"
        )
    strange = [p.name for p in inside if not p.name.endswith((".copy.gz", PARTIAL))]
    if strange:
        raise RefusedError(f"{folder} is not empty ({strange[0]}), so nothing was written", hint="name a folder that is not there yet")
    for path in inside:
        path.unlink()


def written(path: Path, fill: Callable[[IO[bytes]], None]) -> None:
    """Write a file under another name first, and give it its own when it is safe on disk."""
    partial = path.with_name(path.name + PARTIAL)
    descriptor = os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        fill(file)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)


def seal(folder: Path, manifest: Manifest) -> None:
    """Write the manifest: from here on the folder is an export."""
    text = json.dumps(manifest.data(), indent=2, ensure_ascii=False, default=str) + "\n"

    def fill(file: IO[bytes]) -> None:
        file.write(text.encode())

    written(folder / NAME, fill)
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

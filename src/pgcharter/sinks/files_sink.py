"""Copies in files: every batch adds a file for each of its tables, small files are merged, a manifest says which count.

Files are a log: a row is `put`, `delete` or `clear` (`pgcharter_op`) with its stamp (`pgcharter_lsn`, `pgcharter_ordinal`). What is there
now is the row of each key with the greatest stamp, unless that is a delete or older than the last clear. A row that was sent again is there
again.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pgcharter import faults
from pgcharter.errors import CharterError
from pgcharter.measures import size
from pgcharter.policy.sync_settings import SinkTable
from pgcharter.sinks import files_manifest as manifests
from pgcharter.sinks.files_manifest import File, Manifest, Written
from pgcharter.stream.errors import SinkDownError, SinkRefusedError
from pgcharter.stream.model import Row, Shape, Stamp, Stored
from pgcharter.stream.values import hashable

OP, LSN, ORDINAL = "pgcharter_op", "pgcharter_lsn", "pgcharter_ordinal"
"""Columns beside a row's fields."""
MERGED = 16
"""Files of one size that become one."""
POINTS = ("sink files written", "sink files in manifest", "sink files merged", "sink files merged in manifest")
"""Points of `faults`."""
T = TypeVar("T")


class Form(Protocol):
    """How rows are written in a file."""

    kind: str

    def written(self, shape: Shape, rows: Sequence[Row]) -> bytes:
        """A file of rows."""

    def merged(self, files: Sequence[Path]) -> bytes:
        """One file of several with the same fields."""

    def read(self, file: Path, shape: Shape) -> Iterator[Row]:
        """The rows of a file as rows of a shape; fields that the file has not are None."""


def options(table: SinkTable) -> int:
    """The size from which files are left alone, in bytes: option `rotate`. Raises CharterError for other options."""
    unknown = sorted(set(table.options) - {"rotate"})
    if unknown:
        raise CharterError(f"sink {table.name} has option {unknown[0]}, which {table.kind} has not", hint='there is rotate = "64MB"')
    return size(table.options.get("rotate", "64MB"), "[[sync.sink]] rotate")


class FilesSink:
    """A folder of files. One process writes to it at a time."""

    whole = True
    keeps = True
    ordered = False

    def __init__(self, folder: Path, form: Form, *, rotate: int = 64 << 20) -> None:
        self._folder, self._form, self._rotate = folder, form, rotate
        self._lock: int | None = None
        self._manifest = Manifest(form.kind)

    def open(self, shapes: Sequence[Shape]) -> Stamp | None:
        """Take the folder, remove what a writer that died has left."""
        self.close()
        return self._done(lambda: self._open(shapes))

    def look(self, shapes: Sequence[Shape]) -> None:
        """Nothing is needed: the manifest is read beside whoever writes, and what is not there has no rows."""

    def write(self, rows: Sequence[Row], upto: Stamp) -> None:
        """A file for each table, then the manifest."""
        if self._lock is None:
            raise SinkDownError(f"{self._folder} is not open")
        self._done(lambda: self._write(rows, upto))

    def close(self) -> None:
        """Let go of the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def read(self, shape: Shape, after: tuple[Any, ...] | None, upto: tuple[Any, ...] | None) -> Iterator[Stored]:
        """What is there now, in no order; keys are compared as Python does."""
        latest: dict[Any, Row] = {}
        cleared = Stamp(0, 0)
        manifest = manifests.read(self._folder, self._form.kind)
        for file in manifest.of(shape.to):
            for row in self._form.read(self._folder / file.name, shape):
                if row.op == "clear":
                    cleared = max(cleared, row.stamp)
                elif (after is None or row.key > after) and (upto is None or row.key <= upto):
                    key = hashable(row.key)
                    if key not in latest or latest[key].stamp <= row.stamp:
                        latest[key] = row
        for row in latest.values():
            if row.op == "put" and row.stamp >= cleared:
                yield Stored(row.key, row.values, row.stamp)

    def _open(self, shapes: Sequence[Shape]) -> Stamp | None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SinkDownError(f"another process writes to {self._folder}") from None
        self._manifest = manifests.read(self._folder, self._form.kind)
        manifests.sweep(self._folder, self._manifest)
        for shape in shapes:
            self._made(shape)
        return self._manifest.upto

    def _made(self, shape: Shape) -> Path:
        """The folder of a shape. Raises SinkRefusedError where something else has its name, or a field the name of a stamp's."""
        folder = self._folder / manifests.place(shape.to)
        if folder.exists() and not folder.is_dir():
            raise SinkRefusedError(f"{folder} is no folder, so {shape.to} cannot be written there", hint='to = "another"')
        taken = [f.name for f in shape.fields if f.name.startswith("pgcharter_")]
        if taken:
            raise SinkRefusedError(
                f"field {taken[0]} of {shape.to} could be mistaken for a row's stamp", hint=f'rename = {{ {taken[0]} = "…" }}'
            )
        if not folder.is_dir():
            folder.mkdir()
            manifests.sync_folder(self._folder)
        return folder

    def _write(self, rows: Sequence[Row], upto: Stamp) -> None:
        by_shape: dict[int, tuple[Shape, list[Row]]] = {}
        for row in rows:
            by_shape.setdefault(id(row.shape), (row.shape, []))[1].append(row)
        made = [Written(self._form.written(shape, of), len(of), shape) for shape, of in by_shape.values()]
        manifest = self._with(self._manifest, made)
        faults.point("sink files written")
        self._save(replace(manifest, upto=upto))
        faults.point("sink files in manifest")
        for to in {w.shape.to for w in made}:
            self._merge(to)

    def _with(self, manifest: Manifest, made: Sequence[Written]) -> Manifest:
        """The manifest with new files, which are on disk."""
        entries = [w.entry(manifest.next + n, self._form.kind) for n, w in enumerate(made)]
        for written, entry in zip(made, entries, strict=True):
            folder = self._made(written.shape)
            manifests.durable(self._folder / entry.name, written.content)
            manifests.sync_folder(folder)
        return replace(manifest, files=(*manifest.files, *entries), next=manifest.next + len(made))

    def _merge(self, to: str) -> None:
        """Merge the last files of a table as long as enough of one level are there."""
        while True:
            last = list(self._manifest.of(to))[-MERGED:]
            alike = {(f.level, f.fields) for f in last}
            if len(last) < MERGED or len(alike) > 1 or last[0].bytes >= self._rotate:
                return
            content = self._form.merged([self._folder / f.name for f in last])
            rows, level = sum(f.rows for f in last), last[0].level + 1
            merged = Written(content, rows, manifests.shape_of(last[0], ""), level)
            gone = {f.name for f in last}
            kept = tuple(f for f in self._manifest.files if f.name not in gone)
            manifest = self._with(replace(self._manifest, files=kept), [merged])
            faults.point("sink files merged")
            self._save(replace(manifest, retired=(*manifest.retired, *((name, time.time()) for name in sorted(gone)))))
            faults.point("sink files merged in manifest")

    def _save(self, manifest: Manifest) -> None:
        """Make a manifest the one that counts; what was retired long ago goes first, since no manifest that counts names it."""
        manifest = manifests.without_retired(self._folder, manifest)
        manifests.save(self._folder, manifest)
        self._manifest = manifest

    def _done(self, work: Callable[[], T]) -> T:
        """What the work gives; errors of the file system as those of a sink. After one `open` is needed."""
        try:
            return work()
        except (SinkRefusedError, SinkDownError):
            self.close()
            raise
        except PermissionError as error:
            self.close()
            raise SinkRefusedError(f"{error.filename or self._folder} may not be written: {error.strerror}") from None
        except OSError as error:
            self.close()
            raise SinkDownError(f"{error.filename or self._folder} cannot be written just now: {error.strerror}") from None


def checked(folder: Path, file: File) -> bool:
    """Whether a file is whole, by its size and checksum."""
    import hashlib

    content = (folder / file.name).read_bytes()
    return len(content) == file.bytes and hashlib.sha256(content).hexdigest() == file.sha256

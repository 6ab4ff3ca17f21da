"""What a store has not taken yet, in files of its own: appended, read back in order, removed when consumed.

A folder of segments, each a row of records `length, CRC-32, kind, payload`: relations (R) as JSON, and pieces of transactions (T) as the
server sent them. What was synchronised is written down beside them. Behind that the last run may have left half a record, which
goes; before it everything must be whole, or the store cannot be brought up to date from here.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pgcharter.errors import PgcharterError
from pgcharter.stream import pgoutput
from pgcharter.stream.model import Attribute, Change, Relation
from pgcharter.stream.pgoutput import TypeName
from pgcharter.stream.transactions import Transaction

SEGMENT = 64 << 20
"""Bytes after which the next transaction begins a segment of its own."""
_HEAD = struct.Struct(">IIc")
_META = struct.Struct(">QQqII?")
_LENGTH = struct.Struct(">I")


class SpillFullError(PgcharterError):
    """There is more than a sink may keep."""


class SpillDamagedError(PgcharterError):
    """What was kept cannot be read."""


@dataclass(frozen=True)
class Piece:
    """Changes of one transaction that were read back."""

    changes: list[Change]
    lsn: int
    end: int
    time: int
    last: bool
    """Whether the transaction ends with it."""


class Spill:
    """The file of one sink. One thread appends, one reads; they share a lock of their own."""

    def __init__(self, folder: Path, limit: int, type_name: TypeName, *, segment: int = SEGMENT) -> None:
        self.folder, self.limit = folder, limit
        self.size = 0
        """Bytes in all segments."""
        self.last = 0
        """Position of the last transaction's commit."""
        self._type_name, self._segment = type_name, segment
        self._written: dict[int, Relation] = {}
        self._described: Mapping[int, Relation] | None = None
        self._sizes: dict[int, int] = {}
        """Bytes by segment."""
        self._out: int | None = None
        self._dirty = False
        self._in: tuple[int, int] = (-1, -1)
        self._relations: dict[int, Relation] = {}
        self._open_transaction: dict[int, Relation] | None = None
        self._at = self._consumed = (0, 0)
        if folder.is_dir():
            self._recover()

    @property
    def marked(self) -> bool:
        """Whether its folder is there, with what was written to it or the mark that all of that was consumed."""
        return (self.folder / "synced").is_file()

    @property
    def empty(self) -> bool:
        """Whether everything was consumed, or nothing is there."""
        return not self._sizes or self._consumed >= self._end

    @property
    def drained(self) -> bool:
        """Whether everything was read."""
        return not self._sizes or self._at >= self._end

    @property
    def _end(self) -> tuple[int, int]:
        last = max(self._sizes)
        return last, self._sizes[last]

    def append(self, transaction: Transaction) -> None:
        """Write a transaction behind the others. Raises SpillFullError when there is no room for it."""
        self._room()
        if self._described is not transaction.relations:
            self._describe(transaction.relations)
        first, pieces = 1, transaction.held.pieces()
        piece: list[bytes] | None = next(pieces, [])
        while piece is not None:
            following = next(pieces, None)
            meta = _META.pack(transaction.lsn, transaction.end, transaction.time, transaction.xid, first, following is None)
            self._write(b"T", meta + b"".join(_LENGTH.pack(len(m)) + m for m in piece))
            first += sum(map(pgoutput.ordinals, piece))
            piece = following
        self.last = transaction.lsn

    def _describe(self, relations: Mapping[int, Relation]) -> None:
        """Write relations that are not in this segment yet."""
        for oid, relation in relations.items():
            if self._written.get(oid) is not relation:
                self._write(b"R", json.dumps(asdict(relation)).encode())
                self._written[oid] = relation
        self._described = relations

    def _room(self) -> None:
        """Have a segment to write to."""
        if self._out is not None and self._sizes[max(self._sizes)] < self._segment:
            return
        self.sync()
        self._close_out()
        self.folder.mkdir(parents=True, exist_ok=True)
        number = max(self._sizes, default=0) + 1
        if not self._sizes:
            self._at = self._consumed = (number, 0)
        self._out = os.open(self._path(number), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        self._sizes[number] = 0
        self._written, self._described = {}, None
        _sync_folder(self.folder)

    def _write(self, kind: bytes, payload: bytes) -> None:
        if self.size + len(payload) > self.limit:
            raise SpillFullError(f"{self.size} bytes of changes wait in {self.folder}, and no more may be kept")
        data = memoryview(_HEAD.pack(len(payload), zlib.crc32(kind + payload), kind) + payload)
        try:
            while data:
                assert self._out is not None  # noqa: S101
                written = os.write(self._out, data)
                data = data[written:]
                self._sizes[max(self._sizes)] += written
                self.size += written
        except OSError as error:
            raise SpillFullError(f"changes cannot be kept in {self.folder}: {error.strerror}") from None
        self._dirty = True

    def sync(self) -> None:
        """Have what was appended survive a crash of the machine."""
        if not self._dirty or self._out is None:
            return
        try:
            os.fsync(self._out)
            self._mark(*self._end)
        except OSError as error:
            raise SpillFullError(f"changes cannot be kept in {self.folder}: {error.strerror}") from None
        self._dirty = False

    def _mark(self, number: int, offset: int) -> None:
        made = self.folder / "synced.new"
        with made.open("w", encoding="ascii") as file:
            json.dump({"segment": number, "offset": offset, "last": self.last}, file)
            file.flush()
            os.fsync(file.fileno())
        made.replace(self.folder / "synced")
        _sync_folder(self.folder)

    def read(self) -> Piece | None:
        """The next piece; None when there is no more. Raises SpillDamagedError."""
        while not self.drained:
            number, offset = self._at
            if offset >= self._sizes[number]:
                self._at = (min(n for n in self._sizes if n > number), 0)
                continue
            kind, payload, self._at = self._record(number, offset)
            if kind == b"R":
                data = json.loads(payload)
                columns = tuple(Attribute(**c) for c in data.pop("columns"))
                relation = Relation(**data, columns=columns)
                if self._relations.get(relation.oid) != relation:
                    self._relations[relation.oid] = relation
            else:
                return self._piece(payload)
        return None

    def _piece(self, payload: bytes) -> Piece:
        lsn, end, time, _, first, last = _META.unpack_from(payload)
        messages = list(_messages(payload, _META.size))
        relations = self._open_transaction or self._relations
        if relations is self._relations and (not last or any(m[:1] == b"R" for m in messages)):
            relations = dict(relations)
        self._open_transaction = None if last else relations
        return Piece(list(pgoutput.changes(messages, relations, lsn, first, self._type_name, time)), lsn, end, time, last)

    def _record(self, number: int, offset: int) -> tuple[bytes, bytes, tuple[int, int]]:
        if self._in[0] != number:
            self._close_in()
            self._in = (number, os.open(self._path(number), os.O_RDONLY))
        head = os.pread(self._in[1], _HEAD.size, offset)
        if len(head) == _HEAD.size:
            length, crc, kind = _HEAD.unpack(head)
            payload = os.pread(self._in[1], length, offset + _HEAD.size)
            if len(payload) == length and zlib.crc32(kind + payload) == crc:
                return kind, payload, (number, offset + _HEAD.size + length)
        raise SpillDamagedError(f"{self._path(number)} is damaged at byte {offset}, so what its sink has not taken yet is lost")

    def again(self) -> None:
        """Read from what was consumed last once more."""
        if not self._sizes:
            return
        segment = self._consumed[0] if self._consumed[0] in self._sizes else min(self._sizes)
        self._at = (segment, 0)  # relations stand at its beginning; what was written is told by its stamp
        self._relations, self._open_transaction = {}, None

    def consumed(self) -> None:
        """What was read is durable elsewhere: segments before it go."""
        if self._open_transaction is not None or not self._sizes:
            return
        self._consumed = self._at
        for number in [n for n in self._sizes if n < self._at[0]]:
            self._path(number).unlink(missing_ok=True)
            self.size -= self._sizes.pop(number)

    def drop(self) -> None:
        """Remove everything, and the folder."""
        self.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def clear(self) -> None:
        """Remove what was consumed, which is all. The mark that nothing is missing stays."""
        self._close_out()
        self._close_in()
        if self._sizes:
            self._mark(0, 0)
        for number in self._sizes:
            self._path(number).unlink(missing_ok=True)
        self._sizes, self._relations, self._open_transaction = {}, {}, None
        self.size, self._dirty = 0, False
        self._at = self._consumed = (0, 0)

    def close(self) -> None:
        """Synchronise and let go of the files."""
        self.sync()
        self._close_out()
        self._close_in()

    def _close_out(self) -> None:
        if self._out is not None:
            os.close(self._out)
            self._out = None

    def _close_in(self) -> None:
        if self._in[0] >= 0:
            os.close(self._in[1])
            self._in = (-1, -1)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:08}.spill"

    def _recover(self) -> None:
        """Take up what the last run has left."""
        self._sizes = {int(p.stem): p.stat().st_size for p in sorted(self.folder.glob("*.spill"))}
        if not self._sizes:
            return
        segment, offset = self._marked()
        for number in [n for n in self._sizes if n > segment]:
            self._path(number).unlink()  # begun, and never synchronised
            del self._sizes[number]
        if not self._sizes and segment == 0:
            return
        if segment not in self._sizes or self._sizes[segment] < offset or len(self._sizes) != max(self._sizes) - min(self._sizes) + 1:
            raise SpillDamagedError(f"{self.folder} lacks what was written to it, so what its sink has not taken yet is lost")
        os.truncate(self._path(segment), offset)
        self._sizes[segment] = offset
        self.size = sum(self._sizes.values())
        self._at = self._consumed = (min(self._sizes), 0)

    def _marked(self) -> tuple[int, int]:
        try:
            data = json.loads((self.folder / "synced").read_text(encoding="ascii"))
            self.last = int(data["last"])
            return int(data["segment"]), int(data["offset"])
        except FileNotFoundError:
            return 0, 0
        except (ValueError, KeyError):
            raise SpillDamagedError(f"{self.folder / 'synced'} is damaged, so what its sink has not taken yet is lost") from None


def _messages(payload: bytes, at: int) -> Iterator[bytes]:
    while at < len(payload):
        (size,) = _LENGTH.unpack_from(payload, at)
        yield payload[at + 4 : at + 4 + size]
        at += 4 + size


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

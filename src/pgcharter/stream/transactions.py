"""Messages of pgoutput put together to transactions: those in progress, parts that are rolled back, prepared ones."""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from pgcharter.errors import PgcharterError
from pgcharter.stream import pgoutput
from pgcharter.stream.model import Change, Relation
from pgcharter.stream.pgoutput import TypeName

MEMORY = 8 << 20
"""Bytes of messages of one transaction that are held in memory; beyond that they are in a file."""
PIECE = 1 << 20
"""Bytes of messages that are worked on at a time."""
_FRAME = struct.Struct(">II")
_COMMIT, _BEGIN, _ABORT, _RELATION = ord("c"), ord("B"), ord("A"), ord("R")
_ROWS_AND_RELATIONS = pgoutput.ROWS | {_RELATION}


class Held:
    """Messages of a transaction, in order: in memory, or in a file that has no name and goes with its last user."""

    def __init__(self, folder: Path | None = None, limit: int = MEMORY) -> None:
        self.size = 0
        """Bytes of all messages."""
        self.described = False
        """Whether there are relations among them."""
        self.aborted: set[int] = set()
        self._folder, self._limit = folder, limit
        self._frames: list[tuple[int, bytes]] = []
        self._held = 0
        self._file: int | None = None
        self._end = 0

    def add(self, m: bytes, sub: int = 0) -> None:
        """Take a message, of a (sub-)transaction where it matters."""
        self._frames.append((sub, m))
        self.size += len(m)
        self._held += len(m)
        if m[0] == _RELATION:
            self.described = True
        if self._held > self._limit:
            self._to_disk()

    @property
    def memory(self) -> int:
        """Bytes that are in memory."""
        return self._held

    def _to_disk(self) -> None:
        if self._file is None:
            with tempfile.TemporaryFile(dir=self._folder) as made:
                self._file = os.dup(made.fileno())
        data = memoryview(b"".join(chain.from_iterable((_FRAME.pack(len(m), sub), m) for sub, m in self._frames)))
        while data:
            written = os.pwrite(self._file, data, self._end)
            self._end += written
            data = data[written:]
        self._frames, self._held = [], 0

    def pieces(self) -> Iterator[list[bytes]]:
        """The messages that were not rolled back, about PIECE bytes at a time. Any number of threads may read."""
        if self._file is None and not self.aborted and self.size <= PIECE:
            yield [m for _, m in self._frames]
            return
        piece: list[bytes] = []
        size = 0
        for sub, m in chain(self._stored(), self._frames):
            if sub in self.aborted and m[0] != _RELATION:
                continue
            piece.append(m)
            size += len(m)
            if size >= PIECE:
                yield piece
                piece, size = [], 0
        if piece:
            yield piece

    def _stored(self) -> Iterator[tuple[int, bytes]]:
        at, left = 0, b""
        while self._file is not None and at < self._end:
            data = left + os.pread(self._file, min(PIECE, self._end - at), at)
            at += len(data) - len(left)
            here = 0
            while here + 8 <= len(data):
                size, sub = _FRAME.unpack_from(data, here)
                if here + 8 + size > len(data):
                    break
                yield sub, data[here + 8 : here + 8 + size]
                here += 8 + size
            left = data[here:]

    def __del__(self) -> None:
        if self._file is not None:
            os.close(self._file)


@dataclass(frozen=True, eq=False)
class Transaction:
    """A committed transaction."""

    lsn: int
    """Where its commit record stands: the first half of the stamps of its changes."""
    end: int
    """Where the log goes on behind it."""
    time: int
    """When it was committed, microseconds since 1970."""
    xid: int
    relations: Mapping[int, Relation]
    """Tables as they were when it began."""
    held: Held
    type_name: TypeName
    origin: str = ""
    """Where it came from, when it was replicated from elsewhere."""
    first: int = 0
    """Position from which it would have to be sent again, where that is not `lsn`."""
    _decoded: list[list[Change]] = field(default_factory=list, repr=False)

    def changes(self) -> Iterator[list[Change]]:
        """Its changes in order, in pieces. What is small is decoded once for all who ask."""
        if self._decoded:
            yield from list(self._decoded)
            return
        found = self._decode()
        if self.held.size <= PIECE:
            whole = list(found)
            self._decoded[:] = whole
            found = iter(whole)
        yield from found

    def _decode(self) -> Iterator[list[Change]]:
        relations: dict[int, Relation] = dict(self.relations) if self.held.described else self.relations  # type: ignore[assignment]
        first = 1
        for piece in self.held.pieces():
            yield list(pgoutput.changes(piece, relations, self.lsn, first, self.type_name, self.time))
            first += sum(map(pgoutput.ordinals, piece))


class Assembler:
    """Takes the messages of one connection in order, and gives back transactions when they are committed."""

    def __init__(self, type_name: TypeName, folder: Path | None = None, *, limit: int = MEMORY, local: bool = False) -> None:
        self.relations: dict[int, Relation] = {}
        """Tables as they were last described; another object after each change."""
        self.started = 0
        """Position of the commit that is being received; 0 between transactions."""
        self._type_name, self._folder, self._limit, self._local = type_name, folder, limit, local
        self._now: Held | None = None
        self._origin, self._xid = "", 0
        self._streamed: dict[int, tuple[Held, Mapping[int, Relation], str]] = {}
        self._stream = 0
        self._prepared: dict[str, tuple[Held, Mapping[int, Relation], str, int]] = {}
        self._before: Mapping[int, Relation] = self.relations

    @property
    def bound(self) -> int:
        """Position up to which the server need not send again; 0: no bound. It is that of the oldest transaction that is not whole here."""
        begun = [self.started] if self.started else []
        return min([*begun, *(prepared[3] for prepared in self._prepared.values())], default=0)

    def feed(self, m: bytes) -> Transaction | pgoutput.Message | None:
        """Take a message. Gives back a transaction that it ends, or a message outside of transactions."""
        kind = m[0]
        if kind in _ROWS_AND_RELATIONS:
            self._row(m)
            return None
        if self._stream and kind in pgoutput.STREAMED:
            _, m = pgoutput.bare(m)
        told = pgoutput.decode(m)
        if isinstance(told, pgoutput.Message):
            return None if told.transactional else told
        if isinstance(told, pgoutput.Commit):
            return self._commit(told)
        self._other(told)
        return None

    def _row(self, m: bytes) -> None:
        if self._stream:
            sub, m = pgoutput.bare(m)
            self._streamed[self._stream][0].add(m, sub)
            return
        if m[0] == _RELATION:
            described = dict(self.relations)
            pgoutput.describe(m, described, self._type_name)
            self.relations = described
        if self._now is None:
            if m[0] == _RELATION:
                return
            raise PgcharterError("the server sent a row outside of a transaction")
        self._now.add(m)

    def _other(self, told: pgoutput.Told) -> None:
        if isinstance(told, pgoutput.Begin | pgoutput.BeginPrepare):
            self._now, self._before, self._origin = self._held(), self.relations, ""
            self.started, self._xid = told.lsn, told.xid
        elif isinstance(told, pgoutput.Origin):
            self._origin = told.name
            if self._stream:
                held, relations, _ = self._streamed[self._stream]
                self._streamed[self._stream] = held, relations, told.name
        elif isinstance(told, pgoutput.StreamStart):
            self._stream = told.xid
            if told.first or told.xid not in self._streamed:
                self._streamed[told.xid] = self._held(), self.relations, ""
        elif isinstance(told, pgoutput.StreamStop):
            self._stream = 0
        elif isinstance(told, pgoutput.StreamAbort):
            self._abort(told)
        elif isinstance(told, pgoutput.Prepare):
            self._prepare(told)
        elif isinstance(told, pgoutput.Rollback):
            self._prepared.pop(told.gid, None)

    def _abort(self, told: pgoutput.StreamAbort) -> None:
        if told.xid == told.subxid:
            self._streamed.pop(told.xid, None)
        elif told.xid in self._streamed:
            self._streamed[told.xid][0].aborted.add(told.subxid)

    def _prepare(self, told: pgoutput.Prepare) -> None:
        if self._now is not None:
            kept = self._now, self._before, self._origin
            self._now, self.started = None, 0
        else:
            kept = self._streamed.pop(told.xid)
        self._prepared[told.gid] = (*kept, told.lsn)

    def _commit(self, told: pgoutput.Commit) -> Transaction | None:
        xid = told.xid
        if told.gid:
            found = self._prepared.pop(told.gid, None)
            if found is None:
                raise PgcharterError(f"prepared transaction {told.gid!r} was committed, and its changes have not been sent")
            held, relations, origin, _ = found
        elif xid:
            held, relations, origin = self._streamed.pop(xid)
        elif self._now is not None:
            held, relations, origin, xid = self._now, self._before, self._origin, self._xid
            self._now, self.started = None, 0
        else:
            raise PgcharterError("the server ended a transaction that had not begun")
        if held.described and (told.gid or told.xid):
            self._described(held)
        if self._local and origin:
            held = self._held()
        return Transaction(told.lsn, told.end, told.time, xid, relations, held, self._type_name, origin)

    def _described(self, held: Held) -> None:
        """Relations of a transaction that was streamed hold for those after it: the server does not describe them again."""
        relations = dict(self.relations)
        for piece in held.pieces():
            for m in piece:
                if m[0] == _RELATION:
                    pgoutput.describe(m, relations, self._type_name)
        self.relations = relations

    def _held(self) -> Held:
        return Held(self._folder, self._limit)

"""COPY in: one stream where PostgreSQL names the row that it refuses, pieces under savepoints where rows are set aside or checked later."""

from __future__ import annotations

import asyncio
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg.generators import copy_end, execute
from psycopg.pq import PipelineStatus, TransactionStatus

from pgcharter.errors import UsageError
from pgcharter.names import literal, quote
from pgcharter.runtime.bulk_bad import BadRow, Failure, UnfitError, Ward, caused, told, unfit
from pgcharter.runtime.bulk_encoding import Binary, Text, binary_type
from pgcharter.runtime.bulk_rows import Block, Csv, Supply
from pgcharter.runtime.bulk_target import Column
from pgcharter.runtime.colours import Steps

T = TypeVar("T")
PIECE = 32_000
"""Rows under one savepoint, at most."""
PIECE_BYTES = 8 << 20
"""Bytes under one savepoint, about."""


class Encoder(Protocol):
    """A format of COPY."""

    options: str
    head: bytes
    tail: bytes
    ahead: int
    """Lines that PostgreSQL counts before the first row."""
    strict: bool
    """Whether text would take more."""

    def encode(self, rows: Any) -> Iterator[bytes | bytearray | memoryview]:
        """The rows in pieces; raises UnfitError for a row, after those before it were given."""


class Records:
    """COPY's CSV format, of records that are CSV already.

    Line breaks inside quotes are counted only once PostgreSQL has seen how lines end: it gets a header of our own.
    """

    head, tail = b"-\n", b""
    ahead = 1
    strict = False

    def __init__(self, source: Csv, encoding: str) -> None:
        said = {"DELIMITER": source.delimiter, "QUOTE": source.quote, "NULL": source.null}
        self.options = "(FORMAT csv, HEADER true, " + ", ".join(f"{word} {literal(text)}" for word, text in said.items()) + ")"
        self._encoding = encoding

    def encode(self, rows: list[str]) -> Iterator[bytes]:
        """The records as they are."""
        try:
            yield "".join(rows).encode(self._encoding)
        except UnicodeEncodeError:
            for i, row in enumerate(rows):
                try:
                    yield row.encode(self._encoding)
                except UnicodeEncodeError:
                    raise UnfitError(i, "it has a character that the connection's encoding has not", final=True) from None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a load is."""

    rows: int
    bytes: int
    seconds: float

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds if self.seconds else 0.0


class Meter:
    """Counts what was sent and tells of it."""

    def __init__(self, report: Callable[[Progress], Any] | None, every: float) -> None:
        self._report, self._every = report, every
        self.began = self._last = time.monotonic()
        self.rows = self.bytes = 0

    @property
    def each(self) -> float:
        """Bytes that a row takes, so far."""
        return self.bytes / self.rows if self.rows else 0.0

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self.began

    def tell(self, *, last: bool = False) -> Steps[None]:
        """Tell of it, where it is time."""
        if self._report is not None and (last or time.monotonic() - self._last >= self._every):
            self._last = time.monotonic()
            yield partial(self._report, Progress(self.rows, self.bytes, self._last - self.began))


def atomic(cursor: Any, steps: Steps[T]) -> Steps[T]:
    """All of it or nothing: after an error or a cancellation the transaction is as it was before. Raises UsageError in a pipeline."""
    conn = cursor.connection
    if conn.info.encoding == "ascii":
        raise UsageError("client_encoding is SQL_ASCII, which says of no byte what it means", hint="client_encoding=utf8")
    if conn.pgconn.pipeline_status != PipelineStatus.OFF:
        raise UsageError("the connection is in pipeline mode, in which PostgreSQL takes no COPY", hint="leave conn.pipeline() first")
    yield partial(cursor.execute, b"SAVEPOINT pgcharter_bulk")
    try:
        done = yield from steps
    except GeneratorExit:
        raise
    except BaseException:
        if conn.pgconn.transaction_status == TransactionStatus.ACTIVE:
            with suppress(psycopg.Error):
                yield lambda: conn.wait(_stopped(conn.pgconn))
        if conn.pgconn.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            with suppress(psycopg.Error):
                yield partial(cursor.execute, b"ROLLBACK TO SAVEPOINT pgcharter_bulk; RELEASE SAVEPOINT pgcharter_bulk")
        raise
    yield partial(cursor.execute, b"RELEASE SAVEPOINT pgcharter_bulk")
    return done


def _stopped(pgconn: Any) -> Generator[Any, Any, None]:
    """End what an interruption left going on, of which psycopg knows nothing: a COPY that has begun, or answers not read."""
    try:
        yield from copy_end(pgconn, b"given up")
    except psycopg.OperationalError:  # no COPY yet, or no more: the answer to its beginning or its end was on the way
        yield from execute(pgconn)
        if pgconn.transaction_status == TransactionStatus.ACTIVE:
            yield from copy_end(pgconn, b"given up")


def copying(cursor: Any, sql: str, feed: Callable[[Any], Steps[T]], parameters: Any = None) -> Steps[T]:
    """A COPY, entered and left as its colour has it; what `feed` raises ends it."""
    manager = cursor.copy(sql.encode(cursor.connection.info.encoding), parameters)
    twin = hasattr(manager, "__aenter__")
    enter, leave = (manager.__aenter__, manager.__aexit__) if twin else (manager.__enter__, manager.__exit__)
    copy = yield enter
    conn = cursor.connection
    lock, conn.lock = conn.lock, _Busy(conn.lock)
    try:
        done = yield from feed(copy)
    except GeneratorExit:
        raise
    except BaseException as error:
        conn.lock = lock
        yield partial(leave, type(error), error, error.__traceback__)
        raise
    finally:
        conn.lock = lock
    yield partial(leave, None, None, None)
    return done


class _Busy:
    """The lock of a connection that is busy with COPY: its own thread or task would wait for itself for ever."""

    def __init__(self, lock: Any) -> None:
        self._lock, self._who = lock, _who()

    def _refuse(self) -> None:
        if self._who == _who():
            raise UsageError(
                "the connection is busy with COPY, so where the rows come from cannot ask it", hint="a second connection for that"
            )

    def __enter__(self) -> Any:
        self._refuse()
        return self._lock.__enter__()

    def __exit__(self, *error: object) -> Any:
        return self._lock.__exit__(*error)

    async def __aenter__(self) -> Any:
        self._refuse()
        return await self._lock.__aenter__()

    async def __aexit__(self, *error: object) -> Any:
        return await self._lock.__aexit__(*error)


def _who() -> tuple[int, object]:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return threading.get_ident(), task


class Pour:
    """Rows of a supply on their way into one table."""

    def __init__(self, cursor: Any, into: str, name: str, columns: Sequence[Column], supply: Supply, ward: Ward, meter: Meter) -> None:
        self.cursor, self.name, self.columns, self.supply, self.ward, self.meter = cursor, name, columns, supply, ward, meter
        self._sql = f"COPY {into} ({', '.join(quote(c.name) for c in columns)}) FROM STDIN "
        self.encoder: Encoder = Text(cursor.connection, columns)
        self.format = "text"
        self._pending: Block | None = None
        self.loaded = 0
        """Rows that are in the table."""
        self._shifts: list[tuple[int, int]] = []

    def choose(self, wanted: str, source: Csv | None) -> None:
        """The format. Raises UsageError where binary is asked for and a type has none."""
        conn = self.cursor.connection
        if self.supply.encoder is not None:
            self.encoder = self.supply.encoder
            return
        if source is not None:
            self.encoder, self.format = Records(source, conn.info.encoding), "csv"
            return
        if wanted == "text":
            return
        types = [binary_type(conn, c) for c in self.columns]
        lacking = [c for c, t in zip(self.columns, types, strict=True) if t is None]
        if not lacking:
            self.encoder, self.format = Binary(conn, self.columns, [t for t in types if t is not None]), "binary"
            return
        why = f"psycopg has no binary form of {lacking[0].type}, the type of column {quote(lacking[0].name)}"
        if wanted == "binary":
            raise UsageError(why, hint='format="auto" takes text then')
        self.format = f"text: {why}"

    def whole(self) -> Steps[None]:
        """All in one COPY (two where a value asks for text), which names the row that it refuses."""
        more: bool | UnfitError = True
        while more is True:
            before = self.meter.rows
            try:
                more = yield from copying(self.cursor, self._sql + self.encoder.options, self._feed)
            except psycopg.Error as error:
                raise self._refused(error, before) from None
            self.loaded += max(self.cursor.rowcount, 0)
            if isinstance(more, UnfitError):
                block, self._pending = self._pending, None
                yield from self.ward.take(block.number(0) if block else 0, unfit(more), block and block.given[0])

    def _feed(self, copy: Any) -> Steps[bool | UnfitError]:
        """Write until the end, until a row asks for another format (true), or until one that no format takes.

        COPY is ended as if that were all: an earlier row may be refused yet, and psycopg logs what it says of it where COPY is broken off.
        """
        encoder, write = self.encoder, copy.write
        yield partial(write, encoder.head)
        while (block := (yield from self._next())) is not None:
            self._note(block, self.meter.rows)
            try:
                for piece in encoder.encode(block.rows):
                    self.meter.bytes += len(piece)
                    yield partial(write, piece)
            except UnfitError as error:
                self.meter.rows += error.index
                self._pending = block.cut(error.index)
                yield partial(write, encoder.tail)
                if not encoder.strict or error.final:
                    return error
                self._to_text(block.number(error.index), error)
                return True
            self.meter.rows += len(block.rows)
            yield from self.meter.tell()
        yield partial(write, encoder.tail)
        return False

    def _next(self) -> Steps[Block | None]:
        if self._pending is not None:
            block, self._pending = self._pending, None
            return block
        return (yield from self.supply.block(self.meter.each))

    def _to_text(self, number: int, error: UnfitError) -> None:
        self.encoder = Text(self.cursor.connection, self.columns)
        why = f"column {quote(error.column)}: {error.reason}" if error.column else error.reason
        self.format = f"binary, from {self.supply.unit} {number:,} on text: {why}"

    def _refused(self, error: psycopg.Error, before: int) -> Exception:
        """The error of a row in one stream; what no row causes stays as it is."""
        if not caused(error):
            return error
        failure = told(error, self.name, self.columns, self.encoder.ahead)
        if failure.index is None:
            return self.ward.unplaced(failure)
        number = self.supply.offset + before + failure.index + 1
        return self.ward.error(BadRow(number, failure.reason, failure.column, failure.value, failure.sqlstate))

    def pieces(self) -> Steps[None]:
        """In pieces under savepoints; in one that is refused the rows to blame are found by trying parts of it."""
        while (piece := (yield from self._piece())) is not None:
            yield from gallop(len(piece.rows), partial(self._try, piece), partial(self._aside, piece))
            yield from self.meter.tell()

    def _piece(self) -> Steps[Block | None]:
        piece = yield from self.supply.block(self.meter.each)
        most = PIECE if self.meter.rows else 64  # how big rows are is not known yet
        while piece is not None and len(piece.rows) < most and len(piece.rows) * self.meter.each < PIECE_BYTES:
            block = yield from self.supply.block(self.meter.each)
            if block is None:
                break
            piece.append(block)
        return piece

    def _aside(self, piece: Block, index: int, failure: Failure) -> Steps[None]:
        yield from self.ward.take(piece.number(index), failure, piece.given[index])

    def _try(self, piece: Block, start: int, end: int) -> Steps[Failure | None]:
        """Copy a part of a piece; why it was refused, if it was."""
        part = piece.cut(start, end)
        yield partial(self.cursor.execute, b"SAVEPOINT pgcharter_rows")
        try:
            sent, error = yield from copying(self.cursor, self._sql + self.encoder.options, partial(self._part, part))
        except psycopg.Error as refused:
            if not caused(refused):
                raise
            yield partial(self.cursor.execute, BACK)
            return told(refused, self.name, self.columns, self.encoder.ahead)
        if error is not None:
            yield partial(self.cursor.execute, BACK)
            if error.final or not self.encoder.strict:
                return unfit(error)
            self._to_text(part.number(error.index), error)
            return (yield from self._try(piece, start, end))
        self._note(part, self.loaded)
        self.loaded += max(self.cursor.rowcount, 0)
        self.meter.rows, self.meter.bytes = self.meter.rows + len(part.rows), self.meter.bytes + sent
        yield partial(self.cursor.execute, b"RELEASE SAVEPOINT pgcharter_rows")
        return None

    def _part(self, part: Block, copy: Any) -> Steps[tuple[int, UnfitError | None]]:
        sent, unfit_row = 0, None
        yield partial(copy.write, self.encoder.head)
        try:
            for piece in self.encoder.encode(part.rows):
                sent += len(piece)
                yield partial(copy.write, piece)
        except UnfitError as error:
            unfit_row = error
        yield partial(copy.write, self.encoder.tail)
        return sent, unfit_row

    def _note(self, block: Block, stored: int) -> None:
        """Remember by how much numbers of rows differ from their places in the table."""
        if block.numbers and block.numbers[-1] - block.numbers[0] >= len(block.numbers):
            found: Iterable[tuple[int, int]] = enumerate(block.numbers, stored + 1)
        else:
            found = ((stored + 1, block.number(0)),)
        for place, number in found:
            if not self._shifts or self._shifts[-1][1] != number - place:
                self._shifts.append((place, number - place))

    def number(self, place: int) -> int:
        """The number of the row that is at this place of the table, from 1."""
        return place + self._shifts[bisect_right(self._shifts, place, key=itemgetter(0)) - 1][1]


BACK = b"ROLLBACK TO SAVEPOINT pgcharter_rows; RELEASE SAVEPOINT pgcharter_rows"


def gallop(count: int, attempt: Callable[[int, int], Steps[Failure | None]], aside: Callable[[int, Failure], Steps[None]]) -> Steps[None]:
    """Store all of `count` rows but the bad ones, each of which was tried by itself, after all before it.

    Where a row is named, what is before it is stored next and then that row tried; where none is, the half.
    """
    at, size, suspect = 0, count, -1
    while at < count:
        size = min(size, count - at)
        failure = yield from attempt(at, at + size)
        if failure is None:
            at += size
            size = 1 if at == suspect else max(64, size * 4)
        elif size == 1:
            yield from aside(at, failure)
            at, size = at + 1, 64
        elif failure.index is None or failure.index >= size:
            size //= 2
        else:
            suspect, size = at + failure.index, max(1, failure.index)

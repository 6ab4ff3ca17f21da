"""Where bulk rows come from: tuples, mappings, dataclasses, objects, Arrow, CSV; iterables of both colours, a block at a time."""

from __future__ import annotations

import codecs
import gzip
import io
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass
from itertools import islice
from operator import attrgetter, itemgetter
from os import PathLike
from pathlib import Path
from typing import IO, Any, cast

from pgcharter.errors import UsageError
from pgcharter.names import quote
from pgcharter.runtime.bulk_encoding import Misfit
from pgcharter.runtime.bulk_target import Target
from pgcharter.runtime.colours import Steps

BLOCK = 1000
"""Rows taken at once, at most."""
WEIGHT = 1 << 20
"""Bytes taken at once, about: big rows come in smaller blocks."""


@dataclass(frozen=True, slots=True)
class Csv:
    """A CSV file as a source: a path (`.gz` is unpacked), or a file open for bytes or text."""

    file: str | PathLike[str] | IO[bytes] | IO[str]
    header: bool = True
    """Whether the first line names columns."""
    delimiter: str = ","
    quote: str = '"'
    null: str = ""
    """What stands for NULL where it is not quoted."""
    encoding: str = "utf-8"


@dataclass(slots=True)
class Block:
    """Some rows: as they came, and as tuples."""

    given: list[Any]
    rows: list[Any]
    first: int
    """Number of the first."""
    numbers: list[int] | None = None
    """Numbers of all, where they do not follow each other."""

    def number(self, index: int) -> int:
        """The number of a row."""
        return self.numbers[index] if self.numbers else self.first + index

    def append(self, other: Block) -> None:
        """Add the rows that follow."""
        if other.numbers is not None:
            self.numbers = [*(self.numbers or ()), *other.numbers]
        self.given, self.rows = self.given + other.given, self.rows + other.rows

    def cut(self, start: int, end: int | None = None) -> Block:
        """A part of it."""
        part = slice(start, end)
        return Block(self.given[part], self.rows[part], self.first + start, self.numbers and self.numbers[part])


def taken(iterator: Any, most: int) -> list[Any] | Awaitable[list[Any]]:
    """The next items of an iterator of either colour, none at its end."""
    return _ataken(iterator, most) if isinstance(iterator, AsyncIterator) else list(islice(iterator, most))


async def _ataken(iterator: AsyncIterator[Any], most: int) -> list[Any]:
    found: list[Any] = []
    async for item in iterator:
        found.append(item)
        if len(found) == most:
            break
    return found


class Supply:
    """A source, opened: what columns it has and its next block."""

    unit = "row"
    offset = 0
    """Lines before the first row."""
    encoder: Any = None
    """How its rows are written, where it says that itself."""

    def __init__(self, iterator: Any, columns: Sequence[str] | None) -> None:
        self._iterator = iterator
        self.is_async = isinstance(iterator, AsyncIterator)
        self.columns = columns
        self._shape: Callable[[list[Any]], list[Any]] | None = None
        self._opened: list[Any] = []
        self.count = 0
        self._most = 1

    def open(self, target: Target) -> Steps[None]:
        """See the first row, which says what all are."""
        self._opened = yield lambda: taken(self._iterator, 1)
        if self._opened:
            self._shape, self.columns = shape(self._opened[0], self.columns, target)

    def block(self, bytes_each: float) -> Steps[Block | None]:
        """The next rows; None at the end. `bytes_each`: what a row so far took."""
        self._most = max(1, min(BLOCK, self._most * 4, int(WEIGHT / (bytes_each or 1))))
        given, self._opened = self._opened, []
        if not given:
            most = self._most
            given = yield lambda: taken(self._iterator, most)
        if not given:
            return None
        first, self.count = self.count + 1, self.count + len(given)
        return Block(given, self._shape(given) if self._shape else given, first)


def shape(
    first: Any, columns: Sequence[str] | None, target: Target
) -> tuple[Callable[[list[Any]], list[Any]] | None, Sequence[str] | None]:
    """How rows like the first become tuples, and their columns; no columns: those of the table, by position."""
    made = {c.name for c in target.columns if c.generated}
    if isinstance(first, Mapping):
        names = list(columns) if columns is not None else [k for k in first if k not in made]
        width = None if columns is not None else len(first)
        return _mapped(names, width, frozenset(first)), names
    if isinstance(first, tuple | list) and (columns is not None or not hasattr(first, "_fields")):
        return None, columns
    if isinstance(first, Sequence) and not isinstance(first, str | bytes | bytearray):
        if columns is None and hasattr(first, "_fields"):
            columns = list(first._fields)
        return _tuples, columns
    if isinstance(first, str | bytes | bytearray | int | float) or first is None:
        raise UsageError(f"row 1 is of type {type(first).__name__}, not a tuple, mapping or object", hint="a row of one value is (value,)")
    called = _called(first)
    names = list(columns) if columns is not None else _attributes(first, target, made, called)
    return _attributed([called.get(name, name) for name in names]), names


def _called(first: Any) -> Mapping[str, str]:
    """What a mapped class of SQLAlchemy calls its columns; nothing for other objects."""
    mapper = getattr(type(first), "__mapper__", None)
    return {} if mapper is None else {column.name: mapper.get_property_by_column(column).key for column in mapper.local_table.columns}


def _attributes(first: Any, target: Target, made: set[str], called: Mapping[str, str]) -> list[str]:
    """The columns that an object has: its declared fields, or what of the table's columns it has as attributes."""
    if called:
        return [c.name for c in target.columns if c.name not in made and c.identity != "a" and c.name in called]
    if is_dataclass(first):
        return [f.name for f in fields(first) if f.name not in made]
    declared = getattr(type(first), "model_fields", None)
    if isinstance(declared, Mapping):
        return [name for name in declared if name not in made]
    names = [c.name for c in target.columns if c.name not in made and c.identity != "a" and hasattr(first, c.name)]
    if not names:
        raise UsageError(f"row 1 is of type {type(first).__qualname__}, which has no attribute called as a column of {target.id}")
    return names


def _tuples(given: list[Any]) -> list[Any]:
    return [tuple(row) if isinstance(row, Sequence) and not isinstance(row, str | bytes) else row for row in given]


def _mapped(names: list[str], width: int | None, keys: frozenset[Any]) -> Callable[[list[Any]], list[Any]]:
    get: Callable[[Any], Any] = itemgetter(*names) if len(names) > 1 else lambda row: (row[names[0]],) if names else ()

    def one(row: Any) -> Any:
        if not isinstance(row, Mapping):
            return Misfit(f"it is of type {type(row).__name__}, the first one a mapping")
        missing = next((n for n in names if n not in row), None)
        if missing is not None:
            return Misfit(f"it has no key {missing!r}", missing)
        unknown = next((k for k in row if k not in keys), None) if width is not None else None
        return Misfit(f"it has a key {unknown!r}, which the first row has not") if unknown is not None else get(row)

    def all_(given: list[Any]) -> list[Any]:
        try:
            rows = list(map(get, given))
            if width is None or set(map(len, given)) == {width}:
                return rows
        except (KeyError, TypeError, IndexError):
            pass
        return [one(row) for row in given]

    return all_


def _attributed(names: list[str]) -> Callable[[list[Any]], list[Any]]:
    get: Callable[[Any], Any] = attrgetter(*map(_plain, names)) if len(names) > 1 else lambda row: (getattr(row, names[0]),)

    def one(row: Any) -> Any:
        missing = next((n for n in names if not hasattr(row, n)), None)
        return get(row) if missing is None else Misfit(f"it has no attribute {missing!r}", missing)

    def all_(given: list[Any]) -> list[Any]:
        try:
            return list(map(get, given))
        except AttributeError:
            return [one(row) for row in given]

    return all_


def _plain(name: str) -> str:
    """attrgetter takes a dot for a path."""
    if "." in name:
        raise UsageError(f"column {quote(name)} cannot be an attribute", hint="give mappings")
    return name


class CsvRecords(Supply):
    """CSV cut into records, each still as it stands in the file, which PostgreSQL reads."""

    unit = "line"

    def __init__(self, source: Csv, columns: Sequence[str] | None) -> None:
        self._lines, self._quote, self._line = lines(source), source.quote, 0
        if source.header:
            names = self._header(source)
            columns = names if columns is None else columns
            if len(columns) != len(names):
                raise UsageError(f"the file has {len(names)} columns, and {len(columns)} are given")
        self.offset = self._line
        super().__init__((), columns)

    def _header(self, source: Csv) -> list[str]:
        import csv

        try:
            text, self._line = next(self._records(islice(self._lines, 1)))
        except StopIteration:
            raise UsageError("the file is empty, so it names no columns", hint="Csv(…, header=False) for a file without a header") from None
        except LookupError:
            raise UsageError(f"there is no encoding {source.encoding!r}") from None
        return next(csv.reader(io.StringIO(text), delimiter=source.delimiter, quotechar=source.quote))

    def open(self, target: Target) -> Steps[None]:
        """The header says it all; columns that PostgreSQL generates cannot be left out of a file."""
        del target
        yield lambda: None

    def block(self, bytes_each: float) -> Steps[Block | None]:
        """The next records; without quotes every line is one."""
        yield from ()
        most = max(1, min(BLOCK, int(WEIGHT / (bytes_each or 1000))))
        given = list(islice(self._lines, most))
        if not given:
            return None
        text, first = "".join(given), self._line + 1
        if self._quote in text or "\\." in text:
            found = list(self._records(given))
            given = [record for record, _ in found]
        else:
            found, self._line = [], self._line + len(given)
            if "\r" in text or text[-1] != "\n":
                given = [record.rstrip("\r\n") + "\n" for record in given]
        self.count += len(given)
        return Block(given, given, first, [line for _, line in found] or None)

    def _records(self, some: Iterable[str] = ()) -> Iterator[tuple[str, int]]:
        """Records and the lines they end on, of these lines and what of the next belongs to the last: a break inside quotes is none."""
        mark, pending, remaining = self._quote, "", iter(some)
        while (text := next(remaining, None)) is not None or (pending and (text := next(self._lines, None)) is not None):
            self._line += 1
            if pending or mark in text:
                pending += text
                if pending.count(mark) % 2:
                    continue
                text, pending = pending, ""
            record = text.rstrip("\r\n")
            yield (record if record != "\\." else f"{mark}\\.{mark}") + "\n", self._line  # bare, it ends the data up to PostgreSQL 17
        if pending:
            yield pending, self._line


def lines(source: Csv) -> Iterator[str]:
    """The lines of a CSV file, line breaks kept. Raises UsageError for an unknown encoding or a file that is not of it."""
    with _opened(source) as file:
        try:
            yield from file
        except UnicodeDecodeError as error:
            raise UsageError(f"the file is not in {source.encoding}: byte {error.object[error.start]:#04x}", hint="encoding=…") from None


@contextmanager
def _opened(source: Csv) -> Iterator[Iterable[str]]:
    """The file as text; one of somebody else's stays open."""
    encoding = "utf-8-sig" if codecs.lookup(source.encoding).name == "utf-8" else source.encoding
    if isinstance(source.file, str | PathLike):
        path = Path(source.file)
        packed = path.suffix == ".gz"
        with gzip.open(path, "rt", encoding=encoding, newline="") if packed else path.open(encoding=encoding, newline="") as file:
            yield file
    elif isinstance(source.file, io.TextIOBase):
        yield source.file
    else:
        wrapped = io.TextIOWrapper(cast("IO[bytes]", source.file), encoding=encoding, newline="")
        try:
            yield wrapped
        finally:
            with suppress(ValueError):
                wrapped.detach()


def supply(rows: Any, columns: Sequence[str] | None, *, whole: bool = True) -> Supply:
    """The source that `rows` is; `whole` lets Arrow batches stay whole. Raises UsageError for what is none."""
    if isinstance(columns, str):
        raise UsageError(f"columns is a str, {columns!r}, not names", hint=f"columns=({columns!r},)")
    if isinstance(rows, PathLike):
        rows = Csv(rows)
    if isinstance(rows, Csv):
        return CsvRecords(rows, columns)
    if hasattr(rows, "__arrow_c_stream__") or hasattr(rows, "__arrow_c_array__"):
        from pgcharter.runtime.bulk_arrow import ArrowSupply

        return ArrowSupply(rows, columns, whole=whole)
    if isinstance(rows, AsyncIterable):
        return Supply(aiter(rows), columns)
    if isinstance(rows, Iterable) and not isinstance(rows, str | bytes | bytearray | Mapping):
        return Supply(iter(rows), columns)
    raise UsageError(f"{type(rows).__name__} holds no rows", hint="give an iterable of rows, an Arrow table or frame, or Csv(path)")

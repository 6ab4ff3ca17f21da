"""Rows written as COPY wants them: exactly in binary, where each column has a form for it; in text what is left to PostgreSQL to read.

psycopg's binary dumpers, told a type, cut what does not fit without a word: 70,000 for a smallint is stored as 4,464, 'false' for a
boolean as true, 1e300 for a real as Infinity. So values of such columns are looked at first, a block at a time.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter, length_hint
from typing import Any

import psycopg
from psycopg import abc, pq
from psycopg._copy_base import format_row_binary, format_row_text  # Copy.write_row without its four calls for each row: a quarter faster
from psycopg.adapt import Transformer
from psycopg.types.json import Jsonb

from pgcharter.runtime.bulk_bad import UnfitError
from pgcharter.runtime.bulk_target import Column

CHUNK = 1 << 16
"""Bytes sent at once. psycopg queues up to twice that in one piece."""
_TEXT = 25
_AS_TEXT = frozenset(("textrecv", "bpcharrecv", "varcharrecv", "namerecv", "enum_recv", "citextrecv", "json_recv", "xml_recv"))
"""Receive functions whose binary form is the text itself."""
_UNSURE = frozenset((3904, 3905, 4451, 6150))
"""Ranges over int4, which are cut like integers."""
JSON = frozenset((114, 3802))
"""Oids of json and jsonb."""
_JSONS = frozenset((199, 3807))
_ERRORS = (TypeError, ValueError, AttributeError, IndexError, OverflowError, ArithmeticError, psycopg.Error, struct.error)

Fits = Callable[[list[Any]], bool]


def _ranged(code: str) -> Fits:
    """Whether numbers fit into what struct calls by this letter."""

    def fits(values: list[Any]) -> bool:
        try:
            struct.pack(f"={len(values)}{code}", *values)  # without = a float is cut to infinity
        except _ERRORS:
            given = [v for v in values if v is not None]
            return len(given) < len(values) and fits(given)
        return True

    return fits


def _boolean(values: list[Any]) -> bool:
    try:
        return set(values) <= {True, False, None}
    except TypeError:
        return False


def _each(fits: Fits) -> Fits:
    """The same of arrays."""

    def leaves(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            for item in value:
                yield from leaves(item)
        else:
            yield value

    return lambda values: fits([leaf for value in values for leaf in leaves(value)])


_FITS: dict[int, Fits] = {21: _ranged("h"), 23: _ranged("i"), 26: _ranged("I"), 700: _ranged("f"), 16: _boolean}
_FITS |= {array: _each(_FITS[item]) for array, item in {1005: 21, 1007: 23, 1028: 26, 1021: 700, 1000: 16}.items()}


def binary_type(conn: Any, column: Column) -> int | None:
    """The oid to write values of a column by in binary; None where psycopg has no form for it."""
    if column.kind == "c" or column.base in _UNSURE:
        return None
    try:
        conn.adapters.get_dumper_by_oid(column.base, pq.Format.BINARY)
    except psycopg.ProgrammingError:
        return _TEXT if column.receive.rpartition(".")[2] in _AS_TEXT else None
    return column.base


class Binary:
    """COPY's binary format."""

    options = "(FORMAT binary)"
    head, tail = b"PGCOPY\n\xff\r\n" + bytes(9), b"\xff\xff"
    ahead, strict = 0, True

    def __init__(self, conn: Any, columns: Sequence[Column], types: Sequence[int]) -> None:
        self._conn, self._columns, self._types = conn, columns, types
        self._tx = self._transformer(types)
        self._guards = [(itemgetter(k), _FITS[t]) for k, t in enumerate(types) if t in _FITS]

    def _transformer(self, types: Sequence[int]) -> abc.Transformer:
        tx = Transformer(self._conn)
        tx.set_dumper_types(types, pq.Format.BINARY)
        return tx

    def encode(self, rows: list[Any]) -> Iterator[bytearray]:
        """The rows in pieces. Raises UnfitError for a row, after those before it were given."""
        good = len(rows) if self._fit(rows) else next(i for i in range(len(rows)) if not self._fit(rows[i : i + 1]))
        try:
            yield from _pieces(format_row_binary, self._tx, rows if good == len(rows) else rows[:good])
        except _BrokenError as broken:
            raise self._unfit(broken.index, rows[broken.index]) from None
        if good < len(rows):
            raise self._unfit(good, rows[good])

    def _fit(self, rows: Sequence[Any]) -> bool:
        try:
            return all(fits(list(map(value, rows))) for value, fits in self._guards)
        except (IndexError, TypeError, KeyError):
            return False

    def _unfit(self, index: int, row: Any) -> UnfitError:
        wrong = misfit(index, row, len(self._columns))
        if wrong:
            return wrong
        for k, value in enumerate(row):
            try:
                format_row_binary((value,), self._transformer(self._types[k : k + 1]), bytearray())
                refused = self._types[k] in _FITS and not _FITS[self._types[k]]([value])
            except _ERRORS:
                refused = True
            if refused:
                column = self._columns[k]
                return UnfitError(index, f"its type {column.type} takes no such {type(value).__name__}", column.name, value)
        return UnfitError(index, "it cannot be written in binary")


class Text:
    """COPY's text format: each value as psycopg writes its Python type, read by PostgreSQL. In JSON columns values are JSON's."""

    options = "(FORMAT text)"
    head = tail = b""
    ahead, strict = 0, False

    def __init__(self, conn: Any, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._conn = conn
        self._tx = Transformer(conn)
        self._json = [(k, c.base in _JSONS) for k, c in enumerate(columns) if c.base in JSON | _JSONS]

    def encode(self, rows: list[Any]) -> Iterator[bytearray]:
        """The rows in pieces. Raises UnfitError for a row, after those before it were given."""
        width = len(self._columns)
        good = len(rows) if _formed(rows, width) else next(i for i in range(len(rows)) if not _formed(rows[i : i + 1], width))
        kept = rows if good == len(rows) else rows[:good]
        try:
            yield from _pieces(format_row_text, self._tx, [self._wrapped(r) for r in kept] if self._json else kept)
        except _BrokenError as broken:
            raise self._why(broken.index, rows[broken.index], broken.error) from None
        if good < len(rows):
            raise misfit(good, rows[good], width) or AssertionError

    def _wrapped(self, row: Sequence[Any]) -> list[Any]:
        out = list(row)
        for k, many in self._json:
            out[k] = _jsonb(out[k], many)
        return out

    def _why(self, index: int, row: Any, error: Exception) -> UnfitError:
        for k, value in enumerate(self._wrapped(row)):
            try:
                format_row_text((value,), Transformer(self._conn), bytearray())
            except _ERRORS as found:
                return UnfitError(index, _plain(found), self._columns[k].name, row[k], final=True)
        return UnfitError(index, _plain(error), final=True)


class _BrokenError(Exception):
    def __init__(self, index: int, error: Exception) -> None:
        self.index, self.error = index, error


def _pieces(write: Callable[..., None], tx: abc.Transformer, rows: list[Any]) -> Iterator[bytearray]:
    """The rows written, about 64 kB at once. Where one cannot be, those before it are given first."""
    out, sent, remaining = bytearray(), 0, iter(rows)
    try:
        for row in remaining:
            write(row, tx, out)
            if len(out) > CHUNK:
                yield out
                out, sent = bytearray(), len(rows) - length_hint(remaining)
    except _ERRORS as error:
        index = len(rows) - length_hint(remaining) - 1
        out = bytearray()  # half a row may be in it
        for row in rows[sent:index]:
            write(row, tx, out)
        yield out
        raise _BrokenError(index, error) from None
    yield out


def _formed(rows: list[Any], width: int) -> bool:
    """Whether all are rows of this many values."""
    kinds = set(map(type, rows))
    return all(issubclass(k, tuple | list) for k in kinds) and set(map(len, rows)) <= {width}


def _jsonb(value: Any, many: bool) -> Any:
    if value is None or isinstance(value, psycopg.types.json._JsonWrapper):
        return value
    if many and isinstance(value, list):
        return [_jsonb(item, many) for item in value]
    return Jsonb(value)


def _plain(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "it has a character that the connection's encoding has not"
    return str(error).partition(" using placeholder")[0].partition("\n")[0][:200]


class Misfit:
    """Stands for a row that is none: too short, with an unknown key."""

    def __init__(self, reason: str, column: str = "") -> None:
        self.reason, self.column = reason, column


def misfit(index: int, row: Any, width: int) -> UnfitError | None:
    """What is wrong with a row's form."""
    if isinstance(row, Misfit):
        return UnfitError(index, row.reason, row.column, final=True)
    if not isinstance(row, Sequence) or isinstance(row, str | bytes):
        return UnfitError(index, f"it is of type {type(row).__name__}, not a sequence of values", final=True)
    if len(row) != width:
        return UnfitError(index, f"it has {len(row)} values for {width} columns", final=True)
    return None

"""Arrow in and out, through pyarrow.

In: a batch becomes lines of COPY's text format as a whole, without a Python value for each cell, where Arrow can write all its types
as text; lists, structs, binary and durations go row by row. Text in a JSON column is JSON. Out: record batches with the types of the query.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from psycopg.types.json import Json

from pgcharter.errors import UnavailableError
from pgcharter.runtime.bulk_encoding import JSON
from pgcharter.runtime.bulk_rows import Block, Supply
from pgcharter.runtime.bulk_target import Target
from pgcharter.runtime.colours import Steps

_ESCAPES = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))
_ROWS = 10_000
"""Rows of a batch taken at once, at most."""


def pyarrow() -> Any:
    """The package. Raises UnavailableError without it."""
    try:
        import pyarrow  # type: ignore[import-untyped]
        import pyarrow.compute  # type: ignore[import-untyped]
    except ImportError:
        raise UnavailableError("Arrow needs the package pyarrow", hint="pip install 'pgcharter[arrow]'") from None
    return pyarrow


class Batches:
    """Rows of record batches: tuples one by one, parts of it as Batches, all as lines of COPY's text."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self.parts = [p for p in parts if p.num_rows]

    def __len__(self) -> int:
        return sum(p.num_rows for p in self.parts)

    def __add__(self, other: Batches) -> Batches:
        return Batches(self.parts + other.parts)

    def __getitem__(self, at: int | slice) -> Any:
        start, end, _ = at.indices(len(self)) if isinstance(at, slice) else (at, at + 1, 1)
        found, before = [], 0
        for part in self.parts:
            first, last = max(start - before, 0), min(end - before, part.num_rows)
            before += part.num_rows
            if first < last:
                found.append(part.slice(first, last - first))
        return Batches(found) if isinstance(at, slice) else tuple(c[0].as_py() for c in found[0].columns)


class Lines:
    """COPY's text format, of whole batches."""

    options, head, tail = "(FORMAT text)", b"", b""
    ahead, strict = 0, False

    def encode(self, rows: Batches) -> Iterator[memoryview]:
        """The rows in pieces."""
        for part in rows.parts:
            yield _lines(part)


def _lines(batch: Any) -> memoryview:
    """A batch as text: Arrow's join of strings lies in memory just as COPY wants it."""
    pa = pyarrow()
    text = partial(pa.scalar, type=pa.large_string())
    cells = [_cells(pa, column) for column in batch.columns]
    joined = pa.compute.binary_join_element_wise(*cells, text("\t"), null_handling="replace", null_replacement="\\N")
    ended = pa.compute.binary_join_element_wise(joined, text(""), text("\n"))
    return memoryview(ended.buffers()[2] or b"")


def _cells(pa: Any, column: Any) -> Any:
    words = pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or pa.types.is_dictionary(column.type)
    cells = column.cast(pa.large_string())
    if words and pa.compute.any(pa.compute.match_substring_regex(cells, r"[\\\t\n\r]")).as_py():
        for mark, escape in _ESCAPES:
            cells = pa.compute.replace_substring(cells, mark, escape)
    return cells


def _is_text(pa: Any, kind: Any) -> bool:
    """Whether Arrow writes values of a type as PostgreSQL reads them."""
    is_ = pa.types
    if is_.is_dictionary(kind):
        return bool(is_.is_string(kind.value_type) or is_.is_large_string(kind.value_type))
    return any(f(kind) for f in (is_.is_integer, is_.is_float32, is_.is_float64, is_.is_boolean, is_.is_decimal, is_.is_date, is_.is_time,
                                 is_.is_timestamp, is_.is_string, is_.is_large_string, is_.is_null))  # fmt: skip


class ArrowSupply(Supply):
    """A frame, a table, a batch or a stream of batches."""

    def __init__(self, source: Any, columns: Sequence[str] | None, *, whole: bool) -> None:
        pa = pyarrow()
        streamed = hasattr(source, "__arrow_c_stream__")
        batches: Any = pa.RecordBatchReader.from_stream(source) if streamed else pa.table(pa.record_batch(source)).to_reader()
        names = list(batches.schema.names)
        if whole and names and all(_is_text(pa, f.type) for f in batches.schema):
            self.encoder = Lines()
        super().__init__(_parts(batches) if self.encoder else _rows(batches), names if columns is None else columns)

    def open(self, target: Target) -> Steps[None]:
        """See which columns hold JSON."""
        yield lambda: None
        base = {c.name: c.base for c in target.columns}
        at = [k for k, name in enumerate(self.columns or ()) if base.get(name) in JSON]
        if at and self.encoder is None:
            self._shape = partial(_parsed, at)

    def block(self, bytes_each: float) -> Steps[Block | None]:
        """The next batch, or rows."""
        if self.encoder is None:
            return (yield from super().block(bytes_each))
        part = next(self._iterator, None)
        if part is None:
            return None
        rows: Any = Batches([part])
        first, self.count = self.count + 1, self.count + len(rows)
        return Block(rows, rows, first)


def _parts(batches: Any) -> Iterator[Any]:
    """Batches of a size that fits into memory and under a savepoint."""
    for batch in batches:
        size = max(1, min(_ROWS, (1 << 20) * batch.num_rows // (batch.nbytes or 1)))
        yield from (batch.slice(start, size) for start in range(0, batch.num_rows, size))


def _rows(batches: Any) -> Iterator[tuple[Any, ...]]:
    for part in _parts(batches):
        yield from zip(*(column.to_pylist() for column in part.columns), strict=True)


def _parsed(at: list[int], given: list[Any]) -> list[Any]:
    """Rows whose text in these places is JSON."""
    return [
        tuple(Json(v, dumps=_same) if k in at and isinstance(v, str) else v for k, v in enumerate(row)) for row in given
    ]  # fmt: skip


_same: Callable[[str], str] = str


_KINDS = {16: "bool_", 21: "int16", 23: "int32", 20: "int64", 26: "uint32", 700: "float32", 701: "float64", 17: "binary", 1082: "date32"}


def batch_of(description: Sequence[Any], rows: Sequence[tuple[Any, ...]]) -> Any:
    """Rows as a record batch. Types that Arrow has not (and numeric without a precision) are text."""
    pa = pyarrow()
    columns = zip(*rows, strict=True) if rows else ((),) * len(description)
    arrays = [_array(pa, _kind(pa, d), values) for d, values in zip(description, columns, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, names=[d.name for d in description])


def _kind(pa: Any, column: Any) -> Any:
    code = column.type_code
    if code == 1700 and column.precision and 0 <= (column.scale or 0) <= column.precision <= 76:
        return (pa.decimal128 if column.precision <= 38 else pa.decimal256)(column.precision, column.scale or 0)
    if code in (1114, 1184):
        return pa.timestamp("us", "UTC" if code == 1184 else None)
    return pa.time64("us") if code == 1083 else getattr(pa, _KINDS.get(code, "string"))()


def _array(pa: Any, kind: Any, values: Sequence[Any]) -> Any:
    if pa.types.is_string(kind):
        values = [v if v is None or isinstance(v, str) else _written(v) for v in values]
    return pa.array(values, kind)


def _written(value: Any) -> str:
    return json.dumps(value, default=str) if isinstance(value, dict | list) else str(value)

"""Copies in files of Parquet: columns are the rows' fields beside `pgcharter_op`, `pgcharter_lsn` and `pgcharter_ordinal`.

Numbers, dates, times, booleans, bytes and arrays of these have Parquet's types, numeric has one where its precision is known (76
digits at most); all else is the text PostgreSQL writes. What a type cannot hold (infinity, years BC, NaN of numeric, arrays of arrays) is
NULL in its column and stands as text in `pgcharter_text`, a JSON object of such fields.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from pgcharter.policy.sync_settings import SinkTable
from pgcharter.sinks.files_sink import LSN, OP, ORDINAL, FilesSink, options
from pgcharter.stream.model import Field, Row, Shape, Stamp
from pgcharter.stream.values import load, plain, text

TEXT = "pgcharter_text"
_TYPES: dict[str, tuple[pa.DataType, type]] = {
    "smallint": (pa.int16(), int), "integer": (pa.int32(), int), "bigint": (pa.int64(), int), "oid": (pa.int64(), int),
    "real": (pa.float64(), float), "double precision": (pa.float64(), float), "boolean": (pa.bool_(), bool), "bytea": (pa.binary(), bytes),
    "date": (pa.date32(), date), "time without time zone": (pa.time64("us"), time),
    "timestamp without time zone": (pa.timestamp("us"), datetime), "timestamp with time zone": (pa.timestamp("us", "UTC"), datetime),
}  # fmt: skip
_NUMERIC = re.compile(r"numeric\((\d+),(-?\d+)\)")


def make(table: SinkTable, url: str, folder: Path) -> FilesSink:  # noqa: ARG001
    """The sink of a `[[sync.sink]]` table."""
    return FilesSink(folder, Parquet(), rotate=options(table))


class Parquet:
    """Rows as tables of Arrow, compressed by zstd."""

    kind = "parquet"

    def written(self, shape: Shape, rows: Sequence[Row]) -> bytes:
        """A file of one row group."""
        given = [r.values if r.op == "put" else dict(zip(shape.key, r.key, strict=False)) for r in rows]
        columns: dict[str, Any] = {
            OP: pa.array([r.op for r in rows], pa.string()),
            LSN: pa.array([r.stamp[0] for r in rows], pa.int64()),
            ORDINAL: pa.array([r.stamp[1] for r in rows], pa.int64()),
        }
        aside: list[dict[str, str]] = [{} for _ in rows]
        for field in shape.fields:
            columns[field.name] = _column(field, [values.get(field.name) for values in given], aside)
        columns[TEXT] = pa.array([json.dumps(a, ensure_ascii=False) if a else None for a in aside], pa.string())
        return _bytes(pa.table(columns))

    def merged(self, files: Sequence[Path]) -> bytes:
        """One table of all."""
        return _bytes(pa.concat_tables([pq.read_table(file, partitioning=None) for file in files]))

    def read(self, file: Path, shape: Shape) -> Iterator[Row]:
        """Rows of a file."""
        table = pq.ParquetFile(file)
        for batch in table.iter_batches(batch_size=10_000):
            for found in batch.to_pylist():
                yield _row(shape, found)


def _bytes(table: pa.Table) -> bytes:
    out = pa.BufferOutputStream()
    pq.write_table(table, out, compression="zstd")
    return out.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _type(of: str) -> tuple[pa.DataType, type]:
    """Arrow's type of a type of PostgreSQL, and Python's of its values."""
    if of.endswith("[]"):
        element, kind = _type(of[:-2])
        return pa.list_(element), kind
    numeric = _NUMERIC.fullmatch(of)
    if numeric and 0 <= int(numeric[2]) <= int(numeric[1]) <= 76:
        wide = pa.decimal128 if int(numeric[1]) <= 38 else pa.decimal256
        return wide(int(numeric[1]), int(numeric[2])), Decimal
    return _TYPES.get(plain(of), (pa.string(), str))


def _column(field: Field, values: list[Any], aside: list[dict[str, str]]) -> pa.Array:
    """A column; what its type cannot hold goes aside as text."""
    arrow, kind = _type(field.type)
    fits = _fits(kind, array=field.type.endswith("[]"))
    for n, value in enumerate(values):
        if value is None or fits(value):
            continue
        written = text(value, ";" if plain(field.type) == "box[]" else ",")
        if kind is str and not field.type.endswith("[]"):
            values[n] = written
        else:
            values[n] = None
            aside[n][field.name] = written
    return pa.array(values, arrow)


def _fits(kind: type, *, array: bool) -> Callable[[Any], bool]:
    """Whether a value can stand in a column of values of this Python type."""

    def one(value: Any) -> bool:
        return isinstance(value, kind) and (not isinstance(value, Decimal) or value.is_finite())

    if not array:
        return one
    return lambda value: isinstance(value, list) and all(v is None or one(v) for v in value)


def _row(shape: Shape, found: dict[str, Any]) -> Row:
    aside = json.loads(found[TEXT]) if found[TEXT] else {}
    values = {f.name: _value(f, found.get(f.name), aside.get(f.name)) for f in shape.fields}
    op, stamp = found[OP], Stamp(found[LSN], found[ORDINAL])
    return Row(shape, op, () if op == "clear" else tuple(values[k] for k in shape.key), values if op == "put" else {}, stamp)


def _value(field: Field, value: Any, aside: str | None) -> Any:
    """A field's value; one of another type than its column had is taken by its text."""
    made = load(field.type)
    if aside is not None:
        return made(aside) if made else aside
    if value is None or made is None:
        return value if value is None or isinstance(value, str) else text(value)
    if isinstance(value, list):
        element = load(field.type.removesuffix("[]"))
        return [v if v is None or element is None or not isinstance(v, str) else element(v) for v in value]
    return value if _exact(field.type, value) else made(text(value))


def _exact(of: str, value: Any) -> bool:
    """Whether a value read is what a value of this type is in Python."""
    return isinstance(value, _type(of)[1]) and not isinstance(value, str)

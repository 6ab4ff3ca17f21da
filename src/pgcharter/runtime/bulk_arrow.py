"""Arrow in and out, through pyarrow: frames and tables as rows, rows as record batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pgcharter.errors import UnavailableError


def _pyarrow() -> Any:
    try:
        import pyarrow  # type: ignore[import-untyped]
    except ImportError:
        raise UnavailableError("Arrow needs the package pyarrow", hint="pip install 'pgcharter[arrow]'") from None
    return pyarrow


def rows_of(source: Any) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
    """The columns of a frame, a table, a batch or a stream of batches, and its rows."""
    pa = _pyarrow()
    if hasattr(source, "__arrow_c_stream__"):
        reader = pa.RecordBatchReader.from_stream(source)
        return list(reader.schema.names), _rows(reader)
    batch = pa.record_batch(source)
    return list(batch.schema.names), _rows([batch])


def _rows(batches: Any) -> Iterator[tuple[Any, ...]]:
    for batch in batches:
        for start in range(0, batch.num_rows, 10_000):
            part = batch.slice(start, 10_000)
            yield from zip(*(column.to_pylist() for column in part.columns), strict=True)

"""Rows for ClickHouse as RowBinary, made column by column."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from struct import Struct
from typing import Any

from pgcharter.sinks.clickhouse_tables import Table
from pgcharter.sinks.clickhouse_types import Kind, MisfitError, exact, length
from pgcharter.stream.errors import SinkRefusedError
from pgcharter.stream.model import Field, Row

_AT_ONCE = 1_000
"""Rows that are encoded at a time."""
_END = Struct("<QQB")


def encoded(table: Table, rows: Sequence[Row]) -> Iterator[bytes]:
    """Rows as RowBinary, in pieces. Raises SinkRefusedError for a row that is not whole."""
    names = [f.name for f in table.shape.fields]
    nothing = dict.fromkeys(names)
    for at in range(0, len(rows), _AT_ONCE):
        part = rows[at : at + _AT_ONCE]
        values = [row.values if row.op == "put" else {**nothing, **dict(zip(row.shape.key, row.key, strict=True))} for row in part]
        try:
            columns = [[v[n] for v in values] for n in names]
        except KeyError as missing:
            raise SinkRefusedError(f"a row of {table.shape.to} comes without {missing}, and ClickHouse needs whole rows") from None
        ends = [_END.pack(row.stamp[0] << 1 | (row.stamp[1] > 0), row.stamp[1], row.op == "delete") for row in part]
        try:
            written = [c for kind, column in zip(table.kinds, columns, strict=True) for c in kind.many(column)]
            yield b"".join(chain.from_iterable(zip(*written, ends, repeat(b"\0"), strict=False)))
        except MisfitError:
            for given, end in zip(zip(*columns, strict=True), ends, strict=True):
                made, said = _nearest(table.shape.fields, table.kinds, given)
                yield b"".join((*made, end, said))


def _nearest(fields: Sequence[Field], kinds: Sequence[Kind], values: Sequence[Any]) -> tuple[list[bytes], bytes]:
    """A row with values that its columns cannot hold, and the texts of these."""
    said: dict[str, str] = {}
    made = []
    for f, kind, value in zip(fields, kinds, values, strict=True):
        try:
            made.append(kind.write(value))
        except MisfitError as misfit:
            said[f.name] = exact(f, value)
            made.append(kind.write(misfit.nearest))
    text = json.dumps(said, ensure_ascii=False).encode() if said else b""
    return made, length(len(text)) + text

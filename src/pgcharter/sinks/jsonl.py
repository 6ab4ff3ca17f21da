"""Copies in files of JSON lines: one object a row with its fields beside `pgcharter_op`, `pgcharter_lsn` and `pgcharter_ordinal`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from pgcharter.policy.sync_settings import SinkTable
from pgcharter.sinks.files_sink import LSN, OP, ORDINAL, FilesSink, options
from pgcharter.sinks.nats_json import fields, plain
from pgcharter.stream.model import Row, Shape, Stamp

_dumps = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


def make(table: SinkTable, url: str, folder: Path) -> FilesSink:  # noqa: ARG001
    """The sink of a `[[sync.sink]]` table."""
    return FilesSink(folder, Jsonl(), rotate=options(table))


class Jsonl:
    """Rows as lines; values as `nats_json` writes them."""

    kind = "jsonl"

    def written(self, shape: Shape, rows: Sequence[Row]) -> bytes:
        """Lines of rows."""
        return "".join(_line(shape, row) for row in rows).encode()

    def merged(self, files: Sequence[Path]) -> bytes:
        """Their lines."""
        return b"".join(file.read_bytes() for file in files)

    def read(self, file: Path, shape: Shape) -> Iterator[Row]:
        """Rows of lines."""
        with file.open(encoding="utf-8", newline="\n") as lines:
            for line in lines:
                yield _row(shape, line)


def _line(shape: Shape, row: Row) -> str:
    given = row.values if row.op == "put" else dict(zip(shape.key, row.key, strict=False))
    return _dumps({OP: row.op, LSN: row.stamp[0], ORDINAL: row.stamp[1], **{n: plain(v) for n, v in given.items()}}) + "\n"


def _row(shape: Shape, line: str) -> Row:
    found = json.loads(line)
    values = fields(shape, found)
    op, stamp = found[OP], Stamp(found[LSN], found[ORDINAL])
    return Row(shape, op, () if op == "clear" else tuple(values[k] for k in shape.key), values if op == "put" else {}, stamp)

"""Copies in ClickHouse over HTTP, from server 18.16 on: a ReplacingMergeTree whose version is the stamp, deletes as rows that say so.

`<to>` has every version that merges have left, `<to>_current` (a view with FINAL) the rows as they are now. Types: `clickhouse_types`.

**What holds.** Of a key the row with the greatest stamp is shown, whatever was sent again or out of order. `upto` is written to
`pgcharter_sync` after all rows, so at least what it says is there; rows of one table in one insert appear together (in blocks of a
quarter million). A table that was dropped is noticed at `open`, which then has no stamp. Inserted rows survive the end of the server
process; whether they survive a power cut is ClickHouse's (`fsync_after_insert`, replicas). Rows must be whole: there is no partial
update. A clear empties the table where nothing in it is newer, and else marks rows as deleted. Deleted keys stay as one narrow row each;
docs/how-to/sinks.md says how they are removed when nothing that old can come again. One writer: two at a time are not told from one.

Options: `engine`, such as `ReplicatedReplacingMergeTree('/clickhouse/{table}', 'a', _version)`; `{table}` becomes the name.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from struct import Struct
from typing import Any

from pgcharter.errors import CharterError
from pgcharter.policy.sync_settings import SinkTable
from pgcharter.sinks import clickhouse_digests, clickhouse_tables
from pgcharter.sinks.clickhouse_http import Http, literal, quoted
from pgcharter.sinks.clickhouse_rows import encoded
from pgcharter.sinks.clickhouse_tables import CONTROL, Table
from pgcharter.sinks.clickhouse_types import Version, exact, overlaid, string
from pgcharter.stream.model import Field, Row, Shape, Sink, Stamp, Stored
from pgcharter.stream.reconcile_rows import Part, Parts

_PAGE = 100_000
"""Rows that are read back at a time."""
_MOST = 250_000
"""Rows of one insert: one block of the server, which appears at once."""


def make(table: SinkTable, url: str, folder: Path) -> Sink:  # noqa: ARG001
    """The sink of a table of the charter. Raises CharterError for an option that there is not."""
    if unknown := set(table.options) - {"engine"}:
        raise CharterError(f"sink {table.name} has the option {min(unknown)}, and ClickHouse has engine")
    if table.form:
        raise CharterError(f"sink {table.name} has form {table.form!r}, and ClickHouse has one form only")
    return ClickHouseSink(url, table.name, engine=table.options.get("engine", ""))


class ClickHouseSink:
    """A copy in tables of ClickHouse. A Readable in the order of the keys, as ClickHouse sorts: texts by their bytes."""

    whole = True
    keeps = True
    ordered = True

    def __init__(self, url: str, name: str, *, engine: str = "", timeout: float = 300) -> None:
        self._http, self._name, self._engine = Http(url, timeout), name, engine
        self._server: Version = (0, 0)
        self._seq = 0
        self._upto: Stamp | None = None
        """What is kept, as far as is known."""
        self._tables: dict[str, Table] = {}
        self._floors: dict[str, Stamp] = {}

    def open(self, shapes: Sequence[Shape]) -> Stamp | None:
        """Make and widen tables."""
        self._server = clickhouse_tables.server_version(self._http)
        clickhouse_tables.control(self._http, self._engine)
        self._tables = {}
        kept = self._kept()
        lost = False
        for shape in shapes:
            lost = self._prepare(shape, f"table {shape.to}" in kept) or lost
        if lost and "upto" in kept:
            self._keep("upto", Stamp(0, 0))  # so that whoever opens it next knows too
            self._upto = Stamp(0, 0)
        return None if lost else self._upto

    def _kept(self) -> dict[str, Stamp]:
        """What the control table says of this sink: what → stamp."""
        rows = self._http.table(
            f"SELECT what, toString(argMax(lsn, seq)), toString(argMax(ordinal, seq)), toString(max(seq)) FROM {CONTROL} "
            f"WHERE name = {literal(self._name)} GROUP BY what"
        )
        self._seq = max([int(row[3]) for row in rows], default=0)
        kept = {row[0]: Stamp(int(row[1]), int(row[2])) for row in rows}
        self._upto = kept.get("upto")
        self._floors = {what.removeprefix("floor "): stamp for what, stamp in kept.items() if what.startswith("floor ")}
        return kept

    def _prepare(self, shape: Shape, was_there: bool) -> bool:
        """Make the table ready; give back whether one that was there is gone."""
        table, made = clickhouse_tables.prepared(self._http, shape, self._server, self._engine)
        table.floor = self._floors.get(shape.to)
        self._tables[shape.to] = table
        if made or not was_there:
            self._keep(f"table {shape.to}", Stamp(0, 0))
        return made and was_there

    def _keep(self, what: str, stamp: Stamp) -> None:
        self._seq = max(self._seq + 1, time.time_ns())
        values = f"{literal(self._name)}, {literal(what)}, {self._seq}, {stamp.lsn}, {stamp.ordinal}"
        self._http.run(f"INSERT INTO {CONTROL} (name, what, seq, lsn, ordinal) VALUES ({values})")

    def look(self, shapes: Sequence[Shape]) -> None:
        """See what tables are like. Raises SinkRefusedError where one is not there or does not fit."""
        self._tables = {shape.to: clickhouse_tables.present(self._http, shape) for shape in shapes}

    def write(self, rows: Sequence[Row], upto: Stamp) -> None:
        """Insert what is newest of each key, then the stamp."""
        waiting: dict[str, dict[tuple[Any, ...], Row]] = {}
        last: Shape | None = None
        newest: dict[tuple[Any, ...], Row] = {}
        for row in rows:
            shape, to = row.shape, row.shape.to
            if row.op == "clear":
                self._insert(to, waiting.pop(to, {}))
                self._clear(row)
                last = None
                continue
            if shape is not last:
                if (known := self._tables.get(to)) is None or (known.shape is not shape and known.shape != shape):
                    self._insert(to, waiting.pop(to, {}))
                    self._prepare(shape, f"table {to}" in self._kept())
                last, newest = shape, waiting.setdefault(to, {})
            other = newest.setdefault(row.key, row)
            if other is not row and row.stamp >= other.stamp:
                newest[row.key] = row
        for to, newest in waiting.items():
            self._insert(to, newest)
        if self._upto is None or upto > self._upto:  # a repair gives back what was kept when it began, and the worker was on
            self._keep("upto", upto)
            self._upto = upto

    def _insert(self, to: str, newest: dict[tuple[Any, ...], Row]) -> None:
        if not newest:
            return
        table = self._tables[to]
        rows = self._not_overtaken(table, [row for row in newest.values() if table.floor is None or row.stamp >= table.floor])
        for at in range(0, len(rows), _MOST):
            part = rows[at : at + _MOST]
            table.high = max(table.high, _version(max(row.stamp for row in part)))
            self._http.run(f"INSERT INTO {table.name} ({table.columns}) FORMAT RowBinary", list(encoded(table, part)))

    def _not_overtaken(self, table: Table, rows: list[Row]) -> list[Row]:
        """Without rows of which the table has a later change of the same transaction: ClickHouse would keep what is inserted last."""
        if not rows or _version(min(row.stamp for row in rows)) >= table.high:
            return rows
        again = [row for row in rows if row.stamp.ordinal and _version(row.stamp) < table.high]
        if not again:
            return rows
        versions = [_version(row.stamp)[0] for row in again]
        found = self._rows(
            table, f"SELECT {table.key}, _version, _ordinal FROM {table.name} WHERE _version BETWEEN {min(versions)} AND {max(versions)}",
            [f for f in table.shape.fields if f.key], _version_in,
        )  # fmt: skip
        there: dict[tuple[Any, ...], int] = {}
        for key, (version, ordinal) in found:
            place = (*key, version)
            there[place] = max(there.get(place, 0), ordinal)
        return [row for row in rows if there.get((*row.key, _version(row.stamp)[0]), 0) <= row.stamp.ordinal]

    def _clear(self, row: Row) -> None:
        to = row.shape.to
        if to not in self._tables:
            self._prepare(row.shape, f"table {to}" in self._kept())
        table = self._tables[to]
        if table.floor is None or row.stamp > table.floor:
            self._keep(f"floor {to}", row.stamp)
            table.floor = self._floors[to] = row.stamp
        version, ordinal = _version(table.floor)
        older = f"(_version < {version} OR (_version = {version} AND _ordinal < {ordinal}))"
        ((newer,),) = self._http.table(f"SELECT toString(count()) FROM {table.name} WHERE NOT {older}")
        if newer == "0":
            self._http.run(f"TRUNCATE TABLE {table.name}")
            table.high = (0, 0)
            return
        self._http.run(
            f"INSERT INTO {table.name} ({table.key}, _version, _ordinal, _deleted) SELECT {table.key}, toUInt64({version}), "
            f"toUInt64({ordinal}), toUInt8(1) FROM {table.name} FINAL WHERE _deleted = 0 AND {older}"
        )
        table.high = max(table.high, (version, ordinal))

    def read(self, shape: Shape, after: tuple[Any, ...] | None, upto: tuple[Any, ...] | None) -> Iterator[Stored]:
        """Rows as they are now; in pages where the key is one column that ClickHouse's index serves, else all in one answer."""
        (first, *others) = (f for f in shape.fields if f.key)
        most = 0 if others or first.type == "uuid" else _PAGE
        while True:
            count = 0
            for stored in self._page(shape, after, upto, most):
                yield stored
                count, after = count + 1, stored.key
            if not most or count < most:
                return

    def forms(self, shape: Shape) -> Mapping[str, str] | None:
        """How PostgreSQL writes what is hashed here (stream.reconcile_texts)."""
        made = clickhouse_digests.forms(self._tables[shape.to])
        return None if made is None else {name: form.postgresql for name, form in made.items()}

    def summed(self, shape: Shape, fan: int) -> Parts:
        """Digests of parts, made by the server."""
        rows = self._http.table(clickhouse_digests.summed(self._tables[shape.to], fan))
        return {int(part): Part(int(count), int(digest) - (int(digest) >> 63 << 64)) for part, count, digest in rows}

    def inside(self, shape: Shape, parts: Collection[int], fan: int) -> Iterator[Stored]:
        """Rows of some parts."""
        return self._page(shape, None, None, 0, clickhouse_digests.inside(self._tables[shape.to], parts, fan))

    def _page(
        self, shape: Shape, after: tuple[Any, ...] | None, upto: tuple[Any, ...] | None, most: int, also: str = "1"
    ) -> Iterator[Stored]:
        table = self._tables[shape.to]
        fields = {f.name: f for f in shape.fields}
        columns = ", ".join(map(quoted, fields))
        where = " AND ".join(["_deleted = 0", also, *_bound(shape, ">", after), *_bound(shape, "<=", upto)])
        query = f"SELECT {columns}, _version, _ordinal, _exact FROM {table.name} FINAL WHERE {where} ORDER BY {_order(shape)}"
        limit = f" LIMIT {most}" if most else ""
        for values, (stored, version, ordinal) in self._rows(table, query + limit, shape.fields, _stamp_in):
            row = overlaid(dict(zip(fields, values, strict=True)), stored, fields)
            yield Stored(tuple(row[name] for name in shape.key), row, Stamp(version >> 1, ordinal))

    def _rows(self, table: Table, query: str, fields: Sequence[Field], rest: Any) -> Iterator[tuple[list[Any], Any]]:
        kinds = {f.name: kind for f, kind in zip(table.shape.fields, table.kinds, strict=True)}
        readers = [kinds[f.name].read for f in fields]
        data = memoryview(self._http.run(f"{query} FORMAT RowBinary", settings={"max_bytes_before_external_sort": "500000000"}))
        at = 0
        while at < len(data):
            values = []
            for read in readers:
                value, at = read(data, at)
                values.append(value)
            tail, at = rest(data, at)
            yield values, tail

    def close(self) -> None:
        """Close the connection."""
        self._http.close()


def _version(stamp: Stamp) -> tuple[int, int]:
    """What orders rows of a key in ClickHouse: the version, then the ordinal."""
    return stamp.lsn << 1 | (stamp.ordinal > 0), stamp.ordinal


def _version_in(data: memoryview, at: int) -> tuple[tuple[int, int], int]:
    version, ordinal = _PAIR.unpack_from(data, at)
    return (version, ordinal), at + 16


def _stamp_in(data: memoryview, at: int) -> tuple[tuple[bytes, int, int], int]:
    version, ordinal = _PAIR.unpack_from(data, at)
    said, at = string(data, at + 16)
    return (said, version, ordinal), at


_PAIR = Struct("<QQ")


def _order(shape: Shape) -> str:
    return ", ".join(_sorted(f) for f in shape.fields if f.key)


def _sorted(f: Field) -> str:
    """A key column by what it is sorted: the parts of a UUID are ordered otherwise than its text."""
    return f"toString({quoted(f.name)})" if f.type == "uuid" else quoted(f.name)


def _bound(shape: Shape, sign: str, key: tuple[Any, ...] | None) -> list[str]:
    if key is None:
        return []
    fields = [f for f in shape.fields if f.key]
    texts = [str(value) if type(value) is int else literal(exact(f, value)) for f, value in zip(fields, key, strict=True)]
    return [f"({_order(shape)}) {sign} ({', '.join(texts)})"]

"""Copies in Redis or Valkey, server 6.2 or newer: a row is a hash or a JSON document (`redis_layout`), or only tells caches of a change
(`redis_invalidate`).

**What holds.** A row and its stamp change in one step, and a piece of some hundred rows in one script. What is older than what is there, a
delete (its tombstone is kept for `tombstones`, a day) or a clear is ignored. `upto` is set by the script of the last piece, and only if all
before it were applied. Durable is what the server makes so: with `appendfsync always` everything, with `everysec` all but a second, without
persistence nothing. A server that has lost writes, or everything, is noticed by the next write (each names the one before) and at `open`:
the stamp went with the rows. Whoever reads while a table is cleared sees it shrink in pieces of a thousand rows.

JSON documents are strings: redis-server has no JSON type before 8, and a module is not assumed. They must be whole, since no server can
change a part of a string.

Options: `prefix`, put before every key. In a cluster it must hold a hash tag (`{shop}:`), because rows, stamps and `upto` change together;
`tombstones`, a time (`1d`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from pgcharter.errors import CharterError
from pgcharter.measures import seconds
from pgcharter.policy.sync_settings import SinkTable
from pgcharter.sinks import nats_json, redis_layout
from pgcharter.sinks.redis_layout import stamp_of, stamp_text
from pgcharter.sinks.redis_link import Link
from pgcharter.stream.model import Row, Shape, Sink, Stamp, Stored

FORMS = ("hash", "json", "invalidate")
_OPTIONS = {"prefix", "tombstones", "namespace"}
_READ = 500
_PURGED = 50
"""Writes after which tombstones that are old enough are looked for."""


def make(table: SinkTable, url: str, folder: Path) -> Sink:  # noqa: ARG001
    """The sink of a table of the charter. Raises CharterError for a form or an option that there is not."""
    import redis  # noqa: F401  (its absence is named by the registry)

    from pgcharter.sinks.redis_invalidate import InvalidatingSink

    form = table.form or "hash"
    if form not in FORMS:
        raise CharterError(f"sink {table.name} has form {form!r}, and Redis has {', '.join(FORMS)}", hint='form = "hash"')
    if unknown := set(table.options) - _OPTIONS:
        raise CharterError(f"sink {table.name} has the option {min(unknown)}, and Redis has {', '.join(sorted(_OPTIONS))}")
    prefix = table.options.get("prefix", "")
    if form == "invalidate":
        return InvalidatingSink(url, table.name, namespace=table.options.get("namespace", "app"), prefix=prefix)
    return RedisSink(url, table.name, form=form, prefix=prefix, tombstones=seconds(table.options.get("tombstones", "1d")))


class RedisSink:
    """A copy whose rows are hashes or JSON documents. A Readable whose rows come in no order."""

    keeps = True
    ordered = False

    def __init__(
        self, url: str, name: str, *, form: str = "hash", prefix: str = "", tombstones: float = 86_400, timeout: float = 30
    ) -> None:
        self.whole = form == "json"
        self._form, self._prefix, self._kept = form, prefix, tombstones
        self._state = f"{prefix}pgcharter:{name}"
        self._link = Link(url, self._state, timeout)
        self._writes = 0
        self._strange: set[str] = set()
        """Names of rows under which something else is stored."""

    def open(self, shapes: Sequence[Shape]) -> Stamp | None:  # noqa: ARG002
        """Connect and begin to write; a writer of before is shut out. Raises SinkRefusedError where the server may drop any key."""
        self._link.keeps()
        return self._link.open()

    def look(self, shapes: Sequence[Shape]) -> None:
        """Nothing is needed: reading shuts nobody out, and what is not there has no rows."""

    def write(self, rows: Sequence[Row], upto: Stamp) -> None:
        """Apply rows."""
        link = self._link
        link.ready()
        pieces: list[list[str]] = []
        for (_, clears), group in groupby(rows, key=lambda row: (row.shape.to, row.op == "clear")):
            part = list(group)
            if clears:
                link.send(pieces)
                pieces = []
                self._clear(part)
            else:
                places = self._places(part[0].shape)
                pieces += [[*places, *piece] for piece in redis_layout.pieces(_arguments(row, json=self.whole) for row in part)]
        link.send(pieces or [self._places(None)], stamp_text(upto))
        self._writes += 1
        if self._writes % _PURGED == 0:
            link.run("purge", f"{self._state}:dead", str(int(self._kept)))

    def _places(self, shape: Shape | None) -> list[str]:
        to = shape.to if shape else ""
        return [self._form, f"{self._state}:dead", f"{self._prefix}{to}:", f"{self._state}:of:{to}", f"floor:{to}"]

    def _clear(self, rows: Sequence[Row]) -> None:
        _, _, prefix, stamps, field = self._places(rows[0].shape)
        floor = stamp_text(max(row.stamp for row in rows))
        self._link.run("floor", field, floor)
        cursor = "0"
        while True:
            cursor = self._link.run("sweep", prefix, stamps, floor, cursor)
            if cursor == "0":
                return

    def read(self, shape: Shape, after: tuple[Any, ...] | None, upto: tuple[Any, ...] | None) -> Iterator[Stored]:
        """Rows that are there; one that was evicted or deleted by somebody else is not. May give a row twice while it is written to."""
        cursor: Any = 0
        stamps = self._places(shape)[3]
        while True:
            with self._link.errors():
                cursor, found = self._link.client.hscan(stamps, cursor, count=_READ)
            names = [name for name, mark in found.items() if len(mark) == 32]
            names = [n for n in names if redis_layout.within(redis_layout.key_values(shape, n), after, upto)]
            yield from self._stored(shape, stamps, names)
            if not cursor:
                return

    def _stored(self, shape: Shape, stamps: str, names: Sequence[str]) -> Iterator[Stored]:
        if not names:
            return
        with self._link.errors(), self._link.client.pipeline(transaction=True) as pipe:
            pipe.hmget(stamps, list(names))
            for name in names:
                row = f"{self._prefix}{shape.to}:{name}"
                pipe.get(row) if self.whole else pipe.hgetall(row)
            marks, *rows = pipe.execute(raise_on_error=False)
            if isinstance(marks, Exception):
                raise marks
        for name, mark, row in zip(names, marks, rows, strict=True):
            if isinstance(row, Exception):
                if not str(row).startswith("WRONGTYPE"):
                    with self._link.errors():
                        raise row
                self._strange.add(f"{self._prefix}{shape.to}:{name}")
            elif row and mark and len(mark) == 32:
                values = _document(shape, row) if self.whole else redis_layout.row_values(shape, row)
                yield Stored(redis_layout.key_values(shape, name), values, stamp_of(mark))

    def foreign(self, shapes: Sequence[Shape]) -> Iterator[str]:
        """Keys under the names of these shapes that no copy has made, and those of rows that `read` has found to be something else."""
        yield from sorted(self._strange)
        state = f"{self._prefix}pgcharter:"
        with self._link.errors():
            stamps = list(self._link.client.scan_iter(f"{_literally(state)}*:of:*", _READ))
        copied = {s: f"{self._prefix}{s.removeprefix(state).partition(':of:')[2]}:" for s in stamps}
        for shape in shapes:
            cursor: Any = 0
            while True:
                with self._link.errors():
                    cursor, keys = self._link.client.scan(cursor, f"{_literally(self._prefix + shape.to)}:*", _READ)
                    yield from self._nobodys([k for k in keys if k not in self._strange and not k.startswith(state)], copied)
                if not cursor:
                    break

    def _nobodys(self, keys: list[str], copied: Mapping[str, str]) -> Iterator[str]:
        """Those of some keys that are there, and rows of no copy; of each copy the stamps, and what its rows begin with."""
        for stamps, under in copied.items():
            keys = self._others(keys, under, stamps)
        with self._link.client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.exists(key)
            yield from (k for k, there in zip(keys, pipe.execute(), strict=True) if there)

    def _others(self, keys: list[str], under: str, stamps: str) -> list[str]:
        """Those of some keys that are not rows with these stamps."""
        names = {k: k[len(under) :] for k in keys if k.startswith(under)}
        if not names:
            return keys
        marks = dict(zip(names, self._link.client.hmget(stamps, list(names.values())), strict=True))
        return [k for k in keys if len(marks.get(k) or "") != 32]

    def close(self) -> None:
        """Close the connection."""
        self._link.close()


def _document(shape: Shape, stored: str) -> dict[str, Any]:
    """All fields of a JSON document; of one that cannot be understood none is what it should be."""
    try:
        return nats_json.fields(shape, json.loads(stored))
    except (ValueError, ArithmeticError, AttributeError, TypeError):
        return {f.name: f"cannot be understood: {stored}" for f in shape.fields}


def _literally(text: str) -> str:
    """A part of a pattern that means itself."""
    return "".join(f"\\{c}" if c in "*?[]\\" else c for c in text)


def _arguments(row: Row, *, json: bool) -> list[str]:
    name, stamp = redis_layout.key_text(row.shape, row.key), stamp_text(row.stamp)
    if row.op == "delete":
        return ["D", name, stamp]
    if json:
        return ["J", name, stamp, nats_json.document(row.values)]
    return ["P" if row.whole else "U", name, stamp, *redis_layout.hash_fields(row)]

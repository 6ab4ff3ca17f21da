"""Copies in PostgreSQL: rows, their stamps and the checkpoint in one transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from pgcharter import faults
from pgcharter.db import Connection, connect
from pgcharter.errors import CharterError, ConnectError
from pgcharter.measures import seconds
from pgcharter.names import quote
from pgcharter.policy.sync_settings import SinkTable
from pgcharter.redact import redact
from pgcharter.sinks.postgresql_merge import Merger, coalesce
from pgcharter.sinks.postgresql_tables import LSN, ORDINAL, SQL, Target, address, prepare, there
from pgcharter.stream.errors import SinkDownError, SinkRefusedError
from pgcharter.stream.model import Row, Shape, Stamp, Stored
from pgcharter.stream.values import SESSION, load, text

T = TypeVar("T")
_PASSING = ("08", "40", "53", "57", "58030", "55P03", "55006", "25006")
"""What passes by itself: connections, deadlocks, no room, shutdown, locks, a server that is a standby just now."""
POINTS = ("sink postgresql written", "sink postgresql committed")
"""Points of `faults`."""
OPTIONS: Mapping[str, str] = {"schema": "public", "deleted": "1d"}
"""Options of this kind: schema of tables whose `to` names none; time for which a deleted key is remembered."""


def make(table: SinkTable, url: str, folder: Path) -> PostgresqlSink:  # noqa: ARG001
    """The sink of a `[[sync.sink]]` table. Raises CharterError for an option that there is not."""
    unknown = sorted(set(table.options) - set(OPTIONS))
    if unknown:
        raise CharterError(f"sink {table.name} has option {unknown[0]}, which postgresql has not", hint=f"there are {', '.join(OPTIONS)}")
    options = {**OPTIONS, **table.options}
    return PostgresqlSink(url, name=table.name, schema=options["schema"], remembered=seconds(options["deleted"], "[[sync.sink]] deleted"))


class PostgresqlSink:
    """Tables of a PostgreSQL database."""

    whole = False
    keeps = True
    texts = True
    """Values may be PostgreSQL's text instead of Python's, which is the same there, and quicker."""
    ordered = True
    """By keys, text by its bytes (COLLATE "C")."""
    stamps = (LSN, ORDINAL)
    """Columns of a row's stamp (stream.reconcile_sql)."""

    def __init__(self, url: str, *, name: str = "postgresql", schema: str = "public", remembered: float = 86400.0) -> None:
        self._url, self._name, self._schema, self._remembered = url, name, schema, remembered
        self._conn: Connection | None = None
        self._reader: Connection | None = None
        self._targets: dict[Shape, Target] = {}
        self._purged = time.monotonic()

    def open(self, shapes: Sequence[Shape]) -> Stamp | None:
        """Connect, make and widen tables, give back the checkpoint; one before everything where a table that was there is gone."""
        self.close()
        return self._done(lambda: self._open(shapes))

    def look(self, shapes: Sequence[Shape]) -> None:
        """Connect to read. Raises SinkRefusedError where a table is not there, or has no stamps."""
        self._done(lambda: self._look(shapes))

    def _look(self, shapes: Sequence[Shape]) -> None:
        if self._reader is None or self._reader.closed:
            self._reader = self._connected()
        for shape in shapes:
            there(self._reader, shape, self._schema)

    def write(self, rows: Sequence[Row], upto: Stamp) -> None:
        """One transaction."""
        if self._conn is None:
            raise SinkDownError(f"sink {self._name} is not connected")
        self._done(lambda: self._write(rows, upto))

    def close(self) -> None:
        """Disconnect."""
        for conn in (self._conn, self._reader):
            if conn is not None:
                conn.close()
        self._conn = self._reader = None

    def read(self, shape: Shape, after: tuple[Any, ...] | None, upto: tuple[Any, ...] | None) -> Iterator[Stored]:
        """Rows in the order of their keys, read on a connection of its own."""
        if self._reader is None or self._reader.closed:
            self._reader = self._connected()
        target = there(self._reader, shape, self._schema)
        names = [f.name for f in shape.fields]
        loads = [load(f.type) for f in shape.fields]
        keys = [names.index(k) for k in shape.key]
        with self._reader.cursor().copy(*_ranged(target, after, upto)) as copy:
            for row in copy.rows():
                values = [x if x is None or of is None else of(x) for x, of in zip(row, loads, strict=False)]
                stamp = Stamp(int(row[-2]), int(row[-1]))
                yield Stored(tuple(values[k] for k in keys), dict(zip(names, values, strict=True)), stamp)

    def reader(self) -> Connection:
        """A connection of its own, which whoever asks closes."""
        return self._connected()

    def table(self, shape: Shape) -> str:
        """The table of a shape, as SQL."""
        return ".".join(map(quote, address(shape.to, self._schema)))

    def _connected(self) -> Connection:
        conn = connect(self._url, application_name=f"pgcharter sync {self._name}", client_encoding="utf8")
        conn.execute(SQL["settings"].encode(), (list(SESSION), list(SESSION.values())))
        return conn

    def _open(self, shapes: Sequence[Shape]) -> Stamp | None:
        self._conn = conn = self._connected()
        with conn.transaction():
            conn.execute(SQL["one_writer"].encode(), (self._name,))
            if not _one(conn, "has_state")[0]:
                conn.execute(SQL["state"].encode())
            self._targets = {}
            known = {target for (target,) in conn.execute(SQL["targets"].encode(), (self._name,))}
            self._prepare(conn, shapes)
            lost = [target.sql for target in self._targets.values() if target.new and target.sql in known]
            if lost:
                conn.execute(SQL["lost"].encode(), (self._name,))
            kept = conn.execute(SQL["checkpoint"].encode(), (self._name,)).fetchone()
        self._merger = Merger(conn)
        return Stamp(*kept) if kept else None

    def _prepare(self, conn: Connection, shapes: Iterable[Shape]) -> None:
        new = [shape for shape in shapes if shape not in self._targets]
        made = prepare(conn, new, self._schema)
        if made:
            conn.execute(SQL["keep_targets"].encode(), (self._name, [target.sql for target in made]))
        self._targets.update((target.shape, target) for target in made)

    def _write(self, rows: Sequence[Row], upto: Stamp) -> None:
        conn = self._conn
        assert conn is not None  # noqa: S101
        with conn.transaction():
            conn.execute(SQL["one_writer"].encode(), (self._name,))
            if rows:
                self._apply(conn, rows)
            conn.execute(SQL["keep"].encode(), (self._name, *upto))
            faults.point("sink postgresql written")
            if time.monotonic() > self._purged + 60:
                self._purged = time.monotonic()
                conn.execute(SQL["purge"].encode(), (self._remembered,))
        faults.point("sink postgresql committed")

    def _apply(self, conn: Connection, rows: Sequence[Row]) -> None:
        shapes = dict.fromkeys({id(row.shape): row.shape for row in rows}.values())
        self._prepare(conn, shapes)
        targets = {shape: self._targets[shape] for shape in shapes}
        asked = conn.execute(SQL["before"].encode(), ([t.sql for t in targets.values()],)).fetchall()  # others write too: repairs
        self._merger.gone = {of for of, gone, _, _ in asked if gone}
        before = {of: Stamp(lsn, ordinal) for of, _, lsn, ordinal in asked if lsn is not None}
        cleared = {shape: before[t.sql] for shape, t in targets.items() if t.sql in before}
        batches, clears = coalesce(rows, cleared)
        for shape, stamp in clears.items():
            self._merger.clear(targets[shape], stamp)
            conn.execute(SQL["keep_cleared"].encode(), (targets[shape].sql, *stamp))
        for shape, keyed in batches.items():
            self._merger.write(targets[shape], keyed.values())

    def _done(self, work: Callable[[], T]) -> T:
        """What the work gives; its errors as those of a sink. After one the connection is gone, and `open` makes another."""
        try:
            return work()
        except SinkRefusedError:
            self.close()
            raise
        except ConnectError as error:
            self.close()
            raise SinkDownError(error.message, hint=error.hint) from None
        except psycopg.Error as error:
            self.close()
            raise _told(self._name, error) from None


def _told(name: str, error: psycopg.Error) -> SinkDownError | SinkRefusedError:
    """The server's error as one of ours."""
    state, diag = error.sqlstate, error.diag
    said = redact(diag.message_primary or str(error).strip().replace("\n", " "))
    where = f" ({diag.context.splitlines()[0]})" if diag.context else ""
    if state is None or state.startswith(_PASSING):
        return SinkDownError(f"sink {name} cannot be written just now: {said}", hint=diag.message_hint or "")
    return SinkRefusedError(f"sink {name} refuses what is written: {said}{where}", hint=diag.message_hint or "")


def _ranged(target: Target, after: tuple[Any, ...] | None, upto: tuple[Any, ...] | None) -> tuple[bytes, list[str]]:
    """COPY of a range of keys, with its parameters."""
    columns = ", ".join([*(quote(f.name) for f in target.shape.fields), LSN, ORDINAL])
    keys = ", ".join(target.compared(k) for k in target.shape.key)
    bounds = [(op, bound) for op, bound in ((">", after), ("<=", upto)) if bound is not None]
    casts = ", ".join(f"%s::{target.types[k]}" for k in target.shape.key)
    where = " AND ".join(f"({keys}) {op} ({casts})" for op, _ in bounds)
    sql = f"COPY (SELECT {columns} FROM {target.sql}{' WHERE ' + where if where else ''} ORDER BY {keys}) TO STDOUT"
    return sql.encode(), [text(v) for _, bound in bounds for v in bound]


def _one(conn: Connection, name: str) -> tuple[Any, ...]:
    found = conn.execute(SQL[name].encode()).fetchone()
    assert found is not None  # noqa: S101
    return found

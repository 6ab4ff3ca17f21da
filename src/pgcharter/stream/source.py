"""The source beside its stream: tables as they are published, rows read from them, names of types."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.pq import ExecStatus

from pgcharter.db import Connection, connect, queries
from pgcharter.errors import ConnectError
from pgcharter.names import ObjectId, literal, quote
from pgcharter.stream.model import UNCHANGED, Attribute, Change, Relation, Stamp, Value
from pgcharter.stream.pooled import pooled, settle
from pgcharter.stream.replication import SETTINGS

PIECE = 8 << 20
"""Bytes of rows that are read before they are given on."""
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_IDENTITIES: Any = {"d": "default", "n": "nothing", "f": "full", "i": "index"}


def open_source(dsn: str) -> Connection:
    """A connection that writes values as the stream does. Raises ConnectError."""
    conn = connect(dsn, application_name="pgcharter sync")
    if pooled(conn):
        settle(conn)
    else:
        conn.execute(SETTINGS)
    return conn


@dataclass(frozen=True)
class Table:
    """A published table."""

    relation: Relation
    keys: tuple[str, ...]
    """Columns by which its rows are read in order: the primary key, or the index of its identity; empty: it has none."""
    partitioned: bool
    rows: int
    """As PostgreSQL estimates; -1: it was never analysed."""
    filter: str = ""
    """Condition of the publication."""
    unpublished: tuple[str, ...] = ()
    """Columns that it leaves out."""

    @property
    def sql(self) -> str:
        """Its name as SQL."""
        return sql_of(self.relation)

    @property
    def names(self) -> tuple[str, str]:
        """What the charter may call it: schema.table, or as SQL."""
        return f"{self.relation.schema}.{self.relation.name}", self.sql


def sql_of(relation: Relation) -> str:
    """A relation's name as SQL."""
    return ObjectId("table", relation.schema, relation.name).sql()


def tables(conn: Connection, publication: str) -> tuple[Table, ...]:
    """The tables of a publication, as its stream describes them."""
    sql = queries.query("pgcharter.stream", "source.sql", "tables", conn.info.server_version // 10000)
    return tuple(_table(row) for row in conn.execute(sql.encode(), [publication]))


def _table(row: tuple[Any, ...]) -> Table:
    oid, schema, name, kind, identity, rows, condition, keys, unpublished, *columns = row
    attributes = zip(*(c or () for c in columns), strict=True)
    made = tuple(Attribute(n, o, t, k, m) for n, o, t, m, k in attributes)
    published = tuple(keys) if set(keys) <= {a.name for a in made} else ()
    of = Relation(oid, schema, name, _IDENTITIES[identity], made)
    return Table(of, published, kind == "p", rows, condition or "", tuple(unpublished))


class TypeNames:
    """Names of types by oid and modifier; any thread may ask. Raises ConnectError when the source has to be asked and cannot be."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._known: dict[tuple[int, int], str] = {}
        self._lock = threading.Lock()

    def know(self, relations: Sequence[Relation]) -> None:
        """Take over the names of columns that are known."""
        self._known.update({(c.type_oid, c.modifier): c.type for r in relations for c in r.columns})

    def __call__(self, oid: int, modifier: int) -> str:
        """The name of a type."""
        found = self._known.get((oid, modifier))
        if found is None:
            with self._lock, open_source(self._dsn) as conn:
                row = conn.execute("SELECT pg_catalog.format_type(%s, %s)", (oid, modifier)).fetchone()
            found = self._known[oid, modifier] = str(row[0]) if row else "???"
        return found


def read(conn: Connection, table: Table, after: Sequence[Value] | None, limit: int) -> Iterator[list[tuple[Value, ...]]]:
    """Rows in the order of the key, those behind `after`; without a key all of them. They come in pieces of at most `limit` and about
    PIECE bytes."""
    columns = ", ".join(quote(c.name) for c in table.relation.columns)
    conditions = [f"({table.filter})"] if table.filter else []
    if table.keys and after is not None:
        conditions.append(f"({_names(table.keys)}) > ({_typed(table.relation, table.keys, after)})")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    order = f" ORDER BY {_names(table.keys)} LIMIT {limit}" if table.keys else ""
    only = "" if table.partitioned else "ONLY "
    lines: list[bytes] = []
    size, width = 0, len(table.relation.columns)
    for line in _copied(conn, f"SELECT {columns} FROM {only}{table.sql}{where}{order}"):
        lines.append(line)
        size += len(line)
        if size > PIECE or (len(lines) == limit and not table.keys):
            yield parsed(lines, width)
            lines, size = [], 0
    if lines:
        yield parsed(lines, width)


def inserts(relation: Relation, rows: Sequence[tuple[Value, ...]], stamp: Stamp) -> list[Change]:
    """Rows as changes."""
    return [Change(relation, "insert", row, None, stamp) for row in rows]


def key_of(table: Table) -> Callable[[tuple[Value, ...]], tuple[Value, ...]]:
    """Gives the key of a row."""
    at = [i for name in table.keys for i, c in enumerate(table.relation.columns) if c.name == name]
    return lambda row: tuple(row[i] for i in at)


def _names(columns: Sequence[str]) -> str:
    return ", ".join(map(quote, columns))


def _typed(relation: Relation, columns: Sequence[str], values: Sequence[Value]) -> str:
    types = {c.name: c.type for c in relation.columns}
    return ", ".join(f"{literal(str(v))}::{types[c]}" for c, v in zip(columns, values, strict=True))


def _copied(conn: Connection, sql: str) -> Iterator[bytes]:
    """Lines of COPY. What has come already is taken without asking whether to wait, which is three times as quick."""
    try:
        with conn.cursor() as cursor, cursor.copy(f"COPY ({sql}) TO STDOUT".encode()) as copy:
            get = conn.pgconn.get_copy_data
            while line := copy.read():
                yield bytes(line)
                size, more = get(1)
                while size > 0:
                    yield bytes(more)
                    size, more = get(1)
                if size < 0:
                    _ended(conn)
                    return
    except psycopg.OperationalError as error:
        raise ConnectError(f"the source was lost while rows were read: {error.diag.message_primary or error}") from None


def _ended(conn: Connection) -> None:
    """Take what the server says at the end of COPY. Raises psycopg.Error."""
    while result := conn.pgconn.get_result():
        if result.status == ExecStatus.FATAL_ERROR:
            raise psycopg.errors.error_from_result(result)


def parsed(lines: Sequence[bytes], width: int) -> list[tuple[Value, ...]]:
    """Lines of COPY's text form, with so many columns each, as values."""
    text = b"".join(lines).decode()
    if (escapes := text.count("\\")) != text.count("\\N") or not width:
        return list(map(parse, lines))
    values: list[Value] = text.replace("\n", "\t").split("\t")  # type: ignore[assignment]
    values.pop()
    each = iter([None if v == "\\N" else v for v in values] if escapes else values)
    return list(zip(*[each] * width, strict=True))


def parse(line: bytes | memoryview | bytearray) -> tuple[Value, ...]:
    """A line of COPY's text form as values."""
    text = str(line, "utf-8")[:-1]
    if "\\" not in text:
        return tuple(text.split("\t"))
    return tuple(v if "\\" not in v else None if v == "\\N" else _ESCAPE.sub(_unescaped, v) for v in text.split("\t"))


def _unescaped(found: re.Match[str]) -> str:
    return _ESCAPES.get(found[1], found[1])


def completed(conn: Connection, relation: Relation, changes: Sequence[Change]) -> dict[int, Change | None]:
    """Changes with what PostgreSQL did not send, read anew, by their place in `changes`.

    The row may be newer than the change; what made it so follows in the stream. None: it is not there any more, which follows as well.
    """
    keys = tuple(c.name for c in relation.columns if c.key)
    at = [i for i, c in enumerate(relation.columns) if c.key]
    wanted = {i: tuple(_known(c, k) for k in at) for i, c in enumerate(changes)}
    columns = ", ".join(quote(c.name) for c in relation.columns)
    values = ", ".join(f"({_typed(relation, keys, key)})" for key in sorted(set(wanted.values()), key=str))
    rows = {
        tuple(r[k] for k in at): r
        for r in map(parse, _copied(conn, f"SELECT {columns} FROM {sql_of(relation)} WHERE ({_names(keys)}) IN ({values})"))
    }
    flush(conn)
    return {i: _filled(changes[i], rows.get(key)) for i, key in wanted.items()}


def flush(conn: Connection) -> None:
    """Return when everything that was seen on this connection is on the source's disk.

    What others committed with synchronous_commit off is seen before, and gone after a crash: a copy would keep what never was. A standby
    shows only what is on its disk. Must be called outside of transactions. COMMIT waits for the disk only where something was written to
    the log (RecordTransactionCommit, access/transam/xact.c), so a message is, which nobody reads.
    """
    message = "pg_catalog.pg_logical_emit_message(true, 'pgcharter_sync', 'flush')"
    conn.execute(f"SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN {message} END".encode())


def shown(conn: Connection) -> tuple[int, list[int]]:
    """What a snapshot taken now would not show: transactions from this number on, and these."""
    row = conn.execute(
        "SELECT pg_snapshot_xmax(s)::text::bigint, array(SELECT x::text::bigint FROM pg_snapshot_xip(s) x) FROM pg_current_snapshot() s"
    ).fetchone()
    return (int(row[0]), row[1]) if row else (0, [])


def _known(change: Change, k: int) -> Value:
    new = change.new[k] if change.new else None
    return change.old[k] if new is UNCHANGED and change.old else new


def _filled(change: Change, row: tuple[Value, ...] | None) -> Change | None:
    if row is None or change.new is None:
        return None
    return change._replace(new=tuple(r if n is UNCHANGED else n for n, r in zip(change.new, row, strict=True)))

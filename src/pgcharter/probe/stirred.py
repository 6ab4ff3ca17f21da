"""What triggers and rules make of the rows of others, and whom they tell: the other tenant at work in the copy, before it is attacked."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from pgcharter.catalog.model import Table
from pgcharter.names import ObjectId, literal, quote
from pgcharter.policy.probed import Hole
from pgcharter.probe.ground import THEIRS, THEIRS_NEW, Ground
from pgcharter.probe.session import settings

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.servers.scratch import ScratchDatabase

_CHANNEL = re.compile(r"\bpg_notify\s*\(\s*'((?:[^']|'')+)'|\bNOTIFY\s+(?:\"((?:[^\"]|\"\")+)\"|(\w+))", re.IGNORECASE)
_TELLING = 4
"""Characters from which on a value in a notice is no accident."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What was told to everybody who listens, when a table was written."""

    table: ObjectId
    channel: str
    text: str


def channels(ground: Ground) -> list[str]:
    """Channels that the project's functions and rules name."""
    texts = [*(f.body for f in ground.catalog.own_functions), *(r.definition for t in ground.catalog.own_tables for r in t.rules)]
    found = [a.replace("''", "'") or b or c.lower() for text in texts for a, b, c in _CHANNEL.findall(text)]
    return list(dict.fromkeys(found))


def work(database: ScratchDatabase, ground: Ground) -> list[Notice]:
    """Let the other tenant change, add and delete a row in every guarded table where something is set off by that."""
    conn, notices = database.conn, list[Notice]()
    busy = [t for t in ground.catalog.own_tables if t.id in ground.guards.tables and t.id in ground.rows.columns and _acting(t)]
    if not busy:
        return notices
    for channel in channels(ground):
        conn.execute(f"LISTEN {quote(channel)}".encode())
    for table in busy:

        def heard(notice: psycopg.Notify, at: ObjectId = table.id) -> None:
            notices.append(Notice(at, notice.channel, notice.payload))

        conn.add_notify_handler(heard)
        for statement in _statements(table, ground):
            with contextlib.suppress(psycopg.Error):
                conn.execute(f"BEGIN; {settings(ground.theirs)} {statement}; COMMIT".encode())
            conn.execute(b"ROLLBACK" if conn.info.transaction_status else b"SELECT 1")
        conn.remove_notify_handler(heard)
    conn.execute(b"UNLISTEN *")
    return notices


def _acting(table: Table) -> bool:
    return bool(table.rules) or any(t.enabled in ("origin", "always") for t in table.triggers)


def _statements(table: Table, ground: Ground) -> Iterator[str]:
    at, theirs = table.id.sql(), ground.is_one(table, THEIRS)
    columns = [c for c in ground.rows.columns[table.id] if table.column[c].identity != "always" and c not in ground.owned(table)]
    if theirs and columns:
        yield f"UPDATE {at} SET {', '.join(f'{quote(c)} = {quote(c)}' for c in columns)} WHERE {theirs}"
    names, row = ground.values(table, THEIRS_NEW, table.column)
    yield f"INSERT INTO {at} ({names}) OVERRIDING SYSTEM VALUE VALUES ({row})"
    added = ground.is_one(table, THEIRS_NEW)
    if added and added != theirs:
        yield f"DELETE FROM {at} WHERE {added}"


def derived(whole: Connection, part: Connection, ground: Ground) -> frozenset[ObjectId]:
    """Tables that are not guarded and hold something else now: it was made of the rows of others."""
    tables = [t.id for t in ground.catalog.own_tables if t.id not in ground.guards.tables and t.kind == "table"]
    if not tables:
        return frozenset()
    query = " UNION ALL ".join(
        f"SELECT {n}, count(*), sum(hashtextextended(t::text, 0)) FROM ONLY {at.sql()} t" for n, at in enumerate(tables)
    )
    one, other = ({n: rest for n, *rest in conn.execute(query.encode()).fetchall()} for conn in (whole, part))
    return frozenset(at for n, at in enumerate(tables) if one[n] != other[n])


def told(notices: list[Notice], ground: Ground) -> Iterator[Hole]:
    """Notices with values of the other tenant in them: any login may listen to any channel (documentation, LISTEN)."""
    for table in sorted({n.table for n in notices}):
        texts = [n for n in notices if n.table == table]
        values = {c: ground.rows.value(table, n, c) for n in (THEIRS, THEIRS + 1, THEIRS_NEW) for c in _open(table, ground)}
        found = [n for n in texts if any(v and len(v) >= _TELLING and v in n.text for v in values.values())]
        if found:
            channel = found[0].channel
            yield Hole(
                table, "", "LISTEN", "no tenant", "notices hold no values", f"{len(found)} of {len(texts)} notices hold values of others",
                f"LISTEN {quote(channel)}", f"tell only keys: pg_notify({literal(channel)}, NEW.id::text)",
            )  # fmt: skip


def _open(at: ObjectId, ground: Ground) -> list[str]:
    """Columns whose values mean something to others: no keys, and not what says whose a row is."""
    table = ground.catalog.table[at]
    keys = {c for k in table.unique_keys for c in k} | {c for k in table.foreign_keys for c in k.columns}
    telling = [c.name for c in table.columns if c.type.basic not in ("uuid", "bool", "int2", "int4")]
    return [c for c in telling if c not in keys and c not in ground.owned(table)]

"""A guide's own SQL: each check is a query that must return no row, asked of the database behind a reading, read only, within a time.

What a query returns is told a finding a row. Columns called `table` (or `table_name`), `schema` (`table_schema`) and `column`
(`column_name`) name the object it is about, `message` says it in words; anything else is shown as it is.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.sql import SQL
from psycopg.types.string import TextLoader

from pgcharter.catalog.reading import Reading
from pgcharter.findings import Finding, Gap, Severity
from pgcharter.guides.model import Clause, Guide
from pgcharter.names import ObjectId
from pgcharter.redact import redact

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.sources import Look

ROWS = 100
"""Rows of one check that are told."""
WIDTH = 120
"""Characters of a row or a value that are told."""
MESSAGE = 1000
"""Characters of a row's own `message` that are told."""
_MUCH = 4_000_000
"""Characters in what was fetched after which nothing more is: a column may hold whole documents."""
_STEPS = (1, 10, ROWS + 1 - 11)
"""Rows fetched at a time: how long a row is shows only when it is here."""
_SEVERITY = {"must": Severity.ERROR, "should": Severity.WARNING, "may": Severity.INFO}
_NAMES = {
    "table": "table", "table_name": "table", "relation": "table", "schema": "schema", "table_schema": "schema", "schema_name": "schema",
    "column": "column", "column_name": "column", "message": "message",
}  # fmt: skip


def looks(guide: Guide, *, only: Collection[str] = (), skip: Collection[str] = ()) -> tuple[Look, ...]:
    """The look that asks every own check of `guide` which is not switched off; none when there are none."""
    wanted = [c for c in guide.clauses if c.sql and c.code not in guide.off and c.code not in skip and (not only or c.code in only)]

    def look(conn: Connection, reading: Reading) -> Reading:
        for clause in wanted:
            reading = _asked(clause, conn, reading)
        return reading

    return (look,) if wanted else ()


def _asked(clause: Clause, conn: Connection, reading: Reading) -> Reading:
    """`reading` with what the check of `clause` found, or why it could not be asked."""
    if clause.on == "data" and reading.source != "live":
        return replace(reading, own={**reading.own, clause.code: "looks at data, and only a live database has any"})
    started = time.monotonic()
    try:
        names, rows, more = _rows(clause, conn, started + clause.timeout)
    except psycopg.Error as error:
        why = _refusal(clause, error, time.monotonic() - started)
        return replace(reading, own={**reading.own, clause.code: why}, findings=(*reading.findings, _failed(clause, why)))
    found = _told_apart(list(_findings(clause, names, rows, reading)))
    gaps = (Gap(f"further rows of {clause.code}", f"only the first {len(rows)} are told"),) if more else ()
    own = {**reading.own, clause.code: ""}
    return replace(reading, own=own, findings=(*reading.findings, *found), gaps=(*reading.gaps, *gaps))


def _rows(clause: Clause, conn: Connection, until: float) -> tuple[Sequence[str], list[tuple[Any, ...]], bool]:
    """Names of the columns, the rows that are told and whether there are more. The transaction can only read, waits for nobody, and is
    rolled back. Values come as PostgreSQL writes them, since Python has no date beyond the year 9999 and no infinite one."""
    with conn.transaction(force_rollback=True):
        conn.execute("set transaction read only")
        conn.execute(f"set local statement_timeout = '{clause.timeout}s'; set local lock_timeout = '2s'")
        with conn.cursor("pgcharter_own_check") as cursor:
            for kind in conn.adapters.types:
                cursor.adapters.register_loader(kind.oid, TextLoader)
                cursor.adapters.register_loader(kind.array_oid, TextLoader)
            cursor.execute(SQL(clause.sql))
            names = [c.name for c in cursor.description or ()]
            rows, more = _fetched(cursor, until)
            return names, rows, more


def _fetched(cursor: psycopg.ServerCursor[tuple[Any, ...]], until: float) -> tuple[list[tuple[Any, ...]], bool]:
    """The first rows, their values cut, and whether there are more."""
    rows: list[tuple[Any, ...]] = []
    length = 0
    for step in _STEPS:
        left = max(1, int((until - time.monotonic()) * 1000))
        cursor.connection.execute(f"set local statement_timeout = {left}")
        fetched = cursor.fetchmany(step)
        length += sum(len(value) for row in fetched for value in row if value is not None)
        rows += [tuple(None if value is None else _cut(value, MESSAGE) for value in row) for row in fetched]
        if len(fetched) < step or length > _MUCH:
            return rows[:ROWS], len(fetched) == step
    return rows[:ROWS], True


def _refusal(clause: Clause, error: psycopg.Error, seconds: float) -> str:
    if isinstance(error, psycopg.errors.QueryCanceled) and seconds >= clause.timeout * 0.9:
        return f"it took longer than its {clause.timeout} s"
    said = (error.diag.message_primary or str(error).strip() or "the connection was lost").splitlines()[0]
    return f"PostgreSQL says: {redact(said)}"


def _failed(clause: Clause, why: str) -> Finding:
    message = f"the check of clause {clause.id} could not be made, so nobody knows whether it holds: {why}"
    hint = f'mend "sql" of clause {clause.id} in guide {clause.guide}' + ('; "timeout" gives it more time' if "longer" in why else "")
    return Finding("SRC05", message, severity=Severity.ERROR, hint=hint, facts={"detail": clause.id}, clauses=(clause.id,))


def _findings(clause: Clause, names: Sequence[str], rows: Sequence[tuple[Any, ...]], reading: Reading) -> Iterator[Finding]:
    for row in rows:
        known = {_NAMES[n.lower()]: v for n, v in zip(names, row, strict=True) if n.lower() in _NAMES and v is not None}
        target = _object(known, reading)
        rest = ", ".join(f"{n} = {_short(v)}" for n, v in zip(names, row, strict=True) if target is None or n.lower() not in _NAMES)
        message = str(known.get("message") or clause.text[:1].lower() + clause.text[1:] + (f": {rest[:WIDTH]}" if rest else ""))
        facts = {"detail": rest[:WIDTH]} if rest else {}
        place = reading.places.get(target) or reading.places.get(target.owner) if target else None
        yield Finding(clause.code, message, target, place, _SEVERITY[clause.level], clause.note, facts=facts, clauses=(clause.id,))


def _told_apart(found: Sequence[Finding]) -> tuple[Finding, ...]:
    """Findings of one check with keys of their own: where keys repeat, what they say tells them apart, or else their number."""
    often = Counter(f.key for f in found)
    worded = [
        f if often[f.key] == 1 else replace(f, facts={"detail": f"{f.facts.get('detail', '')} {f.message[:WIDTH]}".strip()}) for f in found
    ]
    seen: Counter[str] = Counter()
    apart = []
    for item in worded:
        seen[item.key] += 1
        number = seen[item.key]
        apart.append(item if number == 1 else replace(item, facts={"detail": f"{item.facts['detail']} ({number})"}))
    return tuple(apart)


def _short(value: str | None) -> str:
    return "NULL" if value is None else _cut(value, WIDTH)


def _cut(value: str | bytes, width: int) -> str:
    """A value within a width, without passwords; bytes come from a database that does not know its encoding."""
    text = redact((value.decode("utf-8", errors="replace") if isinstance(value, bytes) else value)[: 10 * width])
    return text if len(text) <= width else text[: width - 1] + "…"


def _object(known: Mapping[str, Any], reading: Reading) -> ObjectId | None:
    """The relation or column that a row names; without a schema, the only relation of that name."""
    if "table" not in known or reading.catalog is None:
        return None
    catalog = reading.catalog
    relations = [i for i in (*(t.id for t in catalog.tables), *(v.id for v in catalog.views)) if str(known["table"]) in (i.name, i.sql())]
    relations = [r for r in relations if "schema" not in known or r.schema == str(known["schema"])]
    if len(relations) != 1:
        return None
    found = relations[0]
    return ObjectId("column", found.schema, found.name, str(known["column"])) if "column" in known else found

"""Copies both ways kept right: the workers of both ways, how they stand, and both sides compared."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pgcharter.db import Connection
from pgcharter.errors import RefusedError
from pgcharter.names import quote
from pgcharter.stream import source, standing
from pgcharter.stream.checkpoints import Kept
from pgcharter.stream.standing import Standing
from pgcharter.stream.twoway_begin import TwoWay, begun
from pgcharter.stream.twoway_link import SQL
from pgcharter.stream.worker import Say, Worker

_LOOKS = 8
_PAUSE = 0.5


def workers(two: TwoWay, say: Say) -> list[Worker]:
    """Those of both ways. Raises RefusedError where copying was not begun."""
    if not begun(two):
        raise RefusedError(f"copying both ways of {two.name} was not begun, or was interrupted", hint="pgcharter sync init")
    return [Worker(two.out, two.make_out, say), Worker(two.back, two.make_back, say)]


def run(some: Sequence[Worker], stop: threading.Event, *, once: bool = False) -> list[Kept]:
    """Run workers beside one another until one fails or `stop`; gives back the sinks that do not take changes.

    With `once` until everything is copied that was committed when they began.
    """
    errors: list[BaseException] = []

    def work(worker: Worker) -> None:
        try:
            worker.run(once=once)
        except BaseException as error:
            errors.append(error)
            stop.set()

    threads = [threading.Thread(target=work, args=(worker,), daemon=True) for worker in some]
    for thread in threads:
        thread.start()
    try:
        while any(t.is_alive() for t in threads) and not stop.is_set():
            threads[0].join(0.2) if threads[0].is_alive() else stop.wait(0.2)
    finally:
        for worker in some:
            worker.stop()
        for thread in threads:
            thread.join(30)
    if errors:
        raise errors[0]
    return [lane.kept for worker in some for lane in worker.lanes.values() if lane.kept.state in ("down", "refused", "lost")]


@dataclass(frozen=True)
class Stand:
    """How copying both ways stands."""

    name: str
    out: Standing
    back: Standing
    conflicts: int
    """Rows on which there was something to decide."""
    refused: int
    """Of them those that could not be here."""
    parked: int
    """Rows that cannot be at the follower for now."""
    problems: tuple[str, ...]


def look(two: TwoWay, name: str, keep: int) -> Stand:
    """Ask both sides; `name` is what the other one is called. `keep` is the most log that a slot may hold back, in bytes."""
    if not begun(two):
        none = Standing(None, (), ())
        return Stand(name, none, none, 0, 0, 0, (f"copying both ways with {name} was not begun: pgcharter sync init",))
    with source.open_source(two.here) as here, source.open_source(two.there) as there:
        out, back = standing.look(here, two.out, keep), standing.look(there, two.back, keep)
        counts = _counted(
            here,
            "SELECT count(*), count(*) FILTER (WHERE done = 'refused') FROM pgcharter_copies.conflicts WHERE origin = %s",
            two.back.slot,
        )
        parked = _counted(there, "SELECT count(*), 0 FROM pgcharter_copies.parked WHERE origin = %s", two.out.slot)[0]
    problems = [*(f"to {name}: {p}" for p in out.problems), *(f"from {name}: {p}" for p in back.problems)]
    if parked:
        problems.append(f"{parked} rows cannot be at {name}: SELECT * FROM pgcharter_copies.parked there says why")
    return Stand(name, out, back, *counts, parked, tuple(problems))


def _counted(conn: Connection, sql: str, origin: str) -> tuple[int, int]:
    row = conn.execute(sql.encode(), [origin]).fetchone()
    return (row[0], row[1]) if row else (0, 0)


@dataclass
class Compared:
    """A table of both sides."""

    table: str
    rows: int = 0
    keys: Sequence[tuple[str, ...]] = ()
    """Keys of rows that differ, and went on differing."""
    repaired: int = 0


def compare(two: TwoWay, tables: Sequence[str] = (), *, repair: bool = False) -> list[Compared]:
    """Compare both sides. What differs is looked at until it is the same, or stays as it is; `repair` tells the follower what is here.

    A repair goes the way of every other decision: a row that the follower has changed meanwhile waits for the word on that.
    """
    with source.open_source(two.here) as here, source.open_source(two.there) as there:
        published = [t for t in source.tables(here, two.out.publication) if not t.sql.startswith("pgcharter_copies.")]
        chosen = [t for t in published if not tables or not set(t.names).isdisjoint(tables)]
        return [_compare(two, here, there, table, repair=repair) for table in chosen]


def _compare(two: TwoWay, here: Connection, there: Connection, table: source.Table, *, repair: bool) -> Compared:
    found = Compared(table.sql)
    sql = _rows(table)
    differ: dict[tuple[str, ...], tuple[str, str]] = {}
    for key, one, other in _merged(here, there, sql):
        found.rows += one != ""
        if one != other:
            differ[key] = one, other
    for _ in range(_LOOKS if differ else 0):
        time.sleep(_PAUSE)
        again = {k: (one, other) for k, one, other in _merged(here, there, sql, list(differ), table) if one != other}
        settled = again == differ
        differ = {k: again[k] for k in differ if k in again}
        if settled or not differ:
            break
    found.keys = list(differ)
    if repair and differ:
        _repair(two, here, table, found)
    return found


def _rows(table: source.Table) -> str:
    """Rows of a table by their key: its columns, and what identifies all others."""
    columns = [quote(c.name) for c in sorted(table.relation.columns, key=lambda c: c.name)]
    keys = ", ".join(f"{quote(k)}::text" for k in table.keys)
    order = ", ".join(f'{quote(k)}::text COLLATE "C"' for k in table.keys)
    row = f"md5(jsonb_build_array({', '.join(f'{c}::text' for c in columns)})::text)"
    return f"SELECT {keys}, {row} FROM {table.sql}{{where}} ORDER BY {order}"


def _merged(
    here: Connection, there: Connection, sql: str, keys: Sequence[tuple[str, ...]] | None = None, table: source.Table | None = None
) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Keys of both sides with what either has; empty where it has no row."""
    where, parameters = "", []
    if keys is not None and table is not None:
        names = ", ".join(f"{quote(k)}::text" for k in table.keys)
        where = f" WHERE jsonb_build_array({names}) IN (SELECT jsonb_array_elements(%s::jsonb))"
        parameters = [json.dumps(keys)]
    sides = [_streamed(conn, sql.format(where=where), parameters) for conn in (here, there)]
    one, other = (next(side, None) for side in sides)
    while one is not None or other is not None:
        key = min(tuple(k.encode() for k in r[:-1]) for r in (one, other) if r is not None)
        mine, theirs = (r is not None and tuple(k.encode() for k in r[:-1]) == key for r in (one, other))
        yield tuple(k.decode() for k in key), one[-1] if mine and one else "", other[-1] if theirs and other else ""
        one, other = next(sides[0], None) if mine else one, next(sides[1], None) if theirs else other


def _streamed(conn: Connection, sql: str, parameters: Sequence[str]) -> Iterator[tuple[str, ...]]:
    with conn.cursor() as cursor:
        yield from cursor.stream(sql.encode(), parameters)


def _repair(two: TwoWay, here: Connection, table: source.Table, found: Compared) -> None:
    """Say of each key what is here; rows are locked, and of those that are not here the table, so that nothing comes in between."""
    types = {c.name: c.type for c in table.relation.columns}
    same = " AND ".join(f"{quote(k)} = %s::{types[k]}" for k in table.keys)
    columns = ", ".join(f"{quote(c)}::text" for c in types)
    for key in found.keys:
        with here.transaction():
            look = f"SELECT {columns} FROM {table.sql} WHERE {same} FOR UPDATE".encode()
            row = here.execute(look, list(key)).fetchone()
            if row is None:
                here.execute(f"LOCK TABLE {table.sql} IN SHARE ROW EXCLUSIVE MODE".encode())
                row = here.execute(look, list(key)).fetchone()
            shall = None if row is None else json.dumps(dict(zip(types, row, strict=True)))
            names = sorted(table.keys)
            told = [key[table.keys.index(c)] for c in names]
            here.execute(SQL["verdict"].encode(), [two.back.slot, table.sql, json.dumps(told), shall])
            here.execute(SQL["told"].encode(), [two.back.slot])
        found.repaired += 1

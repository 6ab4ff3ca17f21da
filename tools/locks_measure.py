"""What one statement does on a real server: locks by relation, files written anew, tables read whole, whether a block may hold it.

Inside a transaction block the locks are read from `pg_locks` before it is rolled back. What PostgreSQL refuses there is run in a copy of
the database while other sessions stand in its way, one for each way in which one can: whenever it waits for one, the locks it holds or
waits for are looked at.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

import psycopg
from locks_world import World

from pgcharter.catalog.effect import Mode
from pgcharter.db import Connection
from pgcharter.names import ObjectId
from pgcharter.plan.surroundings import Roles

_MODES = {"".join(part.title() for part in mode.name.split("_")) + "Lock": mode for mode in Mode}
_NAME = "(SELECT nspname FROM pg_namespace n WHERE n.oid = relnamespace), relname"
_LOCKS = f"""SELECT {_NAME}, mode FROM pg_locks JOIN pg_class c ON c.oid = relation
WHERE locktype = 'relation' AND pid = %s AND relation >= 16384"""
_DONE = """SELECT relation, mode, pg_relation_filenode(relation), pg_stat_get_xact_tuples_returned(relation), pg_stat_force_next_flush()
FROM pg_locks WHERE locktype = 'relation' AND pid = %s AND relation >= 16384"""
"""Counters of the transaction hold what earlier ones have not handed over yet; so each hands over at its end."""
_FILES = f"SELECT oid, {_NAME}, pg_relation_filenode(oid) FROM pg_class WHERE relname = ANY (%s)"
_COMMITTED = "SELECT o, pg_stat_get_tuples_returned(o) FROM unnest(%s::oid[]) o"


class Refused(Exception):  # noqa: N818
    """PostgreSQL does not accept the statement."""


@dataclass
class Seen:
    """What a statement did, by relation."""

    locks: dict[ObjectId, Mode] = field(default_factory=dict)
    rewrites: set[ObjectId] = field(default_factory=set)
    scans: set[ObjectId] = field(default_factory=set)
    transactional: bool = True

    def lock(self, relation: ObjectId, mode: Mode) -> None:
        """Take note of a lock; the strongest counts."""
        self.locks[relation] = max(mode, self.locks.get(relation, mode))


def measure(world: World, conn: Connection, sql: str, roles: Roles) -> Seen:
    """Run one statement and say what it did. Raises Refused when PostgreSQL does not accept it."""
    conn.execute("BEGIN")
    try:
        return _in_block(world, conn, sql)
    except psycopg.errors.ActiveSqlTransaction:
        pass
    except psycopg.Error as error:
        raise Refused(str(error).splitlines()[0]) from None
    finally:
        conn.execute("ROLLBACK")
    return _outside(world, sql, roles)


def _in_block(world: World, conn: Connection, sql: str) -> Seen:
    conn.execute(sql)  # type: ignore[arg-type]
    seen = Seen()
    files: dict[int, int | None] = {}
    for oid, mode, file, read, _ in conn.execute(_DONE, [conn.info.backend_pid]).fetchall():
        if oid in world.relations:
            seen.lock(world.relations[oid], _MODES[mode])
            files[oid] = file
            if world.rows.get(oid) and (read or 0) >= world.rows[oid]:
                seen.scans.add(world.relations[oid])
    _written(world, conn, seen, files)
    return seen


def _written(world: World, conn: Connection, seen: Seen, files: Mapping[int, int | None]) -> None:
    """Which of the relations have another file now. An index that was dropped and made anew under its name, on its old file, has not."""
    changed = {oid: file for oid, file in files.items() if world.files.get(oid) and file != world.files[oid]}
    gone = [world.relations[oid].name for oid, file in changed.items() if file is None]
    names = {(r[1], r[2]): r[3] for r in conn.execute(_FILES, [gone]).fetchall()} if gone else {}
    for oid, file in changed.items():
        relation = world.relations[oid]
        now = file if file is not None else names.get((relation.schema, relation.name), world.files[oid])
        if now != world.files[oid]:
            seen.rewrites.add(relation)


_WATCHED = {
    "target", "partition", "default partition", "child", "source", "detached", "partition of detached", "parent", "table of index",
    "table of parent index",
}  # fmt: skip
"""Roles on whose relations other sessions stand in the way."""
_WAYS = (
    "LOCK TABLE ONLY {} IN SHARE UPDATE EXCLUSIVE MODE",
    "UPDATE ONLY {0} SET tableoid = tableoid WHERE false",
    "DECLARE held CURSOR FOR SELECT * FROM {}; FETCH held",
)


def _outside(world: World, sql: str, roles: Roles) -> Seen:
    """Outside a block: once, with sessions that stand in its way on every side, each of which gives way when its turn has come."""
    seen = Seen(transactional=False)
    if not any(roles.values()):
        return seen
    database, tables = world.copies.get(), list(world.rows)
    ways = [
        way.format(relation.sql()).replace("SET tableoid = tableoid", _some_column(world, relation))
        for role, relations in roles.items()
        for relation in [r for r in relations if role in _WATCHED and r.kind in ("table", "materialized view")][:1]
        for way in _WAYS
    ]
    with world.connect(database) as conn:
        files, read = _all_files(conn, world), _counts(conn, tables)
        _disturbed(world, database, conn, sql, ways, seen)
        conn.execute("SELECT pg_stat_force_next_flush()")
        seen.rewrites |= {relation for relation, file in _all_files(conn, world).items() if files.get(relation, file) != file}
        now = _counts(conn, tables)
        seen.scans |= {world.relations[oid] for oid, rows in world.rows.items() if rows and now.get(oid, 0) - read.get(oid, 0) >= rows}
    return seen


def _all_files(conn: Connection, world: World) -> Mapping[ObjectId, int]:
    """Files by relation; one that was made anew under its old name counts as the same."""
    known = world.named
    rows = conn.execute(_FILES, [[r.name for r in world.relations.values()]]).fetchall()
    return {known[schema, name]: file for _, schema, name, file in rows if file is not None and (schema, name) in known}


def _counts(conn: Connection, tables: list[int]) -> Mapping[int, int]:
    return {oid: count or 0 for oid, count in conn.execute(_COMMITTED, [tables]).fetchall()}


def _disturbed(world: World, database: str, conn: Connection, sql: str, ways: list[str], seen: Seen) -> None:
    """Run the statement against sessions in its way; look at what it holds and waits for whenever one does, then end that one."""
    with ExitStack() as stack:
        watcher = stack.enter_context(world.connect(database))
        blockers: dict[int, Connection] = {}
        for way in ways:
            blocker = stack.enter_context(world.connect(database))
            blocker.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            with suppress(psycopg.Error):
                blocker.execute(way)  # type: ignore[arg-type]
                blockers[blocker.info.backend_pid] = blocker
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(conn.execute, sql)  # type: ignore[arg-type]
            while not running.done():
                _watch(world, watcher, conn.info.backend_pid, blockers, seen)
        try:
            running.result()
        except psycopg.Error as error:
            raise Refused(str(error).splitlines()[0]) from None


def _some_column(world: World, relation: ObjectId) -> str:
    from pgcharter.names import quote

    table = world.catalog.table.get(relation)
    plain = [c.name for c in table.columns if not c.generated] if table else ["x"]
    return f"SET {quote(plain[0])} = {quote(plain[0])}"


def _watch(world: World, watcher: Connection, pid: int, blockers: dict[int, Connection], seen: Seen) -> None:
    """When `pid` waits for one of the blockers, note its locks and end that one. What it holds in passing is left to chance."""
    row = watcher.execute("SELECT pg_blocking_pids(%s)", [pid]).fetchone()
    waited = blockers.keys() & set(row[0] if row else ())
    if not waited:
        time.sleep(0.0005)
        return
    for schema, name, mode in watcher.execute(_LOCKS, [pid]).fetchall():
        if (schema, name) in world.named:
            seen.lock(world.named[schema, name], _MODES[mode])
    blockers.pop(min(waited, key=list(blockers).index)).execute("ROLLBACK")

"""What a statement does to everybody else, seen while it is built: locks, rewrites and scans, and whether it runs in a transaction.

Each statement goes to the server together with a question about the locks that its transaction holds, so nothing is asked twice and the
work of DO blocks and of functions they call is seen like everything else. A statement that PostgreSQL refuses in such company ("cannot
run inside a transaction block") is sent again by itself, and what it does is looked up in what servers have shown (`plan.safety`).

Scans are told by the server's own messages of level DEBUG1: from `ATRewriteTable` ("verifying table"), `index_build` and
`validateForeignKeyConstraint` (src/backend/commands/tablecmds.c and catalog/index.c of PostgreSQL 15 to 18). A rewrite is a new file node.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import psycopg

from pgcharter.catalog.effect import Effect, Lock, Mode
from pgcharter.db.queries import query
from pgcharter.findings import Place
from pgcharter.names import ObjectId
from pgcharter.plan import safety
from pgcharter.sqltext import Statement

if TYPE_CHECKING:
    from pgcharter.db import Connection

_QUIET = frozenset(
    """
    comment_stmt create_function_stmt alter_function_stmt grant_stmt grant_role_stmt variable_set_stmt create_enum_stmt create_domain_stmt
    alter_default_privileges_stmt define_stmt create_cast_stmt create_conversion_stmt create_op_class_stmt create_op_family_stmt
    create_range_stmt create_transform_stmt
    """.split()  # noqa: SIM905
)
"""Kinds that make no relation and disturb nobody; they are most of a dump, and not asked about."""
_BEFORE = "SET LOCAL client_min_messages TO debug1; "
_READING = ("index_stmt", "alter_domain_stmt")
"""Kinds that read every table whole that they keep from being written."""
_ALONE = ("25001", "2D000", "26000", "42601")
"""SQLSTATEs after which a statement is tried by itself: refused in a transaction block; a COMMIT inside; the prepared question thrown away
by the statement itself; a message about what was added to its text."""
_OPEN = ("do_stmt", "call_stmt", "select_stmt")
"""Kinds that may make relations of which nothing is known when they were run alone."""
_KINDS = {"r": "table", "p": "table", "f": "table", "v": "view", "m": "materialized view", "i": "index", "I": "index", "S": "sequence"}
_MODES = {f"{mode.name.title().replace('_', '')}Lock": mode for mode in Mode}
_SCANNING = frozenset({"ATRewriteTable", "index_build"})
_CHECKING = "validateForeignKeyConstraint"
_SPARING = "check_default_partition_contents"
_Row = tuple[int, str | None, str | None, str, str, int]


@dataclass(frozen=True, slots=True)
class _Relation:
    id: ObjectId
    node: int
    """Number of its file; 0 when it has none."""


@dataclass
class Trace:
    """What was seen of the statements that were built on one scratch database."""

    major: int = 0
    effects: dict[Place, Effect] = field(default_factory=dict)
    """By the place of the statement; statements that a program emits at one place count as one."""
    _known: dict[int, _Relation] = field(default_factory=dict)
    """Relations by OID, as they were after the last statement: what is not in here has just been made."""
    _name: str = field(default_factory=lambda: f"pgcharter_{secrets.token_hex(4)}")
    _conn: Connection | None = None
    _said: list[tuple[str, str]] = field(default_factory=list)
    """Function of the server and message, of the statement that runs."""

    def start(self, conn: Connection) -> None:
        """Take note of what the database holds already: only of that is told what statements do to it."""
        self._remember(conn.execute(query("pgcharter.sources", "trace.sql", "relations", self.major).encode()).fetchall())

    def run(self, conn: Connection, statement: Statement, mark: str, sql: str) -> None:
        """Send `sql` behind `mark` and note what it does. PostgreSQL's errors are raised, with positions counted from the mark's end plus
        `SHIFT`."""
        if statement.kind in _QUIET:
            conn.execute((mark + " " * SHIFT + sql).encode())
            return
        self._listen(conn)
        self._said.clear()
        try:
            rows = self._together(conn, mark, _BEFORE if _may_scan(statement) else " " * SHIFT, sql)
        except psycopg.Error as error:
            if error.sqlstate not in _ALONE:
                raise
            conn.execute((mark + " " * SHIFT + sql).encode())
            self._ran_alone(conn, statement)
            return
        self._note(statement.place, self._effect(statement, rows))

    def _listen(self, conn: Connection) -> None:
        if conn is not self._conn:
            conn.add_notice_handler(lambda said: self._said.append((said.source_function or "", said.message_primary or "")))
            self._conn = conn

    def _together(self, conn: Connection, mark: str, before: str, sql: str) -> list[_Row]:
        """Send the statement and the question; the question is prepared when the session does not know it (yet, or any more)."""
        text = (f"{mark}{before}{sql}\n; EXECUTE {self._name}").encode()
        try:
            return _last(conn.execute(text))
        except psycopg.errors.InvalidSqlStatementName as error:
            if self._name not in str(error):
                raise
        held = query("pgcharter.sources", "trace.sql", "held", self.major)
        conn.execute(f"PREPARE {self._name} AS {held}".encode())
        self._said.clear()
        return _last(conn.execute(text))

    def _ran_alone(self, conn: Connection, statement: Statement) -> None:
        if statement.kind in _OPEN:
            self.start(conn)
        looked_up = Effect(known=False) if statement.kind in _OPEN else safety.effect(statement, None, self.major, path=_path(conn))
        self._note(statement.place, replace(looked_up, transactional=False))

    def _note(self, place: Place, effect: Effect) -> None:
        before = self.effects.get(place)
        self.effects[place] = _joined(before, effect) if before else effect

    def _remember(self, rows: Iterable[_Row]) -> None:
        for oid, _, kind, schema, name, node in rows:
            if kind in _KINDS:
                self._known[oid] = _Relation(ObjectId(_KINDS[kind], schema, name), node)

    def _effect(self, statement: Statement, rows: list[_Row]) -> Effect:
        """What the locks and messages tell of the relations that were there before."""
        modes: dict[int, Mode] = {}
        for oid, mode, *_ in rows:
            if oid in self._known and mode in _MODES:
                modes[oid] = max(modes.get(oid, Mode.ACCESS_SHARE), _MODES[mode])
        nodes = {row[0]: row[5] for row in rows if row[5]}
        rewritten = [self._known[oid].id for oid in modes if nodes.get(oid, self._known[oid].node) != self._known[oid].node]
        locks = {self._known[oid].id: mode for oid, mode in modes.items()}
        idle = statement.kind == "index_stmt" and not any(row[2] in ("i", "I") and row[0] not in self._known for row in rows)
        self._remember(rows)
        return Effect(
            locks=tuple(Lock(target, mode) for target, mode in sorted(locks.items())),
            rewrites=tuple(sorted(rewritten)),
            scans=() if idle else tuple(sorted(self._scanned(statement, locks))),
        )

    def _scanned(self, statement: Statement, locks: dict[ObjectId, Mode]) -> set[ObjectId]:
        tables = [t for t in locks if t.kind in ("table", "materialized view")]
        if statement.kind in _READING:
            return {t for t in tables if locks[t] >= Mode.SHARE}
        if statement.kind == "create_stmt":
            return self._default_partitions(statement, tables, locks)
        found: set[ObjectId] = set()
        for function, message in self._said:
            if function in _SCANNING:
                found.update(t for t in tables if _says(message, t.name))
            elif function == _CHECKING:
                found.update(_altered(statement, [t for t in tables if locks[t] >= Mode.SHARE_UPDATE_EXCLUSIVE]))
        return found

    def _default_partitions(self, statement: Statement, tables: list[ObjectId], locks: dict[ObjectId, Mode]) -> set[ObjectId]:
        """Existing partitions that a new one makes PostgreSQL look through: it says nothing of it, only of those it need not read."""
        parents = {node.range_var.relname for node in statement.node.inh_relations}
        implied = [message for function, message in self._said if function == _SPARING]
        strong = (t for t in tables if locks[t] is Mode.ACCESS_EXCLUSIVE and t.name not in parents)
        return {t for t in strong if statement.node.HasField("partbound") and not any(_says(message, t.name) for message in implied)}


SHIFT = len(_BEFORE)
"""Characters that stand between the mark and the statement."""


def _path(conn: Connection) -> tuple[str, ...]:
    """The schemas in which the session looks up names."""
    row = conn.execute("SELECT pg_catalog.current_schemas(false)::text[]").fetchone()
    return tuple(row[0]) if row and row[0] else ("public",)


def _may_scan(statement: Statement) -> bool:
    """Whether the server's messages are worth their time: they tell of scans of which the kind of statement does not."""
    kind = statement.kind
    return kind in ("alter_table_stmt", *_OPEN) or (kind == "create_stmt" and statement.node.HasField("partbound"))


def _last(cursor: psycopg.Cursor[tuple[object, ...]]) -> list[_Row]:
    """The rows of the last result."""
    while cursor.nextset():
        pass
    return cursor.fetchall()  # type: ignore[return-value]


def _says(message: str, name: str) -> bool:
    """Whether a message of the server, in whatever language, names the relation."""
    return re.search(f'["«„]{re.escape(name)}["»“]', message) is not None


def _altered(statement: Statement, tables: list[ObjectId]) -> list[ObjectId]:
    """Of `tables` those that an ALTER TABLE is about; all of them when it is none (the message names only the key)."""
    if statement.kind != "alter_table_stmt":
        return tables
    return [t for t in tables if t.name == statement.node.relation.relname] or tables


def _joined(first: Effect, second: Effect) -> Effect:
    """Both effects as one."""
    modes: dict[ObjectId, Mode] = {}
    for lock in (*first.locks, *second.locks):
        modes[lock.relation] = max(modes.get(lock.relation, Mode.ACCESS_SHARE), lock.mode)
    return Effect(
        locks=tuple(Lock(target, mode) for target, mode in sorted(modes.items())),
        rewrites=tuple(sorted({*first.rewrites, *second.rewrites})),
        scans=tuple(sorted({*first.scans, *second.scans})),
        transactional=first.transactional and second.transactional,
        known=first.known and second.known,
    )

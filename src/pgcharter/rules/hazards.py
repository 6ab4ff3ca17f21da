"""What the hazard rules share: what a statement does to a table in use, how much that weighs, and how the way around it is written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pgcharter.catalog.effect import Effect, Mode
from pgcharter.catalog.model import RelationStats
from pgcharter.catalog.reading import Destination
from pgcharter.findings import Finding, Severity
from pgcharter.names import ObjectId
from pgcharter.plan import safety
from pgcharter.plan.safe_ground import counted
from pgcharter.rules.engine import Context
from pgcharter.rules.moves import Move, written
from pgcharter.sqltext import Statement, enum_name, walk

NEWEST = 18
"""Major version that is meant where no server says which."""
_HELD = ("table", "materialized view")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a statement was seen, or is known, to do to one table."""

    mode: Mode | None
    rewritten: bool
    scanned: bool

    @property
    def long(self) -> bool:
        """Whether it keeps others from writing for as long as it takes to read or write the table."""
        return (self.rewritten or self.scanned) and self.mode is not None and self.mode.stops_writes


def effect(move: Move) -> Effect | None:
    """What `move` was seen to do; None when no server saw it."""
    return move.effect if move.effect is not None and move.effect.known else None


def seen(move: Move, node: Any) -> Seen | None:
    """What `move` was seen to do to the table that a RangeVar names, and to its partitions and heirs; None when no server saw it."""
    found = effect(move)
    return _of_all(move, found, node) if found is not None else None


def rewrites_for_certain(ctx: Context, move: Move) -> bool:
    """Whether servers have shown that statements of this form write the table anew whatever it is like: for texts that none has seen."""
    found = safety.effect(move.statement, None, ctx.catalog.major or NEWEST, timezone=move.settings.get("timezone", ""))
    return found.known and bool(found.rewrites)


def _of_all(move: Move, found: Effect, node: Any) -> Seen:
    """Of a table that was seen: what is written anew or read whole beside it are its partitions and heirs."""
    used = {k.relation for k in found.locks if k.relation.kind in _HELD and not move.is_fresh(k.relation.schema, k.relation.name)}
    rewritten, scanned = used & set(found.rewrites), used & set(found.scans)
    modes = [k.mode for k in found.locks if _is(k.relation, node) or k.relation in rewritten | scanned]
    return Seen(max(modes, default=None), bool(rewritten), bool(scanned))


def _is(target: ObjectId, node: Any) -> bool:
    return target.kind in _HELD and target.name == node.relname and (not node.schemaname or target.schema in (node.schemaname, ""))


def in_use(move: Move, least: Mode = Mode.SHARE) -> Iterator[tuple[ObjectId, Mode]]:
    """Tables that were there before the migration and on which `move` takes a lock of at least `least`."""
    found = effect(move)
    for lock in found.locks if found else ():
        if lock.mode >= least and lock.relation.kind in _HELD and not move.is_fresh(lock.relation.schema, lock.relation.name):
            yield lock.relation, lock.mode


@dataclass(frozen=True, slots=True)
class Size:
    """How large a table is in the database that the migrations are meant for, its partitions included."""

    rows: float
    """Estimate; -1 when nothing has been counted yet."""
    bytes: int

    def small(self, most: int) -> bool:
        """Whether to read it, or write it anew, takes no time that anybody notices."""
        return 0 <= self.rows < most and self.bytes < _SMALL_BYTES

    def __str__(self) -> str:
        rows = f"{counted(self.rows)} rows" if self.rows >= 0 else "rows not counted"
        return f"{rows}, {_in_bytes(self.bytes)}" if self.bytes else rows


_SMALL_BYTES = 64 * 2**20
"""Read from a cold disk in less than half a second."""


def _in_bytes(number: float) -> str:
    for unit in ("kB", "MB", "GB"):
        number /= 1024
        if number < 1000:
            return f"{number:.3g} {unit}"
    return f"{number / 1024:,.3g} TB"


def size(ctx: Context, table: Any) -> Size | None:
    """How large a table (a RangeVar or an ObjectId) is where the migrations go; None when no such database is at hand."""
    where = ctx.reading.destination
    if where is None or table is None:
        return None
    schema, name = (table.schema, table.name) if isinstance(table, ObjectId) else (table.schemaname, table.relname)
    return _sum(where, [r.id for r in where.catalog.relation.values() if r.name == name and schema in ("", r.schema)])


def small(ctx: Context, table: Any) -> bool:
    """Whether a table is known to be so small that to read it, or write it anew, takes no time that anybody notices."""
    found = size(ctx, table)
    return found is not None and found.small(ctx.options.small_table_rows)


def _sum(where: Destination, tables: list[ObjectId]) -> Size:
    """Tables with all their partitions and heirs; one that is not there has no rows."""
    found = {t: where.stats.relations.get(t, RelationStats()) for t in _with_heirs(where, tables)}
    rows = [_rows(f) for t, f in found.items() if t not in where.catalog.partitions]
    return Size(-1 if min(rows, default=0) < 0 else sum(rows), sum(f.bytes for f in found.values()))


def _with_heirs(where: Destination, tables: Iterable[ObjectId]) -> set[ObjectId]:
    found, rest = set[ObjectId](), list(tables)
    while rest:
        table = rest.pop()
        if table not in found:
            found.add(table)
            rest += [heir.id for heir in where.catalog.children.get(table, ())]
    return found


def _rows(seen: RelationStats) -> float:
    """Rows by the planner's estimate, else by the counters; -1 where neither knows, 0 where nothing was ever written."""
    if seen.rows > 0 or seen.live:
        return seen.rows if seen.rows > 0 else seen.live
    return -1 if seen.rows < 0 and (seen.bytes or seen.written) else 0


def costly(ctx: Context, move: Move, table: Any, message: str, *, hint: str, detail: str) -> Iterator[Finding]:
    """The finding that others wait for as long as a table (RangeVar, ObjectId; None: any) is large; none where it is known to be small."""
    found = size(ctx, table)
    if found is None:
        yield ctx.finding(move.statement, message, hint=hint, detail=detail)
    elif not found.small(ctx.options.small_table_rows):
        grave = Severity.ERROR if found.rows >= ctx.options.large_table_rows else None
        yield ctx.finding(
            move.statement, f"{message} ({found})", hint=hint, detail=detail, severity=grave, rows=round(found.rows), bytes=found.bytes
        )


_INDEX = re.compile(
    r"(?P<head>\s*(?:CREATE\s+(?:UNIQUE\s+)?|DROP\s+)INDEX)\b(?:\s+CONCURRENTLY\b)?(?P<exists>\s+IF\s+NOT\s+EXISTS\b)?", re.I
)


def concurrently(text: str) -> str:
    """A CREATE INDEX or DROP INDEX as it was written, but CONCURRENTLY, and without IF NOT EXISTS, which keeps an invalid index."""
    return _INDEX.sub(lambda m: m["head"] + " CONCURRENTLY", text, count=1)


def held(move: Move) -> Iterator[tuple[str, Mode]]:
    """Names of the tables in use that `move` keeps from being written, with the mode of the lock."""
    if effect(move) is not None:
        yield from ((table.sql(), mode) for table, mode in in_use(move))
        return
    found = safety.effect(move.statement, None, NEWEST, timezone=move.settings.get("timezone", ""), path=("",))
    for lock in found.locks if found.known else ():
        table = lock.relation
        if lock.mode.stops_writes and table.kind in _HELD and not move.is_fresh(table.schema, table.name):
            yield table.sql(), lock.mode


def spread(move: Move) -> dict[ObjectId, tuple[Mode, bool]]:
    """Tables in use that a block locks against writers, and whether it reads or writes them whole meanwhile."""
    found = effect(move)
    touched = {*found.scans, *found.rewrites} if found else set()
    return {table: (mode, table in touched) for table, mode in in_use(move)}


def many_rows(move: Move) -> str:
    """`UPDATE orders` where a statement may change many rows of a table in use; empty where it does not, or names rows by a value."""
    node, kind = move.statement.node, move.statement.kind
    if kind not in ("update_stmt", "delete_stmt", "merge_stmt", "insert_stmt") or move.fresh(node.relation):
        return ""
    if kind == "insert_stmt":
        return f"INSERT INTO {written(node.relation)}" if node.select_stmt.select_stmt.from_clause else ""
    if kind != "merge_stmt" and pinned(node.where_clause, node.relation.alias.aliasname or node.relation.relname):
        return ""
    return f"{kind.removesuffix('_stmt').upper()} {'FROM ' * (kind == 'delete_stmt')}{written(node.relation)}"


def pinned(where: Any, table: str) -> bool:
    """Whether a condition compares a column of `table` with given values, or with a window of another query: it names some rows, then."""
    which = where.WhichOneof("node")
    if which == "bool_expr":
        tests = [pinned(a, table) for a in where.bool_expr.args]
        if enum_name(where.bool_expr, "boolop") != "AND_EXPR":
            return bool(tests) and all(tests)
        signs = {_sign(a, table) for a in where.bool_expr.args}
        return any(tests) or bool(signs & {"<", "<="} and signs & {">", ">="})
    if which == "sub_link":
        return any(name == "SelectStmt" and node.HasField("limit_count") for name, node in walk(where.sub_link))
    return which == "current_of_expr" or _sign(where, table) == "="


def _sign(test: Any, table: str) -> str:
    """The operator by which a test compares a column with something given: `=` for IN and BETWEEN too; empty when it does neither."""
    expression = test.a_expr
    sides = {s.WhichOneof("node") for s in (expression.lexpr, expression.rexpr)}
    named = [s.column_ref.fields[0].string.sval for s in (expression.lexpr, expression.rexpr) if len(s.column_ref.fields) > 1]
    if (
        any(name != table for name in named)
        or test.WhichOneof("node") != "a_expr"
        or not sides & {"column_ref", "row_expr"}
        or not sides & _GIVEN
    ):
        return ""
    kind = enum_name(expression, "kind")
    return "=" if kind in ("AEXPR_IN", "AEXPR_BETWEEN", "AEXPR_OP_ANY") else expression.name[-1].string.sval if kind == "AEXPR_OP" else ""


_GIVEN = {"a_const", "param_ref", "list", "type_cast", "a_array_expr", "sub_link"}


def instead(statements: str | Iterable[str], note: str = "") -> str:
    """A hint that gives the statements to write in the place of what was found, and what else is to be known; only that without them."""
    given = [statements] if isinstance(statements, str) else list(statements)
    texts = [" ".join(s.split()) if not re.search(r"['\"]|--|/\*", s) else s for s in given if s]
    return f"instead: {'; '.join(texts)}" + (f" ({note})" if note else "") if texts else note


def partitioned(ctx: Context, node: Any) -> bool:
    """Whether the catalog has a partitioned table of that name."""
    return any(t.partition_key and t.name == node.relname and node.schemaname in ("", t.schema) for t in ctx.catalog.tables)


_ALONE = {"createdb_stmt": "CREATE DATABASE", "dropdb_stmt": "DROP DATABASE", "alter_system_stmt": "ALTER SYSTEM",
          "create_table_space_stmt": "CREATE TABLESPACE", "drop_table_space_stmt": "DROP TABLESPACE"}  # fmt: skip


def alone(statement: Statement) -> str:
    """Name of a statement that PostgreSQL refuses inside a transaction; empty for others."""
    node, kind = statement.node, statement.kind
    if kind == "index_stmt" and node.concurrent:
        return "CREATE INDEX CONCURRENTLY"
    if kind == "drop_stmt" and node.concurrent:
        return "DROP INDEX CONCURRENTLY"
    if kind == "reindex_stmt" and any(p.def_elem.defname == "concurrently" for p in node.params):
        return "REINDEX CONCURRENTLY"
    if kind == "vacuum_stmt" and node.is_vacuumcmd:
        return "VACUUM"
    if kind == "alter_table_stmt":
        detached = (getattr(i.alter_table_cmd, "def").partition_cmd for i in node.cmds)
        return "DETACH PARTITION CONCURRENTLY" if any(d.concurrent for d in detached) else ""
    return _ALONE.get(kind, "")

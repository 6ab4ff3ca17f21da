"""Migrations: indexes made or dropped while others want to work with the table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pgcharter.findings import Finding, Severity
from pgcharter.names import quote
from pgcharter.rules.engine import Context, rule
from pgcharter.rules.hazards import concurrently, costly, in_use, instead, partitioned, seen
from pgcharter.rules.moves import Move, dotted, moves, written
from pgcharter.sqltext import enum_name

_OWN_FILE = "in a migration of its own, outside any transaction"


@rule("MIG01", "index-built-while-writes-wait", Severity.WARNING, needs="text")
def index_built_while_writes_wait(ctx: Context) -> Iterator[Finding]:
    """An index built on a table that is in use, without CONCURRENTLY.

    Why: CREATE INDEX keeps every INSERT, UPDATE and DELETE out of the table (SHARE lock) until the index is done: minutes on a large one.
    Instead: `CREATE INDEX CONCURRENTLY`, outside a transaction; a failed build leaves an invalid index, which is dropped and built again.
    On a partitioned table: CREATE INDEX ON ONLY the parent, CONCURRENTLY on each partition, then ALTER INDEX ... ATTACH PARTITION.
    Except: tables that the same migration makes.
    """
    for move in moves(ctx):
        node = move.statement.node
        if move.statement.kind != "index_stmt" or node.concurrent or move.fresh(node.relation):
            continue
        found = seen(move, node.relation)
        if found is not None and not found.long:
            continue
        parent = partitioned(ctx, node.relation)
        hint = _ON_PARTITIONS if parent else _OWN_FILE
        yield from costly(
            ctx, move, node.relation,
            f"{_index(node)} is built on {written(node.relation)} with all writes to it stopped until it is done",
            hint=instead(_on_only(move.statement.text) if parent else concurrently(move.statement.text), hint),
            detail=node.idxname or written(node.relation),
        )  # fmt: skip


_ON_PARTITIONS = "then CREATE INDEX CONCURRENTLY on each partition, and ALTER INDEX ... ATTACH PARTITION for each"


def _on_only(text: str) -> str:
    """A CREATE INDEX on a partitioned table, on that alone: it is invalid until every partition has given its own."""
    return re.sub(r"(\sON\s+)(?!ONLY\b)", r"\1ONLY ", text, count=1, flags=re.IGNORECASE)


def _index(node: Any) -> str:
    kind = "unique index" if node.unique else "index"
    return f"{kind} {quote(node.idxname)}" if node.idxname else f"an {kind}" if kind == "index" else f"a {kind}"


@rule("MIG02", "index-dropped-while-reads-wait", Severity.WARNING, needs="text")
def index_dropped_while_reads_wait(ctx: Context) -> Iterator[Finding]:
    """An index dropped from a table that is in use, without CONCURRENTLY.

    Why: DROP INDEX takes the strongest lock on the table. It is held briefly, but while it waits behind a long query everybody else,
    readers too, waits behind it.
    Instead: `DROP INDEX CONCURRENTLY`, one index a statement, outside a transaction.
    Except: indexes that the same migration makes; indexes of partitioned tables, for which PostgreSQL has no such form.
    """
    for move in moves(ctx):
        node = move.statement.node
        if move.statement.kind != "drop_stmt" or node.concurrent or enum_name(node, "remove_type") != "OBJECT_INDEX":
            continue
        found = [dotted(o.list.items) for o in node.objects]
        used = [pair for pair in found if not move.is_fresh(*pair)]
        measured = move.effect is not None and move.effect.known
        if not used or (measured and not _drops_from_used(ctx, move)):
            continue
        names = ["".join(f"{quote(s)}." for s in (schema,) if s) + quote(name) for schema, name in used]
        exists = "IF EXISTS " * node.missing_ok
        plain = enum_name(node, "behavior") != "DROP_CASCADE" and len(used) == len(found)
        yield ctx.finding(
            move.statement,
            f"{'indexes' if names[1:] else 'index'} {', '.join(names)} {'are' if names[1:] else 'is'} dropped under the strongest lock on "
            "the table: while that waits for one long query, all readers and writers wait behind it",
            hint=instead([f"DROP INDEX CONCURRENTLY {exists}{name}" for name in names if plain], _OWN_FILE), detail=", ".join(names),
        )  # fmt: skip


def _drops_from_used(ctx: Context, move: Move) -> bool:
    return any(not any(t.id == table and t.partition_key for t in ctx.catalog.tables) for table, _ in in_use(move))


@rule("MIG03", "reindex-while-others-wait", Severity.WARNING, needs="text")
def reindex_while_others_wait(ctx: Context) -> Iterator[Finding]:
    """REINDEX without CONCURRENTLY.

    Why: REINDEX keeps writers out of the table and keeps out readers that would use the index, for as long as the building takes.
    Instead: `REINDEX (CONCURRENTLY) TABLE app.orders`, outside a transaction.
    Except: REINDEX SYSTEM, for which there is no such form.
    """
    for move in moves(ctx):
        node = move.statement.node
        if move.statement.kind != "reindex_stmt" or enum_name(node, "kind") == "REINDEX_OBJECT_SYSTEM":
            continue
        options = {p.def_elem.defname for p in node.params}
        if "concurrently" in options or (node.HasField("relation") and move.fresh(node.relation)):
            continue
        word = enum_name(node, "kind").removeprefix("REINDEX_OBJECT_")
        name = written(node.relation) if node.HasField("relation") else quote(node.name) if node.name else ""
        others = "".join(f", {o.upper()}" for o in sorted(options))
        yield from costly(
            ctx, move, node.relation if word == "TABLE" else None,
            f"REINDEX {word} {name}".strip() + " keeps writers out, and readers that would use the indexes, until they are built",
            hint=instead(f"REINDEX (CONCURRENTLY{others}) {word} {name}".strip(), _OWN_FILE), detail=name,
        )  # fmt: skip


@rule("MIG05", "concurrently-if-not-exists", Severity.WARNING, needs="text")
def concurrently_if_not_exists(ctx: Context) -> Iterator[Finding]:
    """CREATE INDEX CONCURRENTLY IF NOT EXISTS.

    Why: a concurrent build that fails leaves an invalid index under that name: it costs every write and serves no query. The next try
    finds the name taken, does nothing, and says that all is well.
    Instead: drop what may be left, then build: `DROP INDEX CONCURRENTLY IF EXISTS i` and `CREATE INDEX CONCURRENTLY i ON ...`.
    Except: none.
    """
    dropped: set[str] = set()
    for move in moves(ctx):
        node = move.statement.node
        if move.statement.kind == "drop_stmt" and enum_name(node, "remove_type") == "OBJECT_INDEX":
            dropped.update(dotted(o.list.items)[1] for o in node.objects)
        if move.statement.kind == "index_stmt" and node.concurrent and node.if_not_exists and node.idxname not in dropped:
            schema = f"{quote(node.relation.schemaname)}." if node.relation.schemaname else ""
            yield ctx.finding(
                move.statement,
                f"index {quote(node.idxname)} is kept when an earlier build has failed and left it invalid: no query will use it",
                hint=instead([f"DROP INDEX CONCURRENTLY IF EXISTS {schema}{quote(node.idxname)}", concurrently(move.statement.text)]),
                detail=node.idxname,
            )

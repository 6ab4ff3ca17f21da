"""Advice on indexes: those that nobody reads on any node, that are there twice, that do not work, and keys without one. A proposal each:
facts, exact SQL, and the SQL that takes it back. Nothing is ever done.

What a schema alone shows is found by the rules (IDX01 to IDX04, KEY20); what only counters and other nodes show is added here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from pgcharter import guides
from pgcharter.catalog.model import Catalog, Index, Stats, Table
from pgcharter.catalog.reading import Reading
from pgcharter.findings import Finding, Gap
from pgcharter.names import ObjectId, quote
from pgcharter.rules import engine, shapes
from pgcharter.watch.advise_nodes import Node, quiet, unseen

Kind = Literal["invalid", "duplicate", "redundant", "unused", "missing"]
KINDS: Mapping[str, Kind] = {"IDX04": "invalid", "IDX01": "duplicate", "IDX02": "redundant", "IDX03": "redundant", "KEY20": "missing"}
LARGE, SOME = 10_000, 1_000
"""Rows from which a foreign key needs its index; from which it does where referenced rows are deleted."""
_LEFT_OVER = re.compile(r"_cc(?:new|old)\d*$")


@dataclass(frozen=True)
class Advice:
    """One proposal."""

    kind: Kind
    index: ObjectId
    """The index; for a missing one the foreign key."""
    says: str
    sql: tuple[str, ...] = ()
    """What to run; empty where it is not proven enough to be proposed."""
    undo: tuple[str, ...] = ()
    """What takes it back."""
    rule: str = ""
    """Code of the rule that found it."""
    hint: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Advised:
    """All of it."""

    advice: tuple[Advice, ...]
    gaps: tuple[Gap, ...]
    nodes: tuple[Node, ...]
    small: int = 0
    """Foreign keys without an index whose tables are so small that it does not matter."""


def advise(catalog: Catalog, stats: Stats, nodes: Sequence[Node], window: timedelta, smallest: int) -> Advised:
    """What to do about the indexes of a database; `smallest`: bytes below which an unused one is left alone."""
    indexes = {i.id: (t, i) for t in catalog.own_tables for i in t.indexes}
    found = [f for f in _ruled(catalog, stats) if f.object not in nodes[0].building]
    keys = [f for f in found if f.code == "KEY20"]
    needed = [f for f in keys if _matters(f, catalog, stats, nodes)]
    made = [_from_rule(f, indexes, nodes) for f in found if f.code != "KEY20"] + [_missing(f, catalog, stats, nodes) for f in needed]
    spoken = {a.index for a in made} | _relied_on(found, indexes)
    gaps = unseen(nodes, window.total_seconds())
    silent = list(_unused(catalog, nodes, window.total_seconds(), smallest, spoken))
    made += [_drop(table, index, size, nodes, window, proven=not gaps) for table, index, size in silent]
    order = list(dict.fromkeys((*KINDS.values(), "unused")))
    return Advised(
        tuple(sorted(made, key=lambda a: (order.index(a.kind), -int(a.facts.get("bytes") or 0), a.index.sql()))),
        tuple(gaps) if silent else (), tuple(nodes), len(keys) - len(needed),
    )  # fmt: skip


def _ruled(catalog: Catalog, stats: Stats) -> tuple[Finding, ...]:
    codes = engine.load()
    reading = Reading(target="", source="live", catalog=catalog, stats=stats)
    return engine.run(reading, guides.load("core", codes=codes), only=tuple(KINDS)).findings


def _from_rule(found: Finding, indexes: Mapping[ObjectId, tuple[Table, Index]], nodes: Sequence[Node]) -> Advice:
    assert found.object is not None  # noqa: S101
    table, index = indexes[found.object]
    facts = {"table": table.id.sql(), "bytes": _bytes(nodes[0], index.id), **found.facts}
    sql, undo = found.fix, _again(table, index)
    if found.code == "IDX04":
        undo = ()
        if _LEFT_OVER.search(index.name):
            sql = (shapes.drop_index(index),)  # what REINDEX CONCURRENTLY left behind; the index itself is beside it
    return Advice(KINDS[found.code], index.id, found.message, sql, undo, found.code, found.hint, facts)


def _again(table: Table, index: Index) -> tuple[str, ...]:
    """What makes it again without stopping writes where PostgreSQL can; that of a constraint with its constraint."""
    bound = next((c for c in table.constraints if index.constraint and c.name == index.constraint), None)
    if bound is not None:
        return (f"ALTER TABLE {table.id.sql()} ADD CONSTRAINT {quote(bound.name)} {bound.definition}",)
    if not index.definition or index.partitioned:
        return (index.definition,) if index.definition else ()
    return (_HEAD.sub(r"\g<0>CONCURRENTLY ", index.definition),)


_HEAD = re.compile(r"CREATE (?:UNIQUE )?INDEX ")


def _relied_on(found: Sequence[Finding], indexes: Mapping[ObjectId, tuple[Table, Index]]) -> set[ObjectId]:
    """Indexes that stay so that others can go: their scans are yet to come."""
    kept = ((f.object, f.facts.get("same_as") or f.facts.get("covered_by")) for f in found)
    return {ObjectId("index", at.schema, str(name)) for at, name in kept if at in indexes and at is not None and name}


def _matters(found: Finding, catalog: Catalog, stats: Stats, nodes: Sequence[Node]) -> bool:
    """Whether the table is large, or large enough that deletes of what it refers to are felt."""
    table, deleted = _key_facts(found, catalog, nodes)
    rows = _rows(table, catalog, stats)
    return rows >= LARGE or (rows >= SOME and deleted > 0)


def _key_facts(found: Finding, catalog: Catalog, nodes: Sequence[Node]) -> tuple[Table, int]:
    """The referencing table, and how many rows were deleted from the other."""
    assert found.object is not None  # noqa: S101
    table = catalog.table[found.object.owner]
    key = next(c for c in table.constraints if c.name == found.object.part)
    target = catalog.table.get(key.references) if key.references else None
    return table, sum(n.tables.get(t.id, (0, 0))[0] for n in nodes if not n.standby for t in _leaves(target, catalog))


def _leaves(table: Table | None, catalog: Catalog) -> Iterator[Table]:
    if table is None:
        return
    parts = catalog.partitions.get(table.id, ())
    if not parts:
        yield table
    for part in parts:
        yield from _leaves(part, catalog)


def _rows(table: Table, catalog: Catalog, stats: Stats) -> float:
    known = (stats.relations.get(leaf.id) for leaf in _leaves(table, catalog))
    return sum(max(k.rows, k.live) for k in known if k)


def _missing(found: Finding, catalog: Catalog, stats: Stats, nodes: Sequence[Node]) -> Advice:
    table, deleted = _key_facts(found, catalog, nodes)
    rows = round(_rows(table, catalog, stats))
    facts = {"table": table.id.sql(), "rows": rows, "deletes": deleted, **found.facts}
    undo = tuple(
        f"DROP INDEX {'' if table.kind == 'partitioned table' else 'CONCURRENTLY '}{quote(table.schema)}.{m[1]}"
        for sql in found.fix
        if (m := _NAME.match(sql))
    )
    assert found.object is not None  # noqa: S101
    return Advice(
        "missing", found.object, f"{found.message} ({rows:,} rows, {deleted:,} deletes)", found.fix, undo, found.code, found.hint, facts
    )


_NAME = re.compile(r'CREATE (?:UNIQUE )?INDEX (?:CONCURRENTLY )?("(?:[^"]|"")+"|\S+) ON ')


def _unused(
    catalog: Catalog, nodes: Sequence[Node], seconds: float, smallest: int, spoken: set[ObjectId]
) -> Iterator[tuple[Table, Index, int]]:
    """Indexes that nothing but queries could need, and no query has read; partitions' counted for the index they belong to."""
    children: dict[ObjectId, list[ObjectId]] = {}
    for table in catalog.own_tables:
        for index in table.indexes:
            if index.parent:
                children.setdefault(index.parent, []).append(index.id)
    for table in catalog.own_tables:
        for index in table.indexes:
            if index.parent or index.id in spoken or not _droppable(index) or _for_a_key(catalog, table, index):
                continue
            leaves = list(_below(index.id, children)) if index.partitioned else [index.id]
            size = sum(_bytes(nodes[0], leaf) for leaf in leaves)
            if leaves and size >= smallest and quiet(nodes, leaves, seconds):
                yield table, index, size


def _below(index: ObjectId, children: Mapping[ObjectId, Sequence[ObjectId]]) -> Iterator[ObjectId]:
    for child in children.get(index, ()):
        if child in children:
            yield from _below(child, children)
        else:
            yield child


def _droppable(index: Index) -> bool:
    """Whether it is no constraint's, no identity of rows, no order of CLUSTER, and gives the planner no statistics of an expression."""
    bound = index.unique or index.primary or index.exclusion or index.constraint or index.replica_identity or index.clustered
    return not bound and index.valid and index.ready and all(k.column for k in index.keys)


def _for_a_key(catalog: Catalog, table: Table, index: Index) -> bool:
    """Whether a foreign key is checked by it."""
    return any(shapes.supports(index, fk, catalog.table.get(fk.references) if fk.references else None) for fk in table.foreign_keys)


def _bytes(node: Node, index: ObjectId) -> int:
    return node.indexes.get(index, (0, None, 0))[2]


def _span(window: timedelta) -> str:
    return f"{window.total_seconds() / 86400:g} days" if window >= timedelta(days=2) else f"{window.total_seconds():,.0f} s"


_NOT_PROVEN = "not proposed: not every node has said so for long enough"


def _drop(table: Table, index: Index, size: int, nodes: Sequence[Node], window: timedelta, *, proven: bool) -> Advice:
    since = max(n.since for n in nodes)
    written = sum(n.tables.get(table.id, (0, 0))[1] for n in nodes if not n.standby)
    where = f"on {len(nodes)} nodes" if len(nodes) > 1 else "here"
    says = (
        f"index {quote(index.name)} of {table.id.sql()} was not read {where} in {_span(window)}"
        if proven
        else f"index {quote(index.name)} of {table.id.sql()} was not read {where} since {since:%Y-%m-%d %H:%M} UTC"
    )
    facts = {"table": table.id.sql(), "bytes": size, "writes": written, "since": since.isoformat(), "nodes": [n.called for n in nodes]}
    undo = _again(table, index)
    hint = "PostgreSQL keeps no time of creation: see that it is older than that" if proven else _NOT_PROVEN
    return Advice(
        "unused",
        index.id,
        f"{says}; {written:,} writes had to keep it up",
        (shapes.drop_index(index),) if proven else (),
        undo,
        hint=hint,
        facts=facts,
    )

"""Indexes that are there twice, do not work, or cannot do what they were made for."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgcharter.catalog.model import Index, IndexKey, Table
from pgcharter.findings import Finding, Severity
from pgcharter.names import ObjectId, quote
from pgcharter.rules import nodes, shapes
from pgcharter.rules.engine import Context, rule


def _own(ctx: Context) -> Iterator[tuple[Table, Index]]:
    """Indexes told once: of tables and partitioned tables; on a partition those that do not come from its parent's index."""
    for table in ctx.catalog.own_tables:
        for index in table.indexes:
            if index.parent is None:
                yield table, index


def _typed(ctx: Context) -> Iterator[tuple[Table, Index]]:
    """The same, without those on tables whose column types are only guessed."""
    return ((t, i) for t, i in _own(ctx) if not shapes.is_invented(ctx, t))


def _keys(index: Index) -> tuple[object, ...]:
    return tuple(_form(k) for k in index.keys)


def _form(key: IndexKey) -> tuple[object, ...]:
    return (key.column, key.expression, key.operator_class, key.collation, key.descending, key.nulls_first, key.operator_class_options)


def _reversed_keys(index: Index) -> tuple[object, ...]:
    """The same keys read backwards: a btree serves both directions."""
    return tuple(
        (k.column, k.expression, k.operator_class, k.collation, not k.descending, not k.nulls_first, k.operator_class_options)
        for k in index.keys
    )


def _does_the_same(one: Index, other: Index) -> bool:
    """Whether two indexes hold the same rows in the same order, or in reverse."""
    if one.method != other.method or one.predicate != other.predicate or len(one.keys) != len(other.keys):
        return False
    return _keys(one) == _keys(other) or (one.method == "btree" and _reversed_keys(one) == _keys(other))


def _is_bound(index: Index) -> bool:
    """Whether something else than queries needs it."""
    return bool(index.constraint) or index.unique or index.primary or index.exclusion or index.replica_identity


@rule("IDX01", "duplicate-index", Severity.WARNING)
def duplicate_index(ctx: Context) -> Iterator[Finding]:
    """Two indexes are the same.

    Why: both are written with every change, take space and memory and vacuum time; only one is ever read.

    Instead: drop the one that nothing depends on.
    """
    for table, first, second in _pairs(ctx):
        if first.unique == second.unique and set(first.include) == set(second.include):
            spare, kept = (second, first) if not second.constraint else (first, second)
            if spare.constraint:
                fix = f"{shapes.alter(table)} DROP CONSTRAINT {quote(spare.constraint)}"
                fix = "" if _referred_to(ctx, table, spare) or spare.primary else fix
            else:
                fix = shapes.drop_index(spare)
            yield ctx.finding(
                spare,
                f"index {quote(spare.name)} of {table.id.sql()} is the same as {quote(kept.name)}, so every write pays twice",
                fix=fix,
                same_as=kept.name,
            )


def _referred_to(ctx: Context, table: Table, index: Index) -> bool:
    return any(fk.index == index.name for _, fk in ctx.catalog.referencing.get(table.id, ()))


def _pairs(ctx: Context) -> Iterator[tuple[Table, Index, Index]]:
    """Pairs of whole indexes of one table that do the same, the first of each kind with each later one."""
    for table in ctx.catalog.own_tables:
        kept: dict[object, list[Index]] = {}
        for index in table.indexes:
            if index.parent is not None or index.exclusion or not index.valid:
                continue
            group = kept.setdefault(tuple((k.column, k.expression) for k in index.keys), [])
            for other in group:
                if _does_the_same(other, index):
                    yield table, other, index
                    break
            group.append(index)


@rule("IDX02", "index-repeats-unique-key", Severity.WARNING)
def index_repeats_unique_key(ctx: Context) -> Iterator[Finding]:
    """A plain index stands on columns that are already unique.

    Why: UNIQUE and PRIMARY KEY are indexes; the second one is never faster and is written with every change.

    Instead: drop it.

    Except: an index with other INCLUDE columns, another method, another operator class (`text_pattern_ops`) or a predicate is another
    index.
    """
    for table in ctx.catalog.own_tables:
        unique = [i for i in table.indexes if i.unique and shapes.is_whole(i) and not i.exclusion]
        for index in table.indexes if unique else ():
            if _is_bound(index) or index.parent is not None or index.include or index.predicate:
                continue
            twin = next((u for u in unique if _does_the_same(u, index)), None)
            if twin is not None:
                what = "primary key" if twin.primary else "unique key"
                yield ctx.finding(
                    index,
                    f"index {quote(index.name)} of {table.id.sql()} repeats the {what} {quote(twin.name)}, so every write pays twice",
                    fix=shapes.drop_index(index),
                    same_as=twin.name,
                )


@index_repeats_unique_key.text
def index_repeats_unique_key_text(ctx: Context) -> Iterator[Finding]:
    """CREATE INDEX on the columns of a PRIMARY KEY or UNIQUE of the same text."""
    once = nodes.created_once(ctx)
    keys = {(t.id, k.columns): k.kind for t in nodes.parts(ctx) if t.id in once for k in t.keys("primary", "unique")}
    for statement in ctx.of_kind("index_stmt") if keys else ():
        node = statement.node
        plain = not (node.unique or node.HasField("where_clause") or node.index_including_params) and node.access_method in ("", "btree")
        elements = [p.index_elem for p in node.index_params]
        if plain and all(e.name and not e.opclass and not e.collation for e in elements):
            kind = keys.get((nodes.relation_id(node.relation), tuple(e.name for e in elements)))
            if kind and not any(e.nulls_ordering > 1 for e in elements):
                table = nodes.relation_id(node.relation)
                yield ctx.finding(
                    table,
                    f"the index {quote(node.idxname)} on {table.sql()} repeats its {kind} key, so every write pays twice",
                    place=statement.place,
                    detail=node.idxname,
                )


@rule("IDX03", "index-covered-by-longer", Severity.WARNING)
def index_covered_by_longer(ctx: Context) -> Iterator[Finding]:
    """An index is the beginning of a longer one.

    Why: an index on (user_id, created_at) finds by user_id alone as well; the short one beside it is written with every change.

    Instead: drop the short one.

    Except: unique indexes are kept, as is a short index with INCLUDE columns or a predicate of its own. Where the longer one is several
    times larger, the short one may earn its keep for a hot query: measure, and say so with a waiver.
    """
    for table in ctx.catalog.own_tables:
        candidates = [i for i in table.indexes if i.method == "btree" and i.valid and not i.exclusion]
        by_first: dict[object, list[Index]] = {}
        for index in candidates:
            by_first.setdefault(_form(index.keys[0]), []).append(index)
        for index in candidates:
            if _is_bound(index) or index.parent is not None or index.include or index.clustered:
                continue
            size = len(index.keys)
            longer = next(
                (
                    o
                    for o in by_first[_form(index.keys[0])]
                    if len(o.keys) > size and _keys(o)[:size] == _keys(index) and o.predicate == index.predicate
                ),
                None,
            )
            if longer is not None:
                yield ctx.finding(
                    index,
                    f"index {quote(index.name)} of {table.id.sql()} is the beginning of {quote(longer.name)}, which finds the same rows",
                    fix=shapes.drop_index(index),
                    covered_by=longer.name,
                )


@rule("IDX04", "invalid-index", Severity.ERROR)
def invalid_index(ctx: Context) -> Iterator[Finding]:
    """An index is not valid.

    Why: CREATE INDEX CONCURRENTLY failed half-way: the index is written with every change and never read; a unique one promises what was
    never proven. IF NOT EXISTS takes it for done.

    Instead: `REINDEX INDEX CONCURRENTLY`, or drop it and build it again. The index of a partitioned table becomes valid when each
    partition has one attached.

    Except: an index that is being built at this moment looks the same.
    """
    for table, index in _own(ctx):
        if index.valid:
            continue
        if index.partitioned:
            missing = _unindexed_partitions(ctx, table, index.id)
            yield ctx.finding(
                index,
                f"index {quote(index.name)} of partitioned table {table.id.sql()} is not valid: {len(missing)} of its partitions "
                f"{'has' if len(missing) == 1 else 'have'} no index attached",
                hint="build it on each CONCURRENTLY, then ALTER INDEX … ATTACH PARTITION: " + ", ".join(m.sql() for m in missing),
                partitions=[m.sql() for m in missing],
            )
        else:
            unique = " and its uniqueness was never proven" if index.unique else ""
            yield ctx.finding(
                index,
                f"index {quote(index.name)} of {table.id.sql()} is not valid: no query uses it, every write pays for it{unique}",
                fix=f"REINDEX INDEX CONCURRENTLY {index.id.sql()}",
                hint="mend repeated values first" if index.unique else "",
            )


def _unindexed_partitions(ctx: Context, table: Table, parent: ObjectId) -> list[ObjectId]:
    return [p.id for p in ctx.catalog.partitions.get(table.id, ()) if not any(i.parent == parent for i in p.indexes)]


@rule("IDX05", "index-on-boolean", Severity.WARNING)
def index_on_boolean(ctx: Context) -> Iterator[Finding]:
    """An index has a boolean as its only key.

    Why: most rows have the same key: for the common value the planner reads the table instead, and every write keeps the index up. Where
    one value is rare, a partial index finds it with a fraction of the size, and sorts as well.

    Instead: a partial index on what is looked up, for the rare value: `(created_at) WHERE NOT is_processed`.

    Except: unique indexes on a boolean ("at most one default") and partial ones are not flagged.
    """
    for table, index in _typed(ctx):
        if len(index.keys) != 1 or index.unique or index.predicate or not index.keys[0].column or index.include:
            continue
        if table.column[index.keys[0].column].type.basic == "bool" and index.method in ("btree", "hash"):
            yield ctx.finding(
                index,
                f"index {quote(index.name)} of {table.id.sql()} has only two keys: it finds a rare one at best, and every write pays",
                hint=f"an index on what is looked up, WHERE {quote(index.keys[0].column)} (or NOT), then {shapes.drop_index(index)}",
            )


@rule("IDX06", "index-key-fixed-by-predicate", Severity.INFO)
def index_key_fixed_by_predicate(ctx: Context) -> Iterator[Finding]:
    """Every key of a partial index is fixed by its predicate.

    Why: all its keys are equal: it finds the rows of the predicate but sorts or narrows nothing, where it could do both for the same price.

    Instead: index what the query sorts or looks up by: `(created_at) WHERE status = 'pending'`.

    Except: a unique index of that kind ("at most one") is right. The deletion mark has a rule of its own.
    """
    for table, index in _own(ctx):
        names = [k.column for k in index.keys]
        if index.unique or not index.predicate or not all(names) or index.include or " OR " in index.predicate:
            continue
        if all(_is_fixed(index.predicate, n) for n in names) and names != [ctx.options.soft_delete_column]:
            yield ctx.finding(
                index,
                f"index {quote(index.name)} of {table.id.sql()} has equal keys only, as its predicate fixes {shapes.columns_sql(names)}",
                hint="put what the query sorts or looks up by into the key, and keep the predicate",
            )


def _is_fixed(predicate: str, column: str) -> bool:
    name = re.escape(quote(column))
    return (
        re.search(rf"(?:^|[(\s]){name}\)?(?:::\w+)?\)? (?:IS NULL|= (?:'[^']*'(?:::[\w. ]+)?|\d+|true|false))(?:$|[)\s])", predicate)
        is not None
    )


_ORDERED = {"path", "ancestors", "ancestry", "lineage", "breadcrumb", "route", "sort", "order", "position", "version", "key"}
_UNORDERED = {"jsonb": "jsonb", "tsvector": "tsvector", "xml": "xml"}


@rule("IDX07", "btree-on-document", Severity.WARNING)
def btree_on_document(ctx: Context) -> Iterator[Finding]:
    """A btree index stands on a document or an array.

    Why: it finds whole values that are equal, which nobody looks for, not what is inside; and a value of more than 2,704 bytes makes the
    INSERT fail.

    Instead: a GIN index; for a single field, a btree index on the expression: `((payload ->> 'order_id'))`.

    Except: unique indexes on arrays are not flagged, nor are short arrays in longer keys, nor arrays that are sorted by (the path of a
    tree, a version number).
    """
    for table, index in _typed(ctx):
        if index.method != "btree" or index.unique or len(index.keys) != 1 or not index.keys[0].column:
            continue
        column = table.column[index.keys[0].column]
        if column.type.array and _ORDERED & set(shapes.words(column.name)):
            continue
        if column.type.array or column.type.basic in _UNORDERED:
            again = shapes.create_index(ctx, table, (column.name,), method="gin", where=index.predicate)
            yield ctx.finding(
                index,
                f"index {quote(index.name)} of {table.id.sql()} is a btree on {column.type.sql}: it cannot look inside, and values above "
                "2,704 bytes make inserts fail",
                fix=(again, shapes.drop_index(index)),
            )


@rule("IDX08", "hash-index", Severity.INFO)
def hash_index(ctx: Context) -> Iterator[Finding]:
    """A hash index stands on a short key.

    Why: it only answers `=`: no sorting, no range, no index-only scan, no uniqueness, no second column; for numbers and uuids it is no
    smaller or faster to speak of.

    Instead: btree.

    Except: for long texts that are only looked up whole (addresses of pages), a hash index is smaller and is not flagged.
    """
    for table, index in _typed(ctx):
        if index.method == "hash" and index.keys[0].column:
            column = table.column[index.keys[0].column]
            if column.type.basic not in shapes.TEXT_TYPES and column.type.basic not in ("bytea", "jsonb") and not column.type.array:
                again = shapes.create_index(ctx, table, (column.name, "btree"), keys=quote(column.name), where=index.predicate)
                yield ctx.finding(
                    index,
                    f"index {quote(index.name)} of {table.id.sql()} is a hash of {column.type.sql}, which only answers =; a btree also "
                    "sorts and finds ranges",
                    fix=(again, shapes.drop_index(index)),
                )


@rule("IDX09", "too-many-indexes", Severity.WARNING, options=("max_indexes",))
def too_many_indexes(ctx: Context) -> Iterator[Finding]:
    """A table has more indexes than the house allows.

    Why: each INSERT, and each UPDATE that touches an indexed column, writes all of them; heap-only updates become rare and vacuum slow.

    Instead: drop what no query uses (see the scans in pg_stat_user_indexes, over a month and on replicas), merge what begins alike.
    """
    for table in ctx.catalog.root_tables:
        if len(table.indexes) > ctx.options.max_indexes:
            yield ctx.finding(
                table,
                f"{table.id.sql()} has {len(table.indexes)} indexes, more than {ctx.options.max_indexes}, and each write keeps them all up",
                indexes=len(table.indexes),
            )


@rule("IDX10", "too-many-index-columns", Severity.INFO, options=("max_index_columns",))
def too_many_index_columns(ctx: Context) -> Iterator[Finding]:
    """An index has more key columns than the house allows.

    Why: columns after the third seldom narrow anything; they make each entry longer, and every update of any of them writes the index.

    Instead: the columns that the query compares with =, then the one it sorts by; what is only read goes into INCLUDE.

    Except: primary keys and unique constraints have the columns that they must have.
    """
    for table, index in _own(ctx):
        if len(index.keys) > ctx.options.max_index_columns and not index.constraint:
            yield ctx.finding(
                index,
                f"index {quote(index.name)} of {table.id.sql()} has {len(index.keys)} key columns, more than "
                f"{ctx.options.max_index_columns}",
                columns=len(index.keys),
            )


_LARGE = 1 << 20
_BUSY = 1_000


@rule("IDX11", "unused-index", Severity.INFO, needs="stats")
def unused_index(ctx: Context) -> Iterator[Finding]:
    """A large index has never been read on this server, while its table has been read often.

    Why: it is written with every change, fills memory and keeps updates from being heap-only.

    Instead: look at the same counter on every replica and over at least a month, then drop it.

    Except: unique indexes, those that constraints or replication need, and those that foreign keys are checked by are never flagged; nor is
    anything on a table with fewer than 1,000 scans or an index below 1 MiB. A yearly report may still need it: hence only a hint.
    """
    for table in ctx.catalog.own_tables:
        seen = ctx.stats.relations.get(table.id)
        if seen is None or seen.scans < _BUSY or table.kind != "table":
            continue
        for index in table.indexes:
            known = ctx.stats.relations.get(index.id)
            if known is None or known.scans or known.bytes < _LARGE or _is_bound(index) or index.clustered or not index.valid:
                continue
            if any(shapes.supports(index, fk, shapes.target_of(ctx, fk)) for fk in table.foreign_keys):
                continue
            since = f" since {ctx.stats.stats_reset[:10]}" if ctx.stats.stats_reset else ""
            yield ctx.finding(
                index,
                f"index {quote(index.name)} ({known.bytes / 2**20:,.0f} MiB) of {table.id.sql()} was not read once{since}, its table "
                f"{seen.scans:,} times",
                hint=f"look on replicas too, then {shapes.drop_index(index)}",
                table=table.id.sql(),
            )

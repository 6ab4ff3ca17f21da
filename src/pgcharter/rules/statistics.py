"""What a live server has counted: indexes full of NULLs, tables the planner knows nothing about, tables that nobody vacuums."""

from __future__ import annotations

from collections.abc import Iterator

from pgcharter.catalog.model import Index, Table
from pgcharter.findings import Finding, Severity
from pgcharter.names import quote
from pgcharter.rules import free_names, shapes
from pgcharter.rules.engine import Context, rule

_MOSTLY = 0.9
_LARGE_INDEX = 2**20
_LARGE = 10_000
_LARGE_PARTED = 100_000


@rule("STA01", "index-full-of-nulls", Severity.INFO, needs="stats")
def index_full_of_nulls(ctx: Context) -> Iterator[Finding]:
    """A large index holds an entry for every row although its column is nearly always NULL.

    Why: nobody looks up the NULLs, yet each insert writes one, and updates that could be heap-only are not.

    Instead: the same index `WHERE column IS NOT NULL`; lookups by value, joins and foreign keys use it.

    Except: unique indexes and those of constraints; an index that sorts the whole table, NULLs included, is right as it is.
    """
    for table in ctx.catalog.own_tables:
        for index in table.indexes:
            share = _null_share(ctx, table, index)
            known = ctx.stats.relations.get(index.id)
            if share < _MOSTLY or known is None or known.bytes < _LARGE_INDEX:
                continue
            column = index.keys[0].column
            yield ctx.finding(
                index,
                f"{quote(column)} is NULL in {share:.0%} of the rows of {table.id.sql()}, and index {quote(index.name)} "
                f"({known.bytes / 2**20:,.0f} MiB) holds them all",
                fix=_without_nulls(ctx, table, index, column),
                table=table.id.sql(),
                column=column,
            )


def _null_share(ctx: Context, table: Table, index: Index) -> float:
    """Share of NULLs in the only key of a plain index that nothing but queries needs; 0 when it is another kind of index."""
    bound = (
        index.unique
        or index.constraint
        or index.exclusion
        or index.replica_identity
        or index.clustered
        or index.partitioned
        or index.parent
    )
    if bound or index.predicate or not index.valid or index.method != "btree" or len(index.keys) != 1 or not index.keys[0].column:
        return 0
    return ctx.stats.null_fractions.get(table.part("column", index.keys[0].column), 0)


def _without_nulls(ctx: Context, table: Table, index: Index, column: str) -> tuple[str, ...]:
    """Build the partial index beside the old one, drop the old one, give the new one its name."""
    name = shapes.fresh_name(f"{index.name}_new", free_names.taken(ctx, table.schema))
    keys = index.definition.partition(" USING ")[2]
    if not keys:
        return ()
    build = f"CREATE INDEX CONCURRENTLY {quote(name)} ON {table.id.sql()} USING {keys} WHERE {quote(column)} IS NOT NULL"
    schema = f"{quote(index.schema)}."
    return build, shapes.drop_index(index), f"ALTER INDEX {schema}{quote(name)} RENAME TO {quote(index.name)}"


@rule("STA02", "never-analysed", Severity.WARNING, needs="stats")
def never_analysed(ctx: Context) -> Iterator[Finding]:
    """A table with many rows that ANALYZE has never seen.

    Why: the planner guesses how many rows a condition leaves, and guesses wrong: nested loops over millions of rows, indexes not used.

    Instead: `ANALYZE table` after loading, and autovacuum switched on.

    Except: staging tables; tables of fewer than 10,000 rows. Just after a load autovacuum only needs a minute.
    """
    for table in ctx.catalog.own_tables:
        seen = ctx.stats.relations.get(table.id)
        if seen is None or table.kind != "table" or seen.rows >= 0 or seen.analysed or seen.live < _LARGE or shapes.is_staging(table):
            continue
        yield ctx.finding(
            table,
            f"{table.id.sql()} has {seen.live:,} rows and was never analysed, so plans over it rest on guesses",
            fix=f"ANALYZE {table.id.sql()}",
            rows=seen.live,
        )


@rule("STA03", "partitioned-table-never-analysed", Severity.INFO, needs="stats")
def partitioned_table_never_analysed(ctx: Context) -> Iterator[Finding]:
    """A large partitioned table without statistics of its own.

    Why: autovacuum analyses partitions, never the table they belong to. Without statistics over all of them joins and groupings of
    the whole are planned on guesses.

    Instead: `ANALYZE table` by a job, after each large load or once a day.

    Except: fewer than 100,000 rows in all partitions; staging tables.
    """
    for table in ctx.catalog.root_tables:
        seen = ctx.stats.relations.get(table.id)
        if table.kind != "partitioned table" or seen is None or seen.rows >= 0 or seen.analysed or shapes.is_staging(table):
            continue
        rows = _rows_below(ctx, table)
        if rows >= _LARGE_PARTED:
            yield ctx.finding(
                table,
                f"partitioned table {table.id.sql()} has about {rows:,.0f} rows and no statistics of its own, which autovacuum never makes",
                fix=f"ANALYZE {table.id.sql()}",
                rows=round(rows),
            )


def _rows_below(ctx: Context, table: Table) -> float:
    total = 0.0
    for part in ctx.catalog.partitions.get(table.id, ()):
        seen = ctx.stats.relations.get(part.id)
        total += _rows_below(ctx, part) if part.kind == "partitioned table" else max(seen.rows, 0) if seen else 0
    return total


_OFF = ("off", "false", "no", "0")


@rule("STA04", "autovacuum-off-for-table", Severity.WARNING, needs="stats")
def autovacuum_off_for_table(ctx: Context) -> Iterator[Finding]:
    """Autovacuum is switched off for a table that is written to.

    Why: dead rows stay, statistics grow old, and in the end the whole server is held up by the vacuum against wraparound, which cannot be
    switched off and then has years of work to do.

    Instead: `ALTER TABLE ... RESET (autovacuum_enabled)`; where it disturbs, tune it for the table instead.

    Except: fewer than 10,000 writes since the counters began; tables that were analysed since, for then somebody sees to them by hand;
    staging tables, which are emptied as a whole.
    """
    for table in ctx.catalog.own_tables:
        seen = ctx.stats.relations.get(table.id)
        if seen is None or seen.written < _LARGE or seen.analysed or shapes.is_staging(table):
            continue
        if any(option.lower() in {f"autovacuum_enabled={word}" for word in _OFF} for option in table.options):
            yield ctx.finding(
                table,
                f"autovacuum is off for {table.id.sql()}, which saw {seen.written:,} writes: dead rows stay and nobody analyses it",
                fix=f"{shapes.alter(table)} RESET (autovacuum_enabled)",
                written=seen.written,
            )

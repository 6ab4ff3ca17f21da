"""Partitioned tables: partitions that are missing, in the way, or not like the others."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise

from pgcharter.catalog.model import Index, Table
from pgcharter.findings import Finding, Severity
from pgcharter.names import quote
from pgcharter.rules import free_names, shapes
from pgcharter.rules.engine import Context, rule


def _partitioned(ctx: Context) -> Iterator[tuple[Table, tuple[Table, ...]]]:
    for table in ctx.catalog.own_tables:
        if table.kind == "partitioned table":
            yield table, ctx.catalog.partitions.get(table.id, ())


@rule("DES20", "no-partitions", Severity.WARNING)
def no_partitions(ctx: Context) -> Iterator[Finding]:
    """A partitioned table has no partition.

    Why: every INSERT fails with "no partition of relation found for row".

    Instead: create partitions ahead, and a job that goes on creating them.
    """
    for table, partitions in _partitioned(ctx):
        if not partitions:
            yield ctx.finding(
                table,
                f"partitioned table {table.id.sql()} has no partition, so every insert fails",
                hint=f"CREATE TABLE … PARTITION OF {table.id.sql()} FOR VALUES …",
            )


@rule("DES21", "default-partition", Severity.INFO)
def default_partition(ctx: Context) -> Iterator[Finding]:
    """A table partitioned by range has a DEFAULT partition.

    Why: a forgotten partition goes unnoticed while its rows pile up in the default; then creating it fails until they are moved, each new
    partition scans the default under an exclusive lock, and DETACH PARTITION CONCURRENTLY is refused.

    Instead: create partitions ahead, alert when the newest is near, and let an INSERT without a partition fail.

    Except: partitions by list or hash are not flagged. One that is not known to hold rows is only mentioned: tools that create partitions
    keep such a net and watch it.
    """
    for table, partitions in _partitioned(ctx):
        default = next((p for p in partitions if p.partition_bound == "DEFAULT"), None)
        if default is not None and table.partition_strategy == "range":
            rows = ctx.rows(default)
            yield ctx.finding(
                default,
                f"{default.id.sql()} is the DEFAULT partition of {table.id.sql()}, which hides missing partitions, is scanned "
                "for each new one and forbids detaching concurrently",
                hint=f"when it is empty: ALTER TABLE {table.id.sql()} DETACH PARTITION {default.id.sql()}"
                if not rows
                else f"move its {rows:,.0f} rows into partitions of their own first",
                severity=Severity.WARNING if rows else None,
                table=table.id.sql(),
            )


_BOUND = re.compile(r"^FOR VALUES FROM \((?P<low>'[^']*'|-?\d+|MINVALUE)\) TO \((?P<high>'[^']*'|-?\d+|MAXVALUE)\)$")


@rule("DES22", "partition-gap", Severity.WARNING)
def partition_gap(ctx: Context) -> Iterator[Finding]:
    """Between two range partitions there is a gap.

    Why: rows that belong there cannot be inserted, or end up in the DEFAULT partition: usually a month that a script forgot.

    Instead: create the partition that is missing.

    Except: only ranges of one column of dates, moments or numbers are looked at.
    """
    for table, partitions in _partitioned(ctx):
        known = _numeric_or_dated(table)
        if table.partition_strategy != "range" or not known:
            continue
        bounds = [(m, p) for p in partitions if (m := _BOUND.match(p.partition_bound))]
        spans = sorted(
            ((_value(m["low"], known), _value(m["high"], known), m["low"], m["high"], p) for m, p in bounds), key=lambda s: s[:2]
        )
        for before, after in pairwise(spans):
            if before[1] < after[0]:
                yield ctx.finding(
                    table,
                    f"{table.id.sql()} has no partition from {before[3]} to {after[2]}, so such rows cannot be inserted",
                    fix=_fill(ctx, table, before[3], after[2]),
                    detail=f"{before[3]}..{after[2]}",
                )


def _fill(ctx: Context, table: Table, low: str, high: str) -> str:
    name = shapes.fresh_name(f"{table.name}_{re.sub(r'[^0-9]+', '_', low).strip('_')}", free_names.taken(ctx, table.schema))
    return f"CREATE TABLE {quote(table.schema)}.{quote(name)} PARTITION OF {table.id.sql()} FOR VALUES FROM ({low}) TO ({high})"


def _numeric_or_dated(table: Table) -> str:
    """How the bounds of the single partition column compare: by number or as text; empty when they cannot be compared here."""
    if len(table.partition_columns) != 1 or not table.partition_columns[0]:
        return ""
    type_ = table.column[table.partition_columns[0]].type.basic
    if type_ in shapes.INTEGER_TYPES:
        return "number"
    return "text" if type_ in ("date", "timestamptz", "timestamp") else ""


def _value(bound: str, known: str) -> float:
    """The bound as a number: itself, or seconds; raises ValueError for years that Python cannot count."""
    if bound in ("MINVALUE", "MAXVALUE"):
        return float("-inf") if bound == "MINVALUE" else float("inf")
    text = bound.strip("'")
    if known == "number":
        return int(text)
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@rule("DES23", "index-on-some-partitions", Severity.INFO)
def index_on_some_partitions(ctx: Context) -> Iterator[Finding]:
    """Most partitions have an index that the partitioned table has not.

    Why: the next partition comes without it, and its queries are slow from the first of the month.

    Instead: create the index on the partitioned table: existing ones that match are attached, new partitions get their own.

    Except: an index on a single partition is taken as meant.
    """
    for table, partitions in _partitioned(ctx):
        real = [p for p in partitions if p.partition_bound != "DEFAULT" and p.kind != "foreign table"]
        alike: dict[object, list[tuple[Table, Index]]] = defaultdict(list)
        for partition in real:
            for index in partition.indexes:
                if index.parent is None and not index.constraint and not index.unique and index.valid:
                    alike[index.definition.partition(" USING ")[2]].append((partition, index))
        for form, group in alike.items():
            if len(group) >= 2 and len(group) * 2 >= len(real):
                index = group[0][1]
                names = index.columns if len(index.columns) == len(index.keys) else ("search",)
                yield ctx.finding(
                    table,
                    f"{len(group)} of {len(real)} partitions of {table.id.sql()} have an index {form} of their own, so the next "
                    "partition comes without",
                    fix=f"CREATE INDEX {quote(shapes.index_name(ctx, table, names))} ON {table.id.sql()} USING {form}",
                    detail=str(form),
                    partitions=[p.id.sql() for p, _ in group],
                )

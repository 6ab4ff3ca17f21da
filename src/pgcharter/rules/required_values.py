"""What every row must say: tables in which nothing is required, times of creation that nobody sets, schemas that hold everything."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from pgcharter.catalog.model import Column, Table
from pgcharter.findings import Finding, Severity
from pgcharter.names import ObjectId, quote
from pgcharter.rules import library_tables, shapes
from pgcharter.rules.engine import Context, rule

_LATER = set(
    """
    log logs aud audit audits
    history histories archive archives archived snapshot snapshots projection projections fact facts report reports
    cache import imports export exports backup old staging summary summaries
    preference preferences setting settings option options filter filters search searches answer answers response responses
    """.split()  # noqa: SIM905
)
_ENOUGH = 3
_TOLD = re.compile(r"IS NOT NULL|num_(?:non)?nulls\(")


@rule("DES12", "nothing-required", Severity.INFO)
def nothing_required(ctx: Context) -> Iterator[Finding]:
    """A table requires nothing but its key.

    Why: a row that says nothing at all is a good one for the database. Every query has to reckon with NULL in every column, and NOT IN,
    counts and comparisons quietly leave rows out.

    Instead: NOT NULL for what a row cannot do without.

        ALTER TABLE app.customers ALTER COLUMN name SET NOT NULL;

    Except: rows whose key means something by itself (a weekday, a code), preferences, filters and answers, where any may be left out, rows
    that extend another table's row, measurements (a time in the key), histories and staging tables, and tables whose CHECK
    says which columns belong together.
    """
    for table in ctx.catalog.root_tables:
        if table.kind == "foreign table" or table.inherits or shapes.is_staging(table) or _LATER & set(shapes.words(table.name)):
            continue
        key = table.primary_key
        if (
            key is None
            or _is_told_by_key(table)
            or _extends(table)
            or _is_series(table)
            or any(_TOLD.search(c.expression) for c in table.checks)
        ):
            continue
        rest = [c for c in table.columns if c.name not in key.columns and not c.generated]
        if len(rest) >= _ENOUGH and not any(_is_required(ctx, c) for c in rest):
            yield ctx.finding(
                table,
                f"{table.id.sql()} requires nothing but its key: a row may leave all its {len(rest)} other columns NULL",
                hint=f"{shapes.alter(table)} ALTER COLUMN ... SET NOT NULL, for what no row can do without",
                columns=[c.name for c in rest],
            )


def _is_told_by_key(table: Table) -> bool:
    """Whether its single key means something by itself: a weekday, a code; then it is what a row says."""
    key = table.primary_key
    return key is not None and len(key.columns) == 1 and shapes.surrogate_key(table) is None and key.columns != ("id",)


def _extends(table: Table) -> bool:
    """Whether each row belongs to a row of another table with the same key."""
    key = table.primary_key
    return key is not None and any(set(key.columns) <= set(fk.columns) for fk in table.foreign_keys)


def _is_series(table: Table) -> bool:
    """Whether the key holds a time: what was measured then may be missing."""
    key = table.primary_key
    return key is not None and any(table.column[c].type.basic in _MOMENTS for c in key.columns)


def _is_required(ctx: Context, column: Column) -> bool:
    domain = ctx.catalog.type.get((column.type.schema, column.type.name)) if column.type.kind == "domain" else None
    return column.not_null or (domain is not None and domain.not_null)


_CREATED = ("created_at", "inserted_at", "created_on", "date_created", "created", "creation_date")
_MOMENTS = {"timestamptz": "now()", "timestamp": "now()", "date": "CURRENT_DATE"}


@rule("DES13", "creation-time-without-default", Severity.INFO)
def creation_time_without_default(ctx: Context) -> Iterator[Finding]:
    """A column says when a row was made, and has no default, as other tables have.

    Why: whoever inserts by hand, by a job or from another program forgets it, or takes the time of another machine's clock.

    Instead: `ALTER TABLE orders ALTER COLUMN created_at SET DEFAULT now()`.

    Except: where most tables have no default, the application is taken to set it; histories, copies, tables with a trigger before insert,
    times that are part of a key, and rows of another system (they have a `synced_at`, `imported_at`) are left alone.
    """
    found = [(t, t.column[n]) for t in ctx.catalog.root_tables for n in _CREATED if n in t.column]
    found = [(t, c) for t, c in found if c.type.basic in _MOMENTS and not c.generated and not c.inherited and t.kind != "foreign table"]
    kept = Counter(c.name for _, c in found if c.default)
    all_of_them = Counter(c.name for _, c in found)
    for table, column in found:
        if column.default or kept[column.name] < 2 or 2 * kept[column.name] <= all_of_them[column.name]:
            continue
        if shapes.is_staging(table) or _LATER & set(shapes.words(table.name)) or _is_set_by_trigger(table):
            continue
        if any(column.name in key for key in table.unique_keys) or _comes_from_elsewhere(table):
            continue
        address = table.part("column", column.name)
        yield ctx.finding(
            address,
            f"{address.sql()} has no default, as {kept[column.name]} of {all_of_them[column.name]} such columns have: "
            + ("an insert without it fails" if column.not_null else "an insert without it leaves it NULL"),
            fix=f"{shapes.alter(table)} ALTER COLUMN {quote(column.name)} SET DEFAULT {_MOMENTS[column.type.basic]}",
        )


_ARRIVED = {"imported", "synced", "synchronized", "fetched", "received", "ingested", "loaded", "crawled", "mirrored"}


def _comes_from_elsewhere(table: Table) -> bool:
    """Whether another time says when the row arrived here: then it was made in another system, whose time it keeps."""
    return any(c.type.basic in _MOMENTS and not _ARRIVED.isdisjoint(shapes.words(c.name)) for c in table.columns)


def _is_set_by_trigger(table: Table) -> bool:
    return any(t.timing == "before" and "insert" in t.events and t.level == "row" for t in table.triggers)


_LARGE = 40


@rule("DES14", "everything-in-one-schema", Severity.INFO)
def everything_in_one_schema(ctx: Context) -> Iterator[Finding]:
    """All tables of a large database are in one schema.

    Why: rights, default privileges and search_path are given by schema: with one there is nothing to give them by, and nobody sees which
    of many tables belong together.

    Instead: a schema for each part: `CREATE SCHEMA billing; ALTER TABLE invoices SET SCHEMA billing`.

    Except: up to 40 tables; houses that group by prefix (option table_prefixes); a schema for each tenant, which is a group already.
    """
    if ctx.options.table_prefixes or ctx.options.tenant_isolation == "schemas":
        return
    owned = library_tables.owners(ctx.catalog)
    schemas = Counter(t.schema for t in ctx.catalog.root_tables if t.id not in owned)
    if len(schemas) != 1:
        return
    [(schema, tables)] = schemas.items()
    if tables > _LARGE:
        yield ctx.finding(
            ObjectId("schema", "", schema),
            f"all {tables} tables are in schema {quote(schema)}, so rights cannot be given by what belongs together",
            hint="a schema for each part of the application: CREATE SCHEMA ..., ALTER TABLE ... SET SCHEMA ...",
            tables=tables,
        )

"""Columns that a house expects in every table, and their types."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgcharter.catalog.model import Column, DataType, Table
from pgcharter.findings import Finding, Severity
from pgcharter.guides.options import RequiredColumn
from pgcharter.names import quote
from pgcharter.rules import nodes, shapes
from pgcharter.rules.design import NEVER_UPDATED, UPDATED
from pgcharter.rules.engine import Context, rule
from pgcharter.rules.types import change_type


@rule("DES08", "missing-required-column", Severity.INFO, options=("required_columns",))
def missing_required_column(ctx: Context) -> Iterator[Finding]:
    """A table lacks a column that the house expects in every table.

    Why: when a row was made and last changed is asked of every table one day, and cannot be told afterwards.

    Instead: the columns of the guide's option `required_columns`.

    Except: tables that join two others, partitions, foreign tables and lists of values (a short natural key) are not meant. A table that
    others may write but nobody but its owner may update (events, an audit trail) needs no time of change.
    """
    for table in ctx.catalog.root_tables if ctx.options.required_columns else ():
        if table.kind == "foreign table" or not table.columns or _is_join_table(table) or _is_list_of_values(table):
            continue
        lacking = [c for c in ctx.options.required if c.name not in table.column and not (c.name in UPDATED and _is_append_only(table))]
        fix = [_add(ctx, table, c) for c in lacking if _is_addable(c)]
        if lacking:
            yield ctx.finding(
                table,
                f"{table.id.sql()} has no {' and no '.join(quote(c.name) for c in lacking)}, which the guide expects in every table",
                fix=fix,
                hint="rows that are there already get the moment of the change" if any(_is_moment(c.name) for c in lacking) else "",
                missing=[c.name for c in lacking],
            )


def _is_append_only(table: Table) -> bool:
    """A record of what happened, by its name; or others may insert rows and none of them may update one."""
    if NEVER_UPDATED & set(shapes.words(table.name)):
        return True
    rights = {g.privilege for g in table.acl or () if g.grantee != table.owner}
    return "INSERT" in rights and "UPDATE" not in rights and not any(g.privilege == "UPDATE" for c in table.columns for g in c.acl or ())


def _is_moment(name: str) -> bool:
    return name in UPDATED or name in ("created_at", "created_on", "inserted_at")


def _is_addable(column: RequiredColumn) -> bool:
    """A moment has an obvious default; a column that may be NULL needs none."""
    stamp = _plain(column.type) in ("timestamptz", "timestamp", "date", "")
    return (_is_moment(column.name) and stamp) or (column.type != "" and not column.not_null)


def _add(ctx: Context, table: Table, column: RequiredColumn) -> str:
    add = f"{shapes.alter(table)} ADD COLUMN {quote(column.name)}"
    if not _is_moment(column.name) or _plain(column.type) not in ("timestamptz", "timestamp", "date", ""):
        return f"{add} {column.type}"
    type_ = column.type or ctx.options.timestamp_type or "timestamptz"
    now = "(now() AT TIME ZONE 'UTC')" if _plain(type_) == "timestamp" else "now()"
    return f"{add} {type_} NOT NULL DEFAULT {now}"


def _is_join_table(table: Table) -> bool:
    """A key made of two foreign keys, and little else."""
    bound = {c for fk in table.foreign_keys for c in fk.columns}
    key = table.primary_key
    return len(table.foreign_keys) >= 2 and key is not None and set(key.columns) <= bound and len(table.columns) - len(bound) <= 2


def _is_list_of_values(table: Table) -> bool:
    key = table.primary_key
    return key is not None and len(key.columns) == 1 and shapes.is_text(table.column[key.columns[0]].type) and not table.foreign_keys


@missing_required_column.text
def missing_required_column_text(ctx: Context) -> Iterator[Finding]:
    """CREATE TABLE without a required column."""
    added = {(c.table.name, c.name) for c in nodes.columns(ctx)} if ctx.options.required_columns else set()
    granted = {o.range_var.relname for s in ctx.of_kind("grant_stmt") for o in s.node.objects if o.HasField("range_var")}
    for table in nodes.tables(ctx) if ctx.options.required_columns else ():
        if table.partition_of or table.copies or table.inherits or not table.columns or _is_written_without(table):
            continue
        missing = [c.name for c in ctx.options.required if (table.id.name, c.name) not in added]
        if table.id.name in granted or NEVER_UPDATED & set(shapes.words(table.id.name)):
            missing = [c for c in missing if c not in UPDATED]
        if missing:
            yield ctx.finding(
                table.id,
                f"{table.id.sql()} has no {' and no '.join(map(quote, missing))}, which the guide expects in every table",
                place=table.statement.place,
                missing=missing,
            )


def _is_written_without(table: nodes.WrittenTable) -> bool:
    """A list of values or a join of two tables, as far as CREATE TABLE tells."""
    bound = {c for k in table.keys("foreign") for c in k.columns}
    key = next(table.keys("primary"), None)
    if key is None:
        return False
    column = table.column.get(key.columns[0]) if len(key.columns) == 1 else None
    natural = column is not None and column.type in ("text", "varchar", "bpchar")
    return natural or (len(bound) >= 2 and set(key.columns) <= bound)


_ALIASES = {
    "timestamp with time zone": "timestamptz", "timestamp without time zone": "timestamp", "time without time zone": "time",
    "time with time zone": "timetz", "character varying": "varchar", "character": "bpchar", "char": "bpchar", "integer": "int4",
    "int": "int4", "bigint": "int8", "smallint": "int2", "boolean": "bool", "decimal": "numeric", "real": "float4",
    "double precision": "float8",
    "bit varying": "varbit",
}  # fmt: skip


def _plain(type_: str) -> str:
    """PostgreSQL's own name of a type, without schema and modifier: `timestamptz` for `TIMESTAMP(3) WITH TIME ZONE`."""
    bare = " ".join(re.sub(r"\([^)]*\)", " ", type_.lower()).split()).removeprefix("pg_catalog.")
    return _ALIASES.get(bare, bare.rpartition(".")[2] if " " not in bare else bare)


def _modifier(type_: str) -> str:
    found = re.search(r"\(([^)]*)\)", type_)
    return found[1].replace(" ", "") if found else ""


def _is_of(type_: DataType, wanted: str) -> bool:
    """Whether a column's type is the wanted one, a domain over it, or the domain that was named."""
    array = wanted.endswith("[]")
    plain = _plain(wanted.removesuffix("[]"))
    if type_.array != array or plain not in (type_.name, type_.basic):
        return False
    return not _modifier(wanted) or type_.kind == "domain" or _modifier(wanted) == _modifier(type_.sql)


@rule("DES11", "required-column-type", Severity.INFO, options=("required_columns",))
def required_column_type(ctx: Context) -> Iterator[Finding]:
    """A column that the house expects in every table is there, but not as the house has it.

    Why: code that is written once for all tables (audit, export, soft delete) relies on the type; one table that differs is found when
    it fails.

    Instead: the type in the guide's option `required_columns`: `created_at timestamptz not null`.

    Except: entries without a type ask for the name alone; a domain over the type is as good; foreign tables are not meant.
    """
    wanted = {c.name: c for c in ctx.options.required if c.type or c.not_null}
    for table, column in ctx.catalog.own_columns if wanted else ():
        entry = wanted.get(column.name)
        if entry is None:
            continue
        other = bool(entry.type) and not _is_of(column.type, entry.type)
        nullable = entry.not_null and not column.not_null
        if other or nullable:
            address = table.part("column", column.name)
            says = " and ".join(filter(None, (f"is {column.type.sql}" if other else "", "may be NULL" if nullable else "")))
            asked = f"{entry.type}{' not null' if entry.not_null else ''}".strip()
            yield ctx.finding(
                address,
                f"{address.sql()} {says}, and the guide asks for {asked} in every table",
                fix="" if other else f"{shapes.alter(table)} ALTER COLUMN {quote(column.name)} SET NOT NULL",
                hint=_change(table, column, entry) if other else "first fill the rows that are NULL",
                type=column.type.sql,
            )


def _change(table: Table, column: Column, entry: RequiredColumn) -> str:
    stamps = {column.type.basic, _plain(entry.type)} == {"timestamp", "timestamptz"}
    using = f"{quote(column.name)} AT TIME ZONE 'UTC'" if stamps else ""
    change = change_type(table, column, entry.type, using)
    return f"if the values are in UTC: {change} (rewrites the table)" if stamps else change

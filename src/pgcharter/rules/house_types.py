"""The house's own choice of types: strings, numbers, sets of values, booleans, moments."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgcharter.catalog.model import Column, Table
from pgcharter.findings import Finding, Severity
from pgcharter.names import quote
from pgcharter.rules import nodes, shapes
from pgcharter.rules.engine import Context, rule
from pgcharter.rules.types import change_type


@rule("TYP20", "string-type", Severity.INFO, options=("text_type",))
def string_type(ctx: Context) -> Iterator[Finding]:
    """A string column is not of the type that the house uses.

    Why: the house decides once whether lengths are limited by type; a mixture says that nobody did. In PostgreSQL text and varchar(n) are
    equally fast; a limit in the type needs a migration to change, a missing one lets a megabyte into a name.

    Instead: the guide's option `text_type`: `text` (with CHECK where a limit is meant), or `varchar` (every string has a length).

    Except: in a varchar house, text whose length a CHECK limits is as good, and long prose is named so: description, body, note and the
    like.
    """
    wanted = ctx.options.text_type
    for table, column in ctx.catalog.own_columns if wanted else ():
        type_ = column.type
        if type_.array or type_.kind != "base" or column.generated:
            continue
        address = table.part("column", column.name)
        if wanted == "text" and type_.name == "varchar":
            yield ctx.finding(
                address, f"{address.sql()} is {type_.sql}, and the guide asks for text", fix=change_type(table, column, "text")
            )
        elif wanted == "varchar" and _is_unlimited(table, column):
            yield ctx.finding(address, f"{address.sql()} is {type_.sql} without a length, and the guide asks for varchar(n)")


_PROSE = set(
    """
    description descriptions body content contents comment comments note notes text message messages summary bio biography details html
    markdown template query sql reason error stack trace payload url uri instructions terms abstract transcript log review answer key
    secret token
    """.split()  # noqa: SIM905
)


def _is_unlimited(table: Table, column: Column) -> bool:
    if column.type.name not in ("text", "varchar") or column.type.length is not None or _PROSE & set(shapes.words(column.name)):
        return False
    return not any("length(" in c.expression and column.name in c.columns for c in table.checks)


@string_type.text
def string_type_text(ctx: Context) -> Iterator[Finding]:
    """varchar in a text house."""
    for column in nodes.columns(ctx) if ctx.options.text_type == "text" else ():
        if column.type == "varchar" and not column.array:
            yield ctx.finding(column.id, f"{column.id.sql()} is varchar, and the guide asks for text", place=column.place)


@rule("TYP21", "numeric-without-precision", Severity.INFO, options=("numeric_precision_required",))
def numeric_without_precision(ctx: Context) -> Iterator[Finding]:
    """A numeric column does not state precision and scale.

    Why: bare numeric keeps any number of digits: 19.999999999999999999 is stored as such, two services round it differently, and what a
    column of prices may hold is nowhere said.

    Instead: `numeric(12, 2)` for money, `numeric(5, 4)` for a rate.
    """
    for table, column in ctx.catalog.own_columns if ctx.options.numeric_precision_required else ():
        if column.type.basic == "numeric" and column.type.kind == "base" and column.type.precision is None:
            address = table.part("column", column.name)
            yield ctx.finding(address, f"{address.sql()} is numeric without precision and scale, so it keeps any number of digits")


@numeric_without_precision.text
def numeric_without_precision_text(ctx: Context) -> Iterator[Finding]:
    """numeric or decimal without (p, s)."""
    for column in nodes.columns(ctx) if ctx.options.numeric_precision_required else ():
        if column.type == "numeric" and not column.modifiers:
            yield ctx.finding(
                column.id, f"{column.id.sql()} is numeric without precision and scale, so it keeps any number of digits", place=column.place
            )


_LIST = re.compile(r"= ANY \(+ARRAY\[('(?:[^']|'')*'::[^,\]]+(?:, )?)+\]|^\(+\w+\)*(?:::text)?\)* = '(?:[^']|'')*'::\w+\)* OR ")
_WORDS = {
    "enum": "an enum type",
    "check": "a CHECK with the list of values",
    "enum or check": "an enum type or a CHECK with the list of values",
    "lookup": "a lookup table",
}


@rule("TYP22", "fixed-values", Severity.INFO, options=("fixed_values",))
def fixed_values(ctx: Context) -> Iterator[Finding]:
    """A column with a fixed set of values is not built as the house builds them.

    Why: enum, CHECK list and lookup table each have their price (an enum's label cannot be dropped, a list is repeated in each table, a
    lookup needs a join); a mixture has all of them, and tools cannot find the values in one place. Where they stand nowhere, `actve` is
    a status too.

    Instead: the guide's option `fixed_values`: `enum`, `check`, `enum or check`, or `lookup`.

    Except: lists of numbers and of a single value are rules, not sets of values; tables that columns refer to may be more than lists. A
    text whose values stand nowhere is only recognised by its name and a default: `status text DEFAULT 'new'`.
    """
    wanted = ctx.options.fixed_values
    for table, column in ctx.catalog.own_columns if wanted else ():
        built = _built_as(ctx, table, column)
        if built and wanted and built not in wanted.split(" or "):
            address = table.part("column", column.name)
            where = f"has its values in {_WORDS[built]}" if built in _WORDS else "has a fixed set of values and takes any text"
            yield ctx.finding(address, f"{address.sql()} {where}, and the guide asks for {_WORDS[wanted]}", built=built)


def _built_as(ctx: Context, table: Table, column: Column) -> str:
    if column.type.kind == "enum":
        return "enum"
    if not shapes.is_text(column.type):
        return ""
    domain = ctx.catalog.type.get((column.type.schema, column.type.name)) if column.type.kind == "domain" else None
    checks = [c for c in table.checks if column.name in c.columns]
    listed = any(_LIST.search(c.expression) for c in (domain.constraints if domain else ()))
    if listed or any(c.columns == (column.name,) and _LIST.search(c.expression) for c in checks):
        return "check"
    bound = bool(checks) or domain is not None or any(column.name in fk.columns for fk in table.foreign_keys)
    return "open" if not bound and _is_state(table, column) else ""


_STATES = frozenset({"status", "state", "stage", "phase", "severity", "priority", "visibility"})


def _is_state(table: Table, column: Column) -> bool:
    """A state by its name that starts as one: no state of a country, no line that people write about themselves."""
    if shapes.words(column.name)[-1:] not in {(w,) for w in _STATES} or shapes.is_staging(table):
        return False
    return re.fullmatch(r"'\w+'::(?:text|character varying|bpchar|\w*citext)", column.default) is not None and "city" not in table.column


@rule("TYP23", "nullable-boolean", Severity.INFO)
def nullable_boolean(ctx: Context) -> Iterator[Finding]:
    """A boolean with a default may be NULL all the same.

    Why: the default says that two answers were meant, and yet there are three: rows with NULL are neither in `WHERE is_active` nor in
    `WHERE NOT is_active`.

    Instead: NOT NULL beside the default.

    Except: a boolean without default, where NULL means "not known yet", is not flagged. Where the guide asks that every boolean be
    required, that rule tells.
    """
    for table, column in ctx.catalog.own_columns if not ctx.options.boolean_required else ():
        if column.type.basic == "bool" and not column.not_null and column.default in ("true", "false") and not column.type.array:
            address = table.part("column", column.name)
            name = quote(column.name)
            message = f"{address.sql()} has a default but may be NULL, and such rows are found by neither {name} nor NOT {name}"
            yield ctx.finding(address, message, fix=_not_null(table, column), hint=_fill_first(table, column))


def _not_null(table: Table, column: Column) -> str:
    return f"{shapes.alter(table)} ALTER COLUMN {quote(column.name)} SET NOT NULL"


def _fill_first(table: Table, column: Column) -> str:
    name = quote(column.name)
    return (
        f"first fill the rows that are NULL, on a large table in batches: UPDATE {table.id.sql()} SET {name} = {column.default} "
        f"WHERE {name} IS NULL"
    )


@rule("TYP31", "timestamp-with-zone", Severity.INFO, options=("timestamp_type",))
def timestamp_with_zone(ctx: Context) -> Iterator[Finding]:
    """A moment is stored with a time zone in a house that keeps UTC without one.

    Why: a mixture is worse than either: comparing `timestamp` with `timestamptz` converts by the session's TimeZone, and the result
    depends on who asks.

    Instead: `timestamp`, filled by `now() AT TIME ZONE 'UTC'`. PostgreSQL's own advice is the other way round; a house that chose so
    sets the guide's option `timestamp_type = "timestamp"`, and no column is then asked to have a zone.

    Except: arrays, ranges and generated columns. With `timestamp_type = "timestamptz"` the rule on columns without zone tells.
    """
    for table, column in ctx.catalog.own_columns if ctx.options.timestamp_type == "timestamp" else ():
        if column.type.basic == "timestamptz" and not column.type.array and not column.generated:
            address = table.part("column", column.name)
            change = change_type(table, column, "timestamp", f"{quote(column.name)} AT TIME ZONE 'UTC'")
            default = f"; and SET DEFAULT ({column.default} AT TIME ZONE 'UTC')" if column.default else ""
            yield ctx.finding(
                address,
                f"{address.sql()} has a time zone, and the guide keeps UTC without one: mixing the two depends on the session's TimeZone",
                hint=f"{change}{default} (rewrites the table)",
            )


@timestamp_with_zone.text
def timestamp_with_zone_text(ctx: Context) -> Iterator[Finding]:
    """A column of type timestamptz."""
    for column in nodes.columns(ctx) if ctx.options.timestamp_type == "timestamp" else ():
        if column.type == "timestamptz" and not column.array and not column.has("generated"):
            yield ctx.finding(column.id, f"{column.id.sql()} has a time zone, and the guide keeps UTC without one", place=column.place)


@rule("TYP32", "boolean-not-required", Severity.INFO, options=("boolean_required",))
def boolean_not_required(ctx: Context) -> Iterator[Finding]:
    """A boolean may be NULL or has no default.

    Why: a third answer is in nobody's mind: `WHERE NOT is_active` leaves out the rows that were never told. Without a default each
    INSERT must say what nearly always is the same.

    Instead: `is_active boolean NOT NULL DEFAULT true`.

    Except: generated columns, arrays, staging tables, and domains that say both themselves.
    """
    for table, column in ctx.catalog.own_columns if ctx.options.boolean_required else ():
        if column.type.basic != "bool" or column.type.array or column.generated or shapes.is_staging(table):
            continue
        nullable, bare = _lacks(ctx, column)
        if nullable or bare:
            address = table.part("column", column.name)
            says = " and ".join(filter(None, ("may be NULL" if nullable else "", "has no default" if bare else "")))
            yield ctx.finding(
                address,
                f"{address.sql()} {says}, and the guide asks for NOT NULL and a default",
                fix="" if bare else _not_null(table, column),
                hint=_give_default(table, column, nullable=nullable) if bare else _fill_first(table, column),
            )


def _lacks(ctx: Context, column: Column) -> tuple[bool, bool]:
    """Whether it may be NULL, and whether it has no default, its domain looked at too."""
    domain = ctx.catalog.type.get((column.type.schema, column.type.name)) if column.type.kind == "domain" else None
    required = column.not_null or (domain is not None and domain.not_null)
    default = column.default or (domain.default if domain else "")
    return not required, not default or default.startswith("NULL")


def _give_default(table: Table, column: Column, *, nullable: bool) -> str:
    change = f"{shapes.alter(table)} ALTER COLUMN {quote(column.name)} SET DEFAULT …"
    return f"{change}, fill the rows that are NULL, then SET NOT NULL" if nullable else change


@boolean_not_required.text
def boolean_not_required_text(ctx: Context) -> Iterator[Finding]:
    """A boolean column without NOT NULL or DEFAULT in CREATE TABLE."""
    keys = (
        {(k.table, c) for t in nodes.tables(ctx) for k in t.keys("primary") for c in k.columns} if ctx.options.boolean_required else set()
    )
    for table in nodes.tables(ctx) if ctx.options.boolean_required else ():
        for column in table.columns if not table.partition_of and not shapes.names_staging(table.id.schema, table.id.name) else ():
            if column.type != "bool" or column.array or column.has("generated"):
                continue
            nullable = not column.has("notnull", "primary") and (table.id, column.name) not in keys
            bare = not column.has("default") or column.default.a_const.isnull
            if nullable or bare:
                says = " and ".join(filter(None, ("may be NULL" if nullable else "", "has no default" if bare else "")))
                message = f"{column.id.sql()} {says}, and the guide asks for NOT NULL and a default"
                yield ctx.finding(column.id, message, place=column.place)

"""Names: how they are written, whether they need quotes, what they tell."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from pgcharter import nouns
from pgcharter.catalog.model import Column
from pgcharter.findings import Finding, Severity
from pgcharter.keywords import RESERVED_KEYWORDS
from pgcharter.names import ObjectId, quote
from pgcharter.rules.engine import Context, rule

_SNAKE = re.compile(r"_?[a-z][a-z0-9]*(?:_+[a-z0-9]+)*_?\Z")
_PLAIN = re.compile(r"[a-z_\x80-\U0010ffff][a-z0-9_$\x80-\U0010ffff]*\Z")


def _named(ctx: Context, wanted: Callable[[str], bool]) -> Iterator[tuple[ObjectId, str]]:
    """Everything the user has given a name that is `wanted`: each address with its bare name.

    Left out are partitions, and view columns that have their name from a table's column, which is told there.
    """
    catalog = ctx.catalog
    yield from ((s.id, s.name) for s in catalog.schemas if not s.extension and wanted(s.name))
    from_tables: set[str] = set()
    for table in catalog.root_tables:
        if wanted(table.name):
            yield table.id, table.name
        for column in table.columns:
            from_tables.add(column.name)
            if not column.inherited and wanted(column.name):
                yield table.part("column", column.name), column.name
    for view in catalog.own_views:
        if wanted(view.name):
            yield view.id, view.name
        yield from ((view.part("column", c.name), c.name) for c in view.columns if c.name not in from_tables and wanted(c.name))
    yield from ((f.id, f.name) for f in catalog.own_functions if wanted(f.name))
    yield from ((t.id, t.name) for t in catalog.types if not t.extension and wanted(t.name))
    yield from ((s.id, s.name) for s in catalog.sequences if not s.extension and s.owned_by is None and wanted(s.name))


@rule("NAM01", "not-snake-case", Severity.INFO, options=("identifier_case",))
def not_snake_case(ctx: Context) -> Iterator[Finding]:
    """A name that is not written in snake_case.

    Why: unquoted names are folded to lower case, so `orderItems` written with quotes once must be quoted for ever.
    Instead: `order_items`.
    Except: objects of extensions and of other programs.
    """
    if ctx.options.identifier_case != "snake_case":
        return
    for target, name in _named(ctx, lambda name: not _SNAKE.match(name)):
        better = snake(name)
        yield ctx.finding(target, f"{target} is not written in snake_case", hint=f"rename it to {quote(better)}" if better else "")


def snake(name: str) -> str:
    """The name in snake_case; empty when nothing of it is left."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"_+", "_", re.sub(r"[^a-z0-9]+", "_", split.lower())).strip("_")


@rule("NAM02", "name-needs-quotes", Severity.INFO)
def name_needs_quotes(ctx: Context) -> Iterator[Finding]:
    """A name that must be quoted wherever it is used.

    Why: capitals, spaces and other characters survive only in quotes. Every query, tool and person must remember them; without quotes
    PostgreSQL says that the object does not exist.
    Instead: lower-case letters, digits and underscores.
    Except: names dictated from outside. Where the guide asks for snake_case, that rule tells.
    """
    if ctx.options.identifier_case is not None:
        return
    for target, name in _named(ctx, lambda name: not _PLAIN.match(name)):
        better = snake(name)
        yield ctx.finding(
            target, f"{target} can only be used in double quotes", hint=f"rename it to {quote(better)}" if better else "rename it"
        )


@rule("NAM03", "reserved-word", Severity.WARNING)
def reserved_word(ctx: Context) -> Iterator[Finding]:
    """A table, view or column named by a reserved word.

    Why: without quotes it is a syntax error, or worse: `SELECT * FROM user` answers with the name of the current user.
    Instead: `users`, `orders`, `valid_from`.
    Except: words that may stand as a name without quotes, such as name, value or position, are not reported.
    """
    for target, _ in _named(ctx, RESERVED_KEYWORDS.__contains__):
        if target.kind not in ("function", "procedure", "aggregate"):
            yield ctx.finding(
                target,
                f"{target} is named by a reserved word: without quotes SQL means something else or nothing by it",
                hint="rename it to a word that is not reserved",
            )


@rule("NAM21", "house-reserved-word", Severity.INFO, options=("reserved_words",))
def house_reserved_word(ctx: Context) -> Iterator[Finding]:
    """A name that is nothing but a word the house gives to nothing.

    Why: `data`, `info` or `type` say nothing about what is meant, or mean something else in the code of this house.

    Instead: a name that says more: `payload`, `address_info`, `payment_type`. Only the whole name counts, whatever its case.

    Except: words that SQL itself reserves are told by the rule on those.
    """
    words = {w.lower() for w in ctx.options.reserved_words}
    for target, name in _named(ctx, lambda name: name.lower() in words) if words else ():
        if name not in RESERVED_KEYWORDS or target.kind in ("function", "procedure", "aggregate"):
            yield ctx.finding(target, f"{target} has a name that the guide gives to nothing", hint="rename it to a word that says more")


@rule("NAM04", "system-prefix", Severity.INFO)
def system_prefix(ctx: Context) -> Iterator[Finding]:
    """A name that begins with `pg_`.

    Why: `pg_` belongs to PostgreSQL. pg_catalog is searched first, so a later version with a relation of that name hides yours.
    Instead: another prefix, or none.
    Except: none.
    """
    for target, _ in _named(ctx, lambda name: name.startswith("pg_")):
        if target.kind not in ("column", "schema"):
            yield ctx.finding(
                target, f"{target} begins with pg_, which belongs to PostgreSQL: a later version may hide it", hint="rename it"
            )


@rule("NAM05", "table-number", Severity.INFO, options=("table_number",))
def table_number(ctx: Context) -> Iterator[Finding]:
    """A table name in the wrong grammatical number.

    Why: one habit for all tables lets people guess names instead of looking them up.
    Instead: `orders` where the guide asks for plural, `order_item` where it asks for singular.
    Except: mass nouns, collective names (`audit_log`, `inventory`) and words whose number is not certain are not reported.
    """
    wanted = ctx.options.table_number
    if wanted is None:
        return
    for table in ctx.catalog.root_tables:
        number = nouns.number_of_name(table.name)
        if number is not None and number != wanted:
            yield ctx.finding(table, f"table {table.id.sql()} is named in the {number}, the guide asks for {wanted}", hint="rename it")


_STAMPS = frozenset({"timestamptz", "timestamp"})


def _suffix(ctx: Context, types: frozenset[str], suffix: str, what: str) -> Iterator[Finding]:
    """Columns of one of the types whose name neither ends in the suffix nor is its word alone: `at`, `date`."""
    for table, column in ctx.catalog.own_columns:
        if column.type.basic not in types or column.type.array or column.name == ctx.options.soft_delete_column:
            continue
        if not column.name.endswith(suffix) and column.name != suffix.strip("_"):
            target = table.part("column", column.name)
            yield ctx.finding(target, f"{target} is {what} but does not end in {suffix}", hint=f"rename it to ..{suffix}")


@rule("NAM06", "timestamp-suffix", Severity.INFO, options=("timestamp_suffix",))
def timestamp_suffix(ctx: Context) -> Iterator[Finding]:
    """A timestamp column whose name does not say so.

    Why: with one suffix a reader knows from the name that the value is a moment.
    Instead: `paid_at`.
    Except: arrays and ranges, foreign tables, and the column that marks a row as deleted, whose name the guide sets.
    """
    if ctx.options.timestamp_suffix:
        yield from _suffix(ctx, _STAMPS, ctx.options.timestamp_suffix, "a timestamp")


@rule("NAM07", "date-suffix", Severity.INFO, options=("date_suffix",))
def date_suffix(ctx: Context) -> Iterator[Finding]:
    """A date column whose name does not say so.

    Why: with one suffix a reader knows from the name that the value is a day, not a moment.
    Instead: `due_date` or `due_on`, as the guide has it.
    Except: arrays and ranges, foreign tables, and a column that is called by the suffix's word alone (`date`).
    """
    if ctx.options.date_suffix:
        yield from _suffix(ctx, frozenset({"date"}), ctx.options.date_suffix, "a date")


@rule("NAM08", "boolean-prefix", Severity.INFO, options=("boolean_prefixes",))
def boolean_prefix(ctx: Context) -> Iterator[Finding]:
    """A boolean column whose name is not a statement.

    Why: `is_active` reads as true or false; `status` or `mail` does not tell what true means.
    Instead: a beginning that the guide allows: is_, has_, can_.
    Except: arrays, foreign tables, the key of a table that may have only one row, and the column that marks a row as deleted.
    """
    prefixes = ctx.options.boolean_prefixes
    for table, column in ctx.catalog.own_columns if prefixes else ():
        key = table.primary_key
        if not _is_boolean(column) or column.name.startswith(prefixes) or column.name == ctx.options.soft_delete_column:
            continue
        if key is None or key.columns != (column.name,):
            target = table.part("column", column.name)
            begin = " or ".join(prefixes)
            yield ctx.finding(target, f"{target} is a boolean but does not begin with {begin}", hint=f"rename it to {prefixes[0]}...")


def _is_boolean(column: Column) -> bool:
    return column.type.basic == "bool" and not column.type.array


@rule("NAM09", "column-named-like-table", Severity.INFO)
def column_named_like_table(ctx: Context) -> Iterator[Finding]:
    """A column with the name of its table.

    Why: in a query the table's name also stands for the whole row. `SELECT status FROM status` gives the column, `status IS NULL` tests it,
    and after a rename of the column the same text silently means the row.
    Instead: `status (name)`, `status (code)`.
    Except: none.
    """
    for table in ctx.catalog.root_tables:
        if table.name in table.column:
            target = table.part("column", table.name)
            yield ctx.finding(
                target, f"{target} has the name of its table, which in a query also stands for the whole row", hint="rename it"
            )

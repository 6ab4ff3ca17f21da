"""Columns whose type is narrower, wider or vaguer than their name promises."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache

from pgcharter.catalog.model import Column, Constraint, DataType, Table
from pgcharter.findings import Finding, Severity
from pgcharter.names import quote
from pgcharter.rules import nodes, shapes
from pgcharter.rules.engine import Context, rule
from pgcharter.rules.types import change_type


def _bound(table: Table) -> set[str]:
    """Columns whose type another table's column must match."""
    key = table.primary_key
    return {c for fk in table.foreign_keys for c in fk.columns} | set(key.columns if key else ())


def _kept(ctx: Context) -> Iterator[tuple[Table, Column]]:
    """Columns of tables that keep their rows; staging tables take everything as it comes."""
    passing = {id(t) for t in ctx.catalog.root_tables if shapes.is_staging(t)}
    own = ctx.catalog.own_columns
    return ((t, c) for t, c in own if id(t) not in passing) if passing else iter(own)


@rule("TYP24", "uuid-as-text", Severity.WARNING)
def uuid_as_text(ctx: Context) -> Iterator[Finding]:
    """A uuid is stored as text.

    Why: 37 bytes instead of 16 in the table and in every index and reference; upper and lower case of one uuid are two values; anything
    that is no uuid is let in.

    Instead: `uuid`. The same text goes in and comes out.

    Except: only columns named so (`…_uuid`, `guid`) or filled by a uuid function are recognised.
    """
    for table, column in _kept(ctx):
        if column.generated or not shapes.is_text(column.type) or not _holds_uuid(column):
            continue
        address = table.part("column", column.name)
        name = quote(column.name)
        free = column.name not in _bound(table) and table.kind == "table"
        default = [f"{shapes.alter(table)} ALTER COLUMN {name} DROP DEFAULT"] if column.default else []
        again = [f"{shapes.alter(table)} ALTER COLUMN {name} SET DEFAULT {_without_cast(column.default)}"] if default else []
        yield ctx.finding(
            address,
            f"{address.sql()} holds a uuid as {column.type.sql}, in more than twice the space and unchecked",
            fix=[*default, change_type(table, column, "uuid", f"{name}::uuid"), *again] if free else (),
            hint="rewrites the table" if free else "change it together with the columns that refer to it",
        )


def _holds_uuid(column: Column) -> bool:
    if "uuid" in column.default and re.search(r"\b(gen_random_uuid|uuid_generate_v\w+|uuidv\d)\(\)", column.default):
        return True
    return column.type.length in (32, 36, None) and bool({"uuid", "guid"} & set(shapes.words(column.name)[-1:]))


def _without_cast(default: str) -> str:
    found = re.search(r"[\w.]*\b(?:gen_random_uuid|uuid_generate_v\w+|uuidv\d)\(\)", default)
    return found.group() if found else f"({default})::uuid"


_MOMENT = re.compile(
    r"^(?:last_)?(?:created|updated|modified|deleted|expires?|expired|published|started|ended|finished|completed|received|sent|paid|"
    r"shipped|delivered|scheduled|inserted|archived|cancell?ed|confirmed|verified|processed|placed|approved|login|logged_in|seen)_?at$|_timestamp$|"
    r"^(?:birth|order|start|end|due|invoice|delivery|hire|payment|ship|expiry)_date$|^date_of_birth$"
)


@rule("TYP25", "date-as-text", Severity.WARNING)
def date_as_text(ctx: Context) -> Iterator[Finding]:
    """A date or moment is stored as text.

    Why: 9/1/2026 sorts after 10/1/2026, 31 February is let in, each reader guesses the format, and no range index works.

    Instead: `timestamptz` for a moment, `date` for a day.

    Except: only plain names of moments (`created_at`, `birth_date`) are recognised; staging tables take everything as it comes.
    """
    for table, column in _kept(ctx):
        if _MOMENT.search(_snake(column.name)) and shapes.is_text(column.type) and not _has_pattern(table, column.name):
            address = table.part("column", column.name)
            kind, word = ("date", "day") if "date" in shapes.words(column.name) else ("timestamptz", "moment")
            yield ctx.finding(
                address,
                f"{address.sql()} holds a {word} as {column.type.sql}, so it neither sorts nor refuses nonsense",
                hint=f"when every value can be read: {change_type(table, column, kind, f'{quote(column.name)}::{kind}')}",
            )


def _has_pattern(table: Table, column: str) -> bool:
    """Whether a CHECK says how the text is written: a month, a partial date."""
    return any(column in c.columns and " ~ " in c.expression for c in table.checks)


@lru_cache(maxsize=65536)
def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


@date_as_text.text
def date_as_text_text(ctx: Context) -> Iterator[Finding]:
    """A string column named like a moment."""
    for column in nodes.columns(ctx):
        if shapes.names_staging(column.table.schema, column.table.name) or column.array:
            continue
        if column.type in ("text", "varchar", "bpchar") and not column.has("check") and _MOMENT.search(_snake(column.name)):
            yield ctx.finding(
                column.id,
                f"{column.id.sql()} holds a moment as {column.type}, so it neither sorts nor refuses nonsense",
                place=column.place,
            )


@rule("TYP26", "epoch-in-integer", Severity.WARNING)
def epoch_in_integer(ctx: Context) -> Iterator[Finding]:
    """A moment is stored as seconds in a 32-bit integer.

    Why: the seconds since 1970 outgrow it on 19 January 2038; expiry dates beyond that fail today.

    Instead: `timestamptz`; `bigint` where the protocol demands seconds.

    Except: only names ending in `_at` whose beginning says what happened are recognised.
    """
    for table, column in _kept(ctx):
        if column.type.basic != "int4" or column.type.array:
            continue
        moment = _snake(column.name)
        if moment.endswith("at") and _MOMENT.search(moment):
            address = table.part("column", column.name)
            quoted = quote(column.name)
            plain = not (column.default or column.generated)
            yield ctx.finding(
                address,
                f"{address.sql()} holds a moment as integer seconds, which end on 19 January 2038",
                fix=change_type(table, column, "timestamptz", f"to_timestamp({quoted})") if plain else "",
                hint="rewrites the table; writers and readers change with it",
            )


@rule("TYP27", "list-in-text", Severity.WARNING)
def list_in_text(ctx: Context) -> Iterator[Finding]:
    """Several keys are stored in one text.

    Why: a list of ids in a text cannot be a foreign key, cannot be joined or indexed by element, and two writers overwrite each other's
    additions.

    Instead: a join table; an array where order matters and no foreign key is needed.

    Except: only text columns named `…_ids` are recognised.
    """
    for table, column in _kept(ctx):
        if column.name.lower().endswith("ids") and shapes.is_text(column.type) and _snake(column.name).endswith("_ids"):
            address = table.part("column", column.name)
            yield ctx.finding(
                address,
                f"{address.sql()} holds several keys in one {column.type.sql}, so none of them can be checked, joined or indexed",
                hint="a join table with a foreign key for each side",
            )


@rule("TYP28", "number-as-boolean", Severity.INFO)
def number_as_boolean(ctx: Context) -> Iterator[Finding]:
    """A yes or no is stored as a number.

    Why: it takes 2 to 8 bytes instead of one, lets 2 and NULL in, and every reader must know which number is yes.

    Instead: `boolean NOT NULL`.

    Except: only names beginning with is_ or has_, and numbers that a CHECK limits to 0 and 1, are recognised.
    """
    for table, column in ctx.catalog.own_columns:
        if column.type.basic not in shapes.INTEGER_TYPES or column.type.array or column.name in _bound(table):
            continue
        if shapes.words(column.name)[:1] in (("is",), ("has",)) or any(_zero_one(c, column.name) for c in table.checks):
            address = table.part("column", column.name)
            yield ctx.finding(
                address,
                f"{address.sql()} holds a yes or no as {column.type.sql}, and nothing says which number is yes",
                hint=change_type(table, column, "boolean", f"{quote(column.name)} <> 0") + ", after dropping its default",
            )


def _zero_one(check: Constraint, column: str) -> bool:
    return check.columns == (column,) and re.search(r"= ANY \(ARRAY\[(?:0, 1|1, 0)\]\)|BETWEEN 0 AND 1", check.expression) is not None


@rule("TYP29", "address-too-short", Severity.WARNING)
def address_too_short(ctx: Context) -> Iterator[Finding]:
    """An IP address column has no room for IPv6.

    Why: an IPv6 address has up to 39 characters, 45 with an embedded IPv4 one: the first visitor who has one makes the INSERT fail, or is
    cut.

    Instead: `inet`, which knows both, sorts, and finds by network.
    """
    for table, column in ctx.catalog.own_columns:
        words = shapes.words(column.name)
        named = ("ip" in words or words[-2:] == ("remote", "addr")) and "4" not in column.name
        if named and shapes.is_text(column.type) and column.type.length is not None and 15 <= column.type.length < 39:
            address = table.part("column", column.name)
            yield ctx.finding(
                address,
                f"{address.sql()} is {column.type.sql}, which an IPv6 address does not fit",
                fix="" if column.default or column.generated else change_type(table, column, "inet", f"{quote(column.name)}::inet"),
                hint="rewrites the table, and refuses what is no address",
            )


_KINDS = {"int2": "integer", "int4": "integer", "int8": "bigint", "uuid": "uuid", "text": "text", "varchar": "text", "numeric": "numeric"}


@rule("TYP30", "reference-type-differs", Severity.INFO)
def reference_type_differs(ctx: Context) -> Iterator[Finding]:
    """A column of the same name has another type in this table than everywhere else.

    Why: `customer_id` that is bigint in five tables and text in the sixth means casts in each join, lost indexes, and code that is right
    for five.

    Instead: one type for one name.

    Except: only names ending in `_id` that at least four tables share are looked at, and only a single one that differs is flagged.
    """
    by_name: dict[tuple[str, str], list[tuple[Table, Column]]] = defaultdict(list)
    for table, column in ctx.catalog.own_columns:
        if column.name.endswith("_id") and not column.type.array and column.type.basic in _KINDS:
            by_name[table.schema, column.name].append((table, column))
    for group in by_name.values():
        kinds: dict[str, list[tuple[Table, Column]]] = defaultdict(list)
        for table, column in group:
            kinds[_kind(column.type)].append((table, column))
        if len(group) < 4 or len(kinds) != 2 or min(len(v) for v in kinds.values()) != 1:
            continue
        (few,) = [v for v in kinds.values() if len(v) == 1]
        usual = next(v for v in kinds.values() if len(v) > 1)
        table, column = few[0]
        address = table.part("column", column.name)
        if not any(column.name in fk.columns for fk in table.foreign_keys):
            yield ctx.finding(
                address,
                f"{address.sql()} is {column.type.sql}, but {usual[0][1].type.sql} in {len(usual)} other tables, so joins have to cast",
                usual=usual[0][1].type.sql,
            )


def _kind(type_: DataType) -> str:
    return _KINDS[type_.basic]

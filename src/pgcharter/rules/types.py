"""Column types that lose or change what is written into them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pgcharter.catalog.model import Column, Table
from pgcharter.findings import Finding, Severity
from pgcharter.names import quote
from pgcharter.rules import nodes, shapes
from pgcharter.rules.engine import Context, rule


def change_type(table: Table, column: Column, type_: str, using: str = "") -> str:
    """ALTER COLUMN TYPE."""
    cast = f" USING {using}" if using else ""
    return f"{shapes.alter(table)} ALTER COLUMN {quote(column.name)} TYPE {type_}{cast}"


def _is_key(table: Table, column: str) -> bool:
    """Whether a foreign key on either side hangs on the column, so that its type cannot change alone."""
    key = table.primary_key
    return any(column in fk.columns for fk in table.foreign_keys) or (key is not None and column in key.columns)


@rule("TYP01", "timestamp-without-time-zone", Severity.WARNING, opposed=("timestamp_type", "timestamp"))
def timestamp_without_time_zone(ctx: Context) -> Iterator[Finding]:
    """A moment is stored without time zone.

    Why: the value means another moment for each session's TimeZone: `now()` written by two sessions of different zones compares unequal, an
    hour is lost or doubled at each change of the clock, and intervals across it are wrong.

    Instead: `timestamptz`. It stores the moment in UTC and takes no more space.

        ALTER TABLE app.orders ALTER COLUMN placed_at TYPE timestamptz USING placed_at AT TIME ZONE 'UTC';

    Except: a time on the wall (an appointment "at nine, wherever that is") is rightly without zone: columns called `local…`, and tables
    with a time zone column, are not flagged, nor are generated columns, which say how they come by their value. A house that keeps UTC
    without zone (option `timestamp_type = "timestamp"`) is not asked, and clauses that demand zones count as unproven there.
    """
    for table in ctx.catalog.root_tables:
        naive = [c for c in table.columns if c.type.basic == "timestamp" and not c.inherited and not c.generated]
        if not naive or table.kind == "foreign table" or _has_zone_column(table.column):
            continue
        aware = [c.name for c in table.columns if c.type.basic == "timestamptz"]
        for column in naive:
            if _is_wall_time(column.name):
                continue
            address = table.part("column", column.name)
            name = quote(column.name)
            yield ctx.finding(
                address,
                f"{address.sql()} has no time zone, so its moment depends on the TimeZone of each session"
                + (f"; comparing it with {quote(aware[0])}, which has one, is wrong in every other zone" if aware else ""),
                hint="if the values were written in UTC: "
                + change_type(table, column, "timestamptz", f"{name} AT TIME ZONE 'UTC'")
                + (
                    " (rewrites the table)"
                    if "date" not in shapes.words(column.name)
                    else ", or date where only the day matters (rewrites the table)"
                ),
            )


def _is_wall_time(name: str) -> bool:
    return bool({"local", "wall", "naive"} & set(shapes.words(name)))


def _has_zone_column(names: object) -> bool:
    return any({"timezone", "tz", "tzid"} & {*(w := shapes.words(n)), "".join(w[-2:])} for n in names)  # type: ignore[attr-defined]


@timestamp_without_time_zone.text
def timestamp_without_time_zone_text(ctx: Context) -> Iterator[Finding]:
    """A column of type timestamp."""
    for table in nodes.parts(ctx):
        for column in table.columns:
            if (
                column.type == "timestamp"
                and not column.has("generated")
                and not _is_wall_time(column.name)
                and not _has_zone_column(table.column)
                and not table.partition_of
            ):
                yield ctx.finding(
                    column.id,
                    f"{column.id.sql()} has no time zone, so its moment depends on the TimeZone of each session",
                    place=column.place,
                    hint="use timestamptz",
                )


@rule("TYP02", "time-with-time-zone", Severity.WARNING)
def time_with_time_zone(ctx: Context) -> Iterator[Finding]:
    """A column is of type `time with time zone`.

    Why: a time of day with an offset but without a date has no zone rules: nobody can tell whether summer time applied. PostgreSQL's own
    documentation advises against the type.

    Instead: `timestamptz` for a moment; `time` with the zone's name in a column of its own for opening hours.
    """
    for table, column in ctx.catalog.own_columns:
        if column.type.basic == "timetz":
            address = table.part("column", column.name)
            yield ctx.finding(
                address,
                f"{address.sql()} is a time of day with an offset but no date, so summer time cannot be told",
                hint="use timestamptz, or time beside a column with the zone's name",
            )


@time_with_time_zone.text
def time_with_time_zone_text(ctx: Context) -> Iterator[Finding]:
    """A column of type timetz."""
    for column in nodes.columns(ctx):
        if column.type == "timetz":
            yield ctx.finding(
                column.id,
                f"{column.id.sql()} is a time of day with an offset but no date, so summer time cannot be told",
                place=column.place,
                hint="use timestamptz, or time beside a column with the zone's name",
            )


@rule("TYP03", "money-type", Severity.WARNING)
def money_type(ctx: Context) -> Iterator[Finding]:
    """A column is of type money.

    Why: its currency and number of decimals come from the server's `lc_monetary`: restored on a server with another setting, $12.34 reads
    as another currency, and with other decimals as another amount.

    Instead: `numeric(12, 2)`, or integer minor units, with the currency in a column of its own.
    """
    for table, column in ctx.catalog.own_columns:
        if column.type.basic == "money":
            address = table.part("column", column.name)
            numeric = ctx.options.money_type != "integer" and not column.type.array
            yield ctx.finding(
                address,
                f"{address.sql()} is money, whose currency and decimals change with the server's lc_monetary",
                fix=change_type(table, column, "numeric(19, 2)") if numeric else "",
                hint="rewrites the table; keep the currency in a column of its own",
            )


@money_type.text
def money_type_text(ctx: Context) -> Iterator[Finding]:
    """A column of type money."""
    for column in nodes.columns(ctx):
        if column.type == "money":
            yield ctx.finding(
                column.id,
                f"{column.id.sql()} is money, whose currency and decimals change with the server's lc_monetary",
                place=column.place,
                hint="numeric(12, 2) with the currency in a column of its own",
            )


_MONEY = {"price", "salary", "subtotal", "fee", "revenue", "payout", "refund", "wage", "balance", "amount", "cost"}
_CERTAIN = {"price", "salary", "subtotal", "payout", "wage"}
_NOT_MONEY = set(
    """
    rate ratio percent percentage pct factor score avg average mean stddev variance elasticity index model predicted estimate
    estimated forecast weight reverse planner count quantity change trend sheet
    """.split()  # noqa: SIM905
)
_TRADE = set(
    """
    order invoice payment account sale purchase product item billing transaction ledger wallet refund payout price tax
    """.split()  # noqa: SIM905
)


_TOTAL = {"total", "grand", "net", "gross", "order", "invoice", "cart", "basket", "due", "paid", "tax"}


def is_money(name: str, table: str, columns: object) -> bool:
    """Whether a column holds an amount of money: by a word that means nothing else, or by one that does in this company."""
    named = set(shapes.words(name))
    if named & _NOT_MONEY or not (named & _MONEY or ("total" in named and named <= _TOTAL)):
        return False
    if named & _CERTAIN:
        return True
    from pgcharter import nouns

    trading = {nouns.singular(w) or w for w in shapes.words(table)} & _TRADE
    return bool(trading) or any("currency" in shapes.words(c) for c in columns)  # type: ignore[attr-defined]


@rule("TYP04", "float-money", Severity.ERROR)
def float_money(ctx: Context) -> Iterator[Finding]:
    """An amount of money is stored as a floating-point number.

    Why: 0.1 has no exact floating-point form: sums drift by cents, `= 19.99` finds nothing, and books that must balance do not.

    Instead: `numeric(12, 2)`, or integer minor units.

    Except: ratios, averages, forecasts and the costs of graph edges and plans are not money.
    """
    for table, column in ctx.catalog.own_columns:
        if column.type.basic in ("float4", "float8") and not column.type.array and is_money(column.name, table.name, table.column):
            address = table.part("column", column.name)
            numeric = ctx.options.money_type != "integer"
            yield ctx.finding(
                address,
                f"{address.sql()} holds money as {column.type.sql}, so sums drift and equal amounts compare unequal",
                fix=change_type(table, column, "numeric(19, 4)") if numeric and not column.generated else "",
                hint="rewrites the table; choose the precision that the currency needs",
            )


@float_money.text
def float_money_text(ctx: Context) -> Iterator[Finding]:
    """A column of a floating-point type named like money."""
    for table in nodes.parts(ctx):
        for column in table.columns:
            if column.type in ("float4", "float8") and is_money(column.name, table.id.name, table.column):
                yield ctx.finding(
                    column.id,
                    f"{column.id.sql()} holds money as a floating-point number, so sums drift and equal amounts compare unequal",
                    place=column.place,
                    hint="numeric(12, 2), or integer minor units",
                )


@rule("TYP05", "json-instead-of-jsonb", Severity.WARNING)
def json_instead_of_jsonb(ctx: Context) -> Iterator[Finding]:
    """A column is json where jsonb would do.

    Why: json is kept as text and parsed anew by every access; it has no equality, so DISTINCT, GROUP BY and UNION fail on it, and no GIN
    index.

    Instead: `jsonb`.

    Except: json keeps white space, key order and double keys: right for signed or audited originals (columns called raw or original).
    """
    for table, column in ctx.catalog.own_columns:
        if column.type.basic == "json" and not _KEPT_AS_WRITTEN & set(shapes.words(column.name)):
            address = table.part("column", column.name)
            plain = not (column.type.array or column.generated)
            yield ctx.finding(
                address,
                f"{address.sql()} is json, which is parsed at every access and has neither equality nor indexes",
                fix=change_type(table, column, "jsonb") if plain else "",
                hint="rewrites the table" if plain else "use jsonb",
            )


_KEPT_AS_WRITTEN = {"raw", "original", "signed", "verbatim", "source"}


@json_instead_of_jsonb.text
def json_instead_of_jsonb_text(ctx: Context) -> Iterator[Finding]:
    """A column of type json."""
    for column in nodes.columns(ctx):
        if column.type == "json" and not _KEPT_AS_WRITTEN & set(shapes.words(column.name)):
            yield ctx.finding(
                column.id,
                f"{column.id.sql()} is json, which is parsed at every access and has neither equality nor indexes",
                place=column.place,
                hint="use jsonb",
            )


_EXACT_LENGTH = set(
    """
    hash md sha digest checksum code iso iban bic swift country currency language locale symbol uuid guid hex token crc prefix fingerprint
    ulid nanoid ean upc gtin isbn issn imei vin icao iata lei salt signature etag four digits
    """.split()  # noqa: SIM905
)


@rule("TYP06", "padded-char", Severity.WARNING)
def padded_char(ctx: Context) -> Iterator[Finding]:
    """A text of varying length is char(n), which is padded with spaces.

    Why: PostgreSQL fills the value with spaces on disk and forgets them when comparing, but not in LIKE, in concatenation or in the driver:
    `name || '!'` and the application see different texts. It is never faster than text.

    Instead: `text`, or `varchar(n)` where the house wants a limit.

    Except: char(n) up to 3, and columns whose values always have the full length (codes, hashes, or what a CHECK says), cannot be padded
    and are not flagged.
    """
    for table, column in ctx.catalog.own_columns:
        if (
            column.type.basic == "bpchar"
            and column.type.name == "bpchar"
            and not column.type.array
            and _is_padded(column.name, column.type.length)
            and not any(_FIXES_LENGTH.search(c.expression) for c in table.checks if c.columns == (column.name,))
        ):
            address = table.part("column", column.name)
            wanted = f"varchar({column.type.length})" if ctx.options.text_type == "varchar" else "text"
            yield ctx.finding(
                address,
                f"{address.sql()} is {column.type.sql}, so shorter values are padded with spaces that some operations see and some do not",
                fix="" if _is_key(table, column.name) or column.generated else change_type(table, column, wanted),
                hint="rewrites the table",
            )


_UUID_LENGTH = 36
_BCRYPT_LENGTH = 60
_FIXES_LENGTH = re.compile(r"length\([^=<>]*\) = \d|~ '[^']*\{\d+\}")


def _is_padded(name: str, length: int | None) -> bool:
    if length is None or length <= 3 or length == _UUID_LENGTH or (length == _BCRYPT_LENGTH and "password" in shapes.words(name)):
        return False
    return not _EXACT_LENGTH & set(shapes.words(name))


@padded_char.text
def padded_char_text(ctx: Context) -> Iterator[Finding]:
    """A column of type char(n) that no CHECK looks at."""
    checks = {t.id: [c for c in t.keys("check") if not c.column] for t in nodes.tables(ctx)}
    for column in nodes.columns(ctx):
        checked = column.has("check") or any(column.name in nodes.columns_in(c.node.raw_expr) for c in checks.get(column.table, ()))
        if column.type == "bpchar" and column.modifiers and _is_padded(column.name, column.modifiers[0]) and not checked:
            yield ctx.finding(
                column.id,
                f"{column.id.sql()} is char({column.modifiers[0]}), so shorter values are padded with spaces that some operations see and "
                "some do not",
                place=column.place,
                hint="use text or varchar",
            )


_UPGRADE_BLOCKERS = {"regcollation", "regconfig", "regdictionary", "regnamespace", "regoper", "regoperator", "regproc", "regprocedure"}


@rule("TYP07", "type-that-stops-upgrade", Severity.WARNING)
def type_that_stops_upgrade(ctx: Context) -> Iterator[Finding]:
    """A column is of a reg* type that pg_upgrade refuses.

    Why: the value is an object's internal number, which pg_upgrade does not keep, so it refuses to upgrade the whole cluster while such a
    column exists: found out on the night of the upgrade.

    Instead: store the name as text and cast when it is used: `to_tsvector(language::regconfig, body)`.

    Except: regclass, regtype and regrole are kept and are not flagged.
    """
    for table, column in ctx.catalog.own_columns:
        if column.type.basic in _UPGRADE_BLOCKERS:
            address = table.part("column", column.name)
            plain = not (column.type.array or column.generated)
            yield ctx.finding(
                address,
                f"{address.sql()} is {column.type.basic}, which makes pg_upgrade refuse the whole cluster",
                fix=change_type(table, column, "text", f"{quote(column.name)}::text") if plain else "",
                hint="cast where it is used",
            )


@rule("TYP08", "sql-ascii-encoding", Severity.ERROR)
def sql_ascii_encoding(ctx: Context) -> Iterator[Finding]:
    """The database's encoding is SQL_ASCII: bytes are stored unchecked.

    Why: each client's bytes are kept as they come: UTF-8 beside Latin-1 in one column. Lengths, upper case, sorting and search are wrong
    for everything outside ASCII, and no later conversion can know which row was written how.

    Instead: a database in UTF8, filled from a dump whose texts were converted.

        CREATE DATABASE shop TEMPLATE template0 ENCODING 'UTF8';
    """
    if ctx.catalog.database.encoding == "SQL_ASCII":
        name = quote(ctx.catalog.database.name)
        yield ctx.finding(
            ctx.catalog.database,
            f"database {name} has the encoding SQL_ASCII, so texts of different encodings are mixed unchecked",
            hint=f"pg_dump --encoding=UTF8 {name}, mend what it refuses, restore into a UTF8 database",
        )


_CLOCK_COLUMN = re.compile(
    r"(?:^|_)(?:created|inserted|updated|modified|changed|recorded|registered|logged)(?:_?at|_on|_time|_date|$)|^timestamp$"
)
_FROZEN = re.compile(r"^'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+[^']*'::timestamp")


@rule("TYP09", "frozen-now-default", Severity.ERROR)
def frozen_now_default(ctx: Context) -> Iterator[Finding]:
    """A default meant as "now" is a constant.

    Why: `DEFAULT 'now'` is read once, when the table is made: every row gets the moment of the migration.

    Instead: `DEFAULT now()`.

    Except: constants without fractions of a second ('1970-01-01', 'infinity') are taken as meant.
    """
    for table, column in ctx.catalog.own_columns:
        if _FROZEN.match(column.default) and _CLOCK_COLUMN.search(column.name):
            address = table.part("column", column.name)
            yield ctx.finding(
                address,
                f"{address.sql()} has a constant as default, the moment when that was written, so every row gets the same time",
                fix=f"{shapes.alter(table)} ALTER COLUMN {quote(column.name)} SET DEFAULT now()",
            )


@frozen_now_default.text
def frozen_now_default_text(ctx: Context) -> Iterator[Finding]:
    """DEFAULT 'now', which is read when the table is made."""
    for column in nodes.columns(ctx):
        if column.type in ("timestamp", "timestamptz") and _is_now_literal(column.default):
            yield ctx.finding(
                column.id,
                f"{column.id.sql()} has a constant as default, the moment when the table is made, so every row gets the same time",
                place=column.place,
                hint="DEFAULT now()",
            )


def _is_now_literal(default: Any) -> bool:
    if default is None:
        return False
    kind = default.WhichOneof("node")
    value = default.type_cast.arg if kind == "type_cast" else default
    if kind == "type_cast" and default.type_cast.type_name.names[-1].string.sval not in ("timestamp", "timestamptz"):
        return False
    return bool(value.WhichOneof("node") == "a_const" and value.a_const.sval.sval.lower() == "now")


@rule("TYP10", "null-string-default", Severity.WARNING)
def null_string_default(ctx: Context) -> Iterator[Finding]:
    """A default is the text 'NULL'.

    Why: the four letters NULL are a value: IS NULL does not find them, counts include them, and people called Null are older than
    databases.

    Instead: no default, which is NULL.

    Except: json's own null is a value and is not flagged.
    """
    for table, column in ctx.catalog.own_columns:
        if re.match(r"^'null'(::|$)", column.default, re.IGNORECASE) and column.type.basic not in ("json", "jsonb"):
            address = table.part("column", column.name)
            yield ctx.finding(
                address,
                f"{address.sql()} has the text {column.default.partition('::')[0]} as default, which IS NULL does not find",
                fix=f"{shapes.alter(table)} ALTER COLUMN {quote(column.name)} DROP DEFAULT",
                hint="mend the rows that have it already",
            )

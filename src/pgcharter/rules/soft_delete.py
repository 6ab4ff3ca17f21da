"""Rows that are marked as deleted instead of deleted, and the keys and indexes that must know about it."""

from __future__ import annotations

from collections.abc import Iterator

from pgcharter.catalog.model import Column, Index, Table, Trigger
from pgcharter.findings import Finding, Severity
from pgcharter.names import quote
from pgcharter.rules import copies, nodes, shapes
from pgcharter.rules.engine import Context, rule

_FALLBACK = ("deleted_at", "is_deleted", "deleted", "deleted_on")


def mark(ctx: Context, table: Table) -> Column | None:
    """The column that marks a row of `table` as deleted."""
    for name in dict.fromkeys((ctx.options.soft_delete_column, *_FALLBACK)):
        column = table.column.get(name)
        if column is not None and (
            column.type.basic == "bool" or (column.type.basic in ("timestamptz", "timestamp", "date") and not column.not_null)
        ):
            return column
    return None


def living(column: Column) -> str:
    """The condition that a row is not deleted."""
    return f"NOT {quote(column.name)}" if column.type.basic == "bool" else f"{quote(column.name)} IS NULL"


def _is_living(predicate: str, column: Column) -> bool:
    text = f" {predicate} ".replace("(", " ").replace(")", " ")
    forms = [
        f" {living(column)} ",
        f" {quote(column.name)} = false ",
        f" {quote(column.name)} IS NOT TRUE ",
        f" {quote(column.name)} IS FALSE ",
    ]
    return any(form in text for form in forms)


_NEVER_REUSED = {
    "token",
    "hash",
    "digest",
    "uuid",
    "guid",
    "number",
    "no",
    "reference",
    "serial",
    "checksum",
    "external",
    "key",
    "secret",
    "nonce",
}


@rule("CON20", "unique-ignores-soft-delete", Severity.WARNING)
def unique_ignores_soft_delete(ctx: Context) -> Iterator[Finding]:
    """A unique key also counts rows that are marked as deleted.

    Why: who deletes an account cannot register again with the same address; who deletes a product cannot give its code to another: the
    key is held by a row that nobody can see.

    Instead: a unique index of the living rows.

        CREATE UNIQUE INDEX CONCURRENTLY uq_users_email ON app.users (email) WHERE deleted_at IS NULL;

    Except: values that are never used twice (tokens, hashes, document numbers, generated keys), keys made of references only (such a row is
    revived, not made again) and keys that a foreign key refers to are not flagged. An upsert must name the predicate as well:
    ON CONFLICT (email) WHERE deleted_at IS NULL.
    """
    for table in ctx.catalog.root_tables:
        deleted = mark(ctx, table) if table.kind != "foreign table" else None
        if deleted is None:
            continue
        referred = {frozenset(fk.referenced_columns) for _, fk in ctx.catalog.referencing.get(table.id, ())}
        for index in table.indexes:
            if index.unique and not index.primary and not index.predicate and _is_meant_to_be_reused(table, index, deleted, referred):
                yield _whole_key(ctx, table, index, deleted)


def _is_meant_to_be_reused(table: Table, index: Index, deleted: Column, referred: set[frozenset[str]]) -> bool:
    names = [k.column or k.expression for k in index.keys]
    plain = [k.column for k in index.keys if k.column]
    if (
        deleted.name in plain
        or frozenset(plain) in referred
        or set(plain) >= set(table.primary_key.columns if table.primary_key else ("",))
    ):
        return False
    if any(shapes.is_generated_key(table.column[c]) or table.column[c].generated for c in plain):
        return False
    bound = {c for fk in table.foreign_keys for c in fk.columns}
    if len(plain) == len(index.keys) and set(plain) <= bound:
        return False
    return not any(_NEVER_REUSED & set(shapes.words(n)) for n in names)


def _whole_key(ctx: Context, table: Table, index: Index, deleted: Column) -> Finding:
    keys = index.definition.partition(" USING ")[2].partition("(")[2].rpartition(")")[0]
    plain = len(index.columns) == len(index.keys) and not index.include
    names = (*index.columns, "alive") if index.columns else ("alive",)
    build = shapes.create_index(ctx, table, names, unique=True, keys="" if plain else keys, where=living(deleted))
    if plain:
        build = build.replace(f"({shapes.columns_sql(names)})", f"({shapes.columns_sql(index.columns)})")
    drop = f"{shapes.alter(table)} DROP CONSTRAINT {quote(index.constraint)}" if index.constraint else shapes.drop_index(index)
    label = shapes.columns_sql(index.columns) if plain else keys
    simple = table.kind == "table" and not index.include and not index.nulls_not_distinct
    return ctx.finding(
        index,
        f"{quote(index.name)} keeps ({label}) of {table.id.sql()} unique among deleted rows too, so their values cannot be used again",
        fix=(build, drop) if simple else (),
        hint=f"ON CONFLICT must then say WHERE {living(deleted)}",
        table=table.id.sql(),
    )


@unique_ignores_soft_delete.text
def unique_ignores_soft_delete_text(ctx: Context) -> Iterator[Finding]:
    """UNIQUE in a table with the soft-delete column."""
    referred = {
        (k.node.pktable.relname, tuple(c.string.sval for c in k.node.pk_attrs)) for t in nodes.parts(ctx) for k in t.keys("foreign")
    }
    for table in nodes.tables(ctx):
        deleted = next((n for n in (ctx.options.soft_delete_column, *_FALLBACK) if n in table.column), None)
        primary = next((set(k.columns) for k in table.keys("primary")), {""})
        bound = {c for k in table.keys("foreign") for c in k.columns}
        for key in table.keys("unique") if deleted else ():
            free = (table.id.name, key.columns) not in referred and not primary <= set(key.columns)
            if free and deleted not in key.columns and not set(key.columns) <= bound and all(_reusable(table, c) for c in key.columns):
                yield ctx.finding(
                    key.id,
                    f"({shapes.columns_sql(key.columns)}) of {table.id.sql()} is unique among deleted rows too, so a deleted row's value "
                    "cannot be used again",
                    place=key.place,
                    hint=f"a unique index WHERE {quote(str(deleted))} IS NULL",
                    detail=",".join(key.columns),
                )


def _reusable(table: nodes.WrittenTable, name: str) -> bool:
    column = table.column.get(name)
    made = column is not None and (column.serial or column.has("identity") or (column.type == "uuid" and column.has("default")))
    return not made and not _NEVER_REUSED & set(shapes.words(name))


@rule("CON21", "unique-with-deletion-mark", Severity.ERROR)
def unique_with_deletion_mark(ctx: Context) -> Iterator[Finding]:
    """A unique key holds the time of deletion, or only holds for deleted rows.

    Why: UNIQUE (email, deleted_at) does not compare living rows at all: their deleted_at is NULL, and NULL equals nothing. An index WHERE
    deleted_at IS NOT NULL leaves them out altogether. Either way two living rows may have the same address.

    Instead: a unique index of the living rows: (email) WHERE deleted_at IS NULL.

    Except: UNIQUE NULLS NOT DISTINCT (email, deleted_at) compares living rows, and a further unique index of them makes up for it.
    """
    for table in ctx.catalog.root_tables:
        deleted = mark(ctx, table)
        if deleted is None or deleted.type.basic == "bool":
            continue
        for index in table.indexes:
            columns = {k.column for k in index.keys}
            inside = deleted.name in columns and not index.predicate and not index.nulls_not_distinct and len(index.keys) > 1
            dead_only = f"{quote(deleted.name)} IS NOT NULL" in index.predicate
            rest = tuple(k.column for k in index.keys if k.column and k.column != deleted.name)
            if index.unique and not index.primary and (inside or dead_only) and rest and not _held_elsewhere(table, rest, index):
                how = f"holds {quote(deleted.name)}, which is NULL in living rows" if inside else "leaves living rows out"
                yield ctx.finding(
                    index,
                    f"unique index {quote(index.name)} of {table.id.sql()} {how}, so two living rows may have the same "
                    + shapes.columns_sql(rest),
                    fix=shapes.create_index(ctx, table, rest, unique=True, where=living(deleted)) if table.kind == "table" else "",
                )


def _held_elsewhere(table: Table, rest: tuple[str, ...], besides: Index) -> bool:
    return any(
        i.unique and i is not besides and i.columns and set(i.columns) <= set(rest) and len(i.columns) == len(i.keys) for i in table.indexes
    )


def _marks(ctx: Context, table: Table) -> tuple[Column | None, Column | None]:
    """The flag and the time that mark a row as deleted, as far as there are any."""
    names = dict.fromkeys((ctx.options.soft_delete_column, *_FALLBACK))
    there = [table.column[n] for n in names if n in table.column and not table.column[n].generated]
    flag = next((c for c in there if c.type.basic == "bool"), None)
    return flag, next((c for c in there if c.type.basic in ("timestamptz", "timestamp", "date") and not c.not_null), None)


@rule("CON22", "unique-with-deletion-flag", Severity.WARNING)
def unique_with_deletion_flag(ctx: Context) -> Iterator[Finding]:
    """A unique key holds the flag of deletion.

    Why: UNIQUE (email, is_deleted) has room for one living and one deleted row. The address is given up, used again, and given up once
    more: the second deletion fails with a unique violation.

    Instead: a unique index of the living rows: (email) WHERE NOT is_deleted.

    Except: partial indexes, keys that a foreign key refers to, and tables that count or sum up others by the flag.
    """
    for table in ctx.catalog.root_tables:
        flag, _ = _marks(ctx, table)
        referred = {frozenset(fk.referenced_columns) for _, fk in ctx.catalog.referencing.get(table.id, ())} if flag else set()
        for index in table.indexes if flag and not _counts_rows(table) else ():
            columns = index.columns
            rest = tuple(c for c in columns if flag and c != flag.name)
            whole = index.unique and not index.primary and not index.predicate and not index.exclusion and len(columns) == len(index.keys)
            if not flag or not whole or not rest or len(rest) == len(columns) or frozenset(columns) in referred:
                continue
            if _held_elsewhere(table, rest, index) or any(shapes.is_generated_key(table.column[c]) for c in rest):
                continue
            drop = f"{shapes.alter(table)} DROP CONSTRAINT {quote(index.constraint)}" if index.constraint else shapes.drop_index(index)
            simple = table.kind == "table" and flag.not_null and not index.include
            yield ctx.finding(
                index,
                f"unique index {quote(index.name)} of {table.id.sql()} has room for one deleted row of the same "
                f"{shapes.columns_sql(rest)}: the second deletion fails",
                fix=(shapes.create_index(ctx, table, rest, unique=True, where=living(flag)), drop) if simple else (),
                hint=f"ON CONFLICT must then say WHERE {living(flag)}" if simple else f"({shapes.columns_sql(rest)}) WHERE {living(flag)}",
            )


def _counts_rows(table: Table) -> bool:
    """Whether its rows are figures about others, of which the flag is a dimension."""
    return copies.keeps_copies(table) or not {"count", "counts", "counter", "counters", "total", "totals"}.isdisjoint(
        shapes.words(table.name)
    )


@rule("CON23", "two-deletion-marks", Severity.INFO)
def two_deletion_marks(ctx: Context) -> Iterator[Finding]:
    """A flag and a time both say whether a row is deleted, and nothing keeps them together.

    Why: a row with is_deleted and without deleted_at is deleted for one query and alive for the next; unique indexes and row policies
    look at the one, the application at the other.

    Instead: the time alone; or the flag generated from it; or a CHECK that holds the two together.

        ALTER TABLE app.users ADD CHECK (is_deleted = (deleted_at IS NOT NULL));

    Except: a trigger that names both.
    """
    for table in ctx.catalog.root_tables:
        flag, time = _marks(ctx, table)
        if flag is None or time is None or any({flag.name, time.name} <= set(c.columns) for c in table.checks):
            continue
        if any(_names_both(ctx, t, flag.name, time.name) for t in table.triggers):
            continue
        yield ctx.finding(
            table,
            f"{table.id.sql()} says by {quote(flag.name)} and by {quote(time.name)} that a row is deleted, and nothing keeps them together",
            hint=f"{shapes.alter(table)} ADD CHECK ({quote(flag.name)} = ({quote(time.name)} IS NOT NULL))",
        )


def _names_both(ctx: Context, trigger: Trigger, flag: str, time: str) -> bool:
    function = ctx.catalog.function.get(trigger.function)
    return function is None or (flag in function.body and time in function.body)


@rule("IDX20", "index-on-deletion-mark", Severity.WARNING)
def index_on_deletion_mark(ctx: Context) -> Iterator[Finding]:
    """An index of living rows has nothing but the deletion mark as key.

    Why: every key in it is NULL: it cannot find anything among the living rows, and is written with every insert all the same.

    Instead: index what is looked up, with that predicate: `(email) WHERE deleted_at IS NULL`. To find deleted rows for cleaning up, turn
    the predicate around.
    """
    for table in ctx.catalog.root_tables:
        deleted = mark(ctx, table)
        for index in table.indexes if deleted else ():
            if deleted and [k.column for k in index.keys] == [deleted.name] and not index.unique and _is_living(index.predicate, deleted):
                yield ctx.finding(
                    index,
                    f"index {quote(index.name)} of {table.id.sql()} has equal keys only, as {quote(deleted.name)} is fixed by its "
                    "predicate: it finds nothing and costs every insert",
                    fix=shapes.drop_index(index),
                    hint=f"index what is looked up, WHERE {living(deleted)}",
                    table=table.id.sql(),
                )


@index_on_deletion_mark.text
def index_on_deletion_mark_text(ctx: Context) -> Iterator[Finding]:
    """CREATE INDEX ON t (c) WHERE c IS NULL, for the soft-delete column."""
    marks = {ctx.options.soft_delete_column, *_FALLBACK}
    for statement in ctx.of_kind("index_stmt"):
        keys = [p.index_elem.name for p in statement.node.index_params]
        test = statement.node.where_clause.null_test if statement.node.where_clause.WhichOneof("node") == "null_test" else None
        if len(keys) == 1 and keys[0] in marks and test is not None and not statement.node.unique and test.nulltesttype == 1:
            table = nodes.relation_id(statement.node.relation)
            if nodes.columns_in(test) == {keys[0]}:
                yield ctx.finding(
                    table,
                    f"the index {quote(statement.node.idxname)} on {table.sql()} has nothing but NULL as key, so it finds nothing and "
                    "costs every insert",
                    place=statement.place,
                    hint=f"index what is looked up, WHERE {quote(keys[0])} IS NULL",
                    detail=statement.node.idxname,
                )

"""Full-text search: documents that become NULL, and vectors that nothing finds."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgcharter.catalog.model import Column, Index, Table
from pgcharter.findings import Finding, Severity
from pgcharter.names import quote
from pgcharter.rules import free_names, nodes, shapes
from pgcharter.rules.engine import Context, rule
from pgcharter.sqltext import walk


@rule("IDX30", "search-text-becomes-null", Severity.ERROR)
def search_text_becomes_null(ctx: Context) -> Iterator[Finding]:
    """A full-text document is joined from columns that may be NULL.

    Why: `a || ' ' || b` is NULL when either is: a product without description is not found by its name either. Nothing fails; rows are
    missing from the results.

    Instead: `coalesce(description, '')` for each column that may be NULL.

        search tsvector GENERATED ALWAYS AS (to_tsvector('english', name || ' ' || coalesce(description, ''))) STORED
    """
    for table in ctx.catalog.root_tables:
        for column in table.columns:
            if column.generated:
                yield from _generated(ctx, table, column)
        for index in table.indexes:
            for key in index.keys:
                nulls = _nullable_parts(table, key.expression)
                if nulls:
                    yield _indexed(ctx, table, index, nulls)


def _indexed(ctx: Context, table: Table, index: Index, nulls: tuple[str, ...]) -> Finding:
    simple = (
        table.kind == "table"
        and index.unique is False
        and index.parent is None
        and all(shapes.is_text(table.column[n].type) for n in nulls)
    )
    return ctx.finding(
        index,
        f"index {quote(index.name)} of {table.id.sql()} joins {shapes.columns_sql(nulls)}, which may be NULL: such rows are never found",
        fix=(_complete(ctx, table, index, nulls), shapes.drop_index(index)) if simple else (),
        hint="queries must repeat the new expression",
        columns=list(nulls),
    )


def _complete(ctx: Context, table: Table, index: Index, nulls: tuple[str, ...]) -> str:
    """The same index under a new name, with COALESCE."""
    rest = index.definition.partition(" USING ")[2]
    for name in nulls:
        rest = shapes.replace_mentions(rest, name, f"COALESCE({quote(name)}, '')")
    fresh = shapes.fresh_name(f"{index.name}_complete", free_names.taken(ctx, table.schema))
    return f"CREATE INDEX CONCURRENTLY {quote(fresh)} ON {table.id.sql()} USING {rest}"


def _generated(ctx: Context, table: Table, column: Column) -> Iterator[Finding]:
    nulls = _nullable_parts(table, column.default)
    if nulls:
        address = table.part("column", column.name)
        better = column.default
        for name in nulls:
            better = shapes.replace_mentions(better, name, f"COALESCE({quote(name)}, '')")
        yield ctx.finding(
            address,
            f"{address.sql()} joins {shapes.columns_sql(nulls)}, which may be NULL: such rows are never found",
            fix=f"{shapes.alter(table)} ALTER COLUMN {quote(column.name)} SET EXPRESSION AS ({better})" if ctx.catalog.major >= 17 else "",
            hint="rewrites the table" if ctx.catalog.major >= 17 else f"add the column anew as ({better})",
            columns=list(nulls),
        )


def _nullable_parts(table: Table, expression: str) -> tuple[str, ...]:
    """Columns that may be NULL and are joined by || in a full-text expression without COALESCE."""
    if "to_tsvector(" not in expression or "||" not in expression:
        return ()
    bare = _without_coalesce(shapes.without_strings(expression))
    return tuple(c.name for c in table.columns if not c.not_null and shapes.mentions(bare, c.name))


def _without_coalesce(expression: str) -> str:
    """The expression with each COALESCE(...) and CASE ... END taken out."""
    out: list[str] = []
    position = 0
    for found in re.finditer(r"\bCOALESCE\(", expression):
        if found.start() < position:
            continue
        out.append(expression[position : found.start()])
        depth, position = 1, found.end()
        while depth and position < len(expression):
            depth += {"(": 1, ")": -1}.get(expression[position], 0)
            position += 1
    out.append(expression[position:])
    return re.sub(r"\bCASE\b.*?\bEND\b", "", "".join(out), flags=re.DOTALL)


@search_text_becomes_null.text
def search_text_becomes_null_text(ctx: Context) -> Iterator[Finding]:
    """to_tsvector(a || b) in CREATE INDEX or in a generated column, where the columns are not known to be NOT NULL."""
    known = nodes.created_once(ctx)
    for statement in ctx.of_kind("index_stmt"):
        if "to_tsvector" not in statement.text.lower() or "||" not in statement.text:
            continue
        table = known.get(nodes.relation_id(statement.node.relation))
        for item in statement.node.index_params:
            nulls = _bare_columns(item.index_elem.expr, table)
            if nulls:
                where = nodes.relation_id(statement.node.relation)
                yield ctx.finding(
                    where,
                    f"the index {quote(statement.node.idxname)} on {where.sql()} joins {shapes.columns_sql(nulls)} without coalesce: where "
                    "one is NULL, the row is never found",
                    place=statement.place,
                    hint="coalesce(column, '')",
                    detail=statement.node.idxname,
                )
    for table in nodes.parts(ctx):
        for column in table.columns:
            nulls = (
                _bare_columns(column.default, table) if column.has("generated") and "to_tsvector" in table.statement.text.lower() else ()
            )
            if nulls:
                yield ctx.finding(
                    column.id,
                    f"{column.id.sql()} joins {shapes.columns_sql(nulls)} without coalesce: where one is NULL, the row is never found",
                    place=column.place,
                    hint="coalesce(column, '')",
                )


def _bare_columns(expression: object, table: nodes.WrittenTable | None) -> tuple[str, ...]:
    """Columns joined outside COALESCE that may be NULL; without their CREATE TABLE at hand nothing is known of them."""
    joined = any(kind == "A_Expr" and any(n.string.sval == "||" for n in m.name) for kind, m in walk(expression))
    if not joined or table is None:
        return ()
    inside = {c for kind, m in walk(expression) if kind == "CoalesceExpr" for c in nodes.columns_in(m)}
    outside = (table.column.get(name) for name in sorted(nodes.columns_in(expression) - inside))
    return tuple(c.name for c in outside if c is not None and not c.has("notnull", "primary"))


@rule("IDX31", "search-vector-without-index", Severity.WARNING)
def search_vector_without_index(ctx: Context) -> Iterator[Finding]:
    """A stored tsvector has no index.

    Why: it is kept so that a search need not parse each text, but every search still reads every row.

    Instead: a GIN index.

    Except: a column that is only part of an indexed expression is not flagged.
    """
    for table in ctx.catalog.root_tables:
        for column in table.columns if table.kind != "foreign table" else ():
            if column.type.basic != "tsvector" or column.type.array or column.inherited:
                continue
            indexes = (i for t in (table, *ctx.catalog.partitions.get(table.id, ())) for i in t.indexes)
            if any(k.column == column.name or shapes.mentions(k.expression, column.name) for i in indexes for k in i.keys):
                continue
            address = table.part("column", column.name)
            yield ctx.finding(
                address,
                f"{address.sql()} is a tsvector without index, so every search reads the whole table",
                fix=shapes.create_index(ctx, table, (column.name,), method="gin"),
            )

"""What an index can find: keys that say nothing new, predicates that are always or never true, types that no btree reaches into."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgcharter.catalog.model import Index, Table
from pgcharter.findings import Finding, Severity
from pgcharter.names import quote
from pgcharter.rules import bodies, nodes, shapes
from pgcharter.rules.engine import Context, rule


def _own(ctx: Context) -> Iterator[tuple[Table, Index]]:
    """Indexes told once: on a partition only those that do not come from its parent's index."""
    return ((t, i) for t in ctx.catalog.own_tables for i in t.indexes if i.parent is None)


_SHAPES = frozenset({"point", "box", "polygon", "circle", "geometry", "geography", "ltree", "cube"})
_FEW = 1_000


@rule("IDX12", "complex-type-without-index", Severity.INFO)
def complex_type_without_index(ctx: Context) -> Iterator[Finding]:
    """A column of shapes, ranges or paths has no index that finds what they contain.

    Why: "near this place", "overlaps this week" and "below this branch" can't use a btree; without GiST or SP-GiST each of them reads the
    whole table.

    Instead: `CREATE INDEX ON app.shops USING gist (place)`; for periods that must not overlap an exclusion constraint, which is such an
    index too.

    Except: columns that are only shown; tables known to be small; staging tables.
    """
    for table, column in ctx.catalog.own_columns:
        searchable = column.type.kind in ("range", "multirange") or (
            column.type.basic in _SHAPES and column.type.kind in ("base", "domain")
        )
        if not searchable or column.type.array or shapes.is_staging(table) or (ctx.rows(table) or _FEW) < _FEW:
            continue
        indexes = (i for t in (table, *ctx.catalog.partitions.get(table.id, ())) for i in t.indexes)
        if any(k.column == column.name or shapes.mentions(k.expression, column.name) for i in indexes for k in i.keys):
            continue
        address = table.part("column", column.name)
        yield ctx.finding(
            address,
            f"{address.sql()} is {column.type.sql} without an index, so each search for what it contains or overlaps reads the whole table",
            fix=shapes.create_index(ctx, table, (column.name,), method="gist"),
            hint="unless it is never searched by",
        )


@rule("IDX13", "column-twice-in-index", Severity.WARNING)
def column_twice_in_index(ctx: Context) -> Iterator[Finding]:
    """An index has the same key twice.

    Why: among rows with equal first key the second is equal too: it finds and sorts nothing, makes every entry longer and was most
    likely meant to be another column. A unique index on (a, a) holds less together than its author thinks.

    Instead: the column that was meant, or the key once.

    Except: the same column under another operator class or collation is another key; GiST may carry what it only keeps the outline of.
    """
    for table, index in _own(ctx):
        forms = [(k.column, k.expression, k.operator_class, k.collation) for k in index.keys]
        twice = next((f for n, f in enumerate(forms) if f in forms[:n]), None)
        carried = next((c for c in index.include if index.method == "btree" and any(k.column == c for k in index.keys)), "")
        if twice is None and not carried:
            continue
        name = quote(carried) if twice is None else (quote(twice[0]) if twice[0] else twice[1])
        plain = all(k.column and not (k.operator_class or k.collation or k.descending or k.nulls_first) for k in index.keys)
        yield ctx.finding(
            index,
            f"index {quote(index.name)} of {table.id.sql()} has {name} twice: the second finds nothing that the first does not",
            fix=_once(ctx, table, index) if plain and index.method == "btree" and not index.constraint else (),
            hint="or was another column meant?",
        )


def _once(ctx: Context, table: Table, index: Index) -> tuple[str, ...]:
    columns = tuple(dict.fromkeys(k.column for k in index.keys))
    include = tuple(c for c in dict.fromkeys(index.include) if c not in columns)
    build = shapes.create_index(ctx, table, columns, unique=index.unique)
    build += f" INCLUDE ({shapes.columns_sql(include)})" if include else ""
    build += " NULLS NOT DISTINCT" if index.nulls_not_distinct else ""
    build += f" WHERE {index.predicate}" if index.predicate else ""
    return build, shapes.drop_index(index)


@column_twice_in_index.text
def column_twice_in_index_text(ctx: Context) -> Iterator[Finding]:
    """CREATE INDEX with the same plain column twice."""
    for statement in ctx.of_kind("index_stmt"):
        node = statement.node
        plain = [p.index_elem.name for p in node.index_params if not (p.index_elem.opclass or p.index_elem.collation)]
        included = [p.index_elem.name for p in node.index_including_params] if node.access_method in ("", "btree") else []
        names = [n for n in (*plain, *included) if n]
        twice = next((n for position, n in enumerate(names) if n in names[:position]), "")
        if twice:
            table = nodes.relation_id(node.relation)
            yield ctx.finding(
                table,
                f"the index {quote(node.idxname)} on {table.sql()} has {quote(twice)} twice: the second finds nothing that the first does "
                "not",
                place=statement.place,
                hint="or was another column meant?",
                detail=node.idxname,
            )


_RANDOM = re.compile(r"\b(?:gen_random_uuid|uuid_generate_v4|uuidv4|random|gen_random_bytes)\(")


@rule("IDX14", "brin-on-random-values", Severity.WARNING)
def brin_on_random_values(ctx: Context) -> Iterator[Finding]:
    """A BRIN index stands on values that are made at random.

    Why: BRIN keeps the lowest and highest value of each range of pages. Random values are spread over all of them, so that every range may
    hold what is looked for: every search reads the whole table.

    Instead: btree; BRIN is for what grows with the table: times of insertion, sequence numbers.

    Except: the bloom operator classes of BRIN find equal values; uuid version 7 grows with time.
    """
    for table, index in _own(ctx):
        if index.method != "brin":
            continue
        for key in index.keys:
            column = table.column.get(key.column)
            if column is None or "bloom" in key.operator_class or not _RANDOM.search(column.default):
                continue
            led = any(i.method == "btree" and shapes.is_whole(i) and i.columns[:1] == (column.name,) for i in table.indexes)
            single = len(index.keys) == 1
            build = () if led else (shapes.create_index(ctx, table, (column.name,), where=index.predicate),)
            yield ctx.finding(
                index,
                f"index {quote(index.name)} of {table.id.sql()} is BRIN on {quote(column.name)}, whose values are random: every search by "
                "it reads the whole table",
                fix=(*build, shapes.drop_index(index)) if single else (),
                hint="" if single else "take the column out of it",
            )
            break


def _never_null(table: Table) -> tuple[str, ...]:
    """Columns without a NULL in any row; a NOT NULL that was not validated says nothing about old rows."""
    open_ = {c for n in table.constraints if n.kind == "not null" and not n.validated for c in n.columns}
    return tuple(c.name for c in table.columns if c.not_null and c.name not in open_)


@rule("IDX15", "predicate-always-true", Severity.INFO)
def predicate_always_true(ctx: Context) -> Iterator[Finding]:
    """The predicate of a partial index is true for every row.

    Why: it leaves nothing out, but queries must repeat it to use the index, ON CONFLICT must name it, and no foreign key can refer to such
    a unique index.

    Instead: the same index without the predicate.

    Except: where the column may be NULL, the predicate does leave rows out.
    """
    for table, index in _own(ctx):
        required = _never_null(table)
        if not index.predicate or not (index.predicate == "true" or shapes.leaves_out_only_nulls(index.predicate, required)):
            continue
        simple = table.kind == "table" and len(index.columns) == len(index.keys) and index.method == "btree" and not _ordered(index)
        build = shapes.create_index(ctx, table, index.columns, unique=index.unique)
        build += f" INCLUDE ({shapes.columns_sql(index.include)})" if index.include else ""
        yield ctx.finding(
            index,
            f"index {quote(index.name)} of {table.id.sql()} is partial, but {_told(index.predicate)} holds for every row: it leaves out "
            "nothing but queries that do not repeat it",
            fix=(build, shapes.drop_index(index)) if simple else (),
            hint="" if simple else "the same index without its predicate",
        )


def _ordered(index: Index) -> bool:
    special = any(k.operator_class or k.collation or k.descending or k.nulls_first for k in index.keys)
    return special or index.nulls_not_distinct


def _told(predicate: str) -> str:
    return predicate.removeprefix("(").removesuffix(")")


_NEVER = re.compile(r"\(?(?:NULL::boolean|false)\)?\Z", re.IGNORECASE)
_COMPARES_WITH_NULL = re.compile(r"[\w\"]+ (?:=|<>|<|>|<=|>=) NULL::[\w .]+\Z")


@rule("IDX16", "index-always-empty", Severity.ERROR)
def index_always_empty(ctx: Context) -> Iterator[Finding]:
    """The predicate of a partial index is true for no row.

    Why: the index is always empty. A unique one promises what it never looks at: `WHERE deleted_at = NULL` is NULL for every row, and so
    is `IS NULL` false for a column that is NOT NULL.

    Instead: `WHERE deleted_at IS NULL`, on a column that may be NULL.

    Except: none known.
    """
    for table, index in _own(ctx):
        why = _empty_because(table, index.predicate) if index.predicate else ""
        if why:
            promise = ", and its uniqueness holds for nothing" if index.unique else ""
            yield ctx.finding(
                index,
                f"index {quote(index.name)} of {table.id.sql()} is always empty: {why}{promise}",
                hint="IS NULL instead of = NULL; a column that may be NULL; or drop the index",
            )


def _empty_because(table: Table, predicate: str) -> str:
    if _NEVER.match(predicate):
        return "its predicate is false"
    for bare in _terms(predicate):
        if _COMPARES_WITH_NULL.match(bare):
            return f"{bare.partition('::')[0]} is never true"
        name = next((c for c in _never_null(table) if bare == f"{quote(c)} IS NULL"), "")
        if name:
            return f"{quote(name)} is NOT NULL, but its predicate wants {bare}"
    return ""


def _terms(predicate: str) -> Iterator[str]:
    """The conditions that AND joins, as far as the predicate is nothing but such a chain."""
    bare = predicate.strip()
    while bare.startswith("(") and bodies.closing(bodies.mask(bare), 0) == len(bare) - 1:
        bare = bare[1:-1].strip()
    masked = bodies.mask(bare)
    depth, begin = 0, 0
    parts: list[str] = []
    for found in re.finditer(r"[()]|\bAND\b|\b(?:OR|NOT|CASE|BETWEEN)\b", masked):
        word = found.group()
        if word in "()":
            depth += 1 if word == "(" else -1
        elif depth == 0 and word == "AND":
            parts.append(bare[begin : found.start()])
            begin = found.end()
        elif depth == 0 and word in ("OR", "CASE", "BETWEEN"):
            return
    for part in (*parts, bare[begin:]) if parts else ():
        yield from _terms(part)
    if not parts:
        yield bare


@rule("IDX17", "unique-within-unique", Severity.INFO)
def unique_within_unique(ctx: Context) -> Iterator[Finding]:
    """A unique key begins with columns that are unique without the rest.

    Why: where the id alone is unique, (id, name) is unique by itself: the longer key forbids nothing, finds nothing that the shorter does
    not, and is written with every change.

    Instead: drop it; columns that are to be read from the index go into INCLUDE of the shorter.

    Except: a key that a foreign key refers to (the tenant in a composite reference) is needed; one that begins with another column serves
    searches by it; exclusion and temporal constraints compare otherwise.
    """
    for table in ctx.catalog.root_tables:
        whole = [i for i in table.indexes if i.unique and i.valid and not i.predicate and not i.exclusion and len(i.columns) == len(i.keys)]
        if len(whole) < 2:
            continue
        referred = {frozenset(fk.referenced_columns) for _, fk in ctx.catalog.referencing.get(table.id, ())}
        for index in whole:
            short = next((s for s in whole if len(s.keys) < len(index.keys) and set(s.columns) == set(index.columns[: len(s.keys)])), None)
            if (
                short is None
                or index.primary
                or frozenset(index.columns) in referred
                or index.include
                or index.replica_identity
                or index.clustered
            ):
                continue
            if index.parent is not None or any(table.column[c].not_null is False for c in short.columns):
                continue
            drop = f"{shapes.alter(table)} DROP CONSTRAINT {quote(index.constraint)}" if index.constraint else shapes.drop_index(index)
            yield ctx.finding(
                index,
                f"unique key {quote(index.name)} of {table.id.sql()} adds nothing to {quote(short.name)}: "
                f"({shapes.columns_sql(short.columns)}) is unique without the rest",
                fix=drop,
                hint="ON CONFLICT must then name the shorter key",
                covered_by=short.name,
            )

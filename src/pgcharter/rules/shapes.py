"""What tables, columns, keys and indexes look like: the questions several rules ask, and the SQL several fixes need."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from pgcharter import nouns
from pgcharter.catalog.model import Column, Constraint, DataType, Index, Table
from pgcharter.names import MAX_BYTES, cut, quote
from pgcharter.rules import free_names, templates
from pgcharter.rules.engine import Context

TEXT_TYPES = frozenset({"text", "varchar", "bpchar", "citext"})
INTEGER_TYPES = {"int2": 2, "int4": 4, "int8": 8}
INTEGER_MAXIMUM = {"int2": 2**15 - 1, "int4": 2**31 - 1, "int8": 2**63 - 1}
GENERATORS = re.compile(r"\b(gen_random_uuid|uuid_generate_v\w+|uuidv4|uuidv7|nextval)\(")
"""Functions whose result is a fresh value for every row."""


@lru_cache(maxsize=65536)
def words(name: str) -> tuple[str, ...]:
    """The words of an identifier, lower case, without digits: `unitPrice2` and `unit_price` give unit, price."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return tuple(w for w in re.split(r"[^a-z]+", spaced.lower()) if w)


@lru_cache(maxsize=65536)
def _mention(column: str) -> re.Pattern[str]:
    return re.compile(r'(?<![\w."])' + re.escape(quote(column)) + r'(?![\w"(.])')


def mentions(expression: str, column: str) -> bool:
    """Whether PostgreSQL's own text of an expression uses `column`."""
    return quote(column) in expression and _mention(column).search(without_strings(expression)) is not None


def replace_mentions(expression: str, column: str, by: str) -> str:
    """The expression with every use of `column` replaced, string literals left alone."""
    parts = re.split(r"('(?:[^']|'')*')", expression)
    return "".join(p if p.startswith("'") else _mention(column).sub(lambda _: by, p) for p in parts)


def without_strings(expression: str) -> str:
    """The expression with the content of its string literals taken out."""
    return re.sub(r"'(?:[^']|'')*'", "''", expression)


def is_text(type_: DataType) -> bool:
    """Whether a value is a character string (arrays are not)."""
    return not type_.array and type_.basic in TEXT_TYPES


def alter(table: Table) -> str:
    """The beginning of ALTER TABLE, or ALTER FOREIGN TABLE."""
    return f"ALTER {'FOREIGN ' if table.kind == 'foreign table' else ''}TABLE {table.id.sql()}"


def columns_sql(names: Iterable[str]) -> str:
    """A column list as it stands between parentheses."""
    return ", ".join(quote(n) for n in names)


def fresh_name(name: str, taken: Iterable[str]) -> str:
    """`name` cut to length, with a number when it is taken already."""
    used = set(taken)
    candidate, number = cut(name), 1
    while candidate in used:
        number += 1
        tail = f"_{number}"
        candidate = name.encode()[: MAX_BYTES - len(tail)].decode(errors="ignore") + tail
    return candidate


def index_name(ctx: Context, table: Table, columns: Iterable[str], *, unique: bool = False) -> str:
    """A free name for a new index, after the guide's template or, without one, as PostgreSQL itself would name it."""
    template = (ctx.options.unique_name if unique else ctx.options.index_name) or (
        "{table}_{columns}_key" if unique else "{table}_{columns}_idx"
    )
    return templates.proposal(template, templates.values(table, columns), free_names.taken(ctx, table.schema))


def create_index(
    ctx: Context, table: Table, columns: tuple[str, ...], *, unique: bool = False, where: str = "", keys: str = "", method: str = ""
) -> str:
    """CREATE INDEX that does not stop writes where PostgreSQL can: a partitioned table has no CONCURRENTLY.

    `keys` replaces the plain column list, `columns` then only gives the name.
    """
    head = f"CREATE {'UNIQUE ' if unique else ''}INDEX {'' if table.kind == 'partitioned table' else 'CONCURRENTLY '}"
    using = f" USING {method}" if method else ""
    body = f"{quote(index_name(ctx, table, columns, unique=unique))} ON {table.id.sql()}{using} ({keys or columns_sql(columns)})"
    return head + body + (f" WHERE {where}" if where else "")


def drop_index(index: Index) -> str:
    """DROP INDEX that does not stop reads and writes where PostgreSQL can."""
    return f"DROP INDEX {'' if index.partitioned or index.parent else 'CONCURRENTLY '}{index.id.sql()}"


def is_generated_key(column: Column) -> bool:
    """Whether the database makes the value up: identity, sequence or random uuid."""
    return bool(column.identity) or GENERATORS.search(column.default) is not None


def surrogate_key(table: Table) -> Column | None:
    """The single primary key column that means nothing outside the database: made up by it, or a uuid or integer named like a key.

    None for natural keys, composite keys, and keys that are borrowed from another table by a foreign key.
    """
    key = table.primary_key
    if key is None or len(key.columns) != 1:
        return None
    column = table.column[key.columns[0]]
    if any(fk.columns == key.columns for fk in table.foreign_keys):
        return None
    if is_generated_key(column):
        return column
    named_like_a_key = words(column.name)[-1:] in (("id",), ("uuid",), ("guid",), ("key",), ("pk",))
    return column if named_like_a_key and (column.type.basic == "uuid" or column.type.basic in INTEGER_TYPES) else None


def same_set(a: Iterable[str], b: Iterable[str]) -> bool:
    """Whether two column lists name the same columns, in any order."""
    return set(a) == set(b)


def is_whole(index: Index) -> bool:
    """Whether the index holds every row and can be used: valid, no predicate."""
    return index.valid and not index.predicate


def supports(index: Index, fk: Constraint, target: Table | None) -> bool:
    """Whether the rows that reference a given row can be looked up in `index`.

    Its leading keys must be the foreign key's columns in any order. A part of them suffices when the referenced side of that part is
    unique by itself (`tenant_id, user_id` is found through `user_id`). A predicate may only leave out NULLs, which reference nothing. GiST
    and SP-GiST indexes on such columns (exclusion constraints with `=`) answer equality too.
    """
    if not index.valid or index.method not in ("btree", "hash", "gist", "spgist"):
        return False
    if index.predicate and not leaves_out_only_nulls(index.predicate, fk.columns):
        return False
    leading: list[str] = []
    for key in index.keys:
        if key.column not in fk.columns:
            break
        leading.append(key.column)
    if len(leading) == len(fk.columns):
        return True
    pairs = dict(zip(fk.columns, fk.referenced_columns, strict=False))
    reached = {pairs[c] for c in leading if c in pairs}
    return bool(reached) and target is not None and any(set(key) <= reached for key in target.unique_keys)


_PASSING = frozenset("staging stage stg import imports imported raw landing load loads tmp temp scratch".split())  # noqa: SIM905


def is_staging(table: Table) -> bool:
    """Whether rows only pass through, as they came: its name or schema says so, or it is UNLOGGED."""
    return table.unlogged or names_staging(table.schema, table.name)


def names_staging(schema: str, name: str) -> bool:
    """Whether the name of a table, or of its schema, says that rows only pass through."""
    return not (_PASSING.isdisjoint(words(name)) and _PASSING.isdisjoint(words(schema)))


def leaves_out_only_nulls(predicate: str, columns: tuple[str, ...]) -> bool:
    """Whether an index predicate is nothing but `column IS NOT NULL` of some of `columns`."""
    terms = re.split(r"\s+AND\s+", predicate.strip())
    allowed = {f"{quote(c)} IS NOT NULL" for c in columns}
    return all(t.strip("() ") in allowed for t in terms)


def is_invented(ctx: Context, table: Table | None) -> bool:
    """Whether the table only stands in for one that the source does not define: its types and keys are guesses."""
    return table is not None and table.id in ctx.reading.stand_ins


def target_of(ctx: Context, fk: Constraint) -> Table | None:
    """The referenced table, when the catalog holds it."""
    return ctx.catalog.table.get(fk.references) if fk.references else None


def key_names(template: str, table: str) -> tuple[str, ...]:
    """Names that a template such as `{singular}_id` allows for the key of `table`, the expected one first.

    Several templates are joined by ` or `. A name in front may be left out (`user_id` in `app_users`), as guides leave it open.
    """
    return tuple(dict.fromkeys(name for one in template.split(" or ") for name in _key_names(one.strip(), table)))


def _key_names(template: str, table: str) -> Iterator[str]:
    base = nouns.singular_name(table) or table
    yield template.replace("{table}", table).replace("{singular}", base)
    while "{" in template and "_" in base:
        base = base.partition("_")[2]
        yield template.replace("{table}", base).replace("{singular}", base)

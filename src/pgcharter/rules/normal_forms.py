"""The same fact in two places: copied columns, twin tables, columns that follow from others. Deliberate copies say so in a comment."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

from pgcharter import nouns
from pgcharter.catalog.model import Column, Constraint, Derivation, FunctionalDependency, Table
from pgcharter.findings import Finding, Severity
from pgcharter.names import ObjectId, literal, quote
from pgcharter.rules import copies, shapes
from pgcharter.rules.engine import Context, rule

_EXCUSE = "where the copy is meant, say so: COMMENT ON COLUMN {} IS {}"


def _excuse(table: Table, column: str, words: str) -> str:
    return _EXCUSE.format(table.part("column", column).sql(), literal(words))


@rule("NRM01", "copied-column", Severity.INFO)
def copied_column(ctx: Context) -> Iterator[Finding]:
    """A column repeats a column of the row that a foreign key beside it refers to.

    Why: `customer_name` beside `customer_id` is right until the customer is renamed; from then on two answers exist, and every writer must
    remember both.

    Instead: join, or a view that does.

    Except: prices, currencies and addresses as they were then, parts of documents (invoices, lines of orders), history and event tables,
    tenant columns, what a row that ties two others says of the tie (`team_role`), a reference that may be NULL (the text outlives the
    row), what keys, checks or triggers hold together, and columns whose comment says that they are a copy or a snapshot.
    """
    for table in ctx.catalog.root_tables:
        if table.kind == "foreign table" or copies.keeps_copies(table) or copies.is_paper(table) or shapes.is_invented(ctx, table):
            continue
        for fk in table.foreign_keys:
            parent = shapes.target_of(ctx, fk)
            if parent is None or parent.id == table.id or shapes.is_invented(ctx, parent):
                continue
            if all(table.column[c].not_null for c in fk.columns):
                yield from _copies_of(ctx, table, fk, parent)


def _copies_of(ctx: Context, table: Table, fk: Constraint, parent: Table) -> Iterator[Finding]:
    for column, original in _repeated(ctx, table, fk, parent):
        yield ctx.finding(
            table.part("column", column.name),
            f"{table.id.sql()}.{quote(column.name)} repeats {parent.id.sql()}.{quote(original.name)}, which "
            f"{shapes.columns_sql(fk.columns)} leads to, so the two can differ",
            hint="read it by a join; " + _excuse(table, column.name, f"copy of {parent.name}.{original.name}, kept because ..."),
            original=parent.part("column", original.name).sql(),
        )


def _repeated(ctx: Context, table: Table, fk: Constraint, parent: Table) -> Iterator[tuple[Column, Column]]:
    """Columns named after what the foreign key leads to (`customer_name`), with the column of the parent that has the rest of the name."""
    stems = {_stem(fk.columns[-1]), nouns.singular_name(parent.name) or parent.name}
    single = nouns.singular_name(parent.name) or parent.name
    by_name = {c.name: c for c in parent.columns if not _is_key_of(parent, c)}
    for column in table.columns:
        if _is_own(ctx, table, column):
            continue
        for stem in sorted(stems):
            rest = column.name.removeprefix(f"{stem}_")
            if not stem or rest == column.name or _is_about_the_bond(table, rest):
                continue
            original = by_name.get(rest) or by_name.get(f"{single}_{rest}")
            if original is not None and _is_alike(column, original):
                if not copies.is_held_together(ctx.catalog, table, column.name, *fk.columns):
                    yield column, original
                break


_OF_THE_BOND = frozenset("role status state type kind level rank color colour description note notes comment position active".split())  # noqa: SIM905


def _is_about_the_bond(table: Table, rest: str) -> bool:
    """Whether a row that ties two others together says something about the tie: `team_role` of a membership is not the team's."""
    bound = copies.foreign_key_columns(table)
    ties = any(len(key) > 1 and set(key) <= bound for key in table.unique_keys)
    return ties and rest in _OF_THE_BOND


def _stem(column: str) -> str:
    """What a foreign key column calls the row it refers to: `customer_id` gives customer."""
    return re.sub(r"_(?:id|uuid|guid|code|key|fk|no|number)\Z", "", column)


def _is_key_of(table: Table, column: Column) -> bool:
    return table.primary_key is not None and column.name in table.primary_key.columns


def _is_own(ctx: Context, table: Table, column: Column) -> bool:
    """Whether a column that looks like a copy is none: part of a key, about the row itself, as it was then, or declared."""
    if column.name in copies.foreign_key_columns(table) or any(column.name in key for key in table.unique_keys):
        return True
    words = set(shapes.words(column.name))
    if column.name == ctx.options.tenant_column or column.name in table.partition_columns or column.generated:
        return True
    if copies.is_money(column) or words & (copies.ADDRESS | {"id", "count", "snapshot", "original", "legacy", "at", "on"}):
        return True
    return copies.is_declared(table, column)


def _is_alike(one: Column, other: Column) -> bool:
    text = shapes.is_text(one.type) and shapes.is_text(other.type)
    return one.type.array == other.type.array and (text or (one.type.schema, one.type.name) == (other.type.schema, other.type.name))


_PERIOD = re.compile(r"(?P<stem>.*[a-z])_?(?P<period>(?:19|20)\d\d(?:_?(?:0[1-9]|1[0-2]|q[1-4])(?:_?[0-3]\d)?)?)\Z")
_NUMBERED = re.compile(r"(?P<stem>.*[a-z])_?(?P<period>\d{1,3})\Z")
_STANDARD = frozenset("id code name title label description created_at updated_at deleted_at sort_order position is_active".split())  # noqa: SIM905
_OTHER_LIFE = frozenset(
    """archive archived archives history audit log logs staging stage tmp temp old new backup bak deleted draft drafts published live shadow
    import imports export raw copy default template templates view cache queue dead failed current previous next pending type types status
    statuses translations translation locales""".split()  # noqa: SIM905
)


@rule("NRM02", "table-per-period-or-kind", Severity.INFO)
def table_per_period_or_kind(ctx: Context) -> Iterator[Finding]:
    """Tables of one shape for each year, number, customer or kind: orders_2023, orders_2024.

    Why: a query over all of them names each, a new period needs DDL and new code, no key spans them, and what was changed in one is
    forgotten in the others.

    Instead: one table with a column for what the names tell apart; where size is the reason, partitions of it.

    Except: partitions and children by inheritance, archives, histories, staging tables and other second lives of a table, small tables of
    codes; two tables told apart by a word or a short number may be a coincidence, so three are asked for.
    """
    for tables, stem, by_time in _twins(ctx):
        names = [t.id.sql() for t in tables]
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        yield ctx.finding(
            tables[0],
            f"{shown} have the same columns, so the {'period' if by_time else 'kind'} of a row stands in the name of its table and "
            "no query or key spans them",
            hint=f"one table {quote(stem)} with a column for the {'period, in partitions' if by_time else 'kind'}",
            detail=stem,
            tables=names,
        )


def _twins(ctx: Context) -> Iterator[tuple[list[Table], str, bool]]:
    """Groups of tables with equal columns and names that differ in their last part, each with what the names share."""
    shapes_seen: dict[tuple[str, frozenset[tuple[str, str]]], list[Table]] = defaultdict(list)
    for table in ctx.catalog.root_tables:
        told = len({c.name for c in table.columns} - _STANDARD)
        if table.kind == "table" and not table.inherits and told >= 2 and not _OTHER_LIFE & set(shapes.words(table.name)):
            shapes_seen[table.schema, frozenset((c.name, c.type.sql) for c in table.columns)].append(table)
    for tables in shapes_seen.values():
        yield from _named_apart(tables) if len(tables) > 1 else ()


def _named_apart(tables: Iterable[Table]) -> Iterator[tuple[list[Table], str, bool]]:
    left = list(tables)
    told = set[ObjectId]()
    for pattern, fewest in ((_PERIOD, 2), (_NUMBERED, 3)):
        groups: dict[str, list[Table]] = defaultdict(list)
        for table in left:
            found = pattern.match(table.name)
            if found:
                groups[found["stem"]].append(table)
        for stem, group in groups.items():
            if len(group) >= fewest:
                yield group, stem, pattern is _PERIOD
                told |= {t.id for t in group}
        left = [t for t in left if t.id not in told]
    by_stem: dict[str, list[Table]] = defaultdict(list)
    for table in left:
        stem, _, last = table.name.rpartition("_")
        if stem and last.isalpha() and len({c.name for c in table.columns} - _STANDARD) >= 3:
            by_stem[stem].append(table)
    yield from ((group, stem, False) for stem, group in by_stem.items() if len(group) >= 3)


@rule("NRM03", "dependent-column", Severity.INFO, needs="samples")
def dependent_column(ctx: Context) -> Iterator[Finding]:
    """A column follows from another one that is not the key: the city from the postal code.

    Why: the same fact stands in many rows (third normal form asks for one). Changing it means changing all of them; a row that is missed
    says something else.

    Instead: a table with one row for each value of the determining column, and a foreign key to it.

    Except: what was seen is a sample and not the rule of the business: a dependency may be chance. Prices, addresses beside a reference,
    parts of documents, tenant columns, history and event tables are left out; so are columns whose comment says that the copy is meant.
    """
    assert ctx.stats.samples is not None  # noqa: S101
    by_column: _ByColumn = defaultdict(list)
    meant = {(d.table, d.determinant, d.dependent) for d in ctx.stats.samples.dependencies if _is_meant(ctx, d)}
    for seen in ctx.stats.samples.dependencies:
        ways = {(seen.table, seen.determinant, seen.dependent), (seen.table, seen.dependent, seen.determinant)}
        if not ways & meant and not _is_backwards(ctx.catalog.table[seen.table], seen):
            by_column[seen.table, seen.dependent].append(seen)
    for (address, _), dependencies in by_column.items():
        table = ctx.catalog.table[address]
        nearest = _nearest(table, dependencies, by_column)
        if nearest is not None:
            yield _dependent(ctx, table, nearest)


_ByColumn = dict[tuple[ObjectId, str], list[FunctionalDependency]]


def _nearest(table: Table, found: Iterable[FunctionalDependency], all_of: _ByColumn) -> FunctionalDependency | None:
    """The closest determinant: fewest values. Of two columns that follow from each other, only the later one is told."""

    def told(seen: FunctionalDependency) -> bool:
        back = any(d.determinant == seen.dependent for d in all_of.get((table.id, seen.determinant), ()))
        return not back or _leads(table, seen.determinant) < _leads(table, seen.dependent)

    return min(filter(told, found), key=lambda d: (d.values, _leads(table, d.determinant)), default=None)


def _leads(table: Table, column: str) -> tuple[bool, bool, int]:
    """Order in which one of two columns with the same information is kept: references, then codes, then by position."""
    words = shapes.words(column)
    return column not in copies.foreign_key_columns(table), words[-1:] not in (("id",), ("code",)), table.column[column].position


def _is_meant(ctx: Context, seen: FunctionalDependency) -> bool:
    """Whether the dependency is as it should be, whatever the sample says."""
    table = ctx.catalog.table.get(seen.table)
    if table is None:
        return True
    determinant, dependent = table.column[seen.determinant], table.column[seen.dependent]
    tenant = ctx.options.tenant_column
    if tenant in (determinant.name, dependent.name) or copies.is_declared(table, determinant) or copies.is_declared(table, dependent):
        return True
    foreign = copies.foreign_key_columns(table)
    if determinant.name in foreign and (copies.is_paper(table) or copies.ADDRESS & set(shapes.words(dependent.name))):
        return True
    return copies.is_held_together(ctx.catalog, table, dependent.name, determinant.name)


def _is_backwards(table: Table, seen: FunctionalDependency) -> bool:
    """Whether a reference is said to follow from a mere word: the word follows from the reference, if anything does."""
    foreign = copies.foreign_key_columns(table)
    return seen.dependent in foreign and seen.determinant not in foreign


def _dependent(ctx: Context, table: Table, seen: FunctionalDependency) -> Finding:
    return ctx.finding(
        table.part("column", seen.dependent),
        f"{table.id.sql()}.{quote(seen.dependent)} follows from {quote(seen.determinant)} in all {seen.rows:,} sampled rows "
        f"({seen.values:,} values of {quote(seen.determinant)}, {seen.outcomes:,} of {quote(seen.dependent)}), so one fact stands in many "
        "rows",
        hint=f"if that is always so: a table with one row for each {quote(seen.determinant)}; "
        + _excuse(table, seen.dependent, f"denormalised: follows from {seen.determinant}, kept because ..."),
        determinant=seen.determinant,
        rows=seen.rows,
        values=seen.values,
        outcomes=seen.outcomes,
    )


@rule("NRM04", "stored-calculation", Severity.INFO, needs="samples")
def stored_calculation(ctx: Context) -> Iterator[Finding]:
    """A column holds the product or the sum of two others of its row.

    Why: whoever changes the quantity must also change the total; a row that was missed is wrong, and nothing says which of the figures is.

    Instead: `total numeric GENERATED ALWAYS AS (quantity * unit_price) STORED`, or a CHECK that ties the three together.

    Except: generated columns, and columns that a CHECK ties to the others or a trigger sets. What was seen is a sample: a total that may be
    rounded or discounted by hand is its own fact, and its comment says so.
    """
    assert ctx.stats.samples is not None  # noqa: S101
    for seen in ctx.stats.samples.derivations:
        table = ctx.catalog.table.get(seen.table)
        if table is None or copies.is_declared(table, table.column[seen.column]):
            continue
        if copies.is_held_together(ctx.catalog, table, seen.column, seen.left, seen.right) or copies.is_equated(table, seen.column):
            continue
        yield _calculation(ctx, table, seen)


def _calculation(ctx: Context, table: Table, seen: Derivation) -> Finding:
    formula = f"{quote(seen.left)} {seen.operator} {quote(seen.right)}"
    return ctx.finding(
        table.part("column", seen.column),
        f"{table.id.sql()}.{quote(seen.column)} is {formula} in all {seen.rows:,} sampled rows, but nothing keeps it so",
        hint=f"{shapes.alter(table)} ADD CHECK ({quote(seen.column)} = {formula}) NOT VALID, or GENERATED ALWAYS AS ({formula}) STORED; "
        + _excuse(table, seen.column, "snapshot: not always the sum, because ..."),
        detail=seen.operator,
        left=seen.left,
        right=seen.right,
        rows=seen.rows,
    )

"""Names of indexes, constraints and sequences after the guide's templates, such as `idx_{table}_{columns}`."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from pgcharter.catalog.model import Constraint, Index, Sequence, Table
from pgcharter.findings import Finding, Severity
from pgcharter.names import quote
from pgcharter.rules import free_names, renames, shapes, templates
from pgcharter.rules.engine import Context, rule

_ANY = ("columns", "column", "description")
"""Placeholders that any words may stand for."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """Names in any of three sets, which may be large."""

    sets: tuple[AbstractSet[str], AbstractSet[str], AbstractSet[str]]

    def __contains__(self, name: object) -> bool:
        one, two, three = self.sets
        return name in one or name in two or name in three


@dataclass
class _Names:
    """The names that fixes of one rule may give: none that is there already, none twice."""

    ctx: Context
    template: str
    promised: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _asked: tuple[Table, _Taken] | None = None
    """The table asked about last, with its answer."""

    def taken(self, table: Table) -> _Taken:
        """Names that are there or promised."""
        if self._asked is None or self._asked[0] is not table:
            there = free_names.taken(self.ctx, table.schema)
            self._asked = table, _Taken((there, frozenset(c.name for c in table.constraints), self.promised[table.schema]))
        return self._asked[1]

    def give(self, table: Table, filled: templates.Values) -> str:
        """A free name after the template."""
        name = templates.proposal(self.template, filled, self.taken(table))
        self.promised[table.schema].add(name)
        return name

    def is_lent(self, table: Table, filled: templates.Values, name: str) -> bool:
        """Whether something else has the very name of the template, so that more words must tell apart."""
        first = templates.shortened(self.template, filled)
        return first != name and first in self.taken(table)


def _columns(index: Index) -> tuple[str, ...]:
    """Its key columns; none when one of its keys is an expression."""
    return index.columns if len(index.columns) == len(index.keys) else ()


def _is_own(index: Index) -> bool:
    """Whether the index has a name of its own, not that of a constraint or a parent's."""
    return not (index.constraint or index.primary or index.parent or index.exclusion)


def _indexes(ctx: Context, template: str, kinds: tuple[bool, ...], *, strict: bool = False) -> Iterator[Finding]:
    """Findings on indexes that do not follow the template; `kinds` are unique (True) and plain ones (False)."""
    names = _Names(ctx, template)
    for table in ctx.catalog.root_tables:
        named = Counter(index.columns for index in table.indexes if not index.constraint)
        for index in table.indexes:
            if not _is_own(index) or index.unique not in kinds:
                continue
            columns = _columns(index)
            filled = templates.values(table, columns)
            has_twin = named[index.columns] > 1
            apart = bool(index.predicate or index.include or index.method != "btree") or has_twin
            apart = apart or names.is_lent(table, filled, index.name)
            if not templates.fits(index.name, template, filled, free=() if strict and columns else _ANY, numbered=apart):
                about = filled if columns else templates.values(table, ("expression",))
                fix, hint = renames.relation(ctx, index.id, names.give(table, about))
                word = "unique index" if index.unique else "index"
                message = f"{word} {index.id.sql()} on {table.id.sql()} is not named after {template}"
                yield ctx.finding(index, message, fix=fix, hint=hint)


@rule("NAM10", "index-name", Severity.INFO, options=("index_name", "index_name_strict"))
def index_name(ctx: Context) -> Iterator[Finding]:
    """An index whose name does not follow the guide's template.

    Why: names appear in plans, logs and alerts; one pattern tells table and columns at a glance.

    Instead: `idx_orders_customer_id`. The template knows {table}, {singular}, {schema} and {columns}.

    Except: indexes behind constraints (they have the constraint's name), those of partitions, which follow their parent, and names of
    more than 63 bytes that were cut by PostgreSQL or shortened with a hash by SQLAlchemy, Rails or Django.
    """
    if ctx.options.index_name:
        kinds = (False,) if ctx.options.unique_name else (False, True)
        yield from _indexes(ctx, ctx.options.index_name, kinds, strict=ctx.options.index_name_strict)


def _constraints(ctx: Context, template: str | None, kind: str) -> Iterator[Finding]:
    """Findings on constraints of one kind that do not follow the template."""
    names = _Names(ctx, template or "")
    for table in ctx.catalog.root_tables if template else ():
        own = [(c, _values(ctx, table, c)) for c in table.constraints if c.kind == kind and not c.inherited and not _seals(c)]
        wholes = [templates.render(template or "", filled) for _, filled in own]
        for (constraint, filled), whole in zip(own, wholes, strict=True):
            apart = wholes.count(whole) > 1 or names.is_lent(table, filled, constraint.name)
            if not templates.fits(constraint.name, template or "", filled, free=_ANY, numbered=apart):
                fix, hint = renames.constraint(ctx, table, constraint.name, names.give(table, filled))
                yield ctx.finding(
                    table.part("constraint", constraint.name),
                    f"{kind} constraint {quote(constraint.name)} of {table.id.sql()} is not named after {template}",
                    fix=fix,
                    hint=hint,
                )


def _seals(constraint: Constraint) -> bool:
    """Whether `[encryption]` of a charter made and named it: the check that a column holds nothing but encrypted values."""
    return constraint.kind == "check" and constraint.name.endswith("_sealed") and "octet_length(" in constraint.expression


def _values(ctx: Context, table: Table, constraint: Constraint) -> dict[str, str]:
    about = constraint.columns if constraint.kind != "check" else constraint.columns[:3] or (table.name,)
    return templates.values(table, about, shapes.target_of(ctx, constraint))


@rule("NAM11", "unique-name", Severity.INFO, options=("unique_name",))
def unique_name(ctx: Context) -> Iterator[Finding]:
    """A unique constraint or unique index whose name does not follow the guide's template.

    Why: the name is what the application sees in the error, and often what it tells the cases apart by.

    Instead: `uq_users_email`.

    Except: primary keys, and what follows a parent.
    """
    yield from _constraints(ctx, ctx.options.unique_name, "unique")
    if ctx.options.unique_name:
        yield from _indexes(ctx, ctx.options.unique_name, (True,))


@rule("NAM12", "foreign-key-name", Severity.INFO, options=("foreign_key_name",))
def foreign_key_name(ctx: Context) -> Iterator[Finding]:
    """A foreign key whose name does not follow the guide's template.

    Why: the name is all that an error message gives; migrations need it to change the key.

    Instead: `fk_orders_customer_id`, or `fk_orders_customers` where the template is `fk_{table}_{referenced}`; several keys between the
    same two tables are told apart by words behind that.

    Except: foreign keys of partitions, which follow their parent.
    """
    yield from _constraints(ctx, ctx.options.foreign_key_name, "foreign key")


@rule("NAM13", "check-name", Severity.INFO, options=("check_name",))
def check_name(ctx: Context) -> Iterator[Finding]:
    """A check constraint whose name does not follow the guide's template.

    Why: a good name tells in the error message which rule was broken.

    Instead: `chk_price_positive`.

    Except: checks of partitions, those that a parent table gave, and those that `[encryption]` of the charter makes (`…_sealed`).
    """
    yield from _constraints(ctx, ctx.options.check_name, "check")


@rule("NAM17", "primary-key-constraint-name", Severity.INFO, options=("primary_key_constraint_name",))
def primary_key_constraint_name(ctx: Context) -> Iterator[Finding]:
    """A primary key whose name does not follow the guide's template.

    Why: the name stands in the error of a duplicate key and is what migrations drop and replace.

    Instead: `pk_orders` for `pk_{table}`. Renaming the constraint renames its index; foreign keys that use it are not touched.

    Except: keys of partitions, which follow their parent.
    """
    yield from _constraints(ctx, ctx.options.primary_key_constraint_name, "primary key")


@rule("NAM16", "sequence-name", Severity.INFO, options=("sequence_name",))
def sequence_name(ctx: Context) -> Iterator[Finding]:
    """A sequence whose name does not follow the guide's template.

    Why: roles need rights on sequences and code draws from them by name; one pattern says which column a sequence feeds.

    Instead: `seq_orders_number` for `seq_{table}_{column}`. The sequence of a serial column may be renamed like any other: the column's
    default follows.

    Except: sequences of identity columns, which nobody grants or names. One that no column or several columns draw from need only begin and
    end as the template does.
    """
    template = ctx.options.sequence_name or ""
    names = _Names(ctx, template)
    fed = _fed_columns(ctx)
    for sequence in ctx.catalog.sequences if template else ():
        if sequence.extension or sequence.identity:
            continue
        uses = fed.get((sequence.schema, sequence.name), [])
        table, columns = _fed_by(ctx, sequence, uses)
        filled = templates.values(table, columns) if table else {"schema": sequence.schema}
        lent = table is not None and names.is_lent(table, filled, sequence.name)
        if not templates.fits(sequence.name, template, filled, numbered=lent):
            address = sequence.id.sql()
            fix, hint = (
                renames.relation(ctx, sequence.id, names.give(table, filled)) if table else ("", f"ALTER SEQUENCE {address} RENAME TO …")
            )
            if any(late for _, _, late in uses):
                fix, hint = "", f"{fix or hint}; a default draws from it by name and must change with it"
            yield ctx.finding(sequence, f"sequence {address} is not named after {template}", fix=fix, hint=hint)


_Use = tuple[Table, str, bool]
"""A table, its column, and whether its default finds the sequence by name at each call."""


def _fed_columns(ctx: Context) -> dict[tuple[str, str], list[_Use]]:
    """Columns whose default draws from a sequence, by that sequence."""
    found: dict[tuple[str, str], list[_Use]] = defaultdict(list)
    for table in ctx.catalog.root_tables:
        for column in table.columns:
            drawn = re.search(r"nextval\(\(*'((?:[^']|'')+)'::(regclass|text)", column.default)
            if drawn and not column.inherited:
                parts = [p.strip('"').replace('""', '"') for p in re.findall(r'"(?:[^"]|"")+"|[^."]+', drawn[1].replace("''", "'"))]
                schema, name = parts if len(parts) == 2 else (table.schema, parts[-1])
                found[schema, name].append((table, column.name, drawn[2] == "text"))
    return found


def _fed_by(ctx: Context, sequence: Sequence, uses: list[_Use]) -> tuple[Table | None, tuple[str, ...]]:
    """The one column that the sequence belongs to, by ownership or by use."""
    if sequence.owned_by is not None:
        return ctx.catalog.table.get(sequence.owned_by.owner), (sequence.owned_by.part,)
    if len(uses) == 1:
        return uses[0][0], (uses[0][1],)
    return None, ()

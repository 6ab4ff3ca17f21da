"""Tables and their parents: PARTITION OF, INHERITS, ATTACH and DETACH PARTITION, INHERIT and NO INHERIT.

PostgreSQL gives the columns that are handed down the parents' order, and the indexes of a new partition names of its own choice. Where the
wanted table has others, it is made with all that is its own, and what it shares with its parents is found by PostgreSQL when it joins them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from pgcharter.catalog.model import Catalog, Constraint, Index, Table
from pgcharter.names import quote
from pgcharter.plan.ddl import Sides
from pgcharter.plan.ddl_column_parts import not_null_constraint
from pgcharter.plan.ddl_constraints import clause as constraint_clause
from pgcharter.plan.ddl_constraints import copies, index_of
from pgcharter.plan.ddl_indexes import made_by_attach, marks, same_shape, usual_names, written
from pgcharter.plan.ddl_members import clones
from pgcharter.plan.ddl_parts import alter


def in_parents_order(table: Table, catalog: Catalog) -> bool:
    """Whether INHERITS leads to the table: always when something is only handed down, else when the columns begin like the parents'."""
    if any(c.inherited for c in table.columns) or any(c.inherited for c in table.constraints):
        return True
    handed_down = dict.fromkeys(c.name for p in table.inherits if p in catalog.table for c in catalog.table[p].columns)
    return [c.name for c in table.columns[: len(handed_down)]] == list(handed_down)


def as_partition_of(table: Table, sides: Sides) -> bool:
    """Whether PARTITION OF leads to the table with all its names."""
    parent = sides.b.table.get(table.partition_of) if table.partition_of else None
    if parent is None or [c.name for c in table.columns] != [c.name for c in parent.columns]:
        return False
    if any(c.generated and c.default != parent.column[c.name].default for c in table.columns):
        return False
    if parent.access_method not in ("", table.access_method) or parent.tablespace not in ("", table.tablespace):
        return False
    return _constraints_alike(table, parent) and _indexes_alike(table, parent, sides)


def _constraints_alike(table: Table, parent: Table) -> bool:
    theirs = {(k.name, k.kind, k.columns, k.validated) for k in parent.constraints}
    mine = (k for k in table.constraints if k.inherited and k.kind in ("check", "not null"))
    return all((k.name, k.kind, k.columns, k.validated) in theirs for k in mine)


def _indexes_alike(table: Table, parent: Table, sides: Sides) -> bool:
    """Whether the copies that PostgreSQL makes of the indexes that stand by then are those that are wanted, names included."""
    before = sides.a.table.get(parent.id)
    if before is not None:
        after = {i.id: i for i in parent.indexes}
        if any(i.id not in after or not same_shape(i, after[i.id]) for i in before.indexes):
            return False
        known = {i.id for i in before.indexes}
        if any(i.constraint and i.id not in known for i in parent.indexes):
            return False
        return all(_copy_is_usual(i, table, sides.a) for i in parent.indexes if i.id in known)
    return all(_copy_is_usual(i, table, sides.a) for i in parent.indexes if i.constraint or made_by_attach(i, sides))


def _copy_is_usual(index: Index, table: Table, before: Catalog) -> bool:
    own = next((i for i in table.indexes if i.parent == index.id), None)
    if own is None or own.name not in usual_names(index, table, before):
        return False
    marked = own.clustered or own.replica_identity or any(k.statistics is not None for k in own.keys)
    return not marked and (own.options, own.tablespace) == (index.options, index.tablespace)


def family(old: Table, new: Table, sides: Sides) -> Iterator[str]:
    """From the parents it had to those it shall have, and from one type of a typed table to the other."""
    if (old.partition_of, old.partition_bound) != (new.partition_of, new.partition_bound):
        if old.partition_of is not None:
            yield f"ALTER TABLE {old.partition_of.sql()} DETACH PARTITION {new.id.sql()}"
            yield from _left_behind(old, new)
        yield from attach(new, sides)
        yield from copied(new, sides)
    same = next((n for n, (a, b) in enumerate(zip(old.inherits, new.inherits, strict=False)) if a != b), None)
    kept = min(len(old.inherits), len(new.inherits)) if same is None else same
    for parent in old.inherits[kept:]:
        yield f"{alter(new)} NO INHERIT {parent.sql()}"
    if set(old.inherits) - set(new.inherits):
        yield from _left_behind(old, new, {k.name for p in new.inherits if p in sides.a.table for k in sides.a.table[p].constraints})
    for parent in new.inherits[kept:]:
        yield f"{alter(new)} INHERIT {parent.sql()}"
    if old.of_type != new.of_type:
        yield f"{alter(new)} {f'OF {new.of_type}' if new.of_type else 'NOT OF'}"


def attach(table: Table, sides: Sides) -> Iterator[str]:
    """ATTACH PARTITION, after what the table must have by then; nothing when it shall be no partition."""
    if table.partition_of is None:
        return
    before = sides.a.table.get(table.id)
    if before is not None:
        yield from _fitted(before, table, sides)
    for index in table.indexes:
        if not index.constraint and index.id not in sides.a.index and made_by_attach(index, sides):
            yield from written(index, sides.b)
    yield f"ALTER TABLE {table.partition_of.sql()} ATTACH PARTITION {table.id.sql()} {table.partition_bound}"


def _fitted(before: Table, table: Table, sides: Sides) -> Iterator[str]:
    """What a table that was there before must have to become a partition.

    A NOT NULL that must be called otherwise has been renamed by then, by an operation of its own: what is handed down keeps its name.
    """
    had = {k.name for k in before.constraints}
    for constraint in sorted(table.constraints, key=lambda k: k.kind != "not null"):
        index = index_of(constraint, table)
        if constraint.name in had or not (constraint.inherited or index) or _called_otherwise(constraint, table, before):
            continue
        named = constraint.kind == "not null" and not_null_constraint(before, constraint.columns[0]) is not None
        if (constraint.kind in ("check", "not null") and not named) or (index is not None and made_by_attach(index, sides)):
            yield f"{alter(table)} ADD {constraint_clause(constraint, table)}"
            yield from marks(index, sides.b) if index else ()
    for column in table.columns:
        nullable = column.name in before.column and not before.column[column.name].not_null
        if column.not_null and nullable and not_null_constraint(table, column.name) is None:
            yield f"{alter(table)} ALTER COLUMN {quote(column.name)} SET NOT NULL"


def copied(table: Table, sides: Sides) -> Iterator[str]:
    """Foreign keys and triggers that a new partition has got from its parent, as far as they have something of their own."""
    parent = sides.b.table.get(table.partition_of) if table.partition_of else None
    before = sides.a.table.get(parent.id) if parent else None
    if parent is None or before is None:
        return
    keys, triggers = {k.name for k in before.foreign_keys}, {t.name for t in before.triggers}
    for key in parent.foreign_keys:
        if key.name in keys:
            yield from copies(key, key.name, parent, sides, (table.id,))
    for trigger in parent.triggers:
        if trigger.name in triggers:
            yield from clones(trigger, parent, sides, (table.id,))


def _left_behind(old: Table, new: Table, others: Collection[str] = ()) -> Iterator[str]:
    """What a table had from its parent and now has for itself, but shall not have; `others` are constraints it has from other parents."""
    names, indexes = {*others, *(k.name for k in new.constraints)}, {i.name for i in new.indexes}
    for key in old.constraints:
        nullable = key.kind != "not null" or not (key.columns[0] in new.column and new.column[key.columns[0]].not_null)
        if key.inherited and key.name not in names and nullable and not _called_otherwise(key, old, new):
            yield f"{alter(new)} DROP CONSTRAINT {quote(key.name)}"
    for index in old.indexes:
        if index.parent and not index.constraint and index.name not in indexes:
            yield f"DROP INDEX {index.id.sql()}"


def _called_otherwise(key: Constraint, here: Table, there: Table) -> bool:
    """Whether the same check or foreign key is there under a name that is not here: an operation of its own renames it."""
    names, same = {k.name for k in here.constraints}, (key.kind, key.definition)
    return key.kind in ("check", "foreign key") and any((k.kind, k.definition) == same and k.name not in names for k in there.constraints)

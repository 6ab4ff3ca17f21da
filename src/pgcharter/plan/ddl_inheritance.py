"""When CREATE TABLE may name the parents (PARTITION OF, INHERITS), and when a table must be made by itself and joined to them then.

PostgreSQL gives the columns that are handed down the parents' order, and the indexes of a new partition names of its own choice. Where the
wanted table has others, it is made with all that is its own, and what it shares with its parents is found by PostgreSQL when it joins them.
"""

from __future__ import annotations

from pgcharter.catalog.model import Catalog, Index, Table
from pgcharter.plan.ddl import Sides
from pgcharter.plan.ddl_indexes import made_by_attach, same_shape, usual_names


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
        return all(_copied(i, table, sides.a) for i in parent.indexes if i.id in known)
    return all(_copied(i, table, sides.a) for i in parent.indexes if i.constraint or made_by_attach(i, sides))


def _copied(index: Index, table: Table, before: Catalog) -> bool:
    own = next((i for i in table.indexes if i.parent == index.id), None)
    if own is None or own.name not in usual_names(index, table, before):
        return False
    marked = own.clustered or own.replica_identity or any(k.statistics is not None for k in own.keys)
    return not marked and (own.options, own.tablespace) == (index.options, index.tablespace)

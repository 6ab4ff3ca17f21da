"""Which columns a new one can take the place of: everything around them must be carried over without stopping anybody."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from pgcharter.catalog.model import Constraint
from pgcharter.names import ObjectId, quote
from pgcharter.plan.safe_names import joined
from pgcharter.plan.safe_swap_keys import incoming
from pgcharter.plan.safe_text import mentions

if TYPE_CHECKING:
    from pgcharter.plan.safe_swap import Swap


def possible(swap: Swap) -> bool:
    """Whether everything around the column can be carried over without stopping anybody."""
    if swap.table.kind != "table" or swap.table.inherits or swap.old.generated or swap.old.inherited or swap.table.of_type:
        return False
    if swap.table.partition_of is not None or swap.table.id in _parents(swap) or swap.table.id not in swap.ground.b.table:
        return False
    if swap.cause is None and any({"drop", "create"} <= swap.ground.changes.get(t, frozenset()) for t in _types(swap)):
        return False
    users = swap.ground.uses[0].by.get(swap.address, set())
    if any(u.kind == "publication" or (u.kind == "statistics" and _reordered(swap, u)) for u in users):
        return False
    keys = (c for c in swap.table.constraints if swap.old.name in c.columns)
    if any(c.kind == "exclude" or c.temporal or (c.kind == "primary key" and not swap.kept(swap.part(c))) for c in keys):
        return False
    if entangled(swap, {c for c, span in swap.ground.exchanged.items() if span == swap.span}):
        return False
    if any(t.kind == "partitioned table" or t.partition_of is not None for t, _ in incoming(swap)):
        return False
    trial = f"ALTER TABLE {swap.table.id.sql()} ADD COLUMN {quote(joined(swap.old.name, '_new'))} {swap.new.type.sql}"
    return not swap.ground.hurts(swap.ground.effect(trial))


def _types(swap: Swap) -> Iterator[ObjectId]:
    """The old column's own type, which it holds until the contract phase."""
    return (ObjectId(kind, swap.old.type.schema, swap.old.type.name) for kind in ("type", "domain"))


def entangled(swap: Swap, together: Collection[ObjectId]) -> bool:
    """Whether an index, key or statistics spans this column and another that is exchanged with it: each would carry its copy."""
    if not together:
        return False
    others = {c.part for c in together if c.owner == swap.table.id}
    texts = [i.definition for i in swap.table.indexes if not i.constraint and swap.kept(i.id)]
    texts += [_spanned(swap, c) for c in swap.table.constraints if swap.kept(swap.part(c))]
    texts += [" ".join((*s.columns, *s.expressions)) for s in swap.ground.a.statistics if s.table == swap.table.id]
    if any(mentions(text, swap.old.name) and mentions(text, other) for text in texts for other in others):
        return True
    ends = [table.part("column", c) for table, key in incoming(swap) for c in key.columns]
    for key in swap.table.foreign_keys:
        other = swap.ground.a.table.get(key.references) if key.references else None
        if other is not None and swap.old.name in key.columns and swap.kept(swap.part(key)):
            ends += [other.part("column", c) for c in key.referenced_columns]
    return not set(together).isdisjoint(ends)


def _spanned(swap: Swap, constraint: Constraint) -> str:
    """SQL that names the columns of this table that a constraint spans."""
    if constraint.kind != "foreign key":
        return constraint.definition
    ends = constraint.referenced_columns if constraint.references == swap.table.id else ()
    return ", ".join(map(quote, (*constraint.columns, *ends)))


def _reordered(swap: Swap, statistics: ObjectId) -> bool:
    """Whether extended statistics would name their columns in another order: PostgreSQL keeps that of the table."""
    found = next((s for s in swap.ground.a.statistics if s.id == statistics), None)
    place = {c.name: c.position for c in swap.table.columns}
    return found is not None and swap.old.name in found.columns and any(place[c] > swap.old.position for c in found.columns if c in place)


def _parents(swap: Swap) -> frozenset[ObjectId]:
    return frozenset(parent for t in swap.ground.a.tables for parent in t.inherits)

"""Indexes of tables and materialized views. Those behind constraints come, go and are renamed with their constraint.

Order: the index of a partitioned table is made for itself alone (ON ONLY), before those of its partitions, which are then attached.
"""

from __future__ import annotations

from dataclasses import replace

from pgcharter.catalog.model import Catalog, Index, Table, View
from pgcharter.names import MAX_BYTES, ObjectId, quote
from pgcharter.plan.ddl import Sides, Writer
from pgcharter.plan.ddl_parts import alter, relation_of, settings_changed
from pgcharter.plan.model import Operation

_IN_PLACE = frozenset(
    ("options", "tablespace", "clustered", "replica_identity", "parent", "definition", "valid", "ready", "keys", "comment", "constraint")
)


def _create(operation: Operation, sides: Sides) -> list[str]:
    index: Index = operation.new
    if index.constraint or made_by_attach(index, sides):
        return []
    return written(index, sides.b) + attached(index)


def written(index: Index, catalog: Catalog) -> list[str]:
    """The statements that make an index, but for its tie to a partitioned one."""
    return [definition(index), *marks(index, catalog)]


def attached(index: Index) -> list[str]:
    """The statement that ties it to the index of the partitioned table."""
    return [f"ALTER INDEX {index.parent.sql()} ATTACH PARTITION {index.id.sql()}"] if index.parent else []


def definition(index: Index) -> str:
    """CREATE INDEX with its tablespace, which `pg_get_indexdef` leaves out."""
    if not index.tablespace:
        return index.definition
    predicate = f" WHERE {index.predicate}" if index.predicate else ""
    return f"{index.definition.removesuffix(predicate)} TABLESPACE {quote(index.tablespace)}{predicate}"


def marks(index: Index, catalog: Catalog) -> list[str]:
    """What is said of an index after it was made: statistics of its expressions, CLUSTER, REPLICA IDENTITY."""
    found = _statistics(None, index)
    whole = relation_of(catalog, index)
    if whole is not None and index.clustered:
        found.append(f"{alter(whole)} CLUSTER ON {quote(index.name)}")
    if whole is not None and index.replica_identity:
        found.append(f"{alter(whole)} REPLICA IDENTITY USING INDEX {quote(index.name)}")
    return found


def _statistics(old: Index | None, new: Index) -> list[str]:
    before = [k.statistics for k in old.keys] if old else [None] * len(new.keys)
    return [
        f"ALTER INDEX {new.id.sql()} ALTER COLUMN {number} SET STATISTICS {-1 if key.statistics is None else key.statistics}"
        for number, (target, key) in enumerate(zip(before, new.keys, strict=True), 1)
        if target != key.statistics
    ]


def made_by_attach(index: Index, sides: Sides) -> bool:
    """Whether ATTACH PARTITION of its table would make such an index, because the parent's stands by then.

    Then the operation on the table makes it before it attaches, so that it gets its own name.
    """
    parent = sides.b.index.get(index.parent) if index.parent else None
    if parent is None or not (_stands(parent, sides) or made_by_attach(parent, sides)):
        return False
    table = sides.a.table.get(ObjectId("table", index.schema, index.table))
    return table is None or table.partition_of != ObjectId("table", parent.schema, parent.table)


def _stands(index: Index, sides: Sides) -> bool:
    before = sides.a.index.get(index.id)
    return before is not None and same_shape(before, index)


def usual_names(index: Index, partition: Table, before: Catalog) -> tuple[str, ...]:
    """The name PostgreSQL chooses for the copy of an index in a partition (`ChooseIndexName`); none where that is not plain."""
    columns = [*index.columns, *index.include]
    if index.primary:
        name = f"{partition.name}_pkey"
    elif len(index.columns) == len(index.keys) and len(set(columns)) == len(columns) and not index.exclusion:
        name = "_".join([partition.name, *columns, "key" if index.constraint else "idx"])
    else:
        return ()
    taken = ObjectId("index", partition.schema, name) in before.index or (partition.schema, name) in before.relation
    return () if taken or len(name.encode()) > MAX_BYTES else (name,)


def _shape(index: Index) -> Index:
    """What an index is, without what can be changed in place."""
    keys = tuple(replace(k, statistics=None) for k in index.keys)
    return replace(
        index, keys=keys, options=(), tablespace="", clustered=False, replica_identity=False, parent=None, definition="", valid=True,
        ready=True, comment="", constraint="",
    )  # fmt: skip


def taken_over(index: Index, before: Catalog) -> bool:
    """Whether it was a plain index before, which its new constraint can take over (ADD CONSTRAINT ... USING INDEX)."""
    old = before.index.get(index.id)
    if not index.constraint or old is None or old.constraint or not old.valid:
        return False
    return replace(_shape(index), primary=False) == _shape(old)


def same_shape(one: Index, other: Index) -> bool:
    """Whether two are the same but for what can be changed in place."""
    return _shape(one) == _shape(other)


def _drop(operation: Operation, sides: Sides) -> list[str]:
    index: Index = operation.old
    return [] if index.constraint or _falls_with_parent(index, sides) else [f"DROP INDEX {index.id.sql()}"]


def _falls_with_parent(index: Index, sides: Sides) -> bool:
    """An attached index cannot be dropped; it goes when the one it is attached to goes, or after its table was detached."""
    if index.parent is None:
        return False
    table = ObjectId("table", index.schema, index.table)
    if table in sides.b.table and sides.b.table[table].partition_of != sides.a.table[table].partition_of:
        return True
    before, after = sides.a.index.get(index.parent), sides.b.index.get(index.parent)
    return before is not None and (after is None or not same_shape(before, after))


def _alter(operation: Operation, sides: Sides) -> list[str] | None:
    old, new, fields = operation.old, operation.new, set(operation.fields)
    if bool(new.constraint) != bool(old.constraint):
        return [] if taken_over(new, sides.a) else None
    whole = relation_of(sides.b, new)
    if not fields <= _IN_PLACE or not same_shape(old, new) or whole is None:
        return [] if new.constraint else None
    if not old.valid and new.valid and not new.partitioned:
        return None
    if new.partitioned and old.options != new.options:
        return None
    parent = _reattached(old, new, sides)
    return None if parent is None else [*_stored(old, new), *parent, *_marked(old, new, whole)]


def _stored(old: Index, new: Index) -> list[str]:
    head = f"ALTER INDEX {new.id.sql()}"
    found = [f"{head} {words}" for words in settings_changed(old.options, new.options)]
    if old.tablespace != new.tablespace:
        found.append(f"{head} SET TABLESPACE {quote(new.tablespace or 'pg_default')}")
    return found + _statistics(old, new)


def _reattached(old: Index, new: Index, sides: Sides) -> list[str] | None:
    """None where it would have to be detached while its table remains a partition: PostgreSQL has no such statement."""
    if old.parent == new.parent:
        return []
    before, after = (side.table.get(ObjectId("table", new.schema, new.table)) for side in (sides.a, sides.b))
    if old.parent is not None and before is not None and after is not None and before.partition_of == after.partition_of:
        return None
    return attached(new)


def _marked(old: Index, new: Index, whole: Table | View) -> list[str]:
    found: list[str] = []
    if new.clustered and not old.clustered:
        found.append(f"{alter(whole)} CLUSTER ON {quote(new.name)}")
    if old.clustered and not any(i.clustered for i in whole.indexes):
        found.append(f"{alter(whole)} SET WITHOUT CLUSTER")
    if new.replica_identity and not old.replica_identity:
        found.append(f"{alter(whole)} REPLICA IDENTITY USING INDEX {quote(new.name)}")
    return found


def _rename(operation: Operation, _: Sides) -> list[str]:
    return [] if operation.old.constraint else [f"ALTER INDEX {operation.object.sql()} RENAME TO {quote(operation.new.name)}"]


WRITERS = {"index": Writer(_create, _drop, _alter, _rename)}

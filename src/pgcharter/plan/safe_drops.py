"""What goes for good waits until no release uses it, and goes by stages: first the keys that would lock other tables too."""

from __future__ import annotations

from dataclasses import replace

from pgcharter.catalog.model import Table
from pgcharter.names import ObjectId, quote
from pgcharter.plan.grades import grade
from pgcharter.plan.model import Operation, Phase, Step
from pgcharter.plan.safe_ground import Ground, Piece, Sequence

USED = frozenset((
    "table", "view", "materialized view", "function", "procedure", "aggregate", "sequence", "type", "domain", "schema", "extension",
    "foreign table", "server", "column",
))  # fmt: skip
"""Kinds that an application may name: they are dropped in the contract phase."""
WAITING = USED | {"index"}
"""Kinds whose drop can wait for the end of the plan."""


def dropped(operation: Operation, ground: Ground) -> Sequence | None:
    """An object that goes for good."""
    if operation.cause or operation.object.kind not in USED:
        return None
    how, loses = grade(operation, ground)
    steps = tuple(
        ground.step(sql, f"drop {operation.object}", operation.object, phase=Phase.CONTRACT, grade=how, loses=loses if place == 0 else "")
        for place, sql in enumerate(ground.plain(operation))
    )
    gone = operation.old
    first = _stages(gone, ground) if isinstance(gone, Table) else ()
    return Sequence(contract=(*first, *((step,) for step in steps)), gate=str(operation.object))


def _stages(table: Table, ground: Ground) -> tuple[Piece, ...]:
    """Foreign keys one by one; a partition is taken out of its table first."""
    own = (k for k in table.foreign_keys if not k.inherited and k.references != table.id)
    keys = tuple((_key(table, k.name, ground),) for k in own if table.part("constraint", k.name) not in ground.changes)
    return (*keys, *_detached(table, ground))


def _key(table: Table, key: str, ground: Ground) -> Step:
    address = table.part("constraint", key)
    sql = f"ALTER TABLE {table.id.sql()} DROP CONSTRAINT {quote(key)}"
    why = "so that the table it refers to is not locked while this one is dropped"
    return ground.step(sql, f"drop {address}", address, phase=Phase.CONTRACT, why=why)


def _detached(table: Table, ground: Ground) -> tuple[Piece, ...]:
    parent = table.partition_of
    if parent is None or parent not in ground.b.table or not concurrent(parent, ground):
        return ()
    step = detach(table, parent, ground)
    return ((replace(step, phase=Phase.CONTRACT),),)


def concurrent(parent: ObjectId, ground: Ground) -> bool:
    """Whether PostgreSQL lets partitions go concurrently: not where there is a DEFAULT partition."""
    return all(p.partition_bound != "DEFAULT" for p in ground.a.partitions.get(parent, ()))


def detach(table: Table, parent: ObjectId, ground: Ground) -> Step:
    """DETACH PARTITION CONCURRENTLY."""
    sql = f"ALTER TABLE {parent.sql()} DETACH PARTITION {table.id.sql()} CONCURRENTLY"
    why = "a plain DETACH stops everybody who uses the whole table; this one waits for them, outside any transaction"
    return ground.step(sql, f"take {table.id} out of {parent.sql()}", table.id, why=why)

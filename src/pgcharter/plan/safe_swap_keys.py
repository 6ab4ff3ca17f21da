"""What upholds the values of a column that is exchanged: indexes, checks, foreign keys both ways, extended statistics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from pgcharter.catalog.model import Constraint, Index, Table
from pgcharter.names import ObjectId, quote
from pgcharter.plan.ddl_common import metadata
from pgcharter.plan.safe_constraints import two_steps, using, with_space
from pgcharter.plan.safe_indexes import concurrently
from pgcharter.plan.safe_text import mentions

if TYPE_CHECKING:
    from pgcharter.plan.safe_swap import Swap


def indexes(swap: Swap) -> None:
    """Indexes of the new column, and what they uphold."""
    constraints = {c.name: c for c in swap.after.constraints}
    present = {i.name for i in swap.table.indexes}
    for index in swap.after.indexes:
        if index.name not in present or not mentions(with_space(index), swap.new.name):
            continue
        constraint = constraints.get(index.constraint)
        owner = swap.table.part("constraint", index.constraint) if constraint else index.id
        if swap.kept(owner) and swap.kept(index.id):
            _index(swap, index, constraint)


def _index(swap: Swap, index: Index, constraint: Constraint | None) -> None:
    name = swap.ground.names.relation(index.schema, index.name, "new")
    why = "the new column needs the indexes of the old one before it takes its place"
    swap.before.append(concurrently(swap.ground, index, swap.renamed(with_space(index)), name, why, table=swap.table))
    fresh = ObjectId("index", index.schema, name)
    if constraint is not None:
        swap.do(f"DROP CONSTRAINT {quote(constraint.name)}", f"drop the old {quote(constraint.name)}")
        swap.exchange.append(using(constraint, swap.table, swap.ground, name))
        object = swap.table.part("constraint", constraint.name)  # noqa: A001
        swap.more(metadata(object, None, constraint, swap.ground.major), object)
    else:
        swap.exchange.append(swap.ground.step(f"DROP INDEX {index.id.sql()}", f"drop the old {index.id}", index.id))
        sql = f"ALTER INDEX {fresh.sql()} RENAME TO {quote(index.name)}"
        swap.exchange.append(swap.ground.step(sql, f"rename {fresh.sql()} to {quote(index.name)}", index.id))
        swap.more(metadata(index.id, None, index, swap.ground.major), index.id)
    if index.replica_identity:
        swap.do(f"REPLICA IDENTITY USING INDEX {quote(index.name)}", f"identify rows of {swap.table.id} by {index.id} again")
    if index.clustered:
        swap.do(f"CLUSTER ON {quote(index.name)}", f"cluster {swap.table.id} on {index.id} again")


def _carried(swap: Swap, constraint: Constraint) -> bool:
    return swap.kept(swap.table.part("constraint", constraint.name)) and any(c.name == constraint.name for c in swap.table.constraints)


def checks(swap: Swap) -> None:
    """Checks that speak of the column."""
    for check in swap.after.checks:
        if _carried(swap, check) and mentions(check.definition, swap.new.name):
            _constraint(swap, swap.table, check, swap.renamed(check.definition))


def outgoing(swap: Swap) -> None:
    """Foreign keys of the column."""
    for key in swap.after.foreign_keys:
        if _carried(swap, key) and swap.new.name in key.columns:
            head, middle, tail = key.definition.partition(" REFERENCES ")
            if key.references == swap.table.id and swap.new.name in key.referenced_columns:
                definition = swap.renamed(f"{head}{middle}{tail}")
            else:
                target, actions, rest = tail.partition(" ON DELETE ")
                definition = swap.renamed(head) + middle + target + actions + (swap.renamed(rest) if key.on_delete_columns else rest)
            _constraint(swap, swap.table, key, definition)


def incoming(swap: Swap) -> Iterator[tuple[Table, Constraint]]:
    """Foreign keys that point at the column, on both sides of the plan."""
    for table, key in swap.ground.b.referencing.get(swap.table.id, ()):
        before = swap.ground.a.table.get(table.id)
        both = table.id == swap.table.id and swap.new.name in key.columns
        if both or swap.new.name not in key.referenced_columns or before is None:
            continue
        kept = not swap.ground.changes.get(table.part("constraint", key.name), frozenset()) & {"create", "drop"}
        if kept and not key.inherited and any(c.name == key.name for c in before.constraints):
            yield before, key


def point_at(swap: Swap) -> None:
    """Foreign keys that point at the column."""
    for table, key in incoming(swap):
        head, middle, tail = key.definition.partition(" REFERENCES ")
        target = swap.table.id.sql()
        columns = tail[len(target) :]
        end = columns.index(")") + 1
        definition = f"{head}{middle}{target}{swap.renamed(columns[:end])}{columns[end:]}"
        _constraint(swap, table, key, definition)


def _constraint(swap: Swap, table: Table, constraint: Constraint, definition: str) -> None:
    """The same constraint for the new column: proven before, taking the old one's place in the exchange."""
    ground = swap.ground
    name = ground.names.constraint(table.id, constraint.name, "new")
    made = replace(constraint, definition=definition.removesuffix(" NOT VALID"))
    steps = two_steps(table, made, ground, name)
    swap.before += steps if constraint.validated else steps[:1]
    object = table.part("constraint", constraint.name)  # noqa: A001
    sight = swap.sight(*(() if table.id == swap.table.id else (table,)))
    for action, title in (
        (f"DROP CONSTRAINT {quote(constraint.name)}", f"drop the old {quote(constraint.name)}"),
        (f"RENAME CONSTRAINT {quote(name)} TO {quote(constraint.name)}", f"rename {quote(name)} to {quote(constraint.name)}"),
    ):
        step = ground.step(f"ALTER TABLE {table.id.sql()} {action}", title, object, sight=sight)
        if action.startswith("DROP") and constraint.kind == "foreign key":
            swap.first.insert(0, step)
        else:
            swap.exchange.append(step)
    swap.more(metadata(object, None, constraint, ground.major), object)


def statistics(swap: Swap) -> None:
    """Extended statistics of the column."""
    present = {s.id for s in swap.ground.a.statistics}
    for statistics in swap.ground.b.statistics:
        if statistics.table != swap.table.id or statistics.id not in present or not swap.kept(statistics.id):
            continue
        if swap.new.name not in statistics.columns and not any(mentions(e, swap.new.name) for e in statistics.expressions):
            continue
        drop = swap.ground.step(f"DROP STATISTICS {statistics.id.sql()}", f"drop the old {statistics.id}", statistics.id)
        swap.first.insert(0, drop)
        made = [statistics.definition, *metadata(statistics.id, None, statistics, swap.ground.major)]
        if statistics.target is not None:
            made.append(f"ALTER STATISTICS {statistics.id.sql()} SET STATISTICS {statistics.target}")
        swap.more(made, statistics.id)

"""Enums that gain, lose or reorder labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pgcharter.catalog.model import Column, Table, UserType
from pgcharter.names import ObjectId, literal, quote
from pgcharter.plan.model import Operation, Phase, Step
from pgcharter.plan.safe_ground import Ground, Sequence, dressing
from pgcharter.plan.safe_swap import Swap, exchanged
from pgcharter.plan.safe_swap_limits import possible
from pgcharter.plan.safe_text import renamed


def enum_altered(operation: Operation, ground: Ground) -> Sequence | None:
    """Labels added: each in a transaction of its own, because a label cannot be used in the transaction that adds it."""
    why = "a new label can only be used after the transaction that adds it"
    pieces = []
    for sql in ground.plain(operation):
        adds = " ADD VALUE " in sql
        pieces.append((ground.step(sql, f"change {operation.object}", operation.object, why=why if adds else ""),))
    rest = next((n for n, piece in enumerate(reversed(pieces)) if " ADD VALUE " in piece[0].sql), len(pieces))
    cut = len(pieces) - rest
    return Sequence(before=tuple(pieces[:cut]), core=tuple(pieces[cut:]))


def enum_replaced(old: Operation, new: Operation, ground: Ground) -> Sequence | None:
    """An enum that loses or reorders labels: a new type, every column moved to it, the old type dropped, the name taken over."""
    before, after = old.old, new.new
    if not isinstance(before, UserType) or before.kind != "enum" or after.kind != "enum":
        return None
    ground.done.update((old.object, new.object))
    name = ground.names.type(after.schema, after.name, "new")
    fresh = ObjectId("type", after.schema, name)
    ground.learn(replace(after, name=name))
    labels = ", ".join(literal(label) for label in after.labels)
    why = "PostgreSQL cannot take a label away: the columns move to a new type"
    create = ground.step(f"CREATE TYPE {fresh.sql()} AS ENUM ({labels})", f"create {fresh}", fresh, why=why)
    parts = [_moved(table, column, fresh, before, ground) for table, column in columns_of(before, ground) if _stays(table, column, ground)]
    old_name = ground.names.type(before.schema, before.name, "old")
    away = f"ALTER TYPE {before.id.sql()} RENAME TO {quote(old_name)}"
    into = f"ALTER TYPE {fresh.sql()} RENAME TO {quote(after.name)}"
    exchange = (
        ground.step(away, f"rename {before.id} to {quote(old_name)}", before.id),
        ground.step(into, f"rename {fresh} to {quote(after.name)}", before.id),
    )
    rest = tuple(
        (ground.step(sql, dressing(sql, new.object), new.object),) for sql in ground.plain(new) if not sql.startswith("CREATE TYPE")
    )
    gone = ObjectId("type", before.schema, old_name)
    drop = ground.step(f"DROP TYPE {gone.sql()}", f"drop the old {gone}", gone, phase=Phase.CONTRACT)
    return Sequence(
        core=(*(piece for part in parts for piece in part.core), exchange, *rest),
        before=((create,), *(piece for part in parts for piece in part.before)),
        contract=(*(piece for part in parts for piece in part.contract), (drop,)),
        gate=f"the former labels of {before.id}",
        notes=(_in_use(before, after), *(note for part in parts for note in part.notes)),
    )


def _stays(table: Table, column: Column, ground: Ground) -> bool:
    return table.id in ground.b.table and column.name in ground.b.table[table.id].column


def _in_use(before: UserType, after: UserType) -> str:
    gone = ", ".join(label for label in before.labels if label not in after.labels)
    if not gone:
        return f"{before.id} is made anew, because its labels stand in another order"
    return (
        f"{before.id} loses the labels {gone}: give rows that hold one another before, or the plan stops where it meets them, "
        "and see that nobody writes them any more, because that is refused while the columns move"
    )


def columns_of(enum: UserType, ground: Ground) -> Iterator[tuple[Table, Column]]:
    """The columns of tables that hold values of an enum."""
    for table in ground.a.tables:
        for column in table.columns:
            if (column.type.schema, column.type.name) == (enum.schema, enum.name) and not column.inherited:
                yield table, column


def exchangeable(table: Table, column: Column, fresh: ObjectId, enum: UserType, ground: Ground) -> Swap | None:
    """How a column of a large table moves to the new type without stopping anybody; None where it cannot."""
    after = ground.b.table[table.id].column.get(column.name) if table.id in ground.b.table else None
    if after is None or not ground.large(table.id):
        return None
    types = {enum.id.sql(): fresh.sql()}
    target = renamed(f"::{after.type.sql}", {}, types)[2:]
    through = "::text[]::" if column.type.array else "::text::"
    swap = Swap(ground, table, column, after, lambda value: f"{value}{through}{target}", types=types, cause=enum.id)
    return swap if possible(swap) else None


def _moved(table: Table, column: Column, fresh: ObjectId, enum: UserType, ground: Ground) -> Sequence:
    """One column in the new type: exchanged when its table is large, changed in place otherwise."""
    swap = exchangeable(table, column, fresh, enum, ground)
    if swap is not None:
        return exchanged([swap])
    after = ground.b.table[table.id].column[column.name]
    types = {enum.id.sql(): fresh.sql()}
    target = renamed(f"::{after.type.sql}", {}, types)[2:]
    through = "::text[]::" if column.type.array else "::text::"
    address = table.part("column", column.name)
    name, head = quote(column.name), f"ALTER TABLE {table.id.sql()} ALTER COLUMN {quote(column.name)}"
    steps: list[Step] = []
    if column.default:
        steps.append(ground.step(f"{head} DROP DEFAULT", f"drop the default of {address}", address))
    steps.append(ground.step(f"{head} TYPE {target} USING {name}{through}{target}", f"change {address}", address))
    if after.default:
        steps.append(ground.step(f"{head} SET DEFAULT {renamed(after.default, {}, types)}", f"set the default of {address}", address))
    note = f"{address} has no gentler way to its new type: everybody waits until {table.id} is written anew"
    return Sequence((tuple(steps),), notes=(note,) if ground.large(table.id) else ())

"""Types that change: of columns, and of enums that lose or reorder labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from pgcharter.catalog.model import Catalog, Column, DataType, Table, UserType
from pgcharter.names import ObjectId, literal, quote
from pgcharter.plan.casts import using
from pgcharter.plan.ddl_sequences import identity_sequence, serial_sequence
from pgcharter.plan.forms_types import is_utc
from pgcharter.plan.grades import lost
from pgcharter.plan.model import Grade, Operation, Phase, Step
from pgcharter.plan.safe_ground import Ground, Sequence, dressing
from pgcharter.plan.safe_swap import Swap, exchanged
from pgcharter.plan.safe_swap_limits import possible
from pgcharter.plan.safe_text import renamed

Convert = Callable[[str], str]
_TIMES = ["timestamp", "timestamptz"]


def altered(operation: Operation, ground: Ground) -> Sequence | None:
    """A column of another type; None when PostgreSQL only notes it in the catalog, or the table is small."""
    table = ground.a.table.get(operation.object.owner)
    old, new = operation.old, operation.new
    if table is None or old.inherited or operation.cause:
        return None
    convert = conversion(old.type, new.type, ground.style.zone, ground.b)
    question = _question(operation.object, old.type, new.type, ground)
    plain, zone = _zoned(operation, ground, convert), _session_zone(old.type, new.type, ground)
    long = any(ground.hurts(ground.effect(sql, timezone=zone)) for sql in plain)
    loses = lost(operation.object, old.type, new.type, ground)
    counts = _counts_on(operation, ground)
    between = replace(new, default=old.default, identity=old.identity) if counts else new
    then = ground.plain(replace(operation, old=between, fields=("default", "identity"))) if counts else ()
    swap = Swap(ground, table, old, between, convert, loses=loses, then=then)
    if long and possible(swap):
        made = exchanged([swap])
        return replace(made, questions=question, notes=(*_through_text(operation, convert), *made.notes))
    if not long and not question and not zone and plain == ground.plain(operation):
        return None
    note = f"{operation.object} has no gentler way to its new type: everybody waits until {table.id} is written anew"
    how, title = Grade.LOSSY if swap.loses else Grade.LOSSLESS, f"change {operation.object}"
    steps = tuple(
        ground.step(sql, title, operation.object, why=note if long else "", grade=how, loses=swap.loses, timezone=zone)
        if " TYPE " in sql
        else ground.step(sql, title, operation.object)
        for sql in plain
    )
    core = ((_in_utc(operation.object, zone, ground), *steps),) if zone else tuple((step,) for step in steps)
    return Sequence(core, notes=(note,) if long else (), questions=question)


def _session_zone(old: DataType, new: DataType, ground: Ground) -> str:
    """`UTC` where times without zone are meant in it: under that TimeZone PostgreSQL leaves the rows as they are (from 12 on)."""
    return "UTC" if sorted((old.basic, new.basic)) == _TIMES and old.array == new.array and is_utc(ground.style.zone) else ""


def _in_utc(column: ObjectId, zone: str, ground: Ground) -> Step:
    why = "the same bytes mean the same moments then, and nothing has to be written anew"
    return ground.step(f"SET LOCAL TimeZone = {literal(zone)}", f"read the times of {column} as UTC", column, why=why)


def _counts_on(operation: Operation, ground: Ground) -> bool:
    """Whether the column goes from serial to identity or back as well: then that is done after the exchange, and its numbers go on."""
    if bool(operation.old.identity) == bool(operation.new.identity):
        return False
    serial, inner = (ground.a, ground.b) if operation.new.identity else (ground.b, ground.a)
    return bool(serial_sequence(serial, operation.object) and identity_sequence(inner, operation.object))


def _through_text(operation: Operation, convert: Convert) -> tuple[str, ...]:
    """A note where PostgreSQL knows no cast."""
    if "::text::" not in convert("x"):
        return ()
    types = f"{operation.old.type.sql} to {operation.new.type.sql}"
    return (
        f"PostgreSQL has no cast from {types}: the values of {operation.object} go by their text, and the plan stops at one that fails",
    )


def conversion(old: DataType, new: DataType, zone: str, catalog: Catalog) -> Convert:
    """From an expression of the old type to one of the new: as an assignment converts, which refuses what does not fit (a cast cuts it)."""
    if sorted((old.basic, new.basic)) == _TIMES and zone:
        return lambda value: f"({value} AT TIME ZONE {literal(zone)})::{new.sql}"
    return lambda value: using(value, old, new, catalog) or value


def _question(column: ObjectId, old: DataType, new: DataType, ground: Ground) -> tuple[str, ...]:
    if sorted((old.basic, new.basic)) != _TIMES or ground.style.zone:
        return ()
    if (size := ground.size(column.owner)) is not None and max(size.rows, size.live) == 0 and not size.bytes:
        return ()
    return (
        f"{column} changes from {old.sql} to {new.sql}, and nobody says in which time zone its values without one are meant: "
        "declare it (plan --zone UTC)",
    )


def _zoned(operation: Operation, ground: Ground, convert: Convert) -> tuple[str, ...]:
    """The plain statements; what a time without zone means is said, not left to the session."""
    plain = ground.plain(operation)
    old, new = operation.old.type, operation.new.type
    if sorted((old.basic, new.basic)) != _TIMES or not ground.style.zone or _session_zone(old, new, ground):
        return plain
    table, column = operation.object.owner.sql(), quote(operation.object.part)
    head = f"ALTER TABLE {table} ALTER COLUMN {column} TYPE "
    stated = f"{head}{new.sql} USING {convert(column)}"
    return tuple(stated if sql.startswith(head) else sql for sql in plain)


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
    swap = Swap(ground, table, column, after, lambda value: f"{value}{through}{target}", types, cause=enum.id)
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

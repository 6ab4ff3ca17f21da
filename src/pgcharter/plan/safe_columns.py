"""Columns of tables in use: added without a rewrite, required without a read under lock, dropped by stages."""

from __future__ import annotations

from dataclasses import replace

from pgcharter.catalog.model import Column, Table
from pgcharter.names import ObjectId, literal, quote
from pgcharter.plan.ddl_common import metadata
from pgcharter.plan.grades import grade
from pgcharter.plan.model import Operation, Phase, Step
from pgcharter.plan.safe_constraints import not_null
from pgcharter.plan.safe_ground import Ground, Piece, Sequence, dressing
from pgcharter.plan.safe_retyped import altered as retyped
from pgcharter.plan.safe_sync import filling

_WHY_FILL = "with its default at once the table would be written anew while everybody waits; new rows get it first"


def created(operation: Operation, ground: Ground) -> Sequence | None:
    """A new column of a table in use; None when the plain statement only writes to the catalog."""
    table = ground.a.table.get(operation.object.owner)
    column: Column = operation.new
    if table is None or column.inherited or table.kind == "foreign table":
        return None
    plain = ground.plain(operation)
    required = column.not_null and not column.default and not column.identity and not column.generated
    if required:
        return _required(operation, table, ground)
    if not ground.large(table.id) or not any(ground.hurts(ground.effect(sql)) for sql in plain):
        return None
    if column.identity:
        return _numbered(operation, table, ground)
    if column.generated or not column.default or table.kind != "table":
        return _unavoidable(operation, ground, plain)
    return _filled(operation, table, ground)


def _unavoidable(operation: Operation, ground: Ground, plain: tuple[str, ...]) -> Sequence:
    """Forms that PostgreSQL knows only in one go."""
    column: Column = operation.new
    what = f"a column of type {column.type.sql}{' with this default' * bool(column.default)}"
    what = "a stored generated column" if column.generated else what
    note = f"{operation.object}: PostgreSQL can add {what} only by writing the table anew, and everybody waits meanwhile"
    return Sequence(tuple((ground.step(sql, f"add {operation.object}", operation.object, why=note),) for sql in plain), notes=(note,))


def _bare(operation: Operation, ground: Ground, **changes: object) -> tuple[str, ...]:
    """The plain statements of the same column with less in it."""
    less = replace(operation.new, **changes)
    return ground.plain(replace(operation, new=less))


def _pieces(statements: tuple[str, ...], operation: Operation, ground: Ground, why: str = "") -> tuple[Piece, ...]:
    return tuple((ground.step(sql, f"add {operation.object}", operation.object, why=why),) for sql in statements)


def _with(table: Table, column: Column) -> Table:
    return replace(table, columns=(*table.columns, replace(column, not_null=False)))


def _required(operation: Operation, table: Table, ground: Ground) -> Sequence:
    """NOT NULL without a default: nobody but the application knows what old rows shall hold."""
    column = operation.new
    bare = _bare(operation, ground, not_null=False)
    made = not_null(_with(table, column), column.name, ground, Phase.CONTRACT)
    note = f"{operation.object} is required and has no default: fill the rows already there before the contract phase, or validation fails"
    gate = f"rows without {operation.object}"
    return Sequence(_pieces(bare, operation, ground, note), contract=made.core, gate=gate, notes=(note,))


def _filled(operation: Operation, table: Table, ground: Ground) -> Sequence:
    """Nullable and empty; the default for new rows; old rows in batches; then required."""
    column = operation.new
    name = quote(column.name)
    add = _bare(operation, ground, default="", not_null=False)
    default = f"ALTER TABLE {table.id.sql()} ALTER COLUMN {name} SET DEFAULT {column.default}"
    there = ground.around(_with(table, column))
    given = ground.step(default, f"set the default of {operation.object}", operation.object, sight=there)
    first = (*(s for p in _pieces(add, operation, ground, _WHY_FILL) for s in p), given)
    fill = filling(ground, table, f"{name} = DEFAULT", f"{name} IS NULL", f"fill {operation.object}")
    required = not_null(_with(table, column), column.name, ground).core if column.not_null else ()
    return Sequence((first, (fill,), *required))


def _numbered(operation: Operation, table: Table, ground: Ground) -> Sequence | None:
    """Identity: a sequence of our own numbers old and new rows, then the identity goes on from there."""
    column = operation.new
    final = next((s for s in ground.b.sequences if s.identity and s.owned_by == operation.object), None)
    if final is None or table.kind != "table":
        return None
    name, head = quote(column.name), f"ALTER TABLE {table.id.sql()} ALTER COLUMN {quote(column.name)}"
    help_ = ObjectId("sequence", table.schema, ground.names.relation(table.schema, final.name, "new"))
    nextval = f"pg_catalog.nextval({literal(help_.sql())})"
    bounds = f"AS {final.type} START WITH {final.start} INCREMENT BY {final.increment} MINVALUE {final.minimum} MAXVALUE {final.maximum}"

    def step(sql: str, title: str, why: str = "") -> Step:
        return ground.step(sql, title, operation.object, why=why, sight=ground.around(_with(table, column)))

    bare = _pieces(_bare(operation, ground, identity="", not_null=False), operation, ground, _WHY_FILL)
    first = (step(f"CREATE SEQUENCE {help_.sql()} {bounds}", f"create the help {help_}"), *(s for p in bare for s in p),
             step(f"{head} SET DEFAULT {nextval}", f"number new rows of {table.id}"))  # fmt: skip
    fill = filling(ground, table, f"{name} = DEFAULT", f"{name} IS NULL", f"number the rows of {table.id}")
    options = f"SEQUENCE NAME {final.id.sql()} {bounds[bounds.index('START') :]} CACHE {final.cache}{' CYCLE' * final.cycle}"
    last = (
        step(f"{head} DROP DEFAULT", f"drop the default of {operation.object}"),
        step(f"{head} ADD GENERATED {column.identity.upper()} AS IDENTITY ({options})", f"number {operation.object} by itself"),
        step(
            f"SELECT pg_catalog.setval({literal(final.id.sql())}, last_value, is_called) FROM {help_.sql()}",
            f"go on counting in {final.id}",
        ),
        step(f"DROP SEQUENCE {help_.sql()}", f"drop the help {help_}"),
        *(step(sql, dressing(sql, final.id)) for sql in metadata(final.id, None, final, ground.major)),
    )
    return Sequence((first, (fill,), *not_null(_with(table, column), column.name, ground).core, last))


def altered(operation: Operation, ground: Ground) -> Sequence | None:
    """A column that changes: another type, or required from now on; None when the plain statements only write to the catalog."""
    table = ground.a.table.get(operation.object.owner)
    old, new = operation.old, operation.new
    if table is None or not isinstance(old, Column):
        return None
    if old.inherited:
        return _handed_down(operation, table, ground)
    if "type" in operation.fields:
        return retyped(operation, ground)
    if old.not_null and not new.not_null and table.kind == "partitioned table" and ground.major >= 18:
        return _loosened(operation, table, ground)
    if old.not_null or not new.not_null or not ground.large(table.id) or new.identity != old.identity:
        return None
    if operation.object in ground.done:
        made: tuple[Piece, ...] = ()
    else:
        made = not_null(table, new.name, ground).core
    rest = _others(operation, ground)
    return Sequence((*made, *((ground.step(sql, f"change {operation.object}", operation.object),) for sql in rest)))


def _loosened(operation: Operation, table: Table, ground: Ground) -> Sequence:
    """From 18 on a key that took over an index has made NOT NULL a partition's own, which then stays when the parent's goes."""
    steps = [ground.step(sql, f"change {operation.object}", operation.object) for sql in ground.plain(operation)]
    for partition in ground.a.partitions.get(table.id, ()):
        sql = f"ALTER TABLE {partition.id.sql()} ALTER COLUMN {quote(operation.new.name)} DROP NOT NULL"
        address = partition.part("column", operation.new.name)
        steps.append(ground.step(sql, f"let {address} be NULL too", address, why="nothing happens where it only had this from its parent"))
    return Sequence(tuple((step,) for step in steps))


def _handed_down(operation: Operation, table: Table, ground: Ground) -> Sequence | None:
    """What is left when the parent's column has become required, and this one with it."""
    above = [p for p in (table.partition_of, *table.inherits) if p is not None]
    if "not_null" not in operation.fields or not any(replace(operation.object, schema=p.schema, name=p.name) in ground.done for p in above):
        return None
    ground.done.add(operation.object)
    rest = _others(operation, ground)
    return Sequence(tuple((ground.step(sql, f"change {operation.object}", operation.object),) for sql in rest))


def _others(operation: Operation, ground: Ground) -> tuple[str, ...]:
    """The plain statements without those that make the column required."""
    fields = tuple(f for f in operation.fields if f != "not_null")
    return ground.plain(replace(operation, fields=fields, new=replace(operation.new, not_null=operation.old.not_null))) if fields else ()


def dropped(operation: Operation, ground: Ground) -> Sequence | None:
    """By stages: no longer required before the new release, gone when no old one runs."""
    table = ground.a.table.get(operation.object.owner)
    column = operation.old
    if table is None or not isinstance(column, Column) or column.inherited or operation.cause:
        return None
    first: list[Piece] = []
    keyed = table.primary_key is not None and column.name in table.primary_key.columns
    if column.not_null and not column.default and not column.identity and not column.generated and not keyed:
        sql = f"ALTER TABLE {table.id.sql()} ALTER COLUMN {quote(column.name)} DROP NOT NULL"
        why = "the new release no longer writes it"
        first.append((ground.step(sql, f"let {operation.object} be NULL", operation.object, why=why),))
    how, loses = grade(operation, ground)
    steps = [ground.step(sql, f"drop {operation.object}", operation.object, phase=Phase.CONTRACT, grade=how, loses=loses)
             for sql in ground.plain(operation)]  # fmt: skip
    keys = tuple((_without_key(table, key.name, operation, ground),) for key in table.foreign_keys
                 if column.name in key.columns and not ground.changes.get(table.part("constraint", key.name)))  # fmt: skip
    return Sequence(tuple(first), contract=(*keys, tuple(steps)), gate=str(operation.object))


def _without_key(table: Table, key: str, operation: Operation, ground: Ground) -> Step:
    address = table.part("constraint", key)
    sql = f"ALTER TABLE {table.id.sql()} DROP CONSTRAINT {quote(key)}"
    why = f"so that {operation.object} is dropped without locking the table it refers to"
    return ground.step(sql, f"drop {address}", address, phase=Phase.CONTRACT, why=why)

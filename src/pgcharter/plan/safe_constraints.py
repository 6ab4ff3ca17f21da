"""Constraints without stopping writers: checked from now on first, for the rows already there afterwards, under a lock that lets all work.

What PostgreSQL says of it: documentation, "ALTER TABLE" (Notes; ADD table_constraint NOT VALID, VALIDATE CONSTRAINT, USING INDEX).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pgcharter.catalog.model import Constraint, Index, IndexKey, Table
from pgcharter.names import ObjectId, quote
from pgcharter.plan.ddl_indexes import taken_over
from pgcharter.plan.model import Operation, Phase, Step
from pgcharter.plan.safe_ground import Ground, Piece, Sequence, dressing
from pgcharter.plan.safe_indexes import Partitioned, concurrently

_WHY_TWO = "old rows are read later, while everybody works on"
_WHY_INDEX = "built before the constraint, which then only takes it over"


def created(operation: Operation, ground: Ground) -> Sequence | None:
    """A new constraint of a table that others use; None when the plain statement does not disturb."""
    constraint: Constraint = operation.new
    table = ground.a.table.get(operation.object.owner)
    if operation.object in ground.done:
        return Sequence()
    if table is None and constraint.kind == "foreign key" and constraint.validated and constraint.enforced:
        return _of_new_table(operation, ground)
    if table is None or constraint.inherited or not _long(constraint, table, ground):
        return None
    rest = tuple((ground.step(sql, dressing(sql, operation.object), operation.object),) for sql in ground.plain(operation)[1:])
    made = added(constraint, table, ground, constraint.name)
    if made is None:
        return None
    if operation.cause or "drop" in ground.changes.get(operation.object, ()):
        return _after(constraint, made, rest)
    return Sequence(before=made.before, core=(*made.core, *rest), notes=made.notes)


def _of_new_table(operation: Operation, ground: Ground) -> Sequence | None:
    """A foreign key of a table that comes: PostgreSQL may read the other table to check that no row of the new one lacks its own there."""
    constraint: Constraint = operation.new
    table = ground.b.table.get(operation.object.owner)
    if table is None or constraint.references is None or not ground.large(constraint.references) or constraint.inherited:
        return None
    if table.kind == "partitioned table" and ground.major < 18:
        return None
    bare = replace(table, constraints=tuple(c for c in table.constraints if c.name != constraint.name))
    rest = tuple((ground.step(sql, dressing(sql, operation.object), operation.object),) for sql in ground.plain(operation)[1:])
    return Sequence((*two_steps(bare, constraint, ground, constraint.name), *rest))


def _after(constraint: Constraint, made: Sequence, rest: tuple[Piece, ...]) -> Sequence:
    """Where the old one has made way for something else: what is quick at once, what is long when that is done."""
    if constraint.kind in ("check", "foreign key") and len(made.core) == 2:
        return Sequence(made.core[:1], after=(*made.core[1:], *rest), notes=made.notes)
    return Sequence(after=(*made.before, *made.core, *rest), notes=made.notes)


def _long(constraint: Constraint, table: Table, ground: Ground) -> bool:
    """Whether adding it in one go reads rows that may be many."""
    if not constraint.validated or not constraint.enforced or constraint.kind == "trigger":
        return False
    return ground.large(table.id)


def added(constraint: Constraint, table: Table, ground: Ground, name: str) -> Sequence | None:
    """`constraint` under `name`; None for kinds that have no gentler form."""
    if constraint.kind == "foreign key":
        return _foreign_key(constraint, table, ground, name)
    if constraint.kind == "check":
        return Sequence(core=two_steps(table, constraint, ground, name))
    if constraint.kind == "not null":
        column = constraint.columns[0]
        if ObjectId("column", table.schema, table.name, column) in ground.done or table.column[column].not_null:
            return None
        return not_null(table, column, ground)
    return by_index(constraint, table, ground, name)


def two_steps(table: Table, constraint: Constraint, ground: Ground, name: str) -> tuple[Piece, ...]:
    """NOT VALID, then VALIDATE in a transaction of its own."""
    object = table.part("constraint", name)  # noqa: A001
    sql = f"ALTER TABLE {table.id.sql()} ADD CONSTRAINT {quote(name)} {constraint.definition} NOT VALID"
    return (ground.step(sql, f"add {quote(name)} for new rows", object, why=_WHY_TWO),), (validated(table, name, ground, constraint),)


def validated(table: Table, name: str, ground: Ground, constraint: Constraint | None = None) -> Step:
    """VALIDATE CONSTRAINT: reads all rows while everybody works on."""
    object = table.part("constraint", name)  # noqa: A001
    known = replace(constraint, name=name, validated=False) if constraint else Constraint(name, "check", validated=False)
    present = replace(table, constraints=(*table.constraints, known))
    others = _referenced(known, table, ground)
    sql = f"ALTER TABLE {table.id.sql()} VALIDATE CONSTRAINT {quote(name)}"
    return ground.step(sql, f"validate {quote(name)}", object, sight=ground.around(present, *others))


def _foreign_key(constraint: Constraint, table: Table, ground: Ground, name: str) -> Sequence | None:
    if table.kind != "partitioned table" or ground.major >= 18:
        return Sequence(core=two_steps(table, constraint, ground, name))
    pieces: list[Piece] = []
    for leaf in leaves(table, ground):
        pieces += two_steps(leaf, constraint, ground, name)
    sql = f"ALTER TABLE {table.id.sql()} ADD CONSTRAINT {quote(name)} {constraint.definition}"
    why = (
        "before PostgreSQL 18 a partitioned table takes no NOT VALID foreign key: its partitions got theirs first, so nothing is read here"
    )
    held = [replace(p, constraints=(*p.constraints, replace(constraint, name=name))) for p in leaves(table, ground)]
    sight = ground.around(table, *held, *_referenced(constraint, table, ground))
    object = table.part("constraint", name)  # noqa: A001
    step = ground.step(sql, f"add {object}", object, why=why, sight=sight)
    return Sequence(core=(*pieces, (replace(step, effect=replace(step.effect, scans=())),)))


def _referenced(constraint: Constraint, table: Table, ground: Ground) -> tuple[Table, ...]:
    other = ground.sight.table.get(constraint.references) if constraint.references else None
    return (other,) if other is not None and other.id != table.id else ()


def leaves(table: Table, ground: Ground) -> Iterator[Table]:
    """The partitions that hold rows, at any depth."""
    for partition in ground.a.partitions.get(table.id, ()):
        if partition.kind == "partitioned table":
            yield from leaves(partition, ground)
        else:
            yield partition


def by_index(constraint: Constraint, table: Table, ground: Ground, name: str) -> Sequence | None:
    """A unique index built concurrently, then taken over as primary key or unique constraint `constraint.name`; the index is `name`."""
    after = ground.b.table.get(table.id)
    index = next((i for i in after.indexes if i.name == constraint.index), None) if after else None
    if index is None or constraint.temporal or constraint.kind not in ("primary key", "unique"):
        return None
    before: list[Piece] = []
    if constraint.kind == "primary key":
        for column in constraint.columns:
            before += nullable_no_more(table, column, ground)
    if taken_over(index, ground.a):
        return Sequence(before=tuple(before), core=((using(constraint, table, ground, index.name),),))
    if table.kind == "partitioned table":
        return _partitioned_key(constraint, table, index, ground, before, name)
    before.append(concurrently(ground, index, with_space(index), name, _WHY_INDEX, table=table))
    return Sequence(before=tuple(before), core=((using(constraint, table, ground, name),),))


def with_space(index: Index) -> str:
    """CREATE INDEX with its tablespace, which PostgreSQL's own text leaves out."""
    if not index.tablespace:
        return index.definition
    head, where, predicate = index.definition.partition(" WHERE ")
    return f"{head} TABLESPACE {quote(index.tablespace)}{where}{predicate}"


def using(constraint: Constraint, table: Table, ground: Ground, index: str) -> Step:
    """ADD CONSTRAINT ... USING INDEX: the index gets the constraint's name."""
    object = table.part("constraint", constraint.name)  # noqa: A001
    sql = f"ALTER TABLE {table.id.sql()} ADD CONSTRAINT {quote(constraint.name)} {constraint.kind.upper()} USING INDEX {quote(index)}"
    sql += " DEFERRABLE" * constraint.deferrable + " INITIALLY DEFERRED" * constraint.deferred
    columns = tuple(replace(c, not_null=c.not_null or c.name in constraint.columns) for c in table.columns)
    made = Index(table.schema, index, table.name, keys=tuple(IndexKey(c) for c in constraint.columns), unique=True)
    sight = ground.around(replace(table, columns=columns, indexes=(*table.indexes, made)))
    step = ground.step(sql, f"add {quote(constraint.name)} by its index", object, sight=sight)
    if step.effect.known:
        return step
    like = ground.effect(sql.replace(" PRIMARY KEY USING INDEX ", " UNIQUE USING INDEX "), sight)
    return replace(step, effect=like)  # the columns are NOT NULL by then, so that is all it does more


def _partitioned_key(
    constraint: Constraint, table: Table, index: Index, ground: Ground, before: list[Piece], name: str
) -> Sequence | None:  # fmt: skip
    """On a partitioned table: the constraint on the parent alone, one by index on each partition, each attached."""
    if any(p.kind == "partitioned table" for p in ground.a.partitions.get(table.id, ())) or name != constraint.name:
        return None
    object = table.part("constraint", constraint.name)  # noqa: A001
    sql = f"ALTER TABLE ONLY {table.id.sql()} ADD CONSTRAINT {quote(constraint.name)} {constraint.definition}"
    announced = ground.step(sql, f"announce {object}", object, why="it becomes valid when every partition has its own")
    announced = replace(announced, effect=replace(announced.effect, scans=(), rewrites=()))  # the parent alone holds no rows
    pieces: list[Piece] = [(announced,)]
    work = Partitioned(ground, index, with_space(index))
    for leaf in leaves(table, ground):
        child = work.child(leaf, index.id)
        own = child.name if child else ground.names.relation(leaf.schema, leaf.name, "key")
        pieces.append(concurrently(ground, replace(index, schema=leaf.schema), with_space(index), own, _WHY_INDEX, table=leaf))
        pieces.append((using(replace(constraint, name=own), leaf, ground, own),))
        ground.done.update({leaf.part("constraint", own), ObjectId("index", leaf.schema, own)})
        attach = f"ALTER INDEX {index.id.sql()} ATTACH PARTITION {ObjectId('index', leaf.schema, own).sql()}"
        pieces.append((ground.step(attach, f"attach the index of {leaf.id.sql()} to {index.id.sql()}", index.id),))
    return Sequence(before=tuple(before), core=tuple(pieces))


def nullable_no_more(table: Table, column: str, ground: Ground) -> tuple[Piece, ...]:
    """The pieces that make a column NOT NULL, unless it is or an earlier step has done so."""
    address = table.part("column", column)
    known = table.column.get(column)
    if known is None or known.not_null or address in ground.done:
        return ()
    made = not_null(table, column, ground)
    return (*made.before, *made.core, *made.after)


def not_null(table: Table, column: str, ground: Ground, phase: Phase = Phase.EXPAND) -> Sequence:
    """SET NOT NULL that reads no rows under its lock: through a validated check, from 18 on through NOT NULL ... NOT VALID."""
    ground.done.add(table.part("column", column))
    wanted = _named_not_null(table, column, ground)
    if ground.major >= 18:
        name = wanted.name if wanted else ground.names.constraint(table.id, f"{table.name}_{column}", "not_null")
        ground.done.add(table.part("constraint", name))
        constraint = Constraint(name, "not null", (column,), f"NOT NULL {quote(column)}", no_inherit=bool(wanted and wanted.no_inherit))
        definition = wanted.definition.removesuffix(" NOT VALID") if wanted else constraint.definition
        pieces = two_steps(table, replace(constraint, definition=definition), ground, name)
        pieces = pieces[:1] if wanted and not wanted.validated else pieces
    else:
        pieces = _through_check(table, column, ground)
    return Sequence(core=tuple(tuple(replace(step, phase=phase) for step in piece) for piece in pieces))


def _named_not_null(table: Table, column: str, ground: Ground) -> Constraint | None:
    after = ground.b.table.get(table.id)
    return next((c for c in after.constraints if c.kind == "not null" and c.columns == (column,)), None) if after else None


def _through_check(table: Table, column: str, ground: Ground) -> tuple[Piece, ...]:
    expression = f"({quote(column)} IS NOT NULL)"
    address = table.part("column", column)
    present = next((c for c in table.checks if c.validated and c.expression == expression), None)
    name = present.name if present else ground.names.constraint(table.id, f"{table.name}_{column}", "filled")
    check = Constraint(name, "check", (column,), f"CHECK ({expression})", expression)
    sight = ground.around(replace(table, constraints=(*table.constraints, check)))
    sql = f"ALTER TABLE {table.id.sql()} ALTER COLUMN {quote(column)} SET NOT NULL"
    why = "the validated check proves that no row is NULL, so none is read again"
    mark = ground.step(sql, f"set {address} NOT NULL", address, sight=sight, why=why)
    if present:
        return ((mark,),)
    drop = f"ALTER TABLE {table.id.sql()} DROP CONSTRAINT {quote(name)}"
    gone = ground.step(drop, f"drop {quote(name)} again", table.part("constraint", name), sight=sight)
    return (*two_steps(table, check, ground, name), (mark, gone))


def replaced(old: Operation, new: Operation, ground: Ground) -> Sequence | None:
    """A constraint of the same name and another form: the new one holds before the old one goes."""
    constraint: Constraint = new.new
    table = ground.a.table.get(new.object.owner)
    if table is None or constraint.inherited or not _long(constraint, table, ground) or old.old.inherited:
        return None
    rest = tuple((ground.step(sql, dressing(sql, new.object), new.object),) for sql in ground.plain(new)[1:])
    drop = ground.step(
        f"ALTER TABLE {table.id.sql()} DROP CONSTRAINT {quote(constraint.name)}", f"drop the old {quote(constraint.name)}", new.object
    )
    if constraint.kind in ("check", "foreign key"):
        name = ground.names.constraint(table.id, constraint.name, "new")
        made = added(constraint, table, ground, name)
        sql = f"ALTER TABLE {table.id.sql()} RENAME CONSTRAINT {quote(name)} TO {quote(constraint.name)}"
        present = replace(table, constraints=(*table.constraints, replace(constraint, name=name)))
        sight = ground.around(present, *_referenced(constraint, table, ground))
        rename = ground.step(sql, f"rename {quote(name)} to {quote(constraint.name)}", new.object, sight=sight)
        return Sequence(before=made.core, core=((drop, rename), *rest)) if made and table.kind != "partitioned table" else None
    if table.kind == "partitioned table" or constraint.kind not in ("primary key", "unique"):
        return None
    name = ground.names.relation(table.schema, constraint.name, "new")
    made = by_index(constraint, table, ground, name)
    return Sequence(before=made.before, core=((drop, *made.core[0]), *rest)) if made else None

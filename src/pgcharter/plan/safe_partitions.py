"""Partitions that come and go while their table is in use.

What PostgreSQL says of it: documentation, "ALTER TABLE ... ATTACH PARTITION" (a check that implies the bounds spares the read, one on the
DEFAULT partition too) and "DETACH PARTITION ... CONCURRENTLY" (leaves a check that duplicates the bounds).
"""

from __future__ import annotations

import re
from dataclasses import replace

from pgcharter.catalog.model import Constraint, Table
from pgcharter.names import ObjectId, quote
from pgcharter.plan.ddl_common import metadata
from pgcharter.plan.ddl_tables import create_then_attach
from pgcharter.plan.model import Operation, Step
from pgcharter.plan.safe_constraints import two_steps
from pgcharter.plan.safe_drops import concurrent, detach
from pgcharter.plan.safe_ground import Ground, Piece, Sequence, dressing

_ATTACH = re.compile(r"ALTER TABLE (?:ONLY )?\S.* ATTACH PARTITION ", re.DOTALL)
_DETACH = re.compile(r"ALTER TABLE (?:ONLY )?\S.* DETACH PARTITION ", re.DOTALL)
_RANGE = re.compile(r"FOR VALUES FROM \((.*)\) TO \((.*)\)", re.DOTALL)
_LIST = re.compile(r"FOR VALUES IN \((.*)\)", re.DOTALL)
_VALUES = re.compile(r"\s*('(?:[^']|'')*'|[^,']+?)\s*(?:,|\Z)", re.DOTALL)


def altered(operation: Operation, ground: Ground) -> Sequence | None:
    """A table that joins or leaves a partitioned one; None when nothing of that happens."""
    old, new = operation.old, operation.new
    if not isinstance(old, Table) or ("partition_of" not in operation.fields and "partition_bound" not in operation.fields):
        return None
    before: list[Piece] = []
    core: list[Piece] = []
    after: list[Piece] = []
    for sql in ground.plain(operation):
        if old.partition_of and _DETACH.match(sql):
            core += _left(sql, old, ground)
        elif new.partition_of and _ATTACH.match(sql):
            helps, drops = _proofs(old, new, ground)
            before += helps
            core.append((_proven(ground.step(sql, f"attach {new.id} to {new.partition_of.sql()}", new.id), helps),))
            after += drops
        else:
            core.append((ground.step(sql, f"change {operation.object}", operation.object),))
    return Sequence(tuple(core), before=tuple(before), after=tuple(after))


def _left(sql: str, table: Table, ground: Ground) -> tuple[Piece, ...]:
    """Detached concurrently where that is possible; the check that this leaves is dropped."""
    parent = table.partition_of
    assert parent is not None  # noqa: S101
    check = _own_check(table, parent, ground)
    if not concurrent(parent, ground) or check is None:
        return ((ground.step(sql, f"take {table.id} out of {parent.sql()}", table.id),),)
    known = replace(table, constraints=(*table.constraints, check))
    drop = f"ALTER TABLE {table.id.sql()} DROP CONSTRAINT {quote(check.name)}"
    gone = ground.step(drop, f"drop {quote(check.name)} again", table.id, sight=ground.around(known))
    return (*two_steps(table, check, ground, check.name), (detach(table, parent, ground),), (gone,))


def _own_check(table: Table, parent: ObjectId, ground: Ground) -> Constraint | None:
    """A check that says what the bounds say, under a name of ours: with it there, DETACH CONCURRENTLY adds none of its own."""
    above = ground.a.table.get(parent)
    condition = bounds(above, table.partition_bound, table) if above else ""
    if not condition:
        return None
    name = ground.names.constraint(table.id, table.name, "bounds")
    return Constraint(name, "check", definition=f"CHECK ({condition})", expression=condition)


def _proofs(old: Table | None, new: Table, ground: Ground) -> tuple[list[Piece], list[Piece]]:
    """Checks that prove the bounds for the table, and for the DEFAULT partition that it holds none of those rows."""
    assert new.partition_of is not None  # noqa: S101
    parent = ground.a.table.get(new.partition_of)
    if parent is None:
        return [], []
    condition = bounds(parent, new.partition_bound, new)
    helps: list[Piece] = []
    drops: list[Piece] = []
    default = next((p for p in ground.a.partitions.get(parent.id, ()) if p.partition_bound == "DEFAULT"), None)
    for table, text in ((old, condition), (default, f"NOT ({condition})")):
        if table is None or not condition or not ground.large(table.id):
            continue
        name = ground.names.constraint(table.id, table.name, "bounds")
        check = Constraint(name, "check", definition=f"CHECK ({text})", expression=text)
        helps += two_steps(table, check, ground, name)
        sql = f"ALTER TABLE {table.id.sql()} DROP CONSTRAINT {quote(name)}"
        sight = ground.around(replace(table, constraints=(*table.constraints, check)))
        drops.append((ground.step(sql, f"drop {quote(name)} again", table.id, sight=sight),))
    return helps, drops


def _proven(attach: Step, helps: list[Piece]) -> Step:
    """PostgreSQL reads no rows that a validated check speaks for."""
    proven = {step.object.owner for piece in helps for step in piece}
    scans = tuple(r for r in attach.effect.scans if r not in proven)
    why = "validated checks prove what it would otherwise read under lock" if proven else ""
    return replace(attach, effect=replace(attach.effect, scans=scans), why=why)


def bounds(parent: Table, bound: str, table: Table) -> str:
    """The condition that a partition's rows fulfil, as PostgreSQL proves it; empty where it is not one column with plain bounds."""
    if len(parent.partition_columns) != 1 or not parent.partition_columns[0] or parent.partition_strategy == "hash":
        return ""
    name = parent.partition_columns[0]
    column = table.column.get(name) or parent.column.get(name)
    if column is None:
        return ""
    key, cast = quote(name), f"::{column.type.sql}"
    if found := _RANGE.fullmatch(bound):
        low, high = found[1].strip(), found[2].strip()
        parts = [f"({key} IS NOT NULL)"]
        parts += [f"({key} >= {low}{cast})"] if low != "MINVALUE" else []
        parts += [f"({key} < {high}{cast})"] if high != "MAXVALUE" else []
        return f"({' AND '.join(parts)})"
    if found := _LIST.fullmatch(bound):
        values = [v[1] for v in _VALUES.finditer(found[1]) if v[1]]
        return _in_list(key, cast, values)
    return ""


def _in_list(key: str, cast: str, values: list[str]) -> str:
    full = [f"{v}{cast}" for v in values if v.upper() != "NULL"]
    present = f"({key} = ANY (ARRAY[{', '.join(full)}]))" if full else ""
    if len(full) == len(values):
        return f"(({key} IS NOT NULL) AND {present})"
    return f"(({key} IS NULL) OR {present})" if present else f"({key} IS NULL)"


def created(operation: Operation, ground: Ground) -> Sequence | None:
    """A new partition of a table in use: made beside it, then attached, which lets readers and writers of the whole table go on."""
    table: Table = operation.new
    parent = ground.a.table.get(table.partition_of) if table.partition_of else None
    if parent is None or table.kind == "foreign table":
        return None
    why = "CREATE TABLE ... PARTITION OF would stop everybody who uses the whole table; a table made beside it and attached does not"
    helps, drops = _proofs(None, table, ground)
    steps: list[Step] = []
    for sql in create_then_attach(table, ground.sides):
        attaches = bool(_ATTACH.match(sql))
        words = f"attach {table.id} to {parent.id.sql()}" if attaches else dressing(sql, table.id) if steps else f"create {table.id}"
        step = ground.step(sql, words, table.id, why="" if steps else why)
        steps.append(_proven(step, helps) if attaches else step)
    of_all = (ground.step(sql, dressing(sql, table.id), table.id) for sql in metadata(table.id, None, table, ground.major))
    return Sequence(((*steps, *of_all),), before=tuple(helps), after=tuple(drops))

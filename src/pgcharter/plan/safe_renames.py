"""New names for tables and columns, with the old ones working until no release uses them."""

from __future__ import annotations

from dataclasses import replace

from pgcharter.catalog.model import Column, Table, View
from pgcharter.names import ObjectId, quote
from pgcharter.plan.ddl_common import owner, privileges
from pgcharter.plan.model import Operation, Phase
from pgcharter.plan.renames import DECLARED, Intent
from pgcharter.plan.safe_ground import Ground, Sequence
from pgcharter.plan.safe_sync import both_ways, filling, sync

_HARMLESS = frozenset(("index", "constraint", "trigger", "policy", "rule", "statistics"))
"""Kinds that applications do not name (an ON CONFLICT ON CONSTRAINT excepted)."""


def renamed(operation: Operation, ground: Ground) -> Sequence | None:
    """A rename that both releases can live with."""
    made = None
    group = _together(operation, ground)
    if len(group) > 1:
        return _moved_on(group, ground) if operation is group[0] else Sequence()
    if operation.object.kind in _HARMLESS or not ground.style.compatible:
        return None
    if isinstance(operation.old, Table) and not _hindered(operation, ground):
        made = _table(operation, ground)
    if isinstance(operation.old, Column) and not _hindered(operation, ground):
        made = _column(operation, ground)
    if made is not None:
        return made
    note = f"{operation.object} keeps no second name meanwhile: releases that use the old one fail from this step on"
    steps = tuple(
        ground.step(sql, f"rename {operation.object} to {quote(operation.new.name)}", operation.object, why=note)
        for sql in ground.plain(operation)
    )
    return Sequence((steps,), notes=(note,))


def _together(operation: Operation, ground: Ground) -> list[Operation]:
    """The declared renames around one of them that take names from each other, in order."""
    group: list[Operation] = []
    for other in ground.operations:
        if other.change != "rename" or other.cause != DECLARED:
            continue
        ends = {address for o in group for address in (o.object, _goal(o))}
        if not ends & {other.object, _goal(other)}:
            if operation in group:
                break
            group = []
        group.append(other)
    return group if operation in group else []


def _goal(operation: Operation) -> ObjectId:
    return Intent(operation.object, operation.new.name).goal


def _moved_on(group: list[Operation], ground: Ground) -> Sequence:
    """Names that go from one to the next, in one transaction. No second name helps a release to which the name means something else."""
    why = "in one transaction with those whose names it takes or gives"
    steps = tuple(
        ground.step(sql, f"rename {o.object} to {quote(o.new.name)}", o.object, why=why) for o in group for sql in ground.plain(o)
    )
    if group[0].object.kind in (*_HARMLESS, "sequence") or not ground.style.compatible:
        return Sequence((steps,))
    taken = next(o for o in group if any(_goal(o) == other.object for other in group))
    question = (
        f"{taken.object} gets the name of another, {quote(taken.new.name)}, and a release that still runs would use the wrong one "
        "without noticing: let each release have its own names (plan --releases OLD NEW), or, where nothing runs meanwhile, plan --plain"
    )
    return Sequence((steps,), questions=(question,))


def _hindered(operation: Operation, ground: Ground) -> bool:
    """Whether the plan does more with what is renamed than two names at a time can bear."""
    at, new = operation.object, operation.new.name
    if not at.part:
        columns = ((o.name, c) for o, c in ground.changes.items() if o.kind == "column" and o.schema == at.schema)
        return any((name == new and c & {"alter", "drop", "rename"}) or (name == at.name and "rename" in c) for name, c in columns)
    column = ObjectId("column", at.schema, at.name, new)
    moved = any("rename" in c and (o.schema, o.name) == (at.schema, at.name) and not o.part for o, c in ground.changes.items())
    users = (o for side in ground.uses for o in side.by.get(column, ()))
    return moved or column in ground.changes or any(o in ground.changes for o in users)


def _table(operation: Operation, ground: Ground) -> Sequence:
    """A view under the old name: what can be inserted, updated and deleted in the table can be in the view (SECURITY INVOKER from 15)."""
    old, new = operation.old, operation.new
    view = View(old.schema, old.name, columns=old.columns, owner=new.owner, acl=new.acl, security_invoker=True)
    columns = ", ".join(quote(c.name) for c in old.columns)
    create = f"CREATE VIEW {view.id.sql()} WITH (security_invoker = true) AS SELECT {columns} FROM {new.id.sql()}"
    why = "the old release goes on under the old name: reads, writes and privileges pass through, and are checked for who asks"
    steps = [ground.step(sql, f"rename {old.id} to {quote(new.name)}", old.id) for sql in ground.plain(operation)]
    steps.append(ground.step(create, f"keep the name {old.id.sql()} as a view", view.id, why=why))
    rights = (*owner(view.id, "-", new.owner), *privileges(view.id, None, new.acl, new.owner, ground.major), *_of_columns(view, ground))
    steps += [ground.step(sql, f"give {view.id} the rights of the table", view.id) for sql in rights]
    drop = ground.step(f"DROP VIEW {view.id.sql()}", f"drop {view.id}, the old name", view.id, phase=Phase.CONTRACT)
    return Sequence((tuple(steps),), contract=((drop,),), gate=f"the old name {old.id.sql()}", notes=(_limits(view, ground),))


def _limits(view: View, ground: Ground) -> str:
    """What a view cannot give (documentation, CREATE VIEW, "Updatable Views", COPY, MERGE); `tests/plan/test_releases.py` asks servers."""
    refused = ["COPY ... FROM", "TRUNCATE", "ON CONFLICT ON CONSTRAINT", *(["MERGE"] if ground.major < 17 else []), "foreign keys to it"]
    note = f"under its old name {view.id.sql()} is a view until the contract phase, which refuses {', '.join(refused)}"
    if any(c.acl for c in view.columns):
        note += ", and shows nothing to roles that may read single columns only"
    return note


def _of_columns(view: View, ground: Ground) -> list[str]:
    """Privileges on single columns."""
    held = ((view.part("column", c.name), c.acl) for c in view.columns if c.acl)
    return [sql for column, acl in held for sql in privileges(column, None, acl, view.owner, ground.major)]


def _column(operation: Operation, ground: Ground) -> Sequence | None:
    """The new name as a second column kept in step; when nobody uses the old name it goes, and the first column takes the new name.

    So indexes, keys, privileges and whatever else hangs on the column need no copy.
    """
    table = ground.origin.table.get(operation.object.owner)
    old, new = operation.old, operation.new
    if table is None or table.kind != "table" or table.partition_of or table.inherits or old.generated or old.inherited:
        return None
    one, two = quote(old.name), quote(new.name)
    twin, address = table.part("column", new.name), operation.object
    head = f"ALTER TABLE {table.id.sql()}"
    collate = f" COLLATE {old.collation}" if old.collation else ""
    link = sync(ground, table, old.name, both_ways(old.name, new.name))
    function, trigger = link.made()
    why = f"the old release reads and writes {one}, the new one {two}: until the old one is gone the table has both"
    add = ground.step(f"{head} ADD COLUMN {two} {old.type.sql}{collate}", f"add {twin.sql()} beside {one}", twin, why=why)
    if ground.hurts(add.effect):
        return None
    rights = [ground.step(sql, f"give {twin} the rights of {one}", twin) for sql in privileges(twin, None, old.acl, "", ground.major)]
    both = replace(table, columns=(*table.columns, replace(old, name=new.name, not_null=False, default="", identity="")))
    fill = filling(ground, both, f"{two} = {one}", f"{two} IS NULL AND {one} IS NOT NULL", f"fill {twin} from {one}")
    contract = (
        *link.dropped(Phase.CONTRACT),
        ground.step(f"{head} DROP COLUMN {two}", f"drop the copy {twin}", twin, phase=Phase.CONTRACT, sight=ground.around(both)),
        ground.step(f"{head} RENAME COLUMN {one} TO {two}", f"rename {address} to {two}", address, phase=Phase.CONTRACT),
    )
    note = f"until the contract phase {twin} has no index: queries that search by it need one of their own, or the old name"
    notes = (note,) if any(old.name in i.columns for i in table.indexes) else ()
    return Sequence(((function, add, *rights, trigger), (fill,)), contract=(contract,), gate=f"the old name {address.sql()}", notes=notes)

"""Circles of operations that wait for each other, cut where PostgreSQL lets something be done by itself.

Foreign keys and expressions of dropped tables go by themselves first, defaults and checks of created tables are added by themselves
afterwards. A function whose SQL-standard body leads into the circle is hollow in between: made without its body, or without it before it
is dropped.
"""

from __future__ import annotations

from dataclasses import replace

from pgcharter.catalog.model import Column, Constraint, Function, Table
from pgcharter.names import ObjectId
from pgcharter.plan.ddl_routines import has_sql_body
from pgcharter.plan.draft import Draft, parts
from pgcharter.plan.model import Operation


def cut(draft: Draft, circle: list[Operation]) -> bool:
    """Take something out of a circle that can be done by itself; False when there is nothing."""
    addresses, done = {o.object for o in circle}, False
    for operation in circle:
        if operation.change == "drop" and isinstance(operation.old, Table):
            done |= _keys_apart(draft, operation.old, addresses)
            done |= _expressions_first(draft, operation.old, addresses)
        if operation.change == "create" and isinstance(operation.new, Table):
            done |= _expressions_apart(draft, operation, addresses)
    return done or _bodies_apart(draft, circle)


def _keys_apart(draft: Draft, table: Table, circle: set[ObjectId]) -> bool:
    done = False
    for key in table.foreign_keys:
        address = table.part("constraint", key.name)
        if key.references in circle and key.references != table.id and address not in draft.drops and not key.inherited:
            draft.drops[address] = Operation("drop", address, old=key, cause=f"{key.references} and {table.id} refer to each other")
            done = True
    return done


def _expressions_first(draft: Draft, table: Table, circle: set[ObjectId]) -> bool:
    """Take checks, and columns with defaults, that need something in the circle off a table before it is dropped."""
    late, done = f"{table.id} and what it needs need each other", False
    for address, part in parts(table):
        default = isinstance(part, Column) and part.default
        check = isinstance(part, Constraint) and part.kind == "check"
        if (default or check) and not part.inherited and address not in draft.drops and circle & draft.a.of.get(address):
            draft.drops[address] = Operation("drop", address, old=part, cause=late)
            done = True
    return done


def _expressions_apart(draft: Draft, operation: Operation, circle: set[ObjectId]) -> bool:
    """Create the table without the defaults and checks that need something in the circle, and add those afterwards."""
    table: Table = operation.new
    bare, late = table, f"{table.id} and what it needs need each other"
    for column in table.columns:
        address = table.part("column", column.name)
        if column.default and not column.generated and circle & draft.b.of.get(address, set()):
            without = replace(column, default="")
            bare = replace(bare, columns=tuple(without if c.name == column.name else c for c in bare.columns))
            draft.alters[address] = Operation("alter", address, without, column, ("default",), late)
    for check in table.checks:
        address = table.part("constraint", check.name)
        if circle & draft.b.of.get(address, set()) and not check.inherited:
            bare = replace(bare, constraints=tuple(c for c in bare.constraints if c.name != check.name))
            draft.creates[address] = Operation("create", address, new=check, cause=late)
    draft.creates[operation.object] = replace(operation, new=bare)
    return bare is not table


def recursive(draft: Draft) -> None:
    """A function whose body calls itself is hollow at first: PostgreSQL does not know its name before."""
    for address, operation in draft.creates.items():
        made = operation.new
        if isinstance(made, Function) and has_sql_body(made) and address in draft.b.named(made.body):
            draft.hollow.setdefault(address, frozenset())


def _bodies_apart(draft: Draft, circle: list[Operation]) -> bool:
    """Make hollow the first function, by name, whose body needs something in the circle."""
    addresses = frozenset(o.object for o in circle)
    there = {(a.schema, a.name) for a in addresses}
    for operation in sorted(circle, key=lambda o: o.object):
        function, made = operation.new or operation.old, operation.change == "create"
        held, uses = (draft.hollow, draft.b) if made else (draft.emptied, draft.a)
        if operation.change == "alter" or not isinstance(function, Function) or operation.object in held or not has_sql_body(function):
            continue
        if not there.isdisjoint((needed.schema, needed.name) for needed in uses.body(function)):
            held[operation.object] = addresses
            return True
    return False

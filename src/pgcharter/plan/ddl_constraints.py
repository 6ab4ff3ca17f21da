"""Constraints of tables.

NOT NULL (named from 18) is written with its column where the column is new or changes from nullable; here only where one such constraint
takes the place of another. What a parent hands down comes and goes with the parent's; what it has of its own is written there too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from pgcharter.catalog.model import Catalog, Constraint, Index, Table
from pgcharter.names import ObjectId, quote
from pgcharter.plan.ddl import Sides, Writer
from pgcharter.plan.ddl_column_parts import not_null_constraint
from pgcharter.plan.ddl_common import metadata
from pgcharter.plan.ddl_indexes import marks, taken_over, usual_names
from pgcharter.plan.ddl_parts import alter, settings, table
from pgcharter.plan.model import Operation

KEYS = frozenset(("primary key", "unique", "exclude"))
"""Kinds that have an index."""
_TAIL = re.compile(r"( NO INHERIT)?( DEFERRABLE)?( INITIALLY DEFERRED)?( NOT VALID| NOT ENFORCED)?\Z")


def index_of(constraint: Constraint, whole: Table) -> Index | None:
    """The index behind a key."""
    found = whole.indexes if constraint.kind in KEYS else ()
    return next((i for i in found if i.constraint == constraint.name), None)


def clause(constraint: Constraint, whole: Table) -> str:
    """The constraint as it stands in CREATE TABLE or after ADD: its definition, with what its index has of its own."""
    return f"CONSTRAINT {quote(constraint.name)} {_with_index(constraint, index_of(constraint, whole))}"


def _with_index(constraint: Constraint, index: Index | None) -> str:
    """`pg_get_constraintdef` leaves out the tablespace of the index, and storage parameters but for EXCLUDE.

    They stand before WHERE and DEFERRABLE.
    """
    words = f" WITH {settings(index.options)}" if index and index.options and constraint.kind != "exclude" else ""
    words += f" USING INDEX TABLESPACE {quote(index.tablespace)}" if index and index.tablespace else ""
    tail = _TAIL.search(constraint.definition)
    end = tail[0] if tail else ""
    head = constraint.definition.removesuffix(end)
    condition = f" WHERE ({index.predicate})" if index and index.predicate else ""
    return head.removesuffix(condition) + words + condition + end if head.endswith(condition) else constraint.definition


def _create(operation: Operation, sides: Sides) -> list[str]:
    constraint: Constraint = operation.new
    whole = table(sides.b, operation.object)
    if whole is None or constraint.kind == "trigger" or constraint.inherited:
        return []
    if constraint.kind in KEYS:
        return _key(constraint, whole, sides)
    if constraint.kind == "not null":
        return _not_null(constraint, whole, sides.a)
    found = [f"{alter(whole)} ADD {clause(constraint, whole)}"]
    return found + ([*copies(constraint, constraint.name, whole, sides)] if constraint.kind == "foreign key" else [])


def _key(constraint: Constraint, whole: Table, sides: Sides) -> list[str]:
    """A key with its index, and before it those of partitions that shall be called otherwise than PostgreSQL would call them.

    ADD CONSTRAINT on a partitioned table takes what it finds in the partitions and makes the rest.
    """
    index = index_of(constraint, whole)
    if index is not None and taken_over(index, sides.a):
        end = " DEFERRABLE" * constraint.deferrable + " INITIALLY DEFERRED" * constraint.deferred
        words = f"CONSTRAINT {quote(constraint.name)} {constraint.kind.upper()} USING INDEX {quote(index.name)}{end}"
    else:
        words = clause(constraint, whole)
    found = [f"{alter(whole)} ADD {words}"]
    if index is None:
        return found
    below = [*_keys_below(index, whole, sides.b)]
    first = [
        f"{alter(t)} ADD {clause(k, t)}" for t, k, i in below if t.id in sides.a.table and i.name not in usual_names(index, t, sides.a)
    ]
    said = [text for t, k, i in below for text in _about(t, k, i, sides)]
    return [*first, *found, *marks(index, sides.b), *metadata(index.id, None, index, sides.major), *said]


def _keys_below(index: Index, whole: Table, catalog: Catalog) -> Iterator[tuple[Table, Constraint, Index]]:
    """The keys of partitions that belong to a partitioned table's, deepest first."""
    for child in catalog.partitions.get(whole.id, ()):
        own = next((i for i in child.indexes if i.parent == index.id), None)
        key = next((k for k in child.constraints if own and k.name == own.constraint), None)
        if own is not None and key is not None:
            yield from _keys_below(own, child, catalog)
            yield child, key, own


def _about(whole: Table, key: Constraint, index: Index, sides: Sides) -> Iterator[str]:
    if whole.id in sides.a.table:
        yield from marks(index, sides.b)
        yield from metadata(whole.part("constraint", key.name), None, key, sides.major)
        yield from metadata(index.id, None, index, sides.major)


def _not_null(constraint: Constraint, whole: Table, before: Catalog) -> list[str]:
    """NOT NULL that takes the place of another on the same column, which is renamed where it can be, so that nothing is read anew."""
    if _with_column(constraint, whole.id, before):
        return []
    old = not_null_constraint(before.table[whole.id], constraint.columns[0])
    if old is None:
        return [f"{alter(whole)} ADD {clause(constraint, whole)}"]
    words = _altered(old, constraint)
    if words is None:
        return [f"{alter(whole)} DROP CONSTRAINT {quote(old.name)}", f"{alter(whole)} ADD {clause(constraint, whole)}"]
    renamed = [_renamed(whole, old.name, constraint.name)] if old.name != constraint.name else []
    return [*renamed, *(f"{alter(whole)} {text}" for text in words)]


def _with_column(constraint: Constraint, owner: ObjectId, other: Catalog) -> bool:
    """Whether NOT NULL is the column's business: `other` has no such column, or one that may be null."""
    there = other.table.get(owner)
    column = there.column.get(constraint.columns[0]) if there else None
    return column is None or not column.not_null


def copies(key: Constraint, name: str, parent: Table, sides: Sides, among: Collection[ObjectId] = ()) -> Iterator[str]:
    """What is to be said of the copies of a foreign key that PostgreSQL has just made for partitions, all called `name`.

    With `among` only for those partitions and what is below them.
    """
    for child in sides.b.partitions.get(parent.id, ()):
        copy = next((k for k in child.foreign_keys if k.inherited and _same_key(k, key)), None)
        if copy is None or (among and child.id not in among):
            continue
        before = sides.a.table.get(child.id)
        if copy.name != name and not (before and any(k.name == copy.name for k in before.constraints)):
            yield _renamed(child, name, copy.name)
        yield from metadata(child.part("constraint", copy.name), None, copy, sides.major)
        yield from copies(copy, name, child, sides)


def _same_key(one: Constraint, other: Constraint) -> bool:
    return (one.columns, one.references, one.referenced_columns) == (other.columns, other.references, other.referenced_columns)


def _renamed(whole: Table, old: str, new: str) -> str:
    return f"{alter(whole)} RENAME CONSTRAINT {quote(old)} TO {quote(new)}"


def _drop(operation: Operation, sides: Sides) -> list[str]:
    constraint: Constraint = operation.old
    whole = table(sides.a, operation.object)
    if whole is None:
        return []
    if constraint.kind == "trigger" or constraint.inherited:
        return []
    if constraint.kind == "not null" and _goes_otherwise(constraint, whole, sides.b):
        return []
    return [f"{alter(whole, only=_kept(constraint, whole, sides.b))} DROP CONSTRAINT {quote(constraint.name)}"]


def _goes_otherwise(constraint: Constraint, whole: Table, after: Catalog) -> bool:
    """Whether NOT NULL goes with its column, or another takes its place."""
    return _with_column(constraint, whole.id, after) or bool(not_null_constraint(after.table[whole.id], constraint.columns[0]))


def _kept(constraint: Constraint, parent: Table, after: Catalog) -> bool:
    """Whether an heir shall keep for itself what it has from its parent."""
    heirs = (c for c in after.children.get(parent.id, ()) if c.partition_of is None)
    return any(k.name == constraint.name and not k.inherited for c in heirs for k in c.constraints)


def _rename(operation: Operation, sides: Sides) -> list[str]:
    old, new, address = operation.old, operation.new, operation.object
    whole = table(sides.a, address) or table(sides.b, address)
    handed_down = old.inherited and new.inherited and old.kind in ("check", "not null")
    return [] if whole is None or handed_down or old.kind == "trigger" else [_renamed(whole, old.name, new.name)]


_IN_PLACE = frozenset(("deferrable", "deferred", "validated", "enforced", "no_inherit", "definition", "inherited", "comment"))


def _alter(operation: Operation, sides: Sides) -> list[str] | None:
    old, new, fields = operation.old, operation.new, set(operation.fields)
    whole = table(sides.b, operation.object)
    if not fields <= _IN_PLACE or _TAIL.sub("", old.definition) != _TAIL.sub("", new.definition):
        return [] if new.kind == "trigger" else None
    if whole is None or (new.inherited and old.inherited):
        return []
    if new.kind == "not null" and not_null_constraint(whole, new.columns[0]) != new:
        return None
    words = _altered(old, new)
    local = _made_local(old, new, whole, sides)
    return None if words is None or local is None else [f"{alter(whole)} {text}" for text in (*words, *local)]


def _altered(old: Constraint, new: Constraint) -> list[str] | None:
    """ALTER CONSTRAINT and VALIDATE; None where PostgreSQL (18) has no such form for the kind."""
    name, found = quote(new.name), list[str]()
    if (old.deferrable, old.deferred) != (new.deferrable, new.deferred):
        if new.kind != "foreign key":
            return None
        words = f"DEFERRABLE INITIALLY {'DEFERRED' if new.deferred else 'IMMEDIATE'}" if new.deferrable else "NOT DEFERRABLE"
        found.append(f"ALTER CONSTRAINT {name} {words}")
    if old.enforced != new.enforced:
        if new.kind != "foreign key" or (new.enforced and not new.validated):
            return None
        return [*found, f"ALTER CONSTRAINT {name} {'ENFORCED' if new.enforced else 'NOT ENFORCED'}"]
    if old.no_inherit != new.no_inherit:
        if new.kind != "not null":
            return None
        found.append(f"ALTER CONSTRAINT {name} {'NO INHERIT' if new.no_inherit else 'INHERIT'}")
    if old.validated != new.validated:
        if not new.validated:
            return None
        found.append(f"VALIDATE CONSTRAINT {name}")
    return found


def _made_local(old: Constraint, new: Constraint, whole: Table, sides: Sides) -> list[str] | None:
    """A constraint that was only handed down and now is also the heir's own, or the other way round (None: not in place)."""
    before = sides.a.table.get(whole.id)
    moved = before is not None and before.parents != whole.parents
    if old.inherited == new.inherited or moved or whole.partition_of:
        return []
    if new.inherited:
        return None
    parents = (sides.b.table[p] for p in whole.parents if p in sides.b.table)
    above = any(k.name == new.name for p in parents for k in p.constraints)
    return [f"ADD {clause(new, whole)}"] if above else []


WRITERS = {"constraint": Writer(_create, _drop, _alter, _rename)}

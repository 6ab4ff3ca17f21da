"""What must make way: whoever depends on something that is dropped, made anew, or changes its type.

PostgreSQL refuses to change the type of a column under a view, rule, row policy, trigger, SQL-standard function or generated column
(documentation, "ALTER TABLE", and `RememberAllDependentForRebuilding` in its sources; indexes and constraints it rebuilds itself), and to
drop anything that something else depends on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from pgcharter.catalog.model import Column, Constraint, DataType, Index, Sequence, Table, Trigger, UserType, View
from pgcharter.names import ObjectId
from pgcharter.plan.ddl_routines import rivals
from pgcharter.plan.draft import Draft, detoured, parts
from pgcharter.plan.uses import Uses, Whole

_TEXT = DataType("text", name="text")
_TEXTS = DataType("text[]", name="text", array=True)
_REBUILT = ("index", "constraint", "statistics")
"""Kinds that PostgreSQL carries through a change of type by itself."""
_TYPE = frozenset(("type", "collation"))


def spread(draft: Draft) -> None:
    """Replace or detour every dependent, and theirs in turn. Each address is looked at once for each way in which it is disturbed."""
    waiting = deque((address, False) for address in draft.drops)
    waiting.extend((address, True) for address, operation in draft.alters.items() if _changes_type(operation.object, operation.fields))
    seen = set(waiting)
    while waiting:
        address, typed = waiting.popleft()
        for user in sorted(_users(draft.a, address), key=str):
            for item in _disturb(draft, user, address, typed):
                if item not in seen:
                    seen.add(item)
                    waiting.append(item)


def _changes_type(address: ObjectId, fields: tuple[str, ...]) -> bool:
    return address.kind == "column" and not _TYPE.isdisjoint(fields)


def _users(uses: Uses, address: ObjectId) -> set[ObjectId]:
    """Who needs an object or, for what has parts, one of them."""
    found = set(uses.by.get(address, ()))
    whole = _whole(uses, address)
    if whole is not None:
        for part, _ in parts(whole):
            found |= uses.by.get(part, set())
        found -= {part for part, _ in parts(whole)}
    return found - {address}


def _whole(uses: Uses, address: ObjectId) -> Whole | None:
    whole = uses.wholes.get((address.schema, address.name))
    return whole if whole is not None and whole.id == address else None


def _disturb(draft: Draft, user: ObjectId, cause: ObjectId, typed: bool) -> list[tuple[ObjectId, bool]]:
    """Make `user` step aside for `cause`; what else is disturbed by that."""
    if _parted(draft, user):
        return []
    user = _root(draft, user)
    if user in draft.renames and not (typed and _carried(draft, user)):
        renamed = draft.renames.pop(user)
        draft.drop(user, renamed.old)
        draft.create(replace(user, part=renamed.new.name) if user.part else renamed.new.id, renamed.new)
        return [(user, False)]
    if user in draft.drops or draft.b.find(user) is None or (typed and _carried(draft, user)):
        return []
    altered = user in draft.alters or user in draft.detours
    if altered and not typed and not _needs(draft.b, user, cause) and not _rival_comes(draft, user, cause):
        return []
    why = f"{user} needs {cause}, which {'changes its type' if typed else 'is made anew' if cause in draft.creates else 'is dropped'}"
    made = draft.a.find(user)
    whole = draft.a.container(user)
    if isinstance(made, Column):
        return _column(draft, user, made, whole, cause, why, typed)
    if isinstance(made, Constraint) and isinstance(whole, UserType) and whole.id == cause:
        return []
    if user.kind == "publication":
        draft.detour(user, why, tables=detoured(draft.detours.get(user, made), cause))
        return []
    if isinstance(made, Table) and made.kind != "foreign table":
        return []
    if typed and isinstance(made, Sequence) and not draft.b.find(user).identity:
        return []
    draft.replace(user, why)
    return [(user, False)]


def _parted(draft: Draft, user: ObjectId) -> bool:
    """Whether `user` is part of a table that goes, or of one that leaves the parents which handed it down."""
    whole = draft.a.relation(user)
    if whole is None:
        return False
    if whole.id in draft.drops:
        return True
    after = draft.b.catalog.table.get(whole.id)
    return isinstance(whole, Table) and after is not None and not set(whole.parents) & set(after.parents) and _handed_down(draft, user)


def _handed_down(draft: Draft, user: ObjectId) -> bool:
    """Whether a part is there because a parent has one like it."""
    part = draft.a.find(user)
    if isinstance(part, Index):
        return part.parent is not None
    return part.inherited if isinstance(part, Constraint | Column) else isinstance(part, Trigger) and part.parent


def _root(draft: Draft, user: ObjectId) -> ObjectId:
    """What is replaced in a part's stead: an index's constraint, the parent's part it was handed down from, a composite type."""
    found = draft.a.index.get(user)
    if found is not None:
        relation, index = found
        if index.constraint:
            return _root(draft, relation.part("constraint", index.constraint))
        return _root(draft, index.parent) if index.parent is not None else user
    part, whole = draft.a.find(user), draft.a.container(user)
    if isinstance(whole, UserType) and isinstance(part, Column):
        return whole.id
    if isinstance(part, Constraint | Trigger) and isinstance(whole, Table) and _handed_down(draft, user):
        for parent in whole.parents:
            above = replace(user, schema=parent.schema, name=parent.name)
            if draft.a.find(above) is not None:
                return _root(draft, above)
    return user


def _carried(draft: Draft, user: ObjectId) -> bool:
    """Whether PostgreSQL itself carries `user` through a change of type. Of foreign keys only while one end keeps its type."""
    made = draft.a.find(user)
    if isinstance(made, Constraint) and made.kind == "foreign key" and made.references is not None:
        ends = [ObjectId("column", user.schema, user.name, c) for c in made.columns]
        others = [ObjectId("column", made.references.schema, made.references.name, c) for c in made.referenced_columns]
        return not any(_typed(draft, one) and _typed(draft, other) for one, other in zip(ends, others, strict=True))
    return user.kind in _REBUILT or isinstance(made, Index)


def _typed(draft: Draft, column: ObjectId) -> bool:
    operation = draft.alters.get(column)
    between = draft.detours.get(column)
    return bool(operation and _changes_type(column, operation.fields)) or (
        between is not None and between.type != draft.a.find(column).type
    )


def _rival_comes(draft: Draft, user: ObjectId, cause: ObjectId) -> bool:
    """Whether `user` shall call another function of the name that goes, and could mean either while both are there."""
    gone = draft.a.catalog.function.get(cause)
    needs = draft.b.of.get(user) if gone is not None else ()
    return gone is not None and any(rivals(gone, f) for f in map(draft.b.catalog.function.get, needs) if f is not None)


def _needs(uses: Uses, user: ObjectId, cause: ObjectId) -> bool:
    """Whether `user` needs `cause`, or what has taken its name, on the side of `uses`."""
    needs = uses.of.get(user, set())
    if cause in needs:
        return True
    whole = uses.wholes.get((cause.schema, cause.name)) if not cause.part and "(" not in cause.name else None
    return whole is not None and (whole.id in needs or any(part in needs for part, _ in parts(whole)))


def _column(
    draft: Draft, user: ObjectId, column: Column, whole: Whole | None, cause: ObjectId, why: str, typed: bool
) -> list[tuple[ObjectId, bool]]:
    if isinstance(whole, View):
        return []
    if column.inherited and cause.part == user.part:
        return _heir(draft, user, column, cause, why, typed)
    if typed and not column.generated:
        return []
    holds = _holds(draft.a, column, cause)
    if column.generated and column.inherited:
        return []
    if column.generated and not holds:
        draft.replace(user, why)
        return [(user, False), *_owned(draft, user)]
    if holds:
        draft.detour(user, why, type=_plain(draft, column), default="")
        return [(user, True)]
    if cause.kind == "collation" and cause in draft.a.named(column.collation):
        draft.detour(user, why, collation="", default="")
        return [(user, True)]
    draft.detour(user, why, default="")
    return []


def _heir(draft: Draft, user: ObjectId, column: Column, cause: ObjectId, why: str, typed: bool) -> list[tuple[ObjectId, bool]]:
    """A column whose parent's changes: it changes along, but has a default of its own, which must not stand in the way."""
    above = draft.detours.get(cause)
    if typed and above is not None and above.type != draft.a.find(cause).type:
        draft.detour(user, why, type=above.type, default="")
    elif typed and column.default and not column.generated:
        draft.detour(user, why, default="")
    return [(user, typed)]


def _holds(uses: Uses, column: Column, cause: ObjectId) -> bool:
    """Whether `cause` is the column's own type."""
    return column.type.schema != "pg_catalog" and cause in uses.held(column.type)


def _plain(draft: Draft, column: Column) -> DataType:
    """The built-in type in which a column's values wait: what a domain is made of, or text."""
    whole = draft.a.wholes.get((column.type.schema, column.type.name))
    base = whole.base if isinstance(whole, UserType) and whole.kind == "domain" and not column.type.array else None
    if base is not None and base.schema == "pg_catalog":
        return base
    return _TEXTS if column.type.array else _TEXT


def _owned(draft: Draft, column: ObjectId) -> list[tuple[ObjectId, bool]]:
    """Sequences that go with a column are made anew."""
    for sequence in draft.a.catalog.sequences_of.get(column.owner, ()):
        wanted = draft.b.find(sequence.id)
        if sequence.owned_by == column and not sequence.identity and wanted is not None:
            draft.create(sequence.id, wanted, f"{sequence.id} goes with {column}")
    return []

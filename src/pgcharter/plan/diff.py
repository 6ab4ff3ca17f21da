"""From two catalogs to the ordered operations that lead from one to the other."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from pgcharter.catalog.compare import Difference, compare
from pgcharter.catalog.model import Catalog, Column, Constraint, Index, Table, UserType, View
from pgcharter.names import ObjectId
from pgcharter.plan import ddl, dependents, order, renames
from pgcharter.plan.draft import Draft, follows, parts
from pgcharter.plan.model import Operation
from pgcharter.plan.uses import Uses

_VIEW_COLUMN = frozenset(("comment", "acl", "default", "statistics", "storage", "compression", "options"))
"""Of a view's column, what is not said by the view's definition."""
_OF_THE_READER = frozenset(("default_version", "default_comment", "position", "inherited", "ready", "relocatable", "requires"))
"""Fields that no statement sets."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What leads from one catalog to another."""

    operations: tuple[Operation, ...] = ()
    """In an order in which they can be run one by one."""
    questions: tuple[str, ...] = ()
    """What only a person can answer: replacements that would lose rows (they have no operations), and renames that nobody declared."""
    notes: tuple[str, ...] = ()
    """Differences that PostgreSQL cannot take away."""


def operations(a: Catalog, b: Catalog, *, apart: Collection[ObjectId] = ()) -> Changes:
    """The operations from `a` to `b`: one for each object that comes, goes or changes, and for each that must make way meanwhile.

    Both must have been read from servers of one major version and made comparable (`normal.normalised`). `apart` holds addresses on the
    side of `a` of what is known not to be renamed. Objects of extensions are left to their extension.
    """
    with _without_collector():
        return _operations(Draft.between(a, b), apart)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Much is made and nothing of it in circles: Python's collector, which looks at all of it again and again, would take half the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _operations(draft: Draft, apart: Collection[ObjectId]) -> Changes:
    _collect(draft)
    for address in list(draft.alters):
        if address in draft.alters:
            _settle(draft, address)
    for domain in sorted({d for o in (*draft.creates.values(), *draft.alters.values()) if (d := _checked(draft, o)) is not None}):
        if domain not in draft.drops and _enclosed(draft.a, domain, set()):
            draft.replace(domain, f"PostgreSQL checks no constraint of {domain} while a column has it inside an array, row or range")
    _renamed(draft)
    _silenced(draft)
    draft.questions += renames.likely(draft, apart)
    dependents.spread(draft)
    ordered = order.ordered(draft)
    draft.notes += _columns_out_of_place(draft, ordered)
    return Changes(ordered, tuple(draft.questions), tuple(draft.notes))


def differences(a: Catalog, b: Catalog) -> tuple[Difference, ...]:
    """What differs and a plan can take away: `compare` without the objects of extensions and the places of columns."""
    return tuple(d for d in _told(Uses(a), Uses(b)) if d.field not in _OF_THE_READER)


def _told(a: Uses, b: Uses) -> Iterator[Difference]:
    for difference in compare(a.catalog, b.catalog, ignore=("index.definition", "statistics.definition")):
        if not _of_extension(a, difference.object) and not _of_extension(b, difference.object):
            yield difference


def _of_extension(uses: Uses, address: ObjectId) -> bool:
    if address in uses.member:
        return True
    holder = uses.container(address) or (uses.index[address][0] if address in uses.index else None)
    return bool(holder is not None and holder.extension)


def _collect(draft: Draft) -> None:
    """Every difference as a creation, a drop or an alteration."""
    fields: dict[ObjectId, list[str]] = {}
    for difference in _told(draft.a, draft.b):
        address = difference.object
        if difference.field == "position":
            draft.misplaced.add(address.owner)
        elif difference.change == "added":
            _added(draft, address, difference.new)
        elif difference.change == "removed":
            _removed(draft, address, difference.old)
        else:
            fields.setdefault(address, []).append(difference.field)
    for address, names in fields.items():
        kept = _kept(draft, address, dict.fromkeys(names))
        if kept:
            draft.alter(address, kept)


def _added(draft: Draft, address: ObjectId, made: Any) -> None:
    if not (isinstance(draft.b.container(address), View) and isinstance(made, Column)):
        draft.create(address, made)


def _removed(draft: Draft, address: ObjectId, gone: Any) -> None:
    if not (isinstance(draft.a.container(address), View) and isinstance(gone, Column)):
        draft.drop(address, gone)


def _renamed(draft: Draft) -> None:
    """Constraints and indexes that go and come with nothing changed but their name are renamed: it leads to the same, without a scan."""
    come: dict[tuple[Any, ...], list[ObjectId]] = {}
    for address, operation in draft.creates.items():
        if (shape := _shape(address, operation.new, draft.b)) is not None and address not in draft.drops:
            come.setdefault(shape, []).append(address)
    for address, operation in list(draft.drops.items()):
        shape = _shape(address, operation.old, draft.a)
        if shape in come and address not in draft.creates:
            draft.rename(address, come[shape].pop(0))
            if not come[shape]:
                del come[shape]


def _shape(address: ObjectId, value: Any, uses: Uses) -> tuple[Any, ...] | None:
    """What stays when only the name changes; None for what is not a constraint or an index of its own."""
    if isinstance(value, Constraint) and isinstance(uses.container(address), Table) and value.kind != "trigger":
        stays = replace(value, name="", comment="", index="", inherited=False)
        return address.schema, address.name, stays
    if isinstance(value, Index) and not value.constraint and value.parent is None and not value.partitioned:
        return value.schema, value.table, replace(value, name="", comment="", definition="")
    return None


def _silenced(draft: Draft) -> None:
    """Take out the operations of what comes and goes with something else, as the writers of DDL know it."""
    for operations in (draft.creates, draft.drops, draft.alters):
        for address, operation in list(operations.items()):
            if follows(operation.new or operation.old) and not _written(draft, operation):
                del operations[address]


def _written(draft: Draft, operation: Operation) -> tuple[str, ...]:
    try:
        return ddl.statements(operation, draft.sides)
    except ValueError as error:
        draft.questions.append(f"{operation.object}: {error}")
        return ()


def _kept(draft: Draft, address: ObjectId, names: Collection[str]) -> tuple[str, ...]:
    """Of the fields that differ, those that need an operation of this object's own."""
    new = draft.b.find(address)
    kept = [n for n in names if n not in _OF_THE_READER]
    whole = draft.b.container(address)
    if isinstance(whole, View) and isinstance(new, Column):
        return tuple(n for n in kept if n in _VIEW_COLUMN)
    if isinstance(new, Index):
        kept = [n for n in kept if n != "definition" and not (n == "valid" and new.partitioned)]
    if isinstance(new, Constraint):
        kept = [n for n in kept if n != "index"]
    return tuple(kept)


def _settle(draft: Draft, address: ObjectId) -> None:
    """An alteration that cannot be made in place becomes a drop and a creation, or a question where rows would be lost."""
    operation = draft.alters[address]
    whole = draft.b.container(address)
    if isinstance(whole, UserType) and _in_use(draft, operation, whole):
        draft.replace(whole.id, f"{operation.object} cannot change its type while a table uses {whole.id}")
    elif _in_place(draft, operation):
        return
    elif isinstance(operation.new, Table) and operation.old.kind != "foreign table":
        _ask(draft, operation)
    elif operation.object.kind in ("database", "extension"):
        del draft.alters[address]
        draft.notes.append(f"{operation.object.kind} {operation.new.name} keeps its {', '.join(operation.fields)}, which cannot be changed")
    else:
        draft.replace(address, f"{' and '.join(operation.fields)} cannot be changed in place")


def _in_place(draft: Draft, operation: Operation) -> bool:
    try:
        return ddl.in_place(operation, draft.sides)
    except ValueError as error:
        draft.questions.append(f"{operation.object}: {error}")
        del draft.alters[operation.object]
        return True


def _in_use(draft: Draft, operation: Operation, type_: UserType) -> bool:
    """Whether tables hold a composite type one of whose attributes changes type, which PostgreSQL refuses."""
    users = draft.a.by.get(type_.id, ())
    retyped = operation.object.kind == "column" and not {"type", "collation"}.isdisjoint(operation.fields)
    return retyped and any(user.kind in ("column", "table") for user in users)


def _checked(draft: Draft, operation: Operation) -> ObjectId | None:
    """The domain of which PostgreSQL would hold all values against a constraint."""
    new, whole = operation.new, draft.b.container(operation.object)
    if isinstance(new, Constraint) and isinstance(whole, UserType):
        return whole.id if new.validated and draft.a.find(whole.id) is not None else None
    strict = isinstance(new, UserType) and operation.change == "alter" and new.kind == "domain" and new.not_null
    return operation.object if strict and not operation.old.not_null else None


def _enclosed(uses: Uses, held: ObjectId, seen: set[tuple[ObjectId, bool]], *, inside: bool = False) -> bool:
    """Whether a stored column has `held` inside an array, a row or a range (`find_composite_type_dependencies` in the sources)."""
    if (held, inside) in seen:
        return False
    seen.add((held, inside))
    for user in uses.by.get(held):
        made, whole = uses.find(user), uses.container(user)
        if isinstance(made, UserType):
            within = inside or made.kind == "range" or bool(made.base and made.base.array)
            if _enclosed(uses, made.id, seen, inside=within):
                return True
        if isinstance(made, Column) and whole is not None:
            within = inside or made.type.array
            stored = isinstance(whole, Table) or whole.kind == "materialized view"
            if (stored and within) or _enclosed(uses, whole.id, seen, inside=True):
                return True
    return False


def _ask(draft: Draft, operation: Operation) -> None:
    """A table that would have to be made anew: its rows are not thrown away unasked."""
    table: Table = operation.new
    for address in [table.id, *(part for whole in (operation.old, table) for part, _ in parts(whole))]:
        for held in (draft.creates, draft.drops, draft.alters, draft.renames):
            held.pop(address, None)
    changes = ", ".join(f"{n}: {_short(getattr(operation.old, n))} → {_short(getattr(table, n))}" for n in operation.fields)
    draft.questions.append(
        f"{operation.object} would have to be made anew ({changes}), which loses its rows: create the new form under another name, "
        "copy the rows, and drop or rename the old one in migrations of your own"
    )


def _short(value: Any) -> str:
    return str(value) if value not in ("", (), None) else "none"


def _columns_out_of_place(draft: Draft, ordered: tuple[Operation, ...]) -> list[str]:
    """A note for every table whose columns will not stand in the wanted order."""
    come: dict[tuple[str, str], list[str]] = {}
    for operation in ordered:
        if operation.object.kind == "column" and operation.change == "create":
            come.setdefault((operation.object.schema, operation.object.name), []).append(operation.object.part)
    notes = []
    for address in sorted(draft.misplaced | {ObjectId("table", *at) for at in come}):
        table, before = draft.b.catalog.table.get(address), draft.a.catalog.table.get(address)
        if before is None or table is None or table.id in draft.creates:
            continue
        new = come.get((table.schema, table.name), [])
        wanted = [c.name for c in table.columns]
        stay = [c.name for c in before.columns if c.name in wanted and c.name not in new]
        order_ = stay + new + [c for c in wanted if c not in stay and c not in new]
        if order_ != wanted:
            notes.append(
                f"columns of {table.id} stand as {', '.join(order_)} instead of {', '.join(wanted)}: PostgreSQL adds them at the end only"
            )
    return notes

"""What a plan is about: a wanted schema that never mentions something does not ask for it to be dropped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, TypeVar

from pgcharter.catalog.compare import address_of
from pgcharter.catalog.model import Acl, Catalog, Function, Schema, Sequence, Table, UserType, View
from pgcharter.names import ObjectId, quote

OUR_SCHEMA = "pgcharter"
"""Where our own tables live; their owner plans them, nobody else."""
_KINDS = {
    "extensions": "extension", "publications": "publication", "subscriptions": "subscription", "event_triggers": "event trigger",
    "foreign_servers": "foreign server", "default_privileges": "default privilege", "security_labels": "security label",
}  # fmt: skip
"""Kinds that operators make beside the schema: when the wanted side has none at all, those that are there stay."""

T = TypeVar("T")


@dataclass(frozen=True)
class Extent:
    """Both sides cut down to what the plan is about."""

    a: Catalog
    b: Catalog
    notes: tuple[str, ...] = ()
    """What was left alone, and how to have it planned."""


def extent(a: Catalog, b: Catalog, *, library: Callable[[ObjectId], bool] = lambda _: False, ours: Collection[ObjectId] = ()) -> Extent:
    """Leave out of `a` what `b` never mentions: other schemas, tables of libraries (as `library` knows them), whole kinds of objects that
    operators make, user mappings (which hold passwords), and all privileges when `b` grants none.

    `ours` are addresses that policies answer for: they are planned whether `b` mentions them or not, and nothing else of our own schema is.
    """
    notes: list[str] = []
    wanted = {s.name for s in b.schemas}
    other = sorted(s.name for s in a.schemas if s.name not in wanted and s.name != OUR_SCHEMA and not s.extension)
    if other:
        names = ", ".join(map(quote, other))
        notes.append(f"left alone: schema {names}, which the wanted side does not mention; to drop one: DROP SCHEMA … CASCADE by hand")
    passed_over = {*other, OUR_SCHEMA}
    strangers = sorted(t.id for t in a.tables if library(t.id) and t.id not in b.table and t.id not in ours and t.schema not in passed_over)
    if strangers:
        notes.append(f"left alone: {', '.join(str(t) for t in strangers)}, made by a library or a migration tool")
    absent = {field: tuple(i for i in getattr(a, field) if address_of(i) not in ours) for field in _KINDS if not getattr(b, field)}
    notes += [
        f"left alone: {len(found)} {_KINDS[field]}{'s' * (len(found) > 1)}, because the wanted side has none"
        for field, found in absent.items() if found
    ]  # fmt: skip
    hidden = () if ours else (OUR_SCHEMA,)
    left = _without(a, schemas={*other, *hidden}, tables=strangers, ours=ours)
    stay: dict[str, Any] = {field: tuple(i for i in getattr(left, field) if i not in found) for field, found in absent.items()}
    left = replace(left, **stay)
    right = _with_mappings_of(left, _without(b, schemas=hidden, tables=(), ours=ours))
    if ours:
        left, right = _with_our_schema(left, right), _with_our_schema(right, left)
    if not _grants(right) and _grants(left):
        notes.append("left alone: all privileges, because the wanted side grants none")
        right = _with_privileges_of(left, right, ours)
    return Extent(left, right, tuple(notes))


def _without(catalog: Catalog, *, schemas: Collection[str], tables: Iterable[ObjectId], ours: Collection[ObjectId]) -> Catalog:
    """`catalog` without some schemas and tables; of our own schema there is only what is in `ours`."""
    gone = set(tables)
    owned = {s.id for s in catalog.sequences if s.owned_by and s.owned_by.owner in gone}
    hidden = {*schemas, OUR_SCHEMA}

    def kept(items: tuple[T, ...]) -> tuple[T, ...]:
        found = ((i, address_of(i)) for i in items)
        return tuple(i for i, at in found if at in ours or (getattr(i, "schema", "") not in hidden and at not in gone and at not in owned))

    fields: dict[str, Any] = {
        name: kept(getattr(catalog, name))
        for name in ("tables", "views", "sequences", "functions", "types", "statistics", "collations", "others", "default_privileges")
    }
    fields["tables"] = tuple(_without_our_triggers(t, ours) if OUR_SCHEMA in schemas else t for t in fields["tables"])
    fields["schemas"] = tuple(s for s in catalog.schemas if s.name not in schemas)
    fields["dependencies"] = tuple(d for d in catalog.dependencies if d.dependent.schema not in schemas and d.dependent.owner not in gone)
    return replace(catalog, **fields)


def _without_our_triggers(table: Table, ours: Collection[ObjectId]) -> Table:
    """A table without the triggers whose functions are in our schema, where that is left out: they could not be made there."""
    return replace(table, triggers=tuple(t for t in table.triggers if t.function.schema != OUR_SCHEMA or t.function in ours))


def _with_our_schema(catalog: Catalog, other: Catalog) -> Catalog:
    """With our own schema: it is there before any plan, and stays. Where this side lacks it, nobody has been given anything on it."""
    if any(s.name == OUR_SCHEMA for s in catalog.schemas):
        return catalog
    home = next((s for s in other.schemas if s.name == OUR_SCHEMA), Schema(OUR_SCHEMA))
    return replace(catalog, schemas=tuple(sorted((*catalog.schemas, replace(home, acl=None)), key=lambda s: s.name)))


def _with_mappings_of(a: Catalog, b: Catalog) -> Catalog:
    """`b` with the user mappings of `a` where it has none: files with passwords are built nowhere."""
    users = {server.id: server.users for server in a.foreign_servers}
    return replace(b, foreign_servers=tuple(replace(s, users=s.users or users.get(s.id, ())) for s in b.foreign_servers))


_Private = Schema | Table | View | Sequence | Function | UserType


def _private(catalog: Catalog) -> Iterable[_Private]:
    return chain(catalog.schemas, catalog.tables, catalog.views, catalog.sequences, catalog.functions, catalog.types)


def _grants(catalog: Catalog) -> bool:
    """Whether anybody has been given or denied anything on a schema, relation, routine or type, or one of their columns."""
    return any(
        (item.acl is not None and not getattr(item, "extension", "")) or any(c.acl is not None for c in getattr(item, "columns", ()))
        for item in _private(catalog)
        if not (isinstance(item, Schema) and item.name == "public")
    )


def _with_privileges_of(a: Catalog, b: Catalog, ours: Collection[ObjectId]) -> Catalog:
    """`b` with the privileges that its objects have in `a`, so that one that must be made anew gets them back."""
    held = {item.id: item for item in _private(a) if item.id not in ours}

    def dressed(items: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(_dressed(item, held) for item in items)

    return replace(
        b, schemas=dressed(b.schemas), tables=dressed(b.tables), views=dressed(b.views), sequences=dressed(b.sequences),
        functions=dressed(b.functions), types=dressed(b.types),
    )  # fmt: skip


def _dressed(item: Any, held: Mapping[ObjectId, Any]) -> Any:
    before = held.get(item.id)
    if before is None:
        return item
    acl: Acl = before.acl
    if not isinstance(item, Table | View):
        return replace(item, acl=acl)
    columns = {c.name: c.acl for c in before.columns}
    return replace(item, acl=acl, columns=tuple(replace(c, acl=columns.get(c.name)) for c in item.columns))

"""What carries a table's changes to other readers, as far as a catalog shows: publications, triggers, copies, outboxes, event stores."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgcharter.catalog.model import Catalog, Publication, Table, Trigger, View
from pgcharter.names import ObjectId
from pgcharter.rules import bodies, shapes
from pgcharter.rules.privileges import is_audit, is_event_store

Member = Table | View
"""A table, or a materialized view."""

_VERSION = re.compile(r"(?:\A|_)(?:version|versions|rev|revision)(?:_?(?:no|num|number))?\Z")
_NOTIFIES = re.compile(r"\bpg_notify\s*\(|\bnotify\s+\w+|\bpg_logical_emit_message\s*\(", re.IGNORECASE)
_DELIVERED = {"published", "processed", "sent", "dispatched", "delivered", "relayed"}


def version_column(table: Table) -> str:
    """The column that counts the versions of a row, for writers who compare it: a required integer. Empty when there is none."""
    for column in table.columns:
        if column.not_null and column.type.basic in shapes.INTEGER_TYPES and _VERSION.search(column.name.lower()):
            return column.name
    return ""


def publishes(publication: Publication, table: Table) -> bool:
    """Whether new and changed rows of `table` go out through `publication`."""
    if not {"insert", "update"} <= set(publication.operations):
        return False
    return publication.all_tables or table.schema in publication.schemas or names_table(publication, table)


def names_table(publication: Publication, table: Table) -> bool:
    """Whether the publication lists this table by name."""
    name = table.id.sql()
    return any(t == name or t.startswith((f"{name} ", f"{name}(")) for t in publication.tables)


def is_outbox(table: Table) -> bool:
    """Whether a table holds messages to send: called outbox, or a table of events or messages with a document and a mark of delivery."""
    named = set(shapes.words(table.name))
    if "outbox" in named:
        return True
    columns = {w for c in table.columns for w in shapes.words(c.name)}
    document = any(c.type.basic in ("jsonb", "json", "bytea") for c in table.columns)
    return bool(named & {"event", "events", "message", "messages"}) and document and bool(columns & _DELIVERED)


def has_outbox(catalog: Catalog) -> bool:
    """Whether any table of the database is an outbox."""
    return any(is_outbox(t) for t in catalog.root_tables)


def has_event_store(catalog: Catalog) -> bool:
    """Whether any table of the database is an event store."""
    return any(is_event_store(t) for t in catalog.root_tables)


def tells_elsewhere(catalog: Catalog, table: Table) -> bool:
    """Whether an enabled trigger writes the table's changes into another table that is no audit trail, or notifies."""
    return any(_carries(catalog, table, t) for t in table.triggers if t.enabled != "disabled" and {"insert", "update"} & set(t.events))


def _carries(catalog: Catalog, table: Table, trigger: Trigger) -> bool:
    function = catalog.function.get(trigger.function)
    if function is None or not bodies.readable(function):
        return trigger.timing == "after"
    written = [m for m in bodies.mentions(function.body) if m.how in ("insert into", "merge into") and m.name != table.name]
    return any(not is_audit(m.schema, m.name) for m in written) or bool(_NOTIFIES.search(bodies.mask(function.body)))


def refreshable(view: View) -> bool:
    """Whether the materialized view can be refreshed while it is read: it has a unique index on plain columns, of all rows."""
    return any(i.unique and shapes.is_whole(i) and len(i.columns) == len(i.keys) for i in view.indexes)


def copied(catalog: Catalog) -> frozenset[ObjectId]:
    """Addresses of the tables that a refreshable materialized view reads."""
    copies = {(v.schema, v.name) for v in catalog.own_views if v.kind == "materialized view" and refreshable(v)}
    return frozenset(_read(catalog, copies)) if copies else frozenset()


def _read(catalog: Catalog, copies: set[tuple[str, str]]) -> Iterator[ObjectId]:
    for d in catalog.dependencies:
        if d.dependent.kind == "materialized view" and (d.dependent.schema, d.dependent.name) in copies:
            yield ObjectId("table", d.referenced.schema, d.referenced.name)

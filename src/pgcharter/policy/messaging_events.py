"""The event store: events by month, the head of each aggregate, snapshots, and the function that alone appends."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from importlib import resources

from pgcharter.catalog.model import Acl, Catalog, Function
from pgcharter.policy import messaging_events_tables as tables
from pgcharter.policy.compose import SCHEMA
from pgcharter.policy.messaging_settings import MessagingSection
from pgcharter.policy.model import State
from pgcharter.policy.own import joined, kept_apart
from pgcharter.policy.rights import closed

_FUNCTIONS = {
    "append_events": (
        "messaging_events_append.sql",
        "text[], {id}[], integer[], integer[], text[], jsonb[], jsonb[], integer[], uuid[], text[], text[], text[], text, text",
        "record", "Appends events of one aggregate or many, each at the version that it is expected to have",
    ),
    "event_heads_moved": (
        "messaging_events_heads.sql", "text, text[], {id}[], integer[], integer[]", "integer[]",
        "Moves heads on, where they are at the version expected",
    ),
    "events_guard": ("messaging_events_guard.sql", "", "trigger", "Refuses to change what has happened"),
}  # fmt: skip


def apply(state: State, section: MessagingSection) -> State:
    """The state with what belongs to it."""
    catalog, id_type = state.catalog, section.events.aggregate_id
    read = [(r, "SELECT") for r in dict.fromkeys((*section.writers, *section.workers))]
    keep = [(r, p) for r in section.writers for p in ("INSERT", "UPDATE", "DELETE")]
    rows = kept_apart(catalog, *section.workers).get("policies", ())
    made = (
        tables.events(id_type, _acl("table", catalog, read), rows),
        *tables.parts(_months(state, section), id_type),
        tables.heads(id_type, _acl("table", catalog, read), rows),
        tables.snapshots(id_type, _acl("table", catalog, [*read, *keep]), rows),
    )
    functions = (_function(name, section, catalog) for name in _FUNCTIONS)
    return replace(
        state,
        catalog=replace(
            catalog,
            tables=joined(catalog.tables, *made),
            sequences=joined(catalog.sequences, tables.position(_acl("sequence", catalog, read))),
            functions=joined(catalog.functions, *functions),
        ),
    )


def _acl(of: str, catalog: Catalog, rights: list[tuple[str, str]]) -> Acl:
    return closed(of, catalog.database.owner, rights, catalog.major)


def _months(state: State, section: MessagingSection) -> tuple[date, ...]:
    """Months with partitions: now, as many ahead as declared, and those that are there."""
    wanted = {tables.first(state.now.date(), i) for i in range(section.events.ahead_months + 1)}
    for table in state.present.tables if state.present else ():
        month = tables.month_of(table.name) if table.partition_of == tables.EVENTS else None
        wanted |= {month} if month else set()
    return tuple(sorted(wanted))


def _function(name: str, section: MessagingSection, catalog: Catalog) -> Function:
    file, identity, returns, comment = _FUNCTIONS[name]
    id_type = section.events.aggregate_id
    text = resources.files("pgcharter.policy").joinpath(file).read_text(encoding="utf-8").replace("{id}", id_type)
    text = text.replace("{message_bytes}", str(section.message_bytes))
    rights = [(r, "EXECUTE") for r in section.writers] if name == "append_events" else []
    return Function(
        SCHEMA, name, identity.replace("{id}", id_type), returns=returns, language="plpgsql", definition=text, owner=catalog.database.owner,
        acl=_acl("function", catalog, rights), comment=comment,
    )  # fmt: skip

"""Audit: the history of rows by triggers, in tables that nobody changes, with views to read it by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from glob import escape
from hashlib import sha256
from importlib import resources
from typing import Any

from pgcharter.catalog.model import Catalog, Cluster, Column, EventTrigger, Function, Grant, Role, Schema, Table, Trigger, View
from pgcharter.names import MAX_BYTES, ObjectId, literal, quote
from pgcharter.policy import audit_questions, audit_tables
from pgcharter.policy.audit_settings import SECTION, AuditSection, fits
from pgcharter.policy.audit_tables import COLUMNS, LOG
from pgcharter.policy.compose import SCHEMA
from pgcharter.policy.model import Policy, State
from pgcharter.policy.rights import closed, granted

ROWS, TRUNCATION = "0_pgcharter_audit", "0_pgcharter_audit_truncate"
"""Names of the triggers: PostgreSQL runs triggers by name, and ours must be first, or what others do to the row would be recorded before
what made them do it (documentation, "Overview of Trigger Behavior"; those of foreign keys are called RI_…)."""
_FUNCTIONS = {
    "audit_row": ("", "trigger", "Records a changed row in audit_log"),
    "audit_row_whole": ("", "trigger", "Records a changed row in audit_log, the quick way"),
    "audit_statement": ("", "text", "First word of what the client sent"),
    "audit_truncate": ("", "trigger", "Records rows that TRUNCATE takes in audit_log"),
    "audit_guard": ("", "trigger", "Refuses to change what was recorded"),
    "audit_part": ("jsonb, text[]", "jsonb", "Some columns of a row"),
    "audit_masked": ("jsonb, jsonb, text[]", "jsonb", "A row with some columns masked"),
}
_STEADY = frozenset(
    (
        "bool",
        "int2",
        "int4",
        "int8",
        "numeric",
        "text",
        "varchar",
        "bpchar",
        "uuid",
        "json",
        "jsonb",
        "date",
        "time",
        "timestamp",
        "timestamptz",
    )
)
"""Types whose text hangs on no setting but the time zone."""
_OF_SCHEMA = {
    "audit_schema_change": ("", "event_trigger", "Records what commands make and change in audit_log"),
    "audit_schema_drop": ("", "event_trigger", "Records what commands drop in audit_log"),
    "audit_schema_record": ("text, text, text, text", "void", "Records a change of the schema in audit_log"),
}


def policy(section: AuditSection) -> Policy:
    """The policy of an `[audit]` section."""
    return Policy(SECTION.name, lambda state: _apply(state, section))


def _apply(state: State, section: AuditSection) -> State:
    if section.trail == "drop":
        return state
    catalog = state.catalog
    heads = {t.id: head for t in catalog.tables if (head := head_of(t, catalog, section))}
    state = audit_questions.asked(state, section, heads)
    if state.questions:
        return state
    told = sorted(audit_questions.told(state, heads))
    section = replace(section, left_out=(*section.left_out, *map(escape, told)))
    owner = section.owner or catalog.database.owner
    catalog = _with_trail(catalog, section, owner, _months(state, section))
    catalog = replace(catalog, tables=tuple(_with_triggers(t, heads[t.id], section) if t.id in heads else t for t in catalog.tables))
    views = [_view(t, section, owner, catalog.major) for t in catalog.tables if t.id == heads.get(t.id, t).id and t.id in heads]
    catalog = replace(catalog, views=_joined(catalog.views, views))
    if section.owner:
        catalog = _readable(catalog, section.owner, heads)
    return replace(state, catalog=_with_home(catalog, section), cluster=_cluster(state.cluster, section, heads.values()))


def head_of(table: Table, catalog: Catalog, section: AuditSection) -> Table | None:
    """The table under whose name a table's rows are recorded: itself, or the outermost partitioned one that is declared; None: not.

    Foreign tables and ours are never recorded.
    """
    found, at = None, table if table.schema != SCHEMA and table.kind != "foreign table" and not table.extension else None
    while at is not None:
        found = at if section.records(f"{at.schema}.{at.name}") else found
        at = catalog.table.get(at.partition_of) if at.partition_of else None
    return found


def view_name(table: ObjectId) -> str:
    """The view of a table's history, in our schema: audit_of_<schema>_<table>; with a hash where that is too long or ambiguous."""
    name = f"audit_of_{table.schema}_{table.name}"
    if len(name.encode()) <= MAX_BYTES and "_" not in table.schema:
        return name
    mark = sha256(f"{table.schema}.{table.name}".encode()).hexdigest()[:6]
    return name.encode()[: MAX_BYTES - 7].decode(errors="ignore") + f"_{mark}"


def _months(state: State, section: AuditSection) -> tuple[date, ...]:
    """Months with partitions: now, as many ahead as declared, and those that are there."""
    wanted = {audit_tables.first(state.now.date(), i) for i in range(section.ahead_months + 1)}
    for table in state.present.tables if state.present else ():
        year, _, month = table.name.removeprefix(f"{LOG.name}_").partition("_")
        if table.partition_of == LOG and year.isdigit() and month.isdigit():
            wanted.add(date(int(year), int(month), 1))
    return tuple(sorted(wanted))


def _with_trail(catalog: Catalog, section: AuditSection, owner: str, months: Iterable[date]) -> Catalog:
    own, major, sealer = section.owner, catalog.major, (section.sealer,) if section.sealer else ()
    read = [(r, "SELECT") for r in dict.fromkeys((*section.readers, *sealer))]
    log = audit_tables.log(own, closed("table", owner, read, major))
    seals = audit_tables.seals(own, closed("table", owner, [*read, *((s, "INSERT") for s in sealer)], major))
    number = replace(audit_tables.number(own), acl=closed("sequence", owner, read, major))
    needed = {**_FUNCTIONS, **(_OF_SCHEMA if section.schema_changes else {})}
    return replace(
        catalog,
        tables=_joined(catalog.tables, (log, *audit_tables.parts(months, own), *((seals,) if section.chain else ()))),
        sequences=_joined(catalog.sequences, (number,)),
        functions=_joined(catalog.functions, (_function(name, section, owner) for name in needed)),
        event_triggers=_joined(catalog.event_triggers, _event_triggers() if section.schema_changes else ()),
    )


def _joined(held: Iterable[Any], more: Iterable[Any]) -> tuple[Any, ...]:
    by_id = {i.id: i for i in held} | {i.id: i for i in more}
    return tuple(sorted(by_id.values(), key=lambda i: (getattr(i, "schema", ""), i.name)))


def _function(name: str, section: AuditSection, owner: str) -> Function:
    identity, returns, comment = {**_FUNCTIONS, **_OF_SCHEMA}[name]
    text = resources.files("pgcharter.policy").joinpath(f"{name}.sql").read_text(encoding="utf-8")
    return Function(
        SCHEMA, name, identity, returns=returns, definition=text, owner=section.owner, comment=comment,
        acl=(Grant(owner, "EXECUTE", grantor=owner),),
    )  # fmt: skip


def _event_triggers() -> tuple[EventTrigger, ...]:
    of = {"pgcharter_audit_change": ("ddl_command_end", "audit_schema_change"), "pgcharter_audit_drop": ("sql_drop", "audit_schema_drop")}
    return tuple(EventTrigger(n, event, ObjectId("function", SCHEMA, f"{f}()"), enabled="always") for n, (event, f) in of.items())


def _with_triggers(table: Table, head: Table, section: AuditSection) -> Table:
    """A table whose rows are recorded under the name of `head`: a partition has the trigger for rows from there."""
    arguments = _arguments(head, section)
    called = ", ".join(map(literal, arguments))

    def trigger(name: str, function: str, events: tuple[str, ...], level: str) -> Trigger:
        timing = "BEFORE" if level == "statement" else "AFTER"
        text = (
            f"CREATE TRIGGER {quote(name)} {timing} {' OR '.join(events).upper()} ON {table.id.sql()} FOR EACH {level.upper()}"
            f" EXECUTE FUNCTION {SCHEMA}.{function}({called})"
        )
        return Trigger(
            name, ObjectId("function", SCHEMA, f"{function}()"), timing.lower(), events, level, arguments=arguments, enabled="always",
            parent=level == "row" and table.id != head.id, definition=text,
        )  # fmt: skip

    ours = (
        trigger(ROWS, "audit_row_whole" if _whole(head, arguments) else "audit_row", ("insert", "update", "delete"), "row"),
        trigger(TRUNCATION, "audit_truncate", ("truncate",), "statement"),
    )
    return replace(table, triggers=tuple(sorted({t.name: t for t in (*table.triggers, *ours)}.values(), key=lambda t: t.name)))


def _arguments(table: Table, section: AuditSection) -> tuple[str, ...]:
    """What the functions are told: see `audit_row.sql`. Virtual columns have no value where triggers run, so they are left out."""
    key = table.primary_key.columns if table.primary_key else ()
    names = {c.name: f"{table.schema}.{table.name}.{c.name}" for c in table.columns}
    out = [c.name for c in table.columns if c.generated == "virtual" or fits(section.left_out, names[c.name])]
    masked = [n for n, full in names.items() if fits(section.masked, full) and n not in out]
    arrays = map(_array, (key, out, masked))
    alone = key if len(key) == 1 else ()
    return (table.schema, table.name, *arrays, section.content, str(section.unchanged).lower(), *alone)


def _whole(table: Table, arguments: tuple[str, ...]) -> bool:
    """Whether the quick function does for a table: nothing hidden, a key of one column, and types that JSON shows alike in all sessions."""
    _, _, _, out, masked, content, unchanged, *alone = arguments
    steady = all(c.type.kind == "enum" or c.type.basic in _STEADY for c in table.columns)
    return bool(alone) and steady and (out, masked, content, unchanged) == ("{}", "{}", "full", "false")


def _array(names: Iterable[str]) -> str:
    """Names as PostgreSQL reads an array of text."""
    return "{" + ",".join('"' + n.replace("\\", "\\\\").replace('"', '\\"') + '"' for n in names) + "}"


def _view(table: Table, section: AuditSection, owner: str, major: int) -> View:
    columns = ", ".join(f"l.{c}" for c in COLUMNS if c not in ("month", "table_schema", "table_name"))
    where = f"l.table_schema = {literal(table.schema)} AND l.table_name = {literal(table.name)}"
    types = {c.name: c.type for c in audit_tables.log("", None).columns}
    shown = [c for c in COLUMNS if c not in ("month", "table_schema", "table_name")]
    return View(
        SCHEMA, view_name(table.id), columns=tuple(Column(c, i, types[c]) for i, c in enumerate(shown, 1)),
        definition=f"SELECT {columns} FROM {LOG.sql()} l WHERE {where};", security_invoker=True, owner=section.owner,
        acl=closed("table", owner, [(r, "SELECT") for r in section.readers], major), comment=f"History of {table.schema}.{table.name}",
    )  # fmt: skip


def _readable(catalog: Catalog, role: str, recorded: Iterable[ObjectId]) -> Catalog:
    """With what the audit owner needs to see the rows that TRUNCATE takes: reading the recorded tables, in their schemas."""
    tables, major = set(recorded), catalog.major
    schemas = {i.schema for i in tables}
    return replace(
        catalog,
        tables=tuple(granted(t, "table", role, ("SELECT",), major) if t.id in tables else t for t in catalog.tables),
        schemas=tuple(granted(s, "schema", role, ("USAGE",), major) if s.name in schemas else s for s in catalog.schemas),
    )


def _with_home(catalog: Catalog, section: AuditSection) -> Catalog:
    """With our schema open to whoever reads, seals or owns the trail."""

    def home(schema: Schema) -> Schema:
        schema = replace(schema, owner=schema.owner or catalog.database.owner)
        for role in dict.fromkeys((*section.readers, section.sealer, section.owner)):
            schema = granted(schema, "schema", role, ("USAGE",), catalog.major)
        return granted(schema, "schema", section.owner, ("CREATE",), catalog.major)

    return replace(catalog, schemas=tuple(home(s) if s.name == SCHEMA else s for s in catalog.schemas))


def _cluster(cluster: Cluster, section: AuditSection, heads: Iterable[Table]) -> Cluster:
    """With the audit owner, whom nobody logs in as; where row security holds it must see past it, or TRUNCATE would be refused."""
    if not section.owner:
        return cluster
    role = cluster.role.get(section.owner, Role(section.owner))
    role = replace(role, login=False, bypass_row_security=role.bypass_row_security or any(t.row_security for t in heads))
    return replace(cluster, roles=tuple(sorted((*(r for r in cluster.roles if r.name != role.name), role), key=lambda r: r.name)))

"""Sync: the publication of copied tables, and the tables in which copying keeps what it has reached and what it has corrected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from pgcharter.catalog.model import Catalog, Publication, Table
from pgcharter.names import ObjectId, quote
from pgcharter.policy import sync_captures
from pgcharter.policy.compose import SCHEMA
from pgcharter.policy.model import Policy, State
from pgcharter.policy.own import check, columns, index, joined, opened, primary
from pgcharter.policy.rights import closed, granted
from pgcharter.policy.sync_settings import SECTION, SyncSection

SINKS = ObjectId("table", SCHEMA, "sync_sinks")
SNAPSHOTS = ObjectId("table", SCHEMA, "sync_snapshots")
CORRECTIONS = ObjectId("table", SCHEMA, "sync_corrections")
_TIME = "timestamp with time zone"
_SINKS = {
    "slot": ("text", "", ""),
    "sink": ("text", "", ""),
    "wanted": ("text", "'running'::text", "what a person wants: running or paused"),
    "state": ("text", "'new'::text", "what it is: new, running, paused, down, refused or lost"),
    "reason": ("text", "''::text", "why"),
    "lsn": ("pg_lsn", "'0/0'::pg_lsn", "commit of the last transaction that is durable there"),
    "ordinal": ("bigint", "0", "last change of it that is; 0: all before it"),
    "reached": ("pg_lsn", "'0/0'::pg_lsn", "up to here nothing is on its way to it any more, whether it keeps that or not"),
    "rows": ("bigint", "0", "rows written since it was begun"),
    "spilling": ("boolean", "false", "changes are in its file, which the slot has let go of"),
    "spilled": ("bigint", "0", "bytes in its file"),
    "behind": ("double precision", "0", "seconds since the oldest change was committed that is not there yet"),
    "updated_at": (_TIME, "now()", "when a worker said so"),
}
_SNAPSHOTS = {
    "slot": ("text", "", ""),
    "sink": ("text", "", ""),
    "source": ("text", "", "table, as SQL"),
    "state": ("text", "'waiting'::text", "waiting, copying or done"),
    "after": ("text[]?", "", "key of the last row that is there"),
    "rows": ("bigint", "0", "rows that are there"),
    "total": ("bigint", "0", "rows of the table, as PostgreSQL estimates"),
    "began": ("pg_lsn", "'0/0'::pg_lsn", "position at which it began: rows with older stamps go at its end"),
    "updated_at": (_TIME, "now()", ""),
}
_CORRECTIONS = {
    "id": ("uuid", "gen_random_uuid()", ""),
    "run": ("uuid", "", "one comparison"),
    "slot": ("text", "", ""),
    "sink": ("text", "", ""),
    "mapping": ("text", "", "table and what it is called there"),
    "key": ("jsonb", "", ""),
    "differed": ("jsonb", "", "field by field: what the source has and what the copy had; of secrets only that they differ"),
    "done": ("text", "", "written, deleted, or reported when nothing was done"),
    "at": (_TIME, "now()", ""),
}


def policy(section: SyncSection) -> Policy:
    """The policy of a `[sync]` section."""
    return Policy(SECTION.name, lambda state: _apply(state, section))


def _apply(state: State, section: SyncSection) -> State:
    catalog = state.catalog
    copied = list(mapped(section, catalog))
    tables = joined(catalog.tables, *_own(section, catalog))
    publications = catalog.publications if not copied else _with(catalog.publications, _publication(section, copied))
    made = replace(catalog, tables=tables, publications=publications)
    if section.capture == "triggers":
        made = sync_captures.objects(replace(made, tables=sync_captures.captured(tables, copied, section)), section)
    made = opened(made, filter(None, (section.role,)))
    for question in _questions(section, copied):
        state = state.asking(question)
    return replace(state, catalog=_readable(made, section, copied))


def mapped(section: SyncSection, catalog: Catalog) -> Iterator[Table]:
    """The tables that are copied by replication, and those looked into; the charter names them as schema.table or as SQL."""
    named = {m.table for m in section.mapping if not m.delta}
    named |= {look.table for m in section.mapping if not m.delta for look in m.lookup}
    for table in catalog.tables:
        if table.kind in ("table", "partitioned table") and not {f"{table.schema}.{table.name}", table.id.sql()}.isdisjoint(named):
            yield table


def _publication(section: SyncSection, copied: Iterable[Table]) -> Publication:
    return Publication(
        section.publication,
        tables=tuple(sorted(t.id.sql() for t in copied)),
        via_root=True,
        comment="Tables of which pgcharter keeps copies",
    )


def _with(held: tuple[Publication, ...], one: Publication) -> tuple[Publication, ...]:
    return tuple(sorted((*(p for p in held if p.name != one.name), one), key=lambda p: p.name))


def _own(section: SyncSection, catalog: Catalog) -> Iterator[Table]:
    states = ", ".join(f"'{s}'::text" for s in ("new", "running", "paused", "down", "refused", "lost"))
    checks = {
        SINKS: ("state", f"state = ANY (ARRAY[{states}])"),
        SNAPSHOTS: ("state", "state = ANY (ARRAY['waiting'::text, 'copying'::text, 'done'::text])"),
        CORRECTIONS: ("done", "done = ANY (ARRAY['written'::text, 'deleted'::text, 'reported'::text])"),
    }
    comments = {
        SINKS: "How far each store is to which tables are copied",
        SNAPSHOTS: "How far the seeding of copies is, by store and table",
        CORRECTIONS: "What comparing copies with their source has found",
    }
    keys = {SINKS: ("slot", "sink"), SNAPSHOTS: ("slot", "sink", "source"), CORRECTIONS: ("id",)}
    rights = [(section.role, p) for p in ("SELECT", "INSERT", "UPDATE", "DELETE") if section.role]
    for at, made in ((SINKS, columns(_SINKS)), (SNAPSHOTS, columns(_SNAPSHOTS)), (CORRECTIONS, columns(_CORRECTIONS))):
        on, expression = checks[at]
        yield Table(
            SCHEMA, at.name, columns=made,
            constraints=(check(f"{at.name}_{on}_check", expression, on), primary(f"{at.name}_pkey", keys[at])),
            indexes=(index(at, f"{at.name}_pkey", keys[at], unique=True),),
            options=("fillfactor=50",) if at == SINKS else (),
            acl=closed("table", catalog.database.owner, rights, catalog.major), comment=comments[at],
        )  # fmt: skip


def _readable(catalog: Catalog, section: SyncSection, copied: list[Table]) -> Catalog:
    """With what the role reads when copies are seeded."""
    if not section.role:
        return catalog
    ids, schemas = {t.id for t in copied}, {t.schema for t in copied}
    tables = tuple(granted(t, "table", section.role, ("SELECT",), catalog.major) if t.id in ids else t for t in catalog.tables)
    homes = tuple(granted(s, "schema", section.role, ("USAGE",), catalog.major) if s.name in schemas else s for s in catalog.schemas)
    return replace(catalog, tables=tables, schemas=homes)


def _questions(section: SyncSection, copied: list[Table]) -> Iterator[str]:
    names = {f"{t.schema}.{t.name}" for t in copied} | {t.id.sql() for t in copied}
    for mapping in section.mapping:
        for name in (mapping.table, *(look.table for look in mapping.lookup)):
            if not mapping.delta and name not in names:
                yield f"[sync] names table {name}, which is not there, so nothing of it would be copied: write schema.table, or take it out"
    for table in copied:
        yield from _identity(table)
        if table.unlogged:
            remedy = f"ALTER TABLE {table.id.sql()} SET LOGGED"
            yield f"table {table.id.sql()} is unlogged, so its changes are in no log that could be copied: {remedy}"
    known = {s.name for s in section.sink}
    for mapping in section.mapping:
        if mapping.sink not in known:
            yield f'[sync] maps {mapping.table} to sink "{mapping.sink}", which no [[sync.sink]] declares: declare it, or name another'


def _identity(table: Table) -> Iterator[str]:
    """A question about a table whose updates and deletes could not be told apart, which PostgreSQL refuses from then on."""
    key = table.primary_key
    if table.replica_identity in ("full", "index") or (table.replica_identity == "default" and key is not None and not key.deferrable):
        return
    late = {c.index for c in table.constraints if c.deferrable}
    usable = next((i.name for i in table.indexes if _tells(table, i.name, late)), "")
    how = f"USING INDEX {quote(usable)}" if usable else "FULL"
    yield (
        f"table {table.id.sql()} has no replica identity, so its updates and deletes would be refused from the moment it is published:"
        f" ALTER TABLE {table.id.sql()} REPLICA IDENTITY {how}"
        + ("" if usable else "; a primary key is better, since FULL sends the whole old row with each change")
    )


def _tells(table: Table, name: str, late: set[str]) -> bool:
    found = next(i for i in table.indexes if i.name == name)
    plain = found.unique and found.valid and not found.predicate and len(found.columns) == len(found.keys) and name not in late
    return plain and bool(found.columns) and all(table.column[c].not_null for c in found.columns)

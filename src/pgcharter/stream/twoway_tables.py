"""Tables made at the following side as they are at the deciding one: those that are copied, where that is wanted, and our own."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from pgcharter.catalog.model import Catalog, Table
from pgcharter.db import Connection
from pgcharter.errors import RefusedError
from pgcharter.names import ObjectId
from pgcharter.plan import planner
from pgcharter.plan.safe_ground import Plain
from pgcharter.sources.live import read_catalog

OWN = ("pgcharter.sync_sinks", "pgcharter.sync_snapshots", "pgcharter.sync_corrections")


def statements(here: Connection, there: Connection, tables: Sequence[str]) -> tuple[str, ...]:
    """What makes tables `there` as they are `here`, and our own; of those that are there already nothing.

    Without triggers, foreign keys, row policies and privileges, which belong to a side. Old rows are sent whole. Raises RefusedError for
    what cannot be made.
    """
    ours, theirs = read_catalog(here), read_catalog(there)
    a, b = _bare(theirs), _wanted(ours, theirs, {*tables, *OWN}, set(tables))
    planned = planner.plan(a, b, style=Plain())
    if planned.questions:
        raise RefusedError(f"the follower's tables cannot be made: {planned.questions[0]}", hint="make them there by hand")
    return tuple(step.sql for step in planned.steps)


def _bare(catalog: Catalog) -> Catalog:
    return Catalog(catalog.server_version, catalog.database, extensions=catalog.extensions)


def _wanted(ours: Catalog, theirs: Catalog, names: Collection[str], full: Collection[str]) -> Catalog:
    chosen = {t.id for t in ours.tables if _named(t, names)}
    while more := {t.id for t in ours.tables if t.partition_of in chosen} - chosen:
        chosen |= more
    there = {t.id for t in theirs.tables}
    tables = tuple(_own(t, full) for t in ours.tables if t.id in chosen - there)
    homes = {t.schema for t in tables}
    known = {o.id for group in (theirs.types, theirs.sequences) for o in group}
    return replace(
        _bare(theirs),
        schemas=tuple(replace(s, owner="", acl=None) for s in ours.schemas if s.name in homes - {t.name for t in theirs.schemas}),
        tables=tables,
        types=tuple(replace(t, owner="", acl=None) for t in ours.types if t.schema in homes and t.id not in known),
        sequences=tuple(replace(s, owner="", acl=None) for s in ours.sequences if _of(s.owned_by, tables) and s.id not in known),
    )


def _named(table: Table, names: Collection[str]) -> bool:
    return not {f"{table.schema}.{table.name}", table.id.sql()}.isdisjoint(names)


def _of(owner: ObjectId | None, tables: Sequence[Table]) -> bool:
    return owner is not None and any((owner.schema, owner.name) == (t.schema, t.name) for t in tables)


def _own(table: Table, full: Collection[str]) -> Table:
    """A table without what belongs to a side."""
    return replace(
        table, triggers=(), policies=(), rules=(), row_security=False, force_row_security=False, owner="", acl=None,
        constraints=tuple(c for c in table.constraints if c.kind != "foreign key"),
        replica_identity="full" if _named(table, full) else table.replica_identity, tablespace="",
    )  # fmt: skip

"""Policies one after another, and the record of what they made as a table of the schema itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from itertools import chain

from pgcharter.catalog.model import Catalog, Column, Constraint, DataType, Schema, Table
from pgcharter.names import ObjectId, literal
from pgcharter.policy.marks import made, made_of_server
from pgcharter.policy.model import Mark, Policy, State

SCHEMA = "pgcharter"
RECORD = ObjectId("table", SCHEMA, "managed_objects")
"""Where it is written down which objects are whose: `managed_objects` in our schema."""


@dataclass(frozen=True)
class Composed:
    """What policies want together."""

    state: State
    marks: tuple[Mark, ...]
    """All that they made. Of two policies that want the same thing the first one made it."""


def compose(state: State, policies: Iterable[Policy]) -> Composed:
    """Apply policies in order to a schema that holds nothing of theirs. With none the schema stays as it is, without a record."""
    marks: dict[tuple[ObjectId, str], Mark] = {}
    chosen = tuple(policies)
    if chosen:
        state = replace(state, catalog=_with_record(state.catalog))
    for policy in chosen:
        before = state
        state = policy.apply(state)
        found = (made(policy.name, before.catalog, state.catalog), made_of_server(policy.name, before.cluster, state.cluster))
        for mark in chain(*found):
            marks.setdefault((mark.object, mark.field), mark)
    return Composed(state, tuple(sorted(marks.values())))


def _with_record(catalog: Catalog) -> Catalog:
    schemas = (
        catalog.schemas if any(s.name == SCHEMA for s in catalog.schemas) else (*catalog.schemas, Schema(SCHEMA, comment=_SCHEMA_COMMENT))
    )
    tables = tuple(t for t in catalog.tables if t.id != RECORD)
    return replace(catalog, schemas=tuple(sorted(schemas, key=lambda s: s.name)), tables=(*tables, _record()))


_SCHEMA_COMMENT = "Records of pgcharter: what it has done to this database"
_COLUMNS = {
    "object_kind": "What it is, in PostgreSQL's words: table, column, policy, function",
    "schema_name": "Schema; empty for objects outside schemas",
    "object_name": "Name, for functions with argument types; for a part the relation it lives in",
    "part_name": "Name of the column, constraint, trigger, row policy or rule; empty for whole objects",
    "field_name": "What was changed of an object that was there before; empty when the object itself was made",
    "policy_name": "The policy that made it",
    "value_before": "JSON of the value before, which comes back when the policy is given up",
}


def _record() -> Table:
    text = DataType("text")
    columns = tuple(Column(n, i, text, not_null=True, default="''::text", comment=c) for i, (n, c) in enumerate(_COLUMNS.items(), 1))
    key = ("object_kind", "schema_name", "object_name", "part_name", "field_name")
    primary = Constraint("managed_objects_pkey", "primary key", key, f"PRIMARY KEY ({', '.join(key)})")
    return Table(SCHEMA, RECORD.name, columns=columns, constraints=(primary,), comment="What policies of pgcharter made in this database")


def recording(old: Collection[Mark], new: Collection[Mark]) -> tuple[str, ...]:
    """The statements that turn the record of `old` into that of `new`: what is gone first."""
    gone = sorted(set(old) - set(new))
    come = sorted(set(new) - set(old))
    statements = [f"DELETE FROM {RECORD.sql()} WHERE {' OR '.join(_same(m) for m in gone)}"] if gone else []
    if come:
        rows = ",\n  ".join(f"({', '.join(literal(value) for value in _row(m))})" for m in come)
        statements.append(f"INSERT INTO {RECORD.sql()} ({', '.join(_COLUMNS)}) VALUES\n  {rows}")
    return tuple(statements)


def _same(mark: Mark) -> str:
    return "(" + " AND ".join(f"{name} = {literal(value)}" for name, value in zip(_COLUMNS, _row(mark)[:5], strict=False)) + ")"


def _row(mark: Mark) -> tuple[str, ...]:
    at = mark.object
    return at.kind, at.schema, at.name, at.part, mark.field, mark.policy, mark.before

"""Policies one after another, and the record of what they made, which a plan keeps as it runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from itertools import chain

from pgcharter.catalog.model import Catalog, Schema
from pgcharter.names import ObjectId, literal
from pgcharter.policy.marks import made, made_of_database, made_of_server
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
    """Apply policies in order to a schema that holds nothing of theirs. With none the schema stays as it is."""
    marks: dict[tuple[ObjectId, str], Mark] = {}
    chosen = tuple(policies)
    if chosen:
        state = replace(state, catalog=_with_home(state.catalog))
    for policy in chosen:
        before = state
        state = policy.apply(state)
        found = (
            made(policy.name, before.catalog, state.catalog),
            made_of_server(policy.name, before.cluster, state.cluster),
            made_of_database(policy.name, before.database, state.database),
        )
        for mark in chain(*found):
            marks.setdefault((mark.object, mark.field), mark)
    return Composed(state, tuple(sorted(marks.values())))


def _with_home(catalog: Catalog) -> Catalog:
    """With our own schema, where policies put what belongs to no schema of the project's."""
    if any(s.name == SCHEMA for s in catalog.schemas):
        return catalog
    return replace(catalog, schemas=tuple(sorted((*catalog.schemas, Schema(SCHEMA)), key=lambda s: s.name)))


_COLUMNS = ("object_kind", "schema_name", "object_name", "part_name", "field_name", "policy_name", "value_before")
_KEY = _COLUMNS[:5]


def recording(old: Collection[Mark], new: Collection[Mark]) -> tuple[str, ...]:
    """The statements that turn the record of `old` into that of `new`: what is gone first.

    What one policy made stays recorded as its own where another one wants the same now.
    """
    held, wanted = ({(m.object, m.field, m.before): m for m in side} for side in (old, new))
    gone = sorted(m for at, m in held.items() if at not in wanted)
    come = sorted(m for at, m in wanted.items() if at not in held)
    statements = [f"DELETE FROM {RECORD.sql()} WHERE {' OR '.join(_same(m) for m in gone)}"] if gone else []
    if come:
        rows = ",\n  ".join(f"({', '.join(literal(value) for value in _row(m))})" for m in come)
        statements.append(f"INSERT INTO {RECORD.sql()} ({', '.join(_COLUMNS)}) VALUES\n  {rows}")
    return (*(_made() if new and not old else ()), *statements)


def _made() -> tuple[str, ...]:
    columns = ", ".join(f"{name} text NOT NULL" for name in _COLUMNS)
    comment = (
        "What policies of pgcharter made in this database: objects by kind, schema, name and part; with a field name, what they changed of"
        " an object that was there, and as JSON the value before"
    )
    return (
        f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}",
        f"CREATE TABLE IF NOT EXISTS {RECORD.sql()} ({columns}, PRIMARY KEY ({', '.join(_KEY)}))",
        f"COMMENT ON TABLE {RECORD.sql()} IS {literal(comment)}",
    )


def _same(mark: Mark) -> str:
    return "(" + " AND ".join(f"{name} = {literal(value)}" for name, value in zip(_KEY, _row(mark), strict=False)) + ")"


def _row(mark: Mark) -> tuple[str, ...]:
    at = mark.object
    return at.kind, at.schema, at.name, at.part, mark.field, mark.policy, mark.before

"""What `[audit]` leaves open, or names and is not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pgcharter.catalog.model import Table
from pgcharter.names import ObjectId, quote
from pgcharter.policy.audit_settings import AuditSection, fits
from pgcharter.policy.model import State


def asked(state: State, section: AuditSection, heads: Mapping[ObjectId, Table]) -> State:
    """The state with questions and notes. `heads` are the recorded tables, each with the one under whose name that happens."""
    tables = list({t.id: t for t in heads.values()}.values())
    for question in (*_tables(state, section), *_columns(state, section, tables), *_owner(state, section)):
        state = state.asking(question)
    if found := told(state, heads):
        state = state.noting(
            f"{', '.join(sorted(found))}: left out of what is recorded, since they tell of encrypted values, even when the key is"
            " destroyed; what was recorded of them before stays until its month is retired"
        )
    if section.schema_changes:
        state = state.noting(
            "only a superuser can make event triggers, which [audit] schema_changes needs; without one leave it out: "
            "what migrations change is in pgcharter's ledger all the same (pgcharter migrate status)"
        )
    return state


def told(state: State, heads: Mapping[ObjectId, Table]) -> frozenset[str]:
    """Columns of recorded tables that tell of encrypted values without their key; those of a key stay, or rows could not be told apart."""
    tables = {t.id: t for t in heads.values()}.values()
    keys = {f"{t.schema}.{t.name}.{c}" for t in tables if t.primary_key for c in t.primary_key.columns}
    return state.telling.intersection(f"{t.schema}.{t.name}.{c.name}" for t in tables for c in t.columns) - keys


def _tables(state: State, section: AuditSection) -> Iterator[str]:
    names = [f"{t.schema}.{t.name}" for t in state.catalog.tables if t.kind != "foreign table" and not t.extension]
    for pattern in section.tables:
        if not any(fits((pattern,), n) for n in names) and not _of_tenants(state, pattern):
            yield f'[audit] tables = "{pattern}" fits no table, so nothing would be recorded for it: write schema.name, or take it out'


def _of_tenants(state: State, pattern: str) -> bool:
    """Whether a pattern is about schemas of tenants, of which there may be none yet."""
    return state.of_tenant(pattern.partition(".")[0].replace("*", "x"))


def _columns(state: State, section: AuditSection, tables: list[Table]) -> Iterator[str]:
    for word, patterns in (("left_out", section.left_out), ("masked", section.masked)):
        for pattern in patterns:
            found = [(t, c.name) for t in tables for c in t.columns if fits((pattern,), f"{t.schema}.{t.name}.{c.name}")]
            if not found and not _of_tenants(state, pattern):
                yield f'[audit] {word} = "{pattern}" fits no column of a recorded table, so it would hide nothing: name one, or take it out'
            for table, column in found:
                if table.primary_key and column in table.primary_key.columns:
                    yield (
                        f"[audit] {word} names column {quote(column)} of {table.id}, a part of its key: rows could not be told"
                        " apart; name other columns"
                    )


def _owner(state: State, section: AuditSection) -> Iterator[str]:
    role = state.cluster.role.get(section.owner)
    if role and (role.login or role.superuser):
        what = "a superuser" if role.superuser else "a role that logs in"
        yield (
            f"[audit] owner {quote(role.name)} is {what}, who could take the guards of the trail away: name a role of its own;"
            " it is made where it is missing"
        )

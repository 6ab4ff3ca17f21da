"""The attacks that ask by writing: what keys, constraints, triggers and checks tell; and rows for a tenant that is always the same."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from pgcharter.catalog.model import Table
from pgcharter.names import literal, quote
from pgcharter.probe.attacks import CONTEXT, Attack
from pgcharter.probe.ground import NEW, THEIRS, Ground, May, guessable, natural

ECHO = "values of others"
"""An attack that foreign keys answer as well; they have attacks of their own."""


def on_table(table: Table, ground: Ground, may: May) -> Iterator[Attack]:
    """What keys, triggers and checks tell of rows that cannot be seen, and whether a tenant that is always the same can be given rows."""
    allowed = may.of(table.id, "INSERT") or frozenset(table.column)
    if table.id not in ground.rows.columns:
        return
    tenants = ground.tenant_columns(table)
    above = {key for at in _above(table, ground) for key in at.unique_keys}
    for key in (k for k in table.unique_keys if k not in above):
        if not {*key} & tenants and {*key} <= allowed and natural(table, key, ground.guards):
            names, row = ground.values(
                table, NEW, allowed, {c: ground.text(table.id, THEIRS, c) for c in key if c not in ground.owned(table)}
            )
            text = f"INSERT INTO {table.id.sql()} ({names}) OVERRIDING SYSTEM VALUE VALUES ({row})"
            numbers = all(table.column[c].type.basic in ("int2", "int4", "int8") for c in key)
            yield Attack(table.id, "unique key", text, "same", "not told what others have", part=", ".join(map(quote, key)), weak=numbers)
    for fk in table.foreign_keys:
        parent = ground.catalog.table.get(fk.references) if fk.references else None
        if (
            parent is None
            or parent.id not in ground.guards.tables
            or {*fk.columns} & tenants
            or not {*fk.columns} <= allowed
            or fk.inherited
        ):
            continue
        names, row = ground.values(table, NEW, allowed, {c: ground.text(table.id, THEIRS, c) for c in fk.columns})
        text = f"INSERT INTO {table.id.sql()} ({names}) OVERRIDING SYSTEM VALUE VALUES ({row})"
        yield Attack(table.id, "foreign key", text, "same", "refused: the row referred to is another tenant's",
                     weak=not guessable(fk, parent), part=fk.name)  # fmt: skip
    yield from _echoed(table, ground, allowed)
    yield from _fixed(table, ground, allowed)


def _above(table: Table, ground: Ground) -> Iterator[Table]:
    """The partitioned tables that a table is a part of: their keys are its own."""
    above = ground.catalog.table.get(table.partition_of) if table.partition_of else None
    if above is not None:
        yield above
        yield from _above(above, ground)


def _echoed(table: Table, ground: Ground, allowed: Collection[str]) -> Iterator[Attack]:
    """An own row with the values of another's, but for what says whose it is and what nobody can guess.

    Partial and expression indexes, exclusion constraints, triggers and checks that look at all rows tell by their answer.
    """
    tenants = ground.tenant_columns(table)
    whole = {c for key in table.unique_keys if not {*key} & tenants for c in key}
    kept = {*whole, *ground.owned(table), *(c.name for c in table.columns if c.type.basic in ("uuid", "bytea") or c.identity)}
    echoed = {c: ground.text(table.id, THEIRS, c) for c in ground.rows.columns[table.id] if c not in kept and c in allowed}
    if echoed:
        names, row = ground.values(table, NEW, allowed, echoed)
        text = f"INSERT INTO {table.id.sql()} ({names}) OVERRIDING SYSTEM VALUE VALUES ({row})"
        yield Attack(table.id, ECHO, text, "same", "not told what others have")


def _fixed(table: Table, ground: Ground, allowed: Collection[str]) -> Iterator[Attack]:
    """Rows for tenants whose names stand in policies, functions and defaults."""
    columns = sorted(ground.tenant_columns(table) & {*allowed})
    if not columns:
        return
    for value in ground.fixed(table.column[columns[0]].type):
        names, row = ground.values(table, NEW, allowed, dict.fromkeys(columns, literal(value)))
        text = f"INSERT INTO {table.id.sql()} ({names}) OVERRIDING SYSTEM VALUE VALUES ({row})"
        for context in ground.contexts:
            mine = context == CONTEXT and value in {ground.rows.value(table.id, n, columns[0]) for n in (NEW, NEW + 1)}
            if not mine:
                yield Attack(table.id, "INSERT for a fixed tenant", text, "refused", "refused: the row is not of the own tenant", context)

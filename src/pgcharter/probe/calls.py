"""Calls of functions with values that reach for rows of the other tenant: by names of arguments, by types, in JSON and in whole rows."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pgcharter.catalog.model import Argument, Function, Table
from pgcharter.migrate.values import values
from pgcharter.names import ObjectId, literal
from pgcharter.probe.ground import MINE, THEIRS, Ground

_TEXTS = ("text", "varchar", "bpchar", "citext", "name")
_UNTOLD = ("out", "table")


def calls(function: Function, ground: Ground) -> Iterator[str]:
    """Calls to try: with values of the other tenant, with its name for every text, with own ones, with none at all."""
    tried: dict[str, None] = {}
    for number, whose in ((THEIRS, ""), (THEIRS, "tenant"), (MINE, ""), (0, "")):
        made = call(function, ground, number, texts=_tenant(ground, number) if whose else "")
        if made:
            tried[made] = None
    yield from tried


def call(function: Function, ground: Ground, number: int, *, texts: str = "") -> str:
    """A call with what row `number` holds (0: with NULL), `texts` for texts of which nothing else is known; empty where no value is."""
    told: list[str] = []
    for argument in (a for a in function.arguments if a.mode not in _UNTOLD):
        value = value_of(argument, function, ground, number, texts) if number else "NULL"
        if not value:
            return ""
        told.append(f"{'VARIADIC ' if argument.mode == 'variadic' else ''}({value})::{argument.type.sql}")
    name = ObjectId("table", function.schema, function.name).sql()
    return f"{'CALL' if function.kind == 'procedure' else 'SELECT * FROM'} {name}({', '.join(told)})"


def value_of(argument: Argument, function: Function, ground: Ground, number: int, texts: str = "") -> str:
    """An expression for one argument; empty where no value is known."""
    kind = argument.type
    row = ground.catalog.table.get(ObjectId("table", kind.schema, kind.name)) if kind.kind == "composite" and not kind.array else None
    if row is not None:
        return f"SELECT r FROM jsonb_populate_record(NULL::{kind.sql}, {literal(json.dumps(_row(row, ground, number)))}::jsonb) r"
    if kind.basic in ("json", "jsonb") and not kind.array:
        return literal(json.dumps(_everything(function, ground, number)))
    named = None if kind.array else _named(argument, function, ground, number)
    if named is not None:
        return literal(named)
    if texts and kind.basic in _TEXTS and not kind.array:
        return literal(texts)
    found = values(kind, ground.catalog, 0, 72)
    return found.make(f"({number - 1} % {found.capacity})") if found else ""


def _named(argument: Argument, function: Function, ground: Ground, number: int) -> str | None:
    """The value of a column that an argument is named after (p_email, _email, email_), first of tables in the body."""
    bare = argument.name.strip("_").lower()
    for name in dict.fromkeys((bare, bare.removeprefix("p_"), bare.removeprefix("in_"), bare.removeprefix("v_"))):
        for table in _tables(function, ground):
            column = table.column.get(name)
            if column is not None and (column.type.basic == argument.type.basic or argument.type.basic in _TEXTS):
                value = ground.rows.value(table.id, number, name)
                if value is not None:
                    return value
        if ground.guards.names.get(name) == "tenant" or name in ("tenant", "tenant_id"):
            return _tenant(ground, number) or None
    return None


def _tables(function: Function, ground: Ground) -> list[Table]:
    """Guarded tables, those that a body mentions first."""
    body = (function.body or function.definition).lower()
    return sorted((ground.catalog.table[t] for t in ground.guards.tables), key=lambda t: (t.name.lower() not in body, t.id))


def _tenant(ground: Ground, number: int) -> str:
    """The tenant of a row."""
    for of, column in ground.guards.settings.values():
        if ground.guards.kind(of, column) == "tenant":
            return ground.rows.value(of, number, column) or ""
    return ""


def _row(table: Table, ground: Ground, number: int) -> dict[str, str | None]:
    return {c: ground.rows.value(table.id, number, c) for c in ground.rows.columns.get(table.id, ())}


def _everything(function: Function, ground: Ground, number: int) -> dict[str, str | None]:
    """An object with the columns of all tables that a body mentions."""
    body = (function.body or function.definition).lower()
    told: dict[str, str | None] = {"tenant": _tenant(ground, number), "tenant_id": _tenant(ground, number)}
    for table in reversed([t for t in _tables(function, ground) if t.name.lower() in body]):
        told |= _row(table, ground, number)
    return told

"""The attack by functions that are declared leakproof: PostgreSQL may show them rows before it asks row policies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from pgcharter.catalog.model import Catalog, Function, Table
from pgcharter.names import ObjectId, literal, quote
from pgcharter.probe.attacks import Attack
from pgcharter.probe.calls import value_of
from pgcharter.probe.ground import MINE, Ground, May

_WORD = re.compile(r"\bLEAKPROOF\b")
_MOST = 2
"""Columns of a table that are tried with one function."""


def declared(catalog: Catalog) -> list[Function]:
    """The project's functions that are declared so."""
    return [f for f in catalog.own_functions if f.leakproof and f.kind == "function"]


def without(catalog: Catalog) -> Catalog:
    """The catalog with functions that whoever owns a database can make: only a superuser may declare one leakproof."""
    return replace(catalog, functions=tuple(_plain(f) if f.leakproof and not f.extension else f for f in catalog.functions))


def _plain(function: Function) -> Function:
    head, quoted, body = function.definition.partition("\nAS ")
    return replace(function, leakproof=False, definition=_WORD.sub("", head) + quoted + body)


def restore(catalog: Catalog) -> str:
    """Statements of a superuser that declare them so again."""
    return "".join(f"ALTER FUNCTION {f.id.sql()} LEAKPROOF;" for f in declared(catalog))


def on_functions(ground: Ground, may: May) -> Iterator[Attack]:
    """How often each function is called when a table is searched with it."""
    for function in declared(ground.catalog):
        if function.id not in ground.reviewed and function.arguments:
            for table in (ground.catalog.table[t] for t in sorted(ground.guards.tables)):
                yield from _searching(function, table, ground, may)


def _searching(function: Function, table: Table, ground: Ground, may: May) -> Iterator[Attack]:
    first, *rest = [a for a in function.arguments if a.mode not in ("out", "table")]
    readable = may.of(table.id, "SELECT")
    columns = [c.name for c in table.columns if c.name in readable and (c.type.basic, c.type.array) == (first.type.basic, first.type.array)]
    others = "".join(f", {value_of(a, function, ground, MINE) or 'NULL'}::{a.type.sql}" for a in rest)
    name = ObjectId("table", function.schema, function.name).sql()
    for column in columns[:_MOST]:
        text = f"SELECT count(*) FROM {table.id.sql()} WHERE {name}({quote(column)}::{first.type.sql}{others}) IS NOT NULL"
        calls = f"coalesce(pg_stat_get_xact_function_calls({literal(function.id.sql())}::regprocedure), 0)"
        before = f"SELECT set_config('pgcharter.calls', {calls}::text, true)"
        text = f"{before}; {text}; SELECT {calls} - current_setting('pgcharter.calls')::bigint"
        yield Attack(function.id, "leakproof", text, "same", "it is shown rows of the own tenant alone", part=table.id.sql())

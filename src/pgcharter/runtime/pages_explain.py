"""The statement of a `select()`'s first page as text and parameters for the driver, and its order in words, for `coverage`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column
from sqlalchemy.sql import visitors

from pgcharter.runtime.pages_after import Direction
from pgcharter.runtime.pages_select import DIALECT, Selected, optionless
from pgcharter.runtime.pages_unique import facts

Ordered = list[tuple[str, str, Direction]]


def asked(query: Any, tie: Sequence[Any]) -> tuple[str, Any, Ordered, list[str]]:
    """The statement, its parameters, its order, and columns of the order's table that have one value in all rows."""
    selected = Selected(query, tie)
    statement, _ = selected.statement(None, 21)
    sql, sent = written(statement)
    order = [(_table(k.expression), _text(k.expression), k.direction) for k in selected.keys]
    found = facts(optionless(query))
    owners = {hash(c.table) for k in selected.keys for c in _columns(k.expression)}
    fixed = sorted(column for table, column in found.fixed if table in owners)
    return sql, sent, order, fixed


def written(statement: Any) -> tuple[str, dict[str, Any]]:
    """A statement as text, and its parameters, as the driver takes them."""
    compiled = statement.compile(dialect=DIALECT, compile_kwargs={"render_postcompile": True})
    return str(compiled), {name: _sent(compiled, name, value) for name, value in compiled.params.items()}


def _sent(compiled: Any, name: str, value: Any) -> Any:
    of = compiled.binds.get(name)
    process = of.type.dialect_impl(DIALECT).bind_processor(DIALECT) if of is not None else None
    return process(value) if process else value


def _text(expression: Any) -> str:
    text = str(expression.compile(dialect=DIALECT, compile_kwargs={"include_table": False, "literal_binds": True}))
    text = text.replace("%%", "%")  # the driver's way to write one
    return text if isinstance(expression, Column) or text.endswith(")") else f"({text})"


def _columns(expression: Any) -> list[Any]:
    return [part for part in visitors.iterate(expression) if isinstance(part, Column)]


def _table(expression: Any) -> str:
    found = sorted({DIALECT.identifier_preparer.format_table(c.table) for c in _columns(expression) if hasattr(c.table, "schema")})
    return " ".join(found).replace("%%", "%")

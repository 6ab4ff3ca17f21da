"""Filters as conditions of SQLAlchemy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import ARRAY, JSON, ColumnElement, String, and_, false, literal, not_, or_, true
from sqlalchemy.dialects.postgresql import ARRAY as POSTGRES_ARRAY
from sqlalchemy.sql import operators
from sqlalchemy.types import TypeDecorator

from pgcharter.runtime.filters import Comparison, Where

_SIMPLE: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operators.eq, "ne": operators.ne, "lt": operators.lt, "le": operators.le, "gt": operators.gt, "ge": operators.ge,
    "in": lambda column, values: column.in_(values),
    "not_in": lambda column, values: column.not_in(values),
    "between": lambda column, bounds: and_(column >= bounds[0], column <= bounds[1]),
    "like": lambda column, pattern: column.like(pattern),
    "ilike": lambda column, pattern: column.ilike(pattern),
    "starts": lambda column, text: column.startswith(text, autoescape=True),
    "ends": lambda column, text: column.endswith(text, autoescape=True),
    "is_null": lambda column, wanted: column.is_(None) if wanted else column.is_not(None),
    "has_key": lambda column, key: column.has_key(key),
    "contained": lambda column, values: column.contained_by(values),
    "overlaps": lambda column, values: (column.overlap if isinstance(column.type, ARRAY) else column.overlaps)(values),
}  # fmt: skip


def condition(model: Any, where: Where) -> ColumnElement[bool]:
    """What a filter is in SQL."""
    if isinstance(where, Comparison):
        compared: ColumnElement[bool] = _through(model, where.field.split("."), where)
        return compared
    parts = [condition(model, part) for part in where.parts]
    if where.kind == "any":
        return or_(false(), *parts)
    return not_(and_(true(), *parts)) if where.kind == "not" else and_(true(), *parts)


def _through(model: Any, path: list[str], test: Comparison) -> Any:
    if len(path) == 1:
        return _compared(getattr(model, path[0]), test)
    attribute = getattr(model, path[0])
    inside = _through(attribute.property.mapper.class_, path[1:], test)
    return attribute.any(inside) if attribute.property.uselist else attribute.has(inside)


def _compared(column: Any, test: Comparison) -> Any:
    if isinstance(column.type, ARRAY):
        column = column if isinstance(column.type, POSTGRES_ARRAY) else column.cast(POSTGRES_ARRAY(column.type.item_type))
        if test.operator == "has":  # not = ANY, which no index serves
            return column.contains([test.value])
    if test.operator == "contains" and isinstance(test.value, str) and _is_text(column.type):
        return column.contains(test.value, autoescape=True)
    if isinstance(column.type, JSON) and test.operator == "contains":
        return column.contains(literal(test.value, column.type))
    if test.operator in ("contains", "has"):
        return column.contains(test.value)
    return _SIMPLE[test.operator](column, test.value)


def _is_text(type_: Any) -> bool:
    plain = type_.impl if isinstance(type_, TypeDecorator) else type_
    return isinstance(plain, String)

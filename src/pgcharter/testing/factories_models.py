"""What a model of SQLAlchemy says of its table, for rows made up: names of attributes, types of its own, which class a row is of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgcharter.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect


def mapper_of(model: object) -> Any:
    """The mapper of a model or of an object of one; None for anything else. SQLAlchemy is not imported for what is none of its own."""
    kind = model if isinstance(model, type) else type(model)
    if not hasattr(kind, "__mapper__"):
        return None
    from sqlalchemy import inspect

    return inspect(kind)


def table_of(model: type) -> str:
    """The name of a model's table, with its schema where it has one. Raises UsageError for what is no model."""
    mapper = mapper_of(model)
    if mapper is None:
        raise UsageError(f"{model!r} is neither the name of a table nor a model of SQLAlchemy")
    if mapper.inherits is not None and mapper.local_table is not mapper.inherits.local_table:
        raise UsageError(
            f"{model.__name__} is kept in several tables, which is not made up", hint="make the rows by their tables, or the object by hand"
        )
    return named(mapper.local_table)


def named(table: Any) -> str:
    """A table of SQLAlchemy's, with its schema where it has one."""
    return f"{table.schema}.{table.name}" if table.schema else str(table.name)


def columns(model: type, values: Mapping[str, Any], dialect: Dialect) -> dict[str, Any]:
    """Values by column: attributes by their names, in the form that the driver takes, and what tells the class of a row."""
    mapper = mapper_of(model)
    made: dict[str, Any] = {}
    if mapper.polymorphic_on is not None and mapper.polymorphic_identity is not None:
        made[mapper.polymorphic_on.name] = mapper.polymorphic_identity
    for name, value in values.items():
        attribute = mapper.column_attrs.get(name)
        column = attribute.columns[0] if attribute is not None else mapper.local_table.columns.get(name)
        if column is None or callable(value):
            made[column.name if column is not None else name] = value
            continue
        process = column.type.dialect_impl(dialect).bind_processor(dialect)
        made[column.name] = process(value) if process else value
    return made


def parent(value: object) -> tuple[str, Mapping[str, Any]] | None:
    """The table of an object of a model, and its values by column, as far as they are loaded."""
    mapper = mapper_of(value)
    if mapper is None:
        return None
    found = {
        c.name: value.__dict__.get(mapper.get_property_by_column(c).key) for c in mapper.local_table.columns if c in mapper.columns.values()
    }
    found |= {c.name: getattr(value, mapper.get_property_by_column(c).key) for c in mapper.primary_key}
    return named(mapper.local_table), found

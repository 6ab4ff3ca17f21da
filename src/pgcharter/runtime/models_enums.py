"""Enums as columns: a text with a named CHECK, or a type of PostgreSQL.

state: Mapped[State] = enum_column(State)
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from sqlalchemy import CheckConstraint, Column, Text, event
from sqlalchemy.dialects.postgresql import ENUM
from sqlalchemy.orm import MappedColumn, mapped_column
from sqlalchemy.types import TypeDecorator

from pgcharter.errors import PgcharterError, UsageError
from pgcharter.names import cut, literal, quote

if TYPE_CHECKING:
    from sqlalchemy import Table
    from sqlalchemy.engine import Dialect

E = TypeVar("E", bound=enum.Enum)


class UnknownValueError(PgcharterError):
    """The database holds a value that the application's enum does not have."""


class EnumText(TypeDecorator[E], Generic[E]):
    """A column type: members of an enum, by their values."""

    impl: Any = Text
    cache_ok = True

    def __init__(self, of: type[E], *, kind: Literal["check", "type"] = "check", name: str = "", schema: str | None = None) -> None:
        self.of, self.kind = of, kind
        self.values = tuple(_value(member) for member in of)
        self._known = {_value(member): member for member in of}
        super().__init__()
        if kind == "type":
            where: dict[str, Any] = {"schema": schema} if schema else {}
            self.impl = ENUM(*self.values, name=name or _snake(of.__name__), **where)

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        """A member, or its value. Raises UsageError for anything else."""
        if value is None:
            return None
        found = value.value if isinstance(value, self.of) else value
        if isinstance(value, enum.Enum) and not isinstance(value, self.of):
            raise UsageError(f"{value!r} is no {self.of.__name__}", hint=f"{self.of.__name__}.{next(iter(self.of)).name}")
        if found not in self._known:
            raise UsageError(f"{value!r} is no {self.of.__name__}", hint=f"one of {', '.join(self.values)}")
        return str(found)

    process_literal_param = process_bind_param  # type: ignore[assignment]

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:  # noqa: ARG002
        """The driver gives texts for both kinds; SQLAlchemy's own reading would fail at an unknown one first."""
        return lambda value: self.process_result_value(value, dialect)

    def process_result_value(self, value: Any, dialect: Dialect) -> E | None:  # noqa: ARG002
        """Raises UnknownValueError for a value that has come in since the application was written."""
        if value is None:
            return None
        if value not in self._known:
            raise UnknownValueError(
                f"the database holds {value!r}, which {self.of.__name__} does not have ({', '.join(self.values)})",
                hint=f"release an application that knows it, before rows have it: {str(value).upper()} = {value!r}",
            )
        return self._known[value]


def enum_column(
    of: type[E], *, kind: Literal["check", "type"] = "check", name: str = "", schema: str | None = None, **options: Any
) -> MappedColumn[E]:
    """A column of an enum: `state: Mapped[State] = enum_column(State)`.

    `check`: text with CHECK (state IN (…)), called `name` or chk_table_column. `type`: CREATE TYPE, called `name` or as the class, in
    `schema`. Raises UsageError for members whose values are no texts.
    """
    made: MappedColumn[E] = mapped_column(EnumText(of, kind=kind, name=name, schema=schema), **options)
    if kind == "check":
        event.listen(made.column, "after_parent_attach", lambda c, t: _checked(c, t, name), propagate=True)
    return made


def _checked(column: Column[Any], table: Table, name: str) -> None:
    kind: Any = column.type
    called = cut(name or f"chk_{table.name}_{column.name}")
    if called not in {c.name for c in table.constraints}:
        values = ", ".join(literal(value) for value in kind.values)
        table.append_constraint(CheckConstraint(f"{quote(column.name)} IN ({values})", name=called))


def _value(member: enum.Enum) -> str:
    if not isinstance(member.value, str) or not member.value:
        raise UsageError(f"{member!r} has no text for a value, and a column keeps texts", hint=f'{member.name} = "{member.name.lower()}"')
    return member.value


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() and n else c.lower() for n, c in enumerate(name))

"""The fields of a mapped class: its columns, and through relationships those of others; values of requests become the columns' own."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache, partial
from typing import Any

from sqlalchemy import ARRAY, JSON, Boolean, Date, DateTime, Integer, Interval, LargeBinary, Numeric, String, Time, Uuid, inspect
from sqlalchemy import Enum as EnumType
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql.ranges import AbstractRange
from sqlalchemy.orm import Mapper
from sqlalchemy.types import TypeDecorator

from pgcharter.errors import UsageError
from pgcharter.runtime.filters import MOST, OPERATORS, Field, Group, Kind, Reader

_ORDERED = (Integer, Numeric, DateTime, Date, Time, Interval, Uuid, LargeBinary)
_READ: dict[type, Callable[[str], Any]] = {
    int: int, float: float, Decimal: Decimal, uuid.UUID: uuid.UUID,
    datetime: datetime.fromisoformat, date: date.fromisoformat, time: time.fromisoformat,
}  # fmt: skip
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


class Filters:
    """What a request may ask of a mapped class: fields, and the operators of each."""

    def __init__(self, model: type, *, allow: Mapping[str, Sequence[str]] | Sequence[str], most: int = MOST) -> None:
        """`allow`: fields with their operators, or fields alone, which allows every operator of their kind.

        Raises UsageError for what the class has not.
        """
        fields = {name: _needed(model, name) for name in allow}
        given = allow if isinstance(allow, Mapping) else {name: OPERATORS[field.kind] for name, field in fields.items()}
        for name, words in given.items():
            unknown = set(words) - set(OPERATORS[fields[name].kind])
            if unknown:
                raise UsageError(f"{model.__name__}.{name} cannot be asked with {', '.join(sorted(unknown))}")
        self._reader = Reader(model.__name__, partial(found, model), partial(names, model), given, most)

    def read(self, given: Mapping[str, Any] | str | bytes) -> Group:
        """What a request asks for: a mapping, as JSON or not. Raises FilterError."""
        return self._reader.read(given)


@lru_cache(maxsize=256)
def reader(model: Any) -> Reader:
    """Reads filters of the application itself: all fields, all operators."""
    return Reader(model.__name__, partial(found, model), partial(names, model))


def _needed(model: type, name: str) -> Field:
    field = found(model, name)
    if field is None:
        raise UsageError(f"{model.__name__} has no field {name!r}; there are {', '.join(sorted(names(model)))}")
    return field


@lru_cache(maxsize=256)
def names(model: Any) -> tuple[str, ...]:
    """Its own fields."""
    mapper: Mapper[Any] = inspect(model)
    return tuple(attribute.key for attribute in mapper.column_attrs)


@lru_cache(maxsize=4096)
def found(model: type, path: str) -> Field | None:
    """The field by its name, or by a path through relationships: `customer.city`."""
    mapper: Mapper[Any] = inspect(model)
    *through, name = path.split(".")
    for step in through:
        relationship = mapper.relationships.get(step)
        if relationship is None:
            return None
        mapper = relationship.mapper
    attribute = mapper.column_attrs.get(name)
    return None if attribute is None else _field(path, attribute.columns[0].type)


def _field(name: str, type_: Any) -> Field:
    plain = type_.impl if isinstance(type_, TypeDecorator) else type_
    kind = _kind(plain)
    element = partial(_read, _python(plain.item_type)) if isinstance(plain, ARRAY) else _same
    if kind == "array":
        return Field(name, kind, lambda values: [element(v) for v in _list(values)], element)
    if kind in ("range", "json", "opaque"):
        return Field(name, kind, _same, element)
    wanted = _python(type_)
    aware = isinstance(plain, DateTime) and plain.timezone
    read = partial(_read, wanted)
    return Field(name, kind, (lambda value: _aware(read(value))) if aware else read, element)


def _kind(plain: Any) -> Kind:
    if isinstance(plain, ARRAY):
        return "array"
    if isinstance(plain, AbstractRange):
        return "range"
    if isinstance(plain, JSON):
        return "json" if isinstance(plain, JSONB) else "opaque"
    if isinstance(plain, Boolean | EnumType):
        return "plain"
    if isinstance(plain, String):
        return "text"
    return "ordered" if isinstance(plain, _ORDERED) else "opaque"


def _python(type_: Any) -> type | None:
    try:
        return type_.python_type  # type: ignore[no-any-return]
    except NotImplementedError:
        return None


def _read(wanted: type | None, value: Any) -> Any:
    """The value as the column has it: text of requests is read, what has another type is refused."""
    if wanted is None or type(value) is wanted:
        return value
    if isinstance(value, str) and wanted is bool and value.lower() in _TRUTH:
        return _TRUTH[value.lower()]
    if issubclass(wanted, Enum):
        return _member(wanted, value)
    if isinstance(value, str) and wanted in _READ:
        return _READ[wanted](value)
    if wanted in (float, Decimal) and isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return Decimal(str(value)) if wanted is Decimal else float(value)
    if wanted is timedelta and isinstance(value, int | float) and not isinstance(value, bool):
        return timedelta(seconds=value)
    if isinstance(value, wanted) and not isinstance(value, bool):
        return value
    raise TypeError(f"a {wanted.__name__} is wanted, and this is a {type(value).__name__}")


def _member(wanted: type[Enum], value: Any) -> Enum:
    for member in wanted:
        if value in (member.value, member.name):
            return member
    raise ValueError(f"{value!r} is none of {', '.join(str(member.value) for member in wanted)}")


def _aware(value: datetime) -> datetime:
    """A time without a zone, in a request, is one of UTC."""
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _list(values: Any) -> list[Any]:
    if isinstance(values, str):
        return values.split(",")
    if not isinstance(values, list | tuple | set | frozenset):
        raise TypeError(f"a list is wanted, and this is a {type(values).__name__}")
    return list(values)


def _same(value: Any) -> Any:
    return value

"""JSON documents: validated when they are written, tracked when they are changed in place, and asked in forms that an index can answer.

class Order(Base):
    data: Mapped[dict[str, Any]] = document({"type": "object", "required": ["lines"]})
    address: Mapped[Address] = document(Address)                                    # a model of pydantic

select(Order).where(path(Order.data, "address", "city") == "Graz")                  # path_index("idx_…", Order.data, "address", "city")
select(Order).where(holds(Order.data, {"address": {"city": "Graz"}}))               # holding_index("idx_…", Order.data)
select(Order).where(matches(Order.data, "$.lines[*] ? (@.sku == $sku)", sku="a"))   # the same index
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Boolean, ColumnElement, Index, Integer, Numeric, Text, bindparam, cast, type_coerce
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH
from sqlalchemy.orm import MappedColumn, mapped_column
from sqlalchemy.types import TypeDecorator

from pgcharter.errors import PgcharterError, UnavailableError, UsageError
from pgcharter.runtime.models_tracked import Tracked, plain

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

T = TypeVar("T")
Schema = Mapping[str, Any] | type
Check = Callable[[Any], Any]


class DocumentError(PgcharterError):
    """A document is not as its schema says."""


class Document(TypeDecorator[Any]):
    """A column type: jsonb, validated by a JSON Schema or a model of pydantic when it is written, and when it is read if that is wanted."""

    impl = JSONB
    cache_ok = False

    def __init__(self, schema: Schema | None = None, *, check_on_load: bool = False) -> None:
        super().__init__(none_as_null=True)
        self.schema, self.check_on_load = schema, check_on_load
        self._check: Check | None = None

    def _checked(self, value: Any) -> Any:
        if self._check is None:
            self._check = _checker(self.schema)
        return self._check(value)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        """Raises DocumentError."""
        if value is None:
            return None
        return _dumped(self._checked(plain(value)))

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        """A model of pydantic is always made of what is read. Raises DocumentError where that cannot be."""
        if value is None or not (self.check_on_load or isinstance(self.schema, type)):
            return value
        return self._checked(value)

    def coerce_compared_value(self, op: Any, value: Any) -> Any:
        """In comparisons a document is what it is: no schema holds for a part of it."""
        return JSONB().coerce_compared_value(op, value)


def document(schema: Schema | None = None, *, check_on_load: bool = False, **options: Any) -> MappedColumn[Any]:
    """A jsonb column. Dictionaries and lists may be changed in place, at any depth; a model of pydantic is assigned anew."""
    kind: Any = Document(schema, check_on_load=check_on_load)
    return mapped_column(kind if isinstance(schema, type) else Tracked.as_mutable(kind), **options)


def _checker(schema: Schema | None) -> Check:
    if schema is None:
        return lambda value: value
    if isinstance(schema, type):
        return lambda value: _modelled(schema, value)
    try:
        from jsonschema.validators import validator_for
    except ImportError:
        raise UnavailableError("jsonschema is not installed, and a document is to be validated by a JSON Schema",
                               hint="pip install jsonschema, or give a model of pydantic") from None  # fmt: skip
    kind: Any = validator_for(schema)
    kind.check_schema(schema)
    validator = kind(schema)

    def check(value: Any) -> Any:
        wrong = next(iter(validator.iter_errors(value)), None)
        if wrong is not None:
            raise DocumentError(f"the document is not as its schema says: {wrong.json_path} {_said(wrong)}")
        return value

    return check


def _said(wrong: Any) -> str:
    """What is wrong, without the value, which may be a secret."""
    return f"does not meet {wrong.validator} {json.dumps(wrong.validator_value, default=str)[:200]}"


def _modelled(model: Any, value: Any) -> Any:
    from pydantic import ValidationError

    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise DocumentError(f"the document is no {model.__name__}: {where}: {first['msg']}".replace(": :", ":")) from None


def _dumped(value: Any) -> Any:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


_TYPES: dict[type, Any] = {str: Text(), int: Integer(), float: Numeric(), bool: Boolean()}


def path(column: Any, *steps: str | int, as_: type[T] = str) -> ColumnElement[T]:  # type: ignore[assignment]
    """What stands at a path of a document, as text, or as int, bool or (exact, as Decimal) float; NULL where nothing does.

    The path is written into the statement: an index of the same expression is found by every plan. Raises UsageError for other types.
    """
    if as_ not in _TYPES or not steps:
        raise UsageError(
            f"a path of a document is read as {as_!r} by no steps" if not steps else f"a document holds no {as_!r}", hint="as_=int"
        )
    found: ColumnElement[Any] = type_coerce(column, JSONB).op("#>>")(_steps(steps))
    text: ColumnElement[Any] = type_coerce(found, Text)
    return text if as_ is str else cast(text, _TYPES[as_])


def _steps(steps: tuple[str | int, ...]) -> ColumnElement[Any]:
    """The path as a literal of the statement. (As a `literal_column` an index would take it for its column.)"""
    quoted = ",".join(json.dumps(str(step), ensure_ascii=False) for step in steps)
    return bindparam(None, f"{{{quoted}}}", Text(), literal_execute=True)


def holds(column: Any, part: Any) -> ColumnElement[bool]:
    """Whether a document holds a part (`@>`): its objects at least these members, its lists at least these elements."""
    found: ColumnElement[bool] = type_coerce(column, JSONB).op("@>", is_comparison=True, return_type=Boolean())(type_coerce(part, JSONB))
    return found


_VARIABLE = re.compile(r'"(?:[^"\\]|\\.)*"|\$([a-z_][a-z0-9_]*)')


def matches(column: Any, jsonpath: str, **variables: Any) -> ColumnElement[bool]:
    """Whether a path of JSON finds something in a document, by the operator `@?`, which an index can answer (the function cannot).

    `$name` stands for a variable, which becomes a literal of the path, quoted as JSON. Raises UsageError for one that is not given.
    """

    def put(match: re.Match[str]) -> str:
        if not match[1]:
            return match[0]
        if match[1] not in variables:
            raise UsageError(f"the path has a variable ${match[1]}, and none is given", hint=f"{match[1]}=…")
        if not isinstance(variables[match[1]], str | int | float | bool | None):
            raise UsageError(
                f"${match[1]} is a {type(variables[match[1]]).__name__}, and a path compares texts, numbers, true, false and null"
            )
        return json.dumps(variables[match[1]], allow_nan=False)

    said: ColumnElement[Any] = cast(_VARIABLE.sub(put, jsonpath), _JSONPATH)
    found: ColumnElement[bool] = type_coerce(column, JSONB).op("@?", is_comparison=True, return_type=Boolean())(said)
    return found


_JSONPATH = JSONPATH()


def path_index(name: str, column: Any, *steps: str | int, as_: type = str, **options: Any) -> Index:
    """An index by which `path(column, *steps) == …` is found."""
    return Index(name, path(_stored(column), *steps, as_=as_), **options)


def holding_index(name: str, column: Any) -> Index:
    """An index by which `holds` and `matches` are found: GIN of paths."""
    stored = _stored(column)
    return Index(name, stored, postgresql_using="gin", postgresql_ops={stored.key: "jsonb_path_ops"})


def _stored(column: Any) -> Any:
    """The column of a mapped attribute, by which an index finds its table."""
    found = getattr(column, "property", None)
    return found.columns[0] if found is not None else column

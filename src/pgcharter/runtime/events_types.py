"""Typed events: classes by name and schema version, older forms brought up to date, personal fields under keys of their persons.

    types = Types()

    @types.event("order-placed", schema=2)
    @dataclass(frozen=True)
    class OrderPlaced:
        total: Decimal
        currency: str

    @types.upcaster("order-placed", 1)
    def _(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "currency": "EUR"}

    append(conn, "order", order_id, [OrderPlaced(Decimal("12.50"), "EUR")], types=types)
    values(conn, types, read_aggregate(conn, "order", order_id))     # the objects again

Classes are dataclasses or models of pydantic.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pgcharter.db.flows import Steps, flow
from pgcharter.errors import PgcharterError, UsageError
from pgcharter.runtime.events_model import Event, New
from pgcharter.runtime.events_personal import ERASED, Erased, Personal, Vault
from pgcharter.runtime.events_texts import Text, checked, readable

if TYPE_CHECKING:
    from pgcharter.runtime.encryption import Encryption
    from pgcharter.runtime.events import Append

C = TypeVar("C", bound=type)
Data = dict[str, Any]
Upcaster = Callable[[Data], Data]
__all__ = ["ERASED", "Erased", "EventSchemaError", "Personal", "Types", "UnknownEventError", "values"]


class UnknownEventError(PgcharterError):
    """An event is of a type that this application does not know."""


class EventSchemaError(PgcharterError):
    """An event cannot be read as its class: it is newer, or no upcaster leads from its form, or it does not fit."""


@dataclass(frozen=True)
class Spec:
    """A class of events."""

    name: str
    schema: int
    kind: type
    adapter: Any
    personal: Personal | None


class Types:
    """Which classes events are of. `encryption` has the keys of personal fields."""

    def __init__(self, encryption: Encryption | None = None, *, unknown: Literal["refuse", "raw"] = "refuse") -> None:
        """`unknown="raw"`: events of types that are not known are given as `Event`, as they are."""
        self.unknown = unknown
        self.vault = Vault(encryption)
        self._by_name: dict[str, Spec] = {}
        self._by_kind: dict[type, Spec] = {}
        self._upcasters: dict[tuple[str, int], Upcaster] = {}

    def event(self, name: str = "", *, schema: int = 1, formerly: Sequence[str] = (), personal: Personal | None = None) -> Callable[[C], C]:
        """Make a dataclass or model of pydantic a type of events; without a name it is called as the class.

        `formerly`: names that it had before. Raises UsageError for a class or a name that cannot be.
        """

        def known(kind: C) -> C:
            spec = Spec(name or kind.__name__, schema, kind, _adapter(kind), personal)
            checked("type of an event", spec.name, 200)
            taken = [n for n in (spec.name, *formerly) if n in self._by_name]
            if taken or schema < 1 or kind in self._by_kind:
                why = f"{taken[0]} is one already" if taken else "schemas are counted from 1, and a class is one type"
                raise UsageError(f"{kind.__name__} cannot be the event {spec.name}: {why}")
            if personal is not None:
                personal.fits(kind)
                self.vault.declare(personal)
            self._by_name.update(dict.fromkeys((spec.name, *formerly), spec))
            self._by_kind[kind] = spec
            return kind

        return known

    def upcaster(self, name: str, schema: int) -> Callable[[Upcaster], Upcaster]:
        """Make a function bring the data of an event from `schema` to the next one."""

        def known(function: Upcaster) -> Upcaster:
            if (name, schema) in self._upcasters:
                raise UsageError(f"event {name} has an upcaster from schema {schema} already")
            self._upcasters[name, schema] = function
            return function

        return known

    def name_of(self, kind: type) -> str:
        """What events of a class are called. Raises UsageError for one that is not known."""
        return self._spec(kind).name

    def knows(self, kind: type) -> bool:
        """Whether it is a class of events."""
        return kind in self._by_kind

    def _spec(self, kind: type) -> Spec:
        spec = self._by_kind.get(kind)
        if spec is None:
            raise UsageError(f"{kind.__name__} is no type of events", hint=f'@types.event("…") on class {kind.__name__}')
        return spec

    def new(self, value: Any) -> New:
        """An object as an event to append. Its personal fields need keys that are loaded; `append` loads them."""
        if isinstance(value, New):
            return value
        spec = self._spec(type(value))
        text = _written(spec, value)
        if spec.personal is None:
            return New(spec.name, Text(text), spec.schema)
        made, data = self.vault.sealed(spec.personal, spec.name, json.loads(text))
        return New(spec.name, data, spec.schema, id=made)

    def value(self, event: Event) -> Any:
        """The object of an event. Raises UnknownEventError, EventSchemaError; its personal fields need keys; `values` loads them."""
        spec = self._by_name.get(event.type)
        if spec is None:
            if self.unknown == "raw":
                return event
            raise UnknownEventError(
                f"{event.place} is of a type that this application does not know",
                hint=f'@types.event("{event.type}") on its class; or Types(unknown="raw") takes it as it is',
            )
        if spec.personal is None and event.schema_version == spec.schema:
            return _read(spec, event, event.body)
        data = json.loads(event.body)
        if spec.personal is not None:
            data = self.vault.opened(spec.personal, event, data)
        return _read(spec, event, json.dumps(self._current(spec, event, data)))

    def _current(self, spec: Spec, event: Event, data: Data) -> Data:
        if event.schema_version > spec.schema:
            raise EventSchemaError(
                f"{event.place} is in schema {event.schema_version}, and this application knows {spec.schema} at most: it is older than"
                " its data",
                hint="run the newer release",
            )
        for schema in range(event.schema_version, spec.schema):
            upcaster = self._upcasters.get((spec.name, schema)) or self._upcasters.get((event.type, schema))
            if upcaster is None:
                raise EventSchemaError(
                    f"{event.place} is in schema {event.schema_version}, and no upcaster leads from {schema} to {schema + 1}",
                    hint=f'@types.upcaster("{spec.name}", {schema})',
                )
            data = upcaster(data)
        return data

    def has(self, name: str) -> bool:
        """Whether events are called so."""
        return name in self._by_name

    def loaded(self, objects: Sequence[Any]) -> Steps[None]:
        """Have the keys of the persons of objects at hand; they are made where there are none."""
        wanted = [(s.personal, getattr(o, s.personal.subject)) for o in objects if (s := self._spec(type(o))).personal]
        yield from self.vault.loaded(wanted, create=True)

    def prepared(self, appends: Sequence[Append]) -> Steps[list[Append]]:
        """Appends with their objects made events; keys of persons are loaded, and made where there are none."""
        yield from self.loaded([e for a in appends for e in a.events if not isinstance(e, New)])
        return self.made(appends)

    def made(self, appends: Sequence[Append]) -> list[Append]:
        """Appends with their objects made events; keys of persons are at hand."""
        return [replace(a, events=[self.new(e) for e in a.events]) for a in appends]


@flow
def values(types: Types, events: Sequence[Event]) -> Steps[list[Any]]:
    """The objects of events, in their order; at most a round trip for each kind of person whose fields they have.

    Raises UnknownEventError for a type that is not known, EventSchemaError for what no upcaster brings up to date or does not fit.
    """
    wanted = []
    for event in events:
        spec = types._by_name.get(event.type)
        if spec is not None and spec.personal is not None:
            wanted.append((spec.personal, event.data.get(spec.personal.subject)))
    yield from types.vault.loaded(wanted, create=False)
    return list(map(types.value, events))


def _adapter(kind: type) -> Any:
    from pydantic import BaseModel, ConfigDict, PydanticSchemaGenerationError, TypeAdapter

    if not (dataclasses.is_dataclass(kind) or (isinstance(kind, type) and issubclass(kind, BaseModel))):
        raise UsageError(f"{getattr(kind, '__name__', kind)} is no dataclass and no model of pydantic, so it cannot be a type of events")
    if not issubclass(kind, BaseModel) and not hasattr(kind, "__pydantic_config__"):
        kind.__pydantic_config__ = ConfigDict(ser_json_inf_nan="constants", ser_json_bytes="base64", val_json_bytes="base64")  # type: ignore[attr-defined]
    try:
        return TypeAdapter(kind)
    except PydanticSchemaGenerationError as error:
        raise UsageError(f"{kind.__name__} cannot be a type of events: {error.message.splitlines()[0]}") from None


def _written(spec: Spec, value: Any) -> str:
    """An object as JSON. Raises UsageError for values that are not of their fields' types, and for what JSON has no word for."""
    from pydantic import PydanticUserError
    from pydantic_core import PydanticSerializationError

    try:
        text: str = spec.adapter.dump_json(value, warnings="error").decode()
        if "NaN" in text or "Infinity" in text:
            json.loads(text, parse_constant=_refuse_constant)
    except (PydanticSerializationError, PydanticUserError, ValueError) as error:
        raise UsageError(f"{spec.name} cannot be kept as it is: {_brief(error)}") from None
    return readable(text, spec.name)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _read(spec: Spec, event: Event, text: str) -> Any:
    from pydantic import PydanticUserError
    from pydantic_core import ValidationError

    try:
        return spec.adapter.validate_json(text)
    except PydanticUserError as error:
        raise UsageError(f"{spec.kind.__name__} cannot be a type of events: {error.message.splitlines()[0]}") from None
    except ValidationError as error:
        raise EventSchemaError(
            f"{event.place} in schema {event.schema_version} does not fit {spec.kind.__name__}: {_brief(error)}",
            hint="a new schema version and an upcaster from the one before bring old events up to date",
        ) from None


def _brief(error: Exception) -> str:
    """What is wrong, without the values: they may be personal."""
    from pydantic_core import ValidationError

    if not isinstance(error, ValidationError):
        return str(error).splitlines()[0]
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"

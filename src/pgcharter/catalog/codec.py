"""A Catalog (and the Cluster beside it) as stable JSON: what snapshots are made of.

Defaults are left out, order is fixed, and every object inside a list stands on a line of its own, parts of relations indented under them,
so that a change of one column is a change of one line. `loads(dumps(c)) == c`, exactly.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pgcharter.catalog.model import Catalog, Cluster
from pgcharter.errors import PgcharterError

FORMAT = "pgcharter-catalog"
VERSION = 1
"""Raised when an older pgcharter could misread what a newer one writes."""

_T = TypeVar("_T")
_Coder = Callable[[Any], Any]
_INLINE = 2
"""Objects nested deeper than this share their line with the object they are part of."""


@dataclass(frozen=True)
class Snapshot:
    """What a snapshot file holds."""

    catalog: Catalog
    cluster: Cluster | None = None


def to_data(catalog: Catalog) -> dict[str, Any]:
    """Return `catalog` as plain dictionaries, lists, strings and numbers, defaults left out."""
    return dict(_encoder(Catalog)(catalog))


def from_data(data: Mapping[str, Any]) -> Catalog:
    """Return the Catalog that `to_data` wrote. Raises PgcharterError when `data` is not of that shape."""
    return _shaped(Catalog, data, "catalog")


def plain(value: Any) -> Any:
    """Any value of the model as JSON-ready data, defaults left out."""
    if is_dataclass(value) and not isinstance(value, type):
        return _encoder(type(value))(value)
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value


def field_value(cls: type, name: str, data: Any) -> Any:
    """A field's value of a dataclass of the model from what `plain` made of it. Raises PgcharterError when `data` is not of that shape."""
    try:
        return _field_decoder(cls, name)(data)
    except (_MisshapenError, KeyError) as error:
        raise PgcharterError(f"the value of {cls.__name__}.{name} is damaged:{error}") from None


@cache
def _field_decoder(cls: type, name: str) -> _Coder:
    return _decode_as(get_type_hints(cls)[name])


def dumps(catalog: Catalog, cluster: Cluster | None = None) -> str:
    """Return `catalog`, and `cluster` when given, as JSON text ending in a newline."""
    document: dict[str, Any] = {"format": FORMAT, "version": VERSION, "catalog": to_data(catalog)}
    if cluster is not None:
        document["cluster"] = dict(_encoder(Cluster)(cluster))
    lines: list[str] = []
    _write(document, 0, "", lines)
    return "\n".join(lines) + "\n"


def loads(text: str, place: str = "") -> Catalog:
    """Return the Catalog in `text`.

    Raises PgcharterError, with `place` (a file name), when the text is no JSON, no snapshot, or from a newer pgcharter.
    """
    return load_snapshot(text, place).catalog


def load_snapshot(text: str, place: str = "") -> Snapshot:
    """Return everything that a snapshot holds. Raises PgcharterError as `loads` does."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"{place}:{error.lineno}:{error.colno}" if place else ""
        said = f"{error.msg} at line {error.lineno}, column {error.colno}"
        raise PgcharterError(f"the snapshot is damaged: not JSON ({said})", place=where, hint=_EXPORT) from None
    except RecursionError:
        raise PgcharterError("the snapshot is damaged: nested too deeply", place=place, hint=_EXPORT) from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise PgcharterError(f'this JSON is no catalog snapshot: it has no "format": "{FORMAT}"', place=place, hint=_EXPORT)
    version = document.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise PgcharterError(f"the snapshot has no usable version: {version!r}", place=place, hint=_EXPORT)
    if version > VERSION:
        raise PgcharterError(
            f"the snapshot has format version {version}, but this pgcharter reads up to {VERSION}: it was written by a newer one",
            place=place, hint="pip install --upgrade pgcharter",
        )  # fmt: skip
    catalog = _shaped(Catalog, document.get("catalog"), "catalog", place)
    cluster = _shaped(Cluster, document["cluster"], "cluster", place) if "cluster" in document else None
    return Snapshot(catalog, cluster)


_EXPORT = "write a new one: pgcharter catalog export TARGET -o FILE"


def _shaped(cls: type[_T], data: Any, what: str, place: str = "") -> _T:
    try:
        return typing.cast(_T, _decoder(typing.cast(type, cls))(data))
    except _MisshapenError as error:
        raise PgcharterError(f"the snapshot is damaged: {what}{error}", place=place, hint=_EXPORT) from None


class _MisshapenError(Exception):
    """What is wrong and on which path, built from the inside out."""


def _write(value: Any, depth: int, lead: str, lines: list[str]) -> None:
    """Append `value` to `lines`, which the caller closes with a comma where one is due."""
    pad = " " * depth
    if depth <= _INLINE and isinstance(value, dict) and value:
        lines.append(f"{pad}{lead}{{")
        for number, (key, item) in enumerate(value.items(), 1):
            _write(item, depth + 1, f"{_json(key)}: ", lines)
            if number < len(value):
                lines[-1] += ","
        lines.append(f"{pad}}}")
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        lines.append(f"{pad}{lead}[")
        for number, item in enumerate(value, 1):
            _write_object(item, depth + 1, lines)
            if number < len(value):
                lines[-1] += ","
        lines.append(f"{pad}]")
    else:
        lines.append(f"{pad}{lead}{_json(value)}")


def _write_object(value: dict[str, Any], depth: int, lines: list[str]) -> None:
    """One object of a list: on one line, unless it has parts, which then stand on lines of their own under it."""
    parts = {key: item for key, item in value.items() if isinstance(item, list) and item and isinstance(item[0], dict) and key in _PARTS}
    pad = " " * depth
    if not parts:
        lines.append(pad + _json(value))
        return
    plain = {key: item for key, item in value.items() if key not in parts}
    lines.append(pad + (_json(plain)[:-1] + ", " if plain else "{"))
    lines[-1] = lines[-1].rstrip()
    for number, (key, items) in enumerate(parts.items(), 1):
        _write(items, depth + 1, f"{_json(key)}: ", lines)
        if number < len(parts):
            lines[-1] += ","
    lines[-1] += "}"


_PARTS = frozenset(("columns", "constraints", "indexes", "triggers", "policies", "rules", "attributes"))
_json = json.JSONEncoder(ensure_ascii=False, check_circular=False).encode


@cache
def _encoder(cls: type) -> _Coder:
    """Compile a function that turns an instance of dataclass `cls` into a dictionary."""
    hints = get_type_hints(cls)
    steps = [(item.name, _default(item), _encode_as(hints[item.name])) for item in fields(cls) if item.init]

    def encode(value: Any) -> dict[str, Any]:
        found = {}
        for name, default, convert in steps:
            part = getattr(value, name)
            if part is default or part == default:
                continue
            found[name] = part if convert is None else convert(part)
        return found

    return encode


def _default(item: Field[Any]) -> Any:
    if item.default is not MISSING:
        return item.default
    return item.default_factory() if item.default_factory is not MISSING else MISSING


def _encode_as(hint: Any) -> _Coder | None:
    """How values of a field are encoded; None when they are JSON already."""
    origin, arguments = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        return _encoder(typing.cast(type, hint))
    if origin is tuple:
        return _list_of(_encode_as(arguments[0]))
    if origin in (Union, types.UnionType):
        (only,) = (a for a in arguments if a is not type(None))
        inner = _encode_as(only)
        return None if inner is None else lambda value: None if value is None else inner(value)
    return None


def _list_of(inner: _Coder | None) -> _Coder:
    return list if inner is None else lambda items: [inner(i) for i in items]


@cache
def _decoder(cls: type) -> _Coder:
    """Compile a function that builds an instance of dataclass `cls` from a dictionary."""
    hints = get_type_hints(cls)
    converters = {item.name: _decode_as(hints[item.name]) for item in fields(cls) if item.init}
    required = [item.name for item in fields(cls) if item.init and item.default is MISSING and item.default_factory is MISSING]

    def decode(data: Any) -> Any:
        if type(data) is not dict:
            raise _MisshapenError(f" should be an object, not {_named(data)}")
        found = {}
        for name, value in data.items():
            convert = converters.get(name)
            if convert is None:
                raise _MisshapenError(f" has a field {name!r} that a {cls.__name__} does not have")
            try:
                found[name] = convert(value)
            except _MisshapenError as error:
                raise _MisshapenError(f".{name}{error}") from None
        for name in required:
            if name not in found:
                raise _MisshapenError(f" lacks {name!r}, which every {cls.__name__} has")
        return cls(**found)

    return decode


def _decode_as(hint: Any) -> _Coder:
    origin, arguments = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        return _shared(typing.cast(type, hint))
    if origin is tuple:
        return _tuple_of(_decode_as(arguments[0]))
    if origin in (Union, types.UnionType):
        (only,) = (a for a in arguments if a is not type(None))
        inner = _decode_as(only)
        return lambda value: None if value is None else inner(value)
    return _plain(hint)


def _shared(cls: type) -> _Coder:
    """Decode by the compiled decoder; the few distinct types and addresses of a big catalog are built once."""
    decode = _decoder(cls)
    if cls.__name__ not in ("DataType", "Grant", "ObjectId"):
        return decode
    known: dict[tuple[Any, ...], Any] = {}

    def shared(data: Any) -> Any:
        if type(data) is not dict:
            return decode(data)
        try:
            key = tuple((name, type(value), value) for name, value in data.items())
            found = known.get(key)
        except TypeError:
            return decode(data)
        if found is None:
            if len(known) > 50_000:
                known.clear()
            found = known[key] = decode(data)
        return found

    return shared


def _tuple_of(inner: _Coder) -> _Coder:
    def decode(data: Any) -> tuple[Any, ...]:
        if type(data) is not list:
            raise _MisshapenError(f" should be a list, not {_named(data)}")
        found = []
        try:
            for item in data:
                found.append(inner(item))  # noqa: PERF401
        except _MisshapenError as error:
            raise _MisshapenError(f"[{len(found)}]{error}") from None
        return tuple(found)

    return decode


def _plain(hint: Any) -> _Coder:
    accepted = (float, int) if hint is float else (hint,)

    def decode(data: Any) -> Any:
        if type(data) not in accepted:
            raise _MisshapenError(f" should be {_WORDS.get(hint, hint)}, not {_named(data)}")
        return data

    return decode


_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def _named(data: Any) -> str:
    return {dict: "an object", list: "a list", type(None): "null", **_WORDS}.get(type(data), type(data).__name__)

"""How rows are laid out in Redis: names of keys, texts of values, stamps as text that sorts.

A row of shape `orders` with key 42 is the key `orders:42`; parts of a longer key follow with a colon between (`lines:42:1`), and in each
part `%` and `:` are written %25 and %3A. **hash**: a field for each column with the text PostgreSQL writes; NULL is a field that is not
there. **json**: one JSON document as a string, as `nats_json` writes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pgcharter.stream import values
from pgcharter.stream.model import Field, Row, Shape, Stamp


def text(field: Field, value: Any) -> str:
    """A value as PostgreSQL writes it."""
    return value if isinstance(value, str) else values.text(value, ";" if field.type == "box[]" else ",")


def key_text(shape: Shape, key: tuple[Any, ...]) -> str:
    """The part of a row's name that tells it from others of its shape."""
    fields = [f for f in shape.fields if f.key]
    parts = [text(f, value) for f, value in zip(fields, key, strict=True)]
    return ":".join(part.replace("%", "%25").replace(":", "%3A") if "%" in part or ":" in part else part for part in parts)


def key_values(shape: Shape, name: str) -> tuple[Any, ...]:
    """The key that `key_text` wrote."""
    fields = [f for f in shape.fields if f.key]
    parts = [part.replace("%3A", ":").replace("%25", "%") for part in name.split(":")]
    return tuple(loaded(f, part) for f, part in zip(fields, parts, strict=True))


def loaded(field: Field, stored: str) -> Any:
    """The value of a text."""
    load = values.load(field.type)
    return load(stored) if load else stored


def row_values(shape: Shape, stored: Mapping[str, str]) -> dict[str, Any]:
    """All fields of a hash; what cannot be understood stays as it is."""
    return {f.name: _understood(f, stored[f.name]) if f.name in stored else None for f in shape.fields}


def _understood(field: Field, stored: str) -> Any:
    try:
        return loaded(field, stored)
    except (ValueError, ArithmeticError):
        return stored


def hash_fields(row: Row) -> list[str]:
    """The arguments of a put into a hash, as redis.lua reads them."""
    types = {f.name: f for f in row.shape.fields}
    given: list[str] = []
    nulls: list[str] = []
    for name, value in row.values.items():
        if value is None:
            nulls.append(name)
        else:
            given += (name, text(types[name], value))
    count = str(len(given) // 2)
    return [count, *given] if row.whole else [count, *given, str(len(nulls)), *nulls]


def stamp_text(stamp: Stamp) -> str:
    """32 digits that sort as stamps do."""
    return f"{stamp.lsn:016x}{stamp.ordinal:016x}"


def stamp_of(stored: str) -> Stamp:
    """The stamp in a text."""
    return Stamp(int(stored[:16], 16), int(stored[16:32], 16))


def within(key: tuple[Any, ...], after: tuple[Any, ...] | None, upto: tuple[Any, ...] | None) -> bool:
    """Whether a key is after the one and not after the other."""
    return (after is None or key > after) and (upto is None or key <= upto)


def pieces(arguments: Iterable[list[str]], most: int = 500, room: int = 1 << 20) -> Iterable[list[str]]:
    """Arguments of rows put together, so many rows or characters at a time: a script holds up all other clients while it runs."""
    piece: list[str] = []
    rows = size = 0
    for row in arguments:
        piece += row
        rows, size = rows + 1, size + sum(map(len, row))
        if rows >= most or size >= room:
            yield piece
            piece, rows, size = [], 0, 0
    if piece:
        yield piece

"""Rows of a source and of a copy in one form, and digests of them in parts by the hash of their keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from hashlib import blake2b
from typing import Any, NamedTuple

from pgcharter.stream.model import Row, Shape, Stored
from pgcharter.stream.reconcile_model import Difference
from pgcharter.stream.values import text


class Part(NamedTuple):
    """All rows whose keys fall into one part."""

    rows: int
    digest: int
    """Of 64 bits or more: that one damaged row leaves it as it was has odds of 1 in 2^64."""


Parts = dict[int, Part]
NOTHING = Part(0, 0)
Placed = tuple[str, bytes]
"""Place of a shape and key of a row, as something that can be looked up."""
_MASK = (1 << 64) - 1


def canonical(value: Any) -> bytes:
    """A value as bytes that are the same for equal values: 1.50 and 1.5 are. NULL is unlike any of them."""
    if value is None:
        return b"-"
    if type(value) is str:
        return b"+" + value.encode("utf-8", "surrogatepass")
    if isinstance(value, Decimal) and value.is_finite():
        plain = format(value, "f")
        return b"+" + (plain.rstrip("0").rstrip(".") if "." in plain else plain).encode()
    return b"+" + text(value).encode("utf-8", "surrogatepass")


def packed(values: Iterable[Any]) -> bytes:
    """Several values as bytes; where one ends is part of it."""
    return b"".join(b"%d:%b" % (len(b), b) for b in map(canonical, values))


def placed(shape: Shape, key: tuple[Any, ...]) -> Placed:
    """The address of a row."""
    return shape.to, packed(key)


def part_of(at: Placed, fan: int) -> int:
    """The part that a key falls into."""
    return int.from_bytes(blake2b(at[1], digest_size=8, key=at[0].encode()[:64]).digest()) % fan


def digest_of(at: Placed, shape: Shape, values: Mapping[str, Any]) -> int:
    """A number that stands for a row."""
    body = packed(values.get(f.name) for f in shape.fields)
    return int.from_bytes(blake2b(at[1] + b"|" + body, digest_size=8, key=at[0].encode()[:64]).digest())


def summed(rows: Iterable[tuple[Shape, tuple[Any, ...], Mapping[str, Any]]], fan: int) -> Parts:
    """Digests of parts, in constant memory. Sums, not exclusive ors: a row that a store has twice is seen."""
    counts, sums = [0] * fan, [0] * fan
    for shape, key, values in rows:
        at = placed(shape, key)
        part = part_of(at, fan)
        counts[part] += 1
        sums[part] += digest_of(at, shape, values)
    return {n: Part(c, s & _MASK) for n, (c, s) in enumerate(zip(counts, sums, strict=True)) if c}


def unequal(wanted: Parts, stored: Parts) -> dict[int, int]:
    """Parts that differ, with the larger number of their rows."""
    return {n: max(a.rows, b.rows) for n in wanted.keys() | stored.keys() if (a := wanted.get(n, NOTHING)) != (b := stored.get(n, NOTHING))}


def groups(parts: Mapping[int, int], most: int) -> Iterator[set[int]]:
    """Parts in groups of about `most` rows."""
    group: set[int] = set()
    rows = 0
    for part, here in sorted(parts.items()):
        if group and rows + here > most:
            yield group
            group, rows = set(), 0
        group.add(part)
        rows += here
    if group:
        yield group


def differing(wanted: Row, stored: Stored) -> tuple[str, ...]:
    """Names of the fields that are not the same."""
    return tuple(f.name for f in wanted.shape.fields if not _same(wanted.values.get(f.name), stored.values.get(f.name)))


def _same(wanted: Any, stored: Any) -> bool:
    return canonical(wanted) == canonical(stored)


def compared(wanted: Mapping[Placed, Row], stored: Mapping[Placed, tuple[Shape, Stored]]) -> Iterator[Difference]:
    """Every key at which they are not the same."""
    for at, row in wanted.items():
        there = stored.get(at)
        if there is None:
            yield Difference("missing", row.shape, row.key, row, None, ())
        elif fields := differing(row, there[1]):
            yield Difference("different", row.shape, row.key, row, there[1], fields)
    for at, (shape, one) in stored.items():
        if at not in wanted:
            yield Difference("extra", shape, one.key, None, one, ())


Keep = Callable[[Placed], bool]


def inside(parts: set[int], fan: int) -> Keep:
    """Whether a key falls into one of these parts."""
    return lambda at: part_of(at, fan) in parts

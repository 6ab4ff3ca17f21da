"""Values for every type: an SQL expression that makes the k-th of many different ones out of a number. Deterministic, and nobody's data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from pgcharter.catalog.model import Catalog, DataType, UserType
from pgcharter.names import ObjectId, literal, quote

Make = Callable[[str], str]
"""From an SQL expression of a number from 0 to an expression of the value."""
PLENTY = 1 << 32


@dataclass(frozen=True)
class Values:
    """The values of one column."""

    make: Make
    capacity: int = PLENTY
    """How many different ones there are."""


NOTHING = Values(lambda _: "NULL", 1)


def values(kind: DataType, catalog: Catalog, width: int = 0, needed: int = 1) -> Values | None:
    """Values of a type, of about `width` bytes each, at least `needed` different ones where the type has as many.

    None when nothing is known of the type.
    """
    if kind.array:
        return _array(kind, catalog, width, needed)
    user = catalog.type.get((kind.schema, kind.name)) if kind.schema != "pg_catalog" else None
    if user is not None:
        found = _of_user(user, kind, catalog, width, needed)
        if found:
            return found
    name = kind.basic
    if name in _TEXTS:
        return _text(kind.length, width, needed)
    if name in ("bit", "varbit"):
        length = kind.length or 64
        return Values(lambda k: f"({k})::bigint::bit({min(length, 64)})::{kind.sql}", 1 << min(length, 32))
    if name == "numeric":
        return _numeric(kind)
    if name == "bytea":
        return Values(lambda k: f"decode(lpad(to_hex({k}), 8, '0') || repeat(md5(({k})::text), {max(width - 8, 0) // 16}), 'hex')")
    if name in ("json", "jsonb"):
        more = max(width - 20, 1)
        return Values(lambda k: f"{name}_build_object('k', {k}, 't', left(repeat(md5(({k})::text), {more // 32 + 1}), {more}))")
    if name in ("tsvector", "hstore", "ltree", "lquery", "xml", "cube", "tsquery"):
        return Values(lambda k: f"({_WORDS[name].format(k=k)})::{kind.sql}")
    if name in _SIMPLE:
        form, capacity = _SIMPLE[name]
        return Values(lambda k: form.replace("{k}", f"({k})"), capacity)
    return None


_TEXTS = frozenset(("text", "varchar", "bpchar", "citext", "name", "char"))
_WORDS = {
    "tsvector": "'w' || ({k}) || ' w' || ({k}) % 1000 || ' w' || ({k}) % 77", "tsquery": "'w' || ({k})", "hstore": "'k=>' || ({k})",
    "ltree": "'a.b' || ({k})", "lquery": "'*.b' || ({k})", "xml": "'<a>' || ({k}) || '</a>'", "cube": "'(' || ({k}) || ')'",
}  # fmt: skip
_DAY, _INSTANT = "date '2000-01-01'", "'2015-01-01 00:00+00'"
_SIMPLE: dict[str, tuple[str, int]] = {
    "int2": ("(1 + {k})::smallint", 32_000),
    "int4": ("(1 + {k})::integer", 2_000_000_000),
    "int8": ("(1 + {k})::bigint", PLENTY),
    "float4": ("(1 + {k})::real", 16_000_000),
    "float8": ("(1 + {k})::float8 * 1.5", PLENTY),
    "money": ("(1 + {k})::numeric::money", PLENTY),
    "oid": ("(16384 + {k})::oid", 4_000_000_000),
    "bool": ("({k} % 2 = 0)", 2),
    "uuid": ("md5({k}::text)::uuid", PLENTY),
    "date": (f"({_DAY} + {{k}}::integer)", 2_000_000),
    "timestamp": (f"(timestamp {_INSTANT} + {{k}} * interval '37 s')", PLENTY),
    "timestamptz": (f"(timestamptz {_INSTANT} + {{k}} * interval '37 s')", PLENTY),
    "time": ("(time '00:00' + {k} * interval '1 ms')", 86_000_000),
    "timetz": ("(time '00:00' + {k} * interval '1 ms')::timetz", 86_000_000),
    "interval": ("({k} * interval '1 s')", PLENTY),
    "inet": ("(inet '10.0.0.0' + {k}::bigint)", PLENTY),
    "cidr": ("network(set_masklen(inet '10.0.0.0' + {k}::bigint, 32))", PLENTY),
    "macaddr": ("lpad(to_hex({k}), 12, '0')::macaddr", PLENTY),
    "macaddr8": ("lpad(to_hex({k}), 16, '0')::macaddr8", PLENTY),
    "pg_lsn": ("('0/' || to_hex({k}))::pg_lsn", PLENTY),
    "point": ("point({k}, {k})", PLENTY),
    "xid8": ("({k}::text)::xid8", PLENTY),
    "box": ("box(point({k} * 3, 0), point({k} * 3 + 1, 1))", PLENTY),
    "circle": ("circle(point({k} * 3, 0), 1)", PLENTY),
    "lseg": ("lseg(point({k}, 0), point({k}, 1))", PLENTY),
    "path": ("('((0,0),(1,' || {k} || '))')::path", PLENTY),
    "polygon": ("('((0,0),(1,0),(1,' || {k} || '))')::polygon", PLENTY),
    "line": ("line(point(0, {k}), point(1, {k} + 1))", PLENTY),
    "int4range": ("int4range(({k} * 10)::integer, ({k} * 10 + 9)::integer)", 200_000_000),
    "int8range": ("int8range({k} * 10, {k} * 10 + 9)", PLENTY),
    "numrange": ("numrange({k} * 10, {k} * 10 + 9)", PLENTY),
    "daterange": (f"daterange({_DAY} + ({{k}} * 2)::integer, {_DAY} + ({{k}} * 2 + 1)::integer)", 1_000_000),
    "tsrange": (f"tsrange(timestamp {_INSTANT} + {{k}} * interval '1 min', timestamp {_INSTANT} + ({{k}} + 1) * interval '1 min')", PLENTY),
    "tstzrange": (
        f"tstzrange(timestamptz {_INSTANT} + {{k}} * interval '1 min', timestamptz {_INSTANT} + ({{k}} + 1) * interval '1 min')",
        PLENTY,
    ),
}
for _name in ("int4", "int8", "num", "date", "ts", "tstz"):
    _SIMPLE[f"{_name}multirange"] = (f"{_name}multirange({_SIMPLE[f'{_name}range'][0]})", _SIMPLE[f"{_name}range"][1])


def _text(limit: int | None, width: int, needed: int) -> Values:
    """Hexadecimal digits of the number, then noise up to the width; a header of one byte is part of what pg_stats calls width."""
    size = width - (1 if width < 127 else 4) if width > 1 else 8
    size = max(size, math.ceil(math.log(max(needed, 2), 16)))
    size = max(1, min(size, limit or size))
    if size <= 8:
        return Values(lambda k: f"lpad(to_hex({k}), {size}, '0')", min(PLENTY, 16**size))
    rest = size - 8
    return Values(lambda k: f"lpad(to_hex({k}), 8, '0') || left(repeat(md5(({k})::text), {rest // 32 + 1}), {rest})")


def _numeric(kind: DataType) -> Values:
    if kind.precision is None:
        return Values(lambda k: f"(1 + ({k}))::numeric / 100")
    scale = kind.scale or 0
    shift = f"/ {10**scale}::numeric" if scale >= 0 else f"* {10**-scale}::numeric"
    return Values(lambda k: f"((1 + ({k}))::numeric {shift})", max(1, min(PLENTY, 10**kind.precision - 2)))


def _array(kind: DataType, catalog: Catalog, width: int, needed: int) -> Values | None:
    element = DataType(
        kind.sql.partition("[")[0], kind.schema, kind.name, kind.kind, False, kind.length, kind.precision, kind.scale, kind.base
    )
    one = values(element, catalog, 0, needed)
    if one is None:
        return None
    count = max(1, min(20, (width - 24) // 12))

    def make(k: str) -> str:
        items = [one.make(k), *(one.make(f"(({k}) + {n}) % {one.capacity}") for n in range(1, count))]
        return f"ARRAY[{', '.join(items)}]::{kind.sql}"

    return Values(make, one.capacity)


def _of_user(user: UserType, kind: DataType, catalog: Catalog, width: int, needed: int) -> Values | None:
    if user.kind == "enum" and user.labels:
        return Values(lambda k: f"(enum_range(NULL::{user.id.sql()}))[1 + ({k}) % {len(user.labels)}]", len(user.labels))
    if user.kind == "domain" and user.base:
        return values(user.base, catalog, width, needed)
    if user.kind == "composite":
        parts = [values(a.type, catalog) for a in user.attributes]
        known = [p for p in parts if p]
        if not parts or len(known) < len(parts):
            return None
        return Values(
            lambda k: f"ROW({', '.join(p.make(f'({k}) % {p.capacity}') for p in known)})::{kind.sql}", max(p.capacity for p in known)
        )
    if user.kind == "range" and user.base:
        ends = values(user.base, catalog)
        name = ObjectId("type", user.schema, user.name).sql()
        return ends and Values(lambda k: f"{name}({ends.make(f'({k}) * 2')}, {ends.make(f'({k}) * 2 + 1')})", ends.capacity // 2)
    return None


def between(kind: DataType, low: str, high: str, needed: int) -> Values | None:
    """Values from `low` up to, but without, `high`, both as SQL writes them; None for types without arithmetic."""
    name, cap = kind.basic, max(needed, 2)
    if name in ("int2", "int4", "int8", "numeric", "float4", "float8"):
        first, last = float(low.strip("'")), float(high.strip("'"))
        if last <= first:
            return None
        whole = name.startswith("int")
        room = max(1, int(last - first)) if whole else cap
        step = f"floor(({last!r} - {first!r}) * ({{k}}) / {min(room, cap)})" if whole else f"({last!r} - {first!r}) * ({{k}}) / {cap}.0"
        return Values(lambda k: f"({first!r}::numeric + {step.format(k=k)})::{_BASES.get(name, name)}", min(room, cap))
    if name in ("date", "timestamp", "timestamptz"):
        begin, end = (f"{literal(t.strip(chr(39)))}::timestamptz" for t in (low, high))
        return Values(lambda k: f"({begin} + ({end} - {begin}) * (({k}) / {cap}::float8))::{name}", cap if name != "date" else 1)
    return None


_BASES = {"int2": "smallint", "int4": "integer", "int8": "bigint", "float4": "real", "float8": "float8"}


def chosen(texts: tuple[str, ...], kind: DataType) -> Values:
    """The values that are written out, in turn: texts of SQL literals."""
    listed = ", ".join(texts)
    return Values(lambda k: f"(ARRAY[{listed}]::{_castable(kind)}[])[1 + ({k}) % {len(texts)}]", len(texts))


def _castable(kind: DataType) -> str:
    return kind.sql if kind.kind != "domain" else quote(kind.base)

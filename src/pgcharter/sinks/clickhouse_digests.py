"""What ClickHouse hashes of a row so that PostgreSQL says the same (stream.reconcile_texts). Works from server 18.16 on.

Floats, arrays, numerics without a scale and types that PostgreSQL writes otherwise as text have no such form; their rows are read.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from pgcharter.sinks.clickhouse_http import quoted
from pgcharter.sinks.clickhouse_tables import Table
from pgcharter.stream.model import Field
from pgcharter.stream.values import plain


class Form(NamedTuple):
    """A value as text, {} for its column."""

    postgresql: str
    clickhouse: str


_TEXT = Form("{}::text", "{}")
_NUMBER = Form("{}::text", "toString({})")
_BETWEEN = "{} BETWEEN '0001-01-01' AND '9999-12-31 23:59:59.999999'"
_MOMENT = "CASE WHEN " + _BETWEEN + " THEN replace(to_char({}, 'YYYY-MM-DD HH24:MI:SS.US'), '.000000', ''){zone} ELSE {}::text END"
_STRINGS = {
    **dict.fromkeys(("text", "character varying", "json", "jsonb", "date"), _TEXT),
    "bytea": Form("upper(encode({}, 'hex'))", "hex({})"),
    "timestamp without time zone": Form(_MOMENT.replace("{zone}", ""), "{}"),
    "timestamp with time zone": Form(_MOMENT.replace("{zone}", " || '+00:00'"), "{}"),
}
_OTHERS = {
    **dict.fromkeys(("Int16", "Int32", "Int64", "UInt32", "UUID"), _NUMBER),
    **dict.fromkeys(("Date", "Date32"), Form("CASE WHEN isfinite({}) THEN ({} - '1970-01-01'::date)::text END", "toString(toInt32({}))")),
    "UInt8": Form("{}::int::text", "toString({})"),
    "DateTime64": Form(
        "CASE WHEN isfinite({}) THEN trim_scale(extract(epoch FROM {}) * 1000000)::text END", "toString(toUnixTimestamp64Micro({}))"
    ),
    "Decimal": Form("trim_scale({})::text", r"replaceRegexpOne(toString({}), '(\\.[0-9]*[1-9])0+$|\\.0*$', '\\1')"),
}


def forms(table: Table) -> dict[str, Form] | None:
    """Field → how it is hashed; None where one has no form."""
    found = {f.name: _form(f, kind.type) for f, kind in zip(table.shape.fields, table.kinds, strict=True)}
    made = {name: form for name, form in found.items() if form is not None}
    return made if len(made) == len(found) else None


def _form(field: Field, type_: str) -> Form | None:
    return _STRINGS.get(plain(field.type)) if type_ == "String" else _OTHERS.get(type_.partition("(")[0])


def summed(table: Table, fan: int) -> str:
    """Query of parts, their rows and digests."""
    key, row = _texts(table)
    digest = f"reinterpretAsUInt64(reverse(substring(MD5(concat({key}, '|', {row}_exact)), 1, 8)))"
    return (
        f"SELECT toString({_part(key, fan)}) AS pgcharter_part, toString(count()), toString(groupBitXor({digest})) FROM {table.name} FINAL"
        " WHERE _deleted = 0 GROUP BY pgcharter_part"
    )


def inside(table: Table, parts: Collection[int], fan: int) -> str:
    """The condition that a row falls into one of these parts."""
    return f"{_part(_texts(table)[0], fan)} IN ({', '.join(map(str, sorted(parts)))})"


def _part(key: str, fan: int) -> str:
    return f"bitAnd(reinterpretAsUInt32(reverse(substring(MD5({key}), 1, 4))), {fan - 1})"


def _texts(table: Table) -> tuple[str, str]:
    """The text of the key, and those of all other fields, each with a comma behind it."""
    made = forms(table) or {}
    texts = {name: _framed(form.clickhouse.replace("{}", quoted(name))) for name, form in made.items()}
    key = ", ".join(texts[k] for k in table.shape.key)
    return f"concat({key}, '')", "".join(f"{texts[f.name]}, " for f in table.shape.fields if not f.key)


def _framed(text: str) -> str:
    return f"ifNull(concat(toString(length({text})), ':', {text}), '-')"

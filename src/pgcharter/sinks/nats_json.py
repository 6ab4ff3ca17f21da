"""Values and rows as JSON: bodies of messages (NATS, webhooks) and documents in Redis.

Numbers that JSON readers keep are numbers (smallint to bigint, real, double precision), booleans are booleans, NULL is null, arrays are
arrays. All else is the text PostgreSQL writes, so that nothing is lost: numeric ("12.50"), times, uuid, bytea ("\\x00ff"), json and
jsonb as their text, NaN and Infinity as "NaN" and "Infinity", arrays that do not begin at 1 as "[0:1]={7,8}".
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from pgcharter.sinks.redis_layout import stamp_text
from pgcharter.stream import values
from pgcharter.stream.model import Row, Shape

_dumps = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode
_FLOATS = ("real", "double precision")
_PLAIN = frozenset({str, int, bool, type(None)})


def plain(value: Any) -> Any:
    """A value as one that JSON has."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is float:
        return value if math.isfinite(value) else "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    if kind is list:
        return [plain(v) for v in value]
    return values.text(value)


def revived(type_: str, value: Any) -> Any:
    """The value of one that `plain` made."""
    if isinstance(value, list):
        return [revived(type_.removesuffix("[]"), v) if not isinstance(v, list) else revived(type_, v) for v in value]
    if type_.endswith("[]") or value is None:
        return value
    load = values.load(type_)
    if load and (isinstance(value, str) or type_ in _FLOATS or type_.startswith("numeric")):
        return load(str(value))
    return value


def document(row: Mapping[str, Any]) -> str:
    """Fields as a JSON object."""
    return _dumps({name: plain(value) for name, value in row.items()})


def fields(shape: Shape, stored: Mapping[str, Any]) -> dict[str, Any]:
    """All fields of a JSON object; those it has not are None."""
    return {f.name: revived(f.type, stored.get(f.name)) for f in shape.fields}


def message(row: Row) -> dict[str, Any]:
    """A row as a message's body, before it is written.

        {"op": "put" | "delete" | "clear", "table": "app.orders", "to": "orders", "key": {"id": 42},
         "values": {"id": 42, "total": "12.50"}, "unchanged": ["body"], "stamp": {"lsn": "0/16B3748", "ordinal": 1},
         "order": "000000000016b37480000000000000001"}

    `values` are those of a put; `unchanged` names fields that it leaves as they were (too large to be sent again, not NULL). `clear`: every
    row with a smaller `order` is gone. Of two messages about a key the one with the greater `order` (compared as text) is the later; one
    that is not greater than what a reader has is a repetition.
    """
    given = row.values
    lsn = row.stamp.lsn
    return {
        "op": row.op,
        "table": row.shape.source,
        "to": row.shape.to,
        "key": {name: plain(value) for name, value in zip(row.shape.key, row.key, strict=False)},
        "values": {name: plain(value) for name, value in given.items()},
        "unchanged": [f.name for f in row.shape.fields if f.name not in given] if row.op == "put" else [],
        "stamp": {"lsn": f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}", "ordinal": row.stamp.ordinal},
        "order": stamp_text(row.stamp),
    }


def body(row: Row) -> bytes:
    """A row as a message's body."""
    return _dumps(message(row)).encode()

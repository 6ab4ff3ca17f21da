"""What the way back brings back, and what is gone: in words, with figures where sizes are known."""

from __future__ import annotations

from pgcharter.catalog.model import Catalog, Column, DataType, Sequence, Table, UserType
from pgcharter.names import ObjectId
from pgcharter.plan.model import Grade, Operation
from pgcharter.plan.safe_ground import Ground

_DIGITS = {"int2": 5, "int4": 10, "int8": 19}
"""Digits of the largest value of each whole number."""
_WRITTEN = {"int2": 6, "int4": 11, "int8": 20, "bool": 5, "uuid": 36, "macaddr": 17, "macaddr8": 23}
"""Characters of the longest value as text, for types that have such."""
_MICROSECONDS = 6
"""Digits of a second that times have when none are said."""
_TIMES = frozenset(("time", "timetz", "timestamp", "timestamptz", "interval"))
_WIDER: dict[str, tuple[str, ...]] = {
    "int2": ("int4", "int8", "float4", "float8"),
    "int4": ("int8", "float8"),
    "float4": ("float8",),
    "bpchar": ("varchar",),
    "bit": ("varbit",),
    "jsonb": ("json",),
    "cidr": ("inet",),
    "macaddr": ("macaddr8",),
    "date": ("timestamp",),
    "timestamp": ("timestamptz",),
    "timestamptz": ("timestamp",),
}
"""Types that hold every value of another one, so that the way back finds it unchanged (for times: in a zone without shifts).

Numbers with digits and texts with a length aside. Source: documentation, "Data Types" (ranges), and `pg_cast`.
"""


def grade(operation: Operation, ground: Ground) -> tuple[Grade, str]:
    """The grade of an operation, and what is lost by it."""
    if operation.change == "drop":
        return _dropped(operation, ground)
    if operation.change == "alter" and "type" in operation.fields and isinstance(operation.old, Column):
        loses = lost(operation.object, operation.old.type, operation.new.type, ground)
        return (Grade.LOSSY, loses) if loses else (Grade.LOSSLESS, "")
    if operation.change == "alter" and isinstance(operation.old, UserType) and set(operation.old.labels) - set(operation.new.labels):
        labels = ", ".join(label for label in operation.old.labels if label not in operation.new.labels)
        return Grade.LOSSY, f"the labels {labels} of {operation.object}, in every row that holds one"
    return Grade.LOSSLESS, ""


def _dropped(operation: Operation, ground: Ground) -> tuple[Grade, str]:
    gone = operation.old
    if isinstance(gone, Table) and gone.kind == "table":
        rows = ground.rowed(operation.object)
        if rows == "0":
            return Grade.LOSSLESS, ""
        return Grade.LOSSY, f"{operation.object}: {f'{rows} rows' if rows else 'all its rows'}{_bytes(ground, operation.object)}"
    if isinstance(gone, Table) and gone.kind == "partitioned table":
        return Grade.LOSSY, f"{operation.object}: the rows of all its partitions"
    if isinstance(gone, Column) and not gone.generated and operation.object.owner in ground.a.table:
        loses = values(operation.object, ground)
        return (Grade.LOSSY, loses) if loses else (Grade.LOSSLESS, "")
    if isinstance(gone, Sequence) and not gone.identity:
        return Grade.LOSSY, f"{operation.object}: the number it stands at"
    if operation.object.kind == "subscription":
        return Grade.IMPOSSIBLE, f"{operation.object}: its connection string, which no catalog tells"
    if operation.object.kind == "server" and gone.users:
        return Grade.IMPOSSIBLE, f"{operation.object}: the passwords of its user mappings, which no catalog tells"
    if operation.object.kind == "extension":
        return Grade.LOSSY, f"{operation.object}: what its own tables and columns of its types hold"
    return Grade.LOSSLESS, ""


def values(column: ObjectId, ground: Ground) -> str:
    """`column app.t.c: about 1.2 million values`; empty when the table is known to be empty."""
    rows = ground.rowed(column.owner)
    if rows == "0":
        return ""
    share = ground.sizes.null_fractions.get(column) if ground.sizes else None
    filled = f", {100 * (1 - share):.0f} % of them filled" if share is not None else ""
    return f"{column}: {rows} values{filled}" if rows else f"{column}: all its values"


def lost(column: ObjectId, old: DataType, new: DataType, ground: Ground) -> str:
    """What a change of type loses; empty when the way back finds every value unchanged."""
    before, after = _enum(old, ground.a), _enum(new, ground.b)
    enums = before is not None and after is not None and old.array == new.array
    kept = set(before.labels) <= set(after.labels) if enums else not narrowing(old, new)  # type: ignore[union-attr]
    if kept or not values(column, ground):
        return ""
    rows = ground.rowed(column.owner)
    return f"{column}: {f'of {rows} values those' if rows else 'its values'} that do not fit into {new.sql}"


def _enum(type_: DataType, catalog: Catalog) -> UserType | None:
    return next((t for t in catalog.types if (t.schema, t.name, t.kind) == (type_.schema, type_.name, "enum")), None)


def narrowing(old: DataType, new: DataType) -> bool:
    """Whether there are values of the old type that the new one does not hold, or that the way back would not find as they were."""
    if old.array != new.array:
        return True
    source, target = old.basic, new.basic
    if target == "text" or (target == "varchar" and new.length is None):
        return False
    if target == "varchar" and source not in ("varchar", "bpchar"):
        return new.length is None or _WRITTEN.get(source, new.length + 1) > new.length
    if target == "numeric" and source in _DIGITS:
        return new.precision is not None and _DIGITS[source] > new.precision - (new.scale or 0)
    if source != target and target not in _WIDER.get(source, ()):
        return True
    return _shorter(old, new) or (source == "numeric" and _fewer_digits(old, new)) or (target in _TIMES and _coarser(old, new))


def _shorter(old: DataType, new: DataType) -> bool:
    if new.basic == "bit":
        return old.length != new.length
    return new.length is not None and (old.length is None or new.length < old.length)


def _fewer_digits(old: DataType, new: DataType) -> bool:
    if new.precision is None:
        return False
    if old.precision is None:
        return True
    old_scale, new_scale = old.scale or 0, new.scale or 0
    return old.precision - old_scale > new.precision - new_scale or old_scale > new_scale


def _coarser(old: DataType, new: DataType) -> bool:
    fields = _fields(new)
    digits = 0 if old.basic == "date" else _MICROSECONDS if old.precision is None else old.precision
    return digits > (_MICROSECONDS if new.precision is None else new.precision) or bool(fields and fields != _fields(old))


def _fields(type_: DataType) -> str:
    """What an interval is restricted to: `day to second` of `interval day to second(3)`."""
    return type_.sql.partition("(")[0].removeprefix("interval").strip() if type_.basic == "interval" else ""


def _bytes(ground: Ground, table: ObjectId) -> str:
    size = ground.size(table)
    if size is None or not size.bytes:
        return ""
    for unit, name in ((2**40, "TB"), (2**30, "GB"), (2**20, "MB"), (2**10, "kB")):
        if size.bytes >= unit:
            return f" ({size.bytes / unit:.3g} {name})"
    return f" ({size.bytes} bytes)"

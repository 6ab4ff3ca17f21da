"""What the way back brings back, and what is gone: in words, with figures where sizes are known."""

from __future__ import annotations

from pgcharter.catalog.model import Column, DataType, Sequence, Table, UserType
from pgcharter.names import ObjectId
from pgcharter.plan.model import Grade, Operation
from pgcharter.plan.safe_ground import Ground

_WIDER: dict[str, tuple[str, ...]] = {
    "int2": ("int4", "int8", "numeric", "text"),
    "int4": ("int8", "numeric", "float8", "text"),
    "int8": ("numeric", "text"),
    "float4": ("float8",),
    "varchar": ("text",),
    "bool": ("text",),
    "date": ("text",),
    "uuid": ("text",),
    "jsonb": ("json", "text"),
    "json": ("text",),
    "cidr": ("inet",),
    "timestamp": ("timestamptz",),
    "timestamptz": ("timestamp",),
}
"""Types that hold every value of another one, so that the way back finds it unchanged (for times: in a zone without shifts)."""


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
    if not narrowing(old, new):
        return ""
    found = values(column, ground)
    return f"{found}, as far as {new.sql} cannot hold what {old.sql} holds" if found else ""


def narrowing(old: DataType, new: DataType) -> bool:
    """Whether there are values of the old type that the new one does not hold as they are."""
    if old.array != new.array:
        return True
    if old.basic == new.basic:
        return _shorter(old.length, new.length) or _less(old, new)
    if new.basic == "text" or (new.basic == "varchar" and new.length is None):
        return False
    if new.basic == "numeric" and new.precision is not None:
        return True
    return new.basic not in _WIDER.get(old.basic, ())


def _shorter(old: int | None, new: int | None) -> bool:
    return new is not None and (old is None or new < old)


def _less(old: DataType, new: DataType) -> bool:
    if old.basic == "numeric":
        if new.precision is None:
            return False
        whole = (old.precision or 10**6) - (old.scale or 0) > new.precision - (new.scale or 0)
        return old.precision is None or whole or (old.scale or 0) > (new.scale or 0)
    return _shorter(old.precision, new.precision)


def _bytes(ground: Ground, table: ObjectId) -> str:
    size = ground.size(table)
    if size is None or not size.bytes:
        return ""
    for unit, name in ((2**40, "TB"), (2**30, "GB"), (2**20, "MB"), (2**10, "kB")):
        if size.bytes >= unit:
            return f" ({size.bytes / unit:.3g} {name})"
    return f" ({size.bytes} bytes)"

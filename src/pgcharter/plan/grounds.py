"""On what ground a plan stands: what it changes, as that was when the plan was made, so that no old plan is run on a changed database."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pgcharter.catalog.model import Catalog
    from pgcharter.names import ObjectId
    from pgcharter.plan.model import Operation, Plan

MARK = "Before"
"""Word of the line in a migration's header that holds the ground."""
_KINDS = frozenset(
    ("table", "column", "index", "constraint", "view", "materialized view", "sequence", "function", "procedure", "type", "domain")
)
_NO_MATTER = frozenset(("owner", "acl", "position", "comment", "inherited", "validated"))
"""Fields that differ from one environment to the next, or that no plan fails on."""


def written(plan: Plan) -> str:
    """The ground of a plan on one line: each object it changes, with the checksum of what it changes there; `-` for what it makes.

    Of a plan that renames, only the renames: what follows from them has other names than the database has.
    """
    renames = [o for o in plan.operations if o.change == "rename"]
    ground: dict[str, Any] = {}
    for operation in renames or plan.operations:
        if operation.object.kind in _KINDS and not operation.cause:
            ground.setdefault(str(operation.object), "" if renames else _seen(operation.old, operation))
    return json.dumps({"major": plan.major, **ground}, ensure_ascii=False) if ground else ""


def departures(text: str, catalog: Catalog) -> Iterator[str]:
    """What is not as a plan's ground says, as sentences; nothing for a text that is no ground."""
    try:
        ground = json.loads(text)
    except ValueError:
        return
    if not isinstance(ground, dict):
        return
    there: Mapping[str, tuple[ObjectId, object]] = {str(address): (address, item) for address, item in catalog.objects()}
    same = ground.pop("major", 0) == catalog.major
    for address, mark in ground.items():
        found = there.get(address)
        if mark == "-" and found:
            yield f"{address} is there already"
        elif mark != "-" and not found:
            yield f"{address} is gone"
        elif found and same and mark not in ("-", "") and _mark(found[1], _fields(mark)) != mark:
            yield f"{address} is not as it was"


def _seen(old: Any, operation: Operation) -> str:
    """What stands for an object in the ground: `-` for none, else a checksum, behind the names of the fields that it covers."""
    return "-" if old is None else _mark(old, operation.fields)


def _mark(item: Any, fields: tuple[str, ...]) -> str:
    from pgcharter.catalog import codec

    data = _bare(codec.plain(item))
    if fields and not set(fields) - _NO_MATTER:
        return ""
    text = json.dumps({n: v for n, v in data.items() if not fields or n in fields}, sort_keys=True, ensure_ascii=False)
    return f"{','.join(fields)}:{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _bare(data: Any) -> Any:
    if isinstance(data, list):
        return [_bare(one) for one in data]
    return {n: _bare(v) for n, v in data.items() if n not in _NO_MATTER} if isinstance(data, Mapping) else data


def _fields(mark: str) -> tuple[str, ...]:
    names = mark.rpartition(":")[0]
    return tuple(names.split(",")) if names else ()

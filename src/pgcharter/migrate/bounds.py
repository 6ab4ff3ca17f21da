"""Values that a table's place among others asks for: within the bounds of its partition, and apart from itself."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pgcharter.catalog.model import Catalog, Table
from pgcharter.migrate.generating import Want
from pgcharter.migrate.values import NOTHING, between, chosen


def apart_from_itself(want: Want) -> None:
    """Leave a foreign key of several columns that leads to its own table empty where it may be: its columns depend on each other."""
    others = {c for fk in want.foreign_keys if fk.references != want.table.id for c in fk.columns} | {c for key in want.keys for c in key}
    for fk in want.foreign_keys:
        if fk.references == want.table.id and len(fk.columns) > 1:
            free = [c for c in fk.columns if c not in others and not want.table.column[c].not_null]
            want.chosen.update(dict.fromkeys(free[:1], NOTHING))


_RANGE = re.compile(r"FOR VALUES FROM \((?P<low>.*)\) TO \((?P<high>.*)\)\Z", re.DOTALL)
_LIST = re.compile(r"FOR VALUES IN \((?P<values>.*)\)\Z", re.DOTALL)
_ITEM = re.compile(r"'(?:[^']|'')*'|[^,'()\s][^,']*")


def into_partition(want: Want, catalog: Catalog) -> None:
    """Choose values of the partition key within the bounds of the partition, and of those it is a part of."""
    table: Table | None = want.table
    while table is not None and table.partition_of:
        parent = catalog.table.get(table.partition_of)
        for column, low, high, listed in _bounds(table, parent) if parent else ():
            kind = want.table.column[column].type
            found = chosen(tuple(f"{v}::{kind.sql}" for v in listed), kind) if listed else between(kind, low, high, want.rows)
            if found and column not in want.chosen:
                want.chosen[column] = found
        table = parent


def _bounds(table: Table, parent: Table) -> Iterable[tuple[str, str, str, tuple[str, ...]]]:
    """Column, low and high end, or the values, for each part of the partition key that the bounds say something of."""
    ranged, listed = _RANGE.match(table.partition_bound), _LIST.match(table.partition_bound)
    if listed and parent.partition_columns[0]:
        items = tuple(v for v in _ITEM.findall(listed["values"]) if v.strip().upper() != "NULL")
        return [(parent.partition_columns[0], "", "", items)] if items else []
    if not ranged or not parent.partition_columns[0]:
        return []
    low, high = _ITEM.findall(ranged["low"])[0].strip(), _ITEM.findall(ranged["high"])[0].strip()
    return [] if "MINVALUE" in (low, high) or "MAXVALUE" in (low, high) else [(parent.partition_columns[0], low, high, ())]

"""Which statements take data away for good. From their text alone: what a table holds is not looked at."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pgcharter.migrate.model import Migration, Unit
from pgcharter.sqltext import enum_name, parse

_HINT = re.compile(r"\b(?:drop|truncate|delete)\b", re.IGNORECASE)
_KEEPS_DATA = frozenset(("OBJECT_TABLE", "OBJECT_SCHEMA", "OBJECT_SEQUENCE", "OBJECT_EXTENSION", "OBJECT_FOREIGN_SERVER"))


def losses(units: Iterable[Unit]) -> tuple[str, ...]:
    """The statements of `units` that take data away, as written: DROP TABLE, SCHEMA, SEQUENCE, EXTENSION, DATABASE and COLUMN, DROP of
    anything with CASCADE, TRUNCATE, DELETE and DROP OWNED. What a function or a DO block does inside is not seen."""
    texts = [sql for unit in units for sql in unit.statements if _HINT.search(sql)]
    return tuple(s.text for sql in texts for s in parse(sql, "").statements if _LOSES.get(s.kind, lambda _: False)(s.node))


def _drops_column(node: Any) -> bool:
    return any(enum_name(c.alter_table_cmd, "subtype") == "AT_DropColumn" for c in node.cmds)


def _drops(node: Any) -> bool:
    return enum_name(node, "remove_type") in _KEEPS_DATA or enum_name(node, "behavior") == "DROP_CASCADE"


def _deletes(node: Any) -> bool:
    """Any rows but those of the record of what policies made, which says nothing that the policies do not."""
    return (node.relation.schemaname, node.relation.relname) != ("pgcharter", "managed_objects")


_LOSES: Mapping[str, Callable[[Any], bool]] = {
    "drop_stmt": _drops,
    "alter_table_stmt": _drops_column,
    "truncate_stmt": lambda _: True,
    "delete_stmt": _deletes,
    "drop_owned_stmt": lambda _: True,
    "dropdb_stmt": lambda _: True,
}


def needs_backup(migration: Migration, units: Iterable[Unit]) -> str:
    """The first statement that takes data away, on one line; empty when none does."""
    found = losses(units)
    return f"{migration.title}: {' '.join(found[0].split())[:100]}" if found else ""

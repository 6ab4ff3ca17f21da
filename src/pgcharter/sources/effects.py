"""What a statement would make, by its parse tree, and what PostgreSQL's message says is missing."""

from __future__ import annotations

import re
from typing import Any

from pgcharter.sqltext import Statement

_MISSING = re.compile(
    r"(?:relation|type|schema|table|view|index|sequence|extension|operator class|text search configuration|collation|column|domain"
    r"|publication|server|constraint|function|procedure|materialized view|language|access method)"
    r' "(?P<name>[^"]+)"(?: of .*)? does not exist'
)
_FUNCTION = re.compile(r"(?:function|procedure|aggregate) (?P<name>[^(]+)\(.*\) does not exist")
_COLUMN = re.compile(r'column "?(?P<name>[^"]+)"? does not exist')


def missing_name(message: str) -> str:
    """The last name of what PostgreSQL says does not exist, unqualified; empty when the message is of another kind."""
    found = _MISSING.search(message) or _FUNCTION.search(message) or _COLUMN.search(message)
    if not found:
        return ""
    return found["name"].rpartition(".")[2].strip('"')


def makes(statement: Statement) -> list[str]:
    """Unqualified names of what `statement` would have made: relations, types, schemas, functions, added columns."""
    node, kind = statement.node, statement.kind
    if kind in ("create_stmt", "create_foreign_table_stmt"):
        base = node.base_stmt if kind == "create_foreign_table_stmt" else node
        return [base.relation.relname]
    if kind == "view_stmt":
        return [node.view.relname]
    if kind == "create_table_as_stmt":
        return [node.into.rel.relname]
    if kind in ("create_enum_stmt", "create_range_stmt"):
        return [_last(node.type_name)]
    if kind == "composite_type_stmt":
        return [node.typevar.relname]
    if kind == "create_domain_stmt":
        return [_last(node.domainname)]
    if kind == "create_schema_stmt":
        return [node.schemaname]
    if kind == "create_seq_stmt":
        return [node.sequence.relname]
    if kind == "create_function_stmt":
        return [_last(node.funcname)]
    if kind == "index_stmt":
        return [node.idxname]
    if kind == "define_stmt":
        return [_last(node.defnames)]
    if kind == "rename_stmt":
        return [node.newname]
    if kind == "alter_table_stmt":
        return [name for name in (_added(c.alter_table_cmd) for c in node.cmds) if name]
    return []


def _added(command: Any) -> str:
    definition = getattr(command, "def")
    which = definition.WhichOneof("node")
    if which == "column_def":
        return str(definition.column_def.colname)
    if which == "constraint":
        return str(definition.constraint.conname)
    return ""


def _last(names: Any) -> str:
    return str(names[-1].string.sval) if names else ""


def qualified(statement: Statement) -> list[tuple[str, str]]:
    """Schema (empty where not written) and name of the relation, type or routine that `statement` would make under a name of its own."""
    node, kind = statement.node, statement.kind
    if kind in ("create_stmt", "create_foreign_table_stmt"):
        relation = node.base_stmt.relation if kind == "create_foreign_table_stmt" else node.relation
    elif kind == "view_stmt":
        relation = node.view
    elif kind == "create_table_as_stmt":
        relation = node.into.rel
    elif kind == "create_seq_stmt":
        relation = node.sequence
    elif kind == "composite_type_stmt":
        relation = node.typevar
    elif kind == "index_stmt":
        return [(node.relation.schemaname, node.idxname)] if node.idxname else []
    elif kind in ("create_enum_stmt", "create_range_stmt"):
        return [_pair(node.type_name)]
    elif kind == "create_domain_stmt":
        return [_pair(node.domainname)]
    elif kind == "create_function_stmt":
        return [_pair(node.funcname)]
    else:
        return []
    return [(relation.schemaname, relation.relname)]


def _pair(names: Any) -> tuple[str, str]:
    parts = [n.string.sval for n in names]
    return (parts[-2] if len(parts) > 1 else "", parts[-1])

"""Recognising `ALTER … OWNER TO role`, the one statement of a file under check that a superuser may run for it."""

from __future__ import annotations

from typing import NamedTuple

from pgcharter.errors import RefusedError
from pgcharter.sqltext import Statement, enum_name, parse

_NAMES = """
AGGREGATE COLLATION CONVERSION DOMAIN FOREIGN_TABLE FUNCTION INDEX MATVIEW OPCLASS OPERATOR OPFAMILY PROCEDURE PUBLICATION ROUTINE
SCHEMA SEQUENCE STATISTIC_EXT TABLE TSCONFIGURATION TSDICTIONARY TYPE VIEW
"""
_KINDS = frozenset(f"OBJECT_{name}" for name in _NAMES.split())
"""Objects whose change of owner runs nothing; not event triggers, databases, languages, foreign-data wrappers, subscriptions."""


class Change(NamedTuple):
    """One `ALTER … OWNER TO`."""

    text: str
    role: str


def change(text: str) -> Change:
    """Return the change of owner that the text consists of. Raises RefusedError when it is not exactly one such statement."""
    parsed = parse(text, "statement")
    if len(parsed.statements) == 1 and not parsed.errors and not parsed.metas and not parsed.statements[0].variables:
        statement = parsed.statements[0]
        if role := _table_owner(statement) or _other_owner(statement):
            return Change(statement.text, role)
    raise RefusedError("only one ALTER … OWNER TO statement is run with more rights than the SQL under check has")


def _table_owner(statement: Statement) -> str:
    node = statement.node
    if statement.kind != "alter_table_stmt" or len(node.cmds) != 1 or enum_name(node, "objtype") not in _KINDS:
        return ""
    command = node.cmds[0].alter_table_cmd
    return str(command.newowner.rolename) if enum_name(command, "subtype") == "AT_ChangeOwner" else ""


def _other_owner(statement: Statement) -> str:
    node = statement.node
    if statement.kind != "alter_owner_stmt" or enum_name(node, "object_type") not in _KINDS:
        return ""
    return str(node.newowner.rolename)

"""What a clause's own SQL may be: one query that only reads."""

from __future__ import annotations

from typing import Any

from pgcharter.errors import PgcharterError
from pgcharter.guides.model import Clause

LONGEST = 600
"""Seconds a check may take at most."""
_WRITES = {"InsertStmt": "INSERT", "UpdateStmt": "UPDATE", "DeleteStmt": "DELETE", "MergeStmt": "MERGE"}


def wrong_check(clause: Clause) -> tuple[str, str] | None:
    """The key that is at fault and what is wrong with the own check of `clause`; None when it may be asked."""
    if not clause.sql.strip() or clause.proof != "sql":
        return "proof", f'clause {clause.id} has own SQL only together with proof = "sql", and the other way round'
    if clause.rules:
        return "rules", f"clause {clause.id} is proven by its own SQL and names rules as well; make two clauses of it"
    if not 1 <= clause.timeout <= LONGEST:
        return "timeout", f"timeout of clause {clause.id} must be between 1 and {LONGEST} seconds, not {clause.timeout}"
    why = _not_a_query(clause.sql)
    return ("sql", f"own SQL of clause {clause.id} must be one query that only reads: {why}") if why else None


def _not_a_query(sql: str) -> str:
    """Why `sql` is something else than one reading query; empty when it is one."""
    from pgcharter.sqltext import parse, walk

    try:
        parsed = parse(sql, "sql")
    except PgcharterError as error:
        return error.message
    if parsed.errors:
        return f"{parsed.errors[0].message} (line {parsed.errors[0].place.line} of it)"
    if len(parsed.statements) != 1 or parsed.metas:
        return f"it holds {len(parsed.statements)} statements"
    statement = parsed.statements[0]
    if statement.kind != "select_stmt":
        return f"it is a {statement.kind.removesuffix('_stmt').replace('_', ' ')} statement"
    return next(filter(None, (_writing(name, m) for name, m in walk(statement.node))), "")


def _writing(name: str, message: Any) -> str:
    if name in _WRITES:
        return f"it holds {_WRITES[name]}"
    if name == "SelectStmt" and message.HasField("into_clause"):
        return "it makes a table (INTO)"
    return "it locks rows (FOR UPDATE or SHARE)" if name == "LockingClause" else ""

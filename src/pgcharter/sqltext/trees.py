"""Trees of the parser: an expression back as text, and whether two texts say the same."""

from __future__ import annotations

from typing import Any

from pgcharter.sqltext import enum_name, parse
from pgcharter.sqltext.parser import _postgast, _tree

_NOT_SAID = ("location", "stmt_location", "stmt_len", "pct_type")


def expression(node: Any) -> str:
    """An expression as SQL, in the parser's own spelling."""
    tree = _tree("SELECT 1")
    tree.stmts[0].stmt.select_stmt.target_list[0].res_target.val.CopyFrom(node)
    return str(_postgast().deparse(tree)).removeprefix("SELECT ")


def column(node: Any, *without: str) -> str:
    """A column as ADD COLUMN writes it, without constraints of these kinds (`CONSTR_CHECK`, ...)."""
    tree = _tree("ALTER TABLE t ADD COLUMN c int")
    definition = getattr(tree.stmts[0].stmt.alter_table_stmt.cmds[0].alter_table_cmd, "def").column_def
    definition.CopyFrom(node)
    kept = [c for c in node.constraints if enum_name(c.constraint, "contype") not in without]
    del definition.constraints[:]
    definition.constraints.extend(kept)
    return str(_postgast().deparse(tree)).removeprefix("ALTER TABLE t ADD COLUMN ")


def same(one: str, other: str) -> bool:
    """Whether two texts of SQL are the same statements, however they are spelled."""
    left, right = parse(one, ""), parse(other, "")
    if left.errors or right.errors:
        return False
    return [said(s.node) for s in left.statements] == [said(s.node) for s in right.statements]


def said(node: Any) -> Any:
    """What a message says, without where it stands. A column's constraints are in one order; an identity column is never null anyway."""
    kind, found = node.DESCRIPTOR.name, []
    for field, value in node.ListFields():
        if field.name in _NOT_SAID:
            continue
        if hasattr(value, "DESCRIPTOR"):
            inner: Any = said(value)
        elif field.message_type is not None:
            inner = [said(one) for one in value]
        else:
            inner = value if isinstance(value, str | int | float | bool | bytes) else list(value)
        if kind == "Constraint" and field.name == "options":
            inner = sorted(inner, key=repr)
        if kind == "ColumnDef" and field.name == "constraints":
            inner = _constraints(value)
        found.append((field.name, inner))
    return kind, found


def _constraints(items: Any) -> list[Any]:
    """A column's constraints in one order, without a NOT NULL that goes without saying."""
    kinds = {enum_name(item.constraint, "contype") for item in items}
    wanted = [
        item
        for item in items
        if not ("CONSTR_IDENTITY" in kinds and enum_name(item.constraint, "contype") == "CONSTR_NOTNULL" and not item.constraint.conname)
    ]
    return sorted((said(item) for item in wanted), key=repr)

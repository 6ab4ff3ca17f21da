"""The statements that stand plainly in a DO block in PL/pgSQL, or as a literal behind EXECUTE."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from pgcharter.sqltext import Statement, parse
from pgcharter.sqltext.parser import _postgast, refusals

_LOOPS = ("PLpgSQL_stmt_loop", "PLpgSQL_stmt_while", "PLpgSQL_stmt_fori", "PLpgSQL_stmt_fors", "PLpgSQL_stmt_forc",
          "PLpgSQL_stmt_foreach_a", "PLpgSQL_stmt_dynfors")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Inner:
    """A statement of a block."""

    statement: Statement
    """Placed at its own line; its kind, node and text are those of the statement alone."""
    looped: bool
    """Whether it stands in a loop."""


@lru_cache(maxsize=1024)
def inside(statement: Statement) -> tuple[Inner, ...]:
    """The statements of a `do_stmt`, in order; none of a block in another language, or that the parser does not understand."""
    try:
        tree = _postgast().parse_plpgsql(statement.text)
    except refusals() + (ValueError, RecursionError):  # noqa: RUF005
        return ()
    above = statement.text[: _body(statement)].count("\n") - 1
    found = []
    for text, line, looped in _queries(json.loads(tree) if isinstance(tree, str) else tree, looped=False):
        parsed = parse(text, statement.place.file)
        if len(parsed.statements) == 1 and not parsed.errors:
            one = parsed.statements[0]
            place = replace(one.place, line=statement.place.line + above + line, column=1, end_line=0)
            found.append(Inner(replace(one, place=place), looped))
    return tuple(found)


def _body(statement: Statement) -> int:
    """Characters before the body of a DO."""
    body = next((a.def_elem.arg.string.sval for a in statement.node.args if a.def_elem.defname == "as"), "")
    return max(statement.text.find(body), 0)


def _queries(node: Any, *, looped: bool) -> Iterator[tuple[str, int, bool]]:
    """Text and line of the SQL statements in a tree of PL/pgSQL, and whether they stand in a loop."""
    if isinstance(node, list):
        for item in node:
            yield from _queries(item, looped=looped)
    elif isinstance(node, dict):
        for name, inner in node.items():
            if name == "PLpgSQL_stmt_execsql":
                yield inner["sqlstmt"]["PLpgSQL_expr"]["query"], inner.get("lineno", 1), looped
            elif name == "PLpgSQL_stmt_dynexecute" and (text := _literal(inner["query"]["PLpgSQL_expr"]["query"])):
                yield text, inner.get("lineno", 1), looped
            else:
                yield from _queries(inner, looped=looped or name in _LOOPS)


def _literal(expression: str) -> str:
    """The text of an expression that is nothing but a string; empty for others."""
    parsed = parse(f"SELECT {expression}", "")
    targets = [t.res_target.val.a_const.sval.sval for s in parsed.statements if s.kind == "select_stmt" for t in s.node.target_list]
    return targets[0] if len(targets) == 1 else ""

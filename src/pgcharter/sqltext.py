"""SQL as text: statements, their kinds and places, comments and suppressions. The only module that touches the C parser (postgast)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pgcharter.findings import Place


@dataclass(frozen=True, slots=True)
class Allow:
    """A suppression comment: `-- pgcharter: allow KEY01, IDX03 because it is a log`."""

    codes: tuple[str, ...]
    """Rule codes or slugs, as written."""
    reason: str
    place: Place


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement of a file."""

    kind: str
    """Name of the parser's node in snake case: `create_stmt`, `index_stmt`, `alter_table_stmt`, ..."""
    text: str
    """The statement itself, without leading comments and without its semicolon."""
    place: Place
    """Where its first word stands."""
    offset: int = 0
    """Characters before it in its file."""
    node: Any = None
    """The parser's message of that kind."""
    allows: tuple[Allow, ...] = ()
    direction: str = "up"
    """up or down, in migration files with both sections."""

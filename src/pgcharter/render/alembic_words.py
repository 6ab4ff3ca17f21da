"""The pieces that calls of Alembic's operations are written of. Pure text."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any


class UnsaidError(Exception):
    """Alembic has no operation for this."""


def literal(value: str) -> str:
    """A Python string."""
    return json.dumps(value, ensure_ascii=False)


def call(function: str, /, *arguments: str, **options: str) -> str:
    """A call; options without a value are left out. It is broken over lines where it is long."""
    given = [a for a in arguments if a] + [f"{key}={value}" for key, value in options.items() if value]
    flat = f"{function}({', '.join(given)})"
    if len(flat) <= 110:
        return flat
    return f"{function}(\n" + "".join("    " + a.replace("\n", "\n    ") + ",\n" for a in given) + ")"


def text(value: str) -> str:
    """A Python string; nothing of an empty one."""
    return literal(value) if value else ""


def names(values: Sequence[str]) -> str:
    """A list of Python strings."""
    return f"[{', '.join(map(literal, values))}]"


def strings(items: Any) -> list[str]:
    """The strings of a list of nodes."""
    return [i.string.sval for i in items]


def named(value: str) -> str:
    """A constraint's name as it is, whatever naming convention the project has. Raises UnsaidError for one that has none."""
    if not value:
        raise UnsaidError
    return f"op.f({literal(value)})"


def bound(sql: str) -> str:
    """SQL for `sa.text`, with colons protected from being taken for bound values."""
    return re.sub(r"(?<![:\w]):(?=[\w$])", r"\:", sql)

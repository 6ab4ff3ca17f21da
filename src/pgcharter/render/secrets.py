"""Passwords kept out of what leaves the machine: every text inside a document."""

from __future__ import annotations

from typing import Any

from pgcharter.redact import redact


def without_secrets(data: Any) -> Any:
    """`data` with every text in it redacted, names of fields left alone."""
    if isinstance(data, str):
        return redact(data)
    if isinstance(data, dict):
        return {key: without_secrets(value) for key, value in data.items()}
    return [without_secrets(value) for value in data] if isinstance(data, (list, tuple)) else data


def fix_lines(statements: tuple[str, ...]) -> list[str]:
    """The lines of a fix, each statement with its semicolon."""
    return [redact(line) for statement in statements for line in (statement.rstrip().rstrip(";") + ";").split("\n")]

"""Conditions of mappings: `column op literal`, `column is [not] null`, `column [not] in (literal, …)`.

They hold as in SQL: what is compared with NULL does not hold. Text is compared by its characters' code points.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from pgcharter.errors import CharterError
from pgcharter.stream.values import load, plain

Holds = Callable[[Any], bool]
_LITERAL = r"'(?:[^']|'')*'|[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|true|false"
_CONDITION = re.compile(
    r"""\s*(?P<column>"(?:[^"]|"")+"|[^\W\d][\w$]*)\s*(?:
        (?P<op>=|<>|!=|<=|>=|<|>)\s*(?P<literal>{literal})
        |\bis\s+(?P<isnot>not\s+)?null
        |\b(?P<notin>not\s+)?in\s*\(\s*(?P<list>(?:{literal})(?:\s*,\s*(?:{literal}))*)\s*\)
    )\s*""".replace("{literal}", _LITERAL),
    re.VERBOSE | re.IGNORECASE,
)
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "<>": operator.ne, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_TEXTS = ("text", "character varying", "bpchar", "name", '"char"')
_UNORDERED = "a filter orders numbers, text, dates and times only"


@dataclass(frozen=True)
class Condition:
    """A condition as it is written."""

    text: str
    place: str
    column: str
    op: str
    """=, <>, <, <=, >, >=, in, not in, null, not null."""
    literals: tuple[str, ...] = ()

    def of(self, type: str) -> Holds:  # noqa: A002
        """The condition on Python values of a column of this type. Raises CharterError where its literals are none of that type."""
        if self.op in ("null", "not null"):
            return (lambda v: v is None) if self.op == "null" else (lambda v: v is not None)
        if self.op in ("<", "<=", ">", ">=") and load(type) is None and plain(type) not in _TEXTS:
            raise self._error(f"compares {type} by {self.op}, which has another order in PostgreSQL", _UNORDERED)
        norm = _norm(type)
        wanted = [norm(self._value(text, type)) for text in self.literals]
        if self.op in ("in", "not in"):
            return lambda v: v is not None and (norm(v) in wanted) == (self.op == "in")
        compare, literal = _OPERATORS[self.op], wanted[0]
        return lambda v: v is not None and compare(norm(v), literal)

    def _value(self, text: str, type: str) -> Any:  # noqa: A002
        made = load(type)
        try:
            found = made(text) if made else text
        except (ValueError, ArithmeticError):
            found = text
        if isinstance(found, str) and made is not None and not _far(found):
            raise self._error(f"compares a column of type {type} with {text!r}", "write a value of that type")
        if isinstance(found, datetime) and plain(type) == "timestamp with time zone" and found.tzinfo is None:
            return found.replace(tzinfo=UTC)
        return found

    def _error(self, what: str, hint: str) -> CharterError:
        return CharterError(f"condition {self.text!r} {what}", hint=hint, place=self.place)


def parse(text: str, place: str) -> Condition:
    """A condition. Raises CharterError for what is none."""
    found = _CONDITION.fullmatch(text)
    if found is None:
        hint = "write column = 'text', column <> 5, column is null, column is not null, column in ('a', 'b')"
        raise CharterError(f"condition {text!r} cannot be read", hint=hint, place=place)
    name = found["column"]
    column = name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()
    if found["op"]:
        return Condition(text, place, column, found["op"], (_unquoted(found["literal"]),))
    if found["list"]:
        literals = tuple(_unquoted(x) for x in re.findall(_LITERAL, found["list"], re.IGNORECASE))
        return Condition(text, place, column, "not in" if found["notin"] else "in", literals)
    return Condition(text, place, column, "not null" if found["isnot"] else "null")


def _unquoted(literal: str) -> str:
    return literal[1:-1].replace("''", "'") if literal.startswith("'") else literal.lower()


def _far(text: str) -> bool:
    """Whether it is a time that Python does not hold."""
    return text in ("infinity", "-infinity") or text.endswith(" BC") or re.match(r"\d{5,}-", text) is not None


def _norm(type: str) -> Callable[[Any], Any]:  # noqa: A002
    """What values of a type are compared as."""
    bare = plain(type)
    if bare == "bpchar":
        return lambda v: v.rstrip(" ")
    if bare.startswith(("date", "timestamp")):
        return lambda v: (0, v) if isinstance(v, date) else (-1 if v.startswith("-") or v.endswith("BC") else 1, v)
    return lambda v: v

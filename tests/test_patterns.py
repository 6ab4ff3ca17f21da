"""Regular expressions keep clear of what some supported Pythons match wrongly."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

import pgcharter

SINGLE = (_constants.LITERAL, _constants.NOT_LITERAL, _constants.IN, _constants.ANY)


def patterns() -> Iterator[tuple[str, re.Pattern[str]]]:
    for found in pkgutil.walk_packages(pgcharter.__path__, "pgcharter."):
        if not found.name.startswith(("pgcharter.__main__", "pgcharter.examples.")):
            module = importlib.import_module(found.name)
            yield from ((f"{found.name}.{name}", value) for name, value in vars(module).items() if isinstance(value, re.Pattern))


def possessive_groups(node: Any) -> Iterator[Any]:
    for item in node if isinstance(node, (list, tuple, _parser.SubPattern)) else ():
        if isinstance(item, tuple) and len(item) == 2:
            kind, argument = item
            if kind is _constants.ATOMIC_GROUP:
                yield item
            if kind is _constants.POSSESSIVE_REPEAT and not (len(argument[2]) == 1 and argument[2][0][0] in SINGLE):
                yield item
            yield from possessive_groups(argument)
        else:
            yield from possessive_groups(item)


def test_no_group_is_possessive() -> None:
    """Python 3.11.0 to 3.11.4 (Debian 12 has 3.11.2) lose their place in such groups: gh-101955, gh-106052."""
    assert list(possessive_groups(_parser.parse(r"(?:ab|c)*+")))
    assert not list(possessive_groups(_parser.parse(r"(?:[ab]*+|c)*")))
    found = dict(patterns())
    assert len(found) > 50
    assert [name for name, pattern in found.items() if list(possessive_groups(_parser.parse(pattern.pattern, pattern.flags)))] == []

"""Which policies there are, in the order in which they are applied, and which of them a charter chooses."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pgcharter.charter import Charter, Section
    from pgcharter.policy.model import Policy

NAMES = ("tenancy", "encryption", "roles")
"""Policies as their sections are called. Each has a module of settings with its `SECTION`, and one with the `policy` made from its values.
Roles come last of all: they grant what the others have made."""


def sections() -> tuple[Section[Any], ...]:
    """The charter's sections that declare policies."""
    return tuple(_section(name) for name in NAMES)


def chosen(charter: Charter) -> tuple[Policy, ...]:
    """The policies whose sections stand in the charter."""
    declared = (name for name in NAMES if name in charter.sections)
    return tuple(import_module(f"pgcharter.policy.{name}").policy(charter.section(_section(name))) for name in declared)


def _section(name: str) -> Section[Any]:
    found: Section[Any] = import_module(f"pgcharter.policy.{name}_settings").SECTION
    return found

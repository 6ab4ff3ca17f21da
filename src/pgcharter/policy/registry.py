"""Which policies there are, in the order in which they are applied, and which of them a charter chooses."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pgcharter.charter import Charter, Section
    from pgcharter.policy.model import Policy

NAMES = ("tenancy", "audit", "encryption", "roles")
"""Policies as their sections are called. Each has a module of settings with its `SECTION`, and one with the `policy` made from its values.
Roles come last of all: they grant what the others have made."""

KEEP = {
    "audit": "[audit] is not in the charter any more, and what it recorded would be lost with pgcharter.audit_log: write [audit] with"
    ' nothing in it to keep the trail, or trail = "drop" in it to lose it'
}
"""Policies that hold data of their own, with what is asked when their section is gone: nobody loses that by leaving something out."""


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

"""Which policies there are, in the order in which they are applied, and which of them a charter chooses."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pgcharter.charter import Charter, Section
from pgcharter.policy.model import Policy

MODULES = ("roles",)
"""Modules of this package with a `SECTION` of the charter and a `policy` made from its values. Roles come last of all: they grant what the
others have made."""


def sections() -> tuple[Section[Any], ...]:
    """The charter's sections that declare policies."""
    return tuple(_module(name).SECTION for name in MODULES)


def chosen(charter: Charter) -> tuple[Policy, ...]:
    """The policies whose sections stand in the charter."""
    found = ((_module(name), _module(name).SECTION) for name in MODULES)
    return tuple(module.policy(charter.section(section)) for module, section in found if section.name in charter.sections)


def _module(name: str) -> Any:
    return import_module(f"pgcharter.policy.{name}")

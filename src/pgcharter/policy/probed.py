"""What a probe has seen: attacks, each with what was expected and what was observed. Counts and statements, never a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pgcharter.findings import Gap
from pgcharter.names import ObjectId


@dataclass(frozen=True, slots=True, order=True)
class Hole:
    """One difference between what should be possible and what was."""

    object: ObjectId
    role: str
    """Empty: anybody who can log in."""
    attack: str
    """What was tried, in a word or two: SELECT, INSERT, unique key."""
    context: str
    """Whose context was set: `own tenant`, `no tenant`, `empty tenant`."""
    expected: str
    observed: str
    """In words, with counts."""
    statement: str
    """What shows it, as it can be run; values are made up."""
    remedy: str = ""
    """SQL that closes it."""
    weak: bool = False
    """Tells or ties something, but shows and changes no row of another."""


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """What one role could do with one object in the context of its own tenant."""

    object: ObjectId
    role: str
    verbs: tuple[str, ...]
    """Verbs that were let through for its own rows: SELECT, INSERT, UPDATE, DELETE, TRUNCATE, EXECUTE."""


@dataclass(frozen=True)
class Probed:
    """The result of a probe."""

    holes: tuple[Hole, ...] = ()
    cells: tuple[Cell, ...] = ()
    roles: tuple[str, ...] = ()
    """Roles that were attacked with; the empty one is a login without any right of its own."""
    above: Mapping[str, str] = field(default_factory=dict)
    """Roles that were not, because they stand above tenants, and why."""
    guarded: tuple[ObjectId, ...] = ()
    """Tables whose rows should be kept apart."""
    attacks: int = 0
    """Statements that were tried, each with and without the rows of others."""
    gaps: tuple[Gap, ...] = ()
    """What could not be probed, and why."""

"""Findings: what is not up to standard, as values. Never raised, never printed here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import IntEnum
from typing import Any

from pgcharter.names import ObjectId


class Severity(IntEnum):
    """How much a finding matters; ordered, so `>=` compares."""

    INFO = 1
    """House style or documentation: nothing breaks."""
    WARNING = 2
    """Costs performance, safety margin or clarity, and will hurt as the system grows."""
    ERROR = 3
    """Does real harm: lost or wrong data, a hole in security, an outage waiting."""

    @property
    def word(self) -> str:
        """The lower-case word used on the command line, in charters and in output."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A spot in a text: file as the user named it, line and column from 1 (in characters, not bytes)."""

    file: str
    line: int
    column: int = 1
    end_line: int = 0
    """Last line of the statement; 0 when only the beginning is known."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not up to standard."""

    code: str
    """Code of the rule, `KEY01`."""
    message: str
    """One lower-case sentence: names the object, says what is, then what it causes."""
    object: ObjectId | None = None
    place: Place | None = None
    severity: Severity = Severity.WARNING
    hint: str = ""
    """The remedy in words where `fix` cannot say it all."""
    fix: tuple[str, ...] = ()
    """Exact SQL with the user's names that clears the finding, a statement an element, no semicolons. Empty when it takes a decision."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the verdict rests on, JSON-ready: other objects, sizes, types. `detail` tells apart several findings on one object."""
    clauses: tuple[str, ...] = ()
    """Ids of the guide's clauses this breaks; filled in by the engine."""

    @property
    def key(self) -> str:
        """Stable identity for waivers and known findings: code, object and detail; no line numbers, no wording."""
        where = f"{self.object.kind}:{self.object.sql()}" if self.object else (self.place.file if self.place else "")
        detail = self.facts.get("detail", "")
        return f"{self.code}:{where}" + (f":{detail}" if detail else "")

    def at(self, place: Place | None) -> Finding:
        """The same finding at `place`."""
        return replace(self, place=place)


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that could not be seen, and why: the honest opposite of a finding."""

    what: str
    why: str
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """A dated proof that something promised holds, or does not."""

    name: str
    """What was proven, as clauses of guides name it: `backup.drill`, `health.wraparound`, `retention.audit_log`."""
    holds: bool
    seen: str
    """One lower-case phrase with figures: what was seen."""
    at: datetime
    """When, with its zone."""
    until: datetime | None = None
    """From when on it proves nothing any more; None: it counts until something newer is known."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the verdict rests on, JSON-ready."""

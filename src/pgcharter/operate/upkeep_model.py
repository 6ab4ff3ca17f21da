"""A plan of upkeep: steps with reason, lock and cost; advice for people; what could not be seen or may not be done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pgcharter.findings import Gap

Kind = Literal["leftover", "freeze", "vacuum", "analyze", "reindex", "repack", "refresh"]
KINDS: tuple[Kind, ...] = ("leftover", "freeze", "vacuum", "analyze", "reindex", "repack", "refresh")
"""In the order in which they are done."""
SOFT = "SHARE UPDATE EXCLUSIVE: readers and writers go on"
HARD = "ACCESS EXCLUSIVE: readers wait"
BESIDE = "EXCLUSIVE: readers go on"
MOMENT = "ACCESS EXCLUSIVE, for a moment at both ends"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is done."""

    kind: Kind
    object: str
    """Name of a table, index or view, as SQL has it."""
    sql: str
    """Statement, or the command of pg_repack."""
    reason: str
    lock: str
    cost: str
    """What it reads and writes."""
    facts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Advice:
    """Something that only a person can decide."""

    kind: str
    object: str
    says: str
    sql: str = ""


@dataclass(frozen=True, slots=True)
class UpkeepPlan:
    """What upkeep would do now."""

    database: str
    steps: tuple[Step, ...]
    advice: tuple[Advice, ...] = ()
    gaps: tuple[Gap, ...] = ()
    """What could not be seen, and what may not be done."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a step ended."""

    step: Step
    status: Literal["done", "failed", "left"]
    seconds: float = 0.0
    error: str = ""
    """Why it failed, or was left for the next time."""

"""Which guide a schema already follows most: each guide's house style held against it, rule by rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from pgcharter.catalog.reading import Reading
from pgcharter.guides.model import Guide
from pgcharter.guides.options import Options
from pgcharter.rules import engine

_PLAIN = Options()


@dataclass(frozen=True)
class Candidate:
    """A guide beside a schema."""

    guide: Guide
    asked: int
    """House rules that it has and that could look."""
    deviations: Counter[str]
    """Findings of those rules by code."""
    tables: int

    @property
    def followed(self) -> int:
        """House rules that found nothing."""
        return self.asked - len(self.deviations)

    @property
    def distance(self) -> float:
        """0 follows everything, 1 nothing: the mean over its rules of the share of tables that deviate.

        A quarter of a deviation more is taken for granted, so that a guide that hardly asks for anything does not win by silence.
        """
        shares = sum(min(1.0, count / self.tables) for count in self.deviations.values())
        return (shares + 0.25) / (self.asked + 1)


def candidates(reading: Reading, guides: Iterable[Guide]) -> list[Candidate]:
    """`guides` by their distance from `reading`, the nearest first; empty when it has no table to judge by."""
    tables = len(reading.catalog.root_tables) if reading.catalog else sum(s.kind == "create_stmt" for s in reading.statements)
    if not tables:
        return []
    found = [_candidate(reading, guide, tables) for guide in guides]
    return sorted((c for c in found if c.asked), key=lambda c: c.distance)


def _candidate(reading: Reading, guide: Guide, tables: int) -> Candidate:
    style = {code for code, rule in engine.load().items() if code in guide.rules and any(_chosen(guide, name) for name in rule.options)}
    result = engine.run(reading, guide, only=style) if style else None
    looked = style & {*result.ran} if result else set()
    deviations = Counter(f.code for f in result.findings if f.code in style) if result else Counter()
    return Candidate(guide, len(looked | deviations.keys()), deviations, tables)


def _chosen(guide: Guide, option: str) -> bool:
    """Whether the guide decides this option itself."""
    value = getattr(guide.options, option)
    return bool(value) and value != getattr(_PLAIN, option)

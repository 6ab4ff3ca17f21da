"""Proofs by evidence: which kinds there are, who yields them, and what the newest of each says. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from pgcharter.findings import Evidence

YIELDS: Mapping[str, str] = {
    "advise": "pgcharter advise",
    "backup": "pgcharter backup drill",
    "business": "pgcharter business check",
    "health": "pgcharter health",
    "jobs": "pgcharter jobs run",
    "partitions": "pgcharter partitions run",
    "policy": "pgcharter policy verify",
    "probe": "pgcharter security probe",
    "purge": "pgcharter retention run",
    "retention": "pgcharter retention run",
    "sync": "pgcharter sync reconcile",
    "upkeep": "pgcharter upkeep run",
}
"""Family of evidence, which its name begins with → the command that yields it."""


class Kept:
    """What is known, the newest of each name."""

    def __init__(self, evidence: Iterable[Evidence], now: datetime | None) -> None:
        self._newest: dict[str, Evidence] = {}
        self._now = now
        for found in sorted(evidence, key=lambda e: e.at):
            self._newest[found.name] = found

    def _of(self, name: str) -> list[Evidence]:
        """What is known of a name; of `retention.*` everything of that family."""
        if not name.endswith(".*"):
            return [self._newest[name]] if name in self._newest else []
        return [e for n, e in sorted(self._newest.items()) if n.startswith(name[:-1])]

    def against(self, names: Sequence[str]) -> str:
        """What says that it does not hold; empty: nothing does."""
        found = [e for name in names for e in self._of(name) if not e.holds]
        return "; ".join(f"{e.name}: {e.seen}" for e in found)

    def missing(self, names: Sequence[str]) -> str:
        """What nobody has proven, or too long ago; empty: nothing is missing."""
        for name in names:
            found = self._of(name)
            if not found:
                return f"no evidence of {name} yet: {YIELDS[name.partition('.')[0]]}"
            for e in found:
                if e.until is not None and self._now is not None and e.until <= self._now:
                    return (
                        f"{e.name} was proven on {e.at:%Y-%m-%d}, which counted until {e.until:%Y-%m-%d}: {YIELDS[name.partition('.')[0]]}"
                    )
        return ""

    def seen(self, names: Sequence[str]) -> str:
        """What was seen, with its date."""
        return "; ".join(f"{e.at:%Y-%m-%d} {e.seen}" for name in names for e in self._of(name))

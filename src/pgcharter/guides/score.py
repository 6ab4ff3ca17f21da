"""The scorecard: clause by clause, does it hold. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from pgcharter.findings import Evidence, Finding, Gap
from pgcharter.guides.evidence import Kept
from pgcharter.guides.model import OWN, Clause, Guide
from pgcharter.waivers import Waiver

State = Literal["holds", "broken", "unproven", "waived"]
STATES: tuple[State, ...] = ("holds", "broken", "unproven", "waived")
SOURCE_FAMILY = "SRC"
"""Findings of the sources themselves: no rule runs for them, every reading looks."""


class Outcome(Protocol):
    """What the scorecard asks of `rules.engine.Result`."""

    @property
    def findings(self) -> Sequence[Finding]:
        """Everything found and not suppressed."""
        ...

    @property
    def ran(self) -> Sequence[str]:
        """Codes of the rules that could look."""
        ...

    @property
    def not_run(self) -> Mapping[str, str]:
        """Code → why the rule could not look."""
        ...

    @property
    def suppressed(self) -> Sequence[tuple[Finding, str]]:
        """Findings allowed in the SQL, with the reason."""
        ...


@dataclass(frozen=True)
class Verdict:
    """Whether one clause holds, and why one may say so."""

    clause: Clause
    state: State
    reason: str
    """One lower-case phrase: what broke it, what is missing for a proof, who waived it, what was seen. Empty when rules hold."""
    findings: tuple[Finding, ...] = ()
    """The findings that break it, or those that were waived."""


@dataclass(frozen=True)
class Scorecard:
    """Every clause of a guide with its verdict."""

    guide: Guide
    verdicts: tuple[Verdict, ...]
    gaps: tuple[Gap, ...] = ()
    """What could not be seen at all: clauses hold only as far as one could look."""

    @property
    def totals(self) -> dict[State, int]:
        """How many clauses are in each state."""
        return _count(self.verdicts)

    @property
    def sections(self) -> dict[str, dict[State, int]]:
        """The same by top-level section, in the guide's order."""
        grouped: dict[str, list[Verdict]] = {}
        for verdict in self.verdicts:
            grouped.setdefault(verdict.clause.section.partition(" / ")[0], []).append(verdict)
        return {name: _count(verdicts) for name, verdicts in grouped.items()}

    @property
    def provable(self) -> int:
        """How many clauses something other than reading could prove: all but those that are document only."""
        return sum(v.clause.proof != "document" for v in self.verdicts)


def _count(verdicts: Iterable[Verdict]) -> dict[State, int]:
    states = [v.state for v in verdicts]
    return {state: states.count(state) for state in STATES}


def score(
    guide: Guide,
    result: Outcome,
    *,
    waived: Sequence[tuple[Finding, Waiver]] = (),
    gaps: Iterable[Gap] = (),
    evidence: Iterable[Evidence] = (),
    now: datetime | None = None,
) -> Scorecard:
    """Judge every clause of `guide` by the outcome of a check and by the evidence that still counts at `now`.

    `waived` are the findings that waivers of the charter accept (see `waivers.waive`); they may still be among `result.findings`.
    """
    accepted = {f.key for f, _ in waived}
    broken = _by_code(f for f in result.findings if f.key not in accepted)
    excused: dict[str, list[tuple[Finding, str]]] = {}
    for found, why in (*((f, w.reason) for f, w in waived), *result.suppressed):
        excused.setdefault(found.code, []).append((found, why))
    kept = Kept(evidence, now)
    verdicts = tuple(_judge(clause, guide, result, broken, excused, kept) for clause in guide.clauses)
    return Scorecard(guide, verdicts, tuple(gaps))


def _by_code(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    grouped: dict[str, list[Finding]] = {}
    for found in findings:
        grouped.setdefault(found.code, []).append(found)
    return grouped


def _judge(
    clause: Clause,
    guide: Guide,
    result: Outcome,
    broken: Mapping[str, Sequence[Finding]],
    excused: Mapping[str, Sequence[tuple[Finding, str]]],
    kept: Kept,
) -> Verdict:
    against = tuple(f for code in clause.rules for f in broken.get(code, ()))
    if against or kept.against(clause.evidence):
        return Verdict(clause, "broken", "; ".join(filter(None, (_counted(against), kept.against(clause.evidence)))), against)
    live = [code for code in clause.rules if code not in guide.off]
    if clause.rules and not live:
        return Verdict(clause, "waived", f"{', '.join(clause.rules)} switched off by [severity]")
    missing = _missing(clause, live, result) or kept.missing(clause.evidence)
    if missing:
        return Verdict(clause, "unproven", missing)
    allowed = [pair for code in live for pair in excused.get(code, ())]
    reasons = dict.fromkeys(why for _, why in allowed) or (kept.seen(clause.evidence),)
    return Verdict(clause, "waived" if allowed else "holds", "; ".join(reasons), tuple(f for f, _ in allowed))


def _counted(findings: Sequence[Finding]) -> str:
    codes: dict[str, int] = {}
    for found in findings:
        codes[found.code] = codes.get(found.code, 0) + 1
    return ", ".join(f"{number} × {code}" for code, number in codes.items())


def _missing(clause: Clause, live: Sequence[str], result: Outcome) -> str:
    """What is missing before one may say that the clause holds; empty when nothing is."""
    if clause.proof == "document":
        return f"document only: {clause.reason}"
    reasons = {code: _unrun(code, result) for code in live}
    for why in dict.fromkeys(filter(None, reasons.values())):
        codes = ", ".join(code for code, reason in reasons.items() if reason == why)
        return f"{codes}: {why}"
    if clause.requirement:
        return _AWAITED[clause.proof].format(clause.requirement)
    return ""


_AWAITED = {
    "rule": "the rules found nothing; the rest is proven by a feature to come ({})",
    "probe": "needs a probe on a live server, a feature to come ({})",
    "drill": "needs a drill, a feature to come ({})",
    "later": "proven by a feature to come ({})",
}


def _unrun(code: str, result: Outcome) -> str:
    if code in result.ran or code.startswith(SOURCE_FAMILY):
        return ""
    return result.not_run.get(code, "its own SQL was not asked" if code.startswith(OWN) else "not run in this check")

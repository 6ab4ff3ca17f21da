"""The verdict on one target, put together for rendering."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from pgcharter.catalog.model import Table, View
from pgcharter.catalog.reading import Reading
from pgcharter.findings import Finding, Gap, Severity
from pgcharter.known import Entry
from pgcharter.names import ObjectId
from pgcharter.waivers import WaiverProblem


class GuideLabel(Protocol):
    """What a verdict says about its guide."""

    @property
    def id(self) -> str:
        """`cloudlab`."""
        ...

    @property
    def title(self) -> str:
        """Title in words."""
        ...

    @property
    def version(self) -> str:
        """Version of the guide's text."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What a scorecard is made from, taken out of verdicts."""

    findings: tuple[Finding, ...]
    ran: tuple[str, ...]
    not_run: Mapping[str, str]
    suppressed: tuple[tuple[Finding, str], ...]

    @classmethod
    def of(cls, reports: Sequence[Report]) -> Outcome:
        """Of several targets together: a rule has looked when it could look at one of them.

        What is not counted now still breaks its clause, unless someone allowed it.
        """
        found = tuple(f for r in reports for f in (*r.findings, *r.known, *r.unchanged, *r.below))
        ran = dict.fromkeys(code for r in reports for code in r.ran)
        not_run = {code: why for r in reports for code, why in r.not_run.items() if code not in ran}
        return cls(found, tuple(ran), not_run, tuple(pair for r in reports for pair in (*r.suppressed, *r.waived)))


@dataclass(frozen=True)
class Report:
    """One target held against one guide."""

    reading: Reading
    guide: GuideLabel
    findings: tuple[Finding, ...]
    """What counts, worst first."""
    suppressed: tuple[tuple[Finding, str], ...] = ()
    """Allowed by a comment in the SQL, with the reason."""
    waived: tuple[tuple[Finding, str], ...] = ()
    """Allowed by the charter, with the reason."""
    waiver_problems: tuple[WaiverProblem, ...] = ()
    """Waivers that are past their day or cover nothing, or will be soon."""
    known: tuple[Finding, ...] = ()
    """Recorded in the known file: not counted."""
    known_gone: tuple[Entry, ...] = ()
    """Recorded there, and mended since."""
    known_file: str = ""
    """The known file as the user would name it; empty without one."""
    unchanged: tuple[Finding, ...] = ()
    """With `--changed-since`: what the revision had already; not counted."""
    since: str = ""
    """The revision compared with; empty without one."""
    left_out: tuple[tuple[Finding, str], ...] = ()
    """Left out by a [[path]] of the charter, with the place where that stands."""
    below: tuple[Finding, ...] = ()
    """Under `--min-severity`: not shown, but they fail the check like any other."""
    min_severity: Severity = Severity.INFO
    rest: tuple[Finding, ...] = ()
    """Without a charter: what rules outside the guide would say."""
    gaps: tuple[Gap, ...] = ()
    not_run: Mapping[str, str] = field(default_factory=dict)
    """Code → why the rule could not look."""
    ran: tuple[str, ...] = ()
    chosen: bool = True
    """False when nobody chose the guide: no charter and no `--guide`."""
    fail_on: Severity | None = Severity.ERROR
    """Findings at or above it fail the check; None: never."""

    def subject(self, finding: Finding) -> ObjectId | None:
        """The object under which a finding is told: parts and indexes come with their table."""
        owner = finding.object.owner if finding.object else None
        return self._indexed.get(owner, owner) if owner else None

    @cached_property
    def _indexed(self) -> Mapping[ObjectId, ObjectId]:
        catalog = self.reading.catalog
        relations: tuple[Table | View, ...] = (*catalog.tables, *catalog.views) if catalog else ()
        return {index.id: relation.id for relation in relations for index in relation.indexes}

    @property
    def totals(self) -> Mapping[str, int]:
        """Findings by severity word, all three words always there."""
        counts = Counter(f.severity for f in self.findings)
        return {s.word: counts[s] for s in sorted(Severity, reverse=True)}

    @property
    def failed(self) -> bool:
        """Whether a finding is at or above the level that fails, or a waiver is past its day."""
        return self.fail_on is not None and (self.expired or any(f.severity >= self.fail_on for f in (*self.findings, *self.below)))

    @property
    def expired(self) -> bool:
        """Whether a waiver is past its day while what it accepted is still there."""
        return any(p.kind == "expired" for p in self.waiver_problems)

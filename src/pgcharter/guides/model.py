"""What a guide is: numbered clauses, house options and severities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from pgcharter.findings import Severity
from pgcharter.guides.options import Options

Level = Literal["must", "should", "may"]
Proof = Literal["rule", "sql", "probe", "drill", "document", "later"]
OWN = "OWN-"
"""Findings of a clause's own SQL have this and its id as their code."""


@dataclass(frozen=True, slots=True)
class Clause:
    """One thing a guide asks for, and how it is shown to hold."""

    id: str
    """Stable number, unique in the guide and everything it extends: `C3.1.4`."""
    section: str
    """Path of headings: `Schema design / Naming / Index names`."""
    text: str
    """What is asked, in our own words; one sentence without a full stop."""
    level: Level = "must"
    """must, should or may, as RFC 2119 means them."""
    proof: Proof = "rule"
    """rule: by the rules named, now. sql: by its own query. probe: tried or looked at on a live server. drill: rehearsed; both name the
    evidence they need. later: by a feature to come, whose requirement is named. document: not provable, for people to read."""
    rules: tuple[str, ...] = ()
    """Codes of the rules that break this clause when they find something; for proof `sql` the code of its own findings."""
    sql: str = ""
    """A query that must return no row; its rows are the findings. One SELECT, asked in a read-only transaction."""
    on: Literal["data", "schema"] = "data"
    """What its own query looks at: rows, which only a live database has, or the catalog, which files that are built have too."""
    timeout: int = 10
    """Seconds its own query may take."""
    evidence: tuple[str, ...] = ()
    """Names of the evidence that must hold beside the rules: `backup.drill`; `retention.*` is everything of a family."""
    requirement: str = ""
    """Row of the capability that is still to come, `MG3`: until then the clause is unproven, never holding."""
    reason: str = ""
    """Why it cannot be proven; demanded for proof `document`."""
    note: str = ""
    """Where the source contradicts itself or its example is wrong: what we take as right, and why."""
    guide: str = field(default="", metadata={"in_file": False})
    """Id of the guide that wrote it."""

    @property
    def code(self) -> str:
        """Code of what its own SQL finds: `OWN-A1.1`."""
        return OWN + self.id


@dataclass(frozen=True)
class Guide:
    """A standards document as data, together with everything it extends."""

    id: str
    title: str
    version: str = ""
    source: str = ""
    """The document it was taken from."""
    extends: str = ""
    clauses: tuple[Clause, ...] = ()
    """Its own first, then those of the guides it extends."""
    options: Options = field(default_factory=Options)
    severities: Mapping[str, Severity] = field(default_factory=dict)
    """Code → severity, where it differs from the rule's own."""
    off: frozenset[str] = frozenset()
    """Codes that this guide or a charter switched off, although a clause names them."""
    asked: frozenset[str] = frozenset()
    """Codes of the rules that house options call for, whether a clause names them or not."""

    @cached_property
    def _by_code(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for clause in sorted(self.clauses, key=lambda c: (c.guide != self.id, len(c.rules))):
            for code in clause.rules:
                found[code] = (*found.get(code, ()), clause.id)
        return found

    @cached_property
    def own(self) -> frozenset[str]:
        """Codes of its clauses' own SQL checks."""
        return frozenset(c.code for c in self.clauses if c.sql)

    @cached_property
    def rules(self) -> frozenset[str]:
        """Codes of the rules that its clauses use or its options call for, and that nobody switched off."""
        return (frozenset(self._by_code) | self.asked) - self.off

    def severity(self, code: str, default: Severity) -> Severity:
        """Severity of the rule `code` under this guide."""
        return self.severities.get(code, default)

    def clauses_of(self, code: str) -> tuple[str, ...]:
        """Ids of the clauses that the rule `code` proves: its own before those it extends, those that name fewest rules first."""
        return self._by_code.get(code, ())

    def clause(self, clause_id: str) -> Clause:
        """The clause with this id.

        Raises KeyError when there is none.
        """
        return next((c for c in self.clauses if c.id == clause_id), None) or _missing(clause_id)


def _missing(clause_id: str) -> Clause:
    raise KeyError(clause_id)

"""Waivers: accepted findings, and what becomes of findings under them. Pure; the day is handed in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from fnmatch import fnmatchcase
from typing import Literal

from pgcharter.findings import Finding
from pgcharter.known import Where, entry_of, same_key
from pgcharter.names import ObjectId

NEAR = 14
"""Days before its end from which a waiver is mentioned."""
_NO_SCHEMA = {"schema", "database", "role", "extension", "setting", "tablespace", "server", "publication", "subscription", "event trigger"}


@dataclass(frozen=True)
class Waiver:
    """An accepted finding: which, why, on whose word and until when."""

    rule: str
    """Code of the rule, `KEY01`."""
    reason: str
    object: str = ""
    """Address of the object as SQL writes it, `app.users.email`; `*` and `?` match anything and any one character."""
    key: str = ""
    """Key of one finding exactly as JSON output shows it; instead of `object`."""
    owner: str = ""
    """Who answers for it."""
    expires: date | None = None
    """Last day it counts."""
    place: str = field(default="", metadata={"in_file": False}, compare=False)
    """`file:line` where it is written."""

    def covers(self, found: Finding, where: Where = str) -> bool:
        """Whether `found` is what this waiver accepts; `where` gives a file its path from the charter's folder."""
        if found.code != self.rule:
            return False
        if self.key:
            return same_key(found, self.key) or entry_of(found, where).key == self.key
        return found.object is not None and self._names(found.object)

    def _names(self, target: ObjectId) -> bool:
        """Whether `object` means `target`; where one of the two does not say the schema, as text may not, the rest of the name decides."""
        address = target.sql()
        if fnmatchcase(address, self.object):
            return True
        if target.kind in _NO_SCHEMA:
            return False
        if target.schema:
            return target.schema == "public" and self.object == address.removeprefix("public.")
        rest = self.object.partition(".")[2]
        return not rest.startswith(("*", "?")) and bool(rest) and fnmatchcase(address, rest)

    def expired(self, today: date) -> bool:
        """Whether its last day has passed."""
        return self.expires is not None and today > self.expires

    def ends_soon(self, today: date) -> bool:
        """Whether its last day comes within two weeks."""
        return self.expires is not None and 0 <= (self.expires - today).days <= NEAR


@dataclass(frozen=True, slots=True)
class WaiverProblem:
    """A waiver that does not do its work any more, or not for long."""

    kind: Literal["expired", "dangling", "ending"]
    """Past its day, which fails the check; covering nothing; near its last day."""
    waiver: Waiver
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Waived:
    """What became of findings under waivers."""

    kept: tuple[Finding, ...]
    """Findings that count."""
    waived: tuple[tuple[Finding, Waiver], ...]
    """Findings that a waiver accepts, each with the first waiver that does."""
    problems: tuple[WaiverProblem, ...]


def waive(findings: Iterable[Finding], waivers: Sequence[Waiver], today: date, where: Where = str) -> Waived:
    """Split `findings` by `waivers` as they stand on `today`; `where` gives a file its path from the charter's folder.

    An expired waiver accepts nothing: its findings count again, and it is a problem itself. So is one that covers no finding.
    """
    found = tuple(findings)
    living = [w for w in waivers if not w.expired(today)]
    kept: list[Finding] = []
    waived: list[tuple[Finding, Waiver]] = []
    for item in found:
        by = next((w for w in living if w.covers(item, where)), None)
        if by is None:
            kept.append(item)
        else:
            waived.append((item, by))
    return Waived(tuple(kept), tuple(waived), tuple(p for w in waivers if (p := _problem(w, found, today, where))))


def _problem(waiver: Waiver, found: Sequence[Finding], today: date, where: Where) -> WaiverProblem | None:
    what = f"the waiver of {waiver.rule} for {waiver.object or waiver.key}"
    owner = f" (owner: {waiver.owner})" if waiver.owner else ""
    covered = sum(waiver.covers(f, where) for f in found)
    if not covered:
        return WaiverProblem("dangling", waiver, f"{what} covers no finding, so it only hides a future one{owner}", "take it out")
    if waiver.expired(today):
        counted = "its finding counts" if covered == 1 else f"its {covered} findings count"
        message = f"{what} expired on {waiver.expires}, so {counted} again{owner}"
        return WaiverProblem("expired", waiver, message, "mend the finding, or agree on a new date in expires")
    if waiver.ends_soon(today) and waiver.expires:
        counted = "its finding counts" if covered == 1 else f"its {covered} findings count"
        message = f"{what} ends {_in_days((waiver.expires - today).days)}, after {waiver.expires}; then {counted} again{owner}"
        return WaiverProblem("ending", waiver, message, "mend the finding in time, or agree on a new date in expires")
    return None


def _in_days(days: int) -> str:
    return "today" if days == 0 else "tomorrow" if days == 1 else f"in {days} days"

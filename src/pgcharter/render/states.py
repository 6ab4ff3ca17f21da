"""Every finding of a verdict, also those that do not count, with the reason; and one identity for each."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pgcharter.findings import Finding
from pgcharter.render.locations import Root
from pgcharter.render.report import Report

State = Literal["counts", "known", "unchanged", "waived", "suppressed", "left_out"]
WORDS: Mapping[State, str] = {
    "known": "recorded as known before",
    "unchanged": "there before the change",
    "waived": "waived by the charter",
    "suppressed": "allowed by a comment",
    "left_out": "left out by a path setting of the charter",
}
"""How each state that does not count is told."""


@dataclass(frozen=True, slots=True)
class Told:
    """A finding and what became of it."""

    finding: Finding
    report: Report
    """The verdict it belongs to."""
    state: State
    reason: str
    """Why it does not count; empty when it does."""
    identity: str
    """Hex digits that stay the same from run to run and that no other finding of this output has."""


def told(reports: Sequence[Report], root: Root) -> Iterator[Told]:
    """All findings of all targets: what counts first, worst first, then what does not."""
    seen: Counter[str] = Counter()
    for state in STATES:
        for report in reports:
            for found, reason in _of(report, state):
                key = _key(found, root)
                seen[key] += 1
                yield Told(found, report, state, reason, _digest(key if seen[key] == 1 else f"{key}#{seen[key]}"))


STATES: tuple[State, ...] = ("counts", *WORDS)


def not_counted(reports: Sequence[Report]) -> Mapping[str, int]:
    """How many findings of each state there are that does not count, by its words."""
    counts = {words: sum(1 for r in reports for _ in _of(r, state)) for state, words in WORDS.items()}
    return {words: count for words, count in counts.items() if count}


def _of(report: Report, state: State) -> Iterator[tuple[Finding, str]]:
    if state == "counts":
        yield from ((f, "") for f in report.findings)
    elif state == "known":
        yield from ((f, f"recorded in {report.known_file}") for f in report.known)
    elif state == "unchanged":
        yield from ((f, f"was there at {report.since}") for f in report.unchanged)
    elif state == "left_out":
        yield from ((f, f"left out by {place}") for f, place in report.left_out)
    else:
        yield from report.waived if state == "waived" else report.suppressed


def _key(found: Finding, root: Root) -> str:
    """The finding's key; where it has no object, with its file as seen from the root, so that it is the same on every machine."""
    if found.object or not found.place:
        return found.key
    detail = found.facts.get("detail", "")
    return f"{found.code}:{root.path(found.place.file)}" + (f":{detail}" if detail else "")


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]

"""What to do next, as exact commands."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from pgcharter import guides
from pgcharter.known_file import DEFAULT_NAME
from pgcharter.render.findings import shorten
from pgcharter.render.page import Page, Styled, columns
from pgcharter.render.phrases import plural
from pgcharter.render.report import Report

MANY = 3
"""Findings from which it is worth saying that they can be recorded instead of mended at once."""


def write_advice(page: Page, reports: Sequence[Report], *, everything: bool = False) -> None:
    """Write the next steps that make sense after these verdicts."""
    steps = list(_steps(reports, everything))
    if not steps:
        return
    page.blank()
    page.line(Styled("next", "strong"))
    width = max(columns(command) for command, _ in steps)
    beside = all(2 + width + 2 + columns(meaning) <= page.screen.width for _, meaning in steps)
    for command, meaning in steps:
        if beside:
            page.line(Styled(command, "command"), " " * (width - columns(command) + 2), meaning, indent=2)
        else:
            page.line(Styled(command, "command"), indent=2)
            page.flow(meaning, indent=6)


def _steps(reports: Sequence[Report], everything: bool) -> Iterator[tuple[str, str]]:
    findings = [f for r in reports for f in r.findings]
    again = "pgcharter check " + " ".join(_target(r) for r in reports)
    if findings:
        yield f"pgcharter explain {findings[0].code}", "why it matters, and what to do instead"
    if not everything and any(shorten(r.findings)[1] for r in reports):
        yield f"{again} --all", f"all {len(findings):,} findings"
    yield from _known(reports, again)
    if all(r.chosen for r in reports):
        return
    rest = sum(len(r.rest) for r in reports)
    more = [g for g in guides.available() if g != reports[0].guide.id]
    if more:
        counted = f"; rules beyond it see {plural(rest, 'more thing')}" if rest else ""
        yield f"{again} --guide {more[0]}", f"hold it against a whole guide (guide {reports[0].guide.id} is about harm only{counted})"
    yield "pgcharter init", "write a charter: your guide, your options, waivers with reasons"


def _known(reports: Sequence[Report], again: str) -> Iterator[tuple[str, str]]:
    """How to begin, and go on, with old findings recorded."""
    file = next((r.known_file for r in reports if r.known_file), "")
    found, gone = sum(len(r.findings) for r in reports), sum(e.count for r in reports for e in r.known_gone)
    if gone:
        yield f"{again} --known {shlex.quote(file)} --record", f"take what is mended out of {file}"
    elif found >= MANY and not file and not any(r.since for r in reports):
        yield f"{again} --known {DEFAULT_NAME} --record", f"record these {found:,} as known: from then on only new ones count"


def _target(report: Report) -> str:
    """The target as one would write it again; a DSN whose password was hidden cannot be written again."""
    target = report.reading.target
    return "TARGET" if "***" in target else shlex.quote(target)

"""From a target to its verdict: read, run the rules, apply the charter's waivers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgcharter.catalog.reading import Reading
    from pgcharter.cli.project import Project
    from pgcharter.findings import Finding
    from pgcharter.guides.score import Scorecard
    from pgcharter.render.report import Report


@dataclass(frozen=True)
class Wish:
    """What the command line asked for."""

    targets: tuple[str, ...]
    only: frozenset[str]
    skip: frozenset[str]
    fail_on: str
    server: bool
    major: int | None
    scratch_url: str | None
    score: bool
    partial: bool
    """Whether the targets came from the command line, so that they need not be all there is."""


def read_target(target: str, wish: Wish) -> Reading:
    """Read one target, with progress where someone watches; raises what `sources.read` raises."""
    from pgcharter import sources
    from pgcharter.cli.failures import redact
    from pgcharter.cli.progress import progress

    with progress(f"reading {redact(target)}") as advance:
        return sources.read(target, major=wish.major, scratch_url=wish.scratch_url, server=wish.server, progress=advance)


def judge(reading: Reading, project: Project, wish: Wish) -> tuple[Report, Scorecard | None]:
    """Hold a reading against the project's guide and waivers; the scorecard only where it was asked for."""
    from pgcharter.findings import Severity
    from pgcharter.render.report import Report
    from pgcharter.rules import engine
    from pgcharter.waivers import waive

    guide = project.guide
    result = engine.run(reading, guide, only=wish.only, skip=wish.skip)
    waived = waive(result.findings, project.charter.waivers, date.today())
    report = Report(
        reading=reading,
        guide=guide,
        findings=waived.kept,
        suppressed=result.suppressed,
        waived=tuple((found, waiver.reason) for found, waiver in waived.waived),
        waiver_problems=tuple(p for p in waived.problems if p.waiver.rule in result.ran and (p.kind == "expired" or not wish.partial)),
        rest=() if project.chosen or wish.only else _rest(reading, project, wish),
        gaps=result.gaps,
        not_run=result.not_run,
        ran=result.ran,
        chosen=project.chosen,
        fail_on=None if wish.fail_on == "never" else Severity[wish.fail_on.upper()],
    )
    if not wish.score:
        return report, None
    from pgcharter.guides.score import score

    return report, score(guide, result, waived=waived.waived, gaps=result.gaps)


def _rest(reading: Reading, project: Project, wish: Wish) -> tuple[Finding, ...]:
    """What the rules beyond the guide would say: counted, not shown, for people who have not chosen a guide yet."""
    from pgcharter.rules import engine

    codes = engine.load().keys() - project.guide.rules - wish.skip
    if not codes:
        return ()
    return tuple(f for f in engine.run(reading, project.guide, only=codes).findings if f.code in codes)

"""From a target to its verdict: read, run the rules, apply the charter's waivers."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgcharter.catalog.reading import Reading
    from pgcharter.cli.project import Project
    from pgcharter.findings import Finding
    from pgcharter.guides.score import Scorecard
    from pgcharter.render.report import Report
    from pgcharter.sources import Look


@dataclass(frozen=True)
class Wish:
    """What the command line, or else the charter, asked for."""

    only: frozenset[str] = frozenset()
    """Codes of the only rules to run; empty for all of the guide."""
    skip: frozenset[str] = frozenset()
    fail_on: str = "warning"
    """Lowest severity that fails, or never."""
    server: bool = True
    """Whether files may be built on a server."""
    major: int | None = None
    scratch_url: str | None = None
    sample: float | None = None
    """Seconds to spend on samples of a live database's rows; None for no look at rows."""
    score: bool = False
    partial: bool = False
    """Whether the targets came from the command line, so that they need not be all there is."""


def read_target(target: str, wish: Wish, project: Project) -> Reading:
    """Read one target and ask it the guide's own SQL, with progress where someone watches; raises what `sources.read` raises."""
    from pgcharter import sources
    from pgcharter.cli.progress import progress
    from pgcharter.redact import redact

    looks: tuple[Look, ...] = ()
    if project.guide.own:
        from pgcharter.sources import own_checks

        looks = tuple(own_checks.looks(project.guide, only=wish.only, skip=wish.skip))
    if wish.server and not wish.only:
        from pgcharter.sources.code_check import CodeCheck

        looks = (*looks, CodeCheck())
    if wish.sample is not None:
        from pgcharter.sources import sampling

        looks = (*looks, sampling.look(wish.sample))
    with progress(f"reading {redact(target)}") as advance:
        return sources.read(target, major=wish.major, scratch_url=wish.scratch_url, server=wish.server, progress=advance, looks=looks)


def judge(reading: Reading, project: Project, wish: Wish) -> tuple[Report, Scorecard | None]:
    """Hold a reading against the project's guide and waivers; the scorecard only where it was asked for."""
    from pgcharter.findings import Severity
    from pgcharter.paths import settle as settle_paths
    from pgcharter.render.report import Report
    from pgcharter.rules import engine
    from pgcharter.waivers import waive

    guide = project.guide
    result = engine.run(reading, guide, only=wish.only, skip=wish.skip)
    where = below(project.charter.folder)
    settled = settle_paths(result.findings, project.charter.paths, where)
    waived = waive(settled.kept, project.charter.waivers, date.today(), lambda file: where(file) or file)
    report = Report(
        reading=reading,
        guide=guide,
        findings=waived.kept,
        suppressed=result.suppressed,
        waived=tuple((found, waiver.reason) for found, waiver in waived.waived),
        waiver_problems=tuple(p for p in waived.problems if p.kind != "dangling" or (p.waiver.rule in result.ran and not wish.partial)),
        left_out=tuple((found, setting.place) for found, setting in settled.left_out),
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


def below(folder: Path) -> Callable[[str], str | None]:
    """A function that gives a file, as a finding names it, its path from `folder`; None when it is not below it."""
    top = os.path.realpath(folder)

    @cache
    def where(file: str) -> str | None:
        relative = _relative(os.path.realpath(file), top)
        return None if relative is None or relative == ".." or relative.startswith("../") else relative

    return where


def _relative(path: str, top: str) -> str | None:
    try:
        return os.path.relpath(path, top).replace(os.sep, "/")
    except ValueError:
        return None


def settle(reports: Sequence[Report]) -> list[Report]:
    """The reports with each idle waiver told once, and only when it covers nothing in any of them."""
    idle = [{p.waiver for p in report.waiver_problems if p.kind == "dangling"} for report in reports]
    everywhere = set.intersection(*idle) if idle else set()
    last = len(reports) - 1
    return [
        replace(r, waiver_problems=tuple(p for p in r.waiver_problems if p.kind != "dangling" or (n == last and p.waiver in everywhere)))
        for n, r in enumerate(reports)
    ]


def _rest(reading: Reading, project: Project, wish: Wish) -> tuple[Finding, ...]:
    """What the rules beyond the guide would say: counted, not shown, for people who have not chosen a guide yet."""
    from pgcharter.rules import engine

    codes = engine.load().keys() - project.guide.rules - wish.skip
    if not codes:
        return ()
    return tuple(f for f in engine.run(reading, project.guide, only=codes).findings if f.code in codes)

"""What `pgcharter migrate verify` looks at beyond the ledger: whether files can be read, lead there and back and to what is declared, and
what the guide says of what they bring."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli import migrating
from pgcharter.cli.living import Living
from pgcharter.cli.project import from_folder, project_of
from pgcharter.cli.verdict import Wish, judge, read_target
from pgcharter.errors import PgcharterError, UsageError
from pgcharter.render.migrations import Trouble, took
from pgcharter.render.page import Page, Styled

if TYPE_CHECKING:
    from pgcharter.catalog.model import Catalog
    from pgcharter.cli.migrating import Place
    from pgcharter.cli.project import Project
    from pgcharter.findings import Finding
    from pgcharter.migrate.model import Migration
    from pgcharter.migrate.shape import Shape
    from pgcharter.migrate.state import Standing
    from pgcharter.migrate.there_and_back import Tried
    from pgcharter.migrate.timing import Timing
    from pgcharter.render.report import Report
    from pgcharter.servers.scratch import Scratch
    from pgcharter.sources import Look, Progress


def readable(place: Place, found: Standing) -> tuple[list[Migration], list[Trouble]]:
    """The migrations with their units, and what cannot be run as it is written."""
    ready: list[Migration] = []
    made: list[Trouble] = []
    for entry in found.entries:
        if entry.migration is not None:
            try:
                ready += migrating.with_units(place, [entry.migration])
            except PgcharterError as error:
                made.append(Trouble("unreadable", error.message, error.hint, error.place))
    return ready, made


@dataclass(frozen=True)
class Verified:
    """What a trial has shown."""

    troubles: tuple[Trouble, ...] = ()
    report: Report | None = None
    """The guide's verdict on what was tried, with only those findings that it brings; None when nothing was tried."""
    timing: Timing | None = None
    """How long each statement takes with production's sizes; None when nobody gave a shape."""
    longest: float | None = None
    """Seconds for which a step may stop writes."""

    @property
    def failed(self) -> bool:
        """Whether anything is to be mended."""
        return bool(self.troubles) or (self.report is not None and self.report.failed)


@dataclass(frozen=True)
class Measure:
    """By what times are told."""

    shape: Shape
    rows: int
    longest: float | None = None


def measure(place: Place, shape: str | None, rows: int, longest: str | None) -> Measure | None:
    """What the command line and the charter say of it. Raises UsageError for a duration or a file that is none."""
    from pathlib import Path

    from pgcharter.measures import seconds
    from pgcharter.migrate.shape import read

    section = place.section
    limit = longest if longest is not None else section.longest
    most = seconds(limit, "--longest" if longest is not None else "[migrate] longest") if limit else None
    named = shape or (from_folder(place.charter.folder, section.shape) if section.shape else "")
    if named:
        return Measure(read(Path(named).expanduser(), named), rows, most)
    if longest is not None:
        hint = "pgcharter migrate shape --env production --to shape.json, then --shape shape.json"
        raise UsageError("--longest asks for times, and nothing says how large production's tables are", hint=hint)
    return None


def trial(
    place: Place,
    found: Standing,
    ready: list[Migration],
    major: int,
    scratch_url: str | None,
    *,
    everything: bool,
    measured: Measure | None = None,
) -> Verified:
    """Try what is pending (or everything) on a scratch server of the same major version: there and back, against what the charter
    declares, and against its guide."""
    from pgcharter.cli.progress import progress
    from pgcharter.servers.scratch import kept, open_scratch

    pending = {e.migration.file for e in found.pending if e.migration}
    before = [m for m in ready if not everything and m.file not in pending]
    rest = [m for m in ready if everything or m.file in pending]
    with progress("trying on a scratch server") as advance, kept(), open_scratch(major, url=scratch_url) as scratch:
        project = project_of(place.files.target)
        made, tried = there_and_back(place, scratch, before, rest, advance, _own_looks(project))
        if len(tried) < len(rest):
            return Verified(tuple(made))
        wish = Wish(fail_on=project.charter.check.fail_on, major=major, scratch_url=scratch_url)
        there = tried[-1].there if tried else read_target(place.files.target, wish, project)
        if there and there.catalog:
            made += _undeclared(place, scratch, there.catalog, scratch_url, advance)
        report = _brought(place, project, wish, tried) if tried else None
        if measured is None or not tried:
            return Verified(tuple(made), report)
        if place.revisions:
            message = "env.py runs the revisions of an Alembic project by itself, so how long each statement takes is not known"
            return Verified((*made, Trouble("times", message, "leave --shape and --longest out", refuses=False)), report)
        timing = _times(before, tried, major, scratch_url, measured, advance)
        return Verified((*made, *_late(timing, measured.longest)), report, timing, measured.longest)


def _times(
    before: list[Migration], tried: list[Tried], major: int, scratch_url: str | None, measured: Measure, advance: Progress | None
) -> Timing:
    from pgcharter.migrate import timing
    from pgcharter.servers.guard import Limits
    from pgcharter.servers.scratch import open_scratch

    with open_scratch(major, url=scratch_url, limits=Limits(seconds=1800.0, disk=16 << 30)) as scratch:
        return timing.timed(scratch, before, tried, measured.shape, rows=measured.rows, progress=advance)


def _late(timing: Timing, longest: float | None) -> list[Trouble]:
    """What PostgreSQL refuses on rows, and what would stop writes for too long."""
    from pgcharter.migrate.timing import too_long
    from pgcharter.render.timing import one_line, waits

    made = [Trouble("rows", timing.failure.message, timing.failure.hint, timing.failure.place)] if timing.failure else []
    for step in too_long(timing.steps, longest) if longest is not None else ():
        message = f"{step.title}: {waits(step)}, and the limit is {took(round(longest * 1000))}" if longest is not None else ""
        hint = f"take a form that does not wait, as pgcharter plan writes it, instead of: {one_line(step.sql)}"
        place = f"{step.place.file}:{step.place.line}"
        made.append(Trouble("too long", f"{place}: {message}", hint, place))
    return made


def there_and_back(
    place: Place, scratch: Scratch, before: list[Migration], rest: list[Migration], advance: Progress | None, looks: Sequence[Look] = ()
) -> tuple[list[Trouble], list[Tried]]:
    """What does not lead there and back; and all that could be tried."""
    made: list[Trouble] = []
    tried: list[Tried] = []
    try:
        for one in _tried(place, scratch, before, rest, advance, looks):
            made += _left(one)
            tried.append(one)
            back = f"back in {took(round(one.down * 1000))}" if one.down is not None else "no way back"
            click.echo(f"{one.migration.title}: {took(round(one.up * 1000))}, {back}", err=True)
    except PgcharterError as error:
        made.append(Trouble("refused", error.message, error.hint, error.place))
    return made, tried


def _tried(
    place: Place, scratch: Scratch, before: list[Migration], rest: list[Migration], advance: Progress | None, looks: Sequence[Look]
) -> Iterator[Tried]:
    if place.revisions:
        from pgcharter.migrate.alembic_try import tried as tried_by_alembic

        return tried_by_alembic(place.revisions.alembic, scratch, before, rest, advance, looks)
    from pgcharter.migrate.there_and_back import tried

    return tried(scratch, before, rest, advance, looks)


def _undeclared(place: Place, scratch: Scratch, made: Catalog, scratch_url: str | None, advance: Progress | None) -> list[Trouble]:
    """What still differs between what the files make and what the charter declares, when it declares anything."""
    from pgcharter.catalog.compare import describe
    from pgcharter.cli.plan import charters_wish
    from pgcharter.migrate import desired

    wish = replace(charters_wish(place.charter, place.files.target, place.environment), scratch_url=scratch_url, checked=False)
    target = wish.wanted
    if not target:
        return []
    differences = desired.remaining(scratch, made, wish, advance)
    if not differences:
        return []
    many = f"{len(differences):,} {'difference remains' if len(differences) == 1 else 'differences remain'}"
    message = f"the files do not lead to what {target} declares: {many} (+ is declared and not made, - is made and not declared)"
    name = "--alembic -m MESSAGE" if place.revisions else "--write NAME"
    hint = f"write the missing migration: pgcharter plan {target} --on {place.files.target} {name}"
    return [Trouble("declared", message, hint, target, False, tuple(describe(d) for d in differences))]


def _own_looks(project: Project) -> tuple[Look, ...]:
    if not project.guide.own:
        return ()
    from pgcharter.sources import own_checks

    return tuple(own_checks.looks(project.guide))


def _brought(place: Place, project: Project, wish: Wish, tried: Sequence[Tried]) -> Report:
    """`check` of the files, with only those findings that were not there before what was tried.

    What a rule says of a statement's text belongs to its file; what it says of the schema is new when it was not so before.
    """
    from pgcharter import known
    from pgcharter.rules import engine

    target, living = place.files.target, Living()
    report, _ = judge(read_target(target, wish, project), project, wish)
    report = living.settled(report, target, "", project, wish)
    assert tried[0].at is not None  # noqa: S101
    earlier = engine.run(tried[0].at, project.guide)
    files = {os.path.realpath(t.migration.file) for t in tried}
    new = known.split(report.findings, known.entries_of(earlier.findings)).new
    seen = frozenset(earlier.ran)

    def brought(finding: Finding) -> bool:
        return finding.code in seen or (finding.place is not None and os.path.realpath(finding.place.file) in files)

    return replace(
        report, findings=tuple(f for f in new if brought(f)), waiver_problems=(), known_gone=(), rest=(), suppressed=(), not_run={}
    )


def _left(one: Tried) -> list[Trouble]:
    from pgcharter.migrate.proving import told

    made, file = [], one.migration.down_file or one.migration.file
    if one.left:
        message = f"the way back of {one.migration.title} does not lead back: {told(one.left)}"
        made.append(Trouble("way back", message, "mend its down part, or say that it is one-way", file))
    if one.other:
        message = f"{one.migration.title} leads somewhere else when it is run again after its way back: {told(one.other)}"
        made.append(Trouble("way back", message, "mend its down part", file))
    return made


def tell(page: Page, shown: Verified) -> None:
    """What the trial has shown beyond what stands in the way."""
    from pgcharter.render import findings, timing

    if shown.timing:
        timing.table(page, shown.timing.steps, shown.timing.filled.why, shown.longest)
    if shown.report and shown.report.findings:
        page.blank()
        page.line(Styled("new findings that these migrations bring:", "strong"))
        findings.write(page, shown.report)


def data(shown: Verified) -> dict[str, Any]:
    """The same for the JSON document."""
    from pgcharter.render.json import finding_data
    from pgcharter.render.timing import data as times

    if shown.report is None:
        return {}
    made = {"findings": [finding_data(f) for f in shown.report.findings], "findings_fail": shown.report.failed}
    return {**made, **(times(shown.timing.steps, shown.timing.filled.why) if shown.timing else {})}


def counted(troubles: Sequence[Trouble], shown: Verified) -> str:
    """The verdict in a few words."""
    found = len(shown.report.findings) if shown.report else 0
    words = [f"{len(troubles)} to be looked at"] * bool(troubles)
    words += [f"{found} new {'finding' if found == 1 else 'findings'}"] * bool(found)
    return " and ".join(words) or "all as recorded"

"""Living with findings: known ones recorded in a file, those that a git revision had already, those too mild to show."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pgcharter import known
from pgcharter.cli.known import Book, locator, open_book, target_name
from pgcharter.errors import UsageError
from pgcharter.findings import Finding, Gap, Severity
from pgcharter.known_file import Change

if TYPE_CHECKING:
    from pgcharter.catalog.reading import Reading
    from pgcharter.cli.project import Project
    from pgcharter.cli.verdict import Wish
    from pgcharter.render.report import Report


@dataclass
class Living:
    """What the command line asked for, carried from target to target."""

    known: Path | None = None
    revision: str | None = None
    record: bool = False
    min_severity: str = "info"
    _books: dict[Path, Book] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.record and self.revision is not None:
            sentence = "--record writes down everything that is found, and --changed-since leaves most of it out"
            raise UsageError(sentence, hint="record without --changed-since; a check may use both --known and --changed-since")

    def prepare(self, target: str, project: Project) -> None:
        """Find out what would make the work pointless before it is done. Raises like `open_book` and `sources.revision.open_revision`."""
        self._book(project)
        if self.revision is not None:
            from pgcharter.sources.revision import open_revision

            open_revision(target, self.revision)

    def settled(self, report: Report, target: str, environment: str, project: Project, wish: Wish) -> Report:
        """The report after everything that was asked for."""
        if book := self._book(project):
            name = target_name(target, environment, book.path.parent)
            report = book.note(report, name) if self.record else book.told(report, name)
        if self.revision is not None:
            report = without_unchanged(report, target, self.revision, project, wish)
        return at_least(report, Severity[self.min_severity.upper()])

    def write(self) -> list[tuple[Book, Change]]:
        """Write every known file that was to be recorded."""
        return [(book, book.write()) for book in self._books.values()] if self.record else []

    def _book(self, project: Project) -> Book | None:
        found = open_book(self.known, project, record=self.record, opened=self._books)
        if found:
            self._books[found.path] = found
        return found


def without_unchanged(report: Report, target: str, revision: str, project: Project, wish: Wish) -> Report:
    """The report with what the revision had already set apart: the target as it was then is read and held against the same guide.

    Raises what `sources.revision.open_revision` raises.
    """
    from pgcharter.sources import revision as git

    repository = git.open_revision(target, revision)
    report = replace(report, since=revision, gaps=(*report.gaps, *repository.gaps))
    if git.unchanged(repository, target):
        return replace(report, findings=(), unchanged=report.findings)
    with git.checked_out(repository, target) as (top, old, gaps):
        before, unread = _found_then(old, project, wish, revision) if old else ((), ())
        entries = known.entries_of(before, locator(top))
    parts = known.split(report.findings, entries, where=locator(repository.top), missing=lambda file: not (repository.top / file).exists())
    return replace(report, findings=parts.new, unchanged=parts.known, gaps=(*report.gaps, *gaps, *unread))


def _found_then(old: Path, project: Project, wish: Wish, revision: str) -> tuple[tuple[Finding, ...], tuple[Gap, ...]]:
    """What the rules say about a target as it was; nothing, and why, about one that could not be read."""
    from pgcharter.cli.verdict import read_target
    from pgcharter.rules import engine

    try:
        reading: Reading = read_target(str(old), wish, project)
    except UsageError as error:
        why = error.message.replace(f"{old}{os.sep}", "").replace(str(old), "the target")
        return (), (Gap(f"what was there at {revision}", f"{why}; so everything counts as new"),)
    return engine.run(reading, project.guide, only=wish.only, skip=wish.skip).findings, ()


def at_least(report: Report, severity: Severity) -> Report:
    """The report with findings below `severity` set apart."""
    shown = tuple(f for f in report.findings if f.severity >= severity)
    return replace(report, findings=shown, below=tuple(f for f in report.findings if f.severity < severity), min_severity=severity)

"""`pgcharter score`: clause by clause, does what the guide asks hold, by rules and by evidence; and how that was before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli.migrating import database_options
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.errors import Exit

if TYPE_CHECKING:
    from pgcharter.catalog.reading import Reading
    from pgcharter.cli.project import Project
    from pgcharter.findings import Evidence
    from pgcharter.guides.score import Scorecard
    from pgcharter.watch.evidence import Score

EXAMPLES = (
    ("pgcharter score --env production", "every clause of the charter's guide, by what is declared, what is there and what was proven"),
    ("pgcharter score --env production --all", "also name, one by one, the clauses that nothing can prove"),
    ("pgcharter score --env production --no-look", "by rules and by what was proven before, without a look at health and policies"),
    ("pgcharter score --env production --format json", "for a program"),
)


@click.command("score", cls=Command, examples=EXAMPLES)
@database_options
@click.option("--no-look", is_flag=True, help="Do not look at health and policies now: only rules, and evidence that is kept.")
@click.option("--no-record", is_flag=True, help="Keep neither the scorecard nor what was seen, though the charter says [evidence].")
@click.option("--all", "everything", is_flag=True, help="Name each clause that is for people to read.")
@format_option
def score(environment: str | None, target: str | None, form: str, *, no_look: bool, no_record: bool, everything: bool) -> int:
    """Judge every clause of the guide: holds, broken, unproven or waived, with the reason and the date of its evidence.

    Rules look at the database and at the charter's targets. Evidence is what checks of health, policies, drills, retention and business
    rules have seen; what was kept ([evidence] in the charter) counts until its day, and each scorecard is kept beside it. Ends in 1 when a
    clause is broken.
    """
    from pgcharter.cli import migrating, proofs
    from pgcharter.cli.project import open_project

    named, dsn = migrating.database(environment, target)
    project = open_project(Path())
    seen = [] if no_look else _looked(environment, target, project)
    if seen and not no_record:
        proofs.keep(dsn, seen)
    known, before = _known(dsn, project)
    card = _card(project, _read(project, dsn), [*known, *seen])
    if not no_record:
        _keep(dsn, project, card)
    if form == "json":
        show_json(_data(migrating.called(named, dsn), card, before))
    else:
        _print(migrating.called(named, dsn), card, before, everything=everything)
    return Exit.FINDINGS if card.totals["broken"] else Exit.FINE


def _read(project: Project, dsn: str) -> list[Reading]:
    """The database, and what the charter names beside it."""
    from pgcharter.cli.project import from_folder
    from pgcharter.cli.verdict import Wish, read_target

    targets = [from_folder(project.charter.folder, t) for t in project.charter.check.targets]
    return [read_target(t, Wish(), project) for t in dict.fromkeys((dsn, *targets))]


def _card(project: Project, readings: Sequence[Reading], evidence: Iterable[Evidence]) -> Scorecard:
    """One scorecard of all readings: a rule has looked when it could look at one of them."""
    from pgcharter.cli.verdict import Wish, judge
    from pgcharter.guides.score import score as scored
    from pgcharter.render.report import Outcome

    reports = [judge(reading, project, Wish(partial=True))[0] for reading in readings]
    gaps = [gap for report in reports for gap in report.gaps]
    return scored(project.guide, Outcome.of(reports), gaps=gaps, evidence=evidence, now=datetime.now(UTC))


def _looked(environment: str | None, target: str | None, project: Project) -> list[Evidence]:
    """What is seen now: whether the charter's policies are in place, and how the server is."""
    from pgcharter.cli import health, policy, proofs
    from pgcharter.policy import registry

    declared = [name for name in registry.NAMES if name in project.charter.sections]
    found = proofs.of_policies(declared, policy.differing(environment, target)) if declared else []
    return [*found, *proofs.of_health(health.looked(environment, target))]


def _known(dsn: str, project: Project) -> tuple[tuple[Evidence, ...], tuple[Score, ...]]:
    """The newest evidence of each name, what the repository of backups keeps too, and the scorecards of the past."""
    from pgcharter.db import connect
    from pgcharter.watch import evidence

    of_backups = _of_backups(project)
    with connect(dsn, application_name="pgcharter score") as conn:
        if not evidence.kept(conn):
            return of_backups, ()
        return (*evidence.newest(conn), *of_backups), evidence.scores(conn, project.guide.id)


def _of_backups(project: Project) -> tuple[Evidence, ...]:
    """What drills have proven stands beside the backups, where [backup] is declared."""
    from pgcharter.cli import backup
    from pgcharter.errors import PgcharterError
    from pgcharter.operate.backup_settings import SECTION

    if SECTION.name not in project.charter.sections:
        return ()
    try:
        return backup.engine(None, None, server=False).repository().evidence()
    except PgcharterError as error:
        click.echo(f"what drills have proven cannot be read: {error.message}", err=True)
        return ()


def _keep(dsn: str, project: Project, card: Scorecard) -> None:
    from pgcharter.cli import proofs
    from pgcharter.watch import evidence

    proofs.kept(dsn, project.charter, lambda conn: evidence.record_score(conn, card))


def _data(called: str, card: Scorecard, before: Sequence[Score]) -> dict[str, Any]:
    from pgcharter.render.json import score_data

    return {
        "format": "pgcharter-score",
        "version": 1,
        "database": called,
        "guide": card.guide.id,
        **score_data(card),
        "before": [{"at": s.at.isoformat(), "totals": dict(s.totals)} for s in before],
    }


def _print(called: str, card: Scorecard, before: Sequence[Score], *, everything: bool) -> None:
    from pgcharter.render import score as rendered
    from pgcharter.render.page import Page, Styled

    page = Page(screen())
    page.flow(Styled(called, "strong"))
    rendered.write(page, card, everything=everything)
    if before:
        rendered.write_change(page, card, before[0].at, before[0].clauses)
    show(page)

"""`pgcharter fix`: the fixable findings of a check as one plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgcharter.cli.check import complete_guides, complete_rules, rule_codes
from pgcharter.cli.output import Command
from pgcharter.cli.planned import plan_options, tell, warn_pending, write
from pgcharter.errors import Exit, UsageError

if TYPE_CHECKING:
    from pgcharter.catalog.reading import Reading
    from pgcharter.charter import Charter
    from pgcharter.findings import Finding
    from pgcharter.render.plan import Story

EXAMPLES = (
    ("pgcharter fix db/schema.sql", "what would clear the findings that have a fix, as one plan"),
    ("pgcharter fix --env production --only KEY20 --write index_foreign_keys", "one rule, for a live database, as a migration"),
    ("pgcharter fix env:DATABASE_URL --min-severity error", "only what does real harm"),
)
LEVELS = ("error", "warning", "info")


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("target", required=False, metavar="[TARGET]")
@click.option("--env", "environment", metavar="NAME", help="The database of this environment of the charter.")
@click.option("--guide", metavar="ID|PATH", shell_complete=complete_guides, help="Guide to hold against, instead of the charter's.")
@click.option("--only", multiple=True, metavar="CODE,...", callback=rule_codes, shell_complete=complete_rules, help="Only these rules.")
@click.option("--skip", multiple=True, metavar="CODE,...", callback=rule_codes, shell_complete=complete_rules, help="Not these rules.")
@click.option("--min-severity", type=click.Choice(LEVELS), default="warning", show_default=True, help="Only findings at or above it.")
@click.option("--plain", is_flag=True, help="The shortest statements, for a database that nobody else uses.")
@click.option("--scratch-url", metavar="DSN", help="Build and try on this server instead of a throwaway one.")
@plan_options
def fix(
    target: str | None,
    environment: str | None,
    guide: str | None,
    only: frozenset[str],
    skip: frozenset[str],
    min_severity: str,
    plain: bool,
    scratch_url: str | None,
    name: str | None,
    quiet: bool,
    form: str,
) -> int:
    """Plan the fixes of a check's findings: one safe plan for all that have exact SQL. Nothing is changed.

    TARGET is what `pgcharter check` takes; without one, the charter says. Each fix is run on a scratch copy of the schema; what changes
    there is planned like any other change, and tried there and back. Findings whose remedy takes a decision are not in it.

    Exit codes: 0 planned, 2 wrong usage or charter, 3 the target could not be read, 4 the plan has questions that only a person can answer.
    """
    from pgcharter.cli.project import project_of
    from pgcharter.cli.verdict import Wish, judge, read_target
    from pgcharter.findings import Severity
    from pgcharter.redact import redact
    from pgcharter.servers.scratch import kept

    target = target or _only_target(environment)
    project = project_of(target, guide)
    wish = Wish(only=only, skip=skip, fail_on="never", scratch_url=scratch_url, partial=True)
    with kept():
        reading = read_target(target, wish, project)
        if reading.catalog is None:
            raise UsageError(f"{redact(target)} gives no catalog, so nothing can be mended in it")
        report, _ = judge(reading, project, wish)
        findings = [f for f in report.findings if f.severity >= Severity[min_severity.upper()]]
        story = _story(reading, findings, project.charter, scratch_url, plain=plain)
    tell(story, form, quiet=quiet)
    if name:
        if reading.source == "live":
            warn_pending(project.charter, target)
        write(story, project.charter, name)
    return Exit.REFUSED if story.plan.questions else Exit.FINE


def _only_target(environment: str | None) -> str:
    """The charter's target. Raises UsageError when it names several: a plan is for one."""
    from pgcharter.cli.project import open_project, targets_of

    named = targets_of(open_project(Path()).charter, environment)
    if len(named) != 1:
        raise UsageError("the charter names several targets, and a plan is for one", hint=f"name it: pgcharter fix {named[0]}")
    return named[0]


def _story(reading: Reading, findings: list[Finding], charter: Charter, scratch_url: str | None, *, plain: bool) -> Story:
    """The plan that mends `findings`, and what became of those that are not in it."""
    from pgcharter.cli.progress import progress
    from pgcharter.migrate.mending import mend
    from pgcharter.plan import settings
    from pgcharter.plan.safe_ground import Plain
    from pgcharter.render.phrases import plural
    from pgcharter.render.plan import Story

    style = Plain() if plain else settings.style(charter)
    with progress("mending") as advance:
        mended = mend(reading, findings, style=style, scratch_url=scratch_url, progress=advance)
    notes = [*mended.plan.notes, *(f"not in the plan: {f.code} on {f.object or f.place}: {why}" for f, why in mended.left)]
    undecided = len(findings) - len(mended.mended) - len(mended.left)
    if undecided:
        notes.append(f"not in the plan: {plural(undecided, 'finding')} whose remedy takes a decision; see pgcharter check")
    wanted = f"{plural(len(mended.mended), 'finding')} mended"
    proven = mended.proof.sentence if mended.proof else ""
    return Story(replace(mended.plan, notes=tuple(notes)), wanted, reading.target, reading.stats, proven=proven)

"""`pgcharter check`: hold targets against a guide and give a verdict."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import click

from pgcharter.cli.output import Command
from pgcharter.cli.recorded import show_recorded
from pgcharter.cli.showing import form_option, show_verdicts
from pgcharter.errors import Exit, UsageError

KNOWN_FILE = "pgcharter-known.json"
LEVELS = ("error", "warning", "info", "never")

EXAMPLES = (
    ("pgcharter check db/schema.sql", "a file or a folder of SQL, built on a throwaway server"),
    ("pgcharter check postgresql://me@host/shop", "a live database; only reads"),
    ("pgcharter check app.models:metadata --guide cloudlab", "SQLAlchemy models against a whole guide"),
    ("pgcharter check migrations --no-server", "text only: no server needed, in an instant"),
    ("pgcharter check --env production --fail-on error --format json", "for CI: the charter says where it is"),
    ("pgcharter check db/migrations --env production", "how the files that production does not have yet would go there, by its sizes"),
    ("pgcharter check db --known known.json --record", "record what is found now; later, with --known alone, only new findings count"),
    ("pgcharter check db --changed-since origin/main", "for a pull request: only what the branch brought"),
)


def rule_codes(_ctx: click.Context, _parameter: click.Parameter, value: tuple[str, ...]) -> frozenset[str]:
    """Turn `KEY01,no-primary-key` into codes; raises UsageError with the nearest name for an unknown one."""
    from pgcharter.render.source_codes import find

    return frozenset(find(word).code for part in value for word in re.split(r"[,\s]+", part) if word)


def complete_rules(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Rule codes and slugs, for shell completion; after a comma the next one."""
    from pgcharter.render.source_codes import all_described

    head, comma, last = incomplete.rpartition(",")
    names = [name for rule in all_described().values() for name in (rule.code, rule.slug)]
    return [head + comma + n for n in names if n.lower().startswith(last.lower())]


def complete_guides(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Ids of the built-in guides, for shell completion."""
    from pgcharter import guides

    return [g for g in guides.available() if g.startswith(incomplete)]


def complete_revisions(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Branches and tags of the repository here, for shell completion."""
    from pgcharter.sources.revision import references

    return [name for name in references(Path()) if name.startswith(incomplete)]


def _one_server() -> AbstractContextManager[None]:
    """What is built on the way to one environment is built on one scratch server."""
    from pgcharter.servers.scratch import kept

    return kept()


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("targets", nargs=-1, metavar="[TARGET]...", type=click.Path(readable=False))
@click.option("--guide", metavar="ID|PATH", shell_complete=complete_guides, help="Guide to hold against, instead of the charter's.")
@click.option(
    "--env",
    "environment",
    metavar="NAME",
    help="Check the database of this environment of the charter; migrations that are named too are judged as they would run there.",
)
@click.option(
    "--fail-on", type=click.Choice(LEVELS), help="Lowest severity that ends in exit code 1.  [default: the charter's, else warning]"
)
@click.option("--only", multiple=True, metavar="CODE,...", callback=rule_codes, shell_complete=complete_rules, help="Run only these rules.")
@click.option(
    "--skip", multiple=True, metavar="CODE,...", callback=rule_codes, shell_complete=complete_rules, help="Do not run these rules."
)
@click.option("--min-severity", type=click.Choice(LEVELS[:3]), help="Show only findings at or above it; all of them still decide.")
@click.option(
    "--known", type=click.Path(path_type=Path), metavar="FILE", help="Findings recorded in FILE do not count.  [default: the charter's]"
)
@click.option(
    "--record", is_flag=True, help=f"Write what is found now to the --known file ({KNOWN_FILE} without one), so that it is known."
)
@click.option(
    "--changed-since",
    metavar="REV",
    shell_complete=complete_revisions,
    help="Count only what is new since this git revision, or since the branch left it.",
)
@click.option("--no-server", is_flag=True, help="Look at the text only; build nothing.")
@click.option("--major", type=click.IntRange(min=1), metavar="N", help="Build files on this major version of PostgreSQL.")
@click.option("--scratch-url", metavar="DSN", help="Build files on this server instead of a throwaway one.")
@click.option(
    "--sample",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Spend up to this long on samples of a live database's rows.",
)
@click.option("--score", is_flag=True, help="Also give the verdict clause by clause.")
@click.option("--all", "everything", is_flag=True, help="Show every finding, not a few examples of each rule.")
@click.option("--quiet", "-q", is_flag=True, help="Print only the totals.")
@form_option
def check(
    targets: tuple[str, ...],
    guide: str | None,
    environment: str | None,
    fail_on: str | None,
    only: frozenset[str],
    skip: frozenset[str],
    min_severity: str | None,
    known: Path | None,
    record: bool,
    changed_since: str | None,
    no_server: bool,
    major: int | None,
    scratch_url: str | None,
    sample: float | None,
    score: bool,
    everything: bool,
    quiet: bool,
    form: str,
) -> int:
    """Hold databases, SQL files, models or migrations against a guide.

    TARGET is a connection string (postgresql://… or libpq keywords), a file or folder of .sql, a Markdown file with SQL blocks, SQLAlchemy
    metadata as module:attribute, an Alembic project, or a catalog snapshot (.json). Without one, the charter says what to check.

    Exit codes: 0 nothing at or above --fail-on, 1 findings (or a waiver past its day), 2 wrong usage or charter, 3 a target could not be
    read, 4 refused as unsafe.
    """
    from pgcharter.cli.destination import Journey, journey
    from pgcharter.cli.living import Living
    from pgcharter.cli.project import environment_of, open_project, project_of, targets_of
    from pgcharter.cli.verdict import Wish, judge, read_target, settle

    if only and only <= skip:
        raise UsageError("every rule that --only names is left out by --skip, so nothing would be looked at")
    living = Living(known, changed_since, record=record, min_severity=min_severity or "info")
    named = [(target, "") for target in targets]
    if environment or not targets:
        charter = open_project(Path(), guide).charter
        named += [(target, environment_of(charter, environment)) for target in targets_of(charter, environment)]
    verdicts = []
    way: Journey | None = None
    with _one_server() if environment else nullcontext():
        for target, source in sorted(named, key=lambda n: not n[1]) if environment else named:
            project = project_of(target, guide)
            section = project.charter.check
            wish = Wish(
                only=only or frozenset(section.only),
                skip=skip | (frozenset() if only else frozenset(section.skip)),
                fail_on=fail_on or section.fail_on,
                server=not no_server,
                major=major,
                scratch_url=scratch_url,
                sample=sample,
                score=score,
                partial=bool(targets),
            )
            living.prepare(target, project)
            reading = read_target(target, wish, project)
            if environment and source:
                way = journey(environment, target, project.charter, reading)
            elif way:
                reading = way.led(target, reading, scratch_url, server=wish.server)
            report, card = judge(reading, project, wish)
            verdicts.append((living.settled(report, target, source, project, wish), card))
    recorded = living.write()
    reports = settle([report for report, _ in verdicts])
    show_verdicts(reports, [card for _, card in verdicts], form, everything=everything, quiet=quiet)
    show_recorded(recorded, on_stdout=form == "text")
    return Exit.FINDINGS if any(report.failed for report in reports) else Exit.FINE

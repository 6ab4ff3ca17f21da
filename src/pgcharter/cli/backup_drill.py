"""`pgcharter backup drill|mark|evidence`: restoring rehearsed, and what rows are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pgcharter.cli.backup import backup, engine, proof, second_option, tell_evidence
from pgcharter.cli.migrating import database_options
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.errors import Exit

if TYPE_CHECKING:
    from pgcharter.operate.backup_native import Native
    from pgcharter.operate.drill import Drill

MARK = (("pgcharter backup mark", "count and sum up all rows at a position, for drills to compare"),)


@backup.command("mark", cls=Command, examples=MARK)
@database_options
@format_option
def mark(environment: str | None, target: str | None, form: str) -> int:
    """Record what all rows are at this position of the log: counts, and checksums that do not depend on their order."""
    mark_now(engine(environment, target), form=form)
    return Exit.FINE


def mark_now(chosen: Native, *, form: str) -> None:
    """Make a mark and tell of it."""
    from pgcharter.cli.progress import progress
    from pgcharter.operate import backup_mark

    with progress("marking") as advance:
        made = backup_mark.take(chosen, advance)
    tables = sum(len(d.tables) for d in made.databases.values())
    rows = sum(r.count for d in made.databases.values() for r in d.tables.values())
    gaps = {f"{n}: {t}": why for n, d in made.databases.items() for t, why in d.gaps.items()}
    if form == "json":
        show_json({
            "format": "pgcharter-backup-mark", "version": 1, "lsn": made.lsn, "timeline": made.timeline, "at": made.at.isoformat(),
            "tables": tables, "rows": rows, "quiet": made.quiet, "gaps": gaps,
        })  # fmt: skip
    elif form == "text":
        click.echo(f"marked {tables} tables, {rows} rows at {made.lsn}")
        for name, why in gaps.items():
            click.echo(f"  not {name}: {why}")


DRILL = (
    ("pgcharter backup drill", "a random second of the window; ends in 1 when something does not hold"),
    ("pgcharter backup drill --seed 4711", "the same second again"),
    ("pgcharter backup drill --to '2026-11-22 03:15:00Z'", "that second"),
)


@backup.command("drill", cls=Command, examples=DRILL)
@click.option("--seed", type=int, help="Which second; printed by the drill that is to be done again.")
@click.option("--to", default="", metavar="TIME", help="This second instead of a random one.")
@second_option
@database_options
@format_option
def drill(environment: str | None, target: str | None, form: str, seed: int | None, to: str, *, second: bool) -> int:
    """Restore a random second on a server that is cut off, compare rows and schema, check pages and indexes, ask the invariants.

    Keeps what it has proven in the repository, with the measured RTO and RPO. Ends in 1 when something does not hold.
    """
    from pgcharter.cli.progress import progress
    from pgcharter.operate import drill as drilling
    from pgcharter.operate.restore import until_of

    chosen = engine(environment, target, second=second, server=False)
    with progress("drill") as advance:
        found = drilling.drill(chosen, seed=seed, until=until_of(to=to) if to else None, advance=advance)
    if form == "json":
        show_json({"format": "pgcharter-backup-drill", "version": 1, "evidence": [proof(e) for e in drilling.evidence(found, chosen)]})
    else:
        _tell(found)
    return Exit.FINE if found.holds() else Exit.FINDINGS


def _tell(found: Drill) -> None:
    from pgcharter.render.page import Page, Styled

    page = Page(screen())
    when = f"{found.target:%Y-%m-%d %H:%M:%S.%f} UTC" if found.target else "the end of the log"
    page.flow(
        Styled(when, "strong"), f" (seed {found.seed}) from {found.backup or 'no backup'}, rows compared at {found.mark or 'no mark'}"
    )
    width = max(len(c.name) for c in found.checks)
    for c in found.checks:
        mark_ = Styled("✔ ", "good") if c.holds else Styled("▲ ", "warning") if c.holds is None else Styled("✘ ", "error")
        page.flow(mark_, Styled(c.name.ljust(width), "strong"), f"  {c.seen}", hanging=width + 4)
        for problem in c.problems[:10]:
            page.flow(problem, indent=width + 4)
    page.flow(", ".join(f"{name} {took:.1f} s" for name, took in found.times.items() if name != "rto"), hanging=2)
    show(page)


@backup.command("evidence", cls=Command, examples=(("pgcharter backup evidence", "what drills have proven, oldest first"),))
@second_option
@format_option
def evidence(form: str, *, second: bool) -> int:
    """Show what was proven. Ends in 1 when the newest drill does not hold, counts no longer, or there is none."""
    from datetime import UTC, datetime

    found = engine(None, None, second=second, server=False).repository().evidence()
    if form == "json":
        show_json({"format": "pgcharter-backup-evidence", "version": 1, "evidence": [proof(e) for e in found]})
    else:
        tell_evidence(found)
    newest = [e for e in found if e.name == "backup.drill"][-1:]
    holds = newest and newest[0].holds and (newest[0].until is None or newest[0].until > datetime.now(UTC))
    return Exit.FINE if holds else Exit.FINDINGS

"""`pgcharter upkeep`: what tables, indexes and views need, why, what it locks and costs; and doing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli.migrating import confirm_option, database_options
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.cli.signals import endable
from pgcharter.errors import Exit, RefusedError

if TYPE_CHECKING:
    from pgcharter.operate.upkeep_memory import Memory
    from pgcharter.operate.upkeep_model import Done, UpkeepPlan
    from pgcharter.operate.upkeep_settings import UpkeepSection


@click.group()
def upkeep() -> None:
    """Vacuum, freeze, analyze, indexes built anew, views refreshed: planned with reasons, lock and cost; then done, off peak."""


def _ground(environment: str | None, target: str | None) -> tuple[str, str, UpkeepSection, Memory]:
    """Name of the environment, connection string, settings, what is remembered."""
    import hashlib

    from pgcharter.cli import migrating
    from pgcharter.cli.project import charter_here
    from pgcharter.operate.upkeep_memory import Memory
    from pgcharter.operate.upkeep_settings import SECTION
    from pgcharter.redact import redact

    charter = charter_here()
    named, dsn = migrating.database(environment, target)
    file = charter.folder / ".pgcharter" / "upkeep" / f"{named or hashlib.sha256(redact(dsn).encode()).hexdigest()[:12]}.json"
    return named, dsn, charter.section(SECTION), Memory.read(file)


PLAN = (
    ("pgcharter upkeep plan --env production", "what would be done, why, what it locks; ends in 1 when there is something"),
    ("pgcharter upkeep plan --format json", "the same for a program"),
)


@upkeep.command("plan", cls=Command, examples=PLAN)
@database_options
@format_option
def plan(environment: str | None, target: str | None, form: str) -> int:
    """Say what upkeep would do now, and why. Changes nothing."""
    from pgcharter.operate import upkeep as planning
    from pgcharter.operate import upkeep_run

    _, dsn, section, memory = _ground(environment, target)
    with upkeep_run.session(dsn) as conn:
        found = planning.make(conn, section, memory)
    if form == "json":
        show_json({"format": "pgcharter-upkeep-plan", "version": 1, **_data(found)})
    else:
        _tell(found)
    return Exit.FINDINGS if found.steps else Exit.FINE


RUN = (
    ("pgcharter upkeep run", "show the plan, ask, do it"),
    ("pgcharter upkeep run --yes --env production --confirm production", "without a question, for a job"),
)


@upkeep.command("run", cls=Command, examples=RUN)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--now", "always", is_flag=True, help="Outside of the window too.")
@confirm_option
@database_options
@format_option
def run(environment: str | None, target: str | None, confirm: str | None, form: str, *, yes: bool, always: bool) -> int:
    """Plan upkeep, show it, and on a yes do it: step by step, each under lock timeouts, none begun when the window is over.

    What was broken off is gone on with by the next run. Ends in 1 when a step has failed or is left for the next time.
    """
    from pgcharter.cli import migrating, proofs
    from pgcharter.cli.progress import progress
    from pgcharter.cli.project import charter_here
    from pgcharter.operate import upkeep as planning
    from pgcharter.operate import upkeep_run

    named, dsn, section, memory = _ground(environment, target)
    migrating.refuse_production(migrating.production(charter_here(), named, dsn), confirm)
    with upkeep_run.session(dsn) as conn:
        found = planning.make(conn, section, memory)
    if form == "text":
        _tell(found)
    if found.steps and not yes and not click.confirm(f"do this in {migrating.called(named, dsn)}?", err=True):
        raise RefusedError("nothing was changed", hint="--yes answers beforehand")
    with endable() as asked, progress("upkeep") as advance:
        try:
            done, left = upkeep_run.run(
                dsn, section, memory, first=found, always=always, tell=lambda d, n, of: _told(d, n, of, advance, quiet=form == "json")
            )
        except KeyboardInterrupt:
            click.echo("ended; the next run goes on: pgcharter upkeep run", err=True)
            return asked.code
    proofs.keep(dsn, upkeep_run.evidence(done, left))
    if form == "json":
        show_json({"format": "pgcharter-upkeep-run", "version": 1, "steps": [_done(d) for d in done], "left": _data(left)})
    bad = [d for d in done if d.status != "done"]
    return Exit.FINDINGS if bad or left.steps else Exit.FINE


def _told(done: Done, n: int, of: int, advance: Any, *, quiet: bool) -> None:
    if advance:
        advance(done.step.sql, n, of)
    if not quiet:
        ending = {"done": f"done in {done.seconds:.1f} s", "failed": "failed", "left": "left"}[done.status]
        click.echo(f"{done.step.sql}: {ending}{f': {done.error}' if done.error else ''}")


def _tell(found: UpkeepPlan) -> None:
    from pgcharter.render.page import Page, Styled
    from pgcharter.render.phrases import plural

    page = Page(screen())
    for step in found.steps:
        page.flow(Styled("• ", "dim"), Styled(step.sql, "strong"), hanging=2)
        page.flow(step.reason, indent=4, hanging=2)
        page.flow(Styled(f"{step.lock}; {step.cost}", "dim"), indent=4, hanging=2)
    for advice in found.advice:
        page.flow(
            Styled("▲ ", "warning"), f"{advice.object}: {advice.says}", Styled(f"  {advice.sql}" if advice.sql else "", "dim"), hanging=2
        )
    for gap in found.gaps:
        page.flow(Styled("? ", "warning"), f"{gap.what}: {gap.why}", hanging=2)
    if not found.steps:
        page.flow(Styled("✔ ", "good"), f"nothing is to be done in {found.database}")
    else:
        page.flow(plural(len(found.steps), "step"))
    show(page)


def _data(found: UpkeepPlan) -> dict[str, Any]:
    steps = [
        {"kind": s.kind, "object": s.object, "sql": s.sql, "reason": s.reason, "lock": s.lock, "cost": s.cost, "facts": dict(s.facts)}
        for s in found.steps
    ]
    return {
        "database": found.database,
        "steps": steps,
        "advice": [{"kind": a.kind, "object": a.object, "says": a.says, "sql": a.sql} for a in found.advice],
        "gaps": [{"what": g.what, "why": g.why} for g in found.gaps],
    }


def _done(done: Done) -> dict[str, Any]:
    step = done.step
    return {
        "kind": step.kind, "object": step.object, "sql": step.sql, "status": done.status, "seconds": round(done.seconds, 3),
        "error": done.error or None,
    }  # fmt: skip

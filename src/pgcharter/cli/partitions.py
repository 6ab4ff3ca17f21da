"""`pgcharter partitions`: partitions by time made ahead, old ones taken out and archived, as `[[retention.partition]]` declares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli.migrating import confirm_option, database_options
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.errors import Exit, RefusedError, UsageError

if TYPE_CHECKING:
    from pgcharter.operate.partitions_model import Action, Result, TablePlan
    from pgcharter.policy.retention_settings import RetentionSection
    from pgcharter.render.page import Page


@click.group()
def partitions() -> None:
    """Make partitions ahead of time, take out what is old, archive it: shown first, with reason and lock, then done."""


only_option = click.option("--table", "only", multiple=True, metavar="TABLE", help="Only this table, schema.table; as often as you like.")

PLAN = (
    ("pgcharter partitions plan --env production", "what is to be done, why, and who would wait for it"),
    ("pgcharter partitions plan --format json", "the same, statement by statement"),
)


@partitions.command("plan", cls=Command, examples=PLAN)
@only_option
@database_options
@format_option
def plan(environment: str | None, target: str | None, form: str, only: tuple[str, ...]) -> int:
    """Say what `run` would do, and change nothing. Ends in 1 when there is something to do, or something it cannot mend."""
    from pgcharter.cli import proofs
    from pgcharter.operate import partitions as work

    called, dsn, section = _asked(environment, target)
    with work.opened(dsn, section) as conn:
        made = work.plans(conn, section, only=only)
    _known(made, only)
    proofs.keep(dsn, work.evidence(work.looked(made), _now()))
    if form == "json":
        show_json({"format": "pgcharter-partitions", "version": 1, "database": called, "tables": [_planned(p) for p in made]})
    else:
        _tell(called, made)
    return Exit.FINDINGS if any(p.actions or p.problems for p in made) else Exit.FINE


RUN = (
    ("pgcharter partitions run", "show the plan, ask, do it"),
    ("pgcharter partitions run --env production --confirm production --yes", "without a question, for a job"),
)


@partitions.command("run", cls=Command, examples=RUN)
@only_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@confirm_option
@database_options
@format_option
def run(environment: str | None, target: str | None, confirm: str | None, form: str, only: tuple[str, ...], *, yes: bool) -> int:
    """Do what `plan` says, each partition by itself, trying again while locks are not to be had. Ends in 1 when something was left.

    It may be ended at any moment: the next run goes on.
    """
    from pgcharter.cli import migrating, proofs
    from pgcharter.cli.progress import progress
    from pgcharter.cli.project import charter_here
    from pgcharter.operate import partitions as work

    called, dsn, section = _asked(environment, target)
    charter = charter_here()
    migrating.refuse_production(migrating.production(charter, *migrating.database(environment, target)), confirm)
    with work.opened(dsn, section) as conn:
        made = work.plans(conn, section, only=only)
    _known(made, only)
    if form == "text":
        _tell(called, made)
    if any(p.actions for p in made) and not yes and not click.confirm("do that?", err=True):
        raise RefusedError("nothing was changed", hint="--yes answers beforehand")
    with progress("partitions") as advance:
        results = work.run(dsn, section, folder=charter.folder, only=only, advance=advance)
    proofs.keep(dsn, work.evidence(results, _now()))
    if form == "json":
        show_json({"format": "pgcharter-partitions-run", "version": 1, "database": called, "tables": [_done(r) for r in results]})
    else:
        _tell_done(results)
    return Exit.FINDINGS if any(_left(r) for r in results) else Exit.FINE


LIST = (("pgcharter partitions list --env production", "each partition with its time, rows and size"),)


@partitions.command("list", cls=Command, examples=LIST)
@only_option
@database_options
@format_option
def list_(environment: str | None, target: str | None, form: str, only: tuple[str, ...]) -> int:
    """List the partitions of declared tables, and what was taken out and not dropped yet."""
    from pgcharter.operate import partitions as work

    called, dsn, section = _asked(environment, target)
    with work.opened(dsn, section) as conn:
        made = work.plans(conn, section, only=only)
    _known(made, only)
    if form == "json":
        tables = [{**_table(p), "partitions": [_part(x) for x in (*p.look.parts, *p.look.left)]} for p in made]
        show_json({"format": "pgcharter-partitions-list", "version": 1, "database": called, "tables": tables})
    else:
        _tell_parts(made)
    return Exit.FINE


def _asked(environment: str | None, target: str | None) -> tuple[str, str, RetentionSection]:
    """The database as messages call it, its address, and what the charter declares."""
    from pgcharter.cli import migrating
    from pgcharter.cli.project import charter_here
    from pgcharter.policy.retention_settings import SECTION

    named, dsn = migrating.database(environment, target)
    section = charter_here().section(SECTION)
    if not section.partition:
        raise UsageError("the charter declares no table in partitions", hint='[[retention.partition]] table = "app.events"')
    return migrating.called(named, dsn), dsn, section


def _known(made: Sequence[TablePlan], only: Sequence[str]) -> None:
    if only and not made:
        raise UsageError(f"the charter declares no partitions of {', '.join(only)}", hint="pgcharter partitions list")


def _now() -> Any:
    from pgcharter.watch.health import utc_now

    return utc_now()


def _left(result: Result) -> bool:
    return bool(result.plan.problems or result.unlike or any(d.problem for d in result.done))


def _table(made: TablePlan) -> dict[str, Any]:
    from pgcharter.render.json import object_data

    one = made.look
    return {
        "table": object_data(one.id), "managed_by": one.alone or None, "period": one.table.period, "ahead": made.ahead,
        "wanted_ahead": one.table.ahead, "keep": one.table.keep or None, "how": one.table.how,
        "problems": list(made.problems), "hint": one.hint or None, "notes": list(made.notes),
    }  # fmt: skip


def _planned(made: TablePlan) -> dict[str, Any]:
    return {**_table(made), "actions": [_action(a) for a in made.actions]}


def _action(one: Action) -> dict[str, Any]:
    from pgcharter.render.json import object_data

    return {
        "kind": one.kind, "partition": object_data(one.part), "why": one.why, "lock": one.lock, "from": one.low.isoformat(),
        "to": one.high.isoformat(), "sql": list(one.sql), "rows": one.rows,
    }  # fmt: skip


def _done(result: Result) -> dict[str, Any]:
    done = [
        {
            **_action(d.action),
            "done": not d.problem,
            "problem": d.problem or None,
            "tries": d.tries,
            "seconds": round(d.waited, 3),
            "went_to": d.said or None,
        }
        for d in result.done
    ]
    return {**_table(result.plan), "ahead": result.ahead, "unlike": list(result.unlike), "actions": done}


def _part(one: Any) -> dict[str, Any]:
    from pgcharter.render.json import object_data

    return {
        "partition": object_data(one.id),
        "from": one.low.isoformat() if one.low else None, "to": one.high.isoformat() if one.high else None,
        "bound": one.bound or None, "half_detached": one.pending, "leaving": one.marked, "rows": one.rows, "bytes": one.bytes,
    }  # fmt: skip


def _tell(called: str, made: Sequence[TablePlan]) -> None:
    from pgcharter.render.page import Page, Styled

    page = Page(screen())
    for one in made:
        _head(page, one)
        for action in one.actions:
            word = {"create": "make", "finish": "end the detach of", "detach": "take out", "release": "let go"}[action.kind]
            page.flow(Styled("• ", "dim"), f"{word} ", Styled(action.part.sql(), "strong"), f": {action.why}", indent=2, hanging=2)
            page.flow(Styled(action.lock, "dim"), indent=6, hanging=2)
    count = sum(len(p.actions) for p in made)
    page.blank()
    page.flow(
        f"{called}: {count} {'step' if count == 1 else 'steps'}" + (": pgcharter partitions run" if count else ", nothing is to be done")
    )
    show(page)


def _head(page: Page, one: TablePlan) -> None:
    from pgcharter.render.page import Styled

    look = one.look
    if look.alone:
        page.flow(Styled("• ", "dim"), Styled(look.id.sql(), "strong"), f": {look.alone} manages it, so it is left alone", hanging=2)
        return
    mark = Styled("✘ ", "bad") if one.problems else Styled("✔ ", "good")
    page.flow(mark, Styled(look.id.sql(), "strong"), Styled(f" · {one.ahead} of {look.table.ahead} ahead", "dim"), hanging=2)
    for problem in one.problems:
        page.flow(Styled(problem, "bad"), indent=2, hanging=2)
    if look.hint:
        page.flow(Styled(look.hint, "command"), indent=4, hanging=2)
    for note in one.notes:
        page.flow(note, indent=2, hanging=2)


def _tell_done(results: Sequence[Result]) -> None:
    from pgcharter.render.page import Page, Styled

    page = Page(screen())
    done = [d for r in results for d in r.done]
    rows = [(d.action.part.sql(), d.action.kind, f"{d.waited * 1000:.0f} ms", f"{d.tries}") for d in done]
    widths = [max((len(r[i]) for r in rows), default=0) for i in range(4)]
    for d, row in zip(done, rows, strict=True):
        cells = "  ".join(c.rjust(w) if i > 1 else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        page.line(Styled("✘ ", "bad") if d.problem else Styled("✔ ", "good"), cells, Styled(f"  {d.said}" if d.said else "", "dim"))
        if d.problem:
            page.flow(Styled(d.problem, "bad"), indent=4, hanging=2)
    for sentence in (s for r in results for s in r.unlike):
        page.flow(Styled("✘ ", "bad"), sentence, hanging=2)
    wrong = sum(bool(d.problem) for d in done)
    page.flow(f"{len(done) - wrong} of {len(done)} done")
    show(page)


def _tell_parts(made: Sequence[TablePlan]) -> None:
    from pgcharter.cli.backup import size
    from pgcharter.render.page import Page, Styled

    page = Page(screen())
    for one in made:
        _head(page, one)
        rows = [
            (
                p.id.sql(), f"{p.low:%Y-%m-%d %H:%M}" if p.low else "DEFAULT", f"{p.high:%Y-%m-%d %H:%M}" if p.high else "",
                f"~{p.rows:,}" if p.rows >= 0 else "?", size(p.bytes), "half detached" if p.pending else "leaving" if p.marked else "",
            )
            for p in (*one.look.parts, *one.look.left)
        ]  # fmt: skip
        widths = [max((len(r[i]) for r in rows), default=0) for i in range(6)]
        for row in rows:
            cells = [c.rjust(w) if i in (3, 4) else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
            page.line(Styled("  ".join(cells).rstrip(), "warning" if row[5] else ""), indent=2)
    show(page)

"""`pgcharter retention`: rows whose time is over leave, as `[[retention.rule]]` declares; legal holds say what stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli.migrating import confirm_option, database_options
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.cli.partitions import only_option
from pgcharter.errors import Exit, RefusedError, UsageError

if TYPE_CHECKING:
    from pgcharter.operate.retention_holds import Hold
    from pgcharter.operate.retention_model import Job, Outcome
    from pgcharter.policy.retention_settings import RetentionSection
    from pgcharter.policy.soft_delete_settings import SoftDeleteSection


@click.group()
def retention() -> None:
    """Let rows leave when their time is over: archived to tables or files, or deleted; what is held for a case stays."""


PLAN = (
    ("pgcharter retention plan --env production", "which rows are over, what goes with them, where to, what hinders"),
    ("pgcharter retention plan --table app.orders", "one table"),
)


@retention.command("plan", cls=Command, examples=PLAN)
@only_option
@database_options
@format_option
def plan(environment: str | None, target: str | None, form: str, only: tuple[str, ...]) -> int:
    """Say what `run` would do, and change nothing. Ends in 1 when rows are over, or something hinders."""
    from pgcharter.cli import proofs
    from pgcharter.operate import retention as work

    called, dsn, section, deleted = _asked(environment, target)
    with work.opened(dsn, section) as conn:
        jobs = work.plans(conn, section, deleted, only=only)
    proofs.keep(dsn, work.evidence(work.looked(jobs), _now()))
    if form == "json":
        show_json({"format": "pgcharter-retention", "version": 1, "database": called, "tables": [_job(j) for j in jobs]})
    else:
        _tell(called, jobs)
    return Exit.FINDINGS if any(j.due or j.problem for j in jobs) else Exit.FINE


RUN = (
    ("pgcharter retention run", "show the plan, ask, do it"),
    ("pgcharter retention run --env production --confirm production --yes", "without a question, for a job"),
)


@retention.command("run", cls=Command, examples=RUN)
@only_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@confirm_option
@database_options
@format_option
def run(environment: str | None, target: str | None, confirm: str | None, form: str, only: tuple[str, ...], *, yes: bool) -> int:
    """Do what `plan` says, batch by batch, children first, with one cut-off by the server's clock. Ends in 1 when rows were left.

    It may be ended at any moment: each batch is in the table or where it went to, never in both, never in neither.
    """
    from pgcharter.cli import migrating, proofs
    from pgcharter.cli.progress import progress
    from pgcharter.cli.project import charter_here
    from pgcharter.operate import retention as work

    called, dsn, section, deleted = _asked(environment, target)
    charter = charter_here()
    migrating.refuse_production(migrating.production(charter, *migrating.database(environment, target)), confirm)
    with work.opened(dsn, section) as conn:
        jobs = work.plans(conn, section, deleted, only=only)
    if form == "text":
        _tell(called, jobs)
    if any(j.due for j in jobs) and not yes and not click.confirm("do that?", err=True):
        raise RefusedError("nothing was changed", hint="--yes answers beforehand")
    with progress("retention") as advance:
        done = work.run(dsn, section, deleted, folder=charter.folder, only=only, advance=advance)
    proofs.keep(dsn, work.evidence(done, _now()))
    if form == "json":
        show_json({"format": "pgcharter-retention-run", "version": 1, "database": called, "tables": [_outcome(o) for o in done]})
    else:
        _tell_done(done)
    return Exit.FINDINGS if any(o.problem or o.left for o in done) else Exit.FINE


HOLD = (
    ("pgcharter retention hold app.orders --reason 'case 4711'", "no row of it leaves"),
    (
        "pgcharter retention hold app.orders --column customer_id --value 7 --reason 'case 4711'",
        "the rows of one customer, and what belongs to them",
    ),
)  # fmt: skip


@retention.command("hold", cls=Command, examples=HOLD)
@click.argument("table")
@click.option("--reason", required=True, help="Why it must stay.")
@click.option("--column", default="", metavar="COLUMN", help="Column that says which rows are held.  [default: all are]")
@click.option("--value", default=None, metavar="VALUE", help="Its value in those rows, as text.")
@database_options
@format_option
def hold(environment: str | None, target: str | None, form: str, table: str, reason: str, column: str, value: str | None) -> int:
    """Keep rows of a table, and what belongs to them, whatever their time: a legal hold. When it returns, nothing of that leaves."""
    from pgcharter.cli import migrating
    from pgcharter.db import connect
    from pgcharter.names import address
    from pgcharter.operate import retention_holds

    if bool(column) != (value is not None):
        raise UsageError("a hold of some rows needs both a column and its value", hint="--column customer_id --value 7")
    try:
        at = address(f"table {table}")
    except ValueError as error:
        raise UsageError(str(error)) from None
    with connect(migrating.database(environment, target)[1], application_name="pgcharter retention") as conn:
        conn.execute("SET lock_timeout = '10min'; SET statement_timeout = '11min'")
        made = retention_holds.place(conn, at, reason, column, value)
    if form == "json":
        show_json({"format": "pgcharter-hold", "version": 1, **_hold(made)})
    else:
        click.echo(f"{made.said} ({made.id})")
    return Exit.FINE


RELEASE = (("pgcharter retention release 'case 4711'", "all holds of a case, by its reason; or one, by its id"),)


@retention.command("release", cls=Command, examples=RELEASE)
@click.argument("which")
@confirm_option
@database_options
@format_option
def release(environment: str | None, target: str | None, confirm: str | None, form: str, which: str) -> int:
    """Take holds away, by their id or their reason: what they kept may leave with the next run."""
    from pgcharter.cli import migrating
    from pgcharter.cli.project import charter_here
    from pgcharter.db import connect
    from pgcharter.operate import retention_holds

    named, dsn = migrating.database(environment, target)
    migrating.refuse_production(migrating.production(charter_here(), named, dsn), confirm)
    with connect(dsn, application_name="pgcharter retention") as conn:
        conn.execute("SET lock_timeout = '5s'; SET statement_timeout = '1min'")
        count = retention_holds.release(conn, which)
    if form == "json":
        show_json({"format": "pgcharter-hold-released", "version": 1, "which": which, "holds": count})
    else:
        click.echo(f"{count} {'hold is' if count == 1 else 'holds are'} taken away")
    return Exit.FINE


STATUS = (("pgcharter retention status --env production", "what is held, by whom and why; what has left so far"),)


@retention.command("status", cls=Command, examples=STATUS)
@database_options
@format_option
def status(environment: str | None, target: str | None, form: str) -> int:
    """Say what is held, and what has left so far, table by table."""
    from pgcharter.cli import migrating
    from pgcharter.db import connect
    from pgcharter.operate import retention_holds

    with connect(migrating.database(environment, target)[1], application_name="pgcharter retention") as conn:
        conn.execute("SET lock_timeout = '5s'; SET statement_timeout = '1min'; SET TimeZone = 'UTC'")
        row = conn.execute(retention_holds.SQL["installed"]).fetchone()
        if not row or not all(row):
            raise RefusedError("the tables of holds and of what has left are not installed", hint=retention_holds.APPLY)
        holds = retention_holds.read(conn)
        runs = conn.execute(retention_holds.SQL["runs"]).fetchall()
    if form == "json":
        names = ("schema", "table", "action", "batches", "rows", "last", "cut_off")
        left = [dict(zip(names, (*r[:5], *(at.isoformat() if at else None for at in r[5:])), strict=True)) for r in runs]
        show_json({"format": "pgcharter-retention-status", "version": 1, "holds": [_hold(h) for h in holds], "left": left})
    else:
        _tell_status(holds, runs)
    return Exit.FINE


def _asked(environment: str | None, target: str | None) -> tuple[str, str, RetentionSection, SoftDeleteSection]:
    """The database as messages call it, its address, what the charter declares, and which rows are marked as deleted."""
    from pgcharter.cli import migrating
    from pgcharter.cli.project import charter_here
    from pgcharter.policy import soft_delete_settings
    from pgcharter.policy.retention_settings import SECTION

    named, dsn = migrating.database(environment, target)
    charter = charter_here()
    section = charter.section(SECTION)
    if not section.rule and not section.purge.keep:
        raise UsageError("the charter declares no rule of retention", hint='[[retention.rule]] tables = ["app.logs"], keep = "1y"')
    return migrating.called(named, dsn), dsn, section, charter.section(soft_delete_settings.SECTION)


def _now() -> Any:
    from pgcharter.watch.health import utc_now

    return utc_now()


def _job(job: Job) -> dict[str, Any]:
    from pgcharter.render.json import object_data

    return {
        "table": object_data(job.table), "by": job.by, "column": job.column, "keep": job.keep, "cut_off": job.cut_off.isoformat(),
        "how": job.how, "to": job.archive.sql() if job.archive else job.to or None, "due": job.due, "batch": job.rows,
        "prepare": list(job.prepare), "notes": list(job.notes), "problem": job.problem or None, "hint": job.hint or None,
    }  # fmt: skip


def _outcome(done: Outcome) -> dict[str, Any]:
    return {
        **_job(done.job), "rows": done.rows, "with_them": done.with_them, "batches": done.batches, "seconds": round(done.seconds, 3),
        "files": done.files, "left": done.left, "problem": done.problem or None,
    }  # fmt: skip


def _hold(one: Hold) -> dict[str, Any]:
    from pgcharter.render.json import object_data

    return {
        "id": str(one.id), "table": object_data(one.table), "column": one.column or None, "value": one.value if one.column else None,
        "reason": one.reason, "by": one.by, "at": one.at.isoformat(),
    }  # fmt: skip


def _tell(called: str, jobs: Sequence[Job]) -> None:
    from pgcharter.operate.retention_conditions import MOST
    from pgcharter.render.page import Page, Styled

    page = Page(screen())
    for job in jobs:
        if job.problem:
            page.flow(Styled("✘ ", "bad"), Styled(job.problem, "bad"), hanging=2)
            page.flow(*([Styled(job.hint, "command")] if job.hint else []), indent=4, hanging=2)
            continue
        mark = Styled("• ", "dim") if job.due else Styled("✔ ", "good")
        many = "+" * (job.due >= MOST)
        what = (
            f": {job.due:,}{many} rows are older than {job.keep} by {job.column} and are {_fate(job)}"
            if job.due
            else f": no row is older than {job.keep}"
        )
        page.flow(mark, Styled(job.table.sql(), "strong"), what, hanging=2)
        for note in (*job.prepare, *job.notes) if job.due else ():
            page.flow(Styled(note, "dim"), indent=4, hanging=2)
    count = sum(j.due for j in jobs)
    page.blank()
    page.flow(f"{called}: {count:,} rows are over" + (": pgcharter retention run" if count else ""))
    show(page)


def _fate(job: Job) -> str:
    if job.archive:
        return f"moved to {job.archive.sql()}"
    return f"written to {job.to} as {job.how}, read back and deleted" if job.in_files else "deleted"


def _tell_done(done: Sequence[Outcome]) -> None:
    from pgcharter.render.page import Page, Styled

    page = Page(screen())
    for one in done:
        mark = Styled("✘ ", "bad") if one.problem or one.left else Styled("✔ ", "good")
        rate = f", {one.rows / one.seconds:,.0f} rows/s" if one.rows and one.seconds else ""
        others = f", {one.with_them:,} rows of other tables with them" if one.with_them else ""
        page.flow(
            mark, Styled(one.job.table.sql(), "strong"), f": {one.rows:,} rows left in {one.batches} batches{rate}{others}", hanging=2
        )
        if one.left:
            why = "rows of other tables refer to them, somebody is at work on them, or a trigger keeps them"
            page.flow(f"{one.left:,} are over and still there: {why}", indent=4, hanging=2)
        if one.problem:
            page.flow(Styled(one.problem, "bad"), indent=4, hanging=2)
    show(page)


def _tell_status(holds: Sequence[Hold], runs: Sequence[tuple[Any, ...]]) -> None:
    from pgcharter.names import ObjectId
    from pgcharter.render.page import Page, Styled

    page = Page(screen())
    for one in holds:
        page.flow(Styled("• ", "warning"), one.said, Styled(f" · {one.by}, {one.at:%Y-%m-%d} · {one.id}", "dim"), hanging=2)
    if not holds:
        page.flow("nothing is held")
    rows = [(ObjectId("table", r[0], r[1]).sql(), r[2], f"{r[4]:,} rows", f"{r[5]:%Y-%m-%d %H:%M} UTC") for r in runs]
    widths = [max((len(r[i]) for r in rows), default=0) for i in range(4)]
    for row in rows:
        cells = [c.rjust(w) if i == 2 else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        page.line("  ".join(cells).rstrip())
    show(page)

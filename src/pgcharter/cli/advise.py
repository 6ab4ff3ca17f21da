"""`pgcharter advise`: what statements cost, what has become slower, which indexes are for nothing. It says, and never acts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from pgcharter.cli.migrating import database_options
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.errors import Exit, PgcharterError, UsageError

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from pgcharter.db import Connection


@click.group()
def advise() -> None:
    """Say what statements cost, what has become slower, and what to do about it. It only looks: pg_read_all_stats is enough."""


@contextmanager
def session(environment: str | None, target: str | None) -> Iterator[tuple[str, Connection]]:
    """What the database is called, and a session; errors of the server told as ours."""
    import psycopg

    from pgcharter.cli import migrating
    from pgcharter.watch import workload_read

    named, dsn = migrating.database(environment, target)
    try:
        with workload_read.open_session(dsn) as conn:
            yield migrating.called(named, dsn), conn
    except psycopg.Error as error:
        raise PgcharterError(f"the server refused to answer: {workload_read.said(error)}") from error


SNAPSHOT = (
    ("pgcharter advise snapshot --env production", "once: now, and what each statement has cost since the last one"),
    ("*/15 * * * * pgcharter advise snapshot --env production", "as a line of cron"),
)


@advise.command("snapshot", cls=Command, examples=SNAPSHOT)
@database_options
@format_option
def snapshot(environment: str | None, target: str | None, form: str) -> int:
    """Keep what each statement has cost since the last snapshot, in pgcharter.statement_snapshots. Nothing is ever reset.

    Takes pg_stat_statements, and [workload] in the charter. Take one right before each release: pgcharter advise regressions.
    """
    from datetime import timedelta

    from pgcharter.cli.project import charter_here
    from pgcharter.measures import seconds
    from pgcharter.policy.workload_settings import SECTION
    from pgcharter.watch import workload_keep, workload_read

    section = charter_here().section(SECTION)
    with session(environment, target) as (called, conn):
        source, gaps, kept = workload_read.look_for(conn)
        if source is None:
            raise PgcharterError(f"{gaps[0].what} cannot be seen: {gaps[0].why}")
        if not kept:
            raise PgcharterError(
                "there is no table pgcharter.statement_snapshots that this role may use",
                hint="write [workload] into the charter, with the role among its writers; then pgcharter policy apply",
            )
        made = workload_keep.take(conn, source, section.top, timedelta(seconds=seconds(section.keep)))
    from pgcharter.cli import advise_show

    if form == "json":
        show_json(advise_show.snapshot_data(called, made, source.gaps))
    else:
        show(advise_show.snapshot(screen(), made, source.gaps))
    return Exit.FINE


WORKLOAD = (
    ("pgcharter advise workload --env production", "what the last day has cost, by statement"),
    ("pgcharter advise workload --last 7d --top 50", "of a week, more of it"),
)


@advise.command("workload", cls=Command, examples=WORKLOAD)
@click.option("--last", default="1d", show_default=True, metavar="TIME", help="The time until now that is told.")
@click.option("--top", default=15, show_default=True, metavar="NUMBER", type=click.IntRange(1, 5000), help="Statements that are shown.")
@database_options
@format_option
def workload(environment: str | None, target: str | None, form: str, last: str, top: int) -> int:
    """Say which statements cost the most, which run once for each row of another (N+1), and which large tables are read whole.

    From the snapshots that are kept; where there are none, from all that pg_stat_statements has counted.
    """
    from pgcharter.cli import advise_show
    from pgcharter.watch import workload_report

    with session(environment, target) as (called, conn):
        found = workload_report.report(conn, span(last, "--last"))
    if form == "json":
        show_json(advise_show.workload_data(called, found, top))
    else:
        show(advise_show.workload(screen(), called, found, top))
    return Exit.FINE


REGRESSIONS = (
    ("pgcharter advise regressions --split '2026-11-22 09:00+00'", "the day after that moment against the day before"),
    ("pgcharter advise regressions --split 2026-11-22T09:00Z --span 2h", "two hours on either side"),
)


@advise.command("regressions", cls=Command, examples=REGRESSIONS)
@click.option("--split", required=True, metavar="TIME", help="When the release was, with its zone.")
@click.option("--span", "around", default="1d", show_default=True, metavar="TIME", help="How much before and after it is compared.")
@database_options
@format_option
def regressions(environment: str | None, target: str | None, form: str, split: str, around: str) -> int:
    """Say which statements are slower, more frequent or new since a release. Ends in 1 when there are some."""
    from pgcharter.cli import advise_show
    from pgcharter.watch import workload_report

    with session(environment, target) as (called, conn):
        found = workload_report.compare(conn, _moment(split), span(around, "--span"))
    if form == "json":
        show_json(advise_show.regressions_data(called, found))
    else:
        show(advise_show.regressions(screen(), called, found))
    return Exit.FINDINGS if any(c.bad for c in found.changes) else Exit.FINE


def span(text: str, option: str) -> timedelta:
    """A time as the command line writes it. Raises UsageError."""
    from datetime import timedelta

    from pgcharter.measures import seconds

    found = seconds(text, option)
    if not 1 <= found <= 366 * 86400:
        raise UsageError(f"{text!r} is not between a second and a year", hint="write 24h or 7d", place=option)
    return timedelta(seconds=found)


def _moment(text: str) -> datetime:
    from datetime import datetime

    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise UsageError(f"{text!r} is no time with its zone", hint="write 2026-11-22T09:00Z", place="--split")
    return found


from pgcharter.cli import advise_indexes  # noqa: E402, F401 - its command joins the group

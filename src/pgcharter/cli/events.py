"""`pgcharter events`: follow the event store, show an aggregate, let consumers begin anew, archive months, see how it is."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli.forgetting import forget
from pgcharter.cli.migrating import confirm_option, database_options
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.errors import Exit, RefusedError, UsageError

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.runtime.events import Event
    from pgcharter.runtime.events_archive import Status

_PAUSE = 0.25
"""Seconds between two looks of `tail --follow`."""


@click.group()
def events() -> None:
    """Events: follow the store, show an aggregate, see and move subscriptions."""


events.add_command(forget("events", "consumer"))


@contextmanager
def _connected(environment: str | None, target: str | None, tenant: str = "") -> Iterator[Connection]:
    """A connection outside of transactions, for a tenant."""
    from pgcharter.cli import migrating
    from pgcharter.db import connect

    with connect(migrating.database(environment, target)[1]) as conn:
        conn.execute("SELECT set_config('pgcharter.tenant', %s, false)", (tenant,))
        yield conn


TAIL = (
    ("pgcharter events tail --follow", "as they are settled, until Ctrl-C"),
    ("pgcharter events tail --category order --type order-placed --lines 100 --format json", "the last hundred, one JSON object a line"),
)


@events.command("tail", cls=Command, examples=TAIL)
@click.option("--follow", "-f", is_flag=True, help="Go on with those that come, until Ctrl-C.")
@click.option("--lines", "-n", type=click.IntRange(0), default=20, show_default=True, help="The last so many.")
@click.option("--after", type=click.IntRange(0), metavar="POSITION", help="All after this position, instead of the last.")
@click.option("--category", multiple=True, help="Of aggregates of this type; may be repeated.")
@click.option("--type", "types", multiple=True, help="Events of this type; may be repeated.")
@click.option("--tenant", default="", help="Of this tenant.")
@database_options
@format_option
def tail(
    environment: str | None, target: str | None, form: str, tenant: str, category: tuple[str, ...], types: tuple[str, ...],
    lines: int, after: int | None, follow: bool,
) -> int:  # fmt: skip
    """Write events in the order of all, one line each: only what is settled, so nothing comes later before what was written."""
    from pgcharter.runtime.events import read_all, settled, stream

    said: dict[str, Any] = {"categories": category or None, "types": types or None, "tenant": tenant or None}
    with _connected(environment, target, tenant) as conn:
        position = 0 if after is None else after
        if after is None:
            with conn.transaction():
                high = settled(conn)
                found = read_all(conn, **said, upto=high, backwards=True, limit=lines) if lines else []
            _write(found[::-1], form)
            position = high
        while True:
            with conn.transaction():
                high = settled(conn)
                for event in stream(conn, read_all, after=position, upto=high, **said):
                    _write([event], form)
            position = max(position, high)
            if not follow:
                return Exit.FINE
            time.sleep(_PAUSE)


SHOW = (
    ("pgcharter events show order 47ca7d8f-131f-4f4c-bac1-a90f7b0ff678", "what has happened to it"),
    ("pgcharter events show order 47ca7d8f-131f-4f4c-bac1-a90f7b0ff678 --as-of 2027-01-31", "what had happened by then"),
)


@events.command("show", cls=Command, examples=SHOW)
@click.argument("aggregate_type")
@click.argument("aggregate_id", metavar="ID")
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]), help="As it was then; UTC.")
@click.option("--archived", is_flag=True, help="From archived months too.")
@click.option("--tenant", default="", help="Of this tenant.")
@database_options
@format_option
def show_(
    aggregate_type: str, aggregate_id: str, environment: str | None, target: str | None, form: str, tenant: str, as_of: datetime | None,
    archived: bool,
) -> int:  # fmt: skip
    """Write the events of an aggregate in the order of its versions, one line each. Ends in 2 when there are none."""
    from datetime import UTC

    from pgcharter.runtime.events import read_aggregate

    moment = as_of if as_of is None or as_of.tzinfo else as_of.replace(tzinfo=UTC)
    with _connected(environment, target, tenant) as conn, conn.transaction():
        found = read_aggregate(conn, aggregate_type, aggregate_id, as_of=moment, archived=archived)
    if not found:
        raise UsageError(
            f"{aggregate_type} {aggregate_id} has no events" + (f" for tenant {tenant}" if tenant else ""),
            hint="" if tenant else "--tenant NAME, where it is a tenant's",
        )
    _write(found, form)
    return Exit.FINE


def _write(found: list[Event], form: str) -> None:
    for event in found:
        if form == "json":
            import json

            click.echo(json.dumps(_data(event), ensure_ascii=False))
        else:
            who = f" by {event.actor}" if event.actor else ""
            tenant = f"[{event.tenant}] " if event.tenant else ""
            click.echo(
                f"{event.position:>8}  {event.at:%Y-%m-%d %H:%M:%S}  {tenant}{event.aggregate_type} {event.aggregate_id} {event.version}"
                f"  {event.type}{who}  {event.body}"
            )


def _data(event: Event) -> dict[str, Any]:
    return {
        "format": "pgcharter-event", "version": 1, "position": event.position, "tenant": event.tenant,
        "aggregate_type": event.aggregate_type, "aggregate_id": str(event.aggregate_id), "event_version": event.version,
        "event_id": str(event.id), "event_type": event.type, "schema_version": event.schema_version, "event_data": event.data,
        "metadata": event.metadata, "actor": event.actor, "correlation": event.correlation, "causation": event.causation,
        "created_at": event.at.isoformat(),
    }  # fmt: skip


REPLAY = (
    ("pgcharter events replay search --from first --yes", "all that is kept, once more"),
    ("pgcharter events replay search --from 4711 --env production --confirm production --yes", "what comes after a position"),
)


@events.command("replay", cls=Command, examples=REPLAY)
@click.argument("consumer")
@click.option("--from", "start", required=True, metavar="WHERE", help="first, now, a position, or a time such as 2027-01-31T18:00+01:00.")
@click.option("--yes", is_flag=True, help="Do not ask: its handlers will do again what they have done.")
@confirm_option
@database_options
@format_option
def replay(
    consumer: str, start: str, environment: str | None, target: str | None, confirm: str | None, form: str, yes: bool,
) -> int:  # fmt: skip
    """Let a consumer begin anew from somewhere: its handlers get again what they had. Without --yes it asks, or refuses where nobody is."""
    import sys

    from pgcharter.cli import migrating
    from pgcharter.cli.project import charter_here
    from pgcharter.runtime.events import LOG
    from pgcharter.runtime.feeds_manage import reset
    from pgcharter.runtime.projections import PREFIX

    if consumer.startswith(PREFIX):
        raise RefusedError(
            f"{consumer} is a read model, which would have events in it twice",
            hint=f"pgcharter projections rebuild {consumer.removeprefix(PREFIX)}",
        )
    where = _start(start)
    migrating.refuse_production(migrating.production(charter_here(), *migrating.database(environment, target)), confirm)
    if not yes:
        if not sys.stdin.isatty():
            raise RefusedError(f"consumer {consumer} would do again what it has done since {start}", hint="--yes says that this is meant")
        click.confirm(f"Let {consumer} do again what it has done since {start}?", abort=True)
    with _connected(environment, target) as conn, conn.transaction():
        position = reset(conn, LOG, consumer, where)
    if form == "json":
        show_json({"format": "pgcharter-events-replay", "version": 1, "consumer": consumer, "position": position})
    else:
        click.echo(f"{consumer} begins again after position {position}")
    return Exit.FINE


def _start(text: str) -> Any:
    if text in ("first", "now"):
        return text
    if text.isdigit():
        return int(text)
    from pgcharter.cli.audit import Moment

    return Moment().convert(text, None, None)


ARCHIVE = (("pgcharter events archive 2026-01 --env production --confirm production", "stays as pgcharter.events_archive_2026_01"),)


@events.command("archive", cls=Command, examples=ARCHIVE)
@click.argument("month")
@click.option("--force", is_flag=True, help="Even where consumers have not read it: they stop, until a person resets them.")
@confirm_option
@database_options
@format_option
def archive_(month: str, environment: str | None, target: str | None, confirm: str | None, form: str, force: bool) -> int:
    """Take a month that is over out of pgcharter.events: it stays as a table of its own, and aggregates in it say so when they are read."""
    from pgcharter.cli import migrating
    from pgcharter.cli.project import charter_here
    from pgcharter.runtime.events_archive import archive

    if re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", month) is None:
        raise UsageError(f"{month!r} is no month", hint="write 2026-01")
    migrating.refuse_production(migrating.production(charter_here(), *migrating.database(environment, target)), confirm)
    with _connected(environment, target) as conn, conn.transaction():
        done = archive(conn, date.fromisoformat(f"{month}-01"), past_consumers=force)
    if form == "json":
        show_json({"format": "pgcharter-events-archive", "version": 1, **asdict(done)})
    else:
        click.echo(f"{done.rows:,} events of {done.aggregates:,} aggregates, up to position {done.upto}, are in {done.table} now")
    return Exit.FINE


STATUS = (("pgcharter events status --env production", "ends in 1 when events have no month, or a consumer stands"),)


@events.command("status", cls=Command, examples=STATUS)
@database_options
@format_option
def status_(environment: str | None, target: str | None, form: str) -> int:
    """Show months, aggregates, events without a month, and how far consumers are.

    Ends in 1 when events were appended for whose month there was no partition, or a consumer has failed for good or stopped.
    """
    from pgcharter.runtime.events_archive import store_status

    with _connected(environment, target) as conn, conn.transaction():
        found = store_status(conn)
    stuck = [c for c in found.consumers if c.state == "stale" or c.dead or c.error]
    if form == "json":
        data = asdict(found)
        for consumer in data["consumers"]:
            consumer["moved_at"] = consumer["moved_at"].isoformat()
            consumer["lease_until"] = consumer["lease_until"] and consumer["lease_until"].isoformat()
        show_json({"format": "pgcharter-events-status", "version": 1, **data})
    else:
        _tell(found)
    return Exit.FINDINGS if stuck or found.unplaced else Exit.FINE


def _about(rows: int | None, what: str) -> str:
    return f"no {what}" if rows == 0 else f"about {rows:,} {what}" if rows else f"{what} not counted yet (ANALYZE does)"


def _tell(found: Status) -> None:
    from pgcharter.render.page import Page, Styled

    page = Page(screen())
    page.flow(f"{_about(found.aggregates, 'aggregates')}; position {found.position:,} drawn last, settled up to {found.settled:,}")
    for month in found.months:
        if month.table == "events_unplaced" and not found.unplaced:
            continue
        page.flow(
            f"{month.table}: {_about(month.rows, 'events')}, {month.bytes / 1e6:,.1f} MB" + (" (archived)" if month.archived else ""),
            hanging=4,
        )
    if found.unplaced:
        said = f"{found.unplaced:,} events have no month: no partition was there for it; pgcharter policy apply makes those ahead"
        page.flow(Styled("✘ ", "error"), said, hanging=4)
    for c in found.consumers:
        sign = Styled("✘ ", "error") if c.state == "stale" or c.dead or c.error else "  "
        said = f" {c.slot + 1} of {c.slots}: {c.state}, at {c.position:,}, {c.rows:,} events or {c.seconds:,.0f} s behind"
        parked = f", {c.parked:,} parked, {c.dead:,} of them for good" if c.parked else ""
        page.flow(sign, Styled(c.consumer, "strong"), said + parked + (f": {c.error}" if c.error else ""), hanging=4)
    show(page)

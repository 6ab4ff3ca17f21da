"""`pgcharter projections`: run read models, make them anew beside the live ones, prove them equal, pause them, replay an aggregate."""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from pgcharter.cli.application import app_option, application, serve
from pgcharter.cli.migrating import confirm_option, database_options
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.errors import Exit, RefusedError

if TYPE_CHECKING:
    from pgcharter.runtime.feeds_manage import SlotStatus
    from pgcharter.runtime.projections_rebuild import ProjectionStatus

FORMAT = {"format": "pgcharter-projections", "version": 1}


@click.group()
def projections() -> None:
    """Read models: run them, rebuild them beside the live ones, prove them equal."""


def _dsn(environment: str | None, target: str | None) -> str:
    from pgcharter.cli import migrating

    return migrating.database(environment, target)[1]


def _changing(environment: str | None, target: str | None, confirm: str | None) -> str:
    """The database, where what is to be done may be done to it. Raises RefusedError for production without leave."""
    from pgcharter.cli import migrating
    from pgcharter.cli.project import charter_here

    found = migrating.database(environment, target)
    migrating.refuse_production(migrating.production(charter_here(), *found), confirm)
    return found[1]


def _done(app: str | None, dsn: str, work: Callable[[Any, Any], Any]) -> Any:
    """Do something with the application and its database, whichever colour that has."""
    from pgcharter.runtime.context import for_everybody
    from pgcharter.runtime.database import AsyncDatabase

    messaging = application(app)
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # each attempt at a connection is a warning there; the last one is told
    database = messaging.database(dsn)

    async def doing(waits: AsyncDatabase) -> Any:
        async with waits:
            found = work(messaging, waits)
            return await found if inspect.isawaitable(found) else found

    with for_everybody("pgcharter projections"):
        if isinstance(database, AsyncDatabase):
            return asyncio.run(doing(database))
        with database:
            return work(messaging, database)


STATUS = (
    ("pgcharter projections status", "which version of each is live, and how far it is behind"),
    ("pgcharter projections status --format json", "the same as data; ends in 1 when an event is parked"),
)  # fmt: skip


@projections.command("status", cls=Command, examples=STATUS)
@database_options
@format_option
def status_(environment: str | None, target: str | None, form: str) -> int:
    """Say which version of each read model is live, how far it is behind, and what is being made beside it.

    Ends in 1 when a message of one is parked, or one cannot go on.
    """
    from pgcharter.db import connect
    from pgcharter.runtime import feeds_manage
    from pgcharter.runtime.events_model import LOG
    from pgcharter.runtime.projections import PREFIX
    from pgcharter.runtime.projections_rebuild import status

    with connect(_dsn(environment, target)) as conn, conn.transaction():
        found = status(conn)
        slots: dict[str, list[SlotStatus]] = {}
        for slot in feeds_manage.status(conn, LOG):
            slots.setdefault(slot.consumer, []).append(slot)
    rows = [_row(each, slots.get(PREFIX + each.name, [])) for each in found]
    if form == "json":
        show_json({**FORMAT, "projections": rows})
    else:
        _show(rows)
    return Exit.FINDINGS if any(r["parked"] or r["dead"] or "stale" in r["states"] for r in rows) else Exit.FINE


def _row(found: ProjectionStatus, slots: list[SlotStatus]) -> dict[str, Any]:
    return {
        **{k: v.isoformat() if hasattr(v, "isoformat") else v for k, v in asdict(found).items()},
        "states": sorted({s.state for s in slots}),
        "rows_behind": sum(s.rows for s in slots),
        "seconds_behind": max((round(s.seconds, 3) for s in slots), default=0.0),
        "parked": sum(s.parked for s in slots),
        "dead": sum(s.dead for s in slots),
        "errors": sorted({s.error for s in slots if s.error}),
    }


def _show(rows: list[dict[str, Any]]) -> None:
    from pgcharter.render.page import Page, Styled

    page = Page(screen())
    for row in rows:
        bad = row["parked"] or row["dead"] or "stale" in row["states"]
        version = f" version {row['version']}, {row['mode']}" if row["version"] else " was never filled"
        page.flow(
            Styled("✘ " if bad else "✓ ", "error" if bad else "good"), Styled(row["name"], "strong"), version + _standing(row), hanging=4
        )
        for error in row["errors"]:
            page.flow("    ", error, hanging=4)
    if not rows:
        page.flow("no read model has been filled yet")
    show(page)


def _standing(row: dict[str, Any]) -> str:
    said = [s for s in row["states"] if s != "running"]
    if row["mode"] == "async":
        behind = (
            f"{row['rows_behind']:,} events or {row['seconds_behind']:,.1f} s behind" if row["rows_behind"] else "has all that is settled"
        )
        said.append(behind if row["states"] else "not run yet")
    if row["parked"]:
        said.append(f"{row['parked']:,} events parked, {row['dead']:,} of them for good")
    if row["building"] is not None:
        said.append(f"version {row['building']} is being made, and has events up to {row['position']:,}")
    return "".join(f"; {s}" for s in said)


RUN = (("pgcharter projections run --env production", "all async ones, until Ctrl-C or SIGTERM"),)


@projections.command("run", cls=Command, examples=RUN)
@app_option
@database_options
def run_(app: str | None, environment: str | None, target: str | None) -> int:
    """Follow the events with all async read models of the application, until Ctrl-C or SIGTERM. Any number of these may run."""
    serve(application(app), _dsn(environment, target), ("projections",))
    return Exit.FINE


REBUILD = (
    ("pgcharter projections rebuild order-totals", "beside the live tables; in the end what differs is carried over"),
    ("pgcharter projections rebuild order-totals --env production --confirm production", "on production"),
    ("pgcharter projections rebuild order-totals --cancel", "drop what is built"),
)


@projections.command("rebuild", cls=Command, examples=REBUILD)
@click.argument("name")
@click.option("--anew", is_flag=True, help="Begin at the first event again, instead of where an earlier rebuild has stopped.")
@click.option("--cancel", is_flag=True, help="Drop what is built; the live tables stay as they are.")
@app_option
@confirm_option
@database_options
@format_option
def rebuild_(
    name: str, anew: bool, cancel: bool, app: str | None, environment: str | None, target: str | None, confirm: str | None, form: str
) -> int:
    """Make the tables of a read model anew from all events, beside the live ones, and then carry over what differs.

    Readers see the old content, then the new. Interrupted or killed, the next call goes on. A new version goes live by this.
    """
    from pgcharter.cli.progress import progress
    from pgcharter.runtime.projections_rebuild import Rebuild

    dsn = _changing(environment, target, confirm)
    if cancel:
        _done(app, dsn, lambda m, db: Rebuild(db, m.projection(name)).cancel())
        return _said(form, f"what was built of {name} is gone; the live tables are as they were", "rebuild", name, cancelled=True)
    with progress(f"rebuilding {name}") as advance:
        found = _done(app, dsn, lambda m, db: Rebuild(db, m.projection(name)).run(anew=anew, tell=_telling(name, advance)))
    if form == "json":
        show_json({"format": "pgcharter-projection-rebuild", "version": 1, "projection": name, **asdict(found)})
    else:
        differed = f"{found.written:,} rows were not as they are now" if found.written else "the live tables were the same"
        click.echo(f"{name} is made from {found.events:,} events, up to position {found.position:,}; {differed}")
    return Exit.FINE


def _telling(name: str, advance: Any) -> Callable[[int, int], None]:
    return (lambda done, total: advance(name, done, total)) if advance else (lambda _done, _total: None)


VERIFY = (("pgcharter projections verify order-totals", "made again in a snapshot, and compared; ends in 1 when they differ"),)


@projections.command("verify", cls=Command, examples=VERIFY)
@click.argument("name")
@app_option
@database_options
@format_option
def verify_(name: str, app: str | None, environment: str | None, target: str | None, form: str) -> int:
    """Prove a read model: make its tables again from the events, in a snapshot of the database, and compare. Changes nothing.

    A transaction is open for as long as it takes. Ends in 1 when they differ.
    """
    from pgcharter.cli.progress import progress
    from pgcharter.runtime.projections_rebuild import Check

    dsn = _dsn(environment, target)
    with progress(f"proving {name}") as advance:
        found = _done(app, dsn, lambda m, db: Check(db, m.projection(name)).run(tell=_telling(name, advance)))
    equal = all(c.equal for c in found)
    if form == "json":
        tables = [{**asdict(c), "equal": c.equal} for c in found]
        show_json({"format": "pgcharter-projection-check", "version": 1, "projection": name, "equal": equal, "tables": tables})
        return Exit.FINE if equal else Exit.FINDINGS
    for c in found:
        if c.equal:
            click.echo(f"{c.table}: {c.rows:,} rows, as its events make them; checksum {c.checksum}")
        else:
            click.echo(f"{c.table}: {c.missing:,} rows are missing, {c.extra:,} should not be there, {c.different:,} are different")
            click.echo(f"  among them {', '.join(c.keys)}")
    if not equal:
        click.echo(f"pgcharter projections rebuild {name} puts it right")
    return Exit.FINE if equal else Exit.FINDINGS


def _said(form: str, sentence: str, what: str, name: str, **more: Any) -> int:
    """Tell what was done."""
    if form == "json":
        show_json({"format": f"pgcharter-projection-{what}", "version": 1, "projection": name, **more})
    else:
        click.echo(sentence)
    return Exit.FINE


def _moved(verb: str, dsn: str, name: str) -> None:
    from pgcharter.db import connect
    from pgcharter.runtime import feeds_manage
    from pgcharter.runtime.projections import PREFIX

    with connect(dsn) as conn, conn.transaction():
        getattr(feeds_manage, verb)(conn, PREFIX + name)


@projections.command("pause", cls=Command, examples=(("pgcharter projections pause order-totals", "until it is resumed"),))
@click.argument("name")
@database_options
@format_option
def pause_(name: str, environment: str | None, target: str | None, form: str) -> int:
    """Let an async read model stay as it is until `resume`; events wait for it."""
    _moved("pause", _dsn(environment, target), name)
    return _said(form, f"{name} is paused, and keeps what it has", "moved", name, state="paused")


@projections.command("resume", cls=Command, examples=(("pgcharter projections resume order-totals", "from where it was paused"),))
@click.argument("name")
@database_options
@format_option
def resume_(name: str, environment: str | None, target: str | None, form: str) -> int:
    """Let a paused read model go on."""
    _moved("resume", _dsn(environment, target), name)
    return _said(form, f"{name} goes on", "moved", name, state="running")


REPLAY = (("pgcharter projections replay order-totals order 47ca7d8f-131f-4f4c-bac1-a90f7b0ff678 --yes", "its rows, made anew"),)


@projections.command("replay", cls=Command, examples=REPLAY)
@click.argument("name")
@click.argument("aggregate_type")
@click.argument("aggregate_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@app_option
@confirm_option
@database_options
@format_option
def replay_(
    name: str, aggregate_type: str, aggregate_id: str, yes: bool, app: str | None, environment: str | None, target: str | None,
    confirm: str | None, form: str,
) -> int:  # fmt: skip
    """Delete the rows of one aggregate from a read model and make them anew from its events, in one transaction."""
    from pgcharter.runtime.projections_rebuild import Replay

    dsn = _changing(environment, target, confirm)
    if not yes:
        if not sys.stdin.isatty():
            raise RefusedError(
                f"the rows of {aggregate_type} {aggregate_id} would be deleted and made anew", hint="--yes says that this is meant"
            )
        click.confirm(f"Delete the rows of {aggregate_type} {aggregate_id} from {name}, and make them anew?", abort=True)
    events = _done(app, dsn, lambda m, db: Replay(db, m.projection(name)).run(aggregate_type, _id(aggregate_id)))
    said = f"{aggregate_type} {aggregate_id} is made anew in {name}, from {events:,} events"
    return _said(form, said, "replay", name, aggregate_type=aggregate_type, aggregate_id=aggregate_id, events=events)


def _id(text: str) -> UUID | str:
    try:
        return UUID(text)
    except ValueError:
        return text

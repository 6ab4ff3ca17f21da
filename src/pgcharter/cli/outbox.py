"""`pgcharter outbox`: messages to others: deliver them, say what waits, what is parked and what is dead, and send it again."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli.application import app_option
from pgcharter.cli.forgetting import forget
from pgcharter.cli.migrating import confirm_option, database_options
from pgcharter.cli.outbox_decisions import connected, requeue, skip
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.errors import Exit, UsageError

if TYPE_CHECKING:
    from pgcharter.runtime.feeds_manage import Parked, SlotStatus
    from pgcharter.runtime.outbox_look import Part, Progress, Unrouted


@click.group()
def outbox() -> None:
    """Messages to others: deliver them, say what waits, what is parked and what is dead, and send it again."""


for command in (requeue, skip, forget("outbox", "route")):
    outbox.add_command(command)


def _at(environment: str | None, target: str | None, confirm: str | None) -> str:
    from pgcharter.cli import migrating
    from pgcharter.cli.project import charter_here

    named, dsn = migrating.database(environment, target)
    migrating.refuse_production(migrating.production(charter_here(), named, dsn), confirm)
    return dsn


def _seconds(_ctx: click.Context, _parameter: click.Parameter, value: str) -> float:
    from pgcharter.measures import seconds

    return seconds(value, "--sample")


STATUS = (
    ("pgcharter outbox status --env production", "ends in 1 when a message is dead, or a route stands"),
    ("pgcharter outbox status --sample 10s --format json", "rates over ten seconds"),
)


@outbox.command("status", cls=Command, examples=STATUS)
@click.option(
    "--sample", callback=_seconds, default="1s", show_default=True, metavar="TIME", help="Time that rates are measured over; 0s: none."
)
@database_options
@format_option
def status_(environment: str | None, target: str | None, form: str, sample: float) -> int:
    """Say what waits for each route and for how long, what is parked and dead, how quick it goes, and how the ring is.

    Topics that no route wants are named: their messages are delivered to nobody. Ends in 1 when a message is dead, or a route was stopped
    for good.
    """
    from pgcharter.runtime.feeds_manage import status
    from pgcharter.runtime.outbox import LOG
    from pgcharter.runtime.outbox_look import parts, progress, unrouted

    with connected(environment, target) as conn:
        with conn.transaction():
            before = progress(conn)
        time.sleep(sample)
        with conn.transaction():
            after, slots, ring, (_, lost) = progress(conn), status(conn, LOG), parts(conn), unrouted(conn)
    rates = _rates(before, after) if sample else {}
    routes = [_route([s for s in slots if s.consumer == name], rates) for name in dict.fromkeys(s.consumer for s in slots)]
    if form == "json":
        show_json(
            {
                "format": "pgcharter-outbox-status", "version": 1, "drawn": after.drawn, "settled": after.settled,
                "published_per_second": rates.get(""), "routes": routes, "parts": [_part(p) for p in ring],
                "unrouted": [asdict(u) for u in lost],
            }
        )  # fmt: skip
    else:
        _tell(after, routes, lost, ring, rates)
    return Exit.FINDINGS if any(r["dead"] or r["state"] == "stale" for r in routes) else Exit.FINE


def _rates(before: Progress, after: Progress) -> dict[str, float]:
    """Positions in a second, by route; of publishing with the empty name."""
    seconds = max((after.at - before.at).total_seconds(), 0.001)
    moved = {name: after.routes[name] - before.routes.get(name, after.routes[name]) for name in after.routes}
    return {name: round(n / seconds, 1) for name, n in {**moved, "": after.drawn - before.drawn}.items()}


def _route(slots: list[SlotStatus], rates: dict[str, float]) -> dict[str, Any]:
    states = {s.state for s in slots}
    return {
        "route": slots[0].consumer,
        "state": next((s for s in ("stale", "paused") if s in states), "running"),
        "slots": len(slots),
        "workers": len({s.owner for s in slots if s.owner}),
        "position": min(s.position for s in slots),
        "waiting": sum(s.rows for s in slots),
        "oldest_seconds": max(s.seconds for s in slots if s.rows) if any(s.rows for s in slots) else 0.0,
        "parked": sum(s.parked for s in slots),
        "dead": sum(s.dead for s in slots),
        "per_second": rates.get(slots[0].consumer),
        "error": next((s.error for s in slots if s.error), None),
    }


def _part(part: Part) -> dict[str, Any]:
    return {"part": part.part, "bytes": part.bytes, "filled": part.filled, "first": part.first, "last": part.last}


def _tell(at: Progress, routes: list[dict[str, Any]], lost: list[Unrouted], ring: list[Part], rates: dict[str, float]) -> None:
    from pgcharter.render.page import Page, Styled

    page = Page(screen())
    published = f", {rates['']:,.0f} a second" if rates else ""
    page.flow(f"published up to {at.drawn:,}{published}; settled up to {at.settled:,}")
    for r in routes:
        bad = r["dead"] or r["state"] == "stale"
        said = f" {r['state']}, {r['workers']} workers, {r['waiting']:,} waiting"
        said += f", the oldest for {r['oldest_seconds']:,.1f} s" if r["waiting"] else ""
        said += f", {r['per_second']:,.0f} a second" if r["per_second"] is not None else ""
        said += f", {r['parked']:,} parked, {r['dead']:,} of them dead" if r["parked"] else ""
        page.flow(
            Styled("✘ ", "error") if bad else "  ",
            Styled(r["route"], "strong"),
            said + (f": {r['error']}" if r["error"] else ""),
            hanging=4,
        )
    if not routes:
        page.flow("no route has run yet, so all of it is kept")
    for u in lost:
        page.flow(Styled("! ", "warning"), _nobody_wants(u), hanging=4)
    for p in ring:
        held = f"{p.first:,} to {p.last:,}, " if p.first is not None else "empty, "
        page.flow(f"  part {p.part}: {held}{p.bytes / 1e6:,.1f} MB" + (", filled now" if p.filled else ""), hanging=4)
    show(page)


def _nobody_wants(u: Unrouted) -> str:
    return f"no route wants topic {u.topic}: {u.messages:,} messages from position {u.first:,} on, the oldest for {u.seconds:,.1f} s"


LIST = (
    ("pgcharter outbox list --state dead", "what a person has to decide about, of all routes"),
    ("pgcharter outbox list mail --limit 1000 --format json", "all that waits for one route"),
)


@outbox.command("list", cls=Command, examples=LIST)
@click.argument("route", required=False)
@click.option("--state", type=click.Choice(["waiting", "dead", "behind"]), help="Only those.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Most messages of a route.")
@database_options
@format_option
def list_(route: str | None, state: Any, limit: int, environment: str | None, target: str | None, form: str) -> int:
    """List what is parked: messages that failed or are delayed (waiting), those given up (dead), those of their keys behind them.

    Without ROUTE, topics that no route wants are named too.
    """
    from pgcharter.runtime.feeds_manage import parked
    from pgcharter.runtime.outbox_look import routes, unrouted

    with connected(environment, target) as conn, conn.transaction():
        known = routes(conn)
        if route is not None and route not in known:
            raise UsageError(f"route {route!r} has never run", hint=f"there are: {', '.join(known) or 'none'}")
        found = {name: parked(conn, name, state or "", limit) for name in ([route] if route else known)}
        lost = [] if route else unrouted(conn)[1]
    if form == "json":
        messages = [_data(n, p) for n, some in found.items() for p in some]
        show_json({"format": "pgcharter-outbox-parked", "version": 1, "messages": messages, "unrouted": [asdict(u) for u in lost]})
        return Exit.FINE
    for name, some in found.items():
        for p in some:
            topic, due = p.message["topic"], f", due {p.due_at:%Y-%m-%d %H:%M:%S}" if p.due_at else ""
            click.echo(
                f"{name}  {p.position:>8}  {p.state:<7}  {p.attempts:>2} attempts{due}  {topic}  key {p.key}"
                + (f"  {p.error}" if p.error else "")
            )
    if not any(found.values()):
        click.echo("nothing is parked")
    for u in lost:
        click.echo(_nobody_wants(u))
    return Exit.FINE


def _data(route: str, p: Parked) -> dict[str, Any]:
    return {
        "route": route, "position": p.position, "message_id": p.message["message_id"], "topic": p.message["topic"], "key": p.key,
        "state": p.state, "attempts": p.attempts, "due_at": p.due_at and p.due_at.isoformat(),
        "failed_at": p.failed_at and p.failed_at.isoformat(), "error": p.error,
    }  # fmt: skip


SHOW = (("pgcharter outbox show 4711", "by its position; or by its id"),)


@outbox.command("show", cls=Command, examples=SHOW)
@click.argument("message")
@database_options
@format_option
def show_(message: str, environment: str | None, target: str | None, form: str) -> int:
    """Show a message with its payload, and for which routes it is parked. MESSAGE is its position or its id."""
    from pgcharter.runtime.outbox_look import find

    with connected(environment, target) as conn, conn.transaction():
        row, waiting = find(conn, message)
    parked = [
        {
            "route": w.route, "key": w.key, "state": w.state, "attempts": w.attempts, "due_at": w.due_at and w.due_at.isoformat(),
            "failed_at": w.failed_at and w.failed_at.isoformat(), "error": w.error,
        }
        for w in waiting
    ]  # fmt: skip
    if form == "json":
        show_json({"format": "pgcharter-outbox-message", "version": 1, "message": row, "parked": parked})
        return Exit.FINE
    for name, value in row.items():
        if value is not None and name != "part":
            click.echo(f"{name:<12} {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")
    for p in parked:
        click.echo(f"parked       {p['route']}: {p['state']}, {p['attempts']} attempts" + (f", {p['error']}" if p["error"] else ""))
    return Exit.FINE


RUN = (("pgcharter outbox run --env production --confirm production", "until Ctrl-C or SIGTERM; any number of these may run"),)


@outbox.command("run", cls=Command, examples=RUN)
@app_option
@confirm_option
@database_options
def run_(app: str | None, environment: str | None, target: str | None, confirm: str | None) -> int:
    """Deliver messages by the routes of the application's Messaging object ([messaging] app), until told to stop."""
    from pgcharter.cli.application import application, serve

    serve(application(app), _at(environment, target, confirm), ["outbox"])
    return Exit.FINE

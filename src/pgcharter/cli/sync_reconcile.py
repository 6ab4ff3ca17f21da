"""`pgcharter sync reconcile`: copies compared with their source, and put right."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli import sync_two_way
from pgcharter.cli.migrating import confirm_option, database_options
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.cli.sync import leave, sync
from pgcharter.errors import Exit, PgcharterError

if TYPE_CHECKING:
    from pgcharter.stream.reconcile import Side
    from pgcharter.stream.reconcile_model import Options, Report

_SHOWN = 20
RECONCILE = (
    ("pgcharter sync reconcile", "compare all copies; ends in 1 when something differs"),
    ("pgcharter sync reconcile search --table public.orders --repair", "and put it right"),
    ("pgcharter sync reconcile --repair --forever --rate 2000 --pause 10min", "as a service, two thousand rows a second"),
)


def _seconds(_ctx: click.Context, parameter: click.Parameter, value: str) -> float:
    from pgcharter.measures import seconds

    return seconds(value, f"--{parameter.name}")


@sync.command("reconcile", cls=Command, examples=RECONCILE)
@click.argument("sink", required=False)
@click.option("--table", "tables", multiple=True, metavar="SCHEMA.TABLE", help="Only this table; may be given again.")
@click.option("--repair/--report", default=False, help="Put right what differs, or only say it.  [default: report]")
@click.option("--all", "everything", is_flag=True, help="Repair however much differs.")
@click.option("--share", type=click.FloatRange(0, 1), default=0.1, show_default=True, help="Largest part of the rows that is repaired.")
@click.option("--rate", type=click.FloatRange(0), default=0.0, metavar="ROWS", help="Most rows read per second.  [default: no limit]")
@click.option("--wait", callback=_seconds, default="60s", show_default=True, metavar="TIME", help="Longest wait for the copy to catch up.")
@click.option("--behind", is_flag=True, help="Do not wait: what the copy has not got yet is a difference too. For when no worker runs.")
@click.option("--forever", is_flag=True, help="Go on round after round, until interrupted.")
@click.option("--pause", callback=_seconds, default="1min", show_default=True, metavar="TIME", help="Between two tables of --forever.")
@confirm_option
@database_options
@format_option
def reconcile_(
    environment: str | None, target: str | None, confirm: str | None, form: str, sink: str | None, tables: tuple[str, ...], share: float,
    rate: float, wait: float, pause: float, *, repair: bool, everything: bool, forever: bool, behind: bool,
) -> int:  # fmt: skip
    """Compare what is stored with what should be, at one moment of the source, and repair it.

    Runs beside `sync run`: what is on its way is no difference, and a repair never overwrites what is newer. Corrections are noted in
    pgcharter.sync_corrections, without values. Ends in 1 when differences remain.
    """
    from pgcharter.stream.reconcile_model import Options

    both, only = sync_two_way.two_ways(environment, target)
    if repair:
        leave(environment, target, confirm)
    equal = sync_two_way.compared(both, sink, tables, repair=repair)
    if only or sink in {one.table.name for one in both}:
        return _told_both(equal, form)
    found = sides(environment, target, sink, tables)
    options = Options(repair, 1.0 if everything else share, rate, wait=wait)
    if forever:
        return _forever(lambda: sides(environment, target, sink, tables), options, pause, form)
    reports = _all(found, options, behind=behind)
    _prove(environment, target, reports)
    if form == "json":
        show_json({"format": "pgcharter-sync-reconcile", "version": 1, "mappings": [data(r) for r in reports], "two_way": equal})
    else:
        for report in reports:
            _tell(report)
        _told_both(equal, form)
    return Exit.FINDINGS if any(r.remaining or r.unsettled for r in reports) or _differ(equal) else Exit.FINE


def _prove(environment: str | None, target: str | None, reports: list[Report]) -> None:
    """Keep as evidence whether each store holds what it should."""
    from pgcharter.cli import migrating, proofs

    made = []
    for sink in dict.fromkeys(r.sink for r in reports):
        of = [r for r in reports if r.sink == sink]
        left, rows = sum(r.remaining + r.unsettled for r in of), sum(r.rows for r in of)
        made.append(proofs.seen(f"sync.{sink}", not left, f"{left:,} of {rows:,} rows differ from their source", {"tables": len(of)}))
    proofs.keep(migrating.database(environment, target)[1], made)


def _told_both(equal: list[dict[str, Any]], form: str) -> int:
    """How both sides of copies both ways compare."""
    if form == "json":
        show_json({"format": "pgcharter-sync-reconcile", "version": 1, "mappings": [], "two_way": equal})
    else:
        for one in equal:
            sync_two_way.tell_compared(one)
    return Exit.FINDINGS if _differ(equal) else Exit.FINE


def _differ(equal: list[dict[str, Any]]) -> bool:
    return any(len(one["keys"]) > one["repaired"] for one in equal)


def sides(
    environment: str | None, target: str | None, sink: str | None, tables: tuple[str, ...] = (), *, delta: bool = False
) -> list[Side]:
    """The copies of the charter that are meant; `delta`: only those made by batches. Raises UsageError where there are none."""
    import os

    from pgcharter.cli import migrating
    from pgcharter.cli.project import charter_here
    from pgcharter.policy.sync_settings import SECTION
    from pgcharter.sinks.declared import copies

    charter = charter_here()
    dsn = migrating.database(environment, target)[1]
    return copies(charter.section(SECTION), dsn, charter.folder, os.environ, sink, tables, delta=delta)


def _all(found: list[Side], options: Options, *, behind: bool) -> list[Report]:
    from pgcharter.cli.progress import progress
    from pgcharter.stream.reconcile_rounds import compare

    reports = []
    with progress("comparing") as advance:
        for n, side in enumerate(found):
            if advance:
                advance(f"comparing {side.mapping.table} in {side.name}", n, len(found))
            reports.append(compare(side, options, behind=behind))
    return reports


def _forever(make: Callable[[], list[Side]], options: Options, pause: float, form: str) -> int:
    from pgcharter.stream.reconcile_rounds import rounds

    stop = threading.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, lambda *_: stop.set())

    def tell(what: Report | PgcharterError) -> None:
        if isinstance(what, PgcharterError):
            click.echo(f"{what}; it is tried again" + (f" ({what.hint})" if what.hint else ""), err=True)
        elif form == "json":
            show_json({"format": "pgcharter-sync-reconcile", "version": 1, "mappings": [data(what)]})
        else:
            _tell(what)

    rounds(make, options, pause, stop, tell)
    return Exit.FINE


def _tell(report: Report) -> None:
    from pgcharter.render.page import Page, Styled
    from pgcharter.stream.values import text

    page = Page(screen())
    good = not report.remaining and not report.unsettled
    counts = ", ".join(f"{n} {kind}" for kind, n in report.counts.items() if n) or "no difference"
    done = f", {report.repaired} repaired" if report.repaired else ""
    page.flow(
        Styled("✓ " if good else "✘ ", "good" if good else "error"), Styled(f"{report.table} → {report.sink}", "strong"),
        f": {report.rows} rows, {report.stored} there, {counts}{done}, {report.seconds:.1f} s", hanging=2,
    )  # fmt: skip
    for one in report.differences[:_SHOWN]:
        what = f": {', '.join(one.fields)}" if one.fields else ""
        page.flow(f"  {one.kind} {one.shape.to} ({', '.join('NULL' if k is None else text(k) for k in one.key)}){what}", hanging=4)
    if report.found > _SHOWN:
        page.flow(f"  and {report.found - _SHOWN} more")
    if report.unsettled:
        page.flow(f"  {report.unsettled} rows changed each time they were looked at, and are not judged", hanging=4)
    if report.foreign:
        more = ", …" if report.foreign > len(report.strangers) else ""
        named = ", ".join(report.strangers) + more
        page.flow(f"  {report.foreign} keys there were never copied, and are left alone: {named}", hanging=4)
    if report.future:
        page.flow(
            f"  {report.future} rows have stamps later than the source's log: it was restored, or is another server."
            " `pgcharter sync init --anew` seeds the copy anew", hanging=4,
        )  # fmt: skip
    show(page)


def data(report: Report) -> dict[str, Any]:
    """A report as JSON, without values."""
    from pgcharter.stream.values import text

    return {
        "table": report.table, "sink": report.sink, "run": str(report.run), "rows": report.rows, "stored": report.stored,
        "missing": report.counts["missing"], "extra": report.counts["extra"], "different": report.counts["different"],
        "repaired": report.repaired, "remaining": report.remaining, "unsettled": report.unsettled, "future": report.future,
        "foreign": report.foreign, "foreign_names": report.strangers,
        "lsn": report.stamp.lsn, "scans": report.scans, "seconds": round(report.seconds, 3),
        "differences": [
            {"kind": d.kind, "to": d.shape.to, "key": [None if k is None else text(k) for k in d.key], "fields": list(d.fields)}
            for d in report.differences
        ],
    }  # fmt: skip

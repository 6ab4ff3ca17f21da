"""`pgcharter sync batch`: copies by a delta column, for tables or stores without replication."""

from __future__ import annotations

import click

from pgcharter.cli.migrating import confirm_option, database_options
from pgcharter.cli.output import Command, format_option, show_json
from pgcharter.cli.sync import leave, sync
from pgcharter.cli.sync_reconcile import data, sides
from pgcharter.errors import Exit

BATCH = (
    ("pgcharter sync batch --env production", "from a timer, every minute"),
    ("pgcharter sync batch search --deletes", "once an hour: deleted rows go too"),
)


@sync.command("batch", cls=Command, examples=BATCH)
@click.argument("sink", required=False)
@click.option("--table", "tables", multiple=True, metavar="SCHEMA.TABLE", help="Only this table; may be given again.")
@click.option("--margin", default="", metavar="INTERVAL", help="What clocks of applications may be behind: '5 min'; of numbers a number.")
@click.option("--deletes", is_flag=True, help="Compare all rows afterwards, so that deleted ones go too.")
@confirm_option
@database_options
@format_option
def batch_(
    environment: str | None, target: str | None, confirm: str | None, form: str, sink: str | None, tables: tuple[str, ...], margin: str,
    *, deletes: bool,
) -> int:  # fmt: skip
    """Copy what has changed since the last time, by the mappings that have a delta column.

    A row that a transaction wrote long before it committed is not lost: what was open the last time is read again. An interrupted batch
    is done again.
    """
    from pgcharter.cli.progress import progress
    from pgcharter.stream.batch import batch
    from pgcharter.stream.reconcile_model import Options
    from pgcharter.stream.reconcile_rounds import compare

    found = sides(environment, target, sink, tables, delta=True)
    leave(environment, target, confirm)
    done, reports = [], []
    with progress("copying") as advance:
        for n, side in enumerate(found):
            if advance:
                advance(f"copying {side.mapping.table} to {side.name}", n, len(found))
            done.append(batch(side, margin=margin))
            if deletes:
                reports.append(compare(side, Options(repair=True)))
    if form == "json":
        batches = [{"table": b.table, "sink": b.sink, "rows": b.rows, "since": b.since, "next": b.next} for b in done]
        show_json({"format": "pgcharter-sync-batch", "version": 1, "batches": batches, "mappings": [data(r) for r in reports]})
    else:
        for b in done:
            click.echo(f"{b.table} → {b.sink}: {b.rows} rows" + (f" since {b.since}" if b.since else ""))
        for report in reports:
            click.echo(f"{report.table} → {report.sink}: {report.counts['extra']} deleted, {report.repaired} repaired")
    return Exit.FINDINGS if any(r.remaining or r.unsettled for r in reports) else Exit.FINE

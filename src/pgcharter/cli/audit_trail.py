"""`pgcharter audit seal`, `status`, `verify`, `head`, `retire` and `settings`: the trail itself rather than what is in it."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli.audit import audit
from pgcharter.cli.migrating import confirm_option, database_options
from pgcharter.cli.output import Command, format_option, show_json
from pgcharter.errors import Exit, UsageError

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.policy.audit_settings import AuditSection

SEAL = (
    ("pgcharter audit seal", "once, from a timer"),
    ("pgcharter audit seal --every 1", "every second, as a service"),
)


@audit.command("seal", cls=Command, examples=SEAL)
@click.option("--every", type=click.FloatRange(min=0.1), metavar="SECONDS", help="Go on for ever.")
@click.option("--wait", default=10.0, show_default=True, metavar="SECONDS", help="For transactions that have written and not ended.")
@database_options
@format_option
def seal(environment: str | None, target: str | None, form: str, every: float | None, wait: float) -> int:
    """Seal what was recorded and is committed. Ends in 1 when open transactions held it up."""
    from pgcharter.migrate import audit_seals

    with _connected(environment, target) as conn:
        while True:
            done = audit_seals.seal(conn, wait=wait)
            if form == "json":
                show_json(asdict(done))
            elif done.rows or done.waiting or not every:
                click.echo(_said(done))
            if not every:
                return Exit.FINDINGS if done.waiting else Exit.FINE
            time.sleep(every)


def _said(done: Any) -> str:
    if done.waiting:
        return f"nothing is sealed: these have written and are open, and what they wrote comes first: {'; '.join(done.waiting)}"
    return f"{done.rows} rows sealed, up to {done.upto}"


STATUS = (("pgcharter audit status --env production", "what is not sealed yet, and whether partitions are there"),)


@audit.command("status", cls=Command, examples=STATUS)
@click.option("--window", default=300, show_default=True, metavar="SECONDS", help="How old the oldest unsealed row may be.")
@database_options
@format_option
def status(environment: str | None, target: str | None, form: str, window: int) -> int:
    """Say how far sealing has come, which tables are recorded, and what is wrong. Ends in 1 when something is."""
    from pgcharter.migrate import audit_status

    with _connected(environment, target) as conn:
        found = audit_status.read(conn)
    wrong = found.wrong(window)
    if form == "json":
        show_json({**asdict(found), "wrong": wrong})
    else:
        click.echo(f"{len(found.tables)} tables are recorded: {', '.join(found.tables) or 'none'}")
        if found.chained:
            click.echo(f"{found.unsealed} rows are not sealed yet, the oldest for {found.window:.0f} s; sealed up to row {found.upto}")
        for sentence in wrong:
            click.echo(f"✘ {sentence}")
    return Exit.FINDINGS if wrong else Exit.FINE


VERIFY = (
    ("pgcharter audit verify", "prove the chain and every sealed row"),
    ("pgcharter audit verify --head head.json", "and that the chain still holds the seal that was exported"),
)


@audit.command("verify", cls=Command, examples=VERIFY)
@click.option("--head", "file", type=click.Path(exists=True, dir_okay=False), help="Head exported before, kept elsewhere.")
@database_options
@format_option
def verify(environment: str | None, target: str | None, form: str, file: str | None) -> int:
    """Prove that nothing sealed was changed, removed, put in or reordered. Ends in 1 when something was.

    Who owns the server can make the whole chain anew: only a head that was exported shows that.
    """
    from pgcharter.migrate import audit_seals, audit_verify

    head = audit_seals.Head.loads(Path(file).read_text("utf-8")) if file else None
    with _connected(environment, target) as conn:
        found = audit_verify.verify(conn, head)
    if form == "json":
        show_json({"format": "pgcharter-audit-proof", **asdict(found)})
    else:
        for flaw in found.flaws:
            click.echo(f"✘ {flaw.sentence}")
        click.echo(f"{found.seals} seals over {found.rows} rows, up to {found.upto}; {found.unsealed} rows are not sealed yet")
    return Exit.FINDINGS if found.flaws else Exit.FINE


HEAD = (("pgcharter audit head --to head.json", "keep it where whoever can change the database cannot"),)


@audit.command("head", cls=Command, examples=HEAD)
@click.option("--to", "file", type=click.Path(dir_okay=False), metavar="FILE", help="Write it there.  [default: to the screen]")
@database_options
def head(environment: str | None, target: str | None, file: str | None) -> int:
    """Export the last seal."""
    from pgcharter.migrate import audit_seals

    with _connected(environment, target) as conn:
        text = audit_seals.head(conn).dumps(conn.info.dbname)
    if file:
        Path(file).write_text(text, "utf-8")
    else:
        click.echo(text, nl=False)
    return Exit.FINE


RETIRE = (("pgcharter audit retire --reason 'kept 24 months'", "drop what is older than [audit] retention_months"),)


@audit.command("retire", cls=Command, examples=RETIRE)
@click.option("--reason", default="", help="Why, for the record.")
@confirm_option
@database_options
def retire(environment: str | None, target: str | None, confirm: str | None, reason: str) -> int:
    """Drop the months that are older than the charter keeps. Their seals stay, with one that says so."""
    from pgcharter.cli import migrating
    from pgcharter.cli.project import charter_here
    from pgcharter.migrate import audit_seals

    keep = _section().retention_months
    if not keep:
        raise UsageError("the charter keeps what is recorded for ever", hint="[audit] retention_months = 24")
    migrating.refuse_production(migrating.production(charter_here(), *migrating.database(environment, target)), confirm)
    with _connected(environment, target) as conn:
        if not audit_seals.retire(conn, keep, reason=reason, told=click.echo):
            click.echo(f"nothing is older than {keep} months")
    return Exit.FINE


SETTINGS = (("pgcharter audit settings --env production", "what pgAudit needs, and whether it has it"),)


@audit.command("settings", cls=Command, examples=SETTINGS)
@database_options
@format_option
def settings(environment: str | None, target: str | None, form: str) -> int:
    """Hold pgAudit on a live server against [audit] pgaudit, and render the settings that are lacking. Ends in 1 when some are."""
    from pgcharter.migrate import audit_status

    with _connected(environment, target) as conn:
        lacking = audit_status.pgaudit(conn, _section().pgaudit)
    if form == "json":
        show_json([asdict(one) for one in lacking])
    else:
        for one in lacking:
            click.echo(f"-- {one.sentence}\n{one.remedy}")
        if not lacking:
            click.echo("pgAudit is as the charter wants it" if _section().pgaudit else "the charter asks nothing of pgAudit")
    return Exit.FINDINGS if lacking else Exit.FINE


def _section() -> AuditSection:
    from pgcharter.cli.project import charter_here
    from pgcharter.policy.audit_settings import SECTION

    return charter_here().section(SECTION)


def _connected(environment: str | None, target: str | None) -> Connection:
    from pgcharter.cli import migrating
    from pgcharter.db import connect

    return connect(migrating.database(environment, target)[1])

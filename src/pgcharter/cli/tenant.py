"""`pgcharter tenant`: tenants come and go, whatever their data is placed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli.migrating import confirm_option, database_options, refuse_production
from pgcharter.cli.output import Command, format_option, show_json
from pgcharter.cli.signals import endable
from pgcharter.cli.tenant_add import add
from pgcharter.cli.tenant_remove import remove
from pgcharter.cli.tenant_verify import verify
from pgcharter.cli.tenant_work import complete_tenants, enforce, ground, reported, told
from pgcharter.errors import Exit, RefusedError, UsageError

if TYPE_CHECKING:
    from pgcharter.cli.tenant_work import Ground


@click.group()
def tenant() -> None:
    """Tenants in rows, schemas or databases, as [tenancy] of the charter says: added, suspended, exported, deleted, verified."""


tenant.add_command(add)
tenant.add_command(remove)
tenant.add_command(verify)

LIST = (("pgcharter tenant list --env production", "every tenant with its state"),)


@tenant.command("list", cls=Command, examples=LIST)
@click.option("--state", type=click.Choice(("adding", "active", "suspended", "leaving")), help="Only those.")
@database_options
@format_option
def list_(state: str | None, environment: str | None, target: str | None, form: str) -> int:
    """List the tenants."""
    from pgcharter.render import tenants as render
    from pgcharter.tenants import table

    at = ground(environment, target)
    with table.opened(at.dsn) as conn:
        found = [t for t in table.tenants(conn) if state in (None, t.state)]
    rows = [render.row(t) for t in found]
    if form == "json":
        show_json({"format": "pgcharter-tenants", "version": 1, "placement": at.section.placement, "tenants": rows})
    else:
        told(lambda page: render.listed(page, rows))
    return Exit.FINE


SUSPEND = (
    ("pgcharter tenant suspend acme --why 'unpaid'", "from the next statement on nobody gets at its data"),
    ("pgcharter tenant suspend acme --terminate", "and who is at work there is thrown out"),
)


@tenant.command("suspend", cls=Command, examples=SUSPEND)
@click.argument("name", shell_complete=complete_tenants)
@click.option("--why", default="", metavar="REASON", help="Kept with the tenant's settings as suspended_because.")
@click.option("--terminate", is_flag=True, help="End the sessions that are at work in its schema or database.")
@confirm_option
@database_options
@format_option
def suspend(name: str, why: str, confirm: str | None, environment: str | None, target: str | None, form: str, *, terminate: bool) -> int:
    """Let nobody get at a tenant's data. The server enforces it: nothing has to be told to the application."""
    from pgcharter.tenants import places, table

    at = ground(environment, target)
    refuse_production(at.production, confirm)
    with table.opened(at.dsn) as conn, table.alone(conn, name):
        known = table.found(conn, name)
        if known.state in ("adding", "leaving"):
            raise RefusedError(f"tenant {name} is {known.state}, so nobody gets at its data", hint=f"pgcharter tenant verify {name}")
        if known.state == "active":
            table.turn(conn, name, "suspended")
        if why:
            table.set_(conn, name, {"suspended_because": why})
        places.shut(conn, at.section, known.place)
        at_work = places.sessions(conn, at.section, known)
        ended = places.end(conn, at_work) if terminate else 0
        left = places.sessions(conn, at.section, known) if terminate else at_work
        unheld = places.unheld(conn, at.section)
        if unheld:
            click.echo(f"warning: tenant {name}: {unheld}", err=True)
        more = {"enforced": not unheld, "sessions": [_session(s) for s in left], "ended": ended}
        return reported(table.found(conn, name), f"tenant {name} is suspended{_who(len(left), ended, at)}", form, more)


def _session(one: Any) -> dict[str, Any]:
    return {"pid": one.pid, "role": one.role, "application": one.application, "client": one.client}


def _who(left: int, ended: int, at: Ground) -> str:
    said = f"; {ended:,} sessions ended" if ended else ""
    if not left:
        return said
    what = "connected to its database" if at.section.placement == "databases" else "at work in its schema"
    return f"{said}; {left:,} {'session is' if left == 1 else 'sessions are'} still {what}: --terminate ends them"


RESUME = (("pgcharter tenant resume acme", "also one that is leaving and not deleted yet"),)


@tenant.command("resume", cls=Command, examples=RESUME)
@click.argument("name", shell_complete=complete_tenants)
@confirm_option
@database_options
@format_option
def resume(name: str, confirm: str | None, environment: str | None, target: str | None, form: str) -> int:
    """Let a tenant's users get at its data again. One that is leaving stays, unless its deletion has begun."""
    from pgcharter.tenants import places, table

    at = ground(environment, target)
    refuse_production(at.production, confirm)
    with table.opened(at.dsn) as conn, table.alone(conn, name):
        known = table.found(conn, name)
        if known.state == "adding":
            raise RefusedError(f"tenant {name} is not added yet", hint=f"pgcharter tenant add {name}")
        if known.deleting:
            raise RefusedError(
                f"the data of tenant {name} is being deleted, so it cannot come back whole", hint="load its export elsewhere"
            )
        if known.state != "active":
            table.turn(conn, name, "active")
        if at.section.placement == "databases" and known.state != "active":
            enforce(at, known.place, used=True)
        places.open_(conn, at.section, known.place)
        if "suspended_because" in known.settings:
            table.unset(conn, name, "suspended_because")
        return reported(table.found(conn, name), f"tenant {name} is active", form)


ENFORCE = (
    ("pgcharter tenant enforce", "after [roles] or [audit] changed: in every tenant's schema or database"),
    ("pgcharter tenant enforce acme --dry-run", "the statements for one of them"),
)


@tenant.command("enforce", cls=Command, examples=ENFORCE)
@click.argument("names", nargs=-1, metavar="[NAME]…", shell_complete=complete_tenants)
@click.option("--dry-run", is_flag=True, help="Print the statements; change nothing.")
@confirm_option
@database_options
@format_option
def enforce_(names: tuple[str, ...], confirm: str | None, environment: str | None, target: str | None, form: str, *, dry_run: bool) -> int:
    """Apply the charter's policies in tenants' schemas or databases again, as `add` did.

    What would rewrite or lose rows of a tenant at work is refused: that is for a migration.
    """
    from pgcharter.cli.progress import progress
    from pgcharter.tenants import places, table

    at = ground(environment, target)
    if at.section.placement == "rows":
        raise UsageError("tenants share their tables, so there is nothing to enforce for one of them", hint="pgcharter policy apply")
    if not dry_run:
        refuse_production(at.production, confirm)
    done: list[dict[str, Any]] = []
    with endable(), table.opened(at.dsn) as conn, progress("applying policies") as advance:
        chosen = [table.found(conn, name) for name in names] or [t for t in table.tenants(conn) if t.state != "adding" and not t.deleting]
        for known in chosen:
            with table.alone(conn, known.name):
                statements = enforce(at, known.place, advance, used=True, dry_run=dry_run)
                if not dry_run:
                    (places.open_ if known.state == "active" else places.shut)(conn, at.section, known.place)
                done.append({"tenant": known.name, "statements": list(statements)})
    _told(done, form, dry_run=dry_run)
    return Exit.FINE


def _told(done: list[dict[str, Any]], form: str, *, dry_run: bool) -> None:
    from pgcharter.render import tenants as render

    if form == "json":
        show_json({"format": "pgcharter-tenants-enforced", "version": 1, "dry_run": dry_run, "tenants": done})
    elif dry_run:
        for one in done:
            click.echo(f"-- {one['tenant']}\n" + "".join(f"{sql};\n" for sql in one["statements"]))
    else:
        told(lambda page: render.enforced(page, {one["tenant"]: len(one["statements"]) for one in done}))

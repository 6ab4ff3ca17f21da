"""`pgcharter tenant remove`: suspended, exported, and after a time of grace deleted for good."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli.migrating import confirm_option, database_options, refuse_production
from pgcharter.cli.output import Command, format_option, show_json
from pgcharter.cli.progress import progress
from pgcharter.cli.signals import endable
from pgcharter.cli.tenant_work import complete_tenants, ground, told
from pgcharter.errors import ConnectError, Exit, PgcharterError, RefusedError, UsageError

if TYPE_CHECKING:
    from datetime import timedelta

    from pgcharter.cli.tenant_work import Ground
    from pgcharter.db import Connection
    from pgcharter.tenants.deleting import Amount
    from pgcharter.tenants.manifest import Manifest
    from pgcharter.tenants.table import Tenant

REMOVE = (
    ("pgcharter tenant remove acme --export /backup/acme", "suspend it, export its data, delete it after the time of grace"),
    ("pgcharter tenant remove acme --no-export --grace 0d", "without an export; it may be deleted at once"),
    ("pgcharter tenant remove --due", "show what those have whose time has come, ask, and delete it"),
    ("pgcharter tenant remove --due --yes --env production --confirm production", "every night, without a question"),
)


@dataclass(frozen=True)
class _Wish:
    """What is asked for beside the tenant."""

    at: Ground
    form: str
    export: Path | None
    no_export: bool
    grace: timedelta | None
    """As the command line says it."""
    yes: bool

    def grace_of(self, known: Tenant) -> timedelta:
        """Time before a tenant may be deleted: none for one that never came to be."""
        from datetime import timedelta

        usual = timedelta(0) if known.state == "adding" else self.at.section.grace_time
        return usual if self.grace is None else self.grace


def _grace(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> timedelta | None:
    from datetime import timedelta

    from pgcharter.measures import seconds

    return None if value is None else timedelta(seconds=seconds(value, "--grace"))


@click.command("remove", cls=Command, examples=REMOVE)
@click.argument("name", required=False, shell_complete=complete_tenants)
@click.option("--export", type=click.Path(path_type=Path), metavar="FOLDER", help="Write its data there first: a new folder.")
@click.option("--no-export", is_flag=True, help="Keep nothing of its data.")
@click.option(
    "--grace", callback=_grace, metavar="TIME", help="Time before it may be deleted: 30d, 12h.  [default: grace of [tenancy], 30d]"
)
@click.option("--due", is_flag=True, help="Delete all tenants whose time of grace is over.")
@click.option("--yes", is_flag=True, help="Do not ask before data is deleted.")
@confirm_option
@database_options
@format_option
def remove(
    name: str | None, export: Path | None, confirm: str | None, environment: str | None, target: str | None, form: str, *,
    no_export: bool, grace: timedelta | None, due: bool, yes: bool,
) -> int:  # fmt: skip
    """Take a tenant away. First it is suspended and its data exported; said again after the time of grace, its data is deleted.

    Until its deletion begins, `pgcharter tenant resume NAME` brings it back. What is cut off is gone on with by the same command.
    """
    from pgcharter.tenants import table

    if (name is None) != due:
        raise UsageError("name a tenant, or say --due for all whose time has come; not both", hint="pgcharter tenant remove NAME")
    if due and (export or no_export or grace is not None):
        raise UsageError("--due deletes what is exported already: --export, --no-export and --grace are for one tenant that is to leave")
    if export and no_export:
        raise UsageError("--export and --no-export cannot both be meant", hint="leave one of them out")
    at = ground(environment, target)
    refuse_production(at.production, confirm)
    wish = _Wish(at, form, export, no_export, grace, yes)
    with endable(), table.opened(at.dsn) as conn:
        done = _due(conn, wish) if name is None else [_one(conn, name, wish)]
    if form == "json":
        show_json({"format": "pgcharter-tenants-removed", "version": 1, "tenants": done})
    elif not done:
        click.echo("no tenant is due to be deleted")
    return Exit.FAILED if any(one["outcome"] == "failed" for one in done) else Exit.FINE


def _due(conn: Connection, wish: _Wish) -> list[dict[str, Any]]:
    """Delete all whose time has come: what goes wrong with one keeps no other from it."""
    from pgcharter.tenants import table

    done = []
    for known in [t for t in table.tenants(conn) if t.due]:
        try:
            done.append(_one(conn, known.name, wish))
        except PgcharterError as error:
            if not wish.yes:
                raise
            click.echo(f"error: tenant {known.name}: {error.message}" + f"\nhint: {error.hint}" * bool(error.hint), err=True)
            done.append({**_data(known, wish, "failed", None), "message": error.message, "hint": error.hint})
    return done


def _one(conn: Connection, name: str, wish: _Wish) -> dict[str, Any]:
    """The next step of a tenant's leaving."""
    from pgcharter.render.tenants import day
    from pgcharter.tenants import table

    with table.alone(conn, name):
        known = table.found(conn, name)
        if known.due and not wish.export:
            return _delete(conn, known, wish)
        if known.leaves_at and not wish.export:
            raise RefusedError(
                f"tenant {name} may not be deleted before {day(known.leaves_at)}, so nothing was done",
                hint=f"then: pgcharter tenant remove {name}; to keep it: pgcharter tenant resume {name}",
            )
        if known.deleting:
            raise RefusedError(f"the data of tenant {name} is being deleted, so no whole export can be made of it any more")
        return _leave(conn, known, wish)


def _leave(conn: Connection, known: Tenant, wish: _Wish) -> dict[str, Any]:
    from pgcharter import faults
    from pgcharter.tenants import places, table

    at = wish.at
    if not wish.export and not wish.no_export and known.state != "adding":
        raise RefusedError(
            f"the data of tenant {known.name} would be gone for good after the time of grace, and no export is asked for",
            hint=f"pgcharter tenant remove {known.name} --export FOLDER; or, when nobody needs the data: --no-export",
        )
    if known.state != "leaving":
        table.turn(conn, known.name, "leaving")
    faults.point("tenant leaving")
    places.shut(conn, at.section, known.place)
    if unheld := places.unheld(conn, at.section):
        click.echo(f"warning: tenant {known.name}: {unheld}; what they write from now on is in no export", err=True)
    made = _export(known, wish) if wish.export else None
    faults.point("tenant exported")
    if known.leaves_at is None:
        table.turn(conn, known.name, "leaving", wish.grace_of(known))
    left = table.found(conn, known.name)
    if wish.form == "text":
        _tell_left(conn, left, wish, made)
    return _data(left, wish, "leaving", made)


def _export(known: Tenant, wish: _Wish) -> Manifest:
    from pgcharter.tenants import exporting
    from pgcharter.tenants.rows import seeing_all

    at = wish.at
    assert wish.export  # noqa: S101
    with progress(f"exporting {known.name}") as tell, seeing_all(at.at(known.place), at.section.maintenance_role) as data:
        return exporting.export(data, at.section, known, wish.export, at.encrypted, tell)


def _tell_left(conn: Connection, left: Tenant, wish: _Wish, made: Manifest | None) -> None:
    from pgcharter.render import tenants as render
    from pgcharter.tenants import places

    more = []
    if made:
        count = f"{made.rows:,} {'row' if made.rows == 1 else 'rows'} of {len(made.tables):,} tables"
        more.append(f"exported: {count}, {made.size:,} bytes in {wish.export}, read back and compared")
        more += [f"left out: {sentence}" for sentence in made.left_out]
        more += [
            f"{one['column']} is exported encrypted: to read it, key {one['key']} is needed ({', '.join(one['key_ids']) or 'no value'})"
            for one in made.encrypted
        ]
    if at_work := places.sessions(conn, wish.at.section, left):
        more.append(f"{len(at_work):,} sessions are still at work there: pgcharter tenant suspend does not end them by itself")
    sentence = f"tenant {left.name} is leaving: from {render.day(left.leaves_at)} on `pgcharter tenant remove --due` deletes its data"
    told(lambda page: render.said(page, sentence, *more))


def _delete(conn: Connection, known: Tenant, wish: _Wish) -> dict[str, Any]:
    """Show what is there, ask, and delete it for good."""
    from pgcharter.render import tenants as render
    from pgcharter.tenants import deleting, table

    at = wish.at
    known_rows = _amounts(conn, known, wish)
    found = known_rows or ()
    if wish.form == "text" and known_rows is None:
        told(lambda page: page.flow(f"database {known.place} of tenant {known.name} is shut already, and only its end is missing"))
    elif wish.form == "text":
        told(lambda page: render.amounts(page, known.name, known.place or at.database, [(a.table, a.rows) for a in found]))
    if not wish.yes and not click.confirm(f"delete it for good from {at.database}?", err=True):
        raise RefusedError("nothing was deleted", hint="--yes answers beforehand")
    if at.section.placement == "schemas":
        deleting.refuse_reached(conn, known.place)
    table.delete_begins(conn, known.name)
    _gone(conn, known, wish, sum(a.rows for a in found))
    audit = deleting.audited(conn, at.section, known)
    table.delete(conn, known.name)
    stays = _stays(wish, audit)
    if wish.form == "text":
        told(lambda page: render.said(page, f"tenant {known.name} is deleted", *stays))
    rows = [{"table": a.table, "rows": a.rows} for a in found]
    return {**_data(known, wish, "deleted", None), "rows": rows, "audit_rows": audit, "stays": stays}


def _amounts(conn: Connection, known: Tenant, wish: _Wish) -> tuple[Amount, ...] | None:
    """Rows by table; None where a database lets nobody in any more."""
    from pgcharter.tenants import deleting, places
    from pgcharter.tenants.rows import seeing_all

    at = wish.at
    if at.section.placement != "rows" and not places.exists(conn, at.section, known.place):
        return ()
    try:
        with seeing_all(wish.at.at(known.place), at.section.maintenance_role) as data:
            return deleting.amounts(data, at.section, known)
    except ConnectError:
        if at.section.placement == "databases" and known.deleting:
            return None
        raise


def _gone(conn: Connection, known: Tenant, wish: _Wish, total: int) -> None:
    from pgcharter.tenants import deleting
    from pgcharter.tenants.rows import seeing_all

    at = wish.at
    with progress(f"deleting {known.name}") as tell:
        if at.section.placement == "rows":
            with seeing_all(at.dsn, at.section.maintenance_role) as data:
                deleting.rows(data, at.section, known, total, tell)
        elif at.section.placement == "schemas":
            deleting.schema(conn, known, tell)
        else:
            deleting.database(conn, known.place)


def _stays(wish: _Wish, audit: int) -> list[str]:
    """What is left of a tenant, each with what ends it."""
    said = []
    if audit:
        said.append(
            f"{audit:,} rows of the audit trail are about it, with what its rows held: they stay as long as the trail is kept"
            " ([audit] retention_months)"
        )
    if wish.at.section.placement == "databases" and "audit" in wish.at.charter.sections:
        said.append("its audit trail was in its database and is gone with it; an export has it")
    keys = sorted({c.key for c in wish.at.encrypted if c.scope == "tenant"})
    if keys:
        said.append(
            f"values of it in backups and exports can be read while key {', '.join(keys)} is kept, from which the tenant's key is made:"
            f" pgcharter keys rotate {keys[0]}, pgcharter keys reencrypt, then pgcharter keys retire ID --destroy"
        )
    return said


def _data(known: Tenant, wish: _Wish, outcome: str, made: Manifest | None) -> dict[str, Any]:
    from pgcharter.render import tenants as render

    export = None
    if made:
        export = {"folder": str(wish.export), "tables": len(made.tables), "rows": made.rows, "bytes": made.size}
    return {"outcome": outcome, "tenant": render.row(known), "export": export}

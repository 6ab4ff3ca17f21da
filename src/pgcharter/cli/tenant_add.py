"""`pgcharter tenant add`: a tenant with all that it needs, and nobody let in before that is done."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli.migrating import confirm_option, database_options, refuse_production
from pgcharter.cli.output import Command, format_option
from pgcharter.cli.signals import endable
from pgcharter.cli.tenant_work import enforce, ground, migrate, migrations_here, reported
from pgcharter.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from pgcharter.cli.migrating import Place
    from pgcharter.cli.tenant_work import Ground
    from pgcharter.db import Connection
    from pgcharter.tenants.table import Tenant

ADD = (
    ("pgcharter tenant add acme", "its schema or database, the migrations, the policies; active when all of it is done"),
    ("pgcharter tenant add acme --set plan=gold --set seats=5", "with settings; a value is read as JSON where it is JSON"),
    ("pgcharter tenant add acme --id 7f1c9c1e-0d5c-4a53-9d44-2a3b1f6f9a10", "with an id that is there already"),
)


@click.command("add", cls=Command, examples=ADD)
@click.argument("name")
@click.option("--id", "id_", default="", metavar="ID", help="Its id.  [default: a new UUID; the next number; the name]")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="A setting of the tenant.")
@confirm_option
@database_options
@format_option
def add(name: str, id_: str, pairs: tuple[str, ...], confirm: str | None, environment: str | None, target: str | None, form: str) -> int:
    """Add a tenant. What is cut off is gone on with by the same command; no application gets in before all of it is done."""
    from pgcharter.policy.tenancy_settings import place_of
    from pgcharter.tenants import table

    at = ground(environment, target)
    refuse_production(at.production, confirm)
    place = place_of(at.section, name) if at.section.placement != "rows" else place_of(at.section, name) and ""
    with endable(), table.opened(at.dsn) as conn, table.alone(conn, name):
        known = table.there(conn, name)
        if known and known.state != "adding":
            _same(known, id_, _settings(pairs))
            return reported(known, f"tenant {name} is there already, {known.state}", form)
        base = migrations_here() if place else None
        _written(conn, at, known, name, id_, _settings(pairs), place)
        steps = _provisioned(conn, at, base, place, confirm) if base else []
        table.turn(conn, name, "active")
        made = table.found(conn, name)
        return reported(made, f"tenant {name} is active: {', '.join((f'id {made.id}', *steps))}", form)


def _same(known: Tenant, id_: str, settings: dict[str, Any]) -> None:
    """Raise RefusedError when the tenant that is there is not the one that was asked for."""
    differs = [f"--id {id_}" for _ in [0] if id_ and id_ != known.id]
    differs += [f"--set {k}={v}" for k, v in settings.items() if known.settings.get(k) != v]
    if differs:
        raise RefusedError(
            f"there is a tenant {known.name} already, {known.state}, id {known.id}, and it is another one: {', '.join(differs)}",
            hint="take another name",
        )


def _written(conn: Connection, at: Ground, known: Tenant | None, name: str, id_: str, settings: dict[str, Any], place: str) -> None:
    """Write down that the tenant is being added, before anything is made. Raises RefusedError for what cannot or must not be done."""
    from pgcharter import faults
    from pgcharter.tenants import places, table

    places.refuse_unable(conn, at.section)
    if known is None:
        places.refuse_taken(conn, at.section, place)
        table.insert(conn, name, id_ or _new_id(conn, at, name), settings, place)
    elif (id_ and id_ != known.id) or place != known.place:
        raise RefusedError(
            f"tenant {name} is being added with id {known.id}{f' in {known.place}' * bool(known.place)}, and something else is asked for",
            hint=f"pgcharter tenant add {name}; or take back what was begun: pgcharter tenant remove {name} --no-export",
        )
    elif settings:
        table.set_(conn, name, settings)
    faults.point("tenant written")


def _new_id(conn: Connection, at: Ground, name: str) -> str:
    from pgcharter.tenants import table

    kind = at.section.type
    return str(uuid.uuid4()) if kind == "uuid" else name if kind == "text" else table.next_number(conn)


def _provisioned(conn: Connection, at: Ground, base: Place, place: str, confirm: str | None) -> list[str]:
    """Make the place of a tenant, with migrations and policies; what was done, in words."""
    from pgcharter import faults
    from pgcharter.cli.progress import progress
    from pgcharter.tenants import places

    done: list[str] = [f"{at.section.placement.removesuffix('s')} {place}"]
    places.make(conn, at.section, place)
    faults.point("tenant place")
    with progress(f"adding {place}") as advance:
        migrate(at, base, place, confirm, done.append)
        faults.point("tenant migrated")
        steps = len(enforce(at, place, advance))
    done.append(f"{steps:,} {'statement' if steps == 1 else 'statements'} of policies")
    places.open_(conn, at.section, place)
    faults.point("tenant opened")
    return done


def _settings(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Settings as they were said. Raises UsageError for one without a name or value."""
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise UsageError(f"{pair!r} is no setting", hint="write --set plan=gold", place="--set")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found

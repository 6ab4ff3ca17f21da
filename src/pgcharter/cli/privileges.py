"""`pgcharter security privileges`: who may do what in a database, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pgcharter.cli.migrating import database_options
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.errors import Exit, UsageError

if TYPE_CHECKING:
    from pgcharter.catalog.effective import Effective
    from pgcharter.names import ObjectId

EXAMPLES = (
    ("pgcharter security privileges --env production", "every object by every role"),
    ("pgcharter security privileges --role api", "all that one role may do, and why"),
    ("pgcharter security privileges --object 'table app.users'", "who may do what with one table, columns included"),
    ("pgcharter security privileges --unused", "roles without a use, privileges that nobody has used"),
)


@click.command("privileges", cls=Command, examples=EXAMPLES)
@click.option("--role", "roles", multiple=True, metavar="ROLE", help="All that this role may do, with reasons.")
@click.option("--object", "address", metavar="ADDRESS", help="Who may do what with this object, with reasons: 'table app.users'.")
@click.option("--unused", is_flag=True, help="Roles and privileges that nobody uses, as far as the server tells.")
@click.option("--extensions", is_flag=True, help="With the objects of extensions.")
@database_options
@format_option
def privileges(
    environment: str | None, target: str | None, form: str, roles: tuple[str, ...], address: str | None, *, unused: bool, extensions: bool
) -> int:
    """Say who may do what in a database and why: grants, ownership, memberships, PUBLIC, predefined roles."""
    from pgcharter.catalog.effective import Effective
    from pgcharter.cli import migrating
    from pgcharter.db import connect
    from pgcharter.render import privileges as render
    from pgcharter.render.page import Page, Styled
    from pgcharter.sources import live, usage

    named, dsn = migrating.database(environment, target)
    with connect(dsn) as conn:
        catalog, cluster = live.read_catalog(conn), live.read_cluster(conn)
        used = usage.read(conn, catalog) if unused else None
    found = Effective(catalog, cluster, extensions)
    chosen, at = _chosen(found, roles), _object(found, address) if address else None
    database = migrating.called(named, dsn)
    if form == "json":
        rights = () if used else found.rights(chosen, at)
        more = {"unused": render.unused_data(found, used)} if used else {}
        show_json({**render.data(found, rights, database), **more})
        return Exit.FINE
    page = Page(screen())
    if used:
        render.unused(page, found, used)
    elif at or chosen:
        for role in sorted(chosen or ()):
            for other, way in sorted(found.becomes(role).items()):
                chain = f" through {', '.join(way)}" if way else ""
                page.flow(Styled(f"{role} may take on {other} by SET ROLE{chain}", "dim"), hanging=2)
        render.reasons(page, found.rights(chosen, at), by_role=len(chosen or ()) == 1)
    else:
        render.matrix(page, found)
    show(page)
    return Exit.FINE


def _chosen(found: Effective, roles: tuple[str, ...]) -> frozenset[str] | None:
    for name in roles:
        if name not in found.cluster.role:
            import difflib

            near = difflib.get_close_matches(name, found.cluster.role, n=1)
            raise UsageError(f"there is no role {name!r} on this server", hint=f"did you mean {near[0]}?" if near else "")
    return frozenset(roles) or None


def _object(found: Effective, text: str) -> ObjectId:
    from pgcharter import names

    try:
        at = names.address(text)
    except ValueError as error:
        raise UsageError(str(error)) from None
    at = at.owner if at.kind == "column" else at
    there = {o.object for o in found.objects}
    same = [o for o in there if (o.schema, o.name) == (at.schema, at.name) and o.kind in _LIKE.get(at.kind, (at.kind,))]
    if not same:
        raise UsageError(f"{at} is not in this database, or has no privileges of its own", hint="the address is: kind schema.name")
    return same[0]


_LIKE = {"table": ("table", "view", "materialized view"), "view": ("view", "materialized view")}
"""Relations that may be called so: privileges on all of them are granted as those on tables."""

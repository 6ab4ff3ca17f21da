"""`pgcharter policy`: what the charter's policies want of a database, whether it is so, and making it so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli.migrating import confirm_option, database_options
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.cli.passwords import passwords
from pgcharter.errors import Exit, RefusedError

if TYPE_CHECKING:
    from pgcharter.charter import Charter
    from pgcharter.migrate.planning import Planned
    from pgcharter.plan.model import Plan, Step
    from pgcharter.policy.model import Mark


@click.group()
def policy() -> None:
    """Roles, tenants, audit, encryption: declared in the charter, planned like any change, and held to what was declared."""


policy.add_command(passwords)

SHOW = (
    ("pgcharter policy show --env production", "what each policy makes there, and how much of it is in place"),
    ("pgcharter policy show --env staging --format json", "every object with its policy"),
)


@policy.command("show", cls=Command, examples=SHOW)
@database_options
@format_option
def show_(environment: str | None, target: str | None, form: str) -> int:
    """Say what each policy of the charter makes in a database, and how much of it is in place."""
    name, planned = _planned(environment, target)
    if form == "json":
        show_json(_data(name, planned))
    else:
        _print(name, planned, whole=True)
    return Exit.FINE


VERIFY = (("pgcharter policy verify --env production", "has anybody changed what policies made?"),)


@policy.command("verify", cls=Command, examples=VERIFY)
@database_options
@format_option
def verify(environment: str | None, target: str | None, form: str) -> int:
    """Hold what policies made against what the charter declares, object by object. Ends in 1 when anything differs."""
    name, planned = _planned(environment, target)
    _prove(environment, target, planned)
    if form == "json":
        show_json(_data(name, planned))
    else:
        _print(name, planned, whole=False)
    if planned.plan.questions:
        return Exit.REFUSED
    return Exit.FINE if planned.plan.empty else Exit.FINDINGS


def _prove(environment: str | None, target: str | None, planned: Planned) -> None:
    """Keep as evidence what was verified, where evidence is kept."""
    from pgcharter.cli import migrating, proofs
    from pgcharter.cli.project import charter_here
    from pgcharter.policy import registry

    declared = [name for name in registry.NAMES if name in charter_here().sections]
    proofs.keep(migrating.database(environment, target)[1], proofs.of_policies(declared, [name for name, _ in _differing(planned)]))


APPLY = (
    ("pgcharter policy apply", "show the plan, ask, write it as a migration and run that"),
    ("pgcharter policy apply --env production --confirm production --yes", "without a question, for a pipeline"),
)


@policy.command("apply", cls=Command, examples=APPLY)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--name", default="policies", show_default=True, metavar="NAME", help="What the migration is called.")
@confirm_option
@database_options
@click.pass_context
def apply(ctx: click.Context, environment: str | None, target: str | None, confirm: str | None, name: str, *, yes: bool) -> int:
    """Plan what the policies want, show it, and on a yes write it as a migration file and run that.

    Policies that the charter no longer declares are taken out. To have the file alone: pgcharter plan --write NAME.
    """
    from pgcharter.cli import migrate, migrating
    from pgcharter.cli import planned as forms
    from pgcharter.cli.project import charter_here
    from pgcharter.redact import redact
    from pgcharter.render.plan import Story

    charter = charter_here()
    database, planned = _planned(environment, target, applied=True)
    migrating.refuse_production(migrating.production(charter, *migrating.database(environment, target)), confirm)
    proven = planned.proof.sentence if planned.proof else ""
    story = Story(planned.plan, "the charter's policies", redact(database), planned.stats, proven=proven)
    forms.tell(story, "text", quiet=False)
    if planned.plan.questions:
        return Exit.REFUSED
    if planned.plan.empty:
        return Exit.FINE
    _refuse_pending(charter, environment, target)
    _refuse_lacking(environment, target, planned.plan)
    if not yes and not click.confirm(f"write this as a migration and run it on {database}?", err=True):
        raise RefusedError("nothing was changed", hint="--yes answers beforehand")
    forms.write(story, charter, name)
    apart = migrating.apart(charter)
    return int(ctx.invoke(migrate.up, environment=environment, target=target, confirm=confirm, one=apart, form="text"))


def _refuse_lacking(environment: str | None, target: str | None, plan: Plan) -> None:
    """Refuse before anything is written where the login may not do what the plan does with roles."""
    from pgcharter.cli import migrating
    from pgcharter.db import connect
    from pgcharter.plan.roles_allowed import lacking
    from pgcharter.sources import live

    if not any(step.object.kind == "role" for step in plan.steps):
        return
    with connect(migrating.database(environment, target)[1]) as conn:
        me = conn.execute("SELECT current_user::text").fetchone()
        said, hint = lacking(live.read_cluster(conn), plan.steps, str(me[0]) if me else "")
    if said:
        raise RefusedError(f"{said}; nothing was changed", hint=hint)


def _refuse_pending(charter: Charter, environment: str | None, target: str | None) -> None:
    from pathlib import Path

    from pgcharter.cli import migrating

    folder = migrating.own_folder(charter)
    if not Path(folder).is_dir():
        return
    place = migrating.open_place(environment, target, folder)
    with migrating.ledger_of(place) as conn:
        pending = migrating.standing_of(conn, place)[0].pending
    if pending:
        raise RefusedError(
            f"{pending[0].title} is not applied to {place.database} yet, so what it does would be planned twice",
            hint="pgcharter migrate up",
        )


def _planned(environment: str | None, target: str | None, *, applied: bool = False) -> tuple[str, Planned]:
    """The database as messages call it, and the way to what the policies want there.

    What is `applied` is proven, and leaves the schemas of tenants to `tenant enforce`: a migration that names them fits no other database.
    """
    from pgcharter.cli import migrating
    from pgcharter.cli.plan import charters_wish
    from pgcharter.cli.progress import progress
    from pgcharter.cli.project import charter_here
    from pgcharter.migrate import planning
    from pgcharter.policy.tenancy_settings import SECTION
    from pgcharter.tenants import enforcing

    named, dsn = migrating.database(environment, target)
    charter = charter_here()
    there = SECTION.name in charter.sections and applied
    tenants = enforcing.places(dsn, charter.section(SECTION)) if there else frozenset()
    wish = replace(charters_wish(charter, dsn, named), prove=applied, left_out=tenants)
    with progress("planning") as advance:
        made = planning.make(wish, advance)
    if tenants:
        note = f"left alone: schemas of tenants ({len(tenants):,}), which pgcharter tenant enforce sees to"
        made = replace(made, plan=replace(made.plan, notes=(*made.plan.notes, note)))
    return migrating.called(named, dsn), made


def _differing(planned: Planned) -> list[tuple[str, Step]]:
    """The steps that would make it so, each with the policy that wants it; what only keeps the record is left out."""
    from pgcharter.policy.compose import RECORD

    whose = {m.object: m.policy for m in _marks(planned)}
    steps = [s for s in planned.plan.steps if s.sql and s.object.owner != RECORD]
    return [(whose.get(s.object) or whose.get(s.object.owner, ""), s) for s in steps]


def differing(environment: str | None, target: str | None) -> list[str]:
    """The policy that wants it, for each step that would make a database as the charter declares."""
    return [name for name, _ in _differing(_planned(environment, target)[1])]


def _marks(planned: Planned) -> tuple[Mark, ...]:
    return (*planned.governed.old, *planned.governed.new) if planned.governed else ()


def _data(database: str, planned: Planned) -> dict[str, Any]:
    from pgcharter.render.json import VERSION, object_data

    now = planned.governed.new if planned.governed else ()
    return {
        "format": "pgcharter-policies",
        "version": VERSION,
        "database": database,
        "made": [{"policy": m.policy, "object": object_data(m.object), "field": m.field or None} for m in now],
        "differs": [
            {"policy": name or None, "object": object_data(s.object), "step": s.title, "sql": s.sql} for name, s in _differing(planned)
        ],
        "questions": list(planned.plan.questions),
    }


def _print(database: str, planned: Planned, *, whole: bool) -> None:
    from pgcharter.render.page import Page, Styled
    from pgcharter.render.phrases import plural

    page = Page(screen())
    differing = _differing(planned)
    for name in sorted({m.policy for m in _marks(planned)} | {name for name, _ in differing if name}):
        lacking = [s for of, s in differing if of == name]
        mark = Styled("✘ ", "bad") if lacking else Styled("✔ ", "good")
        state = plural(len(lacking), "step") + " to make it so" if lacking else "in place"
        page.flow(mark, Styled(name, "strong"), Styled(f" · {state}", "dim"), hanging=2)
        if whole:
            page.flow(
                ", ".join(_counts(m for m in planned.governed.new if m.policy == name) if planned.governed else ()), indent=2, hanging=2
            )
        for title in dict.fromkeys(step.title for step in lacking):
            page.flow(title, indent=4, hanging=2)
    others = [s for name, s in differing if not name]
    if others:
        page.flow(Styled("• ", "dim"), f"beside policies, {plural(len(others), 'step')}: pgcharter plan", hanging=2)
    for question in planned.plan.questions:
        page.flow(Styled("✘ ", "bad"), question, hanging=2)
    if not _marks(planned) and not planned.plan.questions:
        page.flow(f"no policy is declared, and none has made anything in {database}")
    show(page)


def _counts(marks: Iterable[Mark]) -> list[str]:
    """`3 columns, 2 policies; privileges of 12 tables`."""
    from pgcharter.render.phrases import plural

    held = list(marks)
    made = Counter(m.object.kind for m in held if not m.field)
    changed = Counter((_FIELDS.get(m.field, m.field.replace("_", " ")), m.object.kind) for m in held if m.field)
    return [plural(n, _KINDS.get(kind, kind)) for kind, n in sorted(made.items())] + [
        f"{f} of {plural(n, kind)}" for (f, kind), n in sorted(changed.items())
    ]


_FIELDS = {"acl": "privileges"}
_KINDS = {"default privileges": "default privilege"}

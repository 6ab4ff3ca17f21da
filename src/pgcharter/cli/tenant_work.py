"""What the commands of `pgcharter tenant` share: which table, the migrations and policies of a tenant's place, names for the shell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli import migrating
from pgcharter.cli.output import screen, show, show_json
from pgcharter.errors import Exit, PgcharterError, RefusedError, UsageError

if TYPE_CHECKING:
    from pgcharter.charter import Charter
    from pgcharter.cli.migrating import Place
    from pgcharter.cli.progress import Advance
    from pgcharter.policy.encryption_settings import EncryptedColumn
    from pgcharter.policy.tenancy_settings import TenancySection
    from pgcharter.render.page import Page
    from pgcharter.tenants.table import Tenant


@dataclass(frozen=True)
class Ground:
    """Where tenants are, as the charter and the command line say."""

    charter: Charter
    section: TenancySection
    environment: str
    dsn: str
    production: str

    @property
    def database(self) -> str:
        """The database with the table of tenants, as messages call it."""
        return migrating.called(self.environment, self.dsn)

    @property
    def encrypted(self) -> tuple[EncryptedColumn, ...]:
        """Columns that the charter encrypts."""
        from pgcharter.policy.encryption_settings import SECTION

        return self.charter.section(SECTION).column

    def at(self, place: str) -> str:
        """The connection string of a tenant's place."""
        from pgcharter.tenants import places

        return places.dsn_of(self.dsn, self.section, place, migrating.section_here().targets.search_path)


def ground(environment: str | None, target: str | None) -> Ground:
    """The table of tenants that is meant. Raises UsageError where the charter has no tenants, RefusedError where it keeps them itself."""
    from pgcharter.cli.project import charter_here
    from pgcharter.policy.tenancy_settings import OWN_TENANTS, SECTION

    charter = charter_here()
    section = charter.section(SECTION)
    if SECTION.name not in charter.sections:
        raise UsageError("the charter has no tenants", hint='write [tenancy] with placement = "rows", "schemas" or "databases" into it')
    if section.tenants_table != OWN_TENANTS:
        raise RefusedError(
            f"tenants are in {section.tenants or 'no table'}, as [tenancy] says, and these commands are for {OWN_TENANTS.sql()}",
            hint="take tenants out of [tenancy], then: pgcharter policy apply",
        )
    named, dsn = migrating.database(environment, target)
    return Ground(charter, section, named, dsn, migrating.production(charter, named, dsn))


def complete_tenants(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names of tenants, for shell completion; none where the database does not answer."""
    from pgcharter.tenants import table

    try:
        with table.opened(ground(ctx.params.get("environment"), ctx.params.get("target")).dsn) as conn:
            return [t.name for t in table.tenants(conn) if t.name.startswith(incomplete)]
    except PgcharterError:
        return []


def migrations_here() -> Place:
    """The project's migrations, every file read. Raises PgcharterError when they cannot be run for tenants, before anything is done."""
    base = migrating.open_place(None, "none", None)
    if base.revisions:
        raise RefusedError("an Alembic project knows one schema of one database, so it is not run for tenants", hint="[migrate] folder")
    migrating.with_units(base, base.files.migrations)
    return base


def migrate(at: Ground, base: Place, place: str, confirm: str | None, say: Callable[[str], None]) -> None:
    """Apply the project's migrations where a tenant is going to be. Raises PgcharterError when they do not end well.

    Nobody uses the place yet: no gate, window or backup has to be waited for.
    """
    from pgcharter.cli import running
    from pgcharter.cli.watching import Voice
    from pgcharter.migrate import home, runner

    there = replace(base, dsn=at.at(place), production=at.production)
    with migrating.ledger_of(there) as conn:
        home.refuse_elsewhere(conn)
        found, problems = migrating.standing_of(conn, there)
        migrating.refuse(conn, problems)
        running.refuse_half(conn, found, "up")
    pending = migrating.with_units(there, [migrating.resumed(e) for e in found.pending])
    if not pending:
        return
    gates = frozenset(unit.gate for m in pending for unit in m.up if unit.gate)
    terms = running.terms_of(there, {**_WISHES, "confirm": confirm})
    terms = replace(terms, gates_passed=gates, window=None, without_backup="the tenant is new")
    outcome = runner.apply(there.dsn, pending, terms=terms, watch=Voice(quiet=True))
    if outcome.status == "interrupted":
        raise KeyboardInterrupt(outcome.message)
    if outcome.status != "done":
        kind = RefusedError if outcome.status == "stopped" else PgcharterError
        raise kind(f"{place}: {outcome.message}", hint=outcome.hint, place=outcome.place)
    say(f"{len(outcome.applied):,} {'migration' if len(outcome.applied) == 1 else 'migrations'} applied")


_WISHES: dict[str, Any] = {
    "pace": "normal", "terminate_blockers": False, "gates": (), "backup_point": "", "without_backup": "", "repeat_begun": False,
    "old_plan": False, "dry_run": False,
}  # fmt: skip


def enforce(at: Ground, place: str, advance: Advance | None = None, *, used: bool = False, dry_run: bool = False) -> tuple[str, ...]:
    """Apply the charter's policies to one tenant's place; the statements that took."""
    from pgcharter.cli.plan import charters_wish
    from pgcharter.tenants import enforcing

    dsn = at.dsn if at.section.placement == "schemas" else at.at(place)
    wish = charters_wish(at.charter, dsn, at.environment)
    if dry_run:
        return tuple(step.sql for step in enforcing.planned(wish, at.section, place, advance, used=used).steps)
    return enforcing.enforce(wish, at.section, place, advance, used=used)


def told(write: Callable[[Page], None]) -> None:
    """Show what is written on a page."""
    from pgcharter.render.page import Page

    page = Page(screen())
    write(page)
    show(page)


def reported(known: Tenant, sentence: str, form: str, more: dict[str, Any] | None = None) -> int:
    """Say what was done to a tenant, as text or JSON; the exit code."""
    from pgcharter.render import tenants as render

    if form == "json":
        show_json({"format": "pgcharter-tenant", "version": 1, "message": sentence, "tenant": render.row(known), **(more or {})})
    else:
        told(lambda page: render.said(page, sentence))
    return Exit.FINE

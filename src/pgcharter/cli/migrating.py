"""What the commands of `pgcharter migrate` share: which folder and which database, the ledger read, and what stands in the way told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pgcharter.cli.output import screen
from pgcharter.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from pgcharter.charter import Charter
    from pgcharter.db import Connection
    from pgcharter.migrate.alembic import Revisions
    from pgcharter.migrate.files import Folder
    from pgcharter.migrate.model import Migration
    from pgcharter.migrate.problems import Problem
    from pgcharter.migrate.settings import MigrateSection
    from pgcharter.migrate.state import Entry, Standing
    from pgcharter.render.migrations import Row, Trouble

F = TypeVar("F", bound=Callable[..., Any])


def complete_versions(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Versions of the folder's files, for shell completion."""
    place = open_place(ctx.params.get("environment"), "none", ctx.params.get("folder"))
    return [m.version for m in place.files.migrations if m.version.startswith(incomplete)]


def place_options(function: F) -> F:
    """Add `--env`, `--on` and `--folder`."""
    return database_options(folder_option(function))


def database_options(function: F) -> F:
    """Add `--env` and `--on`."""
    function = click.option("--on", "target", metavar="DSN", help="Database: a connection string, or env:VARIABLE.")(function)
    return click.option("--env", "environment", metavar="NAME", help="Database of this environment of the charter.")(function)


def confirm_option(function: F) -> F:
    """Add `--confirm`."""
    return click.option("--confirm", metavar="NAME", help="Name of the production environment that may be changed.")(function)


def folder_option(function: F) -> F:
    """Add `--folder`."""
    return click.option("--folder", metavar="FOLDER", help="Folder of the migrations.  [default: the charter's, else migrations]")(function)


@dataclass(frozen=True)
class Place:
    """Where a command works: files and database."""

    charter: Charter
    section: MigrateSection
    files: Folder
    dsn: str
    environment: str = ""
    """Name of the environment; empty for a database that the command line names."""
    production: str = ""
    """Name of the production environment that this database is; empty when it is none."""
    revisions: Revisions | None = None
    """The files, when they are an Alembic project's."""

    @property
    def database(self) -> str:
        """The database as messages call it, without secrets."""
        return called(self.environment, self.dsn)


def called(environment: str, dsn: str) -> str:
    """A database as messages call it, without secrets."""
    parts = _parts(dsn)
    where = f"{parts.get('dbname') or parts.get('user') or ''} at {parts.get('host') or 'the local socket'}"
    return f"{environment} ({where})" if environment else where


def database(environment: str | None, target: str | None) -> tuple[str, str]:
    """Name of the environment and connection string of the database meant, where no folder of migrations is needed. Raises UsageError."""
    from pgcharter.cli.project import charter_here

    return _database(charter_here(), environment, target)


def open_place(environment: str | None, target: str | None, folder: str | None) -> Place:
    """The files and the database that the command line and the charter mean. Raises UsageError when they do not decide."""
    from pgcharter.cli.project import charter_here
    from pgcharter.migrate import files
    from pgcharter.migrate.settings import MIGRATE

    charter = charter_here()
    section = charter.section(MIGRATE)
    named, dsn = ("", "") if target == "none" else _database(charter, environment, target)
    where = folder or default_folder(charter)
    revisions = alembic_at(where)
    found = revisions or files.read(where, section)
    return Place(charter, section, found, dsn, named, production(charter, named, dsn), revisions)


def section_here() -> MigrateSection:
    """`[migrate]` of the charter that holds here."""
    from pgcharter.cli.project import charter_here
    from pgcharter.migrate.settings import MIGRATE

    return charter_here().section(MIGRATE)


def alembic_at(folder: str) -> Revisions | None:
    """The Alembic project in a folder (or of an alembic.ini); None when there is none."""
    path = Path(folder).expanduser()
    if not (path.suffix == ".ini" or (path / "alembic.ini").is_file()):
        return None
    from pgcharter.migrate import alembic

    return alembic.read(folder)


def refuse_alembic(place: Place, command: str, hint: str) -> None:
    """Raise RefusedError where Alembic has its own word for what a command does: its table and our ledger must not differ."""
    if place.revisions:
        raise RefusedError(
            f"{place.files.target} is an Alembic project, whose own table says what is applied: {command} is not for it", hint=hint
        )


def default_folder(charter: Charter) -> str:
    """The folder of migrations: the charter's, the first of the usual ones that is there, or that of an alembic.ini."""
    from pgcharter.cli.project import shortest
    from pgcharter.migrate.files import FOLDERS
    from pgcharter.migrate.settings import MIGRATE

    section = charter.section(MIGRATE)
    if section.folder:
        return shortest(charter.folder / section.folder)
    usual = [path for path in (charter.folder / name for name in FOLDERS) if path.is_dir()]
    own = next((path for path in usual if not (path / "env.py").is_file()), None)
    of_alembic = next((path for path in (charter.folder, *usual) if (path / "alembic.ini").is_file()), None)
    return shortest(own or of_alembic or charter.folder / FOLDERS[0])


def own_folder(charter: Charter) -> str:
    """The folder of migrations of the database itself: where tenants are in schemas or databases, `folder` is for each of those."""
    from pgcharter.cli.project import shortest
    from pgcharter.migrate.settings import MIGRATE

    named = charter.section(MIGRATE).targets.shared
    if not apart(charter):
        return default_folder(charter)
    return shortest(charter.folder / named) if named else f"{default_folder(charter)}_shared"


def apart(charter: Charter) -> bool:
    """Whether tenants are in schemas or databases of their own, which `[migrate] folder` is for."""
    from pgcharter.policy.tenancy_settings import SECTION

    return SECTION.name in charter.sections and charter.section(SECTION).placement != "rows"


def _database(charter: Charter, environment: str | None, target: str | None) -> tuple[str, str]:
    """Name of the environment and connection string."""
    from pgcharter.cli.project import dsn_of
    from pgcharter.sources import address

    if target and environment:
        raise UsageError("--on and --env name two databases", hint="leave one of them out")
    if target:
        return "", address(target)
    if environment is None and len(charter.environments) != 1:
        known = ", ".join(charter.environments)
        hint = (
            f"choose one with --env: {known}" if known else "name it with --on DSN, or write [environments.development] into pgcharter.toml"
        )
        raise UsageError("nothing says which database is meant", hint=hint)
    chosen = environment or next(iter(charter.environments))
    return chosen, address(dsn_of(charter, chosen))


def production(charter: Charter, environment: str, dsn: str) -> str:
    """The production environment that this database is, also when it was named by its address, a service or libpq's variables."""
    import os

    if not dsn or not any(e.production for e in charter.environments.values()):
        return ""
    here = _address(dsn)
    for name, one in charter.environments.items():
        known = one.dsn or os.environ.get(one.dsn_env, "")
        if one.production and (name == environment or (known and _address(known) == here != ())):
            return name
    return ""


def _address(dsn: str) -> tuple[str, ...]:
    """Host, port and database of a connection string; empty for one that libpq does not understand."""
    from psycopg import ProgrammingError

    try:
        parts = _parts(dsn)
    except ProgrammingError:
        return ()
    host = (parts.get("hostaddr") or parts.get("host") or "localhost").lower().replace("127.0.0.1", "localhost")
    return (host, parts.get("port") or "5432", parts.get("dbname") or parts.get("user") or "")


def _parts(dsn: str) -> dict[str, str]:
    """What libpq makes of a connection string, with its variables and the service. Raises psycopg.ProgrammingError."""
    from psycopg import pq
    from psycopg.conninfo import conninfo_to_dict

    given = {name: str(value) for name, value in conninfo_to_dict(dsn).items() if value is not None}
    usual = {option.keyword.decode(): option.val.decode() for option in pq.Conninfo.get_defaults() if option.val}
    return {**usual, **_service(given.get("service", "")), **given}


def _service(name: str) -> dict[str, str]:
    """What a service of libpq's says (documentation, "The Connection Service File"); empty when there is none of that name.

    The one that PGSERVICE names is in libpq's own defaults already.
    """
    import configparser
    import os

    own = os.environ.get("PGSERVICEFILE") or str(Path.home() / ".pg_service.conf")
    found = configparser.RawConfigParser(strict=False, delimiters=("=",))
    for path in (own, f"{os.environ.get('PGSYSCONFDIR', '/etc/postgresql-common')}/pg_service.conf") if name else ():
        try:
            found.read(path, "utf-8")
        except (configparser.Error, UnicodeError):
            continue
        if found.has_section(name):
            return dict(found[name])
    return {}


def guard(place: Place, confirmed: str | None) -> None:
    """Raise RefusedError when the ledger of a production environment would be changed without its name being said."""
    refuse_production(place.production, confirmed)


def refuse_production(name: str, confirmed: str | None) -> None:
    """Raise RefusedError for a production environment (empty: it is none) whose name was not said."""
    if name and confirmed != name:
        raise RefusedError(
            f"environment {name} is production, so nothing is changed there without leave", hint=f"say so by its name: --confirm {name}"
        )


def ledger_of(place: Place) -> AbstractContextManager[Connection]:
    """A connection on which the ledger is read or written."""
    return connected(place.dsn)


@contextmanager
def connected(dsn: str) -> Iterator[Connection]:
    """A connection for what commands record and read."""
    from pgcharter.db import connect

    conn = connect(dsn, application_name="pgcharter migrate", client_encoding="UTF8")
    conn.execute("SET statement_timeout = 0; SET lock_timeout = '5s'")
    try:
        yield conn
    finally:
        conn.close()


@contextmanager
def alone(place: Place) -> Iterator[Connection]:
    """The same while no runner is at work: for changes of the record itself. Raises PgcharterError when one stays at work."""
    from pgcharter.measures import seconds
    from pgcharter.migrate import lock
    from pgcharter.migrate.watch import silent

    with lock.held(place.dsn, seconds(place.section.wait, "[migrate] wait"), silent), ledger_of(place) as conn:
        yield conn


def standing_of(conn: Connection, place: Place) -> tuple[Standing, tuple[Problem, ...]]:
    """Where the database stands against the files, and what stands in the way."""
    from pgcharter.migrate import adoption, ledger
    from pgcharter.migrate.problems import problems
    from pgcharter.migrate.state import standing

    runs = ledger.read(conn)
    if place.revisions:
        from pgcharter.migrate.alembic_env import standpoint

        heads = standpoint(place.revisions.alembic, place.dsn).heads
        said = place.revisions.by_hand(runs, heads)
        if said:
            click.echo(f"note: {said}", err=True)
        runs = place.revisions.seen(runs, heads)
    found = standing(place.files, runs)
    elsewhere = () if runs or place.revisions else adoption.problems(conn, place.files)
    return found, (*elsewhere, *problems(found.entries, place.files, place.section))


def refuse(conn: Connection, found: Sequence[Problem]) -> None:
    """Raise RefusedError for the first problem that forbids to apply anything, after showing what was edited."""
    refusing = [p for p in found if p.refuses]
    for trouble in troubles(conn, refusing):
        if trouble.difference:
            _show_difference(trouble)
    if refusing:
        more = f"; {len(refusing) - 1} more: pgcharter migrate status" if len(refusing) > 1 else ""
        first = refusing[0]
        place = "" if first.message.startswith(first.place) else first.place
        raise RefusedError(f"{first.message}; nothing was run", hint=first.hint + more, place=place)


def _show_difference(trouble: Trouble) -> None:
    import sys

    from pgcharter.render import migrations
    from pgcharter.render.page import Page

    page = Page(screen(sys.stderr))
    migrations.difference(page, trouble.difference)
    click.echo(page.text(), err=True, nl=False)


def troubles(conn: Connection, found: Sequence[Problem]) -> list[Trouble]:
    """Problems as they are shown, with what was edited."""
    from pgcharter.migrate import ledger
    from pgcharter.migrate.problems import difference
    from pgcharter.render.migrations import Trouble

    made = []
    for p in found:
        lines: tuple[str, ...] = ()
        if p.kind == "edited" and p.entry and p.entry.run and p.entry.migration:
            applied = ledger.text(conn, p.entry.run.id) if p.entry.run.tool else None
            lines = difference(applied, p.entry.migration.text, p.entry.migration.file)
        made.append(Trouble(p.kind, p.message, p.hint, p.place, p.refuses, lines))
    return made


def rows(entries: Sequence[Entry]) -> list[Row]:
    """Entries as they are shown."""
    from pgcharter.render.migrations import Row

    return [Row(version=e.version, name=e.name, state=e.word, late=e.late, **_of_file(e), **_of_run(e)) for e in entries]


def _of_file(entry: Entry) -> dict[str, Any]:
    m = entry.migration
    if m is None:
        return {"kind": entry.run.kind if entry.run else "", "file": entry.run.file if entry.run else ""}
    return {"kind": m.kind, "file": m.file, "checksum": m.checksum, "description": m.description, "author": m.author}


def _of_run(entry: Entry) -> dict[str, Any]:
    from pgcharter.migrate.state import when

    r = entry.run
    if r is None:
        return {}
    made = {
        "applied_at": when(r),
        "duration_ms": r.duration if r.outcome == "done" else None,
        "applied_by": r.role,
        "outcome": r.outcome,
        "tool_version": r.tool,
    }
    return made if entry.migration else {**made, "checksum": r.checksum, "description": r.description, "author": r.author}


def with_units(place: Place, migrations: Sequence[Migration], *, shown: bool = False) -> list[Migration]:
    """The migrations with their units. All are parsed before one is run, so that a mistake in the last leaves nothing half done.

    `shown`: also those of Alembic's revisions that only a run would need not.
    """
    from pgcharter.migrate.units import parsed

    if place.revisions:
        return place.revisions.with_units(migrations, place.dsn, shown=shown)

    return [parsed(m, place.section.placeholders) for m in migrations]


def resumed(entry: Entry) -> Migration:
    """The migration of an entry, called as its unfinished run is called in the ledger."""
    assert entry.migration is not None  # noqa: S101  (pending entries have files)
    run = entry.unfinished or entry.run
    return replace(entry.migration, version=run.version, name=run.name) if run else entry.migration


def as_recorded(entry: Entry) -> Migration:
    """The migration of an applied entry, called as the ledger calls it."""
    assert entry.migration is not None  # noqa: S101  (an edited one has a file)
    assert entry.run is not None  # noqa: S101
    return replace(entry.migration, version=entry.run.version, name=entry.run.name)


def author() -> tuple[str, str]:
    """Name and address that git has for whoever works here; empty where it has none."""
    import subprocess

    def asked(key: str) -> str:
        try:
            done = subprocess.run(["git", "config", key], capture_output=True, text=True, timeout=5, check=False, cwd=Path())
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout.strip()

    return asked("user.name"), asked("user.email")

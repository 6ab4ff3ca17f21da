"""Which targets a command of `pgcharter migrate` is for: those of the command line, else those of the charter; their options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pgcharter.cli import migrating
from pgcharter.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from pgcharter.cli.migrating import Place
    from pgcharter.migrate.settings import TargetsSection
    from pgcharter.migrate.targets import Database, Target

F = TypeVar("F", bound=Callable[..., Any])


def target_options(function: F) -> F:
    """Add what chooses the targets."""
    options = (
        click.option(
            "--schemas", multiple=True, metavar="NAME", help="Schemas that each have their own history: names, patterns, or @FILE of them."
        ),
        click.option("--schemas-query", default="", metavar="SQL", help="A query that names such schemas."),
        click.option(
            "--databases", multiple=True, metavar="NAME",
            help="Databases: environments, env:VARIABLE, names or patterns of the server's databases, or @FILE of them.",
        ),
        click.option("--one", is_flag=True, help="Only the database itself, not the targets of the charter."),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def fan_out_options(function: F) -> F:
    """Add how a run over many targets goes."""
    least = click.IntRange
    options = (
        click.option("--parallel", type=least(min=1), metavar="N", help="Targets worked on at the same time.  [default: 4]"),
        click.option("--canary", metavar="NAME|N", help="The target, or how many, to be done before the others begin."),
        click.option("--stop-after", type=least(min=0), metavar="N", help="Begin no other after N failed; 0: try all.  [default: 1]"),
    )
    for option in reversed(options):
        function = option(function)
    return function


@dataclass(frozen=True)
class Many:
    """A command's place with its targets."""

    place: Place
    section: TargetsSection
    targets: tuple[Target, ...]
    where: tuple[str, ...] = ()
    """The words of the command line that name the database and the folder."""
    chosen: tuple[str, ...] = ()
    """Those that choose the targets; none where the charter does."""

    def at(self, target: Target) -> Place:
        """The place of one target."""
        return replace(self.place, dsn=target.dsn, environment="", production=target.database.production)

    def alone(self, target: Target, command: str) -> str:
        """`command` for one target."""
        database = ("--databases", _literally(target.database.name)) if self.section.databases else ()
        schema = ("--schemas", _literally(target.schema)) if target.schema else ()
        return shlex.join(("pgcharter", "migrate", command, *self.where, *database, *schema))

    def meant(self, target: Target, hint: str) -> str:
        """A hint with its commands for these targets: what mends a record is for one of them, what runs is for all."""

        def command(match: re.Match[str]) -> str:
            if match[1] in ("baseline", "repair"):
                return self.alone(target, match[1])
            return shlex.join(("pgcharter", "migrate", match[1], *self.where, *self.chosen))

        return re.sub(r"\bpgcharter migrate (\w+)", command, hint)


def open_many(environment: str | None, target: str | None, folder: str | None, wishes: Mapping[str, Any]) -> Place | Many:
    """The place that a command is for, or the place with its many targets. Raises UsageError when they do not decide."""
    from pgcharter.cli.project import charter_here
    from pgcharter.migrate import targets

    own = {name: wishes[name] for name in ("schemas", "schemas_query", "databases") if wishes.get(name)}
    if own and wishes["one"]:
        raise UsageError("--one leaves no room for --schemas, --schemas-query and --databases", hint="leave one of them out")
    charters = migrating.section_here().targets
    if wishes["one"] or not (own or charters.chosen or migrating.apart(charter_here())):
        return migrating.open_place(environment, target, folder or migrating.own_folder(charter_here()))
    if not (own or charters.chosen):
        charters = _of_tenants(charters, environment, target)
    section = replace(charters, schemas=(), schemas_query="", databases=()) if own else charters
    section = replace(section, **own)
    section = replace(section, schemas=targets.words(section.schemas), databases=targets.words(section.databases))
    place = _base(environment, target, folder, section)
    if place.revisions:
        raise RefusedError(
            f"{place.files.target} is an Alembic project, whose own program runs it, so it is not run over many targets at once",
            hint='run it for each: pgcharter migrate up --on "$DSN"',
        )
    found = targets.targets(tuple(_databases(place, section)), section)
    if own and not section.canary.isdigit() and not any(target.called(section.canary) for target in found):
        section = replace(section, canary="")
    named = target if target is None or target.startswith("env:") else "DSN"
    where = _words({"--env": environment, "--on": named, "--folder": folder})
    return Many(place, section, found, where, _words({f"--{name.replace('_', '-')}": given for name, given in own.items()}))


def _of_tenants(section: TargetsSection, environment: str | None, target: str | None) -> TargetsSection:
    """The targets where nothing else is said: all tenants that are there, suspended ones too. Raises UsageError when there is none."""
    from pgcharter.cli.tenant_work import ground
    from pgcharter.tenants import table

    at = ground(environment, target)
    with table.opened(at.dsn) as conn:
        places = tuple(t.place for t in table.tenants(conn) if t.state != "adding" and not t.due)
    if not places:
        raise UsageError(
            f"no tenant has a {at.section.placement.removesuffix('s')} of its own yet, so there is nothing to migrate",
            hint="pgcharter tenant add NAME; for the database itself: --one",
        )
    return replace(section, schemas=places) if at.section.placement == "schemas" else replace(section, databases=places)


def _words(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Options as they stand on a command line; those of several values once for each."""
    found: list[str] = []
    for name, given in options.items():
        for word in [given] if isinstance(given, str) else given or ():
            found += [name, word]
    return tuple(found)


def _base(environment: str | None, target: str | None, folder: str | None, section: TargetsSection) -> Place:
    """The place; without a database of its own when every target's is named with its whole address."""
    place = migrating.open_place(None, "none", folder)
    named = section.databases and all(_addressed(place, word) for word in section.databases)
    return place if named and not (environment or target) else migrating.open_place(environment, target, folder)


def _addressed(place: Place, word: str) -> bool:
    return word in place.charter.environments or word.startswith("env:") or "://" in word or "=" in word


def _databases(place: Place, section: TargetsSection) -> Iterator[Database]:
    from psycopg.conninfo import conninfo_to_dict

    from pgcharter.cli.project import dsn_of
    from pgcharter.migrate import targets
    from pgcharter.sources import address

    if not section.databases:
        name = place.environment or str(conninfo_to_dict(place.dsn).get("dbname") or "the database")
        yield targets.Database(name, place.dsn, place.production)
    patterns = []
    for word in section.databases:
        if word in place.charter.environments:
            dsn = address(dsn_of(place.charter, word))
            yield targets.Database(word, dsn, migrating.production(place.charter, word, dsn))
        elif _addressed(place, word):
            dsn = address(word)
            name = word if word.startswith("env:") else str(conninfo_to_dict(dsn).get("dbname") or word)
            yield targets.Database(name, dsn, migrating.production(place.charter, "", dsn))
        else:
            patterns.append(word)
    if patterns:
        yield from targets.databases(targets.Database(place.environment, place.dsn, place.production), patterns)


def _literally(name: str) -> str:
    """A name as a pattern that only it is like; a leading @ would name a file."""
    return "".join(f"[{c}]" if c in "*?[" or (c == "@" and not n) else c for n, c in enumerate(name))

"""What the project says when the command line does not: its charter, its guide, its targets."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgcharter import charter as charters
from pgcharter.charter import Charter, Environment, Section
from pgcharter.errors import UsageError
from pgcharter.migrate.settings import MIGRATE
from pgcharter.operate.backup_settings import SECTION as BACKUP
from pgcharter.operate.upkeep_settings import SECTION as UPKEEP
from pgcharter.plan.settings import PLAN, RELEASES
from pgcharter.policy import registry
from pgcharter.policy.transport_settings import SECTION as TRANSPORT
from pgcharter.runtime.database_settings import SECTION as DATABASE
from pgcharter.watch.settings import SECTION as WATCH

if TYPE_CHECKING:
    from pgcharter.guides.model import Guide


@dataclass(frozen=True)
class Project:
    """A charter (an empty one where there is none) and the guide that holds."""

    charter: Charter
    guide: Guide
    chosen: bool
    """False when neither a charter nor the command line chose the guide."""


def open_project(start: Path, guide: str | None = None) -> Project:
    """Find the charter that holds for `start` and load its guide, or the one called `guide`, under the charter's overrides.

    Raises CharterError for whatever is wrong in either.
    """
    return _open(charters.find(start), guide)


def project_of(target: str, guide: str | None = None) -> Project:
    """The project that a target belongs to: by the charter beside or above a file or folder, else by the one that holds here.

    Raises CharterError like `open_project`.
    """
    path = Path(target).expanduser()
    try:
        own = charters.find(path) if target and "://" not in target and path.exists() else None
    except OSError:
        own = None
    return _open(own or charters.find(Path()), guide)


def charter_here(start: Path | None = None) -> Charter:
    """The charter that holds for `start` (by default the current folder), without its guide; an empty one where there is none.

    Raises CharterError for whatever is wrong in it.
    """
    return _charter(charters.find(start or Path()))


def sections() -> tuple[Section[Any], ...]:
    """The charter's sections that packages declare."""
    return (PLAN, MIGRATE, RELEASES, TRANSPORT, DATABASE, WATCH, BACKUP, UPKEEP, *registry.sections())


def _charter(path: Path | None) -> Charter:
    return charters.read(path, sections=sections(), name=shortest(path)) if path else Charter()


def _open(path: Path | None, guide: str | None) -> Project:
    from pgcharter import guides
    from pgcharter.rules import engine

    charter = _charter(path)
    codes = engine.load()
    loaded = guides.load(guide or charter.guide, codes=codes)
    _check_paths(charter, {*codes, *loaded.own})
    return Project(charter, guides.effective(loaded, charter, codes=codes), chosen=bool(guide or path))


def _check_paths(charter: Charter, codes: Collection[str]) -> None:
    """Raise CharterError for a [[path]] that names a rule which does not exist."""
    from pgcharter.guides.files import check_codes

    for index, setting in enumerate(charter.paths):
        for key, named in (("only", setting.only), ("skip", setting.skip), ("severity", setting.severity)):
            if charter.file:
                check_codes(charter.file, tuple(named), codes, (*charter.root, "path", index, key))


def shortest(path: Path) -> str:
    """`path` as a person here would write it: relative where that does not climb."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def targets_of(charter: Charter, environment: str | None) -> tuple[str, ...]:
    """What to check when the command line names nothing: the environment asked for, the charter's targets, or its only environment.

    Raises UsageError when the charter does not decide.
    """
    if environment:
        return (dsn_of(charter, environment),)
    if charter.check.targets:
        return tuple(from_folder(charter.folder, target) for target in charter.check.targets)
    if len(charter.environments) == 1:
        return (dsn_of(charter, next(iter(charter.environments))),)
    if charter.environments:
        names = ", ".join(charter.environments)
        raise UsageError(f"nothing says which environment to check: {names}", hint="choose one with --env NAME, or name a target")
    raise UsageError(
        "nothing says what to check",
        hint="name a target: a connection string, a file or folder of SQL, a Markdown file, module:metadata, or an Alembic project; "
        "`pgcharter init` writes a charter that remembers it",
    )


def environment_of(charter: Charter, environment: str | None) -> str:
    """Name of the environment that `targets_of` takes its connection string from; empty when the charter names targets."""
    only = next(iter(charter.environments)) if len(charter.environments) == 1 else ""
    return environment or ("" if charter.check.targets else only)


def from_folder(folder: Path, target: str) -> str:
    """A target that the charter names; paths start from the charter's own folder."""
    path = folder / target
    return shortest(path) if "://" not in target and path.exists() else target


def dsn_of(charter: Charter, name: str) -> str:
    """The connection string of the environment called `name`.

    Raises UsageError when the charter has no such environment or the variable that holds its DSN is not set.
    """
    found = charter.environments.get(name)
    if found is None:
        known = ", ".join(charter.environments)
        where = shortest(charter.path) if charter.path else ""
        message = f"there is no environment {name!r}" + ("" if charter.path else ", because there is no charter")
        raise UsageError(message, place=where, hint=f"known are {known}" if known else "add [environments." + name + "] to pgcharter.toml")
    return found.dsn or _from_variable(found)


def _from_variable(environment: Environment) -> str:
    value = os.environ.get(environment.dsn_env, "")
    if not value:
        raise UsageError(
            f"environment {environment.name} takes its connection string from the variable {environment.dsn_env}, which is not set",
            hint=f"export {environment.dsn_env}=postgresql://user@host/database",
        )
    return value

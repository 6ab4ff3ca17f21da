"""What a project's charter says that tests need: where its migrations are, whether it has tenants, which servers are production's."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pgcharter import charter as charters
from pgcharter.charter import Environment
from pgcharter.errors import RefusedError
from pgcharter.migrate.files import FOLDERS
from pgcharter.migrate.settings import MigrateSection
from pgcharter.tomlfile import TomlFile, build

Place = tuple[str, str]
"""Address and port of a server, or the path of its socket folder and port."""


@dataclass(frozen=True)
class Project:
    """A project under test. Only what is needed here is read of its charter: that the rest is right, `pgcharter check` says."""

    folder: Path
    migrate: MigrateSection = field(default_factory=MigrateSection)
    environments: Mapping[str, Environment] = field(default_factory=dict)
    tenancy: bool = False
    """Whether the charter has a section [tenancy]."""

    @property
    def migrations(self) -> Path | None:
        """The folder of migrations: the charter's, else the first of the usual ones that is there."""
        if self.migrate.folder:
            return self.folder / self.migrate.folder
        return next((self.folder / name for name in FOLDERS if (self.folder / name).is_dir()), None)


def read(start: Path) -> Project:
    """The project at `start`. Raises CharterError for what is wrong in the parts that are read."""
    path = charters.find(start)
    if path is None:
        return Project(start)
    file = TomlFile.read(path)
    root: tuple[str, ...] = ("tool", "pgcharter") if path.name == charters.PYPROJECT else ()
    data: Any = file.data
    for step in root:
        data = data.get(step, {})
    migrate = build(file, data["migrate"], MigrateSection, (*root, "migrate"), where="[migrate]") if "migrate" in data else MigrateSection()
    tables = data.get("environments", {})
    known = {
        name: build(file, table, Environment, (*root, "environments", name), where=f"environment {name}") for name, table in tables.items()
    }
    return Project(path.parent, migrate, known, "tenancy" in data)


def refuse_production(project: Project, dsn: str) -> None:
    """Raise RefusedError where a server is one that a production environment of the charter is on, whatever is marked there."""
    here = set(_places(dsn))
    for name, one in project.environments.items():
        known = one.dsn or os.environ.get(one.dsn_env, "")
        if one.production and known and here & set(_places(known)):
            raise RefusedError(
                f"the server for tests is the one of environment {name}, which is production, so nothing is run there, marked or not",
                hint="name another server with --pgcharter-dsn or PGCHARTER_TEST_DSN, or leave both out for one of the plugin's own",
            )


def _places(dsn: str) -> Iterator[Place]:
    """Every address that a connection string may lead to. A service of libpq's is looked up by libpq alone, when it connects."""
    from psycopg import ProgrammingError, pq
    from psycopg.conninfo import conninfo_to_dict

    usual = {option.keyword.decode(): option.val.decode() for option in pq.Conninfo.get_defaults() if option.val}
    try:
        given = {name: str(value) for name, value in conninfo_to_dict(dsn).items() if value is not None}
    except ProgrammingError:
        return
    parts = {**usual, **given}
    hosts = (parts.get("hostaddr") or parts.get("host") or "localhost").split(",")
    ports = (parts.get("port") or "5432").split(",")
    for number, host in enumerate(hosts):
        port = ports[number] if number < len(ports) else ports[-1]
        for address in _addresses(host or "localhost"):
            yield address, port or "5432"


def _addresses(host: str) -> set[str]:
    if host.startswith(("/", "@")):
        return {str(Path(host).resolve()), "127.0.0.1"}
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        found = {host.lower()}
    return {"127.0.0.1" if address in ("::1", "0.0.0.0") else address for address in found}  # noqa: S104

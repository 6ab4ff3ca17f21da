"""Targets: the databases, and the schemas in them, that the same migrations are for; which they are, and where their histories agree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from pgcharter.db import connect, queries
from pgcharter.errors import UsageError
from pgcharter.migrate import adoption, home
from pgcharter.tomlfile import nearest

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.migrate.settings import TargetsSection

AT_ONCE = 100
"""Schemas whose histories are asked for in one query."""


@dataclass(frozen=True, slots=True)
class Database:
    """A database that targets are in, or that is one."""

    name: str
    """What it is called on the command line: an environment, `env:NAME`, or the name of the database."""
    dsn: str = field(repr=False)
    production: str = ""
    """Name of the production environment it is, or is on the server of; empty otherwise."""


@dataclass(frozen=True, slots=True)
class Target:
    """A database, or a schema in it, with a migration history of its own."""

    name: str
    """Its name among the targets."""
    dsn: str = field(repr=False)
    """A connection that is at home in it."""
    database: Database
    schema: str = ""
    """Empty for a whole database."""

    def called(self, name: str) -> bool:
        """Whether a person may call it so."""
        return name in (self.name, self.schema or self.database.name)


@dataclass(frozen=True, slots=True)
class Group:
    """Targets that stand at the same place: what holds for the first holds for all."""

    targets: tuple[Target, ...]


def words(given: Iterable[str]) -> tuple[str, ...]:
    """Names and patterns; `@FILE` stands for the lines of a file, without empty ones and those that begin with #. Raises UsageError."""
    found: list[str] = []
    for word in given:
        if not word.startswith("@"):
            found.append(word)
            continue
        try:
            lines = Path(word[1:]).expanduser().read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeError) as error:
            raise UsageError(f"the list {word[1:]} cannot be read: {getattr(error, 'strerror', None) or 'it is no UTF-8'}") from None
        found += [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return tuple(found)


def databases(base: Database, patterns: Sequence[str]) -> tuple[Database, ...]:
    """The databases on the server of `base` with these names, or names like these patterns. Raises UsageError for what is not there."""
    from psycopg.conninfo import make_conninfo

    with connect(base.dsn) as conn:
        there = [name for (name,) in conn.execute(_sql("databases").encode()).fetchall()]
    return tuple(Database(n, make_conninfo(base.dsn, dbname=n), base.production) for n in _matching(patterns, there, "database"))


def schemas(database: Database, section: TargetsSection) -> tuple[str, ...]:
    """The schemas that are targets in a database, sorted. Raises UsageError for one that is not there, or a query that fails."""
    with connect(database.dsn) as conn:
        conn.execute("SET default_transaction_read_only = on")
        found = set(_asked(conn, section.schemas_query)) if section.schemas_query else set()
        if section.schemas:
            there = [name for (name,) in conn.execute(_sql("schemas").encode()).fetchall()]
            found |= set(_matching(section.schemas, there, "schema", beside=section.search_path))
    return tuple(sorted(found))


def _asked(conn: Connection, query: str) -> list[str]:
    try:
        rows = conn.execute(query.encode()).fetchall()
    except psycopg.Error as error:
        said = error.diag.message_primary or str(error).splitlines()[0]
        raise UsageError(f"the query for the schemas fails, so nobody knows which are meant: {said}", place="schemas_query") from None
    wrong = next((row for row in rows if not row or not isinstance(row[0], str) or not row[0]), None)
    if wrong is not None:
        shown = repr(wrong[0]) if wrong else "no column"
        raise UsageError(
            f"the query for the schemas gives {shown}, which is no name", hint="its first column must be text", place="schemas_query"
        )
    return [row[0] for row in rows]


def _matching(patterns: Sequence[str], there: Sequence[str], kind: str, beside: Sequence[str] = ()) -> list[str]:
    """Names like the patterns; those of `beside` only when named outright. Raises UsageError for a pattern that nothing is like."""
    found: set[str] = set()
    for pattern in patterns:
        like = [pattern] if pattern in there else [n for n in there if fnmatchcase(n, pattern) and n not in beside]
        if not like:
            hint = nearest(pattern, list(there), "{}")
            raise UsageError(f"there is no {kind} {pattern}", hint=hint or f"there are: {', '.join(there[:8])}{', …' * (len(there) > 8)}")
        found.update(like)
    return sorted(found)


def targets(found: Sequence[Database], section: TargetsSection) -> tuple[Target, ...]:
    """All targets, sorted, none twice. Raises UsageError when there is none."""
    made: dict[tuple[str, str], Target] = {}
    by_schema = bool(section.schemas or section.schemas_query)
    for database in {d.dsn: d for d in found}.values():
        for schema in schemas(database, section) if by_schema else ("",):
            dsn = home.at(database.dsn, schema, section.search_path) if schema else database.dsn
            name = "/".join(part for part in (database.name * (len(found) > 1 or not schema), schema) if part)
            made[database.dsn, schema] = Target(name, dsn, database, schema)
    if not made:
        asked = section.schemas_query or ", ".join((*section.schemas, *section.databases))
        raise UsageError(f"no target is found, so there is nothing to migrate: {asked}")
    return tuple(sorted(made.values(), key=lambda t: (t.database.name, t.schema)))


def groups(found: Sequence[Target]) -> tuple[Group, ...]:
    """The targets by what was done to them: those of one group have the same history, so one of them tells for all.

    A database is a group by itself, and so is a schema that is gone, has the record of another tool, or cannot be read like this.
    """
    made: dict[object, list[Target]] = {}
    for database in {t.database.dsn: t.database for t in found}.values():
        here = [t for t in found if t.database.dsn == database.dsn]
        histories = _histories(database, [t.schema for t in here if t.schema])
        for target in here:
            made.setdefault((database.dsn, histories.get(target.schema, target)), []).append(target)
    return tuple(Group(tuple(group)) for group in made.values())


def _histories(database: Database, names: Sequence[str]) -> dict[str, object]:
    if not names:
        return {}
    with connect(database.dsn, client_encoding="UTF8") as conn:
        conn.execute("SET default_transaction_read_only = on; SET lock_timeout = '5s'")
        others = list(adoption.TABLES)
        tables = {n: int(count) for n, count, other in conn.execute(_sql("ledgers").encode(), (others, others, list(names))) if not other}
        made: dict[str, object] = {name: "none" for name, count in tables.items() if count == 0}
        whole = [name for name, count in tables.items() if count == len(home.TABLES)]
        for start in range(0, len(whole), AT_ONCE):
            made |= _history(conn, whole[start : start + AT_ONCE])
    return made


def _history(conn: Connection, names: Sequence[str]) -> dict[str, object]:
    """The histories as numbers; none of them where one cannot be read: then each is looked at by itself, and says why."""
    query = "\nunion all\n".join(home.Home(name).sql(_sql("history")) for name in names)
    try:
        return {name: (version, history) for name, version, history in conn.execute(query.encode(), list(names)).fetchall()}
    except psycopg.Error:
        return {}


def named(found: Sequence[Target], name: str) -> Target:
    """The target with this name. Raises UsageError when there is none."""
    for target in found:
        if target.called(name):
            return target
    raise UsageError(f"{name} is none of the {len(found):,} targets", hint=nearest(name, [t.name for t in found], "{}"))


def _sql(name: str) -> str:
    return queries.load("pgcharter.migrate", "targets.sql")[name]

"""Where the law of plans is tried: databases on which one schema is built, led to another, and read back."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
import pytest

from pgcharter.catalog.compare import describe
from pgcharter.catalog.model import Catalog
from pgcharter.plan import diff
from pgcharter.plan.ddl import Sides, statements
from pgcharter.servers.lifecycle import Server
from pgcharter.sources import live

OWNER = "law_owner"
ROLES = ("law_reader", "Law Writer")
SPACE = "law_space"
"""A tablespace."""
RENAME = "if that is a rename"

_numbers = itertools.count(1)


@dataclass
class Court:
    """A server with the roles of the pairs, on which databases come and go."""

    server: Server
    admin: psycopg.Connection[tuple[object, ...]] = field(init=False)
    free: list[psycopg.Connection[tuple[object, ...]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.admin = psycopg.connect(self.server.dsn(), autocommit=True)
        for role in (OWNER, *ROLES):
            self.admin.execute(f'CREATE ROLE "{role}" {"LOGIN" if role == OWNER else ""}')  # type: ignore[arg-type]
            if role != OWNER:
                self.admin.execute(f'GRANT "{role}" TO {OWNER}')  # type: ignore[arg-type]
        self.admin.execute("SET allow_in_place_tablespaces = on")
        self.admin.execute(f"CREATE TABLESPACE {SPACE} LOCATION ''")  # type: ignore[arg-type]

    def close(self) -> None:
        for conn in self.free:
            self._dropped(conn)
        self.admin.execute(f"DROP TABLESPACE {SPACE}")  # type: ignore[arg-type]
        for role in (*ROLES, OWNER):
            self.admin.execute(f'DROP ROLE "{role}"')  # type: ignore[arg-type]
        self.admin.close()

    @contextmanager
    def database(self, *, superuser: bool = False) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
        """A connection to an empty database, as its owner or as a superuser. The owner's are used again, which is four times as fast."""
        conn = self.free.pop() if self.free and not superuser else self._made(superuser)
        try:
            yield conn
        finally:
            conn.execute("RESET SESSION AUTHORIZATION")
            if superuser:
                self._dropped(conn)
            else:
                conn.execute(f"DROP OWNED BY {OWNER} CASCADE; SET SESSION AUTHORIZATION {OWNER}")
                self.free.append(conn)

    def _made(self, superuser: bool) -> psycopg.Connection[tuple[object, ...]]:
        name = f"law_{next(_numbers)}"
        owner = "" if superuser else f" OWNER {OWNER}"
        self.admin.execute(f"CREATE DATABASE {name} TEMPLATE template0{owner}")  # type: ignore[arg-type]
        conn = psycopg.connect(self.server.dsn(name), autocommit=True)
        if not superuser:
            conn.execute(f"SET SESSION AUTHORIZATION {OWNER}")
        conn.execute("SET check_function_bodies = off; SET client_min_messages = error")
        return conn

    def _dropped(self, conn: psycopg.Connection[tuple[object, ...]]) -> None:
        name = conn.info.dbname
        conn.close()
        self.admin.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


def build(conn: psycopg.Connection[tuple[object, ...]], sql: str) -> Catalog:
    conn.execute(sql.encode())
    return live.read_catalog(conn)


def lead(conn: psycopg.Connection[tuple[object, ...]], a: Catalog, b: Catalog) -> Catalog:
    """Run the operations from `a` to `b` on a database that holds `a`; fails with the statement that PostgreSQL refuses."""
    changes = diff.operations(a, b)
    assert [q for q in changes.questions if RENAME not in q] == []
    done: list[str] = []
    sides = Sides(a, b)
    for operation in changes.operations:
        for statement in statements(operation, sides):
            try:
                conn.execute(statement.encode())
            except psycopg.Error as error:
                told = "\n  ".join(done[-12:])
                pytest.fail(
                    f"{error}\nrefused: {statement}\nof: {operation.change} {operation.object} ({operation.cause})\nafter:\n  {told}"
                )
            done.append(statement)
    found = live.read_catalog(conn)
    rest = [describe(d) for d in diff.differences(found, b)]
    if rest:
        listed = "\n  ".join(rest[:20]), "\n  ".join(done[-20:])
        pytest.fail(f"{len(rest)} differences are left:\n  {listed[0]}\nafter {len(done)} statements:\n  {listed[1]}", pytrace=False)
    return found


def law(court: Court, old: str, new: str, *, superuser: bool = False) -> tuple[Catalog, Catalog]:
    """There and back; the catalogs of both ends."""
    with court.database(superuser=superuser) as one, court.database(superuser=superuser) as other:
        a, b = build(one, old), build(other, new)
        found = lead(one, a, b)
        lead(one, found, a)
        return a, b

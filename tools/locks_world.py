"""The database on which tools/locks.py tries every form: tables of every sort with everything that can stand around a table."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import psycopg
from locks_types import typed_tables

from pgcharter.catalog.model import Catalog
from pgcharter.db import Connection, connect
from pgcharter.names import ObjectId
from pgcharter.servers import binaries, lifecycle
from pgcharter.servers.lifecycle import Server
from pgcharter.sources.live import read_catalog
from pgcharter.sqltext import Statement, parse

HERE = Path(__file__).resolve().parent / "locks"
WORLD = "world"
SETTINGS: dict[str, lifecycle.Setting] = {
    "wal_level": "logical",
    "allow_in_place_tablespaces": True,
    "max_wal_size": "256MB",
    "timezone": "UTC",
}
_KINDS = {"r": "table", "p": "table", "f": "table", "i": "index", "I": "index", "S": "sequence", "v": "view", "m": "materialized view"}


@dataclass(frozen=True)
class World:
    """A server with the database built, and what its catalog says."""

    server: Server
    database: str
    catalog: Catalog
    relations: Mapping[int, ObjectId]
    rows: Mapping[int, int]
    """Rows of each table itself, without its partitions and children."""

    files: Mapping[int, int]
    """The file of each relation that has one."""

    @cached_property
    def named(self) -> Mapping[tuple[str, str], ObjectId]:
        """Relations by schema and name."""
        return {(r.schema, r.name): r for r in self.relations.values()}

    @cached_property
    def copies(self) -> Copies:
        """Copies to try out what cannot be rolled back."""
        return Copies(self)

    @property
    def major(self) -> int:
        """Major version of the server."""
        return self.server.major

    @property
    def seed(self) -> str:
        """Name of the database that copies are made of."""
        return f"{self.database}_seed"

    def drop(self) -> None:
        """Drop its databases."""
        with self.connect("postgres") as admin:
            for name in filter(None, (self.database, self.seed, self.copies.name)):
                admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")  # type: ignore[arg-type]

    def connect(self, database: str = "") -> Connection:
        """A new session in autocommit."""
        return connect(self.server.dsn(database or self.database))


class Copies:
    """One copy of the world at a time, made anew when what was tried on the last one has left a mark on it."""

    _MARKS = """
SELECT md5(string_agg(concat(c.relname, c.relispartition, i.indisvalid, i.indisready, h.inhdetachpending), ',' ORDER BY c.relname))
FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid LEFT JOIN pg_inherits h ON h.inhrelid = c.oid
WHERE c.oid >= 16384 AND c.relkind <> 't' AND c.relnamespace <> 'pg_toast'::regnamespace"""

    def __init__(self, world: World) -> None:
        self.world = world
        self.count = 0
        self.name = ""
        self.mark = ""

    def get(self) -> str:
        """The name of a database like the world's."""
        if not self.name or self._marks(self.name) != self.mark:
            with self.world.connect("postgres") as admin:
                if self.name:
                    admin.execute(f"DROP DATABASE {self.name} WITH (FORCE)")  # type: ignore[arg-type]
                self.count += 1
                self.name = f"copy_{self.count}"
                admin.execute(f"CREATE DATABASE {self.name} TEMPLATE {self.world.seed} STRATEGY file_copy")  # type: ignore[arg-type]
            self.mark = self._marks(self.name)
        return self.name

    def _marks(self, database: str) -> str:
        with self.world.connect(database) as conn:
            conn.execute("DROP INDEX IF EXISTS x")
            row = conn.execute(self._MARKS).fetchone()
            return str(row and row[0])


@contextmanager
def open_world(major: int, script: str | None = None) -> Iterator[World]:
    """Start a server of `major` and build the world on it (or what `script` says instead)."""
    with lifecycle.start_ephemeral(binaries.choose(major), settings=SETTINGS) as server:
        with connect(server.dsn()) as admin:
            admin.execute("CREATE TABLESPACE elsewhere_space LOCATION ''")
        yield build(server, WORLD, script)


def build(server: Server, database: str, script: str | None = None) -> World:
    """Make the database and look at it."""
    with connect(server.dsn()) as admin:
        admin.execute(f"CREATE DATABASE {database} TEMPLATE template0 STRATEGY file_copy")  # type: ignore[arg-type]
    with connect(server.dsn(database)) as conn:
        for sql in [script] if script is not None else world_sql():
            _run(conn, sql)
        conn.execute("ANALYZE")
    with connect(server.dsn()) as admin:
        admin.execute(f"CREATE DATABASE {database}_seed TEMPLATE {database} STRATEGY file_copy")  # type: ignore[arg-type]
    with connect(server.dsn(database)) as conn:
        for sql in typed_tables() if script is None else ():
            _run(conn, sql)
        return look(server, database, conn)


_RELATIONS = """
SELECT c.oid, n.nspname, c.relname, c.relkind::text, pg_relation_filenode(c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN ('r', 'p', 'f', 'i', 'I', 'S', 'v', 'm')"""


def look(server: Server, database: str, conn: Connection) -> World:
    """What stands in the database now."""
    found = conn.execute(_RELATIONS).fetchall()
    relations = {oid: ObjectId(_KINDS[kind], schema, name) for oid, schema, name, kind, _ in found}
    rows = {}
    for oid, _, _, kind, _ in found:
        if kind in ("r", "m"):
            row = conn.execute(f"SELECT count(*) FROM ONLY {relations[oid].sql()}").fetchone()  # type: ignore[arg-type]
            rows[oid] = row[0] if row else 0
    return World(server, database, read_catalog(conn), relations, rows, {r[0]: r[4] for r in found if r[4]})


def _run(conn: Connection, sql: str) -> None:
    if not sql.startswith("?"):
        conn.execute(sql)  # type: ignore[arg-type]
        return
    with suppress(psycopg.Error):
        conn.execute(sql[1:])  # type: ignore[arg-type]


@cache
def toml() -> Mapping[str, Any]:
    """The description of the world."""
    return tomllib.loads((HERE / "world.toml").read_text(encoding="utf-8"))


def contexts() -> tuple[str, ...]:
    """Names of the tables that the forms are tried on."""
    return tuple(f"t_{name}" for name in toml()["context"])


def world_sql() -> Iterator[str]:
    """The statements that build the world, in order."""
    description = toml()
    yield from _lines(description["world"]["before"], "")
    for name, context in description["context"].items():
        table = f"t_{name}"
        yield from _lines(context["make"].replace("{columns}", " ".join(description["columns"].split("\n"))), table)
        if context.get("fill", True):
            yield from _lines(description["fill"], table)
        yield from _lines(description["decoration"], table)
        yield from _lines(description["world"]["candidates"], table)
        yield from _lines(context.get("after", ""), table)


def _lines(text: str, table: str) -> Iterator[str]:
    for piece in text.replace("{t}", table).strip().split(";\n"):
        if piece.strip():
            yield piece.strip().rstrip(";")


def statements() -> Iterator[tuple[str, Statement]]:
    """The statements to try, each with the line it comes from."""
    for file in ("tables.sql", "others.sql"):
        for line in (HERE / file).read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("--"):
                for table in contexts() if "{t}" in line else [""]:
                    yield line, one(line.replace("{t}", table))


def one(sql: str) -> Statement:
    """The only statement of a text. Raises ValueError when it is none or several."""
    parsed = parse(sql, "oracle")
    if len(parsed.statements) != 1 or parsed.errors:
        raise ValueError(f"not one statement: {sql}: {parsed.errors}")
    return parsed.statements[0]

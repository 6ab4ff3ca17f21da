"""The kitchen sink, built once a major version: a database with every kind of object."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from pgcharter.catalog.model import Catalog, Column, Constraint, Function, Index, Table, Trigger, UserType, View
from pgcharter.names import ObjectId
from pgcharter.servers.lifecycle import Server

HERE = Path(__file__).parent
NAME = "kitchen_sink"
ROLES = ("reader", '"Mixed Role"', "owner_of_app")


@dataclass(frozen=True)
class Sink:
    """The catalog with short ways to its parts."""

    major: int
    dsn: str
    catalog: Catalog

    def table(self, name: str, schema: str = "app") -> Table:
        return self.catalog.table[ObjectId("table", schema, name)]

    def column(self, table: str, name: str) -> Column:
        return self.table(table).column[name]

    def constraint(self, table: str, name: str) -> Constraint:
        return next(c for c in self.table(table).constraints if c.name == name)

    def index(self, table: str, name: str) -> Index:
        return next(i for i in self.table(table).indexes if i.name == name)

    def trigger(self, table: str, name: str) -> Trigger:
        return next(t for t in self.table(table).triggers if t.name == name)

    def view(self, name: str) -> View:
        return next(v for v in self.catalog.views if v.name == name)

    def function(self, name: str) -> Function:
        return next(f for f in self.catalog.functions if f.name == name)

    def type(self, name: str) -> UserType:
        return self.catalog.type["app", name]


@contextmanager
def built(server: Server, extras: bool = True) -> Iterator[str]:
    """Build the kitchen sink on `server`; gives its DSN and leaves nothing behind."""
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {NAME} TEMPLATE template0")
        dsn = server.dsn(NAME)
        try:
            with psycopg.connect(dsn, autocommit=True) as conn:
                conn.execute((HERE / "kitchen_sink.sql").read_text("utf-8"))
                conn.execute((HERE / "kitchen_sink_roles.sql").read_text("utf-8"))
                if extras and server.major >= 18:
                    conn.execute((HERE / "kitchen_sink_18.sql").read_text("utf-8"))
            yield dsn
        finally:
            with psycopg.connect(dsn, autocommit=True) as conn:
                conn.execute("DROP SUBSCRIPTION IF EXISTS incoming")
            admin.execute(f"DROP DATABASE {NAME} WITH (FORCE)")
            for role in ROLES:
                admin.execute(f"DROP ROLE IF EXISTS {role}")

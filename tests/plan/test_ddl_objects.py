"""Everything that is no relation: written from one database onto another nothing differs, and what changes is changed in place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from tests.conftest import every_major
from tests.sources import sink

from pgcharter.catalog.compare import compare, describe
from pgcharter.catalog.model import Catalog
from pgcharter.db import connect
from pgcharter.names import ObjectId, quote
from pgcharter.plan import ddl_foreign, ddl_others, ddl_replication, ddl_routines, ddl_schemas, ddl_types
from pgcharter.plan.ddl import Sides, in_place, statements
from pgcharter.plan.ddl_common import kind_of
from pgcharter.plan.model import Operation
from pgcharter.plan.uses import Uses
from pgcharter.servers.lifecycle import Server
from pgcharter.sources import live
from pgcharter.sqltext import parse

OBJECTS = Path(__file__).parent / "objects.sql"
ROLES = ("keeper", "Le 'Sser", "größte")
MODULES = (ddl_foreign, ddl_others, ddl_replication, ddl_routines, ddl_schemas, ddl_types)
KINDS = frozenset(kind for module in MODULES for kind in module.WRITERS)
ServerOf = Callable[[int | None], Server]


def read(dsn: str) -> Catalog:
    with connect(dsn) as conn:
        return live.read_catalog(conn)


@contextmanager
def databases(server: Server, *names: str) -> Iterator[tuple[str, ...]]:
    """Fresh databases on a server that has the roles."""
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        try:
            for role in ROLES:
                admin.execute(f"CREATE ROLE {quote(role)}")
            for name in names:
                admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
            yield tuple(server.dsn(name) for name in names)
        finally:
            for name in names:
                admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            for role in ROLES:
                admin.execute(f"DROP ROLE IF EXISTS {quote(role)}")


def operations(a: Catalog, b: Catalog) -> list[Operation]:
    """What leads from `a` to `b`: one operation for each object of the kinds that are tested here, default privileges first."""
    before, after, fields = Uses(a), Uses(b), dict[ObjectId, tuple[str, ...]]()
    found = []
    for d in compare(a, b, ignore=("position", "default_version")):
        if d.change != "changed":
            found.append(Operation("create" if d.change == "added" else "drop", d.object, d.old, d.new))
        else:
            fields[d.object] = (*fields.get(d.object, ()), d.field)
    found += [Operation("alter", at, before.find(at), after.find(at), names) for at, names in fields.items()]
    mine = [o for o in found if kind_of(o, Sides(a, b)) in KINDS and not getattr(o.new or o.old, "extension", "")]
    return sorted(mine, key=lambda o: o.object.kind != "default privileges")


def run(dsn: str, pieces: Iterable[Iterable[str]]) -> None:
    """Run pieces, each in a transaction, in whatever order works."""
    waiting = [tuple(p) for p in pieces]
    with psycopg.connect(dsn, autocommit=True) as conn:
        while waiting:
            refused, failures = [], []
            for piece in waiting:
                try:
                    with conn.transaction():
                        for statement in piece:
                            conn.execute(statement.encode())
                except psycopg.Error as error:
                    refused.append(piece)
                    failures.append(f"{error.diag.message_primary}: {'; '.join(piece)}")
                finally:
                    conn.execute("RESET ROLE")
            assert len(refused) < len(waiting), "nothing works any more: " + "\n".join(failures)
            waiting = refused


def lines(a: Catalog, b: Catalog) -> list[str]:
    return [describe(d) for d in compare(a, b, ignore=("position", "default_version"))]


def available(dsn: str, text: str) -> str:
    """The text without the extensions and the providers of collations that this server does not have."""
    with psycopg.connect(dsn) as conn:
        there = {row[0] for row in conn.execute("SELECT name FROM pg_available_extensions")}
        if conn.execute("SELECT 1 FROM pg_collation WHERE collname = 'und-x-icu'").fetchone() is None:
            text = re.sub(r"(?m)^.*provider = icu.*$", "", text)
    wanted = {statement.partition("extension ")[2].split()[0].rstrip(";") for statement in re.findall(r"(?m)^create extension .*$", text)}
    missing = "|".join(wanted - there)
    return re.sub(rf"(?m)^.*\bextension ({missing})\b.*$", "", text) if missing else text


def raw(text: str) -> list[tuple[str]]:
    """What stands between `-- raw` and `-- written`."""
    part = text.partition("-- raw\n")[2].partition("-- written\n")[0]
    return [(s.text,) for s in parse(part, "objects.sql").statements]


@every_major
def test_every_object_is_written_back(major: int, server_of: ServerOf) -> None:
    with databases(server_of(major), "ddl_from", "ddl_to") as (one, other):
        text = available(one, OBJECTS.read_text("utf-8"))
        with psycopg.connect(one, autocommit=True) as conn:
            conn.execute(text.encode())
        wanted, empty = read(one), read(other)
        found = operations(empty, wanted)
        run(other, [*raw(text), *(statements(o, Sides(empty, wanted)) for o in found)])
        assert lines(read(other), wanted) == []
        absent = {"attribute", "domain constraint", "database", "security label", "subscription"}
        absent |= set() if "create extension" in text else {"extension"}
        assert {o.object.kind for o in found} == KINDS - absent


RELATIONS = re.compile(
    r"(create (unlogged |materialized |foreign |unique |constraint )?(table|view|index|trigger|rule|policy|sequence)"
    r"|alter table|comment on (table|column app\.(vendors|cheap)|constraint \w+ on app|index|view|trigger|rule|policy|sequence)"
    r"|grant (select|all) |create role|grant reader|alter role)",
    re.IGNORECASE,
)
"""Statements of the kitchen sink about relations, which other modules write."""
BY_HAND = re.compile("create (server|user mapping|subscription)|comment on server|grant usage on foreign server")
REFUSED = {
    "server elsewhere": "server elsewhere should have a user mapping for PUBLIC, whose options may hold a password and are never read",
    "subscription incoming": "subscription incoming should be made, but its connection string may hold a password and is never read",
}


@pytest.mark.parametrize("major", [15, 18], ids=lambda major: f"pg{major}")
def test_the_kitchen_sink_is_written_back(major: int, server_of: ServerOf) -> None:
    server = server_of(major)
    with sink.built(server, extras=False) as one, databases(server, "ddl_sink") as (other,):
        text = (sink.HERE / "kitchen_sink.sql").read_text("utf-8")
        text += (sink.HERE / "kitchen_sink_roles.sql").read_text("utf-8").partition("grant usage on schema")[2].partition(";")[2]
        given = [(s.text,) for s in parse(text, "sink.sql").statements if RELATIONS.match(s.text) or BY_HAND.match(s.text)]
        wanted, empty = read(one), read(other)
        written, refused = [], {}
        for operation in operations(empty, wanted):
            try:
                written.append(statements(operation, Sides(empty, wanted)))
            except ValueError as error:
                refused[str(operation.object)] = str(error).partition("; ")[0]
        assert refused == REFUSED
        try:
            late = [w for w in written if w[0].startswith("ALTER DEFAULT")]
            run(other, [*given, *(w for w in written if w not in late)])
            run(other, late)
            assert lines(read(other), wanted) == []
        finally:
            with psycopg.connect(other, autocommit=True) as conn:
                conn.execute("DROP SUBSCRIPTION IF EXISTS incoming")

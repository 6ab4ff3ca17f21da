"""Writers of DDL one by one: renames, the database itself, extensions, subscriptions, who runs the statements, and what is refused."""

from __future__ import annotations

import contextlib
import random
import re
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from pgcharter.catalog.compare import compare, describe
from pgcharter.catalog.model import (
    HIDDEN,
    Catalog,
    Column,
    Database,
    DataType,
    DefaultPrivilege,
    Extension,
    ForeignServer,
    Function,
    Grant,
    OtherObject,
    Schema,
    SecurityLabel,
    Subscription,
    Table,
    UserType,
)
from pgcharter.db import Connection, connect
from pgcharter.names import ObjectId
from pgcharter.plan.ddl import Sides, in_place, statements
from pgcharter.plan.ddl_common import metadata
from pgcharter.plan.model import Operation
from pgcharter.plan.uses import Uses
from pgcharter.servers.scratch import Scratch
from pgcharter.sources import live

NONE = Sides(Catalog(180000), Catalog(180000))
Admin = psycopg.Connection[tuple[object, ...]]


def altered(old: Any, new: Any, *fields: str, sides: Sides = NONE) -> tuple[str, ...]:
    return statements(Operation("alter", new.id, old, new, fields), sides)


RENAMES = [
    ("schema", "", "CREATE SCHEMA {}"),
    ("type", "app", "CREATE TYPE app.{} AS ENUM ('a')"),
    ("domain", "app", "CREATE DOMAIN app.{} AS integer"),
    ("function", "app", "CREATE FUNCTION app.{}(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'"),
    ("procedure", "app", "CREATE PROCEDURE app.{}(integer) LANGUAGE plpgsql AS 'BEGIN END'"),
    ("aggregate", "app", "CREATE AGGREGATE app.{}(*) (SFUNC = int8inc, STYPE = bigint, INITCOND = '0')"),
    ("collation", "app", "CREATE COLLATION app.{} (PROVIDER = libc, LOCALE = 'C')"),
    ("statistics", "app", "CREATE TABLE app.s (a integer, b integer); CREATE STATISTICS app.{} ON a, b FROM app.s"),
    ("operator family", "app", "CREATE OPERATOR FAMILY app.{} USING btree"),
    ("operator class", "app", "CREATE OPERATOR FAMILY app.f USING btree; CREATE OPERATOR CLASS app.{} FOR TYPE integer USING btree"
     " FAMILY app.f AS OPERATOR 1 <"),
    ("text search configuration", "app", "CREATE TEXT SEARCH CONFIGURATION app.{} (PARSER = pg_catalog.default)"),
    ("text search dictionary", "app", "CREATE TEXT SEARCH DICTIONARY app.{} (TEMPLATE = pg_catalog.simple)"),
    ("text search template", "app", "CREATE TEXT SEARCH TEMPLATE app.{} (LEXIZE = dsimple_lexize)"),
    ("text search parser", "app", "CREATE TEXT SEARCH PARSER app.{} (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end,"
     " LEXTYPES = prsd_lextype)"),
    ("conversion", "app", "CREATE CONVERSION app.{} FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8"),
    ("language", "", "CREATE LANGUAGE {} HANDLER plpgsql_call_handler"),
    ("foreign-data wrapper", "", "CREATE FOREIGN DATA WRAPPER {}"),
    ("server", "", "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER {} FOREIGN DATA WRAPPER w"),
    ("publication", "", "CREATE PUBLICATION {}"),
    ("event trigger", "", "CREATE FUNCTION app.e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
     " CREATE EVENT TRIGGER {} ON sql_drop EXECUTE FUNCTION app.e()"),
]  # fmt: skip
OLD, NEW = 'Old "größe" (x', "n" * 63


@pytest.mark.parametrize(("kind", "schema", "create"), RENAMES, ids=[r[0] for r in RENAMES])
def test_renames(kind: str, schema: str, create: str, conn: Connection) -> None:
    conn.execute("CREATE SCHEMA app")
    conn.execute(create.format('"Old ""größe"" (x"').encode())
    before = live.read_catalog(conn)
    (at,) = [i for i, _ in before.objects() if i.kind == kind and i.schema == schema and i.name.startswith(OLD)]
    renamed = replace(dict(before.objects())[at], name=at.name.replace(OLD, NEW) if kind.startswith("operator") else NEW)  # type: ignore[type-var]
    for statement in statements(Operation("rename", at, dict(before.objects())[at], renamed), Sides(before, before)):
        conn.execute(statement.encode())
    after = {i: item for i, item in live.read_catalog(conn).objects() if i.kind == kind and i.schema == schema}
    assert at not in after
    assert renamed.id in after  # type: ignore[attr-defined]


def test_renames_of_parts_of_types(conn: Connection) -> None:
    conn.execute("CREATE SCHEMA app; CREATE TYPE app.c AS (a integer); CREATE TABLE app.t OF app.c")
    conn.execute("CREATE DOMAIN app.d AS integer CONSTRAINT a CHECK (value > 0)")
    before = live.read_catalog(conn)
    sides = Sides(before, before)
    column, constraint = Column("B b", 1, DataType("integer")), replace(before.type["app", "d"].constraints[0], name="B b")
    for kind, name, new in (("column", "c", column), ("constraint", "d", constraint)):
        for statement in statements(Operation("rename", ObjectId(kind, "app", name, "a"), None, new), sides):
            conn.execute(statement.encode())
    after = live.read_catalog(conn).type
    assert [a.name for a in after["app", "c"].attributes] == ["B b"]
    assert [c.name for c in after["app", "d"].constraints] == ["B b"]


def test_the_database_itself(database: str) -> None:
    """Comment, privileges and settings of the database and of roles in it; its name is the one it has before."""
    with psycopg.connect(database, autocommit=True) as admin:
        name = admin.info.dbname
        admin.execute('CREATE ROLE "a:b=""c"; CREATE ROLE db_owner')
        try:
            with connect(database) as conn:
                empty = live.read_catalog(conn)
                admin.execute(
                    f"""
                    COMMENT ON DATABASE {name} IS 'it''s';
                    ALTER DATABASE {name} OWNER TO db_owner;
                    REVOKE CONNECT ON DATABASE {name} FROM PUBLIC;
                    GRANT CREATE ON DATABASE {name} TO "a:b=""c";
                    ALTER DATABASE {name} SET search_path TO "$user", 'A, "b"', public;
                    ALTER DATABASE {name} SET application_name TO 'a=b: ''c';
                    ALTER DATABASE {name} SET "my.Own" TO '';
                    ALTER ROLE db_owner IN DATABASE {name} SET work_mem TO '5MB';
                """.encode()
                )
                full = live.read_catalog(conn)
                admin.execute(f"ALTER DATABASE {name} SET application_name TO 'x'; ALTER DATABASE {name} SET jit TO off".encode())
                other = live.read_catalog(conn)
                for a, b in ((other, full), (full, empty), (empty, full), (full, other)):
                    lead_database(admin, conn, a, b)
        finally:
            admin.execute('DROP OWNED BY db_owner, "a:b=""c"; ALTER DATABASE ' + name + " OWNER TO current_user")
            admin.execute('DROP ROLE "a:b=""c"; DROP ROLE db_owner')


def lead_database(admin: Admin, conn: Connection, a: Catalog, b: Catalog) -> None:
    found = compare(a, b)
    fields = tuple(d.field for d in found)
    operation = Operation("alter", ObjectId("database", "", ""), a.database, b.database, fields)
    assert {d.object for d in found} == {operation.object}
    for statement in statements(operation, Sides(a, replace(b, database=replace(b.database, name="scratch")))):
        admin.execute(statement.encode())
    assert [describe(d) for d in compare(live.read_catalog(conn), b)] == []


def test_extensions_are_updated_and_moved(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as admin, connect(database) as conn:
        versions = sorted(
            row[0] for row in admin.execute("SELECT version FROM pg_available_extension_versions WHERE name = 'hstore'").fetchall()
        )
        if len(versions) < 2:
            pytest.skip("this server has no two versions of hstore")
        admin.execute(f"CREATE SCHEMA app; CREATE EXTENSION hstore VERSION '{versions[-2]}'".encode())
        (old,) = [e for e in live.read_catalog(conn).extensions if e.name == "hstore"]
        new = replace(old, version=versions[-1], schema="app", comment="")
        for statement in altered(old, new, "version", "schema", "comment"):
            admin.execute(statement.encode())
        assert new in live.read_catalog(conn).extensions


def test_subscriptions_change_but_are_not_made(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as admin, connect(database) as conn:
        admin.execute("CREATE SUBSCRIPTION \"S s\" CONNECTION 'host=/nowhere' PUBLICATION a WITH (connect = false, slot_name = NONE)")
        try:
            before = live.read_catalog(conn)
            (old,) = before.subscriptions
            options = tuple(
                sorted(
                    {o for o in old.options if not o.startswith(("binary", "synchronous"))} | {"binary=true", "synchronous_commit=local"}
                )
            )
            new = replace(old, publications=("B b", "a"), options=options, slot="slot_1", comment="s")
            sides = Sides(before, before)
            for a, b in ((old, new), (new, replace(new, enabled=True)), (replace(new, enabled=True), old)):
                fields = ("publications", "options", "slot", "comment", "enabled")
                for statement in altered(a, b, *(f for f in fields if getattr(a, f) != getattr(b, f)), sides=sides):
                    admin.execute(statement.encode())
                assert live.read_catalog(conn).subscriptions == (b,)
            with pytest.raises(
                ValueError, match=r"connection string .* is never read; make it by hand: CREATE SUBSCRIPTION \"S s\" CONNECTION"
            ):
                statements(Operation("create", old.id, None, old), sides)
        finally:
            admin.execute('ALTER SUBSCRIPTION "S s" DISABLE; ALTER SUBSCRIPTION "S s" SET (slot_name = NONE); DROP SUBSCRIPTION "S s"')


def test_an_ordinary_role_writes_its_own(scratch: Scratch) -> None:
    """Without an owner in the wanted catalog, and with its own name as owner, no statement needs more than the role's own rights."""
    grants = (Grant("", "USAGE", grantor="somebody"), Grant("somebody", "USAGE", grantor="somebody"))
    with scratch.database() as database:
        me = scratch.owner
        for name, owner, acl in (
            ("a", "", grants), ("b", me, None), ("c", me, (Grant(me, "USAGE", grantor=me),)), ("d", "", ()), ("e", "", None),
        ):  # fmt: skip
            wanted = UserType("public", name, "enum", labels=("x",), owner=owner, acl=acl, comment="mine")
            for statement in statements(Operation("create", wanted.id, None, wanted), NONE):
                database.conn.execute(statement.encode())
        found = {t.name: t for t in live.read_catalog(database.conn).types}
        assert {t.owner for t in found.values()} == {me}
        assert {g.grantee for g in found["c"].acl or ()} == {me}
        assert (found["d"].acl, found["e"].acl, found["b"].acl) == ((), None, None)
        assert sorted(g.grantee for g in held(found["a"])) == ["", me]


def held(made: UserType) -> tuple[Grant, ...]:
    return made.acl if made.acl is not None else (Grant("", "USAGE"), Grant(made.owner, "USAGE"))


def test_the_owner_is_written_where_it_is_asked_for() -> None:
    schema = ObjectId("schema", "", "app")
    assert metadata(schema, None, Schema("app")) == []
    assert metadata(schema, None, Schema("app", owner="me")) == ["ALTER SCHEMA app OWNER TO me"]
    assert metadata(schema, Schema("app", owner="you"), Schema("app", owner="me")) == ["ALTER SCHEMA app OWNER TO me"]
    assert metadata(schema, Schema("app", owner="me"), Schema("app")) == []
    assert metadata(schema, None, Schema("app", acl=(Grant("you", "USAGE", grantor="me"),))) == [
        "GRANT USAGE ON SCHEMA app TO you",
        "REVOKE USAGE, CREATE ON SCHEMA app FROM CURRENT_ROLE",
    ]


def test_maintain_is_known_from_17() -> None:
    table = Table("app", "t", owner="me", acl=())
    for major in (16, 17):
        revoked = " ".join(metadata(table.id, None, table, major))
        assert ("MAINTAIN" in revoked) == (major >= 17)


def test_security_labels_are_written_as_postgresql_reads_them(conn: Connection) -> None:
    """No provider is at hand, so PostgreSQL's complaint about that is as far as it goes."""
    far = Table("app", "Far", kind="foreign table")
    sides = Sides(NONE.a, Catalog(180000, tables=(far,)))
    for object_ in (far.id, ObjectId("column", "app", "Far", "a"), ObjectId("aggregate", "app", "hits(*)"), ObjectId("schema", "", "A b")):
        label = SecurityLabel(object_, "no such", "it's")
        (text,) = statements(Operation("create", ObjectId("security label", "app", "x"), None, label), sides)
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="not loaded"), conn.transaction():
            conn.execute(text.encode())
    assert "ON FOREIGN TABLE app.\"Far\" IS" in statements(
        Operation("create", ObjectId("security label", "app", "x"), None, SecurityLabel(far.id, "p", "x")), sides
    )[0]  # fmt: skip
    gone = Operation("drop", ObjectId("security label", "app", "x"), SecurityLabel(ObjectId("schema", "", "app"), "p", "x"))
    assert statements(gone, sides) == ("SECURITY LABEL FOR p ON SCHEMA app IS NULL",)


COMPOSITE = UserType("app", "c", "composite", attributes=(Column("a", 1, DataType("integer")),))
HOLDER = Table("app", "t", columns=(Column("held", 1, DataType("app.c[]", "app", "c", "composite", array=True)),))
CATALOG = Catalog(160000, types=(COMPOSITE,), tables=(HOLDER,), database=Database("here"))
A, B = (Column("a", 1, DataType(sql)) for sql in ("integer", "bigint"))
DATABASE, PARSED = ObjectId("database", "", ""), OtherObject("text search configuration", "app", "c", "PARSER app.p")


def made(new: Any) -> Operation:
    return Operation("create", new.id, None, new)


def changed(old: Any, new: Any, field: str, at: ObjectId | None = None) -> Operation:
    return Operation("alter", at or new.id, old, new, (field,))


REFUSED = [
    ("base type", made(UserType("app", "b", "base", options=("input=f",)))),
    ("canonical function app.f", made(UserType("app", "r", "range", options=("canonical=app.f",)))),
    ("column app.t.held holds", changed(A, B, "type", ObjectId("column", "app", "c", "a"))),
    ("cannot be created or dropped", Operation("drop", DATABASE, Database(), None)),
    ("has encoding 'UTF8' and should have 'LATIN1'", changed(Database(), Database(encoding="LATIN1"), "encoding", DATABASE)),
    ("my.token of database here may be a secret", changed(Database(), Database(settings=(f"my.token={HIDDEN}",)), "settings", DATABASE)),
    ("option password of server s may be a secret", made(ForeignServer("s", "w", options=(f"password={HIDDEN}",)))),
    ('CREATE USER MAPPING FOR "A b" SERVER s', made(ForeignServer("s", "w", users=("A b",)))),
    ("from schema a to b, but it cannot move", changed(Extension("e", schema="a"), Extension("e", schema="b"), "schema")),
    ("parser app.p, which is not PostgreSQL's own", made(PARSED)),
    (
        "two_phase on, which PostgreSQL 16 settles when a subscription is made",
        changed(Subscription("s", options=("two_phase=off",)), Subscription("s", options=("two_phase=on",)), "options"),
    ),
    ("belongs to an extension", made(Function("app", "f", "", extension="e"))),
]


@pytest.mark.parametrize(("sentence", "operation"), REFUSED, ids=[r[0] for r in REFUSED])
def test_what_cannot_be_written_is_refused_with_a_reason(sentence: str, operation: Operation) -> None:
    sides = Sides(CATALOG, CATALOG)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        statements(operation, sides)
    if operation.change == "alter":
        with pytest.raises(ValueError, match=re.escape(sentence)):
            in_place(operation, sides)


def test_a_role_with_defaults_of_its_own_gives_a_function_what_is_wanted(conn: Connection) -> None:
    """Whatever ALTER DEFAULT PRIVILEGES does to new objects, they end with PostgreSQL's default where that is wanted."""
    conn.execute("CREATE SCHEMA app; CREATE ROLE someone; ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
    conn.execute("ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT EXECUTE ON FUNCTIONS TO someone WITH GRANT OPTION")
    before = live.read_catalog(conn)
    assert [type(p) for p in before.default_privileges] == [DefaultPrivilege] * 2
    plain = Function("app", "f", "", definition="CREATE OR REPLACE FUNCTION app.f() RETURNS integer LANGUAGE sql AS 'SELECT 1'")
    for statement in statements(Operation("create", plain.id, None, plain), Sides(before, before)):
        conn.execute(statement.encode())
    (made,) = live.read_catalog(conn).functions
    assert sorted((g.grantee, g.grantable) for g in made.acl or ()) == [("", False), (made.owner, False)]


GRANTEES = ("r1", "r2", "r3", '"R 4"')


def grants(rng: random.Random) -> list[tuple[str, str]]:
    """Who says what: grants and revocations by owners and others, and a new owner now and then."""
    found = []
    for _ in range(rng.randint(4, 40)):
        who, grantee = rng.choice(("r1", "r1", *GRANTEES)), rng.choice((*GRANTEES, "public"))
        what = rng.choice(("execute on function app.f()", *(f"{p} on app.t" for p in ("select", "insert", "all"))))
        if rng.random() < 0.06:
            found.append(("postgres", f"alter table app.t owner to {who}; alter function app.f() owner to {who}"))
        elif rng.random() < 0.6:
            found.append((who, f"grant {what} to {grantee}{' with grant option' * (grantee != 'public' and rng.random() < 0.5)}"))
        else:
            option = "grant option for " * (rng.random() < 0.3)
            found.append((who, f"revoke {option}{what} from {grantee}{' cascade' * (rng.random() < 0.5)}"))
    return found


def with_grants(conn: Connection, said: list[tuple[str, str]]) -> Catalog:
    """A schema with a table and a function on which all was said that PostgreSQL allows."""
    conn.execute("drop schema if exists app cascade; create schema app; grant all on schema app to public; create table app.t (a integer)")
    conn.execute("create function app.f() returns integer language sql as 'select 1'")
    conn.execute("alter table app.t owner to r1; alter function app.f() owner to r1")
    for who, text in said:
        with contextlib.suppress(psycopg.Error), conn.transaction():
            conn.execute(f"{'reset role' if who == 'postgres' else f'set role {who}'}; {text}".encode())
        conn.execute("reset role")
    return live.read_catalog(conn)


@pytest.mark.parametrize("seed", [3062, *range(8)])
def test_whoever_granted_what_is_led_to_any_other_state(seed: int, conn: Connection) -> None:
    """The last to grant may hold the option by several ways, of which some go and others come."""
    rng = random.Random(seed)
    for role in GRANTEES:
        conn.execute(f"create role {role}".encode())
    wanted, there = with_grants(conn, grants(rng)), with_grants(conn, grants(rng))
    before, after = Uses(there), Uses(wanted)
    fields: dict[ObjectId, tuple[str, ...]] = {}
    for d in compare(there, wanted):
        fields[d.object] = (*fields.get(d.object, ()), d.field)
    for at, names in fields.items():
        for statement in statements(Operation("alter", at, before.find(at), after.find(at), names), Sides(there, wanted)):
            conn.execute(statement.encode())
    assert [describe(d) for d in compare(live.read_catalog(conn), wanted)] == []

"""Everything that is no relation: written from one database onto another nothing differs, and what changes is changed in place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from tests.conftest import MAJORS, every_major
from tests.sources import sink

from pgcharter.catalog.compare import compare, describe
from pgcharter.catalog.model import Catalog
from pgcharter.db import connect
from pgcharter.names import ObjectId, quote
from pgcharter.plan import ddl_foreign, ddl_others, ddl_replication, ddl_routines, ddl_schemas, ddl_types
from pgcharter.plan.ddl import METADATA, Sides, in_place, statements
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
    """What leads from `a` to `b`: one operation for each object of the kinds that are tested here, and for comments, owners and privileges
    of relations. Default privileges come as early as can be, for they change what all others begin with."""
    before, after, fields = Uses(a), Uses(b), dict[ObjectId, tuple[str, ...]]()
    found = []
    for d in compare(a, b, ignore=("position", "default_version", "default_comment")):
        if d.change != "changed":
            found.append(Operation("create" if d.change == "added" else "drop", d.object, d.old, d.new))
        else:
            fields[d.object] = (*fields.get(d.object, ()), d.field)
    found += [Operation("alter", at, before.find(at), after.find(at), names) for at, names in fields.items()]
    mine = [o for o in found if kind_of(o, Sides(a, b)) in KINDS or (o.fields and METADATA.issuperset(o.fields))]
    early = ("schema", "default privileges")
    return sorted(
        (o for o in mine if not getattr(o.new or o.old, "extension", "")),
        key=lambda o: (o.object.kind not in early, bool(o.object.schema), o.object.kind == "schema"),
    )


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
    """What differs, without the places of columns and what belongs to extensions."""
    found, known = compare(a, b, ignore=("position", "default_version", "default_comment")), Uses(a)
    return [describe(d) for d in found if not getattr(known.find(d.object), "extension", "")]


def available(dsn: str, text: str) -> str:
    """The text without the extensions, providers of collations and newer features that this server does not have."""
    with psycopg.connect(dsn) as conn:
        there = {row[0] for row in conn.execute("SELECT name FROM pg_available_extensions")}
        if conn.execute("SELECT 1 FROM pg_collation WHERE collname = 'und-x-icu'").fetchone() is None:
            text = re.sub(r"(?m)^.*provider = icu.*$", "", text)
        lacking = "|".join(str(since) for since in MAJORS if since > conn.info.server_version // 10000)
    text = re.sub(rf"(?m)^.*-- since ({lacking})$", "", text) if lacking else text
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
        absent = {"attribute", "domain constraint", "database", "label", "security label", "subscription"}
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


@pytest.mark.parametrize("major", [18], ids=lambda major: f"pg{major}")
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


ALTERATIONS = Path(__file__).parent / "alterations.sql"
HEAD = re.compile(r"(?m)^-- (\w+): (in place|anew|refused), (in place|anew|refused)$")


def blocks() -> dict[str, tuple[tuple[str, str], str, str]]:
    """Name → how forth and back, SQL of the old side, SQL of the new side."""
    _, *pieces = HEAD.split(ALTERATIONS.read_text("utf-8"))
    found = {}
    for name, forth, back, text in zip(pieces[::4], pieces[1::4], pieces[2::4], pieces[3::4], strict=True):
        both, _, rest = text.partition("-- old\n")
        old, _, new = rest.partition("-- new\n")
        found[name] = (forth, back), both + old, both + new
    return found


def manner(operation: Operation, sides: Sides) -> str:
    """How an operation can be done."""
    if operation.change != "alter":
        return "in place"
    try:
        statements(operation, sides)
    except ValueError:
        return "refused"
    except LookupError:
        assert not in_place(operation, sides)
        return "anew"
    assert in_place(operation, sides)
    return "in place"


def written(operation: Operation, sides: Sides) -> tuple[str, ...]:
    if manner(operation, sides) == "in place":
        return statements(operation, sides)
    gone, come = (Operation(c, operation.object, operation.old, operation.new) for c in ("drop", "create"))
    return *statements(gone, sides), *statements(come, sides)


def block_of(operation: Operation, names: list[str]) -> str:
    at = operation.object
    return max(
        (n for n in names if n == at.schema or at.name.startswith(n)),
        key=len,
        default="c_everywhere" if at.kind == "default privileges" else str(at),
    )


def lead(dsn: str, a: Catalog, b: Catalog, manners: dict[str, str]) -> None:
    """Lead the database from `a` to `b`; every block must go in its manner."""
    found = operations(a, b)
    seen: dict[str, set[str]] = {}
    for operation in found:
        seen.setdefault(block_of(operation, list(manners)), set()).add(manner(operation, Sides(a, b)))
    strange = {n: s for n, s in seen.items() if s != {manners.get(n)}}
    assert strange == {}
    assert seen.keys() == manners.keys()
    run(dsn, [written(o, Sides(a, b)) for o in found if manners[block_of(o, list(manners))] != "refused"])


@pytest.mark.parametrize("major", [15, 17, 18], ids=lambda major: f"pg{major}")
def test_what_changes_is_changed(major: int, server_of: ServerOf) -> None:
    """From old to new and back; what is refused stays and is all that differs."""
    cases = blocks()
    with databases(server_of(major), "ddl_old", "ddl_new") as dsns:
        for dsn, side in zip(dsns, (1, 2), strict=True):
            with psycopg.connect(dsn, autocommit=True) as conn:
                for case in cases.values():
                    conn.execute(case[side].encode())
        old, new = map(read, dsns)
        lead(dsns[0], old, new, {name: case[0][0] for name, case in cases.items()})
        refused = [name for name, case in cases.items() if "refused" in case[0]]
        there = read(dsns[0])
        assert [line for line in lines(there, new) if not any(name in line for name in refused)] == []
        lead(dsns[0], there, old, {name: case[0][1] for name, case in cases.items() if name not in refused} | {"c_mapping": "refused"})
        assert [line for line in lines(read(dsns[0]), old) if not any(name in line for name in refused)] == []


ANY, SET = 'variadic "any"', "sfunc = ordered_set_transition_multi, stype = internal"
PAIRS = [
    ("function f(a integer, out b integer) language sql as 'select 1'", "function f(a integer, out c integer) language sql as 'select 1'"),
    ("function f(a integer, out b integer) language sql as 'select 1'", "function f(a integer) returns integer language sql as 'select 1'"),
    ("function f(inout a integer) language sql as 'select 1'", "function f(a integer) returns integer language sql as 'select 1'"),
    ("function f(inout a integer) language sql as 'select 1'", "function f(inout b integer) language sql as 'select 1'"),
    (
        "function f(out a integer, out b text) language sql as $$ select 1, 'x' $$",
        "function f(out a integer, out b integer) language sql as 'select 1, 2'",
    ),
    (
        "function f(out a integer, out b text) returns setof record language sql as $$ select 1, 'x' $$",
        "function f() returns table (a integer, b text) language sql as $$ select 1, 'x' $$",
    ),
    (
        "function f(out a integer) returns setof integer language sql as 'select 1'",
        "function f() returns table (a integer) language sql as 'select 1'",
    ),
    (
        "function f() returns table (a integer) language sql as 'select 1'",
        "function f() returns table (b integer) language sql as 'select 1'",
    ),
    ("function f() returns table (a integer) language sql as 'select 1'", "function f() returns setof integer language sql as 'select 1'"),
    (
        "function f(variadic a integer[]) returns integer language sql as 'select 1'",
        "function f(a integer[]) returns integer language sql as 'select 1'",
    ),
    (
        "function f(a integer[]) returns integer language sql as 'select 1'",
        "function f(variadic a integer[]) returns integer language sql as 'select 1'",
    ),
    (
        "function f(a integer, b integer default 1) returns integer language sql as 'select 1'",
        "function f(a integer, b integer) returns integer language sql as 'select 1'",
    ),
    (
        "function f(a integer, b integer default 1) returns integer language sql as 'select 1'",
        "function f(a integer default 2, b integer default 3) returns integer language sql as 'select 1'",
    ),
    (
        "function f(a anyelement default 1) returns integer language sql as 'select 1'",
        "function f(a anyelement default 'x'::text) returns integer language sql as 'select 1'",
    ),
    ("function f(a integer) returns integer language sql as 'select 1'", "function f(integer) returns integer language sql as 'select 1'"),
    ("function f(integer) returns integer language sql as 'select 1'", "function f(b integer) returns integer language sql as 'select 1'"),
    (
        "function f() returns bigint language internal strict as 'window_row_number'",
        "function f() returns bigint language internal window strict as 'window_row_number'",
    ),
    ("procedure f(out a integer) language plpgsql as 'begin end'", "procedure f(out b integer) language plpgsql as 'begin end'"),
    ("procedure f(out a integer) language plpgsql as 'begin end'", "procedure f() language plpgsql as 'begin end'"),
    (
        "procedure f(out a integer, out b text) language plpgsql as 'begin end'",
        "procedure f(out a integer, out c text) language plpgsql as 'begin end'",
    ),
    ("procedure f(inout a integer) language plpgsql as 'begin end'", "procedure f(a integer) language plpgsql as 'begin end'"),
    ("aggregate f(a integer) (sfunc = int4pl, stype = integer)", "aggregate f(b integer) (sfunc = int4pl, stype = integer)"),
    ("aggregate f(integer) (sfunc = int4pl, stype = integer)", "aggregate f(b integer) (sfunc = int4pl, stype = integer, parallel = safe)"),
    (
        "aggregate f(integer) (sfunc = int4_avg_accum, stype = bigint[], initcond = '{0,0}')",
        "aggregate f(integer) (sfunc = int4_avg_accum, stype = bigint[], finalfunc = int8_avg, initcond = '{0,0}')",
    ),
    (
        "aggregate f(integer) (sfunc = int4_sum, stype = bigint)",
        "aggregate f(integer) (sfunc = int4_sum, stype = bigint, sspace = 8, initcond = '1')",
    ),
    (
        "aggregate f(integer, integer order by integer) (sfunc = public.two, stype = integer)",
        "aggregate f(integer order by integer, integer) (sfunc = public.three, stype = integer)",
    ),
    (
        f"aggregate f({ANY} order by {ANY}) ({SET}, finalfunc = rank_final, finalfunc_extra, hypothetical)",
        f"aggregate f({ANY} order by {ANY}) ({SET}, finalfunc = dense_rank_final, finalfunc_extra, hypothetical)",
    ),
]


@pytest.mark.parametrize("major", [18], ids=lambda major: f"pg{major}")
def test_postgresql_says_what_can_be_replaced(major: int, conn: psycopg.Connection[tuple[object, ...]]) -> None:
    """Every pair in both directions, each in a schema of its own."""
    texts = [(f"{'r' * back}{n}", pair[back], pair[1 - back]) for n, pair in enumerate(PAIRS) for back in (0, 1)]
    conn.execute("CREATE FUNCTION public.two(integer, integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'")
    conn.execute("CREATE FUNCTION public.three(integer, integer, integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'")
    catalogs = []
    for new in (False, True):
        for name, *pair in texts:
            kind, _, rest = pair[new].partition(" ")
            conn.execute(f"DROP SCHEMA IF EXISTS s_{name} CASCADE; CREATE SCHEMA s_{name}; CREATE {kind} s_{name}.{rest}".encode())
        catalogs.append({f.schema: f for f in live.read_catalog(conn).functions})
    for name, old, new in texts:
        kind, _, rest = new.partition(" ")
        was, will = (c[f"s_{name}"] for c in catalogs)
        was_kind, _, was_rest = old.partition(" ")
        conn.execute(f"DROP SCHEMA s_{name} CASCADE; CREATE SCHEMA s_{name}; CREATE {was_kind} s_{name}.{was_rest}".encode())
        try:
            with conn.transaction():
                conn.execute(f"CREATE OR REPLACE {kind} s_{name}.{rest}".encode())
            taken = "taken"
        except psycopg.Error as error:
            taken = str(error.diag.message_primary)
        assert (name, old, new, taken == "taken" and was.id == will.id) == (name, old, new, ddl_routines.replaceable(was, will)), taken

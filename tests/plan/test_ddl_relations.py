"""Relations written by the DDL writer: what is written back is what was read, and every alteration leads to what was wanted."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.conftest import every_major
from tests.sources import sink

from pgcharter.catalog.compare import compare, describe
from pgcharter.catalog.model import Catalog, Constraint, Index, Table, Trigger, View
from pgcharter.db import connect
from pgcharter.names import ObjectId, quote
from pgcharter.plan import casts
from pgcharter.plan.ddl import Sides, in_place, statements
from pgcharter.plan.model import Operation
from pgcharter.servers.lifecycle import Server
from pgcharter.sources import live

HERE = Path(__file__).parent
KINDS = frozenset(("table", "column", "constraint", "index", "trigger", "policy", "rule", "view", "materialized view", "sequence"))
ServerOf = Callable[[int | None], Server]
_numbers = itertools.count(1)


@contextmanager
def fresh(server: Server, *sql: str) -> Iterator[str]:
    """The DSN of a database in which `sql` was run."""
    name = f"ddl_relations_{next(_numbers)}"
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")  # type: ignore[arg-type]
        try:
            with psycopg.connect(server.dsn(name), autocommit=True) as conn:
                for text in sql:
                    conn.execute(text.encode())
            yield server.dsn(name)
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


def read(dsn: str) -> Catalog:
    with connect(dsn) as conn:
        return live.read_catalog(conn)


def run(dsn: str, texts: list[str]) -> None:
    """Run statements one by one, with nothing in the search path."""
    with psycopg.connect(dsn, autocommit=True, options="-c search_path= -c client_min_messages=error") as conn:
        for text in texts:
            try:
                conn.execute(text.encode())
            except psycopg.Error as error:
                pytest.fail(f"{error}\n{text}")


def creations(catalog: Catalog) -> Iterator[Operation]:
    """Every relation and part as an operation, in a workable order."""
    for sequence in (s for s in catalog.sequences if not s.identity):
        yield Operation("create", sequence.id, new=sequence)
    whole: tuple[Table | View, ...] = (*parents_first(catalog), *readable(catalog))
    for relation in whole:
        yield Operation("create", relation.id, new=relation)
    parts = [Operation("create", address, new=part) for relation in whole for address, part in later(relation)]
    yield from sorted(parts, key=lambda o: getattr(o.new, "kind", "") == "foreign key")


def later(relation: Table | View) -> Iterator[tuple[ObjectId, Any]]:
    """Parts that are created by themselves."""
    yield from ((i.id, i) for i in relation.indexes)
    yield from ((relation.part("rule", r.name), r) for r in relation.rules)
    yield from ((relation.part("trigger", t.name), t) for t in relation.triggers)
    if isinstance(relation, Table):
        yield from ((relation.part("constraint", c.name), c) for c in relation.foreign_keys if not c.inherited)
        yield from ((relation.part("policy", p.name), p) for p in relation.policies)


def parents_first(catalog: Catalog) -> Iterator[Table]:
    done: set[ObjectId] = set()
    while len(done) < len(catalog.tables):
        for table in catalog.tables:
            if table.id not in done and done.issuperset(table.parents):
                done.add(table.id)
                yield table


def readable(catalog: Catalog) -> Iterator[View]:
    """Views, each after those it reads."""
    needs = {v.id: {d.referenced for d in catalog.dependencies if d.dependent == v.id} for v in catalog.views}
    whole = {(v.schema, v.name): v.id for v in catalog.views}
    done: set[ObjectId] = set()
    while len(done) < len(catalog.views):
        for view in catalog.views:
            wanted = {whole[n.schema, n.name] for n in needs[view.id] if (n.schema, n.name) in whole} - {view.id}
            if view.id not in done and wanted <= done:
                done.add(view.id)
                yield view


def difference(a: Catalog, b: Catalog, *, ignore: tuple[str, ...] = ()) -> list[str]:
    return [describe(d) for d in compare(a, b, ignore=ignore) if d.object.kind in KINDS]


def written(wanted: Catalog, empty: Catalog) -> list[str]:
    sides = Sides(empty, wanted)
    return [text for operation in creations(wanted) for text in statements(operation, sides)]


def definitions(major: int) -> tuple[str, str]:
    """What relations need, and the relations."""
    need, _, rest = (HERE / "ddl_relations.sql").read_text("utf-8").partition("-- =====")
    older, _, newest = rest.partition("-- 18 =====")
    return need + "create extension btree_gist schema public;" * (major >= 18), older + newest * (major >= 18)


@every_major
def test_what_is_written_is_what_was_read(server_of: ServerOf, major: int) -> None:
    server = server_of(major)
    need, relations = definitions(major)
    with fresh(server, need, relations) as first, fresh(server, need) as second:
        wanted = read(first)
        run(second, written(wanted, read(second)))
        assert difference(read(second), wanted) == []


@every_major
def test_the_kitchen_sink_is_written_back(server_of: ServerOf, major: int) -> None:
    server = server_of(major)
    text = (sink.HERE / "kitchen_sink.sql").read_text("utf-8")
    types, _, sequences = text.partition("-- tables")[0].partition("-- sequences")
    need = (
        types
        + sequences.partition("-- functions")[2]
        + "create foreign data wrapper wrapper; create server elsewhere foreign data wrapper wrapper;"
    )
    need += "create extension btree_gist schema public;" * (major >= 18)
    with sink.built(server) as first, fresh(server, need) as second:
        wanted = read(first)
        run(second, written(wanted, read(second)))
        assert difference(read(second), wanted) == []


@dataclass(frozen=True)
class Case:
    """A pair of definitions."""

    name: str
    old: str
    new: str
    since: int
    one_way: bool


def cases(major: int) -> list[Case]:
    _, *texts = (HERE / "ddl_changes.sql").read_text("utf-8").split("-- case: ")
    found = []
    for text in texts:
        head, _, body = text.partition("\n")
        old, _, new = body.partition("-- to\n")
        marks = re.fullmatch(r"(?P<name>.+?)(?: since (?P<since>\d+))?(?P<one> one way)?", head)
        assert marks, head
        found.append(Case(marks["name"], old, new, int(marks["since"] or 15), bool(marks["one"])))
    return [case for case in found if case.since <= major]


NEED = """
create access method heap2 type table handler heap_tableam_handler;
create foreign data wrapper wrapper;
create server elsewhere foreign data wrapper wrapper;
"""


def in_schemas(chosen: list[Case], side: str) -> str:
    each = (f"create schema {quote(c.name)};\nset search_path = {quote(c.name)};\n{getattr(c, side)}" for c in chosen)
    return NEED + "\n".join(each)


_FIRST = ("sequence", "table", "column")
"""Kinds that are made first, in this order; then come alterations; they are dropped last of all."""
_THEN = ("view", "materialized view", "constraint", "index", "foreign key", "rule", "trigger", "policy")
"""What is made then, in this order; it is dropped before everything else."""


def rank(operation: Operation, turns: Mapping[ObjectId, int]) -> tuple[int, int, int]:
    """A workable order."""
    part = operation.new if operation.new is not None else operation.old
    kind = "foreign key" if getattr(part, "kind", "") == "foreign key" else operation.object.kind
    turn = turns.get(operation.object, getattr(part, "position", -(getattr(part, "kind", "") == "not null")))
    if kind in _FIRST:
        place = _FIRST.index(kind)
        return {"drop": (3, -place, -turn), "create": (1, place, turn), "alter": (2, (place - 1) % 3, turn)}[operation.change]
    if operation.change == "rename":
        return (2, 3, 0) if operation.old.inherited else (1, 3, 0)
    place = _THEN.index(kind)
    return (0, -place, -turn) if operation.change == "drop" else (4, place, turn)


def changes(a: Catalog, b: Catalog) -> list[Operation]:
    """The differences as operations; what cannot be altered in place is dropped and made anew."""
    before, after, fields = dict(a.objects()), dict(b.objects()), dict[ObjectId, list[str]]()
    found: dict[tuple[str, ObjectId], Operation] = {}

    def add(*operations: Operation) -> None:
        found.update({(o.change, o.object): o for o in operations})

    for d in compare(a, b, ignore=("position",)):
        if d.change == "changed":
            fields.setdefault(d.object, []).append(d.field)
        elif d.change == "added":
            add(*made(d.object, d.new))
        else:
            add(Operation("drop", d.object, old=d.old))
    for address, names in fields.items():
        operation = Operation("alter", address, before[address], after[address], tuple(names))
        if in_place(operation, Sides(a, b)):
            add(operation)
        else:
            assert address.kind not in ("table", "column"), f"{address} would lose its rows: {names}"
            add(Operation("drop", address, old=before[address]), *made(address, after[address]))
    renamed = not_null_renames(found)
    anew = [before[x] for change, x in found if change == "drop" and ("create", x) in found]
    gone = {address for view in anew if isinstance(view, View) for address, _ in later(view)}
    kept = [o for (change, x), o in found.items() if x.kind in KINDS and not (x in gone and change != "create") and not follows(o)]
    created = {o.object: turn for turn, o in enumerate(creations(b))}
    dropped = {o.object: turn for turn, o in enumerate(creations(a))}
    return sorted([*kept, *renamed], key=lambda o: rank(o, dropped if o.change == "drop" else created))


def not_null_renames(found: dict[tuple[str, ObjectId], Operation]) -> list[Operation]:
    """NOT NULL constraints that go while another comes on the same column: renamed, and taken out of what is found."""
    made = {(x.schema, x.name, o.new.columns): o for (change, x), o in found.items() if change == "create" and is_not_null(o.new)}
    renamed = []
    for (change, x), o in list(found.items()):
        other = made.get((x.schema, x.name, o.old.columns)) if change == "drop" and is_not_null(o.old) else None
        if other is not None and other.new.validated == o.old.validated and other.new.no_inherit == o.old.no_inherit:
            renamed.append(Operation("rename", x, o.old, other.new, ("name",)))
            del found["drop", x], found["create", other.object]
    return renamed


def is_not_null(part: Any) -> bool:
    return isinstance(part, Constraint) and part.kind == "not null"


def follows(operation: Operation) -> bool:
    """Whether the object comes and goes with another one: what is handed down, the index of a constraint, an identity's sequence."""
    part = operation.new if operation.new is not None else operation.old
    if operation.change == "alter":
        return False
    if isinstance(part, Index):
        return bool(part.constraint)
    clone = isinstance(part, Trigger) and part.parent
    return clone or getattr(part, "inherited", False) is True or getattr(part, "identity", False) is True


def made(address: ObjectId, new: Any) -> Iterator[Operation]:
    yield Operation("create", address, new=new)
    if isinstance(new, Table | View):
        yield from (Operation("create", part, new=value) for part, value in later(new))


def altered(dsn: str, wanted: Catalog) -> None:
    """Bring the database to `wanted`, and see that it is there."""
    actual = read(dsn)
    operations = changes(actual, wanted)
    assert operations
    run(dsn, [text for operation in operations for text in statements(operation, Sides(actual, wanted))])
    assert difference(read(dsn), wanted, ignore=("position",)) == []


@every_major
def test_every_change_leads_to_what_was_wanted_and_back(server_of: ServerOf, major: int) -> None:
    server, chosen = server_of(major), cases(major)
    both = [replace(case, old=case.new) if case.one_way else case for case in chosen]
    with (
        fresh(server, in_schemas(chosen, "old")) as database,
        fresh(server, in_schemas(chosen, "new")) as new,
        fresh(server, in_schemas(both, "old")) as way_back,
    ):
        altered(database, read(new))
        altered(database, read(way_back))


NAMED = """
create table t (a integer constraint nn not null, b integer constraint k check (b > 0), constraint pk primary key (a));
create index i on t (b);
create function touch() returns trigger language plpgsql as 'begin return new; end';
create trigger tr before insert on t for each row execute function touch();
create policy p on t;
create rule r as on delete to t do nothing;
create view v as select a from t;
create materialized view m as select a from t;
create sequence s;
create table parted (a integer, b integer, constraint pk2 primary key (a), constraint k2 check (b > 0)) partition by list (a);
create table part partition of parted default;
create trigger tr2 after insert on parted for each row execute function touch();
create foreign data wrapper w;
create server elsewhere foreign data wrapper w;
create foreign table f (a integer) server elsewhere;
"""
RENAMES = (
    ("column", "t", "b"), ("constraint", "t", "k"), ("constraint", "t", "pk"), ("index", "i", ""), ("trigger", "t", "tr"),
    ("policy", "t", "p"), ("rule", "t", "r"), ("column", "v", "a"), ("column", "m", "a"), ("view", "v", ""),
    ("materialized view", "m", ""), ("sequence", "s", ""),
    ("column", "parted", "b"), ("column", "part", "b"), ("constraint", "parted", "k2"), ("constraint", "part", "k2"),
    ("trigger", "parted", "tr2"), ("trigger", "part", "tr2"), ("constraint", "parted", "pk2"), ("index", "pk", ""),
    ("column", "f", "a"), ("table", "f", ""), ("table", "t", ""), ("table", "parted", ""),
)  # fmt: skip


def test_everything_can_be_renamed(server_of: ServerOf) -> None:
    new = 'Neu "x"'
    with fresh(server_of(None), NAMED) as database:
        before = read(database)
        objects, sides = dict(before.objects()), Sides(before, before)
        renames = [(ObjectId(kind, "public", name, part), objects[ObjectId(kind, "public", name, part)]) for kind, name, part in RENAMES]
        changes = [Operation("rename", at, old, replace(old, name=f"{new}{n}"), ("name",)) for n, (at, old) in enumerate(renames)]
        run(database, [text for operation in changes for text in statements(operation, sides)])
        known = {(address.kind, address.part or address.name) for address, _ in read(database).objects()}
    assert {(at.kind, f"{new}{n}") for n, (at, _) in enumerate(renames)} - known == {
        (at.kind, f"{new}{n}") for n, (at, _) in enumerate(renames) if at.name == "part" or (at.kind, at.name) == ("index", "pk")
    }


def test_numbers_go_on_where_they_were(server_of: ServerOf) -> None:
    serial = (
        "create table t (id serial, n integer not null); create sequence s owned by t.n; alter table t alter n set default nextval('s');"
    )
    identity = "create table t (id integer generated always as identity, n integer generated always as identity);"
    with fresh(server_of(None), serial) as database, fresh(server_of(None), identity) as new, psycopg.connect(database) as conn:
        conn.autocommit = True
        was = read(database)
        conn.execute("insert into t values (default, default), (default, default)")
        altered(database, read(new))
        conn.execute("insert into t values (default, default)")
        altered(database, was)
        conn.execute("insert into t values (default, default)")
        assert conn.execute("select id, n from t").fetchall() == [(n, n) for n in (1, 2, 3, 4)]


def test_rows_outlive_a_type_change(server_of: ServerOf) -> None:
    with fresh(server_of(None), "create table t (a text default '7', b varchar(9))") as database, psycopg.connect(database) as conn:
        conn.execute("insert into t values ('5', 'longer')")
        conn.commit()
        with fresh(server_of(None), "create table t (a integer default 7, b text)") as new:
            altered(database, read(new))
        assert conn.execute("select a, b from t").fetchall() == [(5, "longer")]
        conn.commit()
        with (
            fresh(server_of(None), "create table t (a integer default 7, b varchar(3))") as new,
            pytest.raises(pytest.fail.Exception) as said,
        ):
            altered(database, read(new))
    assert "value too long" in str(said.value)


def test_tablespaces(server_of: ServerOf) -> None:
    server, spaces = server_of(None), ("ddl_one", 'ddl "Two"')
    sql = """
        create table t (a integer, b integer, constraint pk primary key (a) with (fillfactor = 70) using index tablespace {0},
          constraint x exclude using btree (b with =) using index tablespace {0} where (b > 0)) tablespace {1};
        create index i on t (b) tablespace {0} where b > 1;
        create materialized view m tablespace {0} as select a from t;
        create table p (a integer primary key using index tablespace {1}) partition by list (a) tablespace {1};
        create table one partition of p for values in (1) tablespace {0};
        create table two partition of p for values in (2);
        create table three (a integer primary key);
        alter table p attach partition three default;
    """
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute("set allow_in_place_tablespaces = on")
        for space in spaces:
            admin.execute(f"create tablespace {quote(space)} location ''".encode())
        one, two = (quote(space) for space in spaces)
        try:
            with fresh(server, sql.format(one, two)) as first, fresh(server, sql.format(two, one)) as other, fresh(server) as empty:
                wanted = read(first)
                run(empty, written(wanted, read(empty)))
                assert difference(read(empty), wanted) == []
                altered(empty, read(other))
        finally:
            for space in spaces:
                admin.execute(f"drop tablespace {quote(space)}".encode())


NOT_IN_PLACE = (
    ("table", "create table x (a integer)", "create table x (a integer) partition by list (a)"),
    ("table", "create table x (a integer) partition by list (a)", "create table x (a integer) partition by range (a)"),
    ("column x", "create table x (x integer, b integer)", "create table x (x integer generated always as (b) stored, b integer)"),
    ("view", "create view x as select 1 as a, 2 as b", "create view x as select 1 as a"),
    ("view", "create view x as select 1 as a", "create view x as select 'a' as a"),
    ("materialized view", "create materialized view x as select 1 as a", "create materialized view x as select 2 as a"),
    ("policy x", "create table x (a int); create policy x on x", "create table x (a int); create policy x on x for select"),
    ("policy x", "create table x (a int); create policy x on x using (true)", "create table x (a int); create policy x on x"),
    ("constraint k", "create table x (a int constraint k unique)", "create table x (a int constraint k unique deferrable)"),
    ("constraint k", "create table x (a int constraint k check (a > 0))", "create table x (a int constraint k check (a > 1))"),
    ("constraint k", "create table x (a int constraint k check (a > 0))", "create table x (a int constraint k check (a > 0) no inherit)"),
)


def test_what_cannot_be_altered_says_so(server_of: ServerOf) -> None:
    def all_of(side: int) -> str:
        return "".join(f"create schema s{n}; set search_path = s{n}; {case[side]};" for n, case in enumerate(NOT_IN_PLACE))

    with fresh(server_of(None), all_of(1)) as first, fresh(server_of(None), all_of(2)) as second:
        a, b = read(first), read(second)
    before, after, differences = dict(a.objects()), dict(b.objects()), compare(a, b)
    for n, (kind, *_, new) in enumerate(NOT_IN_PLACE):
        word, part = (kind, "") if kind == "materialized view" else kind.split(" ") if " " in kind else (kind, "")
        address = ObjectId(word, f"s{n}", "x", part)
        fields = tuple(d.field for d in differences if d.object == address)
        assert fields, kind
        assert not in_place(Operation("alter", address, before[address], after[address], fields), Sides(a, b)), new


@every_major
def test_statistics_of_index_expressions_are_read(server_of: ServerOf, major: int) -> None:
    sql = "create table t (a text); create index i on t (a, lower(a), upper(a));"
    sql += "alter index i alter 2 set statistics 7; alter index i alter 3 set statistics 0"
    with fresh(server_of(major), sql) as database:
        assert [k.statistics for k in read(database).tables[0].indexes[0].keys] == [None, 7, 0]


@every_major
def test_casts_are_those_of_the_server(server_of: ServerOf, major: int) -> None:
    told = """
        select s.typname, t.typname, c.castcontext from pg_cast c join pg_type s on s.oid = castsource join pg_type t on t.oid = casttarget
         where castsource <> casttarget and s.typname not like 'pg\\_%' and t.typname not in ('text', 'varchar', 'bpchar')
    """
    with psycopg.connect(server_of(major).dsn()) as conn:
        rows = conn.execute(told).fetchall()
    assert {(s, t) for s, t, context in rows if context in "ia"} == {
        (s, t) for s, targets in casts.ASSIGNMENT.items() for t in targets if s != t and t not in ("text", "varchar", "bpchar")
    }
    explicit = {(s, t) for s, targets in casts.EXPLICIT.items() for t in targets}
    assert explicit <= {(s, t) for s, t, context in rows if context == "e"}
    assert {(s, t) for s, t, c in rows if c == "e" and "bytea" not in (s, t) and "xml" not in (s, t)} == explicit

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
from pgcharter.catalog.model import Catalog, Index, Table, Trigger, View
from pgcharter.db import connect
from pgcharter.names import ObjectId, quote
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
    anew = [before[x] for change, x in found if change == "drop" and ("create", x) in found]
    gone = {address for view in anew if isinstance(view, View) for address, _ in later(view)}
    kept = [o for (change, x), o in found.items() if x.kind in KINDS and not (x in gone and change != "create") and not follows(o)]
    created = {o.object: turn for turn, o in enumerate(creations(b))}
    dropped = {o.object: turn for turn, o in enumerate(creations(a))}
    return sorted(kept, key=lambda o: rank(o, dropped if o.change == "drop" else created))


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
    both = [replace(case, new=case.old) if case.one_way else case for case in chosen]
    with (
        fresh(server, in_schemas(chosen, "old")) as database,
        fresh(server, in_schemas(chosen, "new")) as new,
        fresh(server, in_schemas(both, "old")) as way_back,
        fresh(server, in_schemas(both, "new")) as start,
    ):
        altered(database, read(new))
        altered(start, read(way_back))

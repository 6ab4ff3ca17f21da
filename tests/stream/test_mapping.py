from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from tests.conftest import every_major

from pgcharter.errors import CharterError, ConnectError
from pgcharter.policy.sync_settings import LookupTable, MappingTable, SinkTable, SyncSection
from pgcharter.stream.errors import SinkDownError, SinkRefusedError
from pgcharter.stream.mapping import Mappings, check, of_sink
from pgcharter.stream.model import UNCHANGED, Change, Relation, Row, Stamp, Value
from pgcharter.stream.source import open_source, tables

_SCHEMA = """
CREATE SCHEMA app; CREATE SCHEMA "Odd Schema";
CREATE DOMAIN app.positive AS numeric(10,2) CHECK (VALUE > 0); CREATE DOMAIN app.price AS app.positive; CREATE DOMAIN app.tags AS text[];
CREATE TABLE app.customers (id bigint PRIMARY KEY, name text, city text);
CREATE TABLE app.orders (id integer PRIMARY KEY, tenant_id text NOT NULL, customer_id integer, status text, amount app.price, card text,
    tags app.tags, prices app.price[], deleted_at timestamptz);
CREATE TABLE "Odd Schema"."Odd Table" ("Key" uuid PRIMARY KEY, "select" text);
CREATE TABLE app.loose (a integer, b text);
CREATE TABLE app.parts (day date, id integer, v text, PRIMARY KEY (day, id)) PARTITION BY RANGE (day);
CREATE TABLE app.parts_2024 PARTITION OF app.parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE PUBLICATION p FOR ALL TABLES WITH (publish_via_partition_root = true);
"""


class Source:
    """A database with a publication, and changes of its tables made by hand."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.opened: list[Any] = []
        self.run(_SCHEMA)

    def run(self, sql: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            conn.execute(sql.encode())

    def relations(self) -> dict[str, Relation]:
        with open_source(self.dsn) as conn:
            return {t.relation.name: t.relation for t in tables(conn, "p")}

    def mappings(self, *mappings: MappingTable, secret: bytes = b"") -> Mappings:
        """With all relations told."""
        made = Mappings(mappings, self.open, secret)
        for relation in self.relations().values():
            made.relation(relation)
        return made

    def open(self) -> Any:
        self.opened.append(open_source(self.dsn))
        return self.opened[-1]


@pytest.fixture
def source(database: str) -> Iterator[Source]:
    made = Source(database)
    yield made
    for conn in made.opened:
        conn.close()


def _change(relation: Relation, op: Any, new: dict[str, Value] | None, old: dict[str, Value] | None = None, lsn: int = 1) -> Change:
    sides = [None if s is None else tuple(s.get(c.name) for c in relation.columns) for s in (new, old)]
    return Change(relation, op, sides[0], sides[1], Stamp(lsn, 1))


def _told(rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    return [(r.op, r.shape.to, r.key, dict(r.values)) for r in rows]


_ORDER: dict[str, Value] = {"id": "1", "tenant_id": "t", "customer_id": "5", "status": "new", "amount": "1.50", "card": "4111111111111111"}


def _orders(**more: Any) -> MappingTable:
    return MappingTable("s", "app.orders", **more)


@every_major
def test_all_columns_with_the_types_behind_domains(source: Source, major: int) -> None:
    of = source.mappings(_orders())
    (shape,) = of.shapes
    assert shape.to == "orders"
    assert shape.source == "app.orders"
    assert shape.key == ("id",)
    assert {f.name: f.type for f in shape.fields} == {
        "id": "integer", "tenant_id": "text", "customer_id": "integer", "status": "text", "amount": "numeric(10,2)", "card": "text",
        "tags": "text[]", "prices": "numeric(10,2)[]", "deleted_at": "timestamp with time zone",
    }  # fmt: skip
    orders = source.relations()["orders"]
    (row,) = of.rows([_change(orders, "insert", {**_ORDER, "tags": "{a,NULL}", "prices": "{1.00}"})])
    assert row.key == (1,)
    assert row.whole
    assert (row.values["amount"], row.values["tags"], row.values["prices"]) == (Decimal("1.50"), ["a", None], [Decimal("1.00")])
    assert of.rows([_change(orders, "delete", None, {"id": "1"})]) == [Row(shape, "delete", (1,), {}, Stamp(1, 1))]
    assert of.rows([_change(orders, "truncate", None)]) == [Row(shape, "clear", (), {}, Stamp(1, 1))]


def test_columns_rename_and_masks(source: Source) -> None:
    of = source.mappings(
        _orders(
            to="copies",
            columns=("id", "card", "status", "customer_id", "tenant_id"),
            rename={"id": "number", "card": "Card"},
            mask={"card": "last4", "status": "stars", "customer_id": "null", "tenant_id": "hash"},
        ),
        secret=b"k",
    )
    (row,) = of.rows([_change(source.relations()["orders"], "insert", _ORDER)])
    hashed = hmac.digest(b"k", b"t", hashlib.sha256).hex()
    assert row.values == {"number": 1, "Card": "****1111", "status": "****", "customer_id": None, "tenant_id": hashed}
    assert [(f.name, f.type, f.key) for f in row.shape.fields][:3] == [
        ("number", "integer", True),
        ("Card", "text", False),
        ("status", "text", False),
    ]
    (row,) = of.rows([_change(source.relations()["orders"], "insert", {**_ORDER, "card": None, "tenant_id": None, "status": "x"})])
    assert (row.values["Card"], row.values["tenant_id"]) == (None, None)


def test_unchanged_values_are_left_out(source: Source) -> None:
    of = source.mappings(_orders(columns=("id", "status", "card")))
    (row,) = of.rows([_change(source.relations()["orders"], "update", {**_ORDER, "card": UNCHANGED})])
    assert row.values == {"id": 1, "status": "new"}
    assert not row.whole
    assert not of.whole(source.relations()["orders"])


def test_unchanged_values_are_known_with_identity_full(source: Source) -> None:
    source.run("ALTER TABLE app.orders REPLICA IDENTITY FULL")
    of = source.mappings(_orders(columns=("id", "card")))
    (row,) = of.rows([_change(source.relations()["orders"], "update", {**_ORDER, "card": UNCHANGED}, {**_ORDER, "card": "long"})])
    assert row.values == {"id": 1, "card": "long"}


def test_a_key_that_changes(source: Source) -> None:
    of = source.mappings(_orders(columns=("id",)))
    rows = of.rows([_change(source.relations()["orders"], "update", {**_ORDER, "id": "2"}, {"id": "1"}, 7)])
    assert _told(rows) == [("delete", "orders", (1,), {}), ("put", "orders", (2,), {"id": 2})]
    assert {r.stamp for r in rows} == {Stamp(7, 1)}


def test_a_key_of_ones_own(source: Source) -> None:
    with pytest.raises(SinkRefusedError, match=r"tenant_id is not in the replica identity of app\.orders"):
        source.mappings(_orders(key=("tenant_id", "id")))
    source.run("ALTER TABLE app.orders REPLICA IDENTITY FULL")
    of = source.mappings(_orders(key=("status",), columns=("id",)))
    rows = of.rows([_change(source.relations()["orders"], "update", {**_ORDER, "status": "b"}, {**_ORDER, "status": "a"})])
    assert _told(rows) == [("delete", "orders", ("a",), {}), ("put", "orders", ("b",), {"id": 1, "status": "b"})]
    rows = of.rows([_change(source.relations()["orders"], "update", {**_ORDER, "card": "b"}, {**_ORDER, "card": "a"})])
    assert [r.op for r in rows] == ["put"]
    assert source.mappings(_orders()).shapes[0].key == ("id",), "of identity full the key is the primary key"


def test_identity_by_an_index(source: Source) -> None:
    source.run("CREATE UNIQUE INDEX by_tenant ON app.orders (tenant_id); ALTER TABLE app.orders REPLICA IDENTITY USING INDEX by_tenant")
    of = source.mappings(_orders())
    assert of.shapes[0].key == ("tenant_id",)
    assert of.rows([_change(source.relations()["orders"], "delete", None, {"tenant_id": "t"})])[0].key == ("t",)


@pytest.mark.parametrize("identity", ["DEFAULT", "FULL", "NOTHING"])
def test_a_table_without_key_is_refused(source: Source, identity: str) -> None:
    source.run(f"ALTER TABLE app.loose REPLICA IDENTITY {identity}")
    with pytest.raises(SinkRefusedError, match=r"app\.loose has no key") as refused:
        source.mappings(MappingTable("s", "app.loose"))
    assert refused.value.hint.startswith("ALTER TABLE app.loose")


def test_partitions_are_rows_of_the_whole(source: Source) -> None:
    of = source.mappings(MappingTable("s", "app.parts"))
    assert of.shapes[0].key == ("day", "id")


def test_odd_names(source: Source) -> None:
    of = source.mappings(MappingTable("s", '"Odd Schema"."Odd Table"', to="odd"))
    relation = source.relations()["Odd Table"]
    key = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
    (row,) = of.rows([_change(relation, "insert", {"Key": key, "select": "x"})])
    assert (row.shape.source, str(row.key[0]), row.values["select"]) == ('"Odd Schema"."Odd Table"', key, "x")


def test_filter(source: Source) -> None:
    """A row that leaves it is deleted, one that enters is put, a delete is passed on."""
    of = source.mappings(_orders(columns=("id",), filter=("status <> 'draft'", "amount >= 1.5")))
    orders = source.relations()["orders"]
    assert of.whole(orders)
    assert of.rows([_change(orders, "insert", {**_ORDER, "status": "draft"})]) == []
    assert of.rows([_change(orders, "insert", {**_ORDER, "status": None})]) == []
    assert of.rows([_change(orders, "insert", {**_ORDER, "amount": "1.49"})]) == []
    assert [r.op for r in of.rows([_change(orders, "insert", _ORDER)])] == ["put"]
    assert _told(of.rows([_change(orders, "update", {**_ORDER, "status": "draft"})])) == [("delete", "orders", (1,), {})]
    both = of.rows([_change(orders, "update", {**_ORDER, "id": "2", "status": "draft"}, {"id": "1"})])
    assert _told(both) == [("delete", "orders", (1,), {})]
    assert [r.op for r in of.rows([_change(orders, "delete", None, {"id": "1"})])] == ["delete"]


def test_tenants(source: Source) -> None:
    source.run("ALTER TABLE app.orders REPLICA IDENTITY FULL")
    source.run("INSERT INTO app.orders (id, tenant_id) VALUES (1, 'old'), (2, 'old')")
    of = source.mappings(_orders(columns=("id",), to="{tenant}_orders", tenant="tenant_id"))
    orders = source.relations()["orders"]
    assert [s.to for s in of.shapes] == ["old_orders"]
    assert _told(of.rows([_change(orders, "insert", {**_ORDER, "tenant_id": "a"})])) == [("put", "a_orders", (1,), {"id": 1})]
    moved = of.rows([_change(orders, "update", {**_ORDER, "tenant_id": "b"}, {**_ORDER, "tenant_id": "a"})])
    assert _told(moved) == [("delete", "a_orders", (1,), {}), ("put", "b_orders", (1,), {"id": 1})]
    assert _told(of.rows([_change(orders, "delete", None, {**_ORDER, "tenant_id": "b"})])) == [("delete", "b_orders", (1,), {})]
    assert of.rows([_change(orders, "insert", {**_ORDER, "tenant_id": None})]) == []
    left = of.rows([_change(orders, "update", {**_ORDER, "tenant_id": None}, {**_ORDER, "tenant_id": "b"})])
    assert _told(left) == [("delete", "b_orders", (1,), {})]
    assert sorted(r.shape.to for r in of.rows([_change(orders, "truncate", None)])) == ["a_orders", "b_orders", "old_orders"]
    assert {s.to for s in of.shapes} == {"a_orders", "b_orders", "old_orders"}


def _with_customer(**more: Any) -> MappingTable:
    lookup = LookupTable("app.customers", {"customer_id": "id"}, ("name", "city"), "customer_")
    return _orders(columns=("id",), lookup=(lookup,), **more)


def test_lookup(source: Source) -> None:
    source.run("INSERT INTO app.customers VALUES (5, 'Ünal', NULL), (6, 'Bo', 'X')")
    of = source.mappings(_with_customer())
    assert of.tables == ("app.orders", "app.customers")
    orders = source.relations()["orders"]
    changes = [_change(orders, "insert", {**_ORDER, "id": str(n), "customer_id": c}) for n, c in enumerate(["5", "6", "7", None])]
    found = {r.key[0]: (r.values["customer_name"], r.values["customer_city"]) for r in of.rows(changes)}
    assert found == {0: ("Ünal", None), 1: ("Bo", "X"), 2: (None, None), 3: (None, None)}
    assert [(f.name, f.type) for f in of.shapes[0].fields] == [("id", "integer"), ("customer_name", "text"), ("customer_city", "text")]


def test_rows_follow_what_they_look_up(source: Source) -> None:
    source.run("INSERT INTO app.customers VALUES (5, 'new name', 'c'), (6, 'other', 'c')")
    source.run(
        "INSERT INTO app.orders (id, tenant_id, customer_id, status) VALUES (1, 't', 5, 'a'), (2, 't', 5, 'draft'), (3, 't', 6, 'a')"
    )
    of = source.mappings(_with_customer(filter=("status <> 'draft'",)))
    customers = source.relations()["customers"]
    changes = [_change(customers, "update", {"id": "5", "name": n, "city": "c"}, lsn=lsn) for n, lsn in (("between", 3), ("new name", 4))]
    rows = of.rows(changes)
    assert _told(rows) == [
        ("put", "orders", (1,), {"id": 1, "customer_name": "new name", "customer_city": "c"}),
        ("delete", "orders", (2,), {}),
    ]
    assert {r.stamp.lsn for r in rows} == {4}
    source.run("DELETE FROM app.customers")
    rows = of.rows([_change(customers, "truncate", None, lsn=9)])
    assert [(r.key, r.values.get("customer_name")) for r in rows] == [((1,), None), ((2,), None), ((3,), None)]


def test_one_query_for_each_lookup_and_batch(source: Source) -> None:
    source.run("INSERT INTO app.customers SELECT n, 'c' || n, 'x' FROM generate_series(1, 1000) n")
    of = source.mappings(_with_customer())
    orders = source.relations()["orders"]
    conn = of._asked(lambda c: c)
    asked: list[str] = []
    trace = type(
        "Trace", (psycopg.Cursor,), {"copy": lambda self, sql, *a: (asked.append(str(sql)), psycopg.Cursor.copy(self, sql, *a))[1]}
    )
    conn.cursor_factory = trace
    rows = of.rows([_change(orders, "insert", {**_ORDER, "id": str(n), "customer_id": str(n)}) for n in range(1, 1001)])
    assert [r.values["customer_name"] for r in rows] == [f"c{n}" for n in range(1, 1001)]
    assert len(asked) == 1


def test_a_source_that_is_away_passes(source: Source) -> None:
    of = source.mappings(_with_customer())
    source.opened[-1:] and source.opened[-1].close()

    def away() -> Any:
        raise ConnectError("no")

    of._source = away
    with pytest.raises(SinkDownError, match="the source cannot be asked"):
        of.rows([_change(source.relations()["orders"], "insert", _ORDER)])
    of._source = source.open
    assert len(of.rows([_change(source.relations()["orders"], "insert", _ORDER)])) == 1


def test_columns_that_change(source: Source) -> None:
    of = source.mappings(_orders())
    orders = source.relations()["orders"]
    assert not of.relation(orders)
    assert not of.relation(source.relations()["loose"])
    source.run(
        "ALTER TABLE app.orders ADD COLUMN note text; ALTER TABLE app.orders RENAME COLUMN card TO pan;"
        "ALTER TABLE app.orders DROP COLUMN tags"
    )
    after = source.relations()["orders"]
    assert of.relation(after)
    assert {"note", "pan"} <= {f.name for f in of.shapes[0].fields}
    (row,) = of.rows([_change(after, "insert", {**_ORDER, "pan": "x"})])
    assert row.values["pan"] == "x"
    (row,) = source.mappings(_orders(columns=("id",))).rows([_change(after, "insert", _ORDER)])
    assert row.values == {"id": 1}


@pytest.mark.parametrize(
    "more",
    [{"columns": ("nope",)}, {"key": ("nope",)}, {"mask": {"nope": "null"}}, {"rename": {"nope": "x"}}, {"filter": ("nope = 1",)},
     {"tenant": "nope", "to": "{tenant}"}, {"lookup": (LookupTable("app.customers", {"customer_id": "id"}, ("nope",)),)}],
)  # fmt: skip
def test_columns_that_are_not_there(source: Source, more: dict[str, Any]) -> None:
    with pytest.raises(SinkRefusedError, match="column nope, which the mapping names, is not") as refused:
        source.mappings(_orders(**more))
    assert refused.value.place == "[[sync.mapping]] app.orders → s"
    assert refused.value.hint.startswith("it has ")


def test_names_and_keys_that_would_be_the_same(source: Source) -> None:
    with pytest.raises(CharterError, match="two columns become id"):
        source.mappings(_orders(rename={"status": "id"}))
    with pytest.raises(CharterError, match="key column id is masked"):
        source.mappings(_orders(mask={"id": "stars"}))
    with pytest.raises(CharterError, match="mask hash has no secret"):
        source.mappings(_orders(mask={"card": "hash"}))


def _section(*mappings: MappingTable, **more: Any) -> SyncSection:
    return SyncSection(sink=(SinkTable("s", "jsonl", folder="x"),), mapping=mappings, **more)


@pytest.mark.parametrize(
    ("mappings", "said"),
    [
        ([MappingTable("other", "app.orders")], "there is no sink other"),
        ([_orders(), MappingTable("s", "shop.orders")], "app.orders and shop.orders|shop.orders and app.orders"),
        ([_orders(to="{tenant}_x")], "a tenant is named"),
        ([_orders(tenant="t")], "a tenant is named"),
        ([_orders(mask={"a": "blur"})], "'blur' is no mask"),
        ([_orders(filter=("a like 'x'",))], "condition \"a like 'x'\" cannot be read"),
    ],
)
def test_mappings_that_cannot_be_meant(mappings: list[MappingTable], said: str) -> None:
    with pytest.raises(CharterError, match=said) as refused:
        check(_section(*mappings))
    assert refused.value.place.startswith("[[sync.mapping]] ")


def test_mappings_of_a_sink(source: Source) -> None:
    section = _section(_orders(mask={"card": "hash"}), mask_key_env="KEY")
    with pytest.raises(CharterError, match="KEY is not set"):
        of_sink(section, "s", source.open, {})
    assert of_sink(section, "s", source.open, {"KEY": "k"}).tables == ("app.orders",)

"""Tables filled with rows of a shape: every kind of column and constraint on a real server, and the reason for what cannot be filled."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from pgcharter.catalog.model import Catalog
from pgcharter.errors import UsageError
from pgcharter.migrate import shape as shapes
from pgcharter.migrate.filling import Filled, fill
from pgcharter.migrate.proving import read
from pgcharter.migrate.shape import ColumnShape, Shape, TableShape
from pgcharter.names import ObjectId
from pgcharter.servers.scratch import Scratch, ScratchDatabase

SCHEMA = r"""
CREATE SCHEMA "Shop ü";
CREATE TYPE "Shop ü".mood AS ENUM ('sad', 'ok', 'so so');
CREATE DOMAIN "Shop ü".mail AS text NOT NULL CHECK (VALUE ~ '^[a-z0-9.]+@[a-z.]+\.[a-z]{2,}$');
CREATE DOMAIN "Shop ü".percent AS numeric(5,2) CHECK (VALUE BETWEEN 0 AND 100);
CREATE TYPE "Shop ü".pair AS (a int, b text);
CREATE TYPE "Shop ü".span AS RANGE (subtype = float8);
CREATE FUNCTION "Shop ü".no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$;
CREATE TABLE "Shop ü"."People" (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mail "Shop ü".mail UNIQUE, name varchar(12) NOT NULL,
    boss bigint REFERENCES "Shop ü"."People",
    state text NOT NULL CHECK (state IN ('new', 'it''s', 'gone')), age int CHECK (age >= 18 AND age < 130),
    code char(3) NOT NULL CHECK (code ~ '^[A-Z]{3}$'),
    born date CHECK (born > '1900-01-01' AND born < '2010-01-01'), share "Shop ü".percent, mood "Shop ü".mood NOT NULL,
    moods "Shop ü".mood[],
    short text CHECK (char_length(short) <= 5), zip text CHECK (zip ~ '^[0-9]{5}$'), begun timestamptz NOT NULL,
    ended timestamptz, CHECK (ended > begun),
    a text, b text, CHECK (num_nonnulls(a, b) = 1), twice int GENERATED ALWAYS AS (age * 2) STORED
);
CREATE UNIQUE INDEX ON "Shop ü"."People" (lower(name));
CREATE TABLE "Shop ü".types (
    id uuid PRIMARY KEY, i2 int2, i4 int, n numeric, n2 numeric(6,2), f4 real, f8 float8, m money, t text, c varchar(4), b bool,
    bits bit(9), vb varbit,
    d date, ts timestamp, tz timestamptz, ti time, tt timetz, iv interval, j json, jb jsonb CHECK (jsonb_typeof(jb) = 'object'),
    ip inet, net cidr, mac macaddr,
    by bytea, tv tsvector, tq tsquery, r int4range, r8 int8range, nr numrange, dr daterange, tr tstzrange, mr int4multirange,
    p point, bx box, ci circle,
    ls lseg, pa path, po polygon, li line, lsn pg_lsn, o oid, ia int[], ta text[], ja jsonb[], co "Shop ü".pair,
    sp "Shop ü".span, na name, x8 xid8
);
CREATE TABLE "Shop ü".orders (
    tenant int NOT NULL, number int NOT NULL, person bigint NOT NULL REFERENCES "Shop ü"."People" (id), PRIMARY KEY (tenant, number)
);
CREATE TABLE "Shop ü".lines (
    tenant int, number int, line smallint, qty int NOT NULL CHECK (qty > 0), PRIMARY KEY (tenant, number, line),
    FOREIGN KEY (tenant, number) REFERENCES "Shop ü".orders
);
CREATE TABLE "Shop ü".hen (id int PRIMARY KEY, egg int NOT NULL);
CREATE TABLE "Shop ü".egg (id int PRIMARY KEY REFERENCES "Shop ü".hen DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE "Shop ü".hen ADD FOREIGN KEY (egg) REFERENCES "Shop ü".egg DEFERRABLE;
CREATE TABLE "Shop ü".countries (code text PRIMARY KEY);
INSERT INTO "Shop ü".countries VALUES ('AT'), ('DE'), ('FR');
CREATE TABLE "Shop ü".places (id serial PRIMARY KEY, country text NOT NULL REFERENCES "Shop ü".countries, main bool NOT NULL,
    person int NOT NULL);
CREATE UNIQUE INDEX ON "Shop ü".places (person) WHERE main;
CREATE TABLE "Shop ü".rooms (room int NOT NULL, during tstzrange NOT NULL, EXCLUDE USING gist (during WITH &&));
CREATE TABLE "Shop ü".parts (id bigint NOT NULL, at timestamptz NOT NULL, kind text NOT NULL, PRIMARY KEY (id, at,
    kind)) PARTITION BY RANGE (at);
CREATE TABLE "Shop ü".parts_1 PARTITION OF "Shop ü".parts FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE "Shop ü".parts_2 PARTITION OF "Shop ü".parts FOR VALUES FROM ('2026-02-01') TO ('2026-03-01') PARTITION BY LIST (kind);
CREATE TABLE "Shop ü".parts_2a PARTITION OF "Shop ü".parts_2 FOR VALUES IN ('a', 'x, y');
CREATE TABLE "Shop ü".parts_2z PARTITION OF "Shop ü".parts_2 DEFAULT;
CREATE TABLE "Shop ü".hashed (id bigint PRIMARY KEY) PARTITION BY HASH (id);
CREATE TABLE "Shop ü".hashed_0 PARTITION OF "Shop ü".hashed FOR VALUES WITH (MODULUS 4, REMAINDER 0);
CREATE TABLE "Shop ü".guarded (id int PRIMARY KEY, owner text);
ALTER TABLE "Shop ü".guarded ENABLE ROW LEVEL SECURITY;
ALTER TABLE "Shop ü".guarded FORCE ROW LEVEL SECURITY;
CREATE TRIGGER no BEFORE INSERT ON "Shop ü".orders FOR EACH ROW EXECUTE FUNCTION "Shop ü".no();
CREATE TABLE "Shop ü".odd (id int PRIMARY KEY, sum text NOT NULL CHECK (md5(sum) = 'no text has this sum'));
CREATE TABLE "Shop ü".a_id_that_is_sixty_three_bytes_long_and_has_an_e_with_an_accent_é ("Größe" int PRIMARY KEY);
"""
N = 600


@pytest.fixture(scope="module")
def filled(scratch_of: Callable[[int | None], Scratch]) -> Iterator[tuple[ScratchDatabase, Catalog, Filled]]:
    with scratch_of(None).database() as database:
        database.conn.execute(SCHEMA.encode())
        catalog = read(database)
        yield database, catalog, fill(database, catalog, made_up(catalog), catalog.table, most=N)


def made_up(catalog: Catalog) -> Shape:
    """A shape that says 10 million rows of every table, and a little of some columns."""
    columns = {
        ("People", "boss"): {"nulls": 0.25, "distinct": 20}, ("People", "ended"): {"nulls": 0.5},
        ("People", "age"): {"distinct": 50, "nulls": 0.1}, ("People", "a"): {"nulls": 0.5}, ("People", "b"): {"nulls": 0.5},
        ("orders", "tenant"): {"distinct": 7}, ("lines", "line"): {"distinct": 3},
        ("lines", "number"): {"distinct": -0.3}, ("types", "t"): {"width": 300}, ("types", "i4"): {"distinct": 10, "correlation": 0.01},
    }  # fmt: skip
    made = {}
    for t in catalog.tables:
        found = {c.name: {"type": c.type.sql, "width": 8, **columns.get((t.name, c.name), {})} for c in t.columns}
        rows = 3 if t.name == "countries" else 10_000_000
        made[t.id] = TableShape(rows, columns={name: ColumnShape(**c) for name, c in found.items()})  # type: ignore[arg-type]
    return Shape(made)


def at(name: str) -> ObjectId:
    return ObjectId("table", "Shop ü", name)


def test_every_table_that_can_be_is_full_and_keeps_its_constraints(filled: tuple[ScratchDatabase, Catalog, Filled]) -> None:
    database, catalog, made = filled
    assert {t.name: why for t, why in made.why.items()} == {"odd": "no rows were found that check constraint odd_sum_check allows"}
    few = {t.name: n for t, n in made.rows.items() if n != N}
    assert few == {"countries": 3}
    for table in catalog.tables:
        for fk in table.foreign_keys:
            if (not fk.inherited and table.id != at("hen")) or fk.columns == ("egg",):
                database.conn.execute(
                    f"ALTER TABLE {table.id.sql()} ADD CONSTRAINT again {fk.definition.replace(' NOT VALID', '')}".encode()
                )
                database.conn.execute(f"ALTER TABLE {table.id.sql()} DROP CONSTRAINT again".encode())


@pytest.mark.parametrize(
    ("query", "low", "high"),
    [
        ('count(*) FILTER (WHERE boss IS NULL) FROM "Shop ü"."People"', N * 0.15, N * 0.35),
        ('count(DISTINCT boss) FROM "Shop ü"."People"', 15, 20),
        ('count(DISTINCT state) FROM "Shop ü"."People"', 3, 3),
        ('count(DISTINCT mood) FROM "Shop ü"."People"', 3, 3),
        ('count(DISTINCT i4) FROM "Shop ü".types', 10, 10),
        ('avg(pg_column_size(t)) FROM "Shop ü".types', 290, 310),
        ('count(DISTINCT tenant) FROM "Shop ü".orders', 7, 7),
        ('count(DISTINCT at) FROM "Shop ü".parts_1', 2, N),
        ("nextval(pg_get_serial_sequence('\"Shop ü\".\"People\"', 'id'))", N + 1, N * 25),
    ],
)
def test_shares_widths_and_numbers_are_those_of_the_shape(
    filled: tuple[ScratchDatabase, Catalog, Filled], query: str, low: float, high: float
) -> None:
    row = filled[0].conn.execute(f"SELECT {query}".encode()).fetchone()
    assert row is not None
    assert low <= float(row[0]) <= high


def test_nothing_of_the_right_to_switch_triggers_off_is_left(filled: tuple[ScratchDatabase, Catalog, Filled]) -> None:
    conn = filled[0].conn
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute("SET session_replication_role = replica")
    with pytest.raises(psycopg.errors.RaiseException):
        conn.execute('INSERT INTO "Shop ü".orders VALUES (1, 1, 1)')


def test_constraints_to_come_are_met_unless_the_statistics_say_otherwise(scratch: Scratch) -> None:
    text = "CREATE TABLE u (id int PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY, mail text, kind text, u int, zip text)"
    with scratch.database() as database, scratch.database() as other:
        database.conn.execute(text.encode())
        other.conn.execute(
            (
                text
                + "; ALTER TABLE t ADD UNIQUE (mail), ADD CHECK (kind IN ('a', 'b')), ADD UNIQUE (zip), ADD FOREIGN KEY (u) REFERENCES u"
            ).encode()
        )
        columns = {
            "id": ColumnShape("integer", width=4),
            "zip": ColumnShape("text", distinct=50, width=6),
            "u": ColumnShape("integer", distinct=-0.2),
        }
        shape = Shape({ObjectId("table", "public", n): TableShape(5000, 0, 0, columns) for n in ("t", "u")})
        made = fill(database, read(database), shape, [ObjectId("table", "public", "t")], read(other), most=500)
        assert made.why == {}
        assert made.rows == {ObjectId("table", "public", "t"): 500, ObjectId("table", "public", "u"): 500}
        row = database.conn.execute("SELECT count(DISTINCT mail), count(DISTINCT kind), count(DISTINCT zip) FROM t").fetchone()
        assert row == (500, 2, 50)
        database.conn.execute("ALTER TABLE t ADD FOREIGN KEY (u) REFERENCES u")


def test_a_shape_is_collected_written_and_read_back(conn: psycopg.Connection[tuple[object, ...]]) -> None:
    conn.execute('CREATE SCHEMA "Shop ü"; CREATE TABLE "Shop ü"."T" (id int, "Größe" text, e int); CREATE TABLE empty (id int)')
    conn.execute(
        'INSERT INTO "Shop ü"."T" SELECT i, CASE WHEN i % 4 > 0 THEN repeat(\'secret\', 10) || i % 5 END FROM generate_series(1, 1000) i'
    )
    conn.execute('ANALYZE "Shop ü"."T"')
    made = shapes.collect(conn)
    table = made.tables[at("T")]
    assert (table.rows, table.columns["Größe"].nulls, table.columns["Größe"].distinct, table.columns["Größe"].width) == (1000, 0.25, 5, 62)
    assert table.columns["id"].distinct == -1
    assert made.unseen == {ObjectId("table", "public", "empty"): "it was never analysed"}
    text = shapes.dumps(made)
    assert "secret" not in text
    assert shapes.loads(text).tables == made.tables


@pytest.mark.parametrize(
    ("known", "wrong"),
    [
        ('"rows": 9', '"rows": -5'), ('"rows": 9', '"rows": "many"'), ('"rows": 9', '"rows": 1e308'), ('"rows": 9', '"rows": NaN'),
        ('"width": 4', '"width": null'), ('"width": 4', '"width": 1000000000000'), ('"distinct": -1.0', '"distinct": "x"'),
        ('"distinct": -1.0', '"distinct": -7e300'), ('"correlation": 1.0', '"correlation": 2'), ("180000", '"18"'),
        ('"rows": 9', "[" * 99_999),
    ],
)  # fmt: skip
def test_a_shape_that_no_database_has_is_refused(known: str, wrong: str) -> None:
    column = ColumnShape("integer", 0.5, -1.0, 4, 1.0)
    text = shapes.dumps(Shape({ObjectId("table", "public", "t"): TableShape(9, 1, 1, {"id": column})}, 180000, "2026-11-21"))
    assert shapes.dumps(shapes.loads(text)) == text
    assert known in text
    with pytest.raises(UsageError, match="this is no shape of a database"):
        shapes.loads(text.replace(known, wrong))


def test_tables_that_the_role_may_not_read_are_told(conn: psycopg.Connection[tuple[object, ...]]) -> None:
    conn.execute("CREATE TABLE hidden (id int); INSERT INTO hidden SELECT generate_series(1, 100); ANALYZE hidden")
    conn.execute("CREATE ROLE shape_reader; SET ROLE shape_reader")
    assert shapes.collect(conn).unseen == {ObjectId("table", "public", "hidden"): "the role may not read its rows"}

"""What a plan says beside its statements: blocks, phases, gates, grades, questions, fingerprints. Catalogs are read from a real server."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import psycopg
import pytest
from tests.plan.court import OWNER, ROLES
from tests.plan.test_law import BLOCKS, Block
from tests.plan.walk import waiting

from pgcharter.catalog.effect import Effect, Lock, Mode
from pgcharter.catalog.model import Catalog, Column, Constraint, Database, DataType, Index, IndexKey, RelationStats, Schema, Stats, Table
from pgcharter.errors import PgcharterError, UsageError
from pgcharter.findings import Gap
from pgcharter.names import ObjectId, quote
from pgcharter.plan import planner
from pgcharter.plan.blocks import numbered
from pgcharter.plan.ddl import Sides
from pgcharter.plan.grades import lost
from pgcharter.plan.model import Grade, Phase, Step
from pgcharter.plan.renames import Intent
from pgcharter.plan.safe_ground import Plain, Safe, counted
from pgcharter.plan.safe_names import Names
from pgcharter.plan.safe_text import mentions, renamed
from pgcharter.plan.way import Way
from pgcharter.servers.lifecycle import Server
from pgcharter.sources.live import read_catalog

T = ObjectId("table", "app", "t")
OLD = """CREATE SCHEMA app; CREATE TABLE app.t (id int PRIMARY KEY, a int, b text NOT NULL, at timestamp);
CREATE TYPE app.e AS ENUM ('x', 'y');"""


@pytest.fixture(scope="module")
def read(server_of: Callable[[int | None], Server]) -> Iterator[Callable[..., Catalog]]:
    """The catalog that SQL makes; nothing stays."""
    with psycopg.connect(server_of(None).dsn()) as conn:

        def get(*sql: str) -> Catalog:
            try:
                for text in sql:
                    conn.execute(text.encode())
                return read_catalog(conn)
            finally:
                conn.rollback()

        yield get


def everything(catalog: Catalog) -> frozenset[ObjectId]:
    return frozenset(address for address, _ in catalog.objects())


def test_nothing_to_do(read: Callable[..., Catalog]) -> None:
    a = read(OLD)
    plan = planner.plan(a, a)
    assert plan.empty
    assert plan.reverse == ()
    assert plan.before == plan.after


def test_drops_wait_behind_one_gate_and_say_what_is_lost(read: Callable[..., Catalog]) -> None:
    a = read(OLD, "CREATE TABLE app.u (i int); CREATE INDEX i ON app.t (a)")
    b = read(OLD.replace("a int, ", "").replace("b text NOT NULL, ", ""), "CREATE TABLE app.n (i int)")
    other = ObjectId("table", "app", "u")
    sizes = Stats(relations={T: RelationStats(rows=1_234_567, bytes=2**30), other: RelationStats(rows=12, bytes=3 * 2**20)})
    plan = planner.plan(a, b, sizes=sizes, apart=everything(a))
    gates = [s for s in plan.steps if s.gate]
    assert len(gates) == 1
    at = plan.steps.index(gates[0])
    assert all(s.phase is not Phase.CONTRACT for s in plan.steps[:at])
    assert all(s.phase is Phase.CONTRACT for s in plan.steps[at:])
    assert [s.sql for s in plan.steps[:at] if s.object.part] == ["ALTER TABLE app.t ALTER COLUMN b DROP NOT NULL"]
    assert {s.loses for s in plan.steps if s.grade is Grade.LOSSY} == {
        "column app.t.a: about 1.2 million values", "column app.t.b: about 1.2 million values", "table app.u: 12 rows (3 MB)",
    }  # fmt: skip
    assert {"column app.t.a", "column app.t.b", "table app.u"} <= set(gates[0].gate.removeprefix("no running release uses ").split(", "))


def test_what_stands_in_the_way_does_not_wait(read: Callable[..., Catalog]) -> None:
    """A view over a column that changes its type, and a table whose name is wanted, go at once."""
    a = read(OLD, "CREATE VIEW app.v AS SELECT a FROM app.t; CREATE TABLE app.x (i int)")
    b = read(OLD.replace("a int", "a bigint"), "CREATE VIEW app.x AS SELECT 1 AS i")
    steps = planner.plan(a, b, apart=everything(a)).steps
    expand = [s.sql for s in steps if s.phase is Phase.EXPAND]
    assert expand.index("DROP TABLE app.x") < next(i for i, sql in enumerate(expand) if sql.startswith("CREATE VIEW app.x"))


def test_times_without_zone_are_asked_about(read: Callable[..., Catalog]) -> None:
    a, b = read(OLD), read(OLD.replace("at timestamp", "at timestamptz"))
    assert "time zone" in planner.plan(a, b).questions[0]
    told = planner.plan(a, b, style=Safe(zone="Europe/Berlin"))
    assert told.questions == ()
    assert any("AT TIME ZONE 'Europe/Berlin'" in s.sql for s in told.steps)
    assert any("AT TIME ZONE 'Europe/Berlin'" in s.sql for s in told.reverse)
    empty = Stats(relations={T: RelationStats(rows=0, bytes=0)})
    assert planner.plan(a, b, sizes=empty).questions == ()


@pytest.mark.parametrize("block", BLOCKS[::5], ids=lambda b: b.name)
def test_long_work_waits_in_no_transaction(block: Block, read: Callable[..., Catalog]) -> None:
    """Of the law's pairs, there and back: what takes long stands beside strong locks only where it takes one itself, which a note says."""
    make = "DO $$ BEGIN CREATE ROLE {}; EXCEPTION WHEN duplicate_object THEN NULL; END $$; "
    before = "".join(make.format(quote(role)) for role in (OWNER, *ROLES)) + "SET LOCAL check_function_bodies = off"
    a, b = read(before, block.old), read(before, block.new)
    plan = planner.plan(a, b, style=Safe(zone="UTC"), apart=everything(a))
    late = [step for steps in (plan.steps, plan.reverse) for step in waiting(steps)]
    assert [s.sql for s in late if not s.effect.strongest or not s.effect.strongest.stops_writes] == []
    assert plan.notes or not [*waiting(plan.steps)]


def test_plain_style_takes_no_care(read: Callable[..., Catalog]) -> None:
    a, b = read(OLD, "CREATE TABLE app.u (i int)"), read(OLD, "CREATE INDEX i ON app.t (a)")
    plan = planner.plan(a, b, style=Plain(), apart=everything(a))
    assert {s.sql for s in plan.steps} == {"DROP TABLE app.u", "CREATE INDEX i ON app.t USING btree (a)"}
    assert next(s for s in plan.steps if s.sql.startswith("DROP")).grade is Grade.LOSSY


def test_narrowing_is_lossy_and_widening_is_not(read: Callable[..., Catalog]) -> None:
    a, b = read(OLD), read(OLD.replace("a int", "a bigint"))
    there = planner.plan(a, b)
    assert {s.grade for s in there.steps} == {Grade.LOSSLESS}
    assert [s.loses for s in there.reverse if s.grade is Grade.LOSSY] == ["column app.t.a: its values that do not fit into integer"]


KEPT = """
int2 int4, int2 int8, int4 int8, int2 numeric(5), int4 numeric, int4 numeric(10), int4 numeric(12;2), int8 numeric(19), int8
numeric(21;2), int2 float4, int4 float8, float4 float8, numeric(10;2) numeric(12;2), numeric(10;2) numeric(12;4), numeric(10;2)
numeric, varchar(20) varchar(21), varchar(20) varchar, varchar(20) text, char(5) varchar(5), char(5) char(6), text varchar, int4
varchar(11), uuid text, uuid varchar(36), bool text, date text, date timestamp, jsonb json, json text, cidr inet, macaddr
macaddr8, bit(3) varbit(3), varbit(3) varbit(4), timestamp(3) timestamp, timestamp timestamp(6), timestamp(0) timestamptz(3),
timestamptz timestamp, time(2) time(3), interval(2) interval, app.e app.wide, app.e text, int4[] int8[], varchar(3)[] text[],
app.d bigint, interval day to second interval
"""
LOST = """
int8 int4, int4 int2, int4 numeric(9), int4 numeric(11;2), int8 numeric(18), int4 float4, int8 float8, float8 float4, float8
numeric, numeric int4, numeric(5) int4, numeric numeric(30;5), numeric(12;2) numeric(10;2), numeric(12;4) numeric(12;2),
numeric(12;2) numeric(12;3), varchar(21) varchar(20), varchar varchar(20), text varchar(20), text int4, varchar(5) char(5), int4
varchar(10), uuid varchar(35), text uuid, json jsonb, inet cidr, bit(3) bit(4), varbit(4) varbit(3), timestamp timestamp(3),
timestamp(4) timestamptz(3), timestamp date, timestamptz date, interval interval(2), interval interval day to second, app.wide
app.e, text app.e, int4 int4[], int8[] int4[], bigint app.d
"""


@pytest.mark.parametrize(("pairs", "loses"), [(KEPT, False), (LOST, True)], ids=["kept", "lost"])
def test_what_a_change_of_type_loses(pairs: str, loses: bool, read: Callable[..., Catalog]) -> None:
    """The types as the server writes them; `;` stands for the comma of numeric."""
    listed = [_two(" ".join(pair.split())) for pair in pairs.split(",")]
    made = "CREATE TYPE app.wide AS ENUM ('x', 'w', 'y'); CREATE DOMAIN app.d AS int"
    columns = [", ".join(f"c{n} {pair[side]}" for n, pair in enumerate(listed)) for side in (0, 1)]
    a, b = (read(OLD, made, f"CREATE TABLE app.g ({text})") for text in columns)
    sides = a.table[ObjectId("table", "app", "g")], b.table[ObjectId("table", "app", "g")]
    ground = Way(Sides(a, b), Safe(), None, (), a).ground
    for column in sides[0].columns:
        found = lost(sides[0].part("column", column.name), column.type, sides[1].column[column.name].type, ground)
        assert bool(found) is loses, (column.type.sql, sides[1].column[column.name].type.sql, found)


def _two(pair: str) -> tuple[str, str]:
    """Two types of a line of the table; an interval has several words."""
    before, after = re.fullmatch(r"(interval day to second|\S+) (.+)", pair).groups()  # type: ignore[union-attr]
    return before.replace(";", ","), after.replace(";", ",")


def test_an_enum_label_is_added_alone(read: Callable[..., Catalog]) -> None:
    a, b = read(OLD), read(OLD.replace("'y'", "'y', 'z'"), "CREATE TABLE app.n (e app.e DEFAULT 'z')")
    steps = planner.plan(a, b).steps
    added = next(s for s in steps if "ADD VALUE" in s.sql)
    assert [s for s in steps if s.block == added.block] == [added]


UNWRITABLE = {
    "subscription s": "CREATE SUBSCRIPTION s CONNECTION 'dbname=x' PUBLICATION p WITH (connect = false)",
    "server s": "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE USER MAPPING FOR CURRENT_USER SERVER s",
    "type app.bt": """CREATE TYPE app.bt; CREATE FUNCTION app.bt_in(cstring) RETURNS app.bt LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
        CREATE FUNCTION app.bt_out(app.bt) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
        CREATE TYPE app.bt (INPUT = app.bt_in, OUTPUT = app.bt_out, LIKE = int4)""",
    "text search configuration app.c": """CREATE TEXT SEARCH PARSER app.p (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end,
        LEXTYPES = prsd_lextype); CREATE TEXT SEARCH CONFIGURATION app.c (PARSER = app.p)""",
}


@pytest.mark.parametrize("name", UNWRITABLE)
@pytest.mark.parametrize("style", [Safe(), Plain()], ids=["safe", "plain"])
def test_what_no_statement_does_is_a_question(name: str, style: Safe | Plain, read: Callable[..., Catalog]) -> None:
    a, b = read(OLD), read(OLD, UNWRITABLE[name])
    assert [q for q in planner.plan(a, b, style=style).questions if name in q and "by hand" in q]
    back = planner.plan(b, a, style=style)
    assert back.questions == ()
    assert [n for n in back.notes if n.startswith("the way back is not whole") and name in n]


def test_catalogs_of_two_majors_are_refused(read: Callable[..., Catalog]) -> None:
    a = read(OLD)
    with pytest.raises(PgcharterError, match="cannot be compared"):
        planner.plan(replace(a, server_version=150000), a)


def test_intents_need_the_catalog_after_them(read: Callable[..., Catalog]) -> None:
    a, b = read(OLD), read(OLD.replace("a int", "amount int"))
    with pytest.raises(UsageError, match="was not handed in"):
        planner.plan(a, b, intents=[Intent(ObjectId("column", "app", "t", "a"), "amount")])


def test_fingerprint_is_of_what_is_compared(read: Callable[..., Catalog]) -> None:
    a = read(OLD)
    holes = read(OLD.replace("a int,", "gone int, a int,"), "ALTER TABLE app.t DROP COLUMN gone")
    other = Database(**{**_fields(a.database), "name": "other"})  # type: ignore[arg-type]
    same = replace(a, server_version=1, database=other, gaps=(Gap("x", "y"),), dependencies=())
    assert planner.fingerprint(a) == planner.fingerprint(holes) == planner.fingerprint(same)
    assert planner.fingerprint(a) != planner.fingerprint(read(OLD.replace("a int, b text NOT NULL", "b text NOT NULL, a int")))
    assert planner.fingerprint(a) != planner.fingerprint(read(OLD, "COMMENT ON TABLE app.t IS 'x'"))


def _fields(value: object) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}  # type: ignore[attr-defined]


def step(sql: str, *locked: str, scans: tuple[str, ...] = (), transactional: bool = True) -> Step:
    locks = tuple(Lock(ObjectId("table", "app", name), Mode.ACCESS_EXCLUSIVE) for name in locked)
    effect = Effect(locks, scans=tuple(ObjectId("table", "app", name) for name in scans), transactional=transactional)
    return Step(sql, sql, T, effect=effect)


def test_a_transaction_locks_one_table_in_use_and_holds_nothing_long() -> None:
    steps = [
        step("new 1"), step("new 2"), step("t 1", "t"), step("t 2", "t"), step("u", "u"), step("scan", "u", scans=("u",)), step("u 2", "u"),
        step("concurrently", transactional=False), step("both", "t", "u"), step("new 3"),
    ]  # fmt: skip
    blocks = {s.sql: s.block for s in numbered((s,) for s in steps)}
    assert blocks == {"new 1": 1, "new 2": 1, "t 1": 2, "t 2": 2, "u": 3, "scan": 4, "u 2": 5, "concurrently": 0, "both": 6, "new 3": 7}


def test_a_piece_is_never_divided() -> None:
    steps = numbered([(step("t", "t"),), (step("t 2", "t"), step("u", "u"))])
    assert [s.block for s in steps] == [1, 2, 2]
    many = numbered((step(str(n)),) for n in range(250))
    assert max(len([s for s in many if s.block == n]) for n in {s.block for s in many}) == 100


def test_names_are_free_and_fit() -> None:
    names = Names(Catalog(tables=(Table("app", "ü" * 31 + "_new"[:1]),)), Catalog(tables=(Table("app", "orders_new"),)))
    assert names.relation("app", "orders", "new") == "orders_new2"
    assert names.relation("app", "orders", "new") == "orders_new3"
    long = {names.relation("app", "ü" * 31, "new") for _ in range(12)}
    assert len(long) == 12
    assert max(len(n.encode()) for n in long) <= 63


def test_columns_in_expressions_get_another_name() -> None:
    text = "CHECK (((a > 0) AND (lower(b) <> 'a'::text) AND app.a(a) AND (x.a = 1) AND (\"A\" = 2)))"
    assert renamed(text, {"a": "a_new"}) == (
        "CHECK (((a_new > 0) AND (lower(b) <> 'a'::text) AND app.a(a_new) AND (x.a = 1) AND (\"A\" = 2)))"
    )
    assert renamed("(e = 'x'::app.e) AND (f = 'y'::app.ee)", {}, {"app.e": "app.e_new"}) == "(e = 'x'::app.e_new) AND (f = 'y'::app.ee)"
    assert not mentions("FOREIGN KEY (b) REFERENCES app.a(c)", "a")


def test_numbers_as_people_say_them() -> None:
    assert [counted(n) for n in (0, 17, 3400, 999_960, 1_000_000, 1_234_567, 2.5e9)] == [
        "0", "17", "about 3,400", "about 1,000,000", "about 1 million", "about 1.2 million", "about 2.5 billion",
    ]  # fmt: skip


def test_five_thousand_tables_are_planned_in_seconds() -> None:
    """Two catalogs of 5,000 tables with 300 changes: no step looks at everything. The limit is generous for shared machines."""
    a = Catalog(180000, schemas=(Schema("app"),), tables=tuple(_table(n) for n in range(5000)))
    tables = tuple(_indexed(t) if n % 17 == 0 else t for n, t in enumerate(a.tables))
    begin = time.process_time()
    plan = planner.plan(a, replace(a, tables=tables))
    assert len(plan.steps) == 295
    assert all("CONCURRENTLY" in s.sql for s in plan.steps)
    assert time.process_time() - begin < 6


def _table(number: int) -> Table:
    types = DataType("integer", name="int4")
    columns = tuple(Column(name, i, types, not_null=name == "id") for i, name in enumerate(("id", "a", "b", "c", "d"), 1))
    key = Constraint(f"t{number}_pkey", "primary key", ("id",), "PRIMARY KEY (id)", index=f"t{number}_pkey")
    return Table("app", f"t{number:04}", columns=columns, constraints=(key,))


def _indexed(table: Table) -> Table:
    name = f"{table.name}_a"
    definition = f"CREATE INDEX {name} ON app.{table.name} USING btree (a)"
    return replace(table, indexes=(Index("app", name, table.name, keys=(IndexKey("a"),), definition=definition),))

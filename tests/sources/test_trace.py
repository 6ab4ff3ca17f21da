"""What statements are seen to do while they are built: locks, rewrites, scans; DO blocks and functions included."""

from __future__ import annotations

from tests.conftest import every_major

from pgcharter.catalog.effect import Effect, Mode
from pgcharter.catalog.reading import Reading
from pgcharter.names import ObjectId
from pgcharter.servers.scratch import Scratch
from pgcharter.sources import files, script
from pgcharter.sources.build import Builder
from pgcharter.sources.trace import Trace
from pgcharter.sqltext import parse

GROUND = """
CREATE SCHEMA "Shop";
CREATE SCHEMA app;
SET search_path = app;
CREATE TABLE "Shop"."Ünits" (id bigint PRIMARY KEY, code varchar(10), at timestamp, n integer);
CREATE TABLE other (id bigint PRIMARY KEY, unit_id bigint);
CREATE TABLE days (day date NOT NULL) PARTITION BY RANGE (day);
CREATE TABLE days_rest PARTITION OF days DEFAULT;
CREATE TABLE days_2026 (day date NOT NULL);
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE MATERIALIZED VIEW sums AS SELECT count(*) FROM other;
CREATE FUNCTION grow() RETURNS void LANGUAGE sql AS 'ALTER TABLE other ADD COLUMN IF NOT EXISTS grown integer';
"""
UNITS, OTHER = ObjectId("table", "Shop", "Ünits"), ObjectId("table", "app", "other")
DAYS, REST, YEAR = (ObjectId("table", "app", name) for name in ("days", "days_rest", "days_2026"))
FULL, PART = Mode.ACCESS_EXCLUSIVE, Mode.SHARE_ROW_EXCLUSIVE


def built(scratch: Scratch, text: str) -> Reading:
    with scratch.database() as database:
        return files.build_on(database, "m.sql", script.of_text("m.sql", text))


def seen(scratch: Scratch, sql: str) -> Effect:
    reading = built(scratch, f"{GROUND}{sql}")
    assert reading.findings == ()
    return reading.effects[reading.statements[-1].place]


FORMS: list[tuple[str, dict[ObjectId, Mode], set[ObjectId], set[ObjectId]]] = [
    ('ALTER TABLE "Shop"."Ünits" ADD COLUMN a timestamptz NOT NULL DEFAULT now()', {UNITS: FULL}, set(), set()),
    ('ALTER TABLE "Shop"."Ünits" ADD COLUMN a uuid DEFAULT gen_random_uuid()', {UNITS: FULL}, {UNITS}, set()),
    ('ALTER TABLE "Shop"."Ünits" ADD COLUMN a bigserial', {UNITS: FULL}, {UNITS}, set()),
    ('ALTER TABLE "Shop"."Ünits" ADD COLUMN a integer GENERATED ALWAYS AS (n + 1) STORED', {UNITS: FULL}, {UNITS}, set()),
    ('ALTER TABLE "Shop"."Ünits" ADD COLUMN a integer CHECK (a > 0)', {UNITS: FULL}, set(), {UNITS}),
    ('ALTER TABLE "Shop"."Ünits" ADD CONSTRAINT c CHECK (n > 0) NOT VALID', {UNITS: FULL}, set(), set()),
    ('ALTER TABLE "Shop"."Ünits" ALTER code TYPE varchar(20)', {UNITS: FULL}, set(), set()),
    ('ALTER TABLE "Shop"."Ünits" ALTER code TYPE varchar(5)', {UNITS: FULL}, {UNITS}, set()),
    ('ALTER TABLE "Shop"."Ünits" ALTER at TYPE timestamptz', {UNITS: FULL}, set(), set()),
    ("SET TimeZone = 'Europe/Berlin'; ALTER TABLE \"Shop\".\"Ünits\" ALTER at TYPE timestamptz", {UNITS: FULL}, {UNITS}, set()),
    ('ALTER TABLE other ADD FOREIGN KEY (unit_id) REFERENCES "Shop"."Ünits"', {UNITS: PART, OTHER: PART}, set(), {OTHER}),
    ('CREATE INDEX ON "Shop"."Ünits" (code)', {UNITS: Mode.SHARE}, set(), {UNITS}),
    ("ALTER TABLE days ATTACH PARTITION days_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
     {DAYS: Mode.SHARE_UPDATE_EXCLUSIVE, YEAR: FULL, REST: FULL}, set(), {YEAR, REST}),
    ("CREATE TABLE days_2027 PARTITION OF days FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')",
     {DAYS: FULL, REST: FULL}, set(), {REST}),
    ("DROP TABLE other CASCADE", {OTHER: FULL}, set(), set()),
    ("ALTER TABLE other RENAME TO others", {OTHER: FULL}, set(), set()),
    ("DO $$ BEGIN EXECUTE 'ALTER TABLE other ALTER id TYPE numeric'; LOCK TABLE days IN SHARE MODE; END $$",
     {OTHER: FULL, DAYS: Mode.SHARE, REST: Mode.SHARE}, {OTHER}, set()),
    ("SELECT grow()", {OTHER: FULL}, set(), set()),
    ("DO $$ BEGIN ALTER TABLE other ADD COLUMN a integer; COMMIT; END $$", {}, set(), set()),
    ("CREATE INDEX CONCURRENTLY i ON other (unit_id)", {}, set(), set()),
]  # fmt: skip
"""Statement; strong locks, tables rewritten, tables scanned."""


@every_major
def test_every_form(scratch: Scratch, major: int) -> None:
    with scratch.database() as database:
        builder = Builder(database, trace=(trace := Trace(major)))
        for sql, *expected in FORMS:
            for statement in parse(f'DROP SCHEMA IF EXISTS "Shop", app CASCADE; {GROUND}{sql}', sql).statements:
                assert builder.run(statement) is None
            builder.end_file()
            effect = trace.effects[statement.place]
            strong = {k.relation: k.mode for k in effect.locks if k.relation.kind == "table" and k.mode >= Mode.SHARE_UPDATE_EXCLUSIVE}
            rewritten = {r for r in effect.rewrites if r.kind == "table"}
            alone = "COMMIT" in sql or "CONCURRENTLY" in sql
            assert effect.transactional == (not alone), sql
            if not alone:
                assert [strong, rewritten, set(effect.scans) - rewritten] == expected, sql


def test_a_refresh_is_a_rewrite(scratch: Scratch) -> None:
    target = ObjectId("materialized view", "app", "sums")
    effect = seen(scratch, "REFRESH MATERIALIZED VIEW sums")
    assert (effect.on(target), target in effect.rewrites) == (FULL, True)


def test_a_domain_reads_the_tables_that_use_it(scratch: Scratch) -> None:
    effect = seen(scratch, "CREATE TABLE uses (p positive); ALTER DOMAIN positive ADD CHECK (VALUE < 100)")
    assert effect.scans == (ObjectId("table", "app", "uses"),)


def test_what_a_block_made_is_known_afterwards(scratch: Scratch) -> None:
    made = "DO $$ BEGIN CREATE TABLE fresh (a integer); COMMIT; END $$; ALTER TABLE fresh ALTER a TYPE bigint"
    assert seen(scratch, made).rewrites == (ObjectId("table", "app", "fresh"),)


def test_the_session_forgets_nothing_and_keeps_nothing(scratch: Scratch) -> None:
    forgets = "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$; RESET ALL; ALTER TABLE app.other ALTER id TYPE numeric"
    assert seen(scratch, forgets).rewrites[:1] == (OTHER,)
    with scratch.database() as database:
        files.build_on(database, "m.sql", script.of_text("m.sql", "DO $$ BEGIN CREATE TABLE t (a integer); END $$"))
        assert database.conn.execute("SHOW client_min_messages").fetchone() == ("notice",)


def test_a_refusal_keeps_its_words_and_its_place_and_hides_nothing(scratch: Scratch) -> None:
    reading = built(scratch, f"{GROUND}\nALTER TABLE other ADD COLUMN x nosuch;\nALTER TABLE nosuch ADD x int;\nDROP TABLE other CASCADE")
    assert [(f.message.partition(": ")[2], f.place.line, f.place.column) for f in reading.findings if f.place] == [
    ('type "nosuch" does not exist', 14, 32), ('relation "nosuch" does not exist', 15, 1),
    ]  # fmt: skip
    assert reading.effects[reading.statements[-1].place].on(OTHER) == FULL
    assert reading.statements[-2].place not in reading.effects
